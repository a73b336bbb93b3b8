import struct

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from branches.storage.codec import (
    AES,
    DICTIONARIES,
    MAX_OPENED_BYTES,
    NEWEST,
    PLAIN,
    ZSTD,
    ZSTD_AES,
    Codec,
    ListedKeys,
    Unreadable,
    bind,
    open_all_unbound,
)

OLD, NEW = ("2025", b"o" * 32), ("2026", b"n" * 32)
TEXT = b'{"content":"' + b"the same words again and again " * 20 + b'"}'
BOUND = bind(b"a row")


def make_codec(*keys: tuple[str, bytes], compresses: bool = True) -> Codec:
    return Codec(ListedKeys(keys), compresses=compresses)


SETTINGS = {
    PLAIN: make_codec(compresses=False),
    ZSTD: make_codec(),
    AES: make_codec(NEW, compresses=False),
    ZSTD_AES: make_codec(NEW),
}


@pytest.mark.parametrize("version", SETTINGS)
def test_each_setting_writes_its_version_and_opens_every_other(version: int) -> None:
    envelope = SETTINGS[version].seal(TEXT, BOUND)
    assert envelope[0] == version
    reader = make_codec(NEW)
    assert reader.open(envelope, BOUND) == TEXT
    assert reader.open(memoryview(envelope), BOUND) == TEXT


@given(
    plain=st.binary(max_size=3000),
    bound=st.binary(max_size=40),
    compresses=st.booleans(),
    compressible=st.booleans(),
    encrypts=st.booleans(),
)
def test_whatever_is_sealed_opens_to_the_same_bytes(
    plain: bytes, bound: bytes, compresses: bool, compressible: bool, encrypts: bool
) -> None:
    codec = make_codec(*([NEW] if encrypts else []), compresses=compresses)
    envelope = codec.seal(plain, bound, compressible=compressible)
    assert codec.open(envelope, bound) == plain
    assert len(envelope) <= len(plain) + (1 if not encrypts else 2 + len(NEW[0]) + 28)


@given(plain=st.binary(max_size=200), place=st.integers(0), change=st.integers(1, 255))
def test_a_changed_byte_of_a_ciphertext_is_found_wherever_it_stands(
    plain: bytes, place: int, change: int
) -> None:
    codec = make_codec(NEW)
    envelope = bytearray(codec.seal(plain, BOUND))
    envelope[place % len(envelope)] ^= change
    if envelope[0] in (PLAIN, ZSTD) and place % len(envelope) == 0:
        # Without a tag this layer cannot know; the row's seal finds it.
        return
    with pytest.raises(Unreadable):
        codec.open(bytes(envelope), BOUND)


def test_a_ciphertext_opens_under_its_own_associated_data_alone() -> None:
    codec = make_codec(NEW)
    with pytest.raises(Unreadable, match="does not fit its row"):
        codec.open(codec.seal(TEXT, BOUND), bind(b"another row"))


def test_one_text_sealed_twice_shares_no_ciphertext() -> None:
    codec = make_codec(NEW)
    assert codec.seal(TEXT, BOUND) != codec.seal(TEXT, BOUND)


def test_rotation_writes_under_the_first_key_and_opens_under_all() -> None:
    before = make_codec(OLD).seal(TEXT, BOUND)
    during = make_codec(NEW, OLD)
    after = during.seal(TEXT, BOUND)
    assert during.open(before, BOUND) == during.open(after, BOUND) == TEXT
    retired = make_codec(NEW)
    assert retired.open(after, BOUND) == TEXT
    with pytest.raises(Unreadable, match="its key '2025' is not among VEREL_EVENT_KEYS"):
        retired.open(before, BOUND)


def test_another_key_under_a_known_name_is_told_from_a_missing_one() -> None:
    envelope = make_codec(("k", b"1" * 32)).seal(TEXT, BOUND)
    with pytest.raises(Unreadable, match="sealed with another key"):
        make_codec(("k", b"2" * 32)).open(envelope, BOUND)


