from django.apps import AppConfig


class MemoryConfig(AppConfig):
    name = "memory"

    def ready(self) -> None:
        from memory import checks, waits  # noqa: F401 -- registers the system checks
        from memory.promotion import fall_back_with_suite
        from verdicts.suites import register_retirement_hook
        from verel_site.inbox.kinds import register_kind

        register_retirement_hook("memory", fall_back_with_suite)
        register_kind(waits.KIND)
