import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from branches.agent.demo import DemoMind
from branches.agent.openai import NOT_RUN, OpenAIMind
from branches.agent.steps import MindFailed
from branches.agent.worker import Worker
from branches.approvals import answer_approval
from branches.domain import terms
from branches.models import Approval, Branch, Event
from branches.selectors.events import payload_of
from branches.steering import pause_branch, resume_branch
from tests.make import append, make_draft, make_fork, make_message, make_person, make_run
from verel_site.access.actors import SYSTEM

pytestmark = pytest.mark.django_db


def make_pump_run() -> Branch:
    _, trunk = make_run(goal="Cap the bolus")
    variables = {"Dose": "45mg", "Concentration": "5mg/mL", "MaxDose": "50mg"}
    append(
        trunk,
        make_message("user", "Cap the bolus."),
        make_draft(terms.STATE, {"variables": variables}),
    )
    return trunk


def demo_worker(branch: Branch) -> Worker:
    return Worker(project_id=branch.project_id, mind=DemoMind(), name="demo-agent")


def texts_of(branch: Branch) -> list[str]:
    rows = Event.objects.filter(branch=branch, type=terms.ASSISTANT).order_by("seq")
    return [payload_of(row)["content"] for row in rows]


@pytest.mark.parametrize(
    ("override", "answer"),
    [
        ("Dose = 50mg", "The bolus is 50 mg, which is 10 mL at 5 mg/mL. I changed no file."),
        ("Dose = 20mg\nConcentration = 2mg/mL", "The bolus is 20 mg, which is 10 mL at 2 mg/mL."),
        ("Dose = 90mg", "The bolus is 50 mg, which is 10 mL at 5 mg/mL. You asked for 90 mg;"),
        ("Leave the tests alone.", "src/limits.py converts to milligrams before it clamps."),
    ],
)
def test_the_demo_agent_acts_on_the_variables_and_the_directive(override: str, answer: str) -> None:
    fork = make_fork(make_pump_run(), 3, override).branch
    assert demo_worker(fork).run_once()
    fork.refresh_from_db()
    texts = texts_of(fork)
    assert texts[0].startswith("I am Verel's demo agent, a set of rules and no model.")
    assert answer in texts[-1]
    assert fork.status == "completed"
    assert not demo_worker(fork).run_once()


def test_of_another_story_it_says_that_it_does_not_know_it() -> None:
    _, trunk = make_run()
    append(trunk, make_message("user", "Write a poem."))
    fork = make_fork(trunk, 2, "Make it rhyme.").branch
    demo_worker(fork).run_once()
    assert "not one I know" in texts_of(fork)[-1]
    assert "Make it rhyme." in texts_of(fork)[-1]


@pytest.mark.parametrize(
    ("answer", "extra", "edits"),
    [
        ("accept", {}, 1),
        ("edit", {"args": {"new_string": "    return 0"}}, 1),
        ("ignore", {}, 0),
    ],
)
def test_told_to_ask_it_waits_in_stasis_and_goes_on_with_the_answer(
    answer: str, extra: dict[str, Any], edits: int
) -> None:
    fork = make_fork(make_pump_run(), 3, "Ask before you change a file.").branch
    worker = demo_worker(fork)
    worker.run_once()
    fork.refresh_from_db()
    assert fork.status == "paused"
    assert not worker.run_once()
    approval = Approval.objects.get(branch=fork)
    answer_approval(
        approval_id=approval.pk,
        actor=make_person(fork.project),
        answer=answer,
        request_digest=bytes(approval.request_digest),
        **extra,
    )
    assert worker.run_once()
    fork.refresh_from_db()
    assert fork.status == "completed"
    calls = [payload_of(row) for row in Event.objects.filter(branch=fork, type=terms.TOOL_CALL)]
    edited = [call for call in calls if call["name"] == "edit_file"]
    assert len(edited) == edits
    if answer == "edit":
        assert edited[0]["arguments"]["new_string"] == "    return 0"


def test_a_worker_that_died_is_followed_by_one_that_doubles_nothing() -> None:
    fork = make_fork(make_pump_run(), 3, "Dose = 50mg").branch
    dying = demo_worker(fork)

    class Dies(DemoMind):
        steps = 0

        def next_step(self, events: Any, context: Any) -> Any:
            self.steps += 1
            if self.steps > 2:
                raise KeyboardInterrupt
            return super().next_step(events, context)

    dying.mind = Dies()
    with pytest.raises(KeyboardInterrupt):
        dying.run_once()
    assert not demo_worker(fork).run_once()
    Branch.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert demo_worker(fork).run_once()
    texts = texts_of(fork)
    assert len(texts) == len(set(texts)) == 2


