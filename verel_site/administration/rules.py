"""What the admin of a project sets: separation of duties, overrides in prompts, the budget."""

from dataclasses import asdict, dataclass
from typing import Final
from uuid import UUID

from django.db import transaction

from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import BadInput

MAX_BUDGET: Final = 10**15


@dataclass(frozen=True)
class Rules:
    """`token_budget`: output tokens that a calendar month (UTC) may take, None for no budget. It
    is shown against what was used; nothing is stopped by it."""

    separate_duties: bool
    override_in_prompt: bool
    token_budget: int | None = None

    @classmethod
    def of(cls, project: Project) -> "Rules":
        return cls(
            separate_duties=project.separate_duties,
            override_in_prompt=project.override_in_prompt,
            token_budget=project.token_budget,
        )


def read_budget(typed: str) -> int | None:
    """Digits, with or without commas or spaces between them; nothing is no budget."""
    digits = "".join(typed.split()).replace(",", "")
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit()) or not 0 < int(digits[:20]) <= MAX_BUDGET:
        raise BadInput(
            f"A budget is a whole number of tokens from 1 to {MAX_BUDGET:,}.",
            pointer="/token_budget",
        )
    return int(digits)


@transaction.atomic
def change_rules(*, project_id: UUID, actor: Actor, rules: Rules, reason: str = "") -> Project:
    """What holds from now on; merges and triplets that there are stay as they are."""
    actor.demand(project_id, Right.ADMINISTER)
    lock_project(project_id=project_id)
    project = Project.objects.get(pk=project_id)
    before = Rules.of(project)
    if before == rules:
        return project
    for name, value in asdict(rules).items():
        setattr(project, name, value)
    project.save(update_fields=list(asdict(rules)))
    record_act(
        project_id=project_id,
        actor=actor,
        action="project.change_rules",
        subject=f"project:{project_id}",
        before=asdict(before),
        after=asdict(rules),
        reason=reason.strip(),
    )
    return project
