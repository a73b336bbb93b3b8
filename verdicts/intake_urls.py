"""The addresses of the import page."""

from django.urls import path

from verdicts.views import intake

urlpatterns = [
    path("p/<slug:slug>/import/", intake.import_page, name="import"),
    path("p/<slug:slug>/import/<int:pk>/cancel/", intake.import_cancel, name="import-cancel"),
]
