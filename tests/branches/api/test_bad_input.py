"""Whatever is wrong with a push is a clear 4xx with a pointer, and nothing of it is stored."""

import gzip
import json
import zlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import zstandard
from django.apps import apps
from django.utils import timezone

from branches.leases import claim_branch
from branches.merges import merge_branches
from branches.models import Branch
from branches.steering import abandon_branch
from tests.api_client import Api, problem
from tests.branches.api.test_events import make_event
from tests.make import append, make_draft, make_fork, make_key, make_project, make_run
from verel_site.access.actors import SYSTEM
from verel_site.access.models import ApiKey

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]
NOWHERE = str(UUID(int=7))
ZSTD = zstandard.ZstdCompressor()


def compress_with_window(data: bytes, log: int) -> bytes:
    """A frame that wants a window of 2^log bytes, however small its content."""
    parameters = zstandard.ZstdCompressionParameters(window_log=log)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(data) + packer.flush()


def count_rows() -> dict[str, int]:
    """How many rows each table holds."""
    models = [model for model in apps.get_models() if model._meta.managed]
    return {model._meta.label: model._default_manager.count() for model in models}


@pytest.fixture
def trunk() -> Branch:
    trunk = make_run(make_project())[1]
    append(trunk, make_draft(event_id=UUID(int=1), payload={"content": "first"}))
    return trunk


@pytest.fixture
def api(trunk: Branch) -> Api:
    return Api(make_key(trunk.project, "events:write", "branches:run"))


