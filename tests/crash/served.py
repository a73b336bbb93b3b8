"""The served product as a process of its own, over a data directory of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 90


class Served:
    """`manage.py serve` under a fresh VEREL_HOME, on the database that `environment` names."""

    def __init__(self, home: Path, **environment: str) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("VEREL_")}
        self.env = {
            **ours,
            "VEREL_HOME": str(home),
            "DJANGO_SETTINGS_MODULE": "verel_site.settings",
            **environment,
        }
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self.said: list[str] = []
        self._news = threading.Condition()

    def manage(self, *args: str) -> str:
        return self.run("manage.py", *args)

    def let_in(self, project: str, *scopes: str) -> list[str]:
        """Makes the project, and a key for each comma-separated scopes: in one process, since
        starting it is the most of what that costs."""
        return self.run("-m", "tests.crash.letting_in", project, *scopes).split()

    def run(self, *args: str) -> str:
        """What a Python process with these arguments prints; fails the test if it fails."""
        done = subprocess.run(
            [sys.executable, *args],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, *args: str, listeners: int = 1) -> None:
        """Returns once so many processes listen. The port is free now, and taken by them alone."""
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", "0", *args],
            cwd=ROOT,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        output = self.process.stdout
        for line in output:
            self._hear(line)
            if found := re.search(r"http://\S+", line):
                self.url = found[0]
            listeners -= "Listening on" in line
            if not listeners:
                threading.Thread(target=self._listen, args=(output,), daemon=True).start()
                return
        raise AssertionError("the server ended before it listened: " + "".join(self.said))

    def wait_until_said(self, text: str, times: int) -> None:
        """Returns once so many lines since the first start had this in them."""
        with self._news:
            heard = self._news.wait_for(
                lambda: sum(text in line for line in self.said) >= times, STOP_SECONDS
            )
        assert heard, "".join(self.said)

    def _listen(self, output: Iterable[str]) -> None:
        for line in output:
            self._hear(line)

    def _hear(self, line: str) -> None:
        with self._news:
            self.said.append(line)
            self._news.notify_all()

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(STOP_SECONDS)

    def clear_away(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGKILL)
