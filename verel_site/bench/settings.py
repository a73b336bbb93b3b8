"""The product's settings, with the two empty addresses that its own are held against."""

from verel_site.settings import *  # noqa: F403 -- the same settings, by design

ROOT_URLCONF = "verel_site.bench.urls"
