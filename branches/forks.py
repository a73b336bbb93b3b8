"""Forks: a branch that shares its parent's prefix byte for byte, and begins with an override."""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from branches.directives import post_directive
from branches.domain import terms
from branches.domain.digest import cache_key, cached_prefix_id
from branches.domain.override import Override, build_frame, parse_override
from branches.domain.terms import DirectiveKind
from branches.journal import Draft, server_draft, write_events
from branches.models import Branch, Event
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import NotFound, Unprocessable
from verel_site.kit.strict_json import check

MAX_OVERRIDE = 32_000


class UnknownForkPoint(Unprocessable):
    code = "unknown_fork_point"
    title = "There is no such event on the branch"


class OverrideMissing(Unprocessable):
    code = "override_missing"
    title = "A fork without an override needs a reason"


class OverrideTooLong(Unprocessable):
    code = "override_too_long"
    title = "The override is too long"


@dataclass(frozen=True)
class Fork:
    branch: Branch
    override: Override
    cached_prefix_id: str
    cache_key: str


@transaction.atomic
def fork_branch(
    *,
    parent_id: UUID,
    fork_seq: int,
    actor: Actor,
    override: str = "",
    note: str = "",
    name: str = "",
    claimable: bool = True,
) -> Fork:
    """A new branch after event `fork_seq` of the parent's own suffix, whatever its status.

    One transaction: the branch, a patch event for each patch, the frame, the audit entry, and the
    directive that lets a worker claim it. The parent stays as it is and may run on. Raises
    MalformedJson (NUL in a text), NotFound, UnknownForkPoint, OverrideMissing (no text and no note), OverrideTooLong.
    """
    parent = Branch.objects.select_related("run").filter(pk=parent_id).first()
    if parent is None:
        raise NotFound(f"There is no branch {parent_id} that you may see.")
    actor.demand(parent.project_id, Right.FORK)
    check({"override": override, "note": note, "name": name})
    _check_override(override, note)
    branch = make_branch(
        parent=parent, fork_seq=fork_seq, actor=actor, name=name, override=override, note=note
    )
    read = parse_override(override)
    drafts = [server_draft(terms.FORKED, _forked_payload(parent, fork_seq, actor, note))]
    drafts += [server_draft(terms.PATCHED, dict(patch.payload())) for patch in read.patches]
    if override.strip():
        drafts.append(_frame_draft(override, read, actor, actor.authority(parent.project_id)))
    write_events(branch=branch, drafts=drafts)
    if claimable:
        Branch.objects.filter(pk=branch.pk).update(claimable=True)
        branch.claimable = True
        post_directive(
            branch=branch,
            kind=DirectiveKind.FORK_CLAIMABLE,
            body={"run": str(parent.run_id), "parent": str(parent.pk), "fork_seq": fork_seq},
        )
    record_act(
        project_id=parent.project_id,
        actor=actor,
        action="branch.fork",
        subject=f"branch:{branch.pk}",
        digest=bytes(branch.fork_digest),
        after={"parent": str(parent.pk), "fork_seq": fork_seq, "override": override},
        reason=note,
    )
    return Fork(branch, read, cached_prefix_id(bytes(branch.fork_digest)), run_cache_key(parent))


def make_branch(
    *,
    parent: Branch,
    fork_seq: int,
    actor: Actor,
    name: str = "",
    override: str = "",
    note: str = "",
) -> Branch:
    """The bare branch row at a fork point; its chains start from the parent's there."""
    point = Event.objects.of_branch(parent).filter(seq=fork_seq).only("digest", "seal").first()
    if point is None:
        raise UnknownForkPoint(
            f"{parent.label} has events 1 to {parent.head_seq}.", pointer="/fork_seq"
        )
    # Two forks at once would take the same number.
    lock_project(project_id=parent.project_id)
    last = Branch.objects.filter(run_id=parent.run_id).aggregate(last=Max("number"))["last"]
    return Branch.objects.create(
        project_id=parent.project_id,
        run_id=parent.run_id,
        number=last + 1,
        parent=parent,
        fork_seq=fork_seq,
        base=parent.base + fork_seq,
        name=name[:120],
        head_digest=point.digest,
        head_seal=point.seal,
        fork_digest=point.digest,
        forked_by=actor.name,
        override=override,
        note=note,
    )


def run_cache_key(branch: Branch) -> str:
    root = Branch.objects.only("pk").get(run_id=branch.run_id, number=0)
    return cache_key(root.pk)


def _check_override(override: str, note: str) -> None:
    if not override.strip() and not note.strip():
        raise OverrideMissing("Give an override, or say why none is needed.", pointer="/override")
    if len(override) > MAX_OVERRIDE:
        raise OverrideTooLong(f"It takes {MAX_OVERRIDE} characters.", pointer="/override")


def _forked_payload(parent: Branch, seq: int, actor: Actor, note: str) -> dict[str, object]:
    return {
        "parent": str(parent.pk),
        "fork_seq": seq,
        "by": actor.as_json(),
        **({"reason": note} if note else {}),
    }


def _frame_draft(override: str, read: Override, actor: Actor, authority: str) -> Draft:
    return server_draft(
        terms.OVERRIDE,
        {
            "text": override,
            "directive": read.directive,
            "authority": authority,
            "frame": build_frame(directive=override, authority=authority),
            "by": actor.as_json(),
        },
    )
