"""Verdicts on the served product: a loop whose server is killed, and output of any size."""

import json
import signal
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.crash.served import Served

WAIT_SECONDS: Final = 180
MEGABYTE: Final = 1024 * 1024
SENT: Final = 100 * MEGABYTE
# A body is in a file; what the first requests load stays far below one of them.
MOST_HELD: Final = 32 * MEGABYTE


def fill(head: bytes, row: bytes, between: bytes, end: bytes) -> Iterator[bytes]:
    """A well-formed output of a little more than SENT bytes, in pieces."""
    many = between.join(repeat(row, MEGABYTE // len(row)))
    yield head + many
    for _ in range(SENT // len(many)):
        yield between + many
    yield end


def print_junit() -> Iterator[bytes]:
    row = b'<testcase classname="t.unit" name="test_cap" time="0.01"><failure message="no"/></testcase>'
    return fill(b'<?xml version="1.0"?><testsuite name="unit">', row, b"\n", b"</testsuite>")


def print_sarif() -> Iterator[bytes]:
    place = {"physicalLocation": {"artifactLocation": {"uri": "a.py"}, "region": {"startLine": 3}}}
    row = {"ruleId": "B1", "level": "error", "message": {"text": "no"}, "locations": [place]}
    head = b'{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":['
    return fill(head, json.dumps(row).encode(), b",", b"]}]}")


def print_ruff() -> Iterator[bytes]:
    row = {"code": "F821", "filename": "a.py", "message": "Undefined name `x`"}
    return fill(b"[", json.dumps(row).encode(), b",", b"]")


PRINTED: Final = {"junit": print_junit, "sarif": print_sarif, "ruff": print_ruff}


def most_held(served: Served) -> int:
    """The most bytes that the server's process ever had in memory."""
    assert served.process is not None
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.fixture
def api(served: Served) -> Iterator[httpx.Client]:
    served.start("--no-worker")
    agent, grader = served.let_in("large", "events:write", "reports:write")
    address = f"{served.url}api/v1/"
    started = httpx.post(
        f"{address}projects/large/runs",
        json={"goal": "be small"},
        headers={"Authorization": f"Bearer {agent}"},
        timeout=WAIT_SECONDS,
    )
    reports = f"{address}branches/{started.raise_for_status().json()['branch']}/"
    headers = {"Authorization": f"Bearer {grader}"}
    with httpx.Client(base_url=reports, headers=headers, timeout=WAIT_SECONDS) as client:
        yield client


def test_a_hundred_megabytes_of_output_are_refused_and_never_held(
    served: Served, api: httpx.Client, tmp_path: Path
) -> None:
    before = most_held(served)
    for format, output in PRINTED.items():
        refused = push_file(api, format, output, tmp_path)
        assert refused.status_code == 413
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert (refused.json()["code"], refused.json()["status"]) == ("too_large", 413)
    chunked = api.post("reports/import?format=junit", content=print_junit())
    assert chunked.status_code == 413
    assert api.get("reports").raise_for_status().json()["results"] == []
    grown = most_held(served) - before
    assert grown < MOST_HELD, f"{grown / MEGABYTE:.0f} MB more than before"


def push_file(
    api: httpx.Client,
    format: str,
    output: Callable[[], Iterator[bytes]],
    folder: Path,
) -> httpx.Response:
    """As `curl --data-binary @file` sends it, with its length told before."""
    path = folder / format
    with path.open("wb") as file:
        file.writelines(output())
    size = path.stat().st_size
    assert size >= SENT
    with path.open("rb") as file:
        return api.post(
            f"reports/import?format={format}",
            content=file,
            headers={"Content-Length": str(size)},
        )


def ask(served: Served, key: str, branch: str) -> dict[str, Any]:
    with reach(served, key) as client:
        told: dict[str, Any] = client.get(f"branches/{branch}/progress").raise_for_status().json()
        return told


def reach(served: Served, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=f"{served.url}api/v1/", headers=headers, timeout=WAIT_SECONDS)


def iterate(served: Served, keys: dict[str, str], branch: str, number: int, failing: str) -> None:
    """The agent writes a head as some model, and the grader runs as often on it as a probe takes."""
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
        for run, found in enumerate((issues[:-1], issues, issues)):
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
    agent, grader = served.let_in("loop", "events:write", "reports:write")
    keys = {"agent": agent, "grader": grader}
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
    assert (after["curve"], after["stuck"], after["step"]) == ([3, 2, 2, 2, 2], True, "upgrade")
