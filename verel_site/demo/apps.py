from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "verel_site.demo"
    label = "demo"
