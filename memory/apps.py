from typing import Any

from django.apps import AppConfig


class MemoryConfig(AppConfig):
    name = "memory"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate, pre_migrate

        from memory import checks, waits  # noqa: F401 -- registers the system checks
        from memory.projection import deliver_record
        from memory.promotion import fall_back_with_suite
        from memory.storage import owed
        from verdicts.suites import register_retirement_hook
        from verel_site.inbox.kinds import register_kind
        from verel_site.outbox.promises import register_deliverer

        register_retirement_hook("memory", fall_back_with_suite)
        register_kind(waits.KIND)
        register_deliverer(owed.KIND, deliver_record)
        pre_migrate.connect(_lift_moves, sender=self)
        post_migrate.connect(_owe_moves, sender=self)


def _lift_moves(*, using: str, **kwargs: Any) -> None:
    from memory.storage import owed

    owed.lift(using=using)


def _owe_moves(*, using: str, **kwargs: Any) -> None:
    from memory.storage import owed

    owed.install(using=using)