def test_a_paused_branch_is_given_back_and_goes_on_after_it_is_resumed() -> None:
    fork = make_fork(make_pump_run(), 3, "Dose = 50mg").branch
    worker = demo_worker(fork)

    class Interrupted(DemoMind):
        def next_step(self, events: Any, context: Any) -> Any:
            pause_branch(branch_id=fork.pk, actor=SYSTEM, reason="look first")
            return super().next_step(events, context)

    worker.mind = Interrupted()
    assert worker.run_once()
    fork.refresh_from_db()
    assert fork.lease_expires_at is None
    resume_branch(branch_id=fork.pk, actor=SYSTEM)
    assert demo_worker(fork).run_once()
    assert "50 mg" in texts_of(fork)[-1]


class _Answers(BaseHTTPRequestHandler):
    """Says what the test put into `answers`, and keeps what it was asked."""

    answers: list[tuple[int, Any]]
    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(json.loads(body))
        status, answer = self.answers.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def model_server() -> Iterator[tuple[str, type[_Answers]]]:
    handler = type("Answers", (_Answers,), {"answers": [], "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", handler
    server.shutdown()
    thread.join()
    server.server_close()


def message(content: str | None, *calls: dict[str, Any]) -> tuple[int, Any]:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 80},
    }
    body = {"role": "assistant", "content": content, "tool_calls": list(calls)}
    return 200, {"choices": [{"message": body}], "usage": usage}


def test_a_model_server_is_asked_with_the_context_and_its_usage_is_kept(
    model_server: tuple[str, type[_Answers]],
) -> None:
    url, handler = model_server
    call = {"id": "c1", "function": {"name": "look", "arguments": '{"at": "it"}'}}
    handler.answers += [message(None, call), message("The dose is 50 mg.")]
    fork = make_fork(make_pump_run(), 3, "Dose = 50mg").branch
    mind = OpenAIMind(base_url=url, model="small")
    Worker(project_id=fork.project_id, mind=mind, name="w").run_once()
    fork.refresh_from_db()
    assert fork.status == "completed"
    assert handler.asked[0]["messages"][0] == {"role": "user", "content": "Cap the bolus."}
    assert handler.asked[0]["messages"][-1]["content"].startswith("[SYSTEM PRIORITY INTERRUPT]")
    assert handler.asked[1]["messages"][-1]["content"] == NOT_RUN
    last = Event.objects.filter(branch=fork, type=terms.ASSISTANT).order_by("-seq")[0]
    assert payload_of(last)["usage"] == {"uncached": 20, "cache_read": 80, "output": 7}
    assert fork.tokens == 14


@pytest.mark.parametrize(
    "answer",
    [(500, {}), (200, {}), (200, []), (200, {"choices": []}), message("half a pair: \ud83d")],
)
def test_a_broken_model_server_is_told_on_the_branch_which_stays_for_a_later_try(
    model_server: tuple[str, type[_Answers]], answer: tuple[int, Any]
) -> None:
    url, handler = model_server
    handler.answers.append(answer)
    fork = make_fork(make_pump_run(), 3, "Dose = 50mg").branch
    mind = OpenAIMind(base_url=url, model="small")
    Worker(project_id=fork.project_id, mind=mind, name="w").run_once()
    fork.refresh_from_db()
    assert fork.status == "running"
    assert Event.objects.filter(branch=fork, type=terms.ERROR).count() == 1
    assert fork.lease_expires_at is not None


def test_a_server_that_is_not_there_is_a_failure_in_words() -> None:
    mind = OpenAIMind(base_url="http://127.0.0.1:9/v1", model="small")
    with pytest.raises(MindFailed, match="did not answer"):
        mind._ask({})


def test_the_command_works_off_what_waits(capsys: pytest.CaptureFixture[str]) -> None:
    fork = make_fork(make_pump_run(), 3, "Dose = 50mg").branch
    call_command("agent", project=fork.project.slug, once=True)
    fork.refresh_from_db()
    assert fork.status == "completed"
    assert "demo-agent" in capsys.readouterr().out


def test_who_speaks_while_a_failure_is_to_be_told_does_not_stop_the_worker() -> None:
    fork = make_fork(make_pump_run(), 3).branch

    class Failing(DemoMind):
        def next_step(self, events: Any, context: Any) -> Any:
            # Anything that moves the head and needs no lease.
            pause_branch(branch_id=fork.pk, actor=SYSTEM)
            resume_branch(branch_id=fork.pk, actor=SYSTEM)
            raise MindFailed("not now")

    assert Worker(project_id=fork.project_id, mind=Failing(), name="w").run_once()
    assert not Event.objects.filter(branch=fork, type=terms.ERROR).exists()
