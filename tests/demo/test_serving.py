"""What `./dev run` does beside answering requests."""

import threading

import pytest

from branches.forks import fork_branch
from branches.models import Branch
from tests.make import make_person
from verdicts.admission import read_gate
from verel_site.background import Background, Job
from verel_site.demo.load import load_demo
from verel_site.management.commands.demo import demo_jobs

WAIT_SECONDS = 60


@pytest.mark.django_db
def test_a_fork_of_the_demo_is_continued_and_graded_by_the_standing_jobs() -> None:
    project = load_demo()
    parent = Branch.objects.get(name="No test edits").parent
    assert parent is not None
    fork = fork_branch(
        parent_id=parent.pk,
        fork_seq=11,
        actor=make_person(project),
        override="Leave the tests alone.\nDose = 40mg",
    ).branch
    agent, grader = demo_jobs(project)
    assert agent.step()
    assert grader.step()
    assert not grader.step()
    fork.refresh_from_db()
    assert fork.status == "completed"
    assert read_gate(fork).open


def test_a_job_repeats_through_a_failure_and_stops_when_asked() -> None:
    ran, stopped = threading.Semaphore(0), threading.Event()

    def step() -> bool:
        ran.release()
        raise RuntimeError("tried again")

    background = Background([Job("failing", step, 0.01, on_stop=stopped.set)])
    background.start()
    for _ in range(3):
        assert ran.acquire(timeout=WAIT_SECONDS)
    background.stop()
    assert stopped.is_set()
    assert not any(thread.name == "failing" for thread in threading.enumerate())
