"""The pages of memory."""

from django.urls import path

from memory.views import consolidations, contexts, curves, records

urlpatterns = [
    path("p/<slug:slug>/memory/", records.record_list, name="memory"),
    path("p/<slug:slug>/memory/decide/", records.decide_picked, name="memory-decide"),
    path("p/<slug:slug>/memory/undo/", records.undo_given, name="memory-undo"),
    path("p/<slug:slug>/memory/<int:number>/", records.record, name="memory-record"),
    path("p/<slug:slug>/memory/<int:number>/decide/", records.decide, name="memory-record-decide"),
    path("p/<slug:slug>/memory/<int:number>/clear/", records.clear, name="memory-record-clear"),
    path("events/<uuid:event>/memory/", records.resting_on, name="event-memory"),
    path("p/<slug:slug>/memory/<int:number>/undo/", records.undo, name="memory-record-undo"),
    path(
        "p/<slug:slug>/memory/<int:number>/archive/", records.archive, name="memory-skill-archive"
    ),
    path(
        "p/<slug:slug>/memory/consolidations/",
        consolidations.consolidations,
        name="memory-consolidations",
    ),
    path(
        "p/<slug:slug>/memory/consolidations/order/",
        consolidations.order,
        name="memory-consolidation-order",
    ),
    path(
        "p/<slug:slug>/memory/consolidations/<int:number>/",
        consolidations.consolidations,
        name="memory-consolidation",
    ),
    path(
        "p/<slug:slug>/memory/consolidations/<int:number>/cancel/",
        consolidations.cancel,
        name="memory-consolidation-cancel",
    ),
    path(
        "p/<slug:slug>/memory/contradictions/",
        consolidations.contradictions,
        name="memory-contradictions",
    ),
    path(
        "p/<slug:slug>/memory/contradictions/settle/",
        consolidations.settle,
        name="memory-contradiction-settle",
    ),
    path("p/<slug:slug>/memory/curves/", curves.curves, name="memory-curves"),
    path("p/<slug:slug>/memory/curves/adopt/", curves.adopt, name="memory-curve-adopt"),
    path("p/<slug:slug>/memory/curves/drop/", curves.drop, name="memory-curve-drop"),
    path("p/<slug:slug>/memory/contexts/", contexts.contexts, name="memory-contexts"),
    path("p/<slug:slug>/memory/contexts/ask/", contexts.ask, name="memory-context-ask"),
    path("p/<slug:slug>/memory/contexts/<uuid:context>/", contexts.context, name="memory-context"),
]
