import io
import stat
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.domain.archive import (
    MAX_FILES,
    BadArchive,
    File,
    check_path,
    make_skill,
    pack_files,
    read_files,
    split_manifest,
)

FRONT = {"name": "unit-conversion", "description": "Converts doses between units"}


def zipped(files: dict[str, bytes], mode: int = 0) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return packed.getvalue()


def tarred(
    name: str, data: bytes = b"x", kind: bytes = tarfile.REGTYPE, mode: str = "w:gz"
) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]  # a mode
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, len(data) if kind == tarfile.REGTYPE else 0
        info.linkname = "/etc/passwd"
        archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


@pytest.mark.parametrize(
    "path",
    [
        "../up", "a/../../b", "/etc/passwd", "a\\b", "C:x", "a//b", "a/./b", "", "a/", "aux.txt",
        "docs/NUL", "x\x00y", "x\u202ey", "x\u200by", "a./b", "a /b", "/".join("abcdefghijklm"),
        "x" * 241,
    ],
)  # fmt: skip
def test_a_path_that_leaves_the_folder_or_hides_is_refused(path: str) -> None:
    with pytest.raises(BadArchive):
        check_path(path)


@given(st.text(max_size=30))
def test_a_path_that_passes_stays_in_the_folder(path: str) -> None:
    try:
        found = check_path(path)
    except BadArchive:
        return
    parts = found.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert not found.startswith("/")
    assert check_path(found) == found


@pytest.mark.parametrize("name", [".gitignore", "scripts/run.py", "./SKILL.md", "docs/é.md"])
def test_plain_paths_pass(name: str) -> None:
    assert check_path(name)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not an archive",
        zipped({"a": b"1"})[:-10],
        zipped({"../a": b"1"}),
        zipped({"A.md": b"1", "a.md": b"2"}),
        zipped({"docs": b"1", "docs/a.md": b"2"}),
        zipped({"Docs": b"1", "docs/a.md": b"2"}),
        zipped({"Docs/a.md": b"1", "docs/b.md": b"2"}),
        zipped({"link": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777),
        zipped({f"f{n}": b"" for n in range(MAX_FILES + 1)}),
        tarred("link", kind=tarfile.SYMTYPE),
        tarred("hard", kind=tarfile.LNKTYPE),
        tarred("fifo", kind=tarfile.FIFOTYPE),
        tarred("/etc/passwd"),
    ],
    ids=[
        "empty", "no archive", "cut", "upward", "two of one name", "a file and a folder",
        "a file and a folder but for case", "two folders of one name", "symlink in a zip",
        "too many", "symlink", "hard link", "fifo", "absolute",
    ],
)  # fmt: skip
def test_an_archive_that_means_harm_is_refused(raw: bytes) -> None:
    with pytest.raises(BadArchive):
        read_files(raw)


whole = st.sampled_from(
    [
        zipped({"SKILL.md": b"---", "a/b.py": b"x" * 50}),
        tarred("SKILL.md"),
        tarred("SKILL.md", mode="w"),
    ]
)


@given(whole, st.data())
def test_damaged_bytes_are_files_or_a_named_fault(raw: bytes, data: st.DataObject) -> None:
    broken = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(broken[: data.draw(st.integers(0, len(broken)))])
    for told in (bytes(broken), cut, cut + data.draw(st.binary(max_size=8))):
        try:
            _, found = read_files(told)
        except BadArchive:
            continue
        assert all(check_path(file.path) == file.path for file in found)


def test_a_bomb_is_let_go_of() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", b"\0" * 5_000_000)
    with pytest.raises(BadArchive, match="more than"):
        read_files(packed.getvalue())


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_and_a_folder_around_it_are_read(mode: str) -> None:
    folder, found = read_files(tarred("unit-conversion/SKILL.md", b"hi", mode=mode))
    assert (folder, found) == ("unit-conversion", [File("SKILL.md", b"hi")])


# With an x before them none is the name of a device.
paths = st.from_regex(r"x[a-z]{1,5}(\.md|/x[a-z]{1,5}\.py)", fullmatch=True)
files = st.dictionaries(paths, st.tuples(st.binary(max_size=40), st.booleans()), max_size=5)


@given(files)
def test_what_is_packed_reads_as_the_same_files(told: dict[str, tuple[bytes, bool]]) -> None:
    listed = [File(path, data, x) for path, (data, x) in told.items()]
    listed.append(File("SKILL.md", b"---\n---\n"))
    listed = sorted(listed, key=lambda file: file.path)
    packed = pack_files(listed, folder="unit-conversion")
    assert pack_files(list(reversed(listed)), folder="unit-conversion") == packed
    assert read_files(packed) == ("unit-conversion", listed)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "Unit Conversion"}, "small letters"),
        ({"name": None}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"description": ""}, "description"),
        ({"description": 5}, "description"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": []}}, "metadata"),
        ({"allowed-tools": [1]}, "allowed-tools"),
        ({"hooks": "x"}, "Unknown field"),
    ],
)
def test_a_fault_of_the_front_matter_is_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(BadArchive, match=says):
        make_skill({**FRONT, **change}, [])


def test_tools_are_read_from_a_line_or_a_list() -> None:
    tools = ("Bash(git add:*)", "Read")
    for told in ("Bash(git add:*) Read", "Bash(git add:*), Read", [*tools]):
        assert make_skill({**FRONT, "allowed-tools": told}, []).tools == tools
    with pytest.raises(BadArchive):
        make_skill("text", [])


def test_a_folder_has_the_name_of_its_skill() -> None:
    assert make_skill(FRONT, [], folder="unit-conversion").name == "unit-conversion"
    with pytest.raises(BadArchive, match="folder 'conversions'"):
        make_skill(FRONT, [], folder="conversions")


def test_front_matter_is_split_off() -> None:
    assert split_manifest("---\nname: a\n---\nBody\n") == ("name: a\n", "Body\n")
    for text in ("", "name: a", "---\nname: a\n"):
        with pytest.raises(BadArchive):
            split_manifest(text)
