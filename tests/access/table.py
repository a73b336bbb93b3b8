"""Every route of the product, and who is let in: the one table.

A new route needs a row here, or `tests/access/test_routes.py` fails with its name. A row is

    "METHOD /address/<part>/": POLICY(…)

with a policy of `tests.access.policies`: PUBLIC(), SIGNED_IN(), READ(), RIGHT(Right.MERGE), LISTED(),
ONLY("admin", "key admin"), SITE_STAFF(). Give `ok=` where those who are let in get another status
than 200, and `body=` (or `query=`) where the act needs one: a form on pages, JSON under the API.
`{name}` in them stands for `World.ids[name]`, and so does each `<name>` of the address. Where no
body is given, or one that breaks a rule, `ok=` is the 409 or 422 that comes after the permission.
One address may have several rows; a word in parentheses behind the address tells them apart:
"POST /branches/<branch>/<move>/ (pause)". A socket is "WS /ws/…/", a model of Django's admin one
line below: `**LEDGER("branches.event")`.
"""

from typing import Any, Final

from memory.domain.archive import File, pack_files
from tests.access.policies import (
    KEPT,
    LEDGER,
    LISTED,
    ONLY,
    PUBLIC,
    READ,
    RIGHT,
    SIGNED_IN,
    SITE_STAFF,
    Row,
)
from tests.access.world import ANONYMOUS, EVERYONE, KEYS, OTHER_ADMIN, OTHER_KEY, STAFF
from verel_site.access.rights import Right

NO_DIGEST: Final = "00" * 32
EVENT: Final[dict[str, Any]] = {
    "event_id": "{fresh}",
    "type": "data.x",
    "source": "agent",
    "ts": "2026-01-01T00:00:00Z",
    "payload": {},
}
PAIR: Final = {
    "winner": "{left}",
    "losers": ["{right}"],
    "expected_heads": {"{left}": "{left_head}", "{right}": "{right_head}"},
}
HEADS: Final = {"left_head": "{left_head}", "right_head": "{right_head}"}
NEW_PASSWORD: Final = ("new_password1", "new_password2")
# Nobody but a person has a session, so to pages a key is nobody.
NOBODY: Final = [ANONYMOUS, OTHER_KEY, *KEYS]

# The inbox is answered by people; a key with their rights is told so.
PEOPLE: Final = ("reviewer", "curator", "admin")
KEYLESS: Final = {"key admin": 403}
WITHOUT_ITEMS: Final = {
    OTHER_ADMIN: 204,
    STAFF: 204,
    "viewer": 204,
    **dict.fromkeys([*KEYS, OTHER_KEY], 403),
}
TOKEN: Final = {"claim": NO_DIGEST[:32]}
ANSWER: Final = {"answer": "dismiss", "digest": "{item_digest}"}
REASON: Final = {"reason": "x"}


def pack_skill(description: str) -> bytes:
    manifest = f"---\nname: caps\ndescription: {description}\n---\n".encode()
    return pack_files([File("SKILL.md", manifest)], folder="caps")


