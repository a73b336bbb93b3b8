"""One project that holds a row of each kind, and everyone who may come to its doors."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from django.test import Client
from django.utils import timezone

from branches.datasets import make_dataset
from branches.domain import terms
from branches.merges import merge_branches
from branches.models import Approval, Branch, Event, Import, Merge
from memory.consolidation.jobs import order_consolidation
from memory.domain.archive import File, pack_files
from memory.facts import make_fact
from memory.intentions import propose_intention
from memory.models import Intention, Record
from memory.proposals import propose
from memory.recall import assemble_context
from memory.requests import request_promotion
from memory.skills import upload_skill
from tests.make import (
    append,
    make_draft,
    make_fork,
    make_key,
    make_message,
    make_person,
    make_project,
    make_run,
    make_user,
)
from tests.verdicts.make import make_issue, make_runner, push
from verdicts.admission import admit_merge
from verdicts.comparisons import open_comparison
from verdicts.contests import open_contest
from verdicts.escalations import Cause, escalate
from verdicts.imports import import_reports
from verdicts.models import Failure, SideOrder
from verdicts.suites import create_suite, freeze_draft
from verel_site.access.actors import SYSTEM
from verel_site.access.links import create_link
from verel_site.access.models import Project
from verel_site.access.rights import Role, Scope
from verel_site.inbox.decisions import decide_item

# Stands in the project's texts, and so in no answer to who is not of the project.
MARK: Final = "KINGFISHER"
CLEAN: Final = b'<testsuite><testcase name="caps"/></testsuite>'

ANONYMOUS, STAFF = "anonymous", "staff"
OTHER_ADMIN, OTHER_KEY = "admin of another project", "key of another project"
OUTSIDERS: Final = frozenset([STAFF, OTHER_ADMIN, OTHER_KEY])
ROLES: Final = frozenset(role.value for role in Role)
KEYS: Final = frozenset(f"key {scope.value}" for scope in Scope)
EVERYONE: Final = frozenset([ANONYMOUS, *OUTSIDERS, *ROLES, *KEYS])


class World:
    """`ids` has a value for each name that stands in an address or a body of the table."""

    def __init__(self) -> None:
        self.project: Project = make_project()
        trunk = make_run(self.project, goal=f"Cap the dose {MARK}")[1]
        append(trunk, make_message("user", f"Go {MARK}"))
        winner = make_fork(trunk, 2).branch
        append(trunk, make_message("assistant", "A"))
        append(winner, make_message("assistant", "B"))
        push(winner)
        merge = merge_branches(
            winner_id=winner.pk,
            loser_ids=[trunk.pk],
            actor=SYSTEM,
            admission=admit_merge(winner=winner, actor=SYSTEM),
        )
        Merge.objects.update(undo_until=timezone.now() - timedelta(seconds=1))
        left, right = self._make_siblings()
        self.ids: dict[str, str] = {
            "project": self.project.slug,
            "slug": self.project.slug,
            "project_id": str(self.project.pk),
            "run": str(trunk.run_id),
            "branch": str(make_run(self.project, goal=MARK)[1].pk),
            "paused": str(self._make_asking().pk),
            "event": str(Event.objects.filter(branch=trunk, seq=2).get().event_id),
            "merge": str(merge.pk),
            "dataset": str(make_dataset(project_id=self.project.pk, actor=SYSTEM).pk),
            "comparison": str(self._compare(left, right)),
            "pair_run": str(left.run_id),
            "left": str(left.pk),
            "right": str(right.pk),
            "left_head": bytes(left.head_digest).hex(),
            "right_head": bytes(right.head_digest).hex(),
            "token": create_link(user=make_user(self.project)),
            "report": str(import_reports(branch_id=trunk.pk, actor=SYSTEM, raw=CLEAN)[0].pk),
            "user": str(make_user(self.project).pk),
            "key": make_key(self.project, "context:read").split("_")[1],
            "runner": str(make_runner(self.project).runner.pk),
            "pictured": str(self._make_pictured().event_id),
            "import": str(Import.objects.create(project=self.project, name="a.jsonl").pk),
            "fresh": str(uuid4()),
            "contest": str(self._make_contest()),
            **{f"sibling_{n}": str(pk) for n, pk in enumerate(self._make_three(), start=1)},
            "suite": str(self._make_suite()),
            "failure": str(self._make_failure()),
        }
        self.ids |= self._make_memory()
        self.ids |= self._make_items()
        asked = Approval.objects.get()
        self.ids |= {"approval": str(asked.pk), "asked": bytes(asked.request_digest).hex()}

    def _make_siblings(self) -> tuple[Branch, Branch]:
        trunk = make_run(self.project, goal=f"Pair {MARK}")[1]
        append(trunk, make_message("user", "Go"))
        left, right = make_fork(trunk, 2).branch, make_fork(trunk, 2, "Dose = 9mg").branch
        append(left, make_message("assistant", "L"))
        append(right, make_message("assistant", "R"))
        push(left)
        return left, right

    def _compare(self, left: Branch, right: Branch) -> UUID:
        judge = make_person(self.project)
        return open_comparison(left=left.pk, right=right.pk, actor=judge).pk

    def _make_three(self) -> list[UUID]:
        trunk = make_run(self.project, goal=f"Contest {MARK}")[1]
        append(trunk, make_message("user", "Go"))
        return [make_fork(trunk, 2, f"Dose = {n}mg").branch.pk for n in range(3)]

    def _make_contest(self) -> UUID:
        return open_contest(branches=self._make_three(), actor=make_person(self.project)).pk

    def _make_items(self) -> dict[str, str]:
        """An item that waits, and one that a reviewer has answered."""
        waits, answered = (
            escalate(
                project_id=self.project.pk,
                subject_id=uuid4(),
                cause=Cause.STUCK,
                digest=bytes(32),
                title=MARK,
                reasons=[MARK],
            )
            for _ in range(2)
        )
        decision = decide_item(
            item_id=answered.pk,
            actor=make_person(self.project),
            answer="dismiss",
            digest=answered.digest,
        )
        return {
            "item": str(waits.pk),
            "item_digest": waits.digest,
            "answered": str(answered.pk),
            "decision": str(decision.pk),
        }

    def _make_suite(self) -> UUID:
        suite = create_suite(
            project_id=self.project.pk,
            actor=SYSTEM,
            grader="test",
            name="unit",
            cases=[{"name": "a", "body": MARK}],
            reserve=[{"name": "b", "body": MARK}],
        )
        return freeze_draft(suite_id=suite.pk, actor=SYSTEM).pk

    def _make_failure(self) -> UUID:
        failing = make_run(self.project, goal=MARK)[1]
        push(failing, issues=[make_issue(message=f"assert {MARK}")])
        return Failure.objects.get(project=self.project).pk

    def _make_memory(self) -> dict[str, str]:
        fact = make_fact(text=f"The cap of the dose is {MARK}")
        told = propose(project_id=self.project.pk, actor=SYSTEM, proposal=fact)
        record = told.record
        asked = request_promotion(record_id=record.record_id, actor=SYSTEM)
        skill = self._make_skill()
        job = order_consolidation(project_id=self.project.pk, actor=SYSTEM)
        context = assemble_context(project_id=self.project.pk, actor=SYSTEM, goal=MARK)
        return {
            "record": str(record.record_id),
            "record_digest": bytes(record.digest).hex(),
            "record_number": str(record.number),
            "promotion": str(asked.pk),
            "context": str(context.pk),
            "consolidation": str(job.pk),
            "consolidation_number": str(job.number),
            "skill": str(skill.record_id),
            "skill_number": str(skill.number),
            "intention": str(self._make_intention()),
        }

    def _make_intention(self) -> UUID:
        """With an action as it may have been stored before all of them were screened."""
        made = propose_intention(
            project_id=self.project.pk,
            actor=SYSTEM,
            cue=f"source == '{MARK}'",
            action={"do": "look"},
            idempotency_key="first",
            ttl_seconds=3600,
        )
        Intention.objects.filter(pk=made.pk).update(action={"do": MARK})
        return made.pk

    def _make_skill(self) -> Record:
        text = f"---\nname: capping\ndescription: Caps the dose {MARK}\n---\n".encode()
        packed = pack_files([File("SKILL.md", text)], folder="capping")
        return upload_skill(project_id=self.project.pk, actor=SYSTEM, archive=packed).record

    def _make_asking(self) -> Branch:
        asking = make_run(self.project, goal=MARK)[1]
        request = {"approval_id": "0" * 31 + "1", "action": "deploy", "args": {"to": MARK}}
        append(asking, make_draft(terms.APPROVAL_REQUESTED, request))
        return asking

    def _make_pictured(self) -> Event:
        trunk = make_run(self.project, goal=MARK)[1]
        part = {"kind": "image", "mime": "image/png", "data": "aGk="}
        append(trunk, make_draft(terms.USER, {"content": [part]}))
        return Event.objects.get(branch=trunk, seq=2)

    def fill(self, value: Any) -> Any:
        """`value` with each `{name}` in it replaced by the world's own."""
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        return value.format(**self.ids) if isinstance(value, str) else value


def make_clients(world: World) -> dict[str, Client]:
    """A client for each of EVERYONE: people have a session, keys a header."""
    other = make_project()
    keys = {f"key {scope.value}": make_key(world.project, scope.value) for scope in Scope}
    keys[OTHER_KEY] = make_key(other, "admin", "exports:read")
    people = {role.value: make_user(world.project, role) for role in Role}
    people[OTHER_ADMIN] = make_user(other, Role.ADMIN)
    people[STAFF] = make_user(is_staff=True, is_superuser=True)
    clients = {ANONYMOUS: Client()}
    for user in people.values():
        # As if each of them had looked at the pair already.
        SideOrder.objects.create(
            comparison_id=world.ids["comparison"], reviewer=user, swapped=False
        )
    for who, text in keys.items():
        clients[who] = Client(headers={"Authorization": f"Bearer {text}"})
    for who, user in people.items():
        clients[who] = Client()
        clients[who].force_login(user)
    return clients
