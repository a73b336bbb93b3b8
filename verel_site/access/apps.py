from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "verel_site.access"
    label = "access"
