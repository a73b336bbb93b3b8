"""A skill's files for whoever decides about it: the tree, what changed, and what it may do."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.urls import reverse

from memory.domain.terms import Kind, Standing
from memory.models import Record
from memory.skills import list_files
from verel_site.kit.refusals import NotFound

# Beyond these a file is told, and its lines are not.
MAX_LINES: Final = 1_500
MAX_SHOWN: Final = 400
MAX_ON_PAGE: Final = 4_000
MAX_VERSIONS: Final = 20
DEEPEST: Final = 6
CONTEXT: Final = 3
# In the place of a version to compare with: the files as they are.
ALONE: Final = "none"


@dataclass(frozen=True, slots=True)
class Line:
    """`change` is ins, del, gap or empty; `place` is its number in the version that has it."""

    text: str
    change: str = ""
    place: int | None = None

    @property
    def op(self) -> str:
        return {"ins": "+", "del": "-", "gap": "@"}.get(self.change, "")


@dataclass(frozen=True, slots=True)
class FileLine:
    """`change` is added, removed, changed, same, or empty where nothing is compared; `lines` what of
    it is to be read."""

    path: str
    size: int
    executable: bool
    change: str
    lines: tuple[Line, ...] = ()
    note: str = ""
    number: int = 0
    added: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A folder, or a file of it; `depth` is how deep it lies, at most DEEPEST."""

    name: str
    depth: int
    file: FileLine | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """Another version, or none, that this one may be compared with."""

    words: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class Tool:
    """What a skill may use; `change` is ins for what the version before may not, del for what it
    alone may."""

    name: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class SkillFiles:
    """`against` is the version that it is compared with; empty where it is shown alone. `programs`
    are its executable files."""

    name: str
    against: str
    tools: tuple[Tool, ...]
    programs: tuple[str, ...]
    license: str
    compatibility: str
    files: tuple[FileLine, ...]
    tree: tuple[TreeRow, ...]
    versions: tuple[Version, ...]

    @property
    def changed(self) -> int:
        return sum(file.change not in ("", "same") for file in self.files)


def read_skill_files(record: Record, *, slug: str, against: str = "") -> SkillFiles | None:
    """None for what is no skill. `against` is the number of another version of it, or ALONE; left
    empty it is what is live now, or else the version before. Raises NotFound for anything else."""
    if record.kind != Kind.SKILL.value:
        return None
    rows = Record.objects.filter(project_id=record.project_id, key=record.key)
    others = list(rows.exclude(pk=record.pk).order_by("-version", "-position")[:MAX_VERSIONS])
    base = _pick(record, others, against)
    before = {told["path"]: (told, data) for told, data in list_files(base)} if base else {}
    now = {told["path"]: (told, data) for told, data in list_files(record)}
    paths = sorted({*before, *now})
    if base is None:
        files = [_show(path, now[path]) for path in paths]
    else:
        files = [_compare(path, before.get(path), now.get(path)) for path in paths]
    lines = _within_page(files)
    details: Mapping[str, Any] = record.details
    return SkillFiles(
        name=details["name"],
        against=f"{base.label}, version {base.version}" if base else "",
        tools=_compare_tools(record, base),
        programs=tuple(path for path, (told, _) in sorted(now.items()) if told["executable"]),
        license=details.get("license", ""),
        compatibility=details.get("compatibility", ""),
        files=lines,
        tree=tuple(_grow(lines)),
        versions=tuple(_list_versions(record, others, base, slug)),
    )


def _compare_tools(record: Record, base: Record | None) -> tuple[Tool, ...]:
    now = list(record.details.get("allowed_tools", ()))
    if base is None:
        return tuple(Tool(name) for name in now)
    before = list(base.details.get("allowed_tools", ()))
    told = [Tool(name, "" if name in before else "ins") for name in now]
    return (*told, *(Tool(name, "del") for name in before if name not in now))


def _pick(record: Record, others: Sequence[Record], against: str) -> Record | None:
    if against == ALONE:
        return None
    if against:
        found = next((row for row in others if str(row.number) == against), None)
        if found is None:
            raise NotFound(f"{record.label} has no version {against[:20]!r} to compare with.")
        return found
    live = next((row for row in others if row.standing == Standing.LIVE.value), None)
    earlier = [row for row in others if row.version < record.version]
    if live is not None and live.version < record.version:
        return live
    return earlier[0] if earlier else live