def batch(*events: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return {"events": list(events or [make_event()]), **extra}


def raw(payload: str) -> bytes:
    """A batch of one event whose payload is this text."""
    return json.dumps(batch(make_event(payload="@"))).replace('"@"', payload).encode()


def nested(depth: int) -> str:
    return '{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


P = "/events/0/payload"
EVENT_FAULTS: list[tuple[str, Any, int, str, str | None]] = [
    ("no object", b"[]", 400, "bad_event", ""),
    ("no events", {}, 400, "bad_event", "/events"),
    ("empty events", {"events": []}, 400, "bad_event", "/events"),
    ("event no object", {"events": [1]}, 400, "bad_event", "/events/0"),
    ("over 5000", {"events": [{}] * 5001}, 413, "too_large", "/events"),
    ("over 1 MiB", batch(make_event(payload={"a": "x" * 2**20})), 413, "too_large", "/events/0"),
    ("unknown parent", batch(make_event(parent_id=NOWHERE)), 422, "unknown_parent",
     "/events/0/parent_id"),
    ("stale head", batch(expected_seq=1), 409, "seq_moved", "/expected_seq"),
    ("id reuse", batch(make_event(), make_event(event_id=str(UUID(int=1)))), 409, "id_reuse",
     "/events/1/event_id"),
    ("id twice", batch(make_event(event_id=NOWHERE), make_event(event_id=NOWHERE, source="b")),
     409, "id_reuse", "/events/1/event_id"),
    ("no id", batch(make_event(event_id=None)), 400, "bad_event", "/events/0/event_id"),
    ("bad id", batch(make_event(event_id="7")), 400, "bad_event", "/events/0/event_id"),
    ("bad task", batch(make_event(task_id=7)), 400, "bad_event", "/events/0/task_id"),
    ("other branch", batch(make_event(branch=NOWHERE)), 400, "bad_event", "/events/0/branch"),
    ("naive time", batch(make_event(ts="2026-11-20T12:00:00")), 400, "bad_event", "/events/0/ts"),
    ("no time", batch(make_event(ts="soon")), 400, "bad_event", "/events/0/ts"),
    ("month 13", batch(make_event(ts="2026-13-20T12:00:00Z")), 400, "bad_event", "/events/0/ts"),
    ("before year 1", batch(make_event(ts="0001-01-01T00:00:00+14:00")), 400, "bad_event",
     "/events/0/ts"),
    ("wrong prefix", batch(make_event(type="dat.x")), 400, "bad_event", "/events/0/type"),
    ("long type", batch(make_event(type="data." + "x" * 200)), 400, "bad_event", "/events/0/type"),
    ("empty source", batch(make_event(source=" ")), 400, "bad_event", "/events/0/source"),
    ("our source", batch(make_event(source="verel")), 400, "bad_event", "/events/0/source"),
    ("list payload", batch(make_event(payload=[])), 400, "bad_event", P),
    ("text payload", batch(make_event(payload="{}")), 400, "bad_event", P),
    ("no payload", batch(make_event(payload=None)), 400, "bad_event", P),
    ("version 2", batch(make_event(schema_version=2)), 400, "bad_event",
     "/events/0/schema_version"),
    ("version true", batch(make_event(schema_version=True)), 400, "bad_event",
     "/events/0/schema_version"),
    ("unknown field", batch(make_event(**{"a/b~": 1})), 400, "bad_event", "/events/0/a~1b~0"),
    ("huge expected_seq", batch(expected_seq=2**80), 400, "bad_event", "/expected_seq"),
    ("true expected_seq", batch(expected_seq=True), 400, "bad_event", "/expected_seq"),
    ("huge lease_epoch", batch(lease_epoch=2**80), 400, "bad_event", "/lease_epoch"),
    ("old epoch", batch(lease_epoch=0), 409, "stale_lease", "/lease_epoch"),
    ("malformed", b'{"events": [', 400, "malformed_json", ""),
    ("not UTF-8", b'{"events": "\xff"}', 400, "malformed_json", ""),
    ("two values", b"{} {}", 400, "malformed_json", ""),
    ("depth 65", raw(nested(65)), 400, "malformed_json", f"{P}/a" + "/0" * 63),
    ("depth 100000", b"[" * 100_000, 400, "malformed_json", ""),
    ("depth 100000 closed", b"[" * 100_000 + b"]" * 100_000, 400, "malformed_json", ""),
    ("NUL", raw(r'{"a": "\u0000"}'), 400, "malformed_json", f"{P}/a"),
    ("NUL in a key", raw(r'{"a\u0000": 1}'), 400, "malformed_json", P),
    ("NUL in source", batch(make_event(source="a\0")), 400, "malformed_json", "/events/0/source"),
    ("NaN", raw('{"a": NaN}'), 400, "malformed_json", f"{P}/a"),
    ("Infinity", raw('{"a": [-Infinity]}'), 400, "malformed_json", f"{P}/a/0"),
    ("1e400", raw('{"a": 1e400}'), 400, "malformed_json", f"{P}/a"),
    ("lone surrogate", raw(r'{"a": "\ud800"}'), 400, "malformed_json", f"{P}/a"),
    ("lone surrogate in a key", raw(r'{"\udc00": 1}'), 400, "malformed_json", P),
    ("duplicate keys", raw('{"a": {"b": 1, "b": 1}}'), 400, "malformed_json", f"{P}/a"),
    ("5000 digits", raw('{"a": ' + "9" * 5000 + "}"), 400, "malformed_json", ""),
    ("approval without id", batch(make_event(type="harness.approval.requested", payload={})), 422,
     "bad_approval", "/events/0/payload/approval_id"),
    ("approval expires before year 1", batch(make_event(type="harness.approval.requested", payload={
        "approval_id": NOWHERE, "action": "a", "expires_at": "0001-01-01T00:00:00+14:00"})), 422,
     "bad_approval", "/events/0/payload/expires_at"),
    ("large part without type", batch(make_event(payload={"content": [
        {"kind": "text"}, {"kind": "image", "data": "A" * 20_000}]})), 422, "bad_part",
     "/events/0/payload/content/1/mime"),
    ("large part beyond base64", batch(make_event(payload={"content": [
        {"kind": "image", "mime": "image/png", "data": "é" * 20_000}]})), 422, "bad_part",
     "/events/0/payload/content/0/data"),
]  # fmt: skip


@pytest.mark.parametrize("case", EVENT_FAULTS, ids=lambda case: case[0])
def test_a_faulty_batch_is_refused_whole(case: tuple[Any, ...], trunk: Branch, api: Api) -> None:
    _, body, status, code, pointer = case
    before = count_rows()
    problem(api.post(f"branches/{trunk.pk}/events", body), status, code, pointer)
    assert count_rows() == before


def test_depth_64_is_taken(trunk: Branch, api: Api) -> None:
    assert api.post(f"branches/{trunk.pk}/events", raw(nested(64))).status_code == 201


ENCODING_FAULTS = [
    ("bomb", gzip.compress(bytes(2**26)), "gzip", 413, "too_large", None),
    ("zstd bomb", ZSTD.compress(bytes(2**26)), "zstd", 413, "too_large", None),
    ("zstd of a large window", compress_with_window(b"{}", 27), "zstd", 400, "malformed_json", None),
    ("zstd cut off", ZSTD.compress(json.dumps(batch()).encode())[:-5], "zstd", 400,
     "malformed_json", None),
    ("zstd after gzip", ZSTD.compress(gzip.compress(b"{}")), "gzip, zstd", 415, "content_encoding",
     None),
    ("deflate bomb", zlib.compress(bytes(2**26)), "deflate", 413, "too_large", None),
    ("two encodings", gzip.compress(gzip.compress(b"{}")), "gzip, gzip", 415, "content_encoding",
     None),
    ("unknown encoding", b"{}", "br", 415, "content_encoding", None),
    ("damaged", b"\x1f\x8b" + bytes(30), "gzip", 400, "malformed_json", None),
    ("cut off", gzip.compress(json.dumps(batch()).encode())[:-9], "gzip", 400, "malformed_json",
     None),
    ("not packed", json.dumps(batch()).encode(), "gzip", 400, "malformed_json", None),
]  # fmt: skip


@pytest.mark.parametrize("case", ENCODING_FAULTS, ids=lambda case: case[0])
def test_a_faulty_encoding_is_refused(case: tuple[Any, ...], trunk: Branch, api: Api) -> None:
    _, body, encoding, status, code, pointer = case
    before = count_rows()
    answer = api.post(f"branches/{trunk.pk}/events", body, Content_Encoding=encoding)
    problem(answer, status, code, pointer)
    assert count_rows() == before


def test_a_body_over_32_mib_is_refused(trunk: Branch, api: Api) -> None:
    before = count_rows()
    problem(api.post(f"branches/{trunk.pk}/events", b" " * (2**25 + 1)), 413, "too_large")
    assert count_rows() == before


def test_a_form_is_no_json(trunk: Branch, api: Api) -> None:
    answer = api.post(
        f"branches/{trunk.pk}/events", b"a=1", content_type="application/x-www-form-urlencoded"
    )
    problem(answer, 415, "unsupported_media_type")


def ended(trunk: Branch) -> None:
    abandon_branch(branch_id=trunk.pk, actor=SYSTEM, reason="no use")


def leased(trunk: Branch) -> None:
    Branch.objects.filter(pk=trunk.pk).update(claimable=True)
    claim_branch(project_id=trunk.project_id, actor=SYSTEM, worker="w", seconds=60)


def expired(trunk: Branch) -> None:
    leased(trunk)
    past = timezone.now() - timedelta(seconds=1)
    Branch.objects.filter(pk=trunk.pk).update(lease_expires_at=past)


STATE_FAULTS: list[tuple[Callable[[Branch], None], dict[str, Any], str, str | None]] = [
    (ended, {}, "branch_ended", None),
    (leased, {}, "stale_lease", "/lease_epoch"),
    (leased, {"lease_epoch": 0}, "stale_lease", "/lease_epoch"),
    (leased, {"lease_epoch": 2}, "stale_lease", "/lease_epoch"),
    (expired, {"lease_epoch": 1}, "stale_lease", "/lease_epoch"),
]


@pytest.mark.parametrize("case", STATE_FAULTS)
def test_a_branch_that_takes_no_such_write_says_so(
    case: tuple[Any, ...], trunk: Branch, api: Api
) -> None:
    prepare, extra, code, pointer = case
    prepare(trunk)
    before = count_rows()
    problem(api.post(f"branches/{trunk.pk}/events", batch(**extra)), 409, code, pointer)
    assert count_rows() == before


def test_a_parent_in_a_foreign_run_or_project_is_unknown(trunk: Branch, api: Api) -> None:
    for project in (trunk.project, make_project()):
        foreign = make_run(project)[1]
        draft = make_draft()
        append(foreign, draft)
        before = count_rows()
        body = batch(make_event(), make_event(parent_id=str(draft.event_id)))
        answer = api.post(f"branches/{trunk.pk}/events", body)
        problem(answer, 422, "unknown_parent", "/events/1/parent_id")
        assert count_rows() == before


def test_branches_that_are_unknown_or_anothers_look_alike(api: Api) -> None:
    foreign = make_run()[1]
    before = count_rows()
    for branch in (uuid4(), foreign.pk):
        for path, body in [
            ("events", batch()),
            ("events", b"{"),
            ("forks", {"fork_seq": 1, "override": "x"}),
            ("pause", {}),
            ("lease", {"epoch": 1}),
        ]:
            problem(api.post(f"branches/{branch}/{path}", body), 404, "not_found")
        problem(api.get(f"branches/{branch}/context"), 404, "not_found")
    assert count_rows() == before


def test_keys_of_another_scope_or_that_ended_write_nothing(trunk: Branch) -> None:
    key = make_key(trunk.project, "context:read")
    before = count_rows()
    path = f"branches/{trunk.pk}/events"
    problem(Api(key).post(path, batch()), 403, "forbidden")
    row = ApiKey.objects.filter(project=trunk.project)
    row.update(revoked_at=timezone.now())
    problem(Api(key).post(path, batch()), 401, "authentication_failed")
    row.update(revoked_at=None, expires_at=timezone.now())
    problem(Api(key).post(path, batch()), 401, "authentication_failed")
    for text in (key[:-1], "vk_", "vk_a\0b_c", "nonsense", ""):
        problem(Api(text or "x").post(path, batch()), 401, "authentication_failed")
    answer = Api().post(path, batch())
    problem(answer, 401, "not_authenticated")
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert count_rows() == before


QUERY_FAULTS = [
    ("events?colour=red", "colour"),
    ("events?type__startswith=data", "type__startswith"),
    ("events?project=x", "project"),
    ("events?branch=7", "branch"),
    ("events?run=", "run"),
    ("events?event_id=%00", "event_id"),
    ("events?type=a%00b", "type"),
    ("events?after=abc", "after"),
    ("events?after=-1", "after"),
    ("events?after=1e3", "after"),
    (f"events?after={10**40}", "after"),
    ("events?limit=0", "limit"),
    ("events?limit=1001", "limit"),
    (f"events?limit={'9' * 6000}", "limit"),
    ("events?limit=1&limit=2", "limit"),
    ("approvals?after=7", "after"),
    (f"approvals?after={'9' * 20}-{NOWHERE}", "after"),
    ("approvals?state=odd", "state"),
    ("directives?wait=31", "wait"),
    ("directives?wait=-1", "wait"),
    ("projects/{slug}/runs?status=odd", "status"),
    ("branches/{branch}/context?format=xml", "format"),
    ("branches/{branch}/context?upto=99", "upto"),
    (f"branches/{{branch}}/context?upto={2**70}", "upto"),
]


@pytest.mark.parametrize(("path", "parameter"), QUERY_FAULTS)
def test_a_faulty_query_names_its_parameter(
    path: str, parameter: str, trunk: Branch, api: Api
) -> None:
    answer = api.get(path.format(slug=trunk.project.slug, branch=trunk.pk))
    assert problem(answer, 400, "bad_input")["parameter"] == parameter


def test_an_unknown_filter_is_answered_with_those_allowed(api: Api) -> None:
    detail = problem(api.get("events?colour=red"), 400, "bad_input")["detail"]
    for name in ("event_id", "branch", "run", "task_id", "parent_id", "type", "source"):
        assert name in detail


BODY_FAULTS: list[tuple[str, Any, int, str, str]] = [
    ("projects/{slug}/runs", {}, 400, "bad_input", "/goal"),
    ("projects/{slug}/runs", {"goal": "  "}, 400, "bad_input", "/goal"),
    ("projects/{slug}/runs", {"goal": 1}, 400, "bad_input", "/goal"),
    ("projects/{slug}/runs", {"goal": "x" * 10_001}, 400, "bad_input", "/goal"),
    ("projects/{slug}/runs", {"goal": "x", "run": "x"}, 400, "bad_input", "/run"),
    ("projects/{slug}/runs", {"goal": "x", "spec": []}, 400, "bad_input", "/spec"),
    ("projects/{slug}/runs", {"goal": "x", "gaol": "x"}, 400, "bad_input", "/gaol"),
    ("projects/{slug}/runs", [], 400, "bad_input", ""),
    ("branches/{branch}/forks", {"override": "x"}, 400, "bad_input", "/fork_seq"),
    ("branches/{branch}/forks", {"fork_seq": "1", "override": "x"}, 400, "bad_input", "/fork_seq"),
    ("branches/{branch}/forks", {"fork_seq": 2**70, "override": "x"}, 400, "bad_input",
     "/fork_seq"),
    ("branches/{branch}/forks", {"fork_seq": -1, "override": "x"}, 400, "bad_input", "/fork_seq"),
    ("branches/{branch}/forks", {"fork_seq": 0, "override": "x"}, 422, "unknown_fork_point",
     "/fork_seq"),
    ("branches/{branch}/forks", {"fork_seq": 99, "override": "x"}, 422, "unknown_fork_point",
     "/fork_seq"),
    ("branches/{branch}/forks", {"fork_seq": 1}, 422, "override_missing", "/override"),
    ("branches/{branch}/forks", {"fork_seq": 1, "override": "x" * 32_001}, 422,
     "override_too_long", "/override"),
    ("branches/{branch}/forks", {"fork_seq": 1, "override": "x", "claimable": 1}, 400,
     "bad_input", "/claimable"),
    ("claims", {"worker": "w", "seconds": 60}, 400, "bad_input", "/project"),
    ("claims", {"project": "{slug}", "seconds": 60}, 400, "bad_input", "/worker"),
    ("claims", {"project": "{slug}", "worker": "w", "seconds": 0}, 400, "bad_input", "/seconds"),
    ("claims", {"project": "{slug}", "worker": "w", "seconds": 3601}, 400, "bad_input",
     "/seconds"),
    ("claims", {"project": "{slug}", "worker": "w", "format": "xml"}, 400, "bad_input", "/format"),
    ("branches/{branch}/lease", {"seconds": 60}, 400, "bad_input", "/epoch"),
    ("branches/{branch}/lease", {"epoch": 7, "seconds": 60}, 409, "stale_lease", "/epoch"),
    ("branches/{branch}/pause", {"reason": 7}, 400, "bad_input", "/reason"),
    ("datasets", {"filter": []}, 400, "bad_input", "/filter"),
    ("merges", {}, 400, "bad_input", "/winner"),
]  # fmt: skip


@pytest.mark.parametrize("case", BODY_FAULTS, ids=lambda case: f"{case[0]} {str(case[1])[:50]}")
def test_a_faulty_body_points_at_its_field(case: tuple[Any, ...], trunk: Branch, api: Api) -> None:
    path, body, status, code, pointer = case
    slug = trunk.project.slug
    if isinstance(body, dict) and body.get("project") == "{slug}":
        body = {**body, "project": slug}
    before = count_rows()
    answer = api.post(path.format(slug=slug, branch=trunk.pk), body)
    problem(answer, status, code, pointer)
    assert count_rows() == before


def test_a_merged_branch_takes_no_event_and_may_be_forked(trunk: Branch, api: Api) -> None:
    from branches.domain.admission import Admission

    loser = make_fork(trunk, 1).branch
    trunk.refresh_from_db()
    admission = Admission(trunk.pk, bytes(trunk.head_digest), "pass", True, 1)
    merge_branches(winner_id=trunk.pk, loser_ids=[loser.pk], actor=SYSTEM, admission=admission)
    problem(api.post(f"branches/{trunk.pk}/events", batch()), 409, "branch_ended")
    answer = api.post(f"branches/{trunk.pk}/forks", {"fork_seq": 1, "override": "again"})
    assert answer.status_code == 201


@pytest.mark.parametrize("rest", ["nothing", "branches/%0A/pause", "a%0Ab%0A", "%00"])
def test_what_has_no_address_is_a_problem_too(api: Api, rest: str) -> None:
    # The client's own check wants an address of the schema.
    answer = api.client.post(f"/api/v1/{rest}", headers=api.headers)
    problem(answer, 404, "not_found")
