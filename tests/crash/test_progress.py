"""A loop's progress is of stored reports alone: a server that is killed in the middle of a loop
says the same when it is asked again."""

import signal
from typing import Any

import httpx

from tests.crash.served import Served

WAIT_SECONDS = 180


def ask(served: Served, key: str, branch: str) -> dict[str, Any]:
    with reach(served, key) as client:
        told: dict[str, Any] = client.get(f"branches/{branch}/progress").raise_for_status().json()
        return told


def reach(served: Served, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=f"{served.url}api/v1/", headers=headers, timeout=WAIT_SECONDS)


def iterate(served: Served, keys: dict[str, str], branch: str, number: int, failing: str) -> None:
    """The agent writes a head as some model, and the grader runs twice on it."""
    event = {
        "event_id": f"00000000-0000-4000-8000-{number:012d}",
        "type": "data.message.assistant",
        "source": "loop",
        "ts": "2026-11-20T12:00:00Z",
        "payload": {"content": f"Try {number}.", "model": "claude-sonnet-5"},
    }
    with reach(served, keys["agent"]) as client:
        body = {"events": [event]}
        pushed = client.post(f"branches/{branch}/events", json=body).raise_for_status().json()
    issues = [
        {"kind": "test_failure", "severity": "error", "message": f"{name} is broken"}
        for name in failing
    ]
    with reach(served, keys["grader"]) as client:
        # On the first run the last of them passes: it is flaky.
        for run, found in enumerate((issues[:-1], issues)):
            report = {
                "grader": "test",
                "head_digest": pushed["head"]["digest"],
                "issues": found,
                "cost_usd": 0.25,
                "elapsed_ms": run,
            }
            client.post(f"branches/{branch}/reports", json=report).raise_for_status()


def test_a_server_that_is_killed_in_the_middle_of_a_loop_gives_the_same_answer(
    served: Served,
) -> None:
    served.start()
    served.manage("create_project", "loop")
    keys = {
        name: served.manage("create_api_key", "--project", "loop", "--scopes", scope)
        for name, scope in (("agent", "events:write"), ("grader", "reports:write"))
    }
    with reach(served, keys["agent"]) as client:
        started = client.post("projects/loop/runs", json={"goal": "mend it"}).raise_for_status()
    branch = started.json()["branch"]
    for number, failing in enumerate(("abcz", "abz", "aby", "abx"), start=1):
        iterate(served, keys, branch, number, failing)
    before = ask(served, keys["grader"], branch)
    assert before["curve"] == [3, 2, 2, 2]
    assert (before["ladder"][before["rung"]], len(before["flaky"])) == ("sonnet", 4)
    served.end(signal.SIGKILL)
    served.start()
    assert ask(served, keys["grader"], branch) == before
    iterate(served, keys, branch, 5, "abw")
    served.end(signal.SIGKILL)
    served.start()
    after = ask(served, keys["grader"], branch)
    assert (after["curve"], after["stuck"], after["step"]) == ([3, 2, 2, 2, 2], True, "probe")