def _list_versions(
    record: Record, others: Sequence[Record], base: Record | None, slug: str
) -> Iterator[Version]:
    here = reverse("memory-record", args=[slug, record.number])
    for row in others:
        words = f"{row.label}, v{row.version} ({row.standing})"
        href = f"{here}?against={row.number}#files"
        yield Version(words, href, base is not None and row.pk == base.pk)
    if others:
        yield Version("nothing", f"{here}?against={ALONE}#files", base is None)


def _grow(files: Sequence[FileLine]) -> Iterator[TreeRow]:
    """Folders and files in the order of their paths; each folder once, before what lies in it."""
    open_folders: list[str] = []
    for file in files:
        *folders, name = file.path.split("/")
        common = 0
        while common < min(len(folders), len(open_folders)) and (
            folders[common] == open_folders[common]
        ):
            common += 1
        for depth in range(common, len(folders)):
            yield TreeRow(folders[depth], min(depth, DEEPEST))
        open_folders = folders
        yield TreeRow(name, min(len(folders), DEEPEST), file)


def _within_page(files: Sequence[FileLine]) -> tuple[FileLine, ...]:
    """Numbered, and with no more lines than a page bears."""
    left = MAX_ON_PAGE
    told = []
    for number, file in enumerate(files, start=1):
        if len(file.lines) > left:
            file = replace(file, lines=(), note="The page is full; download it to read it.")
        left -= len(file.lines)
        told.append(replace(file, number=number))
    return tuple(told)


type _File = tuple[dict[str, Any], bytes]


def _show(path: str, file: _File) -> FileLine:
    """As it is."""
    told, data = file
    lines = _lines(data)
    shown: tuple[Line, ...] = ()
    if lines is not None and len(lines) <= MAX_LINES:
        shown = tuple(Line(text, place=place) for place, text in enumerate(lines, start=1))
    return _bound(FileLine(path, told["size"], told["executable"], "", shown, _note(lines)))


def _compare(path: str, before: _File | None, now: _File | None) -> FileLine:
    if before is not None and now is not None and before[0]["sha256"] == now[0]["sha256"]:
        moved = before[0]["executable"] != now[0]["executable"]
        return replace(_show(path, now), change="changed" if moved else "same")
    told, _ = now or before or ({}, b"")
    change = "added" if before is None else "removed" if now is None else "changed"
    old = _lines(before[1]) if before else []
    new = _lines(now[1]) if now else []
    note = _note(old) or _note(new)
    shown = tuple(_differ(old, new)) if old is not None and new is not None and not note else ()
    file = FileLine(path, told["size"], told["executable"], change, shown, note)
    added, removed = (sum(line.change == word for line in shown) for word in ("ins", "del"))
    return _bound(replace(file, added=added, removed=removed))


def _note(lines: Sequence[str] | None) -> str:
    if lines is None:
        return "Its bytes are no text."
    if len(lines) > MAX_LINES:
        return f"More than {MAX_LINES:,} lines; download it to read them."
    return ""


def _bound(file: FileLine) -> FileLine:
    if len(file.lines) <= MAX_SHOWN:
        return file
    return replace(
        file,
        lines=file.lines[:MAX_SHOWN],
        note=f"After {MAX_SHOWN} lines the rest is not shown; download it to read it.",
    )


def _lines(data: bytes) -> list[str] | None:
    try:
        return data.decode().splitlines()
    except UnicodeDecodeError:
        return None


def _differ(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=True)
    for number, group in enumerate(matcher.get_grouped_opcodes(CONTEXT)):
        if number or group[0][1] or group[0][3]:
            yield Line("", "gap")
        for tag, a, b, c, d in group:
            if tag == "equal":
                yield from (Line(new[place], place=place + 1) for place in range(c, d))
                continue
            yield from (Line(old[place], "del", place + 1) for place in range(a, b))
            yield from (Line(new[place], "ins", place + 1) for place in range(c, d))
