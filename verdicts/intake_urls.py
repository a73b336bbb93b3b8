"""The address of the import page."""

from django.urls import path

from verdicts.views import intake

urlpatterns = [path("p/<slug:slug>/import/", intake.import_page, name="import")]
