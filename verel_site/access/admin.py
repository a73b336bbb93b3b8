from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

from verel_site.access.models import (
    LoginFailures,
    Membership,
    Preferences,
    Project,
    RememberedAnswer,
    SignInLink,
)
from verel_site.kit.ledgers import ReadOnly

admin.site.unregister([User, Group])


@admin.register(User)
class AccountAdmin(UserAdmin):  # type: ignore[type-arg]  # no such thing at run time
    """Accounts are closed (`active` off), never deleted: what a person decided keeps its person."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Project)
class ProjectAdmin(ReadOnly):
    list_display = ["slug", "name", "separate_duties", "override_in_prompt", "created_at"]
    search_fields = ["slug", "name"]


@admin.register(Membership)
class MembershipAdmin(ReadOnly):
    list_display = ["user", "project", "role"]
    list_filter = ["role"]
    list_select_related = ["user", "project"]
    search_fields = ["user__username", "project__slug"]


@admin.register(SignInLink)
class SignInLinkAdmin(ReadOnly):
    list_display = ["user", "expires_at", "used_at"]
    list_select_related = ["user"]


@admin.register(RememberedAnswer)
class RememberedAnswerAdmin(ReadOnly):
    list_display = ["key", "project", "actor", "status", "created_at"]
    list_select_related = ["project"]


@admin.register(Preferences)
class PreferencesAdmin(ReadOnly):
    list_display = ["user", "time_zone"]
    list_select_related = ["user"]


@admin.register(LoginFailures)
class LoginFailuresAdmin(ReadOnly):
    list_display = ["subject", "count", "shut_until", "touched_at"]
