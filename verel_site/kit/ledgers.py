"""Django's admin over what only actions may change: it shows, and acts through the product."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db import models
from django.http import HttpRequest

from verel_site.kit.refusals import Refusal


class ReasonForm(ActionForm):
    reason = forms.CharField(required=False, max_length=500, widget=forms.TextInput)


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]  # no such thing at run time
    """Ledgers, and what only an audited action may change. Bytes are left out: they say nothing."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Whoever might change the rows, could they be changed, may act on them."""
        meta = self.model._meta
        return request.user.has_perm(f"{meta.app_label}.change_{meta.model_name}")

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fields = self.model._meta.fields
        return [field.name for field in fields if isinstance(field, models.BinaryField)]


class Acting(ReadOnly):
    """Rows on which staff may act, with a reason, through the product's own actions."""

    action_form = ReasonForm

    def act_on(self, request: HttpRequest, rows: Any, act: Callable[[Any, str], Any]) -> None:
        """`act(row, reason)` for each row; what is refused is told in its own words."""
        reason = request.POST.get("reason", "").strip()
        done = 0
        for row in rows:
            try:
                act(row, reason)
            except Refusal as refusal:
                text = f"{row}: {refusal.title}. {refusal.detail}"
                self.message_user(request, text, messages.ERROR)
            else:
                done += 1
        if done:
            self.message_user(request, f"Done for {done}. It stands in the audit log.")
