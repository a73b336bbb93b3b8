"""Suites: the eval definitions that a required grader's receipt may name.

Owned by people: a curator makes, freezes and retires them, never an API key. A runner's key reads
their cases; no other key and no page does.
"""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from branches.models import Branch
from branches.storage.rows import as_key
from verdicts.domain.leakage import ROTATE_DAYS, suite_digest
from verdicts.domain.terms import Grader, Part
from verdicts.models import Suite, SuiteCase, SuiteResult
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import Forbidden, NotFound, Refusal, Unprocessable
from verel_site.kit.strict_json import encode_sorted

DIGEST: Final = re.compile(r"[0-9a-f]{64}")
MAX_CASES: Final = 5_000
MAX_CASE_BYTES: Final = 256 * 1024
MAX_NAME: Final = 120
MAX_ROTATE_DAYS: Final = 3_650
TOKEN_PREFIX: Final = "verel-canary-"  # noqa: S105 - no secret by itself
INSERT_ROWS: Final = 500

type RetirementHook = Callable[[UUID, str, str], None]

_retirement_hooks: dict[str, RetirementHook] = {}


# Asked of every proposal to memory: to build it anew costs more than to run it.
_TOKENS: Final = "SELECT token FROM verdicts_suite WHERE project_id = %s AND token <> ''"


class BadSuite(Unprocessable):
    code = "bad_suite"
    title = "The suite cannot be frozen so"


class SuiteExists(Refusal):
    code = "suite_exists"
    title = "These cases are a suite already"


class SuiteReasonMissing(Unprocessable):
    code = "reason_missing"
    title = "Say why"


class SuiteNotLive(Refusal):
    code = "suite_not_live"
    title = "The suite is not in use"


def register_retirement_hook(name: str, hook: RetirementHook) -> None:
    """`hook(project_id, grader, digest)` is called in the transaction that retires a suite.

    So what was verified on it can fall back, in an app that this one does not know.
    """
    _retirement_hooks[name] = hook


def demand_owner(actor: Actor, project_id: UUID) -> None:
    """A suite's owner is a person with the right to curate, or Verel itself."""
    actor.demand(project_id, Right.CURATE)
    if actor.kind == "key":
        raise Forbidden("Suites are owned by people: no key may change them.")


def find_suite(*, actor: Actor, suite_id: UUID) -> Suite:
    suite = Suite.objects.visible_to(actor).filter(pk=suite_id).first()
    if suite is None:
        raise NotFound(f"There is no suite {suite_id} that you may see.")
    return suite


@transaction.atomic
def freeze_suite(
    *,
    project_id: UUID,
    actor: Actor,
    grader: str,
    name: str,
    digest: str,
    owner: str = "",
    reason: str = "",
) -> Suite:
    """Registers a suite that is kept elsewhere by its SHA-256 (lower-case hex) and freezes it.
    Doing it twice is one."""
    demand_owner(actor, project_id)
    _demand_reason(actor, reason)
    _check_grader(grader)
    _check_name(name)
    if not DIGEST.fullmatch(digest):
        raise BadSuite("A digest is 64 lower-case hex digits.", pointer="/digest")
    lock_project(project_id=project_id)
    suite, made = Suite.objects.get_or_create(
        project_id=project_id,
        grader=grader,
        digest=digest,
        defaults={"name": name, "owner": owner or actor.name, "frozen_at": timezone.now()},
    )
    if made:
        _record(suite, actor, "suite.freeze", reason=reason)
    return suite


