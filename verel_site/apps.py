from django.apps import AppConfig


class SiteConfig(AppConfig):
    """The composition: commands that serve the whole product, and the demo project."""

    name = "verel_site"

    def ready(self) -> None:
        # Registers the system checks.
        from verel_site import checks  # noqa: F401
