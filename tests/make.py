"""Typed builders: the least that a test must say to get a row through the real actions."""

from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import User

from branches.domain import terms
from branches.forks import Fork, fork_branch
from branches.journal import Appended, Draft, append_events
from branches.models import Branch, Run
from branches.runs import start_run
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.keys import create_key
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user, create_project, set_member
from verel_site.access.rights import Role

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
_numbers = count(1)


def make_project(slug: str = "") -> Project:
    return create_project(slug=slug or f"project-{next(_numbers)}")


def make_user(
    project: Project | None = None, role: Role = Role.REVIEWER, name: str = "", **extra: Any
) -> User:
    user = User.objects.create_user(
        name or f"user{next(_numbers)}", password="correct horse battery", **extra
    )
    if project is not None:
        set_member(project=project, user=user, role=role)
    return user


def make_person(project: Project, role: Role = Role.REVIEWER) -> Actor:
    return actor_of_user(make_user(project, role))


def make_key(project: Project, *scopes: str) -> str:
    """The text of a key, for an Authorization header."""
    return create_key(project=project, scopes=list(scopes), name="test")[1]


def make_run(
    project: Project | None = None, goal: str = "Cap the dose", **more: Any
) -> tuple[Run, Branch]:
    """A run and its trunk; the trunk has one event, `harness.run.started`."""
    return start_run(project_id=(project or make_project()).pk, actor=SYSTEM, goal=goal, **more)


def make_draft(
    type: str = terms.ASSISTANT,
    payload: dict[str, Any] | None = None,
    *,
    event_id: UUID | None = None,
    source: str = "agent",
) -> Draft:
    return Draft(
        type=type,
        source=source,
        ts=NOON,
        payload={"content": "Done."} if payload is None else payload,
        event_id=event_id or uuid4(),
    )


def make_message(role: str, text: str) -> Draft:
    return make_draft(f"data.message.{role}", {"content": text})


def append(branch: Branch, *drafts: Draft) -> Appended:
    """Appends as the system, and brings the branch up to date."""
    appended = append_events(branch_id=branch.pk, actor=SYSTEM, drafts=drafts)
    branch.refresh_from_db()
    return appended


def make_fork(parent: Branch, fork_seq: int, override: str = "Dose = 50mg", **extra: Any) -> Fork:
    return fork_branch(
        parent_id=parent.pk, fork_seq=fork_seq, actor=SYSTEM, override=override, **extra
    )
