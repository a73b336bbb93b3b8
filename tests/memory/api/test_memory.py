from typing import Any
from uuid import uuid4

import pytest

from memory.models import PromotionRequest, Record
from memory.requests import request_promotion
from tests.api_client import Api, data, problem
from tests.make import NOON, make_key, make_user
from tests.memory.make import CAP, make_fact, make_source
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]
CAPPED: dict[str, Any] = {"text": "The bolus cap is 45 mg", **CAP, "object": "45 mg"}


@pytest.fixture
def agent(project: Project) -> Api:
    return Api(make_key(project, "memory:propose"))


@pytest.fixture
def curator(project: Project) -> Api:
    return Api(user=make_user(project, Role.CURATOR))


def test_from_proposal_over_promotion_to_context(
    project: Project, agent: Api, curator: Api
) -> None:
    event = make_source(project)
    cited = [{"event": str(event.event_id), "quote": "Dose = 45mg", "score": 0.9}]
    made = data(agent.post("memory/proposals", {**CAPPED, "evidence": cited}), 201)
    assert made["became"] == "new"
    record = made["record"]
    assert (record["trust"], record["subj_pred_key"]) == ("unverified", "limits.bolus|max_dose")
    told = data(agent.get(f"memory/records/{record['record']}"))
    [source] = told["provenance"]
    assert (source["quote"], source["source"], source["seq"]) == ("Dose = 45mg", "agent", event.seq)
    assert (source["branch"], source["by"]) == (str(event.branch_id), "test")
    assert (told["rejected_values"], told["evaluation"], told["skill"]) == ([], None, None)
    assert data(agent.get("memory/context?goal=bolus"))["entered"] == []

    asked = data(agent.post("memory/promotions", {"record": record["record"]}), 201)
    path = f"memory/promotions/{asked['promotion']}"
    said = {
        "answer": "promote",
        "content_digest": asked["content_digest"],
        "evidence_digest": asked["evidence_digest"],
        "reason": "As on the label",
    }
    problem(agent.post(f"{path}/decide", said), 403, "forbidden")
    decided = data(curator.post(f"{path}/decide", said))
    assert (decided["trust"], decided["reason"]) == ("verified", "As on the label")
    problem(curator.post(f"{path}/decide", said), 409, "promotion_closed")
    assert data(agent.get(path))["state"] == "decided"

    context = data(agent.get("memory/context?goal=bolus&budget=100&role=repairer"))
    assert context["text"] == "role: repairer\nThe bolus cap is 45 mg"
    assert context["policy"]["budget"] == 100
    assert data(agent.get(f"memory/contexts/{context['context']}")) == context


def test_a_decision_on_what_moved_is_a_409_that_names_the_fresh_request(
    project: Project, agent: Api, curator: Api
) -> None:
    record = make_fact(project, "The bolus cap is 45 mg")
    asked = data(agent.post("memory/promotions", {"record": str(record.record_id)}), 201)
    cited = [{"event": str(make_source(project).event_id)}]
    proposal = {"text": "The bolus cap is 45 mg", "evidence": cited}
    assert data(agent.post("memory/proposals", proposal), 201)["became"] == "support"
    said = {"answer": "promote", "content_digest": asked["content_digest"]}
    path = f"memory/promotions/{asked['promotion']}/decide"
    body = problem(curator.post(path, said), 409, "promotion_void")
    assert body["fresh"] == str(PromotionRequest.objects.get(state="open").pk)
    record.refresh_from_db()
    assert record.trust == "unverified"


def test_a_proposal_is_made_once_under_its_idempotency_key(project: Project, agent: Api) -> None:
    first = data(agent.post("memory/proposals", CAPPED, Idempotency_Key="a"), 201)
    assert data(agent.post("memory/proposals", CAPPED, Idempotency_Key="a"), 201) == first
    assert first["became"] == "new"
    other = {**CAPPED, "object": "50 mg"}
    problem(agent.post("memory/proposals", other, Idempotency_Key="a"), 409, "idempotency_mismatch")


