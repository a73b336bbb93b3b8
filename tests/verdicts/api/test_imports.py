import gzip
import hashlib
import io
import json
from typing import Any
from uuid import uuid4

import pytest

from branches.models import Branch, Event
from tests.api_client import Api, data, problem
from tests.branches.api.test_bad_input import count_rows
from tests.make import append, make_key, make_message, make_run
from tests.verdicts.graders.printouts import FORMAT_OF, sample
from tests.verdicts.make import make_receipt, make_runner, require
from verdicts.graders.formats import FORMATS
from verdicts.models import Report
from verel_site.kit.parsers import MAX_BODY_BYTES

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]
CLEAN = b'<testsuite name="unit"><testcase classname="t" name="a"/></testsuite>'
FAILING = (
    b'<testsuite name="unit"><testcase classname="t" name="a"/>'
    b'<testcase classname="t" name="b"><failure message="3 is not 4"/></testcase></testsuite>'
)


@pytest.fixture
def trunk() -> Branch:
    trunk = make_run()[1]
    append(trunk, make_message("assistant", "Done."))
    return trunk


@pytest.fixture
def grader(trunk: Branch) -> Api:
    return Api(make_key(trunk.project, "reports:write"))


def post(api: Api, branch: Branch, raw: bytes, query: str = "", **headers: str) -> Any:
    headers = {"content_type": "application/octet-stream", **headers}
    return api.call("POST", f"branches/{branch.pk}/reports/import{query}", raw, **headers)


def verdict(api: Api, branch: Branch) -> str:
    return str(data(api.get(f"branches/{branch.pk}/gate"))["verdict"])


@pytest.mark.parametrize("name", sorted(FORMAT_OF))
@pytest.mark.parametrize("auto", [True, False])
def test_a_sample_is_imported_and_its_bytes_are_kept(
    name: str, auto: bool, trunk: Branch, grader: Api
) -> None:
    raw = sample(name)
    told = data(post(grader, trunk, raw, "" if auto else f"?format={FORMAT_OF[name]}"), 201)
    assert told["format"] == FORMAT_OF[name]
    assert told["head_digest"] == bytes(trunk.head_digest).hex()
    assert told["raw_sha256"] == hashlib.sha256(raw).hexdigest()
    for report in told["results"]:
        assert report["raw_sha256"] == told["raw_sha256"]
        assert report["cost_usd"] is None
        assert all(len(issue["fingerprint"]) == 16 for issue in report["issues"])
        kept = grader.get(f"reports/{report['report']}/raw")
        assert (kept.status_code, kept.content) == (200, raw)
        assert kept["Content-Disposition"].startswith("attachment")
    assert data(grader.get(f"branches/{trunk.pk}/reports"))["results"] == told["results"]


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data", "text/xml", ""]
)
def test_the_media_type_of_the_body_does_not_matter(kind: str, trunk: Branch, grader: Api) -> None:
    assert post(grader, trunk, CLEAN, content_type=kind).status_code == 201
    packed = post(grader, trunk, gzip.compress(FAILING), Content_Encoding="gzip")
    assert len(data(packed, 201)["results"][0]["issues"]) == 1


def test_a_repeat_under_one_key_is_the_first_answer(trunk: Branch, grader: Api) -> None:
    first = post(grader, trunk, FAILING, Idempotency_Key="k")
    again = post(grader, trunk, FAILING, Idempotency_Key="k")
    assert (first.status_code, again.content) == (201, first.content)
    problem(post(grader, trunk, CLEAN, Idempotency_Key="k"), 409, "idempotency_mismatch")
    assert Report.objects.count() == 1


@pytest.mark.parametrize("by_header", [True, False])
def test_output_about_an_older_head_is_refused(by_header: bool, trunk: Branch, grader: Api) -> None:
    old = bytes(trunk.head_digest).hex()
    told = ("", {"Verel_Head_Digest": old}) if by_header else (f"?head_digest={old}", {})
    assert post(grader, trunk, CLEAN, told[0], **told[1]).status_code == 201
    append(trunk, make_message("assistant", "One more thing."))
    answer = problem(post(grader, trunk, CLEAN, told[0], **told[1]), 409, "head_moved")
    assert answer["current_digest"] == bytes(trunk.head_digest).hex()
    assert Report.objects.count() == 1