API: Final[dict[str, Row]] = {
    "GET /api/v1/projects/<project>/runs": READ(),
    "POST /api/v1/projects/<project>/runs": RIGHT(Right.WRITE_EVENTS, ok=201, body={"goal": "x"}),
    "GET /api/v1/runs/<run>": READ(),
    "GET /api/v1/runs/<run>/tree": READ(),
    "GET /api/v1/events": LISTED(),
    "GET /api/v1/branches/<branch>": READ(),
    "POST /api/v1/branches/<branch>/events": RIGHT(
        Right.WRITE_EVENTS, ok=201, body={"events": [EVENT]}
    ),
    "POST /api/v1/branches/<branch>/forks": RIGHT(
        Right.FORK, ok=201, body={"fork_seq": 1, "override": "x"}
    ),
    "GET /api/v1/branches/<branch>/context": READ(),
    "POST /api/v1/branches/<branch>/pause": RIGHT(Right.STEER),
    "POST /api/v1/branches/<branch>/resume": RIGHT(Right.STEER, ok=409),
    "POST /api/v1/branches/<branch>/complete": RIGHT(
        Right.STEER, Right.RUN_BRANCHES, Right.WRITE_EVENTS
    ),
    "POST /api/v1/branches/<branch>/abandon": RIGHT(Right.STEER, body={"reason": "x"}),
    "POST /api/v1/branches/<branch>/lease": RIGHT(
        Right.RUN_BRANCHES, ok=409, body={"epoch": 0, "seconds": 9}
    ),
    "DELETE /api/v1/branches/<branch>/lease": RIGHT(Right.RUN_BRANCHES, ok=409, body={"epoch": 0}),
    "POST /api/v1/claims": RIGHT(
        Right.RUN_BRANCHES, body={"project": "{project}", "worker": "w", "seconds": 9}
    ),
    "GET /api/v1/directives": READ(query="project={project}"),
    "GET /api/v1/search": READ(query="project={project}&q=go"),
    "GET /api/v1/approvals": LISTED(),
    "POST /api/v1/approvals/<approval>/answer": RIGHT(
        Right.ANSWER, body={"answer": "accept", "request_digest": "{asked}"}
    ),
    "GET /api/v1/branches/<branch>/reports": READ(),
    "POST /api/v1/branches/<branch>/reports": RIGHT(
        Right.REPORT,
        ok=201,
        at={"branch": "left"},
        body={"grader": "test", "issues": [], "head_digest": "{left_head}"},
    ),
    "POST /api/v1/branches/<branch>/reports/import": RIGHT(
        Right.REPORT, ok=201, raw='<testsuite><testcase name="caps"/></testsuite>'
    ),
    "GET /api/v1/reports/<report>/raw": READ(),
    "GET /api/v1/branches/<branch>/nonces": READ(),
    "GET /api/v1/branches/<branch>/gate": READ(),
    "GET /api/v1/branches/<branch>/progress": READ(),
    "GET /api/v1/failures": READ(query="project={project}"),
    "GET /api/v1/failures/<failure>": READ(),
    "GET /api/v1/failures/<failure>/history": READ(),
    "POST /api/v1/failures/<failure>/quarantine": ONLY("curator", "admin", body={"reason": "x"}),
    "POST /api/v1/failures/<failure>/lift": ONLY("curator", "admin", ok=409, body={"reason": "x"}),
    "GET /api/v1/known-bugs": READ(query="project={project}"),
    "GET /api/v1/suites": READ(query="project={project}"),
    "POST /api/v1/suites": ONLY(
        "curator",
        "admin",
        ok=201,
        body={
            "project": "{project}",
            "grader": "test",
            "name": "{fresh}",
            "cases": [{"name": "a", "body": "{fresh}"}],
        },
    ),
    "GET /api/v1/suites/<suite>": READ(),
    "POST /api/v1/suites/<suite>/freeze": ONLY("curator", "admin", body={"reason": "x"}),
    "POST /api/v1/suites/<suite>/retire": ONLY("curator", "admin", body={"reason": "x"}),
    "POST /api/v1/suites/<suite>/rotate": ONLY("curator", "admin", body={"reason": "x"}),
    "GET /api/v1/suites/<suite>/cases": ONLY("curator", "admin", "key suites:run"),
    "POST /api/v1/suites/<suite>/cases": ONLY(
        "curator", "admin", body={"cases": [{"name": "b", "body": "{fresh}"}]}
    ),
    "POST /api/v1/suites/<suite>/results": RIGHT(
        Right.RUN_SUITES, ok=201, body={"passed": 1, "total": 1}
    ),
    "POST /api/v1/merges": RIGHT(Right.MERGE, ok=201, body=PAIR),
    "GET /api/v1/merges/<merge>": READ(),
    "POST /api/v1/merges/<merge>/revert": RIGHT(Right.MERGE, body={"reason": "x"}),
    "GET /api/v1/projects/<project>/agreement": RIGHT(Right.LABEL),
    "GET /api/v1/projects/<project>/pair-rules": READ(),
    "POST /api/v1/projects/<project>/pair-rules": RIGHT(
        Right.ADMINISTER, ok=201, body={"on_finished": True, "reason": "x"}
    ),
    "POST /api/v1/contests": RIGHT(
        Right.LABEL, ok=201, body={"branches": ["{sibling_1}", "{sibling_2}", "{sibling_3}"]}
    ),
    "GET /api/v1/contests/<contest>": READ(),
    "POST /api/v1/comparisons/<comparison>/sides": ONLY(*PEOPLE, but=KEYLESS),
    "POST /api/v1/comparisons/<comparison>/label": ONLY(
        *PEOPLE, ok=201, body={"choice": "left"}, but=KEYLESS
    ),
    "GET /api/v1/inbox": LISTED(),
    "POST /api/v1/inbox/next": SIGNED_IN(body={}, but=WITHOUT_ITEMS),
    "GET /api/v1/inbox/<item>": RIGHT(Right.LABEL),
    "POST /api/v1/inbox/<item>/claim": ONLY(*PEOPLE, but=KEYLESS),
    "POST /api/v1/inbox/<item>/heartbeat": RIGHT(Right.LABEL, ok=409, body=TOKEN, but=KEYLESS),
    "POST /api/v1/inbox/<item>/release": ONLY(*PEOPLE, ok=204, body=TOKEN, but=KEYLESS),
    "POST /api/v1/inbox/<item>/skip": ONLY(*PEOPLE, ok=204, but=KEYLESS),
    "POST /api/v1/inbox/<item>/requeue": ONLY(*PEOPLE, ok=204, but=KEYLESS),
    "PUT /api/v1/inbox/<item>/draft": ONLY(*PEOPLE, ok=204, body={"draft": {}}, but=KEYLESS),
    "POST /api/v1/inbox/<item>/decide": ONLY(*PEOPLE, body=ANSWER, but=KEYLESS),
    "POST /api/v1/inbox/<item>/comments": ONLY(*PEOPLE, ok=204, body={"text": "x"}, but=KEYLESS),
    "POST /api/v1/inbox/<item>/assign": ONLY(*PEOPLE, body={"assignee": None}, but=KEYLESS),
    "POST /api/v1/inbox/decisions/<decision>/undo": ONLY("admin", "key admin", body=REASON),
    "GET /api/v1/triplets": RIGHT(Right.EXPORT, query="project={project}"),
    "POST /api/v1/datasets": RIGHT(Right.EXPORT, ok=201, body={"project": "{project}"}),
    "GET /api/v1/datasets/<dataset>": RIGHT(Right.EXPORT),
    "GET /api/v1/datasets/<dataset>/file": RIGHT(Right.EXPORT),
    "ANY /api/v1/*": SIGNED_IN(ok=404),
    "GET /api/schema/": PUBLIC(),
    "GET /api/docs/": PUBLIC(),
    "POST /api/v1/memory/proposals": RIGHT(
        Right.PROPOSE, ok=201, body={"project": "{project}", "text": "x"}
    ),
    "POST /api/v1/memory/scores": RIGHT(
        Right.REPORT,
        ok=201,
        body={"project": "{project}", "scores": [{"pair": NO_DIGEST, "value": 0.9}]},
    ),
    "GET /api/v1/memory/episodes": READ(query="project={project}"),
    "GET /api/v1/memory/facts": READ(query="project={project}"),
    "GET /api/v1/memory/rules": READ(query="project={project}"),
    "GET /api/v1/memory/skills": READ(query="project={project}"),
    "POST /api/v1/memory/skills/archives": RIGHT(
        Right.PROPOSE, ok=201, query="project={project}", raw=pack_skill("x")
    ),
    "GET /api/v1/memory/skills/key": SIGNED_IN(),
    "GET /api/v1/memory/skills/<record>/archive": READ(at={"record": "skill"}),
    "GET /api/v1/memory/intentions": READ(query="project={project}"),
    "POST /api/v1/memory/intentions": RIGHT(
        Right.PROPOSE,
        ok=201,
        body={
            "project": "{project}",
            "cue": "dark",
            "action": {"do": "x"},
            "idempotency_key": "k",
            "ttl_seconds": 9,
        },
    ),
    "POST /api/v1/memory/intentions/claims": RIGHT(
        Right.PROPOSE, ok=204, body={"project": "{project}", "worker": "w", "seconds": 9}
    ),
    "GET /api/v1/memory/intentions/<intention>": READ(),
    "DELETE /api/v1/memory/intentions/<intention>": RIGHT(Right.PROPOSE),
    "POST /api/v1/memory/intentions/<intention>/fired": RIGHT(
        Right.PROPOSE, ok=409, body={"epoch": 1}
    ),
    "GET /api/v1/memory/records/<record>": READ(),
    "GET /api/v1/memory/promotions": READ(query="project={project}"),
    "POST /api/v1/memory/promotions": RIGHT(Right.PROPOSE, ok=201, body={"record": "{record}"}),
    "GET /api/v1/memory/promotions/<promotion>": READ(),
    # A key that may administer gets as far as the act, which is for people.
    "POST /api/v1/memory/promotions/<promotion>/decide": RIGHT(
        Right.CURATE,
        body={"answer": "promote", "content_digest": "{record_digest}"},
        but={"key admin": 403},
    ),
    "POST /api/v1/memory/decisions": RIGHT(
        Right.CURATE,
        body={
            "project": "{project}",
            "answer": "bury",
            "records": [{"record": "{record}", "content_digest": "{record_digest}"}],
        },
        but={"key admin": 403},
    ),
    "GET /api/v1/memory/consolidations": READ(query="project={project}"),
    "POST /api/v1/memory/consolidations": RIGHT(
        Right.CURATE, ok=409, body={"project": "{project}"}
    ),
    "GET /api/v1/memory/consolidations/<consolidation>": READ(),
    "DELETE /api/v1/memory/consolidations/<consolidation>": RIGHT(Right.CURATE),
    "GET /api/v1/memory/context": READ(query="project={project}&goal=go"),
    "GET /api/v1/memory/contexts/<context>": READ(),
}

