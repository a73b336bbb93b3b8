"""The product's settings, and a view that never answers."""

from verel_site.settings import *  # noqa: F403

ROOT_URLCONF = "tests.crash.stuck_urls"
