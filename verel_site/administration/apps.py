from django.apps import AppConfig


class AdministrationConfig(AppConfig):
    name = "verel_site.administration"
    label = "administration"