@pytest.mark.parametrize(
    ("raw", "query", "status", "code"),
    [
        (b"", "", 422, "unreadable_output"),
        (b"hello", "", 422, "unreadable_output"),
        (b"<a/>", "", 422, "unreadable_output"),
        (b"<testsuite>", "", 400, "malformed_output"),
        (b'[{"filename": 7}]', "?format=ruff", 422, "unreadable_output"),
        (CLEAN, "?format=xunit", 400, "bad_input"),
        (CLEAN, "?head_digest=12", 400, "bad_input"),
        (CLEAN, "?grader=human", 400, "bad_input"),
        (CLEAN, "?senses=dom,sixth", 400, "bad_input"),
        (CLEAN, "?preview=yes", 400, "bad_input"),
        (CLEAN, "?tool=%1b", 400, "bad_input"),
        (CLEAN, f"?root={'x' * 1001}", 400, "bad_input"),
    ],
)
def test_what_can_not_be_read_stores_nothing(
    raw: bytes, query: str, status: int, code: str, trunk: Branch, grader: Api
) -> None:
    before = count_rows()
    answer = post(grader, trunk, raw, query)
    assert (answer.status_code, json.loads(answer.content)["code"]) == (status, code)
    assert count_rows() == before


def test_all_or_nothing(trunk: Branch, grader: Api) -> None:
    """The second run of the document has a place that no report takes."""
    document = json.loads(sample("sarif.json"))
    bad = json.loads(json.dumps(document["runs"][0]))
    bad["results"][0]["level"] = 7
    document["runs"].append(bad)
    before = count_rows()
    answer = post(grader, trunk, json.dumps(document).encode())
    problem(answer, 422, "unreadable_output", "/runs/1/results/0/level")
    assert count_rows() == before


def test_a_body_over_the_limit_is_refused_before_it_is_read(trunk: Branch, grader: Api) -> None:
    problem(post(grader, trunk, b" " * (MAX_BODY_BYTES + 1)), 413, "too_large")
    bomb = gzip.compress(b" " * (MAX_BODY_BYTES + 1))
    assert len(bomb) < 100_000
    problem(post(grader, trunk, bomb, Content_Encoding="gzip"), 413, "too_large")


HUNDRED_MEGABYTES = 100 * 1024 * 1024


class Endless(io.RawIOBase):
    """A well-formed output, and as many blanks after it as are asked for; counts what is read."""

    def __init__(self, told: bytes) -> None:
        self._told, self.taken = told, 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "nobody may ask for all of it"
        piece = self._told[self.taken : self.taken + size].ljust(size)
        self.taken += size
        return piece


# One output of each format that takes blanks after it, as JSON and XML do.
OF_EACH = {format: name for name, format in FORMAT_OF.items() if not name.endswith(".pb")}


@pytest.mark.parametrize("format", FORMATS)
def test_a_hundred_megabytes_of_any_format_are_refused_by_their_size_alone(
    format: str, trunk: Branch, grader: Api
) -> None:
    told = sample(OF_EACH[format])
    query = f"?format={format}&preview=true"
    assert post(grader, trunk, told + b" " * 10_000, query).status_code == 200
    before = count_rows()
    sent = Endless(told)
    address = f"/api/v1/branches/{trunk.pk}/reports/import?format={format}"
    length: Any = {"wsgi.input": sent, "CONTENT_LENGTH": str(HUNDRED_MEGABYTES)}
    plain = grader.client.generic(
        "POST", address, content_type="text/plain", headers=grader.headers, **length
    )
    problem(plain, 413, "too_large")
    assert sent.taken <= MAX_BODY_BYTES + 1
    packed = gzip.compress(told.ljust(HUNDRED_MEGABYTES), compresslevel=1)
    problem(post(grader, trunk, packed, query, Content_Encoding="gzip"), 413, "too_large")
    assert count_rows() == before


def test_one_tool_s_clean_run_does_not_hide_what_another_found(trunk: Branch, grader: Api) -> None:
    post(grader, trunk, sample("mypy.jsonl"))
    assert verdict(grader, trunk) == "fail"
    clean = b'{"generalDiagnostics":[],"summary":{"filesAnalyzed":3,"errorCount":0}}'
    assert post(grader, trunk, clean).status_code == 201
    assert verdict(grader, trunk) == "fail"
    post(grader, trunk, b"\n", "?format=mypy")
    assert verdict(grader, trunk) == "pass"


def test_a_failing_test_that_is_left_out_of_the_next_run_still_fails(
    trunk: Branch, grader: Api
) -> None:
    first = data(post(grader, trunk, FAILING), 201)["results"][0]["issues"]
    left = data(post(grader, trunk, CLEAN), 201)["results"][0]["issues"]
    assert [issue["fingerprint"] for issue in left] == [issue["fingerprint"] for issue in first]
    assert left[0]["detail"]["left_out"] is True
    assert verdict(grader, trunk) == "fail"
    rerun = FAILING.replace(b'<failure message="3 is not 4"/>', b"")
    assert data(post(grader, trunk, rerun), 201)["results"][0]["issues"] == []
    assert verdict(grader, trunk) == "pass"
    post(grader, trunk, FAILING)
    append(trunk, make_message("assistant", "The test is gone."))
    assert data(post(grader, trunk, CLEAN), 201)["results"][0]["issues"] == []