@transaction.atomic
def create_suite(
    *,
    project_id: UUID,
    actor: Actor,
    grader: str,
    name: str,
    cases: Sequence[Mapping[str, Any]],
    holdout: Sequence[Mapping[str, Any]] = (),
    reserve: Sequence[Mapping[str, Any]] = (),
    rotate_days: int | None = ROTATE_DAYS,
    reason: str = "",
) -> Suite:
    """A suite whose cases (`{"name": str, "body": any JSON}`) are kept here; not frozen yet.

    Its digest is over the cases in use and the hold-out: `reserve`, which rotation mints from,
    may grow later. `rotate_days` None: it is not rotated.
    """
    demand_owner(actor, project_id)
    _check_grader(grader)
    _check_name(name)
    if not cases:
        raise BadSuite("A suite has a case.", pointer="/cases")
    told = {Part.CASE: cases, Part.HOLDOUT: holdout, Part.RESERVE: reserve}
    rows = [
        row
        for part, listed in told.items()
        for row in _read_cases(listed, part, f"/{'cases' if part == Part.CASE else part.value}")
    ]
    lock_project(project_id=project_id)
    digest = digest_of(grader, rows)
    if Suite.objects.filter(project_id=project_id, grader=grader, digest=digest).exists():
        raise SuiteExists("Freeze that one, or change a case.", pointer="/cases")
    suite = Suite.objects.create(
        project_id=project_id,
        grader=grader,
        name=name,
        digest=digest,
        owner=actor.name,
        rotate_days=rotate_days,
        token=fresh_token(),
        scanned_position=last_position(project_id),
    )
    keep_cases(suite, rows)
    _record(suite, actor, "suite.create", reason=reason, rotate_days=rotate_days)
    return suite


@transaction.atomic
def freeze_draft(*, suite_id: UUID, actor: Actor, reason: str = "") -> Suite:
    """From now on its cases never change, and a receipt may name it. Doing it twice is one."""
    suite = find_suite(actor=actor, suite_id=suite_id)
    demand_owner(actor, suite.project_id)
    _demand_reason(actor, reason)
    if suite.retired_at is not None:
        raise SuiteNotLive("It was retired.")
    if Suite.objects.filter(pk=suite_id, frozen_at=None, retired_at=None).update(
        frozen_at=timezone.now(), rotate_at=next_rotation(suite.rotate_days)
    ):
        _record(suite, actor, "suite.freeze", reason=reason)
    suite.refresh_from_db()
    return suite


@transaction.atomic
def retire_suite(*, suite_id: UUID, actor: Actor, reason: str) -> Suite:
    """A retired suite proves nothing any more; receipts that name it fail the gate, and what was
    verified on it falls back."""
    suite = find_suite(actor=actor, suite_id=suite_id)
    demand_owner(actor, suite.project_id)
    _demand_reason(actor, reason)
    if Suite.objects.filter(pk=suite_id, retired_at=None).update(
        retired_at=timezone.now(), retired_reason=reason, rotate_at=None
    ):
        _record(suite, actor, "suite.retire", reason=reason)
        for hook in _retirement_hooks.values():
            hook(suite.project_id, suite.grader, suite.digest)
    suite.refresh_from_db()
    return suite


@transaction.atomic
def add_reserve(
    *, suite_id: UUID, actor: Actor, cases: Sequence[Mapping[str, Any]], reason: str = ""
) -> Suite:
    """Fresh cases to mint from; the suite itself stays what it is."""
    suite = find_suite(actor=actor, suite_id=suite_id)
    demand_owner(actor, suite.project_id)
    lock_project(project_id=suite.project_id)
    if suite.retired_at is not None or not suite.token:
        raise SuiteNotLive("Its cases are not kept here, or it was retired.")
    rows = _read_cases(cases, Part.RESERVE, "/cases")
    last = suite.cases.filter(part=Part.RESERVE).aggregate(last=Max("position"))["last"]
    first = 0 if last is None else last + 1
    if first + len(rows) > MAX_CASES:
        raise BadSuite(f"A suite keeps at most {MAX_CASES} fresh cases.", pointer="/cases")
    for row in rows:
        row.position += first
    keep_cases(suite, rows)
    _record(suite, actor, "suite.reserve", reason=reason, added=len(rows))
    return suite


def read_cases(*, suite_id: UUID, actor: Actor) -> tuple[Suite, list[SuiteCase]]:
    """A suite and what a run of it takes: cases in use, and the hold-out. For a runner's key, and
    for people who curate, whose reading is an act in the audit log."""
    suite = find_suite(actor=actor, suite_id=suite_id)
    if actor.kind == "person":
        actor.demand(suite.project_id, Right.CURATE)
        with transaction.atomic():
            _record(suite, actor, "suite.read_cases")
    else:
        actor.demand(suite.project_id, Right.RUN_SUITES)
    rows = suite.cases.exclude(part=Part.RESERVE).order_by("part", "position")
    return suite, list(rows)


