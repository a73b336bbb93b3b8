"""Contexts: one assembled now, or one that was, with what entered and why the rest did not."""

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from branches.selectors.listings import pick_project
from memory.api.answers import assembly_json
from memory.api.serializers import AssemblySerializer
from memory.domain.assembly import Policy
from memory.recall import DEFAULT_BUDGET, MAX_BUDGET, assemble_context, budget_of, read_scopes
from memory.selectors import read_assembly
from verel_site.access.endpoints import Endpoint, documented, query_parameter
from verel_site.access.rights import Right
from verel_site.kit.cursors import read_int
from verel_site.kit.queries import read_uuid
from verel_site.kit.refusals import BadInput

MAX_GOAL = 4_000
MAX_ROLE = 120
MAX_SCOPES = 2_000
PARAMETERS = (
    query_parameter("project", "slug or id; needed where the key reads several"),
    query_parameter("role", "who it is for, such as repairer; stored with it"),
    query_parameter("goal", "what is to be done: records that fit it come first"),
    query_parameter("scope", "repo:NAME and agent:NAME, apart by commas; team and global are in"),
    query_parameter(
        "budget",
        f"tokens, estimated; {DEFAULT_BUDGET} by default, and never more than the role's own",
        type=int,
    ),
    query_parameter("branch", "id of the reader's branch: what it saw and did last comes with it"),
)


class ContextAssembly(Endpoint):
    @documented(answers={200: AssemblySerializer}, parameters=PARAMETERS)
    def get(self, request: Request) -> Response:
        """What of memory is to enter a prompt. Never two records of one key, never anything that
        nobody vouches for, never more than the budget. Each is stored, and counts as a retrieval."""
        query = request.query_params
        project = pick_project(actor=self.actor, named=query.get("project"))
        self.actor.demand(project.pk, Right.READ)
        role = _read_text(request, "role", MAX_ROLE)
        asked = read_int(query, "budget", DEFAULT_BUDGET, low=0, high=MAX_BUDGET)
        stored = assemble_context(
            project_id=project.pk,
            actor=self.actor,
            role=role,
            goal=_read_text(request, "goal", MAX_GOAL),
            scopes=read_scopes(_read_text(request, "scope", MAX_SCOPES)),
            policy=Policy(budget_of(role, asked if query.get("budget") else None)),
            branch_id=read_uuid(query, "branch"),
        )
        return Response(assembly_json(stored))


def _read_text(request: Request, name: str, longest: int) -> str:
    text = request.query_params.get(name, "")
    if len(text) > longest:
        raise BadInput(f"{name} takes at most {longest} characters.", parameter=name)
    return str(text)


class ContextDetail(Endpoint):
    @documented(answers={200: AssemblySerializer})
    def get(self, request: Request, context: UUID) -> Response:
        """A context as it was given: the same text, and the same reasons."""
        return Response(assembly_json(read_assembly(actor=self.actor, assembly_id=context)))
