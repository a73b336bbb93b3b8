from django.apps import AppConfig


class SiteConfig(AppConfig):
    """The composition: commands that serve the whole product, and the demo project."""

    name = "verel_site"
