"""Who belongs to a project. Each change is audited, and a project keeps an active admin."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.contrib.auth.models import User
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from verel_site.access.actors import Actor
from verel_site.access.links import create_link
from verel_site.access.models import Membership
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right, Role
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import NotFound, Refusal, Unprocessable

INVITE_MINUTES: Final = 3 * 24 * 60
MAX_USERNAME: Final = 150


class LastAdmin(Refusal):
    code = "last_admin"
    title = "A project keeps an admin"


class AlreadyMember(Refusal):
    code = "already_member"
    title = "They are a member already"


class BadMember(Unprocessable):
    code = "bad_member"
    title = "This is no member to be"


class LinkRefused(Refusal):
    code = "link_refused"
    title = "No new link"


@dataclass(frozen=True)
class Added:
    """`token` goes behind /sign-in/, and is set only where the account was made just now."""

    membership: Membership
    token: str = ""


@transaction.atomic
def add_member(
    *, project_id: UUID, actor: Actor, username: str, role: str, reason: str = ""
) -> Added:
    """Adds who has an account; makes one, with a one-time link, for who has none.

    Whoever has an account signs in as ever: a link to it would let one project's admin become
    another project's.
    """
    actor.demand(project_id, Right.ADMINISTER)
    wanted, name = read_role(role), _read_username(username)
    lock_project(project_id=project_id)
    user = User.objects.filter(username=name).first()
    token = ""
    if user is None:
        user = _make_account(name)
        token = create_link(user=user, minutes=INVITE_MINUTES)
    if Membership.objects.filter(project_id=project_id, user=user).exists():
        raise AlreadyMember(f"{name} is a member already; change the role instead.")
    membership = Membership.objects.create(project_id=project_id, user=user, role=wanted.value)
    _record(membership, actor, "member.add", None, wanted.value, reason, invited=bool(token))
    return Added(membership, token)


@transaction.atomic
def change_role(
    *, project_id: UUID, actor: Actor, user_id: int, role: str, reason: str = ""
) -> Membership:
    """Raises LastAdmin where no active admin would be left."""
    membership = _take(project_id, actor, user_id)
    wanted, before = read_role(role), membership.role
    if wanted != Role.ADMIN:
        _keep_admin(membership)
    if before != wanted:
        membership.role = wanted.value
        membership.save(update_fields=["role"])
        _record(membership, actor, "member.change_role", before, wanted.value, reason)
    return membership


@transaction.atomic
def remove_member(*, project_id: UUID, actor: Actor, user_id: int, reason: str = "") -> None:
    """The account stays, and so does what this person decided here."""
    membership = _take(project_id, actor, user_id)
    _keep_admin(membership)
    _record(membership, actor, "member.remove", membership.role, None, reason)
    membership.delete()


@transaction.atomic
def renew_link(*, project_id: UUID, actor: Actor, user_id: int) -> str:
    """A new one-time link for who was invited here and has never signed in. Raises LinkRefused."""
    membership = _take(project_id, actor, user_id)
    user = membership.user
    elsewhere = Membership.objects.filter(user=user).exclude(pk=membership.pk).exists()
    if elsewhere or user.last_login is not None or not awaits_first_visit(user):
        raise LinkRefused("Only who was invited to this project and has never come gets one.")
    _record(membership, actor, "member.renew_link", membership.role, membership.role, "")
    return create_link(user=user, minutes=INVITE_MINUTES)


def awaits_first_visit(user: User) -> bool:
    plain = not (user.is_staff or user.is_superuser)
    return plain and user.is_active and user.last_login is None and not user.has_usable_password()


def read_role(text: str) -> Role:
    """Raises BadMember."""
    if text not in list(Role):
        raise BadMember(f"A role is one of {', '.join(Role)}.", pointer="/role")
    return Role(text)


def _read_username(text: str) -> str:
    name = User.normalize_username(text.strip())
    try:
        UnicodeUsernameValidator()(name)
    except ValidationError as error:
        raise BadMember(
            "A name has letters, digits and @ . + - _ only.", pointer="/username"
        ) from error
    if len(name) > MAX_USERNAME:
        raise BadMember(f"A name takes {MAX_USERNAME} characters.", pointer="/username")
    return name


def _make_account(name: str) -> User:
    try:
        with transaction.atomic():
            return User.objects.create_user(name)
    except IntegrityError as error:
        raise AlreadyMember(f"{name} got an account just now; add them again.") from error


def _take(project_id: UUID, actor: Actor, user_id: int) -> Membership:
    actor.demand(project_id, Right.ADMINISTER)
    # Two admins who take each other's role away would leave none.
    lock_project(project_id=project_id)
    rows = Membership.objects.select_related("user").filter(project_id=project_id)
    membership = rows.filter(user_id=user_id).first()
    if membership is None:
        raise NotFound("There is no such member of the project.")
    return membership


def _keep_admin(membership: Membership) -> None:
    admins = Membership.objects.filter(project_id=membership.project_id, role=Role.ADMIN.value)
    others = admins.filter(user__is_active=True).exclude(pk=membership.pk)
    if membership.role == Role.ADMIN and not others.exists():
        raise LastAdmin(
            f"{membership.user.get_username()} is the last admin; make another member one first."
        )


def _record(
    membership: Membership,
    actor: Actor,
    action: str,
    before: str | None,
    after: str | None,
    reason: str,
    *,
    invited: bool = False,
) -> None:
    name = membership.user.get_username()
    record_act(
        project_id=membership.project_id,
        actor=actor,
        action=action,
        subject=f"user:{membership.user_id}",
        before={"user": name, "role": before} if before else None,
        after={"user": name, "role": after, "invited": invited} if after else None,
        reason=reason.strip(),
    )
