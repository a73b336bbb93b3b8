from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "verel_site.audit"
    label = "audit"
