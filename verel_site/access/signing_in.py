"""The login page, behind the throttle."""

from typing import Any

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from verel_site.access.throttle import forgive, take_attempt


class TooManyAttempts(ValidationError):
    def __init__(self, seconds: int) -> None:
        unit = f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"
        super().__init__(f"Too many attempts to sign in. Try again in {unit}.", code="throttled")
        self.seconds = seconds


class SignInForm(AuthenticationForm):
    """Looks at no password while the account, be there one or not, or the address is shut."""

    def clean(self) -> dict[str, Any]:
        username = str(self.cleaned_data.get("username") or "")
        if not username or not self.cleaned_data.get("password"):
            return self.cleaned_data
        address = client_address(self.request) if self.request is not None else ""
        wait = take_attempt(username=username, address=address, now=timezone.now())
        if wait:
            raise TooManyAttempts(wait)
        cleaned = super().clean()
        forgive(username=username, address=address, now=timezone.now())
        return cleaned


class SignInPage(LoginView):
    form_class = SignInForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """429 with Retry-After where it was too often, else the form with its error."""
        response = super().form_invalid(form)
        told = [error for error in form.non_field_errors().as_data() if error.code == "throttled"]
        if told and isinstance(told[0], TooManyAttempts):
            response.status_code = 429
            response["Retry-After"] = str(told[0].seconds)
        return response


def client_address(request: HttpRequest) -> str:
    """Where the request comes from, as the nearest machine says that is not one of our proxies."""
    proxies: int = settings.VEREL_PROXIES
    passed = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    if proxies and len(passed) >= proxies and passed[-proxies]:
        return passed[-proxies]
    return str(request.META.get("REMOTE_ADDR", ""))