PAGES: Final[dict[str, Row]] = {
    "GET /": SIGNED_IN(ok=302, but={STAFF: 200}),
    "GET /login/": PUBLIC(ok=302, but=dict.fromkeys(NOBODY, 200)),
    "POST /login/": PUBLIC(ok=302, but=dict.fromkeys(NOBODY, 200)),
    "POST /logout/": PUBLIC(ok=302),
    "GET /sign-in/<token>/": PUBLIC(ok=302),
    "GET /account/": SIGNED_IN(but={OTHER_KEY: 302}),
    "POST /account/zone/": SIGNED_IN(ok=302, body={"time_zone": "Europe/Berlin"}),
    "POST /account/keys/": SIGNED_IN(ok=302, body={"key-inbox.skip": "s"}),
    "GET /account/password/": SIGNED_IN(but=dict.fromkeys(NOBODY, 302)),
    "POST /account/password/": SIGNED_IN(
        ok=302,
        but=dict.fromkeys(NOBODY, 302),
        body={"old_password": "correct horse battery", **dict.fromkeys(NEW_PASSWORD, "{fresh}")},
    ),
    "GET /jump/": SIGNED_IN(query="q=go", but={OTHER_KEY: 302}),
    "GET /kit/": ONLY(STAFF, but=dict.fromkeys(EVERYONE - {STAFF}, 404)),
    "GET /healthz": PUBLIC(),
    "GET /readyz": PUBLIC(),
    "GET /p/<slug>/": READ(ok=302),
    "GET /p/<slug>/runs/": READ(),
    "GET /p/<slug>/overview/": READ(),
    "GET /p/<slug>/agreement/": READ(),
    "GET /inbox/": SIGNED_IN(but={OTHER_KEY: 302}),
    "POST /inbox/next/": SIGNED_IN(ok=302),
    "POST /inbox/bulk/": SIGNED_IN(ok=302, body={"answer": "dismiss"}),
    "POST /inbox/views/": SIGNED_IN(ok=302, body={"name": "x"}),
    "GET /inbox/<item>/": RIGHT(Right.LABEL),
    "GET /inbox/<item>/pane/": RIGHT(Right.LABEL),
    "POST /inbox/<item>/claim/": RIGHT(Right.LABEL, ok=302),
    "POST /inbox/<item>/heartbeat/": RIGHT(Right.LABEL, ok=409, body=TOKEN),
    "POST /inbox/<item>/release/": RIGHT(Right.LABEL, ok=302, body=TOKEN),
    "POST /inbox/<item>/skip/": RIGHT(Right.LABEL, ok=302),
    "POST /inbox/<item>/requeue/": RIGHT(Right.LABEL, ok=302),
    "POST /inbox/<item>/draft/": RIGHT(Right.LABEL, ok=204),
    "POST /inbox/<item>/decide/": RIGHT(Right.LABEL, ok=302, body=ANSWER),
    "POST /inbox/<item>/comments/": RIGHT(Right.LABEL, ok=302, body={"text": "x"}),
    "POST /inbox/<item>/assign/": RIGHT(Right.LABEL, ok=302, body={"assignee": ""}),
    "POST /inbox/decisions/<decision>/undo/": ONLY("admin", ok=302, body=REASON),
    "GET /p/<slug>/search/": READ(query="q=go"),
    "GET /p/<slug>/gate/": READ(),
    "POST /p/<slug>/gate/": RIGHT(
        Right.ADMINISTER, ok=302, body={"warn_may_merge": "1", "reason": "x"}
    ),
    "GET /p/<slug>/gate/runners/": READ(),
    "POST /p/<slug>/gate/runners/": RIGHT(Right.CURATE, ok=422, body={"name": "ci"}),
    "GET /p/<slug>/gate/ledger/": READ(),
    "POST /failures/<failure>/quarantine/": RIGHT(Right.CURATE, ok=302, body={"reason": "x"}),
    "POST /failures/<failure>/lift/": RIGHT(Right.CURATE, ok=409, body={"reason": "x"}),
    "GET /p/<slug>/gate/suites/": READ(),
    "POST /p/<slug>/gate/suites/": RIGHT(Right.CURATE, ok=422, body={"name": "unit"}),
    "GET /p/<slug>/gate/rotations/": READ(),
    "GET /suites/<suite>/": READ(),
    "POST /suites/<suite>/freeze/": RIGHT(Right.CURATE, ok=302, body={"reason": "x"}),
    "POST /suites/<suite>/retire/": RIGHT(Right.CURATE, ok=302, body={"reason": "x"}),
    "POST /suites/<suite>/rotate/": RIGHT(Right.CURATE, ok=302, body={"reason": "x"}),
    "POST /suites/<suite>/reserve/": RIGHT(Right.CURATE, ok=422, body={"reason": "x"}),
    "POST /runners/<runner>/revoke/": RIGHT(Right.CURATE, ok=302, body={"reason": "x"}),
    "GET /p/<slug>/members/": READ(),
    "POST /p/<slug>/members/": RIGHT(Right.ADMINISTER, body={"username": "new", "role": "viewer"}),
    "POST /p/<slug>/members/<user>/": RIGHT(
        Right.ADMINISTER, ok=302, body={"act": "role", "role": "viewer"}
    ),
    "GET /p/<slug>/keys/": RIGHT(Right.ADMINISTER),
    "POST /p/<slug>/keys/": RIGHT(
        Right.ADMINISTER, body={"name": "new", "scopes": "events:write", "days": "9"}
    ),
    "POST /keys/<key>/revoke/": RIGHT(Right.ADMINISTER, ok=302, body={"reason": "x"}),
    "GET /p/<slug>/settings/": READ(),
    "POST /p/<slug>/settings/": RIGHT(Right.ADMINISTER, ok=302, body={"separate_duties": "1"}),
    "GET /p/<slug>/settings/pairs/": READ(),
    "POST /p/<slug>/settings/pairs/": RIGHT(
        Right.ADMINISTER, ok=302, body={"on_finished": "1", "reason": "x"}
    ),
    "GET /p/<slug>/audit/": RIGHT(Right.ADMINISTER),
    "GET /p/<slug>/audit/file.<kind>": RIGHT(Right.ADMINISTER, at={"kind": "jsonl"}),
    "GET /p/<slug>/audit/file.<kind> (csv)": RIGHT(Right.ADMINISTER, at={"kind": "csv"}),
    "GET /p/<slug>/triplets/": RIGHT(Right.EXPORT),
    "POST /p/<slug>/triplets/": RIGHT(Right.EXPORT, ok=302, body={"format": "trl"}),
    "GET /p/<slug>/datasets/": RIGHT(Right.EXPORT),
    "GET /datasets/<dataset>/": RIGHT(Right.EXPORT),
    "GET /datasets/<dataset>/file/": RIGHT(Right.EXPORT),
    "GET /p/<slug>/import/": RIGHT(Right.IMPORT),
    "POST /p/<slug>/import/": RIGHT(Right.IMPORT, ok=422),
    "POST /p/<slug>/import/<pk>/cancel/": RIGHT(Right.IMPORT, ok=409, at={"pk": "import"}),
    "GET /runs/<run>/": READ(),
    "GET /runs/<run>/rows/": READ(),
    "GET /runs/<run>/branches/": READ(),
    "GET /runs/<run>/minimap/": READ(),
    "GET /runs/<run>/next-error/": READ(ok=302),
    "GET /runs/<run>/verdicts/": READ(),
    "GET /runs/<run>/compare/": READ(),
    "GET /runs/<run>/compare/ (pair)": RIGHT(
        Right.LABEL, ok=302, at={"run": "pair_run"}, query="left={left}&right={right}"
    ),
    "GET /events/<event>/": READ(ok=302),
    "GET /events/<event>/payload/": READ(),
    "GET /events/<event>/parts/<index>/": READ(at={"event": "pictured", "index": "0"}),
    "GET /events/<event>/fork/": RIGHT(Right.FORK),
    "POST /events/<event>/fork/": RIGHT(Right.FORK, ok=302, body={"override": "x"}),
    "POST /events/<event>/fork/preview/": RIGHT(Right.FORK, body={"override": "x"}),
    "POST /branches/<branch>/<move>/ (pause)": RIGHT(Right.STEER, ok=302, at={"move": "pause"}),
    "POST /branches/<branch>/<move>/ (resume)": RIGHT(Right.STEER, ok=409, at={"move": "resume"}),
    "POST /branches/<branch>/<move>/ (complete)": RIGHT(
        Right.STEER, ok=302, at={"move": "complete"}
    ),
    "POST /branches/<branch>/<move>/ (abandon)": RIGHT(
        Right.STEER, ok=302, at={"move": "abandon"}, body={"reason": "x"}
    ),
    "POST /approvals/<approval>/answer/": RIGHT(
        Right.ANSWER, ok=302, body={"answer": "accept", "request_digest": "{asked}"}
    ),
    "GET /p/<slug>/memory/": READ(),
    "POST /p/<slug>/memory/decide/": RIGHT(
        Right.CURATE, ok=302, body={"answer": "bury", "pick": "{record}:{record_digest}"}
    ),
    "POST /p/<slug>/memory/undo/": RIGHT(Right.CURATE, ok=404, body={"decision": "9999"}),
    "GET /p/<slug>/memory/<number>/": READ(at={"number": "record_number"}),
    "POST /p/<slug>/memory/<number>/decide/": RIGHT(
        Right.CURATE,
        ok=302,
        at={"number": "record_number"},
        body={"answer": "bury", "content_digest": "{record_digest}"},
    ),
    "POST /p/<slug>/memory/<number>/undo/": RIGHT(
        Right.CURATE, ok=404, at={"number": "record_number"}, body={"decision": "9999"}
    ),
    "POST /p/<slug>/memory/<number>/clear/": RIGHT(
        Right.CURATE, ok=404, at={"number": "record_number"}, body={"reason": "x"}
    ),
    "GET /events/<event>/memory/": READ(ok=302),
    "GET /p/<slug>/memory/<number>/archive/": READ(at={"number": "skill_number"}),
    "GET /p/<slug>/memory/contexts/": READ(),
    "POST /p/<slug>/memory/contexts/ask/": RIGHT(Right.READ, ok=302, body={"goal": "go"}),
    "GET /p/<slug>/memory/contexts/<context>/": READ(),
    "GET /p/<slug>/memory/consolidations/": READ(),
    "POST /p/<slug>/memory/consolidations/order/": RIGHT(Right.CURATE, ok=409),
    "GET /p/<slug>/memory/consolidations/<number>/": READ(at={"number": "consolidation_number"}),
    "POST /p/<slug>/memory/consolidations/<number>/cancel/": RIGHT(
        Right.CURATE, ok=302, at={"number": "consolidation_number"}
    ),
    "GET /p/<slug>/memory/curves/": READ(),
    "POST /p/<slug>/memory/curves/adopt/": RIGHT(
        Right.CURATE, ok=404, body={"item_type": "ui_fix", "digest": "00", "reason": "x"}
    ),
    "POST /p/<slug>/memory/curves/drop/": RIGHT(
        Right.CURATE, ok=404, body={"item_type": "ui_fix", "adoption": "{record}", "reason": "x"}
    ),
    "GET /p/<slug>/memory/contradictions/": READ(),
    "POST /p/<slug>/memory/contradictions/settle/": RIGHT(
        Right.CURATE,
        ok=409,
        body={"pair": "{record}:{record_digest} {skill}:{record_digest}", "reason": "x"},
    ),
    "POST /runs/<run>/contests/": RIGHT(
        Right.LABEL, ok=422, at={"run": "pair_run"}, body={"several": "{left}"}
    ),
    "GET /contests/<contest>/": READ(),
    "POST /contests/<contest>/merge/": RIGHT(Right.MERGE, ok=409),
    "GET /comparisons/<comparison>/": READ(),
    "GET /comparisons/<comparison>/steps/<seal>/": READ(ok=404, at={"seal": "0"}),
    "POST /comparisons/<comparison>/label/": RIGHT(
        Right.LABEL, ok=302, body={"choice": "left", "rationale": "x"}
    ),
    "POST /comparisons/<comparison>/again/": RIGHT(Right.LABEL, ok=302),
    "POST /comparisons/<comparison>/merge/": RIGHT(Right.MERGE, ok=409, body=HEADS),
    "GET /merges/<merge>/": READ(),
    "POST /merges/<merge>/revert/": RIGHT(Right.MERGE, ok=302, body={"reason": "x"}),
}