def test_a_narrowed_run_on_a_new_head_resolves_nothing_that_it_did_not_run(
    trunk: Branch, grader: Api
) -> None:
    [found] = data(post(grader, trunk, FAILING), 201)["results"][0]["issues"]
    state = f"failures?project={trunk.project.slug}&q={found['fingerprint']}"
    append(trunk, make_message("assistant", "Mended."))
    post(grader, trunk, CLEAN)
    assert data(grader.get(state))["results"][0]["open"] is True
    append(trunk, make_message("assistant", "Run in full."))
    post(grader, trunk, FAILING.replace(b'<failure message="3 is not 4"/>', b""))
    assert data(grader.get(state))["results"][0]["open"] is False


def test_a_linter_s_run_resolves_what_is_in_the_files_that_it_was_pointed_at(
    trunk: Branch, grader: Api
) -> None:
    post(grader, trunk, sample("ruff.json"), "?format=ruff")
    append(trunk, make_message("assistant", "Mended."))
    post(grader, trunk, b"[]", "?format=ruff&covers=src&covers=docs/a.py")
    listed = f"failures?project={trunk.project.slug}"
    assert {row["open"] for row in data(grader.get(listed))["results"]} == {True}
    append(trunk, make_message("assistant", "Again."))
    post(grader, trunk, b"[]", "?format=ruff&covers=pkg/")
    assert {row["open"] for row in data(grader.get(listed))["results"]} == {False}
    problem(post(grader, trunk, b"[]", "?format=ruff&covers="), 400, "bad_input")


def test_two_shards_under_two_names_count_together(trunk: Branch, grader: Api) -> None:
    post(grader, trunk, FAILING, "?tool=shard+1")
    post(grader, trunk, CLEAN, "?tool=shard+2")
    assert verdict(grader, trunk) == "fail"


def test_percepts_are_events_that_stale_nothing(trunk: Branch, grader: Api) -> None:
    post(grader, trunk, CLEAN)
    head = bytes(trunk.head_digest)
    post(grader, trunk, sample("agentvision/4_broken.json"))
    told = data(grader.get(f"events?branch={trunk.pk}&type=harness.percept"))["results"]
    assert [event["payload"]["sense"] for event in told] == ["dom", "ocr"]
    seen = told[0]["payload"]
    assert seen["viewport"] == {"width": 1280, "height": 800, "scale": 1.0}
    assert seen["image"].endswith("vp_1280x800_0.png")
    assert ["broken_image", "broken image (failed to load): missing.png"] in seen["signature"]
    assert (seen["ssim"], seen["changed_ratio"]) == (None, None)
    trunk.refresh_from_db()
    assert bytes(trunk.head_digest) == head
    gate = data(grader.get(f"branches/{trunk.pk}/gate"))
    assert (gate["stale"], gate["verdict"]) == (False, "fail")


def test_a_record_about_another_branch_is_refused(trunk: Branch, grader: Api) -> None:
    mine = sample("otlp_logs_evaluation.json").replace(b"br_1", str(trunk.pk).encode())
    assert post(grader, trunk, mine).status_code == 201
    other = sample("otlp_logs_evaluation.json").replace(b"br_1", str(uuid4()).encode())
    problem(post(grader, trunk, other), 422, "unreadable_output")


def test_a_preview_stores_nothing_and_gives_what_a_runner_signs(trunk: Branch, grader: Api) -> None:
    require(trunk.project, "test")
    before = count_rows()
    head = bytes(trunk.head_digest).hex()
    told = data(post(grader, trunk, CLEAN, f"?preview=true&head_digest={head}"))
    assert count_rows() == before
    [found] = told["results"]
    runner = make_runner(trunk.project)
    receipt = make_receipt(runner, trunk, found["report"], suite_digest="")
    body = {**found["report"], "receipt": receipt}
    filed = data(grader.post(f"branches/{trunk.pk}/reports", body), 201)
    assert filed["receipt"]["standing"] == "valid"
    assert filed["result_digest"] == found["result_digest"]
    assert verdict(grader, trunk) == "pass"


def test_an_import_into_a_branch_that_ended_keeps_its_events(trunk: Branch, grader: Api) -> None:
    Branch.objects.filter(pk=trunk.pk).update(status="abandoned")
    before = Event.objects.count()
    assert post(grader, trunk, sample("agentvision/2_overflow.json")).status_code == 201
    assert Event.objects.count() == before
