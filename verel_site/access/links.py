"""One-time sign-in links: for the person at the terminal, and for who is invited."""

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from verel_site.access.models import SignInLink

LINK_MINUTES = 60


def create_link(*, user: User, minutes: int = LINK_MINUTES) -> str:
    """The token to put behind /sign-in/; only its SHA-256 is kept."""
    token = secrets.token_urlsafe(32)
    SignInLink.objects.create(
        token_sha256=hashlib.sha256(token.encode()).hexdigest(),
        user=user,
        expires_at=timezone.now() + timedelta(minutes=minutes),
    )
    return token


def forget_links(*, user: User) -> None:
    """Those that were not used open nothing from now on."""
    SignInLink.objects.filter(user=user, used_at=None).delete()


def use_link(*, token: str) -> User | None:
    """The user, once; a second use, a late one or a made-up token gives None."""
    now = timezone.now()
    digest = hashlib.sha256(token.encode()).hexdigest()
    row = SignInLink.objects.filter(token_sha256=digest, used_at=None, expires_at__gt=now)
    if row.update(used_at=now) != 1:
        return None
    return User.objects.filter(signinlink__token_sha256=digest, is_active=True).first()
