"""A skill's files for whoever decides about it: the tree, what changed, and what it may do."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from memory.domain.terms import Kind, Standing
from memory.models import Record
from memory.skills import list_files

# Beyond these a file is told, and its lines are not.
MAX_LINES: Final = 1_500
MAX_SHOWN: Final = 400
CONTEXT: Final = 3


@dataclass(frozen=True, slots=True)
class Line:
    """`change` is ins, del, gap or empty."""

    text: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class FileLine:
    """`change` is added, removed, changed or same; `lines` what of it is to be read."""

    path: str
    size: int
    executable: bool
    change: str
    lines: tuple[Line, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """What a skill may use; `change` is ins for what the version before may not, del for what it
    alone may."""

    name: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class SkillFiles:
    """`against` is the version that it is compared with; empty where it is the first. `programs`
    are its executable files."""

    name: str
    against: str
    tools: tuple[Tool, ...]
    programs: tuple[str, ...]
    license: str
    compatibility: str
    files: tuple[FileLine, ...]


def read_skill_files(record: Record, rivals: Sequence[Record]) -> SkillFiles | None:
    """None for what is no skill. `rivals` are the other versions under its key."""
    if record.kind != Kind.SKILL.value:
        return None
    base = _version_before(record, rivals)
    before = {told["path"]: (told, data) for told, data in list_files(base)} if base else {}
    now = {told["path"]: (told, data) for told, data in list_files(record)}
    lines = tuple(
        _compare(path, before.get(path), now.get(path)) for path in sorted({*before, *now})
    )
    details: Mapping[str, Any] = record.details
    return SkillFiles(
        name=details["name"],
        against=f"{base.label}, version {base.version}" if base else "",
        tools=_compare_tools(record, base),
        programs=tuple(path for path, (told, _) in sorted(now.items()) if told["executable"]),
        license=details.get("license", ""),
        compatibility=details.get("compatibility", ""),
        files=lines,
    )


def _compare_tools(record: Record, base: Record | None) -> tuple[Tool, ...]:
    now = list(record.details.get("allowed_tools", ()))
    if base is None:
        return tuple(Tool(name) for name in now)
    before = list(base.details.get("allowed_tools", ()))
    told = [Tool(name, "" if name in before else "ins") for name in now]
    return (*told, *(Tool(name, "del") for name in before if name not in now))


def _version_before(record: Record, rivals: Sequence[Record]) -> Record | None:
    """What is live now, or else the last one before it."""
    live = next((row for row in rivals if row.standing == Standing.LIVE.value), None)
    earlier = [row for row in rivals if row.version < record.version]
    return live or max(earlier, key=lambda row: row.version, default=None)


type _File = tuple[dict[str, Any], bytes]


def _compare(path: str, before: _File | None, now: _File | None) -> FileLine:
    told, _ = now or before or ({}, b"")
    change = (
        "added"
        if before is None
        else "removed"
        if now is None
        else "same"
        if before[0]["sha256"] == now[0]["sha256"]
        else "changed"
    )
    old = _lines(before[1]) if before else []
    new = _lines(now[1]) if now else []
    shown: tuple[Line, ...] = ()
    note = ""
    if old is None or new is None:
        note = "Its bytes are no text."
    elif max(len(old), len(new)) > MAX_LINES:
        note = f"More than {MAX_LINES:,} lines; download it to read them."
    elif change != "same":
        shown = tuple(_differ(old, new))
    if len(shown) > MAX_SHOWN:
        shown, note = shown[:MAX_SHOWN], "The rest is not shown; download it to read it."
    return FileLine(path, told["size"], told["executable"], change, shown, note)


def _lines(data: bytes) -> list[str] | None:
    try:
        return data.decode().splitlines()
    except UnicodeDecodeError:
        return None


def _differ(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=True)
    for number, group in enumerate(matcher.get_grouped_opcodes(CONTEXT)):
        if number:
            yield Line("", "gap")
        for tag, a, b, c, d in group:
            if tag == "equal":
                yield from (Line(text) for text in new[c:d])
                continue
            yield from (Line(text, "del") for text in old[a:b])
            yield from (Line(text, "ins") for text in new[c:d])
