from django.contrib import admin

from verel_site.kit.ledgers import ReadOnly
from verel_site.outbox.models import Promise


@admin.register(Promise)
class PromiseAdmin(ReadOnly):
    list_display = ["kind", "state", "destination", "due_at", "attempts", "last_error"]
    list_filter = ["state", "kind"]
