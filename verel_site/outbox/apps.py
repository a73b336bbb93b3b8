from django.apps import AppConfig


class OutboxConfig(AppConfig):
    name = "verel_site.outbox"
    label = "outbox"
