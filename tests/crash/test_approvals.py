"""A question and its answer outlive both sides: the server is killed, and the agent starts anew."""

import json
import signal
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx

from tests.crash.served import Served

WAIT_SECONDS = 30


class Agent:
    """What an agent keeps between two lives of its own: its key, its branch, and its cursor."""

    def __init__(self, served: Served, project: str, key: str) -> None:
        self.served = served
        self.key = key
        self.project = project
        self.cursor = 0
        self.branch = ""

    def ask(self, method: str, path: str, body: Any = None, seconds: float = 60) -> Any:
        answer = httpx.request(
            method,
            f"{self.served.url}api/v1/{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=seconds,
        )
        assert answer.status_code < 300, answer.text
        return answer.json()

    def begin(self) -> None:
        run = self.ask("POST", f"projects/{self.project}/runs", {"goal": "Send the cap"})
        self.branch = run["branch"] if isinstance(run["branch"], str) else run["branch"]["id"]

    def interrupt(self) -> None:
        """Asks as LangGraph does."""
        event = {
            "event_id": str(uuid4()),
            "type": "harness.approval.requested",
            "source": "graph",
            "ts": datetime.now(UTC).isoformat(),
            "payload": {
                "approval_id": str(uuid4()),
                "action_request": {"action": "send_email", "args": {"to": "ward"}},
                "config": {"allow_accept": True, "allow_edit": True},
                "description": "It reaches the whole ward.",
            },
        }
        self.ask("POST", f"branches/{self.branch}/events", {"events": [event]})

    def hear(self, wait: int) -> list[Any]:
        """What came since the cursor; the server answers at once where something is there."""
        path = f"directives?project={self.project}&after={self.cursor}&wait={wait}"
        told = self.ask("GET", path, seconds=wait + 30)
        self.cursor = told["next"]
        return list(told["results"])


def test_an_answer_reaches_an_agent_that_starts_anew_after_the_server_was_killed_twice(
    served: Served,
) -> None:
    served.start()
    keys = served.let_in("stopped", "events:write,branches:run,context:read", "admin")
    agent, person = (Agent(served, "stopped", key) for key in keys)
    agent.begin()
    agent.interrupt()
    agent.hear(0)
    served.end(signal.SIGKILL)
    served.start()
    (asked,) = person.ask("GET", "approvals?project=stopped")["results"]
    assert asked["action"] == "send_email"
    body = {"answer": "edit", "args": {"to": "icu"}, "request_digest": asked["request_digest"]}
    person.ask("POST", f"approvals/{asked['id']}/answer", body)
    served.end(signal.SIGKILL)
    served.start()
    # The agent was away the whole time: it knows its cursor and nothing else.
    (told,) = [one for one in agent.hear(WAIT_SECONDS) if one["kind"] == "approval_answered"]
    assert told["body"]["response"] == {
        "type": "edit",
        "args": {"action": "send_email", "args": {"to": "icu"}},
    }
    assert json.dumps(told["body"]["args"]) == '{"to": "icu"}'
    # Whoever acknowledged it is not told again.
    assert agent.hear(0) == []
