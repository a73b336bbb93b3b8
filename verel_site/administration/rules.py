"""The rules of a project that its admin sets: separation of duties, overrides in prompts."""

from dataclasses import asdict, dataclass
from uuid import UUID

from django.db import transaction

from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act


@dataclass(frozen=True)
class Rules:
    separate_duties: bool
    override_in_prompt: bool

    @classmethod
    def of(cls, project: Project) -> "Rules":
        return cls(
            separate_duties=project.separate_duties, override_in_prompt=project.override_in_prompt
        )


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
