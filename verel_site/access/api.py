"""Authentication and the actor of an API request."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from verel_site.access.actors import Actor
from verel_site.access.keys import read_key
from verel_site.access.models import ApiKey
from verel_site.access.projects import NOBODY, actor_of_user


class KeyPrincipal(AnonymousUser):
    """What DRF sees as the user of a key: authenticated, and nobody's session."""

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self.actor = actor

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        return True


class KeyAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer vk_…`."""

    def authenticate(self, request: Request) -> tuple[KeyPrincipal, ApiKey] | None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        found = read_key(text.strip())
        if found is None:
            raise exceptions.AuthenticationFailed("This API key is unknown, expired or revoked.")
        key, actor = found
        return KeyPrincipal(actor), key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="verel"'


def api_actor(request: Request) -> Actor:
    user: Any = request.user
    if isinstance(user, KeyPrincipal):
        return user.actor
    return actor_of_user(user) if user is not None else NOBODY
