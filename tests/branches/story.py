"""A small run for tests of pages: a trunk that calls tools, and forks of it."""

from dataclasses import dataclass

from branches.domain import terms
from branches.models import Branch, Event, Run
from tests import make
from verel_site.access.models import Project


@dataclass(frozen=True)
class Story:
    project: Project
    run: Run
    trunk: Branch

    def event(self, seq: int, branch: Branch | None = None) -> Event:
        return Event.objects.get(branch=branch or self.trunk, seq=seq)


def tell_story(*, forks: int = 0, project: Project | None = None) -> Story:
    """Trunk: 1 started, 2 user, 3 call, 4 result, 5 call, 6 failed result, 7 thought.

    Forks follow after 7, each with an override of two lines and one answer.
    """
    project = project or make.make_project()
    run, trunk = make.make_run(project, "Cap the dose")
    make.append(
        trunk,
        make.make_draft(terms.USER, {"content": "Cap the bolus.", "name": "Ada"}),
        make.make_draft(
            terms.TOOL_CALL,
            {"call_id": "c1", "name": "Bash", "arguments": {"command": "cat clamp.py"}},
        ),
        make.make_draft(
            terms.TOOL_RESULT, {"call_id": "c1", "content": "def clamp(): ...", "took_ms": 70}
        ),
        make.make_draft(
            terms.TOOL_CALL,
            {"call_id": "c2", "name": "Bash", "arguments": {"command": "pytest -q"}},
        ),
        make.make_draft(
            terms.TOOL_RESULT,
            {"call_id": "c2", "content": "F\n2 failed in 4.08s", "is_error": True},
        ),
        make.make_draft(terms.THOUGHT, {"text": "Change the expected value."}),
    )
    for number in range(forks):
        fork = make.make_fork(trunk, 7, f"Leave the tests alone.\nDose = {number}mg").branch
        make.append(fork, make.make_message("assistant", "Understood."))
    return Story(project, run, trunk)
