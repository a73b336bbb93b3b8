"""Agent Skills: a folder of files with a SKILL.md that names itself; what an archive may hold.

Paths are checked as if the archive meant harm: nothing absolute, no way up, no second spelling of
one path, no links, and bounds on how much there is. Bytes are never written to disk by their name.
"""

import io
import re
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_FILES: Final = 400
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
MAX_TOTAL_BYTES: Final = 16 * 1024 * 1024
MAX_PATH: Final = 240
MAX_PARTS: Final = 12
MANIFEST: Final = "SKILL.md"
FIELDS: Final = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
# Tools stand apart by spaces or commas; what one is confined to may hold both: `Bash(git add:*)`.
_TOOL: Final = re.compile(r"[^\s,(]+(?:\([^)]*\)?)?|\([^)]*\)?")
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


# What the readers of the standard library raise at bytes that are none, or not whole.
_DAMAGED: Final = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    ValueError,
    OverflowError,
)
_PLAIN_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_GZIP: Final = b"\x1f\x8b"


class BadArchive(ValueError):
    """What is wrong, in a sentence for whoever packed it."""


@dataclass(frozen=True, slots=True)
class File:
    path: str
    data: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Skill:
    """`tools` is what it asks to be allowed, as written; files are in the order of their paths."""

    name: str
    description: str
    license: str
    compatibility: str
    metadata: Mapping[str, str]
    tools: tuple[str, ...]
    files: tuple[File, ...]


def read_files(raw: bytes) -> tuple[str, list[File]]:
    """The folder around the skill, empty where there is none, and the files of a zip or a tar
    archive, the latter plain or gzipped. Raises BadArchive."""
    try:
        found = list(_iter_zip(raw) if zipfile.is_zipfile(io.BytesIO(raw)) else _iter_tar(raw))
    except BadArchive:
        raise
    except RuntimeError as error:
        raise BadArchive("An archive under a password cannot be read.") from error
    except _DAMAGED as error:
        raise BadArchive("This is no zip or tar archive, or it is damaged.") from error
    return _strip_folder(found)


def _iter_zip(raw: bytes) -> Iterator[File]:
    counted = _Counted()
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.compress_type not in _PLAIN_METHODS:
                raise BadArchive(f"{info.filename[:80]!r} is packed by an unusual method.")
            mode = info.external_attr >> 16
            if mode and not (stat.S_ISREG(mode) or stat.S_IFMT(mode) == 0):
                raise BadArchive(f"{info.filename[:80]!r} is a link or a device.")
            with archive.open(info) as stream:
                data = counted.take(info.filename, stream.read(MAX_FILE_BYTES + 1))
            yield File(check_path(info.filename), data, bool(mode & 0o111))


def _iter_tar(raw: bytes) -> Iterator[File]:
    counted = _Counted()
    plain = _gunzip(raw) if raw.startswith(_GZIP) else raw
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
        for info in archive:
            if info.isdir():
                continue
            if not info.isreg():
                raise BadArchive(f"{info.name[:80]!r} is a link or a device.")
            stream = archive.extractfile(info)
            data = counted.take(info.name, stream.read(MAX_FILE_BYTES + 1) if stream else b"")
            yield File(check_path(info.name), data, bool(info.mode & 0o111))


def _gunzip(raw: bytes) -> bytes:
    most = MAX_TOTAL_BYTES + MAX_FILES * 2 * tarfile.BLOCKSIZE
    unpacker = zlib.decompressobj(31)
    plain = unpacker.decompress(raw, most)
    if unpacker.unconsumed_tail:
        raise BadArchive(f"At most {MAX_TOTAL_BYTES:,} bytes in all.")
    if not unpacker.eof:
        raise BadArchive("The archive breaks off.")
    return plain


class _Counted:
    """Bounds while unpacking, so that a bomb is let go of before it goes off."""

    def __init__(self) -> None:
        self.files = self.total = 0

    def take(self, name: str, data: bytes) -> bytes:
        self.files += 1
        self.total += len(data)
        if len(data) > MAX_FILE_BYTES:
            raise BadArchive(f"{name[:80]!r} has more than {MAX_FILE_BYTES:,} bytes.")
        if self.files > MAX_FILES or self.total > MAX_TOTAL_BYTES:
            raise BadArchive(f"At most {MAX_FILES} files and {MAX_TOTAL_BYTES:,} bytes in all.")
        return data


def check_path(path: str) -> str:
    """A path within the skill, in one spelling. Raises BadArchive."""
    shown = repr(path[:80])
    if "\\" in path or ":" in path or path.startswith("/") or len(path) > MAX_PATH:
        raise BadArchive(f"{shown} is no path within a skill.")
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn") for char in path):
        raise BadArchive(f"{shown} has characters that no reader sees.")
    parts = path.removeprefix("./").split("/")
    if not 1 <= len(parts) <= MAX_PARTS or any(part in ("", ".", "..") for part in parts):
        raise BadArchive(f"{shown} is no path within a skill.")
    if any(part != part.strip(" .") and not part.startswith(".") for part in parts):
        raise BadArchive(f"{shown} ends in a space or a dot.")
    if any(_RESERVED.fullmatch(part) for part in parts):
        raise BadArchive(f"{shown} has a name that some systems keep for devices.")
    return unicodedata.normalize("NFC", "/".join(parts))


