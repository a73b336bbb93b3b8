"""The page of one stored context: what entered a prompt, and why the rest did not."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from memory.domain.assembly import Left
from memory.models import Assembly, Record
from memory.selectors import read_assembly
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.kit.refusals import NotFound

REASONS: Final = {
    Left.STANDING.value: "it is not live",
    Left.TRUST.value: "nobody vouches for it yet",
    Left.SCOPE.value: "its scope was not asked for",
    Left.KEY.value: "another one speaks under its key",
    Left.RANK.value: "it ranks too low",
    Left.REDUNDANT.value: "another one says nearly the same",
    Left.BUDGET.value: "the budget was full",
}


@dataclass(frozen=True, slots=True)
class InLine:
    label: str
    number: int
    section: str
    text: str
    tokens: int
    rank: float


@dataclass(frozen=True, slots=True)
class OutLine:
    label: str
    number: int
    text: str
    why: str
    by: str


@dataclass(frozen=True, slots=True)
class AskedLine:
    source: str
    found: int
    fault: str


@dataclass(frozen=True)
class ContextPage:
    project: Project
    assembly: Assembly
    entered: tuple[InLine, ...]
    left_out: tuple[OutLine, ...]
    asked: tuple[AskedLine, ...]

    screen: str = "memory"
    nav: str = "memory"
    title: str = "Context"


def read_context_page(*, actor: Actor, project: Project, context_id: UUID) -> ContextPage:
    assembly = read_assembly(actor=actor, assembly_id=context_id)
    if assembly.project_id != project.pk:
        raise NotFound(f"There is no context {context_id} in this project.")
    told = [*assembly.result["entered"], *assembly.result["left_out"]]
    named = {one["id"] for one in told} | {one["by"] for one in told if one.get("by")}
    rows = Record.objects.visible_to(actor).filter(project=project, record_id__in=named)
    records = {str(row.record_id): row for row in rows}
    return ContextPage(
        project=project,
        assembly=assembly,
        entered=tuple(
            InLine(
                records[one["id"]].label,
                records[one["id"]].number,
                one["section"],
                one["text"],
                one["tokens"],
                one["rank"],
            )
            for one in assembly.result["entered"]
        ),
        left_out=tuple(
            OutLine(
                records[one["id"]].label,
                records[one["id"]].number,
                records[one["id"]].text,
                REASONS[one["reason"]],
                records[one["by"]].label if one.get("by") else "",
            )
            for one in assembly.result["left_out"]
        ),
        # Contexts of before it was stored do not tell.
        asked=tuple(
            AskedLine(one["source"], one["found"], one.get("fault", ""))
            for one in assembly.result.get("asked", ())
        ),
    )
