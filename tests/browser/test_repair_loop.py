"""A real loop: an agent repairs a page until the gate opens, and never says itself that it is done.

Three parties, each with its own key: the agent writes events and reads the gate, the grader
renders the page in Chromium and signs what it measured, Verel decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page

from tests.browser.dom_grader import DomGrader
from tests.make import make_key, make_project
from tests.verdicts.make import SUITE, Signer, make_runner, require
from verdicts.suites import freeze_suite
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project

MOST_ITERATIONS = 8
BROKEN = {
    "#rates": "width: 900px",
    "#dose": "color: #bbb",
    "#legend": "color: #ffe; background: #fff",
}
REPAIRS = {
    "overflow": "max-width: 100%; overflow-x: auto; display: block",
    "contrast": "color: #111; background: #fff",
}
BODY = (
    '<table id="rates"><tr><td>0.1 ml/h</td><td>0.2 ml/h</td></tr></table>'
    '<p id="dose">50 mg, at most</p><p id="legend">per kilogram of body weight</p>'
)


@dataclass
class Agent:
    """Knows what each kind of issue asks for, and mends one place at a time."""

    api: httpx.Client
    styles: dict[str, str] = field(default_factory=lambda: dict(BROKEN))
    branch: str = ""

    @property
    def html(self) -> str:
        rules = "".join(f"{place} {{ {style} }}" for place, style in self.styles.items())
        return f"<!doctype html><style>body {{ margin: 0 }} {rules}</style>{BODY}"

    def begin(self, project: str) -> None:
        started = self.api.post(f"projects/{project}/runs", json={"goal": "Fit a phone"})
        self.branch = started.raise_for_status().json()["branch"]
        self.write("I wrote the page.")

    def write(self, words: str) -> None:
        call = {
            "id": f"call_{uuid4().hex[:8]}",
            "name": "write_file",
            "arguments": {"path": "rates.html", "content": self.html},
        }
        event = {
            "event_id": str(uuid4()),
            "type": "data.message.assistant",
            "source": "page-agent",
            "ts": datetime.now(UTC).isoformat(),
            "payload": {"content": words, "tool_calls": [call]},
        }
        pushed = self.api.post(f"branches/{self.branch}/events", json={"events": [event]})
        pushed.raise_for_status()

    def gate(self) -> dict[str, Any]:
        answer = self.api.get(f"branches/{self.branch}/gate").raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def mend(self, issue: dict[str, Any]) -> None:
        self.styles[issue["locator"]] = REPAIRS[issue["kind"]]
        self.write(f"Mended {issue['locator']}: {issue['message']}")


@pytest.fixture
def project(transactional_db: None) -> Project:
    return make_project("pages")


@pytest.fixture
def signer(project: Project) -> Signer:
    freeze_suite(project_id=project.pk, actor=SYSTEM, grader="dom", name="phone", digest=SUITE)
    require(project, "dom")
    return make_runner(project, "renderer")


def make_client(address: str, project: Project, *scopes: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {make_key(project, *scopes)}"}
    return httpx.Client(base_url=f"{address}/api/v1/", headers=headers, timeout=20)


@pytest.fixture
def agent(address: str, project: Project) -> Iterator[Agent]:
    with make_client(address, project, "events:write") as api:
        yield Agent(api)


@pytest.fixture
def grader(address: str, project: Project, signer: Signer) -> Iterator[DomGrader]:
    with make_client(address, project, "reports:write") as api:
        yield DomGrader(api, signer.private_key, signer.runner.key_id, SUITE)


def test_an_agent_mends_a_page_until_the_gate_opens(
    agent: Agent, grader: DomGrader, project: Project, page: Page
) -> None:
    agent.begin(project.slug)
    sizes = []
    for _ in range(MOST_ITERATIONS):
        report = grader.grade(page, branch=agent.branch, html=agent.html, files=["rates.html"])
        sizes.append(len(report["issues"]))
        gate = agent.gate()
        if gate["open"]:
            break
        assert gate["verdict"] == "fail"
        assert set(gate["attributions"].values()) == {"dom"}
        agent.mend(report["issues"][0])
    assert sizes == [3, 2, 1, 0]
    assert (gate["verdict"], gate["open"], gate["stale"]) == ("pass", True, False)


def test_saying_done_or_grading_another_page_opens_nothing(
    agent: Agent, grader: DomGrader, project: Project, page: Page
) -> None:
    agent.begin(project.slug)
    agent.write("All done, every check passes.")
    assert not agent.gate()["open"]
    flattering = "<!doctype html><p id=x>fine</p>"
    grader.grade(page, branch=agent.branch, html=flattering, files=["other.html"])
    gate = agent.gate()
    assert not gate["open"]
    assert "it did not look at rates.html" in gate["reasons"][0]
    refused = agent.api.post(
        f"branches/{agent.branch}/reports",
        json={"grader": "dom", "summary": "ok", "head_digest": gate["head_digest"], "issues": []},
    )
    assert refused.status_code == 403
