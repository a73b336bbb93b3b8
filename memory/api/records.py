"""Proposals and records: anything that may propose adds to them, nothing here decides."""

from typing import Any, Final
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from branches.selectors.listings import pick_project
from memory.api.answers import detail_json, record_json
from memory.api.serializers import (
    VERDICTS,
    ProposalSerializer,
    ProposedSerializer,
    RecordDetailSerializer,
    RecordListSerializer,
)
from memory.curves import read_curves
from memory.domain.terms import ItemType, Kind
from memory.evidence import MAX_EVIDENCE, Cited
from memory.facts import MAX_OBJECT, MAX_TEXT, make_fact
from memory.proposals import propose
from memory.record_detail import read_record
from memory.records import Proposal
from memory.rules import make_rule
from memory.selectors import list_records, read_filter
from verel_site.access.endpoints import (
    PAGING_PARAMETERS,
    Endpoint,
    check_names,
    documented,
    query_parameter,
)
from verel_site.access.idempotency import Answer, answer_once
from verel_site.access.rights import Right
from verel_site.kit.bodies import Body, inside
from verel_site.kit.cursors import read_page
from verel_site.kit.refusals import BadInput
from verel_site.kit.strict_json import encode_sorted

FIELDS: Final = (
    "project", "kind", "text", "scope", "subject", "predicate", "object", "item_type", "entities",
    "relations", "expression", "source", "entailment", "evidence",
)  # fmt: skip
CITED: Final = ("event", "quote", "score", "report", "sees")
MAX_NAME: Final = 200
MAX_LISTED: Final = 64
FILTERS: Final = (
    query_parameter("project", "slug or id; needed where the key reads several"),
    query_parameter("trust", "unverified, corroborated or verified"),
    query_parameter("standing", "live, held, suppressed, buried or refused; all by default"),
    query_parameter("scope", "team, global, repo:NAME or agent:NAME"),
    query_parameter("key", "subject|predicate, as `subj_pred_key` has it"),
    query_parameter("q", 'words that a record has; "phrases", -exclusions, begin*'),
)
PARAMETERS: Final = (*PAGING_PARAMETERS, *FILTERS)
MAX_RELATIONS_BYTES: Final = 16 * 1024


class Proposals(Endpoint):
    @documented(body=ProposalSerializer, answers={201: ProposedSerializer}, creates=True)
    def post(self, request: Request) -> Response:
        """Proposes a fact or a design rule. `became` tells what came of it: new, support of a
        record that says the same, held for a person, or suppressed by one that is trusted more."""
        body = Body(request.data, fields=FIELDS)
        named = body.text("project", longest=64, default="")
        project = pick_project(actor=self.actor, named=named or None, pointer="/project")
        self.actor.demand(project.pk, Right.PROPOSE)

        def act() -> Answer:
            proposal = read_proposal(body)
            told = propose(project_id=project.pk, actor=self.actor, proposal=proposal)
            return 201, {
                "became": told.became.value,
                "suspicions": [{"code": s.code, "says": s.says} for s in told.suspicions],
                "record": record_json(told.record, timezone.now(), read_curves(project.pk)),
            }

        return answer_once(request, project_id=project.pk, actor=self.actor, act=act)


def read_proposal(body: Body) -> Proposal:
    kind = body.choice("kind", (Kind.FACT.value, Kind.RULE.value), default=Kind.FACT.value)
    items = [item.value for item in ItemType]
    default = ItemType.UI_FIX if kind == Kind.RULE.value else ItemType.API_CONTRACT
    shared: dict[str, Any] = {
        "text": body.text("text", longest=MAX_TEXT + 1, default=""),
        "scope": body.text("scope", longest=120, default="team"),
        "item_type": ItemType(body.choice("item_type", items, default=default.value)),
        "source": body.text("source", longest=40, default=""),
        "entailment": body.number_or_none("entailment", low=0, high=1),
        "evidence": read_cited(body),
    }
    if kind == Kind.RULE.value:
        return make_rule(expression=body.text("expression", longest=MAX_TEXT + 1), **shared)
    return make_fact(
        subject=body.text("subject", longest=MAX_NAME, default=""),
        predicate=body.text("predicate", longest=MAX_NAME, default=""),
        object=body.text("object", longest=MAX_OBJECT, default=""),
        entities=_read_names(body, "entities"),
        relations=_read_relations(body),
        **shared,
    )


