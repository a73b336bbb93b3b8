"""Composition only: HTTP with static files in front, and sockets behind an origin check."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "verel_site.settings")
http = get_asgi_application()

from django.conf import settings  # noqa: E402 -- apps must be ready before models are imported
from servestatic import ServeStaticASGI  # noqa: E402

from branches.consumers import RunConsumer  # noqa: E402
from verel_site.inbox.consumers import InboxConsumer  # noqa: E402
from verel_site.kit.outages import close_in_outages  # noqa: E402
from verel_site.presence import ItemPresence, PairPresence, RunPresence  # noqa: E402

HASHED_NAME = r"\.[0-9a-f]{12}\.[^/]+$"

sockets = URLRouter(
    [
        path("ws/runs/<uuid:run>/", RunConsumer.as_asgi()),
        path("ws/presence/runs/<uuid:id>/", RunPresence.as_asgi()),
        path("ws/presence/pairs/<uuid:id>/", PairPresence.as_asgi()),
        path("ws/presence/items/<uuid:id>/", ItemPresence.as_asgi()),
        path("ws/inbox/", InboxConsumer.as_asgi()),
    ]
)

application = ProtocolTypeRouter(
    {
        # Wrapped round the whole application rather than as middleware: under Daphne the
        # middleware kept a loaded process from stopping on SIGTERM.
        "http": ServeStaticASGI(
            http,
            root=str(settings.STATIC_ROOT),
            prefix=settings.STATIC_URL,
            allow_all_origins=False,
            immutable_file_test=HASHED_NAME,
        ),
        "websocket": AllowedHostsOriginValidator(close_in_outages(AuthMiddlewareStack(sockets))),
    }
)
