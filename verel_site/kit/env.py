"""Typed readers of environment variables. A bad value stops the start with one clear line."""

import base64
import binascii
import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

SQLITE: Final = "verel_site.kit.queued_sqlite"


def read_text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def read_flag(name: str, default: bool) -> bool:
    raw = read_text(name).lower()
    if not raw:
        return default
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} is {raw!r}; it takes 1 or 0.")


def read_list(name: str, default: list[str]) -> list[str]:
    raw = read_text(name)
    return [part.strip() for part in raw.split(",") if part.strip()] if raw else default


def read_choice(name: str, choices: list[str]) -> str:
    """One of the choices; the first where nothing is said."""
    raw = read_text(name, choices[0])
    if raw not in choices:
        raise ImproperlyConfigured(f"{name} is {raw!r}; it takes {' or '.join(choices)}.")
    return raw


def read_whole(name: str, default: int, *, low: int = 0, high: int = 10**12) -> int:
    """A whole number within bounds."""
    raw = read_text(name)
    if not raw:
        return default
    if raw.isascii() and raw.isdigit() and low <= int(raw) <= high:
        return int(raw)
    raise ImproperlyConfigured(f"{name} is {raw!r}; it takes a whole number from {low} to {high}.")


def read_counts(name: str, *, high: int) -> dict[str, int]:
    """Whole numbers by name, as `one=5,other=7`; none where nothing is said."""
    told: dict[str, int] = {}
    for part in read_list(name, []):
        key, _, count = (piece.strip() for piece in part.partition("="))
        if not key or not (count.isascii() and count.isdigit() and int(count) <= high):
            raise ImproperlyConfigured(
                f"{name} has {part!r}; it takes names with whole numbers up to {high}, as one=5,other=7."
            )
        told[key] = int(count)
    return told


def read_path(name: str, default: Path) -> Path:
    raw = read_text(name)
    return Path(raw).expanduser().resolve() if raw else default


def read_database(name: str, default: str) -> dict[str, object]:
    """`sqlite:///path` or `postgresql://user:password@host:port/name` as a Django database."""
    url = read_text(name, default)
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and parts.path:
        return {
            "ENGINE": SQLITE,
            "NAME": unquote(parts.path),
            "OPTIONS": {
                # IMMEDIATE takes the write lock at the start, so that two writers queue
                # instead of failing when both try to upgrade a read transaction.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": (
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
                ),
            },
        }
    if parts.scheme in {"postgresql", "postgres"} and parts.path.strip("/"):
        return {
            "ENGINE": "verel_site.kit.pooled_postgresql",
            "NAME": unquote(parts.path.strip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            "OPTIONS": {
                # How long a request waits while all connections are in use.
                "pool": {"min_size": 1, "max_size": 20, "timeout": 20},
                # A machine that is gone closes no connection: this is how long it is waited for.
                "connect_timeout": 3,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 15_000,
            },
        }
    raise ImproperlyConfigured(
        f"{name} is {url!r}; it takes sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME."
    )


def read_archive(name: str, default: str) -> str:
    url = read_text(name, default)
    parts = urlsplit(url)
    if (parts.scheme == "file" and parts.path) or (parts.scheme == "s3" and parts.netloc):
        return url
    raise ImproperlyConfigured(f"{name} is {url!r}; it takes file:///PATH or s3://BUCKET/PREFIX.")


def read_redis(name: str) -> str:
    url = read_text(name)
    if url and urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise ImproperlyConfigured(f"{name} is {url!r}; it takes redis://HOST:PORT/NUMBER.")
    return url


def read_event_keys(name: str) -> list[tuple[str, bytes]]:
    """`id:base64,…`: AES-256 keys by id, the current one first."""
    keys = []
    for part in read_list(name, []):
        key_id, _, encoded = part.partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if not key_id or len(key_id.encode()) > 255 or len(key) != 32:
            raise ImproperlyConfigured(f"{name} takes id:BASE64 of 32 bytes, comma-separated.")
        keys.append((key_id, key))
    return keys
