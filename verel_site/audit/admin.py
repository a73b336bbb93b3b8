from django.contrib import admin

from verel_site.audit.models import AuditEntry
from verel_site.kit.ledgers import ReadOnly


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ["number", "project", "at", "actor_kind", "actor_name", "action", "subject"]
    list_filter = ["actor_kind", "project"]
    list_select_related = ["project"]
    search_fields = ["actor_name", "action", "subject"]
