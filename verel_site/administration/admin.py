from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from verel_site.access.models import ApiKey
from verel_site.access.projects import actor_of_staff
from verel_site.administration.credentials import revoke_key
from verel_site.kit.ledgers import Acting


@admin.register(ApiKey)
class ApiKeyAdmin(Acting):
    list_display = ["name", "id", "project", "scopes", "expires_at", "last_used_at", "revoked_at"]
    list_select_related = ["project"]
    search_fields = ["id", "name"]
    actions = ["revoke"]

    @admin.action(description="Revoke (a reason is needed)", permissions=["act"])
    def revoke(self, request: HttpRequest, rows: Any) -> None:
        def act(key: ApiKey, reason: str) -> None:
            actor = actor_of_staff(request.user, key.project_id)
            revoke_key(key_id=key.pk, actor=actor, reason=reason)

        self.act_on(request, rows, act)

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["secret_sha256"]