def record_result(
    *,
    suite_id: UUID,
    actor: Actor,
    passed: int,
    total: int,
    holdout_passed: int = 0,
    holdout_total: int = 0,
) -> SuiteResult:
    """What a runner counted: the canary watches how far suite and hold-out are apart."""
    suite = find_suite(actor=actor, suite_id=suite_id)
    actor.demand(suite.project_id, Right.RUN_SUITES)
    if suite.frozen_at is None or suite.retired_at is not None:
        raise SuiteNotLive("Only a frozen suite that was not retired takes results.")
    for name, part, whole in (
        ("passed", passed, total),
        ("holdout_passed", holdout_passed, holdout_total),
    ):
        if part > whole:
            raise BadSuite("No more cases pass than run.", pointer=f"/{name}")
    return SuiteResult.objects.create(
        suite=suite,
        passed=passed,
        total=total,
        holdout_passed=holdout_passed,
        holdout_total=holdout_total,
        by_id=actor.id,
        by_name=actor.name,
    )


def digest_of(grader: str, rows: Sequence[SuiteCase]) -> str:
    return suite_digest(
        grader=grader,
        parts=(
            (row.part, encode_sorted({"name": row.name, "body": row.body}))
            for row in rows
            if row.part != Part.RESERVE
        ),
    )


def keep_cases(suite: Suite, rows: Sequence[SuiteCase]) -> None:
    for row in rows:
        row.suite = suite
    SuiteCase.objects.bulk_create(rows, batch_size=INSERT_ROWS)


def next_rotation(days: int | None) -> datetime | None:
    return None if days is None else timezone.now() + timedelta(days=days)


def fresh_token() -> str:
    """A canary: text that stands nowhere but in the cases that a runner is given."""
    return TOKEN_PREFIX + secrets.token_hex(16)


def last_position(project_id: UUID) -> int:
    """Where the project's journal is: what came before a token was made can not hold it."""
    found = Branch.objects.filter(project_id=project_id).aggregate(last=Max("head_position"))
    return int(found["last"] or 0)


def _demand_reason(actor: Actor, reason: str) -> None:
    """A person says why a suite begins or ceases to count."""
    if actor.kind == "person" and not reason.strip():
        raise SuiteReasonMissing("It stands in the audit log with your name.", pointer="/reason")


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > MAX_NAME:
        raise BadSuite(f"A name has 1 to {MAX_NAME} letters.", pointer="/name")


def _check_grader(grader: str) -> None:
    if grader not in {known.value for known in Grader}:
        raise BadSuite(f"There is no grader {grader!r}.", pointer="/grader")


def _read_cases(listed: object, part: Part, at: str) -> list[SuiteCase]:
    if not isinstance(listed, Sequence) or isinstance(listed, str) or len(listed) > MAX_CASES:
        raise BadSuite(f"A list of at most {MAX_CASES} cases.", pointer=at)
    rows = []
    for position, case in enumerate(listed):
        here = f"{at}/{position}"
        if not isinstance(case, Mapping) or set(case) != {"name", "body"}:
            raise BadSuite("A case is an object of name and body.", pointer=here)
        name, body = case["name"], case["body"]
        if not isinstance(name, str) or not 0 < len(name) <= 200:
            raise BadSuite("A case has a name of at most 200 letters.", pointer=f"{here}/name")
        if len(encode_sorted(body)) > MAX_CASE_BYTES:
            raise BadSuite(f"A case has at most {MAX_CASE_BYTES} bytes.", pointer=f"{here}/body")
        rows.append(SuiteCase(part=part.value, position=position, name=name, body=body))
    return rows


def _record(suite: Suite, actor: Actor, action: str, reason: str = "", **more: Any) -> None:
    record_act(
        project_id=suite.project_id,
        actor=actor,
        action=action,
        subject=f"suite:{suite.pk}",
        digest=bytes.fromhex(suite.digest),
        after={"name": suite.name, "grader": suite.grader, **more},
        reason=reason,
    )


def list_tokens(*, project_id: UUID) -> list[str]:
    """The canaries of a project's suites, in use or retired."""
    with connection.cursor() as cursor:
        cursor.execute(_TOKENS, [as_key(project_id)])
        return [row[0] for row in cursor.fetchall()]