def _strip_folder(files: list[File]) -> tuple[str, list[File]]:
    """A skill may be packed with its folder around it."""
    _check_clashes(files)
    top = ""
    tops = {file.path.partition("/")[0] for file in files}
    if len(tops) == 1 and all("/" in file.path for file in files):
        top = tops.pop()
        files = [File(f.path.removeprefix(f"{top}/"), f.data, f.executable) for f in files]
    return top, sorted(files, key=lambda file: file.path)


def _check_clashes(files: list[File]) -> None:
    """No two files, and no file and folder, that one name stands for on some system."""
    seen: set[str] = set()
    folders: dict[str, str] = {}
    for file in files:
        folded = file.path.casefold()
        if folded in seen:
            raise BadArchive(f"{file.path[:80]!r} stands in it twice, but for case.")
        seen.add(folded)
        parts = file.path.split("/")
        for folder in ("/".join(parts[:depth]) for depth in range(1, len(parts))):
            if folders.setdefault(folder.casefold(), folder) != folder:
                raise BadArchive(f"{folder[:80]!r} is spelled in two ways, but for case.")
    both = next(iter(seen & folders.keys()), None)
    if both is not None:
        raise BadArchive(f"{both[:80]!r} is a file and a folder in it.")


def split_manifest(text: str) -> tuple[str, str]:
    """The front matter between its two lines of dashes, and what follows. Raises BadArchive."""
    lines = text.removeprefix("\ufeff").splitlines(keepends=True)
    if not lines or lines[0].strip() != "---":
        raise BadArchive(f"{MANIFEST} begins with its front matter, between two lines of ---.")
    for index, line in enumerate(lines[1:], start=1):
        if line.strip() == "---":
            return "".join(lines[1:index]), "".join(lines[index + 1 :])
    raise BadArchive(f"The front matter of {MANIFEST} has no end.")


def make_skill(front: Any, files: list[File], *, folder: str = "") -> Skill:
    """Checks the fields of a front matter that was parsed, and that the folder around the files, if
    there is one, has the skill's name. Raises BadArchive."""
    if not isinstance(front, dict):
        raise BadArchive(f"The front matter of {MANIFEST} is a mapping.")
    unknown = next((key for key in front if key not in FIELDS), None)
    if unknown is not None:
        raise BadArchive(f"Unknown field {str(unknown)[:40]!r}; there are {', '.join(FIELDS)}.")
    name = _text(front, "name", 64, needed=True)
    if not _NAME.fullmatch(name):
        raise BadArchive("name has small letters, digits and single dashes: unit-conversion.")
    description = _text(front, "description", 1024, needed=True)
    if folder not in ("", name):
        raise BadArchive(f"The folder {folder[:80]!r} has the name of its skill, {name!r}.")
    return Skill(
        name=name,
        description=description,
        license=_text(front, "license", 200),
        compatibility=_text(front, "compatibility", 500),
        metadata=_metadata(front.get("metadata")),
        tools=_tools(front.get("allowed-tools")),
        files=tuple(files),
    )


def _text(front: Mapping[str, Any], name: str, longest: int, *, needed: bool = False) -> str:
    value = front.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise BadArchive(f"{name} is a text of 1 to {longest} characters.")
    return " ".join(value.split())


def _metadata(value: Any) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > 32:
        raise BadArchive("metadata is a mapping of at most 32 texts.")
    for key, item in value.items():
        if not isinstance(key, str) or not isinstance(item, str | int | float | bool):
            raise BadArchive("metadata is a mapping of texts.")
        if len(key) > 64 or len(str(item)) > 500:
            raise BadArchive("metadata has keys of 64 and values of 500 characters at most.")
    return {key: str(item) for key, item in value.items()}


def _tools(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    listed = _TOOL.findall(value) if isinstance(value, str) else value
    if not isinstance(listed, list) or len(listed) > 64:
        raise BadArchive("allowed-tools is a list of at most 64 tools.")
    if any(not isinstance(one, str) or not 0 < len(one) <= 200 for one in listed):
        raise BadArchive("allowed-tools is a list of tools, each a text.")
    return tuple(listed)


def pack_files(files: list[File], *, folder: str) -> bytes:
    """A zip archive of the files under one folder: the same files are the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(files, key=lambda one: one.path):
            info = zipfile.ZipInfo(f"{folder}/{file.path}", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            mode = 0o755 if file.executable else 0o644
            info.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(info, file.data)
    return packed.getvalue()
