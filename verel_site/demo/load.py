"""Loading the demo project: once, all or nothing, through the same actions that people use."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from branches.agent.demo import DemoMind
from branches.agent.worker import Worker
from branches.domain import terms
from branches.forks import fork_branch
from branches.journal import Draft, append_events
from branches.models import Branch, Event, Merge, Run
from branches.runs import start_run
from branches.steering import abandon_branch, complete_branch, pause_branch
from verdicts.comparisons import open_comparison
from verdicts.gated_merges import merge_through_gate
from verdicts.graders.demo import grade_branch, install_suite, suite_digest
from verdicts.policies import change_policy
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user, create_project, set_member
from verel_site.access.rights import Right, Role
from verel_site.demo import stories
from verel_site.demo.remembered import remember
from verel_site.demo.stories import AGENT, MODEL, REPOSITORY, TOOLS, Told

SLUG: Final = "demo"
REVIEWER: Final = "reviewer"
STEP_SECONDS: Final = 7


def demo_reviewer() -> User:
    return User.objects.get(username=REVIEWER)


@transaction.atomic
def load_demo() -> Project:
    """The demo project, made if it is not there yet; a second call changes nothing."""
    project = Project.objects.filter(slug=SLUG).first()
    if project is not None:
        return project
    project = create_project(slug=SLUG, name="Infusion pump")
    user = User.objects.filter(username=REVIEWER).first() or User(
        username=REVIEWER, first_name="Ines", last_name="Kaur"
    )
    user.set_unusable_password()
    user.save()
    set_member(project=project, user=user, role=Role.ADMIN)
    install_suite(project_id=project.pk)
    change_policy(
        project_id=project.pk,
        actor=SYSTEM,
        required=[{"grader": "test", "suite": suite_digest()}],
        warn_may_merge=False,
        reason="The demo's suite decides.",
    )
    _Loader(project, actor_of_user(user), timezone.now()).load()
    return project


class _Loader:
    def __init__(self, project: Project, reviewer: Actor, now: datetime) -> None:
        self.project, self.reviewer, self.now = project, reviewer, now

    def load(self) -> None:
        self._failed_export()
        self._stopped_alarm()
        self._merged_rates()
        self._running_labels()
        self._capped_bolus()
        self._place_in_time()
        remember(project=self.project, curator=self.reviewer, now=self.now)

    def _capped_bolus(self) -> None:
        """The run of the first five minutes: a shortcut, a fork that waits for comparison, and a
        fork that waits for approval."""
        trunk = self._start("Cap the paediatric bolus at 50 mg", hours=2)
        point = self._tell(trunk, stories.CAP_SHARED)
        self._tell(trunk, stories.CAP_MAIN)
        self._finish(trunk)
        better = self._fork(
            trunk,
            point,
            "Leave the tests alone. Fix the unit conversion instead.\nDose = 50mg",
            name="No test edits",
            note="About to change a test so that it passes.",
        )
        self._fork(
            trunk,
            point,
            "Ask before you change any file.\nUnit = mg",
            name="Ask first",
            note="The limits file is shared with two other pumps.",
        )
        grade_branch(branch_id=trunk.pk)
        grade_branch(branch_id=better.pk)
        open_comparison(left=trunk.pk, right=better.pk, actor=self.reviewer)

    def _merged_rates(self) -> None:
        trunk = self._start("Convert the rate table to one unit", hours=26)
        point = self._tell(trunk, stories.RATE_SHARED)
        self._tell(trunk, stories.RATE_MAIN)
        self._finish(trunk)
        better = self._fork(
            trunk,
            point,
            "Read the concentration from the order: it is 10 mg/mL, not 5.\nConcentration = 10mg/mL",
            name="Right concentration",
            note="It divides by the wrong concentration.",
        )
        grade_branch(branch_id=trunk.pk)
        grade_branch(branch_id=better.pk)
        heads = {b.pk: self._head(b) for b in (trunk, better)}
        merge = merge_through_gate(
            winner_id=better.pk,
            loser_ids=[trunk.pk],
            actor=self.reviewer,
            expected_heads=heads,
            note="Divides by the concentration of the order.",
        )
        # It was decided before anybody opened the page, so nobody is offered to undo it.
        Merge.objects.filter(pk=merge.pk).update(undo_until=merge.created_at)

    def _running_labels(self) -> None:
        trunk = self._start("Compare vial labels with the formulary", hours=1)
        self._tell(trunk, stories.LABEL_MAIN)

    def _stopped_alarm(self) -> None:
        trunk = self._start("Silence the duplicate occlusion alarm", hours=44)
        self._tell(trunk, stories.ALARM_MAIN)
        abandon_branch(
            branch_id=trunk.pk, actor=self.reviewer, reason="It removed both alarms, not one."
        )

    def _failed_export(self) -> None:
        trunk = self._start("Export the dose log for the pharmacy", hours=47)
        self._tell(trunk, stories.EXPORT_MAIN)
        pause_branch(
            branch_id=trunk.pk, actor=self.reviewer, reason="The log store is down until Monday."
        )

    def _start(self, goal: str, *, hours: float) -> Branch:
        at = self.now - timedelta(hours=hours)
        run, trunk = start_run(
            project_id=self.project.pk,
            actor=SYSTEM,
            goal=goal,
            spec={"tools": TOOLS, "repo": REPOSITORY},
            agent=AGENT,
            model=MODEL,
        )
        Run.objects.filter(pk=run.pk).update(created_at=at)
        self._clock = at
        return trunk

    def _tell(self, branch: Branch, told: Sequence[Told]) -> int:
        """Appends at times that lie in the past; answers the seq of the last event."""
        drafts = [self._draft(branch.pk, number, item) for number, item in enumerate(told)]
        appended = append_events(branch_id=branch.pk, actor=SYSTEM, drafts=drafts)
        return appended.head_seq

    def _place_in_time(self) -> None:
        """A run was last touched when its last event happened, not when the demo was loaded."""
        for run in Run.objects.filter(project=self.project):
            last = Event.objects.filter(run=run, source=AGENT).aggregate(at=Max("ts"))["at"]
            Run.objects.filter(pk=run.pk).update(touched_at=last)

    def _draft(self, branch: UUID, number: int, told: Told) -> Draft:
        self._clock += timedelta(seconds=STEP_SECONDS)
        event_type, payload = told
        event_id = uuid5(NAMESPACE_URL, f"{branch}/{self._clock.isoformat()}/{number}")
        return Draft(event_type, AGENT, self._clock, payload, event_id)

    def _finish(self, branch: Branch) -> None:
        self._tell(branch, [(terms.RUN_FINISHED, {"outcome": "the agent says it is done"})])
        rights = {self.project.pk: frozenset({Right.READ, Right.WRITE_EVENTS})}
        agent = Actor(kind="key", id=AGENT, name=AGENT, rights=rights)
        complete_branch(branch_id=branch.pk, actor=agent)

    def _fork(self, parent: Branch, seq: int, override: str, *, name: str, note: str) -> Branch:
        """A fork that the demo agent really continues, before the page is opened."""
        fork = fork_branch(
            parent_id=parent.pk,
            fork_seq=seq,
            actor=self.reviewer,
            override=override,
            name=name,
            note=note,
        )
        Worker(project_id=self.project.pk, mind=DemoMind(), name="demo-agent").run_once()
        return fork.branch

    def _head(self, branch: Branch) -> bytes:
        branch.refresh_from_db()
        return bytes(branch.head_digest)
