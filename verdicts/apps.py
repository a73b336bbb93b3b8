from django.apps import AppConfig


class VerdictsConfig(AppConfig):
    name = "verdicts"

    def ready(self) -> None:
        from verdicts import waits
        from verel_site.inbox.kinds import register_kind

        for kind in waits.KINDS:
            register_kind(kind)
