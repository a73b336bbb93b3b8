"""A person's own password: set after the first link, changed later."""

from dataclasses import dataclass

from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from verel_site.access.links import forget_links
from verel_site.access.signing_in import TooManyAttempts, client_address
from verel_site.access.throttle import forgive, take_attempt
from verel_site.kit.htmx import render_page

FIELDS = ("old_password", "new_password1", "new_password2")


@dataclass(frozen=True)
class PasswordPage:
    """`templates/registration/password.html`. `has_one`: it is changed, else set for the first time."""

    has_one: bool
    faults: tuple[tuple[str, ...], ...]
    done: bool = False
    screen: str = "settings"
    nav: str = ""
    tab: str = "password"
    title: str = "Password"


class ChangePasswordForm(PasswordChangeForm):
    """Guessing the present one is slow, by whichever door."""

    address = ""

    def clean_old_password(self) -> str:
        name, now = self.user.get_username(), timezone.now()
        wait = take_attempt(username=name, address=self.address, now=now)
        if wait:
            raise TooManyAttempts(wait)
        given = super().clean_old_password()
        forgive(username=name, address=self.address, now=now)
        return given


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def password(request: HttpRequest) -> HttpResponse:
    """GET: the form. POST: from now on this password alone signs in; other sessions end."""
    user = User.objects.get(username=request.user.get_username())
    if request.method != "POST":
        return _show(request, user, None)
    form: SetPasswordForm[User]
    if user.has_usable_password():
        form = ChangePasswordForm(user, request.POST)
        form.address = client_address(request)
    else:
        form = SetPasswordForm(user, request.POST)
    if not form.is_valid():
        return _show(request, user, form)
    form.save()
    forget_links(user=user)
    update_session_auth_hash(request, user)
    return redirect(f"{reverse('password')}?set=1")


def _show(request: HttpRequest, user: User, form: SetPasswordForm[User] | None) -> HttpResponse:
    errors = form.errors if form is not None else {}
    page = PasswordPage(
        has_one=user.has_usable_password(),
        faults=tuple(tuple(map(str, errors.get(name, ()))) for name in FIELDS),
        done=form is None and request.GET.get("set") == "1",
    )
    response = render_page(
        request, "registration/password.html", page, status=200 if form is None else 422
    )
    if form is not None:
        _tell_wait(form, response)
    return response


def _tell_wait(form: SetPasswordForm[User], response: HttpResponse) -> None:
    for error in form.errors.as_data().get("old_password", ()):
        if isinstance(error, TooManyAttempts):
            response.status_code = 429
            response["Retry-After"] = str(error.seconds)
