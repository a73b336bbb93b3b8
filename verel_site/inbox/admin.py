from django.contrib import admin

from verel_site.inbox.models import Decision, Item
from verel_site.kit.ledgers import ReadOnly


@admin.register(Item)
class ItemAdmin(ReadOnly):
    list_display = ["title", "kind", "state", "scored", "required", "created_at"]
    list_filter = ["state", "kind"]


@admin.register(Decision)
class DecisionAdmin(ReadOnly):
    list_display = ["item", "answer", "reviewer", "created_at", "undone_at"]
