"""The inbox's pages."""

from django.urls import path

from verel_site.inbox import views

urlpatterns = [
    path("inbox/", views.inbox, name="inbox"),
    path("inbox/next/", views.next_item, name="inbox-next"),
    path("inbox/bulk/", views.bulk, name="inbox-bulk"),
    path("inbox/views/", views.views, name="inbox-views"),
    path("inbox/<uuid:item>/", views.item, name="inbox-item"),
    path("inbox/<uuid:item>/pane/", views.pane, name="inbox-pane"),
    path("inbox/<uuid:item>/claim/", views.claim, name="inbox-claim"),
    path("inbox/<uuid:item>/heartbeat/", views.heartbeat, name="inbox-heartbeat"),
    path("inbox/<uuid:item>/release/", views.release, name="inbox-release"),
    path("inbox/<uuid:item>/skip/", views.skip, name="inbox-skip"),
    path("inbox/<uuid:item>/requeue/", views.requeue, name="inbox-requeue"),
    path("inbox/<uuid:item>/draft/", views.draft, name="inbox-draft"),
    path("inbox/<uuid:item>/decide/", views.decide, name="inbox-decide"),
    path("inbox/<uuid:item>/comments/", views.comment, name="inbox-comment"),
    path("inbox/<uuid:item>/assign/", views.assign, name="inbox-assign"),
    path("inbox/decisions/<uuid:decision>/undo/", views.undo, name="inbox-undo"),
]