@pytest.mark.parametrize(
    ("change", "status", "code", "pointer"),
    [
        ({"text": 5}, 400, "bad_input", "/text"),
        ({"text": ""}, 422, "bad_record", "/text"),
        ({"txt": "x"}, 400, "bad_input", "/txt"),
        ({"kind": "skill"}, 400, "bad_input", "/kind"),
        ({"scope": "global"}, 422, "bad_record", "/scope"),
        ({"entailment": 1.5}, 400, "bad_input", "/entailment"),
        ({"entailment": True}, 400, "bad_input", "/entailment"),
        ({"entailment": 0.2}, 422, "not_entailed", "/entailment"),
        ({"relations": ["x" * 20_000]}, 400, "bad_input", "/relations"),
        ({"entities": [5]}, 400, "bad_input", "/entities/0"),
        ({"evidence": [5]}, 400, "bad_input", "/evidence/0"),
        ({"evidence": [{"event": "x"}]}, 400, "bad_input", "/evidence/0/event"),
        ({"evidence": [{"event": str(uuid4())}]}, 422, "bad_evidence", "/evidence/0/event"),
        ({"evidence": [{}] * 51}, 400, "bad_input", "/evidence"),
        ({"object": ""}, 422, "bad_record", "/object"),
        (
            {"kind": "rule", "expression": "width <= => require x"},
            422,
            "bad_rule",
            "/expression",
        ),
        ({"kind": "rule"}, 400, "bad_input", "/expression"),
    ],
)
def test_a_fault_is_a_problem_that_points_at_its_field(
    agent: Api, change: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    problem(agent.post("memory/proposals", {**CAPPED, **change}), status, code, pointer)
    assert not Record.objects.exists()


def test_a_rule_is_read_and_its_fault_has_a_place(agent: Api) -> None:
    rule = {
        "kind": "rule",
        "expression": "viewport<=375 and component=='data-table' => require overflow-x-auto",
    }
    made = data(agent.post("memory/proposals", rule), 201)["record"]
    written = 'viewport <= 375 and component == "data-table" => require overflow-x-auto'
    assert (made["expression"], made["text"], made["kind"]) == (written, written, "rule")
    forbids = {**rule, "expression": written.replace("require", "forbid")}
    assert data(agent.post("memory/proposals", forbids), 201)["became"] == "new"
    assert [row["standing"] for row in data(agent.get("memory/rules"))["results"]] == [
        "suppressed",
        "live",
    ]
    body = problem(
        agent.post("memory/proposals", {**rule, "expression": "a ==\n => require x"}),
        422,
        "bad_rule",
        "/expression",
    )
    assert (body["line"], body["column"]) == (2, 2)


def test_lists_are_filtered_and_walked_by_cursor(project: Project, agent: Api) -> None:
    for number in range(5):
        make_fact(project, f"Ward {number} has its own pump")
    first = data(agent.get("memory/facts?limit=2"))
    assert [row["number"] for row in first["results"]] == [1, 2]
    rest = data(agent.get(f"memory/facts?limit=9&after={first['next']}"))
    assert ([row["number"] for row in rest["results"]], rest["next"]) == ([3, 4, 5], None)
    found = data(agent.get("memory/facts?q=ward 3"))["results"]
    assert [row["text"] for row in found] == ["Ward 3 has its own pump"]
    assert data(agent.get("memory/facts?trust=verified"))["results"] == []
    for name in ("trust", "standng"):
        body = problem(agent.get(f"memory/facts?{name}=odd"), 400, "bad_input")
        assert body["parameter"] == name
    assert data(agent.get("memory/facts?key=a|b"))["results"] == []
    assert data(agent.get("memory/rules"))["results"] == []


def test_bulk_answers_row_by_row(project: Project, curator: Api) -> None:
    good, bad = make_fact(project, "Ward 1 has a pump"), make_fact(project, "Ward 2 has none")
    records = [
        {"record": str(good.record_id), "content_digest": bytes(good.digest).hex()},
        {"record": str(bad.record_id), "content_digest": "00" * 32},
    ]
    done = data(curator.post("memory/decisions", {"answer": "bury", "records": records}))
    assert done["results"][0]["decided"]["standing"] == "buried"
    assert done["results"][1]["problem"]["code"] == "promotion_void"
    odd = [{"record": "x", "content_digest": "00" * 32}]
    problem(
        curator.post("memory/decisions", {"answer": "bury", "records": odd}),
        400,
        "bad_input",
        "/records/0/record",
    )


def test_an_edit_is_promoted_as_the_persons_version(
    project: Project, agent: Api, curator: Api
) -> None:
    made = data(agent.post("memory/proposals", {**CAPPED, "object": "50 mg"}), 201)["record"]
    asked = data(agent.post("memory/promotions", {"record": made["record"]}), 201)
    said = {
        "answer": "edit",
        "content_digest": asked["content_digest"],
        "edit": {"text": "The bolus cap is 45 mg", "object": "45 mg"},
    }
    path = f"memory/promotions/{asked['promotion']}/decide"
    problem(curator.post(path, {**said, "edit": {"text": 5}}), 400, "bad_input", "/edit/text")
    decided = data(curator.post(path, said))
    edited = data(curator.get(f"memory/records/{decided['other']}"))
    assert (edited["text"], edited["version"], edited["trust"]) == (
        "The bolus cap is 45 mg",
        2,
        "verified",
    )
    assert edited["by"]["kind"] == "person"


def test_requests_are_walked_by_cursor(project: Project, agent: Api) -> None:
    for number in range(3):
        record = make_fact(project, f"Ward {number} has its own pump")
        data(agent.post("memory/promotions", {"record": str(record.record_id)}), 201)
    first = data(agent.get("memory/promotions?limit=2"))
    rest = data(agent.get(f"memory/promotions?limit=2&after={first['next']}"))
    labels = [row["label"] for row in (*first["results"], *rest["results"])]
    assert (labels, rest["next"]) == (["f-1", "f-2", "f-3"], None)
    problem(agent.get(f"memory/promotions?after={2**61}"), 400, "bad_input")


@pytest.mark.parametrize(
    "query",
    [
        "branch=x",
        "budget=-1",
        "budget=x",
        "scope=everywhere",
        "role=" + "x" * 121,
        "project=nowhere",
    ],
)
def test_a_bad_query_of_a_context_is_told(agent: Api, query: str) -> None:
    response = agent.get(f"memory/context?{query}")
    assert response.status_code in (400, 404)


def test_requests_of_one_moment_are_all_on_some_page(project: Project, curator: Api) -> None:
    for number in range(5):
        record = make_fact(project, f"Ward {number} has a pump")
        request_promotion(record_id=record.record_id, actor=SYSTEM)
    PromotionRequest.objects.update(created_at=NOON)
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = data(curator.get(f"memory/promotions?limit=2&after={after}"))
        seen += [row["promotion"] for row in page["results"]]
        after = page["next"]
    assert sorted(seen) == sorted(str(row.pk) for row in PromotionRequest.objects.all())
    problem(curator.get("memory/promotions?after=x"), 400, "bad_input")