def test_what_does_not_shrink_is_kept_plain() -> None:
    assert SETTINGS[ZSTD].seal(b"{}", BOUND) == b"\x00{}"
    assert SETTINGS[ZSTD_AES].seal(b"{}", BOUND)[0] == AES
    assert SETTINGS[ZSTD].seal(TEXT, BOUND, compressible=False)[0] == PLAIN


@pytest.mark.parametrize(
    "envelope",
    [
        b"",
        b"\x04abc",
        b"\xff",
        b"\x01",
        b"\x01not a frame",
        b"\x02",
        b"\x02\xff\x00",
        b"\x02\x042026" + b"\x00" * 27,
        b"\x03\x00" + b"\x00" * 40,
    ],
)
def test_bytes_that_nobody_sealed_are_refused_in_words(envelope: bytes) -> None:
    with pytest.raises(Unreadable):
        make_codec(NEW).open(envelope, BOUND)


def test_frames_name_their_dictionary_and_those_without_one_are_read_too() -> None:
    envelope = make_codec().seal(TEXT, BOUND)
    assert zstandard.get_frame_parameters(envelope[1:]).dict_id == NEWEST
    bare = zstandard.ZstdCompressor().compress(TEXT)
    assert make_codec().open(b"\x01" + bare, BOUND) == TEXT


def test_every_shipped_dictionary_bears_the_id_of_its_name() -> None:
    shipped = {int(path.stem): path.read_bytes() for path in DICTIONARIES.glob("*.zdict")}
    assert max(shipped) == NEWEST
    for number, data in shipped.items():
        assert zstandard.ZstdCompressionDict(data).dict_id() == number


def test_a_dictionary_that_was_never_shipped_is_named() -> None:
    foreign = bytearray((DICTIONARIES / f"{NEWEST}.zdict").read_bytes())
    foreign[4:8] = (77).to_bytes(4, "little")
    dictionary = zstandard.ZstdCompressionDict(bytes(foreign))
    frame = zstandard.ZstdCompressor(dict_data=dictionary).compress(TEXT)
    with pytest.raises(Unreadable, match="its dictionary 77 is unknown"):
        make_codec().open(b"\x01" + frame, BOUND)


def test_the_newest_dictionary_is_worth_its_place() -> None:
    told = b'{"call_id":"call_7","content":"def main() -> None:\\n    return","is_error":false}'
    assert len(make_codec().seal(told, BOUND)) < 0.6 * len(told)


def test_a_frame_that_would_burst_is_not_inflated() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(MAX_OPENED_BYTES + 1))
    assert len(bomb) < 10_000
    with pytest.raises(Unreadable, match="does not tell a size"):
        make_codec().open(b"\x01" + bomb, BOUND)


def test_a_frame_that_hides_or_understates_its_size_is_not_inflated() -> None:
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(TEXT)
    with pytest.raises(Unreadable, match="does not tell a size"):
        make_codec().open(b"\x01" + silent, BOUND)
    frame = bytearray(zstandard.ZstdCompressor().compress(TEXT))
    told = struct.pack("<H", len(TEXT) - 256)
    assert told in frame
    frame[frame.index(told) : frame.index(told) + 2] = struct.pack("<H", 10)
    with pytest.raises(Unreadable):
        make_codec().open(b"\x01" + bytes(frame), BOUND)


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_two_lists_of_fields_bind_alike_only_when_they_are_alike(
    left: list[bytes], right: list[bytes]
) -> None:
    assert (bind(*left) == bind(*right)) == (left == right)


@pytest.mark.parametrize("compresses", [True, False])
def test_many_are_sealed_together_as_each_would_be_alone(compresses: bool) -> None:
    codec = make_codec(compresses=compresses)
    plains = [TEXT, b"{}", b"\x00\xff", b"", TEXT[:70] * 3000, *(TEXT[n:] for n in range(600))]
    for told in (plains, [plain for plain in plains if plain], []):
        sealed = codec.seal_all_unbound(told)
        assert sealed == [codec.seal(plain, b"") for plain in told]
        assert [codec.open(envelope, b"") for envelope in sealed] == told
        assert open_all_unbound(sealed) == told
