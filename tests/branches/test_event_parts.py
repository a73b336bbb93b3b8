"""Binary parts of an event: shown where they are what they say, inert in every other case."""

import base64
import struct
import zlib
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from branches.domain import terms
from branches.domain.media import MAX_SHOWN_BYTES, shown_type
from branches.models import Blob, Event
from tests.make import append, make_draft, make_project, make_run, make_user
from verel_site.access.models import Project
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(40)


def make_png(width: int = 1, height: int = 1, filler: int = 0) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min(width * height + height, 10_000)))
    parts = chunk(b"IHDR", size) + chunk(b"tEXt", b"k\0" + b"v" * filler) + chunk(b"IDAT", rows)
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


def part(kind: str, mime: str, data: bytes) -> dict[str, Any]:
    return {"kind": kind, "mime": mime, "data": base64.b64encode(data).decode()}


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def viewer(project: Project) -> Client:
    client = Client()
    client.force_login(make_user(project, Role.VIEWER))
    return client


def store(project: Project, *parts: Any, event_type: str = terms.USER) -> Event:
    trunk = make_run(project)[1]
    append(trunk, make_draft(type=event_type, payload={"content": list(parts)}))
    return Event.objects.get(branch=trunk, seq=2)


def detail_of(client: Client, event: Event) -> str:
    address = reverse("event", args=[event.event_id])
    return client.get(address, headers={"HX-Request": "true"}).content.decode()


def part_address(event: Event, index: int) -> str:
    return reverse("event-part", args=[event.event_id, index])


@pytest.mark.parametrize("filler", [0, 20_000])
def test_a_picture_is_shown_from_its_own_address(
    viewer: Client, project: Project, filler: int
) -> None:
    png = make_png(filler=filler)
    event = store(project, {"kind": "text", "text": "See"}, part("image", "image/png", png))

    html = detail_of(viewer, event)

    address = part_address(event, 1)
    assert f'<img src="{address}" loading="lazy" decoding="async" alt="Image 1 of event 2"' in html
    answer = viewer.get(address)
    assert (answer.status_code, answer.content) == (200, png)
    assert answer["Content-Type"] == "image/png"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer["Content-Disposition"].startswith("inline")
    assert Blob.objects.count() == (1 if filler else 0)


def test_a_sound_is_offered_with_controls(viewer: Client, project: Project) -> None:
    event = store(project, part("audio", "audio/x-wav", WAV))

    assert f'<audio controls preload="none" src="{part_address(event, 0)}"' in detail_of(
        viewer, event
    )
    assert viewer.get(part_address(event, 0))["Content-Type"] == "audio/wav"


LIES = [
    ("SVG", "image", "image/svg+xml", SVG, "This type is not shown here"),
    ("SVG as PNG", "image", "image/png", SVG, "Its bytes are not what its type says"),
    ("HTML as PNG", "image", "image/png", HTML, "Its bytes are not what its type says"),
    ("PNG as HTML", "image", "text/html", make_png(), "This type is not shown here"),
    ("PNG as JPEG", "image", "image/jpeg", make_png(), "Its bytes are not what its type says"),
    ("PNG as sound", "audio", "image/png", make_png(), "This type is not shown here"),
    ("HTML as sound", "audio", "audio/wav", HTML, "Its bytes are not what its type says"),
    ("PDF", "file", "application/pdf", b"%PDF-1.7", "This type is not shown here"),
    ("two types", "image", "image/png, text/html", make_png(), "This type is not shown here"),
    ("nothing", "image", "image/png", b"", "Its bytes are not what its type says"),
    ("huge", "image", "image/png", make_png(60_000, 60_000), "It has too many pixels"),
]  # fmt: skip


@pytest.mark.parametrize("filler", [b"", b" " * 20_000])
@pytest.mark.parametrize("case", LIES, ids=lambda case: case[0])
def test_what_is_no_picture_or_sound_is_a_download_and_no_more(
    viewer: Client, project: Project, case: tuple[Any, ...], filler: bytes
) -> None:
    _, kind, mime, data, why = case
    event = store(project, part(kind, mime, data + filler), event_type=terms.TOOL_RESULT)

    html = detail_of(viewer, event)

    assert why in html
    assert "<img" not in html
    assert "<audio" not in html
    answer = viewer.get(part_address(event, 0))
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment; filename=")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_what_cannot_be_read_is_a_placeholder_without_a_download(
    viewer: Client, project: Project
) -> None:
    gone = {"kind": "image", "mime": "image/png", "blob": "0" * 64, "size": 7}
    broken = {"kind": "<b>", "mime": '"><script>', "data": "no base64!"}
    event = store(project, gone, broken, 7, {"kind": "image", "mime": "image/png"})

    html = detail_of(viewer, event)

    assert html.count("Its bytes cannot be read") == 2
    assert "<script>" not in html
    for index in range(5):
        assert viewer.get(part_address(event, index)).status_code == 404


def test_only_who_may_see_the_project_finds_the_bytes(viewer: Client, project: Project) -> None:
    event = store(project, part("image", "image/png", make_png()))
    stranger = Client()
    stranger.force_login(make_user(make_project()))

    assert stranger.get(part_address(event, 0)).status_code == 404
    assert Client().get(part_address(event, 0)).status_code == 302
    assert viewer.post(part_address(event, 0)).status_code == 405


def test_many_parts_are_told_in_one_query(
    viewer: Client, project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    from branches.selectors.event_parts import read_parts
    from branches.selectors.events import payload_of

    pictures = [part("image", "image/png", make_png(filler=9_000 + n)) for n in range(8)]
    event = store(project, *pictures)

    with django_assert_num_queries(1):
        told = read_parts(event, payload_of(event))

    assert [one.shown for one in told] == ["image"] * 8


def test_a_part_over_the_bound_is_not_shown() -> None:
    png = make_png()

    assert shown_type("image", "image/png", png, MAX_SHOWN_BYTES) == "image/png"
    assert shown_type("image", "image/png", png, MAX_SHOWN_BYTES + 1) == ""


def test_a_picture_under_encryption_is_shown_too(
    viewer: Client, project: Project, settings: Any
) -> None:
    settings.VEREL_EVENT_KEYS = [("k1", bytes(range(32)))]
    png = make_png(filler=20_000)
    event = store(project, part("image", "image/png", png))

    html = detail_of(viewer, event)
    answer = viewer.get(part_address(event, 0))

    assert png not in bytes(Blob.objects.get().data)
    assert f'<img src="{part_address(event, 0)}"' in html
    assert answer.content == png
