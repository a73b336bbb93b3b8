"""The pages of memory."""

from django.urls import path

from memory.views import records

urlpatterns = [
    path("p/<slug:slug>/memory/", records.record_list, name="memory"),
    path("p/<slug:slug>/memory/decide/", records.decide_picked, name="memory-decide"),
    path("p/<slug:slug>/memory/<int:number>/", records.record, name="memory-record"),
    path("p/<slug:slug>/memory/<int:number>/decide/", records.decide, name="memory-record-decide"),
    path(
        "p/<slug:slug>/memory/<int:number>/archive/", records.archive, name="memory-skill-archive"
    ),
    path("p/<slug:slug>/memory/contexts/<uuid:context>/", records.context, name="memory-context"),
]
