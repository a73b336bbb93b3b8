from django.apps import AppConfig


class InboxConfig(AppConfig):
    name = "verel_site.inbox"
    label = "inbox"
