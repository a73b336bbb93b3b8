"""Which files a branch changed, as far as its tool calls say."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Tool names of common agents that write a file, lower-cased, and where they put its path.
EDITING_TOOLS = frozenset(
    {
        "apply_patch",
        "create_file",
        "delete_file",
        "edit",
        "edit_file",
        "move_file",
        "multiedit",
        "notebookedit",
        "str_replace_editor",
        "write",
        "write_file",
    }
)
PATH_ARGUMENTS = ("path", "file_path", "notebook_path", "file", "filename", "destination")
PATCH_ARGUMENTS = ("patch", "input", "diff", "arguments")

_PATCHED = re.compile(r"^\*\*\* (?:Add|Update|Delete) File: (.+)$|^\+\+\+ b/(.+)$", re.MULTILINE)


def changed_files(calls: Iterable[tuple[str, Mapping[str, Any]]]) -> frozenset[str]:
    """The paths that `(tool name, arguments)` pairs write, without a leading `./`.

    A file that a shell command writes is not seen here.
    """
    found: set[str] = set()
    for name, arguments in calls:
        if name.lower() in EDITING_TOOLS and arguments.get("command") != "view":
            found.update(_paths_of(arguments))
    return frozenset(found)


def _paths_of(arguments: Mapping[str, Any]) -> Iterable[str]:
    for key in PATH_ARGUMENTS:
        value = arguments.get(key)
        if isinstance(value, str) and value.strip():
            yield value.strip().removeprefix("./")
    for key in PATCH_ARGUMENTS:
        value = arguments.get(key)
        if isinstance(value, str):
            for match in _PATCHED.finditer(value):
                yield (match[1] or match[2]).strip().removeprefix("./")
