"""Where a finding is: paths relative to the project, and locators that do not move with a line.

Lines shift whenever something above them changes, so a line in a locator would make every finding
below an edit a new one. Lines and columns (both from 1) stand in an issue's detail.
"""

import posixpath
import re
from collections import Counter
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

from verdicts.graders.printed import MAX_PLACE, clean

# Where common build services and containers put a checkout.
_CHECKOUTS: Final = re.compile(
    r"/(?:home/runner/work/[^/]+/[^/]+|__w/[^/]+/[^/]+|builds/[^/]+/[^/]+|github/workspace"
    r"|repo|workspaces?|app|src|code|project)/"
)
_DRIVE: Final = re.compile(r"/?([A-Za-z]):[\\/]")
_NAME: Final = re.compile(r"`([^`\n]{1,80})`|[\"']([\w.$:\-]{1,80})[\"']")


@lru_cache(maxsize=4096)
def relative_path(text: str, *roots: str) -> str:
    """A path or `file:` URI as a path in the project where it lies under a root or in a checkout
    directory that is known; else as it is, without scheme and `./`."""
    path = _plain_path(text)
    for root in roots:
        base = _plain_path(root).rstrip("/")
        if base and path.startswith(f"{base}/"):
            return path[len(base) + 1 :]
    found = _CHECKOUTS.match(path)
    return path[found.end() :] if found and len(path) > found.end() else path


def _plain_path(text: str) -> str:
    path = clean(text, MAX_PLACE)
    if path[:5].lower() == "file:":
        path = clean(unquote(path[5:]), MAX_PLACE)
        if path.startswith("//"):
            path = "/" + path[2:].partition("/")[2]
    if _DRIVE.match(path):
        path = path.lstrip("/")
    if "\\" in path:
        path = path.replace("\\", "/")
    return posixpath.normpath(path) if path else ""


def first_name(message: str) -> str:
    """The first name that a message quotes, or nothing."""
    found = _NAME.search(message)
    return (found[1] or found[2]) if found else ""


def all_names(message: str) -> str:
    """Every name that a message quotes."""
    names = (found[1] or found[2] for found in _NAME.finditer(message))
    return clean(", ".join(names), 200)


class Places:
    """Gives the findings of one report their locators; the second of a kind in a file is `#2`.

    So two findings that differ by their line alone have two fingerprints, whatever their lines
    are, and mending one of them leaves a subset.
    """

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, ...]] = Counter()

    def locate(self, path: str, name: str, *identity: str) -> str:
        base = f"{path}::{name}" if name else path
        key = (base, *identity)
        self._seen[key] += 1
        number = self._seen[key]
        return base if number == 1 else f"{base}#{number}"


def spot(**told: int | str | None) -> dict[str, Any]:
    """The part of a detail that says where, without what is unknown."""
    return {name: value for name, value in told.items() if value is not None and value != ""}
