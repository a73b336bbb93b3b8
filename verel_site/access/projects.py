"""Projects and their members."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import connection, transaction
from django.db.models import Q
from django.http import HttpRequest

from verel_site.access.actors import Actor, person_actor
from verel_site.access.models import Membership, Preferences, Project
from verel_site.access.preferences import activate_zone, kept_preferences
from verel_site.access.rights import Role
from verel_site.kit.refusals import NotFound, Refusal

MAX_NAME = 150
NOBODY = Actor(kind="person", id="", name="nobody")


class SlugTaken(Refusal):
    code = "slug_taken"


def lock_project(*, project_id: UUID) -> None:
    """Holds what a project counts (positions, runs, branches, triplets, audit entries) until the
    transaction ends.

    Whoever needs a branch's row too takes that first: two who wait for each other crosswise are a
    deadlock. SQLite has one writer anyway. PostgreSQL takes an advisory lock, since the project's
    own row is locked by everybody who inserts a row that refers to it.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [project_id.int % 2**63])


@contextmanager
def settled_projects(project_ids: Iterable[UUID]) -> Iterator[None]:
    """What is read within it, over several projects, has no row still to come before its last.

    Within one project the order of positions and times is that of commits; between two it is not:
    a row of one may be committed before an earlier one of the other. Waits for those who write,
    and lets nobody of these projects write meanwhile: read one page, no more.
    """
    keys = sorted(project_id.int % 2**63 for project_id in project_ids)
    if len(keys) < 2 or connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            for key in keys:
                cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [key])
        yield


@transaction.atomic
def create_project(*, slug: str, name: str = "") -> Project:
    project, made = Project.objects.get_or_create(slug=slug, defaults={"name": name or slug})
    if not made:
        raise SlugTaken(f"There is a project {slug!r} already.")
    return project


@transaction.atomic
def set_member(*, project: Project, user: User, role: Role) -> Membership:
    membership, _ = Membership.objects.update_or_create(
        project=project, user=user, defaults={"role": role.value}
    )
    return membership


def actor_of_user(user: AbstractBaseUser | AnonymousUser) -> Actor:
    """The person behind a session, with the rights of every membership: one query."""
    return _make_actor(user, _read_memberships(user))


def _read_memberships(user: AbstractBaseUser | AnonymousUser) -> list[Membership]:
    if not isinstance(user, User) or not user.is_active:
        return []
    rows = Membership.objects.filter(user=user).select_related("project", "user__preferences")
    return list(rows.order_by("project__name"))


def _make_actor(user: AbstractBaseUser | AnonymousUser, members: list[Membership]) -> Actor:
    if not isinstance(user, User) or not user.is_active:
        return NOBODY
    # Two long names are longer together than the columns that keep who did what.
    name = (user.get_full_name() or user.get_username())[:MAX_NAME]
    roles = {member.project_id: Role(member.role) for member in members}
    return person_actor(user_id=user.pk, name=name, roles=roles)


def actor_of_staff(user: AbstractBaseUser | AnonymousUser, project_id: UUID) -> Actor:
    """Site staff as they act in Django's admin: a person, with an admin's rights in one project."""
    if not (isinstance(user, User) and user.is_active and user.is_staff):
        return NOBODY
    name = (user.get_full_name() or user.get_username())[:MAX_NAME]
    return person_actor(user_id=user.pk, name=name, roles={project_id: Role.ADMIN})


def request_actor(request: HttpRequest) -> Actor:
    """The actor of a page request, read once a request. From then on times are told in the zone
    that this person has chosen."""
    kept = getattr(request, "_verel_actor", None)
    if kept is None:
        members = _read_memberships(request.user)
        kept = _make_actor(request.user, members)
        preferences = kept_preferences(request.user, members)
        activate_zone(preferences)
        request._verel_actor = kept  # type: ignore[attr-defined]
        request._verel_projects = [member.project for member in members]  # type: ignore[attr-defined]
        request._verel_preferences = preferences  # type: ignore[attr-defined]
    assert isinstance(kept, Actor)
    return kept


def request_preferences(request: HttpRequest) -> Preferences:
    """What the person of a page request has set for themselves; read with the actor."""
    request_actor(request)
    preferences: Preferences = request._verel_preferences  # type: ignore[attr-defined]
    return preferences


def request_projects(request: HttpRequest) -> list[Project]:
    """The projects that the person of a page request belongs to, by name; read with the actor."""
    request_actor(request)
    projects: list[Project] = request._verel_projects  # type: ignore[attr-defined]
    return projects


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def show_project(request: HttpRequest, project: Project) -> None:
    """Names the project of a page whose address does not, for the bar around it."""
    request.verel_project = project  # type: ignore[attr-defined]


def get_project(*, actor: Actor, slug: str) -> Project:
    """By slug or id, if the actor may read it."""
    # No slug has NUL in it, and PostgreSQL does not take one in a query.
    named = Q(slug=slug.replace("\x00", "?")) | Q(pk=_as_id(slug))
    project = Project.objects.filter(named).order_by("created_at").first()
    if project is None or not (actor.kind == "system" or project.pk in actor.projects):
        raise NotFound(f"There is no project {slug!r} that you may see.")
    return project
