from django.apps import AppConfig


class MemoryConfig(AppConfig):
    name = "memory"

    def ready(self) -> None:
        from memory.promotion import fall_back_with_suite
        from verdicts.suites import register_retirement_hook

        register_retirement_hook("memory", fall_back_with_suite)
