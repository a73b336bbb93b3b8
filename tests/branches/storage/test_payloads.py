"""Rows under every setting side by side, and ciphertexts that open in their own row alone."""

import json
from typing import Any
from uuid import uuid4

import pytest
from pytest_django.fixtures import Settings

from branches.blobs import ChangedBlob, UnreadableBlob, blob_bytes, inline_blobs
from branches.domain import terms
from branches.models import Blob, Event
from branches.selectors.events import payload_of
from branches.storage.payloads import BOUND_COLUMNS, UnreadableEvent, payload_bytes
from tests.api_client import Api, problem
from tests.make import append, make_draft, make_key, make_message, make_project, make_run

pytestmark = pytest.mark.django_db

OLD, NEW = ("2025", b"o" * 32), ("2026", b"n" * 32)
LONG = "Give five milligrams, then wait for a minute and look again. " * 12


def make_pair(settings: Settings) -> tuple[Event, Event]:
    """Two encrypted events of one branch."""
    settings.VEREL_EVENT_KEYS = [NEW]
    _, trunk = make_run()
    append(trunk, make_message("user", "one"), make_message("user", LONG))
    one, two = Event.objects.filter(branch=trunk, seq__gt=1).order_by("seq")
    return one, two


def test_rows_under_four_settings_and_two_keys_are_read_side_by_side(settings: Settings) -> None:
    _, trunk = make_run()
    wrote: list[Any] = [("plain", []), ("zstd", []), ("plain", [OLD]), ("zstd", [NEW, OLD])]
    for codec, keys in wrote:
        settings.VEREL_EVENT_CODEC, settings.VEREL_EVENT_KEYS = codec, keys
        append(trunk, make_message("user", f"{codec} {LONG}"))
    rows = Event.objects.filter(branch=trunk, seq__gt=1).order_by("seq")
    assert [row.payload[0] for row in rows] == [0, 1, 2, 3]
    told = [payload_of(row)["content"] for row in rows]
    assert told == [f"{codec} {LONG}" for codec, _ in wrote]


def test_nothing_of_an_encrypted_payload_stands_in_the_table(settings: Settings) -> None:
    settings.VEREL_EVENT_CODEC = "plain"
    for row in make_pair(settings):
        assert json.loads(payload_bytes(row))["content"].encode() not in bytes(row.payload)


def test_a_ciphertext_moved_to_another_row_is_found(settings: Settings) -> None:
    one, two = make_pair(settings)
    one.payload, two.payload = two.payload, one.payload
    for row in (one, two):
        with pytest.raises(UnreadableEvent) as refusal:
            payload_bytes(row)
        assert str(row.event_id) in refusal.value.detail


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("event_id", uuid4()),
        ("branch_id", uuid4()),
        ("seq", 99),
        ("parent_id", uuid4()),
        ("type", terms.ASSISTANT),
        ("source", "agen"),
    ],
)
def test_a_change_of_any_bound_column_is_found(
    settings: Settings, column: str, value: object
) -> None:
    assert column in BOUND_COLUMNS
    row, _ = make_pair(settings)
    assert payload_of(row) == {"content": "one"}
    setattr(row, column, value)
    with pytest.raises(UnreadableEvent, match="does not fit its row"):
        payload_bytes(row)


def test_one_query_reads_all_that_opening_needs(
    settings: Settings, django_assert_num_queries: Any
) -> None:
    one, _ = make_pair(settings)
    with django_assert_num_queries(1):
        rows = list(Event.objects.filter(branch_id=one.branch_id).only(*BOUND_COLUMNS))
        assert all(payload_bytes(row) for row in rows)


def test_a_retired_key_is_a_problem_that_names_the_row_and_the_key(settings: Settings) -> None:
    settings.VEREL_EVENT_KEYS = [OLD]
    project = make_project()
    _, trunk = make_run(project)
    draft = make_draft()
    append(trunk, draft)
    settings.VEREL_EVENT_KEYS = [NEW]
    api = Api(make_key(project, "context:read"))
    response = api.client.get(f"/api/v1/branches/{trunk.pk}/context", headers=api.headers)
    told = problem(response, 409, "unreadable_event")
    assert "its key '2025' is not among VEREL_EVENT_KEYS" in told["detail"]
    assert told["event_id"] == str(Event.objects.get(branch=trunk, seq=1).event_id)


def test_a_repeat_is_answered_though_the_key_was_rotated_meanwhile(settings: Settings) -> None:
    settings.VEREL_EVENT_KEYS = [OLD]
    _, trunk = make_run()
    draft = make_draft()
    append(trunk, draft)
    settings.VEREL_EVENT_KEYS = [NEW, OLD]
    assert append(trunk, draft).results[0].duplicate


def test_a_blob_is_encrypted_and_bound_to_its_project_and_its_bytes(settings: Settings) -> None:
    settings.VEREL_EVENT_KEYS = [NEW]
    project = make_project()
    _, trunk = make_run(project)
    part = {"kind": "image", "mime": "image/png", "data": "QUJD" * 4000}
    append(trunk, make_draft(terms.USER, {"content": [part]}))
    blob = Blob.objects.get()
    assert blob.data[0] == 2
    assert b"ABCABC" not in bytes(blob.data)
    assert blob_bytes(blob) == b"ABC" * 4000
    payload = payload_of(Event.objects.get(branch=trunk, seq=2))
    assert inline_blobs(project.pk, payload)["content"] == [part]
    blob.project_id = uuid4()
    with pytest.raises(UnreadableBlob):
        blob_bytes(blob)


def test_a_plain_blob_whose_bytes_were_changed_is_not_served() -> None:
    _, trunk = make_run()
    part = {"kind": "image", "mime": "image/png", "data": "QUJD" * 4000}
    append(trunk, make_draft(terms.USER, {"content": [part]}))
    blob = Blob.objects.get()
    blob.data = bytes(blob.data)[:-1] + b"!"
    with pytest.raises(ChangedBlob, match="were changed"):
        blob_bytes(blob)