SOCKETS: Final[dict[str, Row]] = {
    "WS /ws/runs/<run>/": READ(),
    "WS /ws/presence/runs/<id>/": ONLY("viewer", *PEOPLE, at={"id": "run"}),
    "WS /ws/presence/pairs/<id>/": ONLY(*PEOPLE, at={"id": "comparison"}),
    "WS /ws/presence/items/<id>/": ONLY(*PEOPLE, at={"id": "item"}),
    "WS /ws/inbox/": ONLY("viewer", *PEOPLE, OTHER_ADMIN),
}

ADMIN: Final[dict[str, Row]] = {
    "GET /admin/": SITE_STAFF(),
    "ANY /admin/*": SITE_STAFF(ok=404),
    "GET /admin/<app_label>/": SITE_STAFF(at={"app_label": "auth"}),
    "GET /admin/autocomplete/": SITE_STAFF(ok=403),
    "GET /admin/jsi18n/": SITE_STAFF(),
    "GET /admin/login/": PUBLIC(ok=302),
    "POST /admin/logout/": PUBLIC(ok=302),
    "GET /admin/password_change/": SITE_STAFF(),
    "POST /admin/password_change/": SITE_STAFF(),
    "GET /admin/password_change/done/": SITE_STAFF(),
    "GET /admin/r/<content_type_id>/<object_id>/": SITE_STAFF(
        ok=404, at={"content_type_id": "0", "object_id": "0"}
    ),
    **KEPT("auth.user"),
    "GET /admin/auth/user/<id>/password/": SITE_STAFF(at={"id": "auth.user"}),
    "POST /admin/auth/user/<id>/password/": SITE_STAFF(at={"id": "auth.user"}),
    **LEDGER("access.project"),
    **LEDGER("access.membership"),
    **LEDGER("access.apikey"),
    **LEDGER("access.signinlink"),
    **LEDGER("access.rememberedanswer"),
    **LEDGER("access.loginfailures"),
    **LEDGER("access.preferences"),
    **LEDGER("audit.auditentry"),
    **LEDGER("outbox.promise"),
    **LEDGER("inbox.item"),
    **LEDGER("inbox.decision"),
    **LEDGER("branches.run"),
    **LEDGER("branches.branch"),
    **LEDGER("branches.event"),
    **LEDGER("branches.merge"),
    **LEDGER("branches.triplet"),
    **LEDGER("branches.approval"),
    **LEDGER("branches.blob"),
    **LEDGER("branches.dataset"),
    **LEDGER("branches.directive"),
    **LEDGER("branches.import"),
    **LEDGER("branches.mergeloser"),
    **LEDGER("branches.searchcursor"),
    **LEDGER("branches.export"),
    **LEDGER("verdicts.suitecase"),
    **LEDGER("verdicts.suiteresult"),
    **LEDGER("verdicts.report"),
    **LEDGER("verdicts.issue"),
    **LEDGER("verdicts.failure"),
    **LEDGER("verdicts.failureentry"),
    **LEDGER("verdicts.failureline"),
    **LEDGER("verdicts.knownbug"),
    **LEDGER("verdicts.coverage"),
    **LEDGER("verdicts.clustering"),
    **LEDGER("verdicts.gatedecision"),
    **LEDGER("verdicts.policy"),
    **LEDGER("verdicts.runner"),
    **LEDGER("verdicts.weighing"),
    **LEDGER("verdicts.suite"),
    **LEDGER("verdicts.nonce"),
    **LEDGER("verdicts.contest"),
    **LEDGER("verdicts.contender"),
    **LEDGER("verdicts.pairrules"),
    **LEDGER("verdicts.paircursor"),
    **LEDGER("verdicts.comparison"),
    **LEDGER("verdicts.sideorder"),
    **LEDGER("verdicts.label"),
    **LEDGER("memory.record"),
    **LEDGER("memory.evidence"),
    **LEDGER("memory.pairscore"),
    **LEDGER("memory.recordsign"),
    **LEDGER("memory.recordvector"),
    **LEDGER("memory.projection"),
    **LEDGER("memory.refusedvalue"),
    **LEDGER("memory.promotionrequest"),
    **LEDGER("memory.promotiondecision"),
    **LEDGER("memory.assembly"),
    **LEDGER("memory.retrieval"),
    **LEDGER("memory.skillfile"),
    **LEDGER("memory.episode"),
    **LEDGER("memory.memorycursor"),
    **LEDGER("memory.consolidation"),
    **LEDGER("memory.candidate"),
    **LEDGER("memory.knownfault"),
    **LEDGER("memory.curveadoption"),
    **LEDGER("memory.curvefit"),
    **LEDGER("memory.salientepisode"),
    **LEDGER("memory.intention"),
    **LEDGER("memory.intentionfire"),
}

TABLE: Final[dict[str, Row]] = {**API, **PAGES, **SOCKETS, **ADMIN}