def read_cited(body: Body) -> list[Cited]:
    listed = _read_few(body, "evidence", most=MAX_EVIDENCE)
    cited = []
    for index, item in enumerate(listed):
        with inside(f"/evidence/{index}"):
            one = Body(item, fields=CITED)
            cited.append(
                Cited(
                    event_id=one.uuid("event"),
                    quote=one.text("quote", longest=2_000, default=""),
                    score=one.number_or_none("score", low=0, high=1),
                    report=one.uuid_or_none("report"),
                    sees=one.choice("sees", VERDICTS, default="pass"),
                )
            )
    return cited


def _read_few(body: Body, name: str, most: int = MAX_LISTED) -> list[Any]:
    listed = body.listed(name)
    if len(listed) > most:
        raise BadInput(f"{name} takes a list of at most {most}.", pointer=f"/{name}")
    return listed


def _read_names(body: Body, name: str) -> list[str]:
    listed = _read_few(body, name)
    for index, item in enumerate(listed):
        if not isinstance(item, str) or not 0 < len(item) <= MAX_NAME:
            raise BadInput(
                f"{name} takes texts of at most {MAX_NAME} characters.", pointer=f"/{name}/{index}"
            )
    return listed


def _read_relations(body: Body) -> list[Any]:
    listed = _read_few(body, "relations")
    if len(encode_sorted(listed)) > MAX_RELATIONS_BYTES:
        raise BadInput(
            f"relations takes at most {MAX_RELATIONS_BYTES:,} bytes.", pointer="/relations"
        )
    return listed


class _RecordList(Endpoint):
    kind = Kind.FACT

    def listed(self, request: Request) -> Response:
        check_names(request, PARAMETERS)
        after, limit = read_page(request.query_params)
        project = pick_project(actor=self.actor, named=request.query_params.get("project"))
        wanted = read_filter(request.query_params, kind=self.kind.value)
        page = list_records(
            actor=self.actor, project_id=project.pk, wanted=wanted, after=after, limit=limit
        )
        now, curves = timezone.now(), read_curves(project.pk)
        return Response(
            {
                "results": [record_json(row, now, curves) for row in page.rows],
                "next": page.rows[-1].number if page.more else None,
            }
        )


class FactList(_RecordList):
    @extend_schema(operation_id="memory_facts_list")
    @documented(answers={200: RecordListSerializer}, parameters=PARAMETERS)
    def get(self, request: Request) -> Response:
        """Facts by number, whatever their standing."""
        return self.listed(request)


class RuleList(_RecordList):
    kind = Kind.RULE

    @extend_schema(operation_id="memory_rules_list")
    @documented(answers={200: RecordListSerializer}, parameters=PARAMETERS)
    def get(self, request: Request) -> Response:
        """Design rules by number, whatever their standing."""
        return self.listed(request)


class SkillList(_RecordList):
    kind = Kind.SKILL

    @extend_schema(operation_id="memory_skills_list")
    @documented(answers={200: RecordListSerializer}, parameters=PARAMETERS)
    def get(self, request: Request) -> Response:
        """Skills by number; each version is a record of its own."""
        return self.listed(request)


class RecordDetail(Endpoint):
    @documented(answers={200: RecordDetailSerializer})
    def get(self, request: Request, record: UUID) -> Response:
        """A record with its provenance, the values that were rejected under its key, its last
        evaluation, and of a skill how it has done."""
        told = read_record(actor=self.actor, record_id=record)
        return Response(detail_json(told, timezone.now(), read_curves(told.record.project_id)))
