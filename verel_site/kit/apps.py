from django.apps import AppConfig


class KitConfig(AppConfig):
    name = "verel_site.kit"
    label = "kit"
