"""Django's SQLite backend, with a queue for the threads of this process that want to write.

SQLite lets one transaction write. Whoever comes meanwhile sleeps and looks again, longer each time,
and whoever happens to look first is next: among twenty threads one can be passed over until its
time is up ("database is locked"), while the file is idle for most of it. Here the threads stand in
line before they ask the file. Other processes are waited for as by SQLite itself.
"""

from functools import cache
from typing import Any, Final

from django.db.backends.sqlite3 import base

from verel_site.kit.queued_sqlite.turns import Turns

# As sqlite3 itself waits where the settings do not say.
SECONDS: Final = 5.0
WRITING: Final = frozenset(["IMMEDIATE", "EXCLUSIVE"])


@cache
def turns_of(file: str) -> Turns:
    return Turns()


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes a turn for a transaction that begins as a writer, and gives it back at its end."""

    # Set by Django's own wrapper; its stubs leave it out.
    transaction_mode: str | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turn: Turns | None = None

    def _start_transaction_under_autocommit(self) -> None:
        if self._turn is None and self.transaction_mode in WRITING:
            turns = turns_of(str(self.settings_dict["NAME"]))
            seconds = self.settings_dict["OPTIONS"].get("timeout", SECONDS)
            # Whose turn does not come asks the file all the same: it says what is refused.
            if turns.take(seconds):
                self._turn = turns
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # not in the stubs
        except BaseException:
            self._give_back()
            raise

    def _give_back(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.give_back()

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]  # not in the stubs
        self._give_back()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]  # not in the stubs
        finally:
            self._give_back()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]  # not in the stubs
        finally:
            self._give_back()
