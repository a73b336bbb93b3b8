from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

admin.site.unregister([User, Group])


@admin.register(User)
class AccountAdmin(UserAdmin):  # type: ignore[type-arg]  # no such thing at run time
    """Accounts are closed (`active` off), never deleted: what a person decided keeps its person."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
