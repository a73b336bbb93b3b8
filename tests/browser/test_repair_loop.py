"""A real loop: an agent repairs a page, asks after each iteration what to do, and obeys; the gate
alone says that it is done.

Three parties, each with its own key: the agent writes events and reads what Verel says, the grader
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
from verdicts.policies import change_policy
from verdicts.suites import freeze_suite
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project

MOST_ITERATIONS = 20
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
    model: str = "haiku"
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
            "payload": {"content": words, "tool_calls": [call], "model": self.model},
        }
        pushed = self.api.post(f"branches/{self.branch}/events", json={"events": [event]})
        pushed.raise_for_status()

    def gate(self) -> dict[str, Any]:
        answer = self.api.get(f"branches/{self.branch}/gate").raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def progress(self) -> dict[str, Any]:
        answer = self.api.get(f"branches/{self.branch}/progress").raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def mend(self, issue: dict[str, Any]) -> None:
        self.styles[issue["locator"]] = self.repairs[issue["kind"]]
        self.write(f"Mended {issue['locator']}: {issue['message']}")

    @property
    def repairs(self) -> dict[str, str]:
        """What this model knows to write for each kind of issue."""
        return REPAIRS if self.model != "haiku" else REPAIRS | {"contrast": "color: #aaa"}


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
    return httpx.Client(base_url=f"{address}/api/v1/", headers=headers, timeout=60)


@pytest.fixture
def agent(address: str, project: Project) -> Iterator[Agent]:
    with make_client(address, project, "events:write") as api:
        yield Agent(api)


@pytest.fixture
def grader(address: str, project: Project, signer: Signer) -> Iterator[DomGrader]:
    with make_client(address, project, "reports:write") as api:
        yield DomGrader(api, signer.private_key, signer.runner.key_id, SUITE)


@dataclass
class Loop:
    """Does what `progress` says until it says stop or asks for a person; keeps what it was told."""

    agent: Agent
    grader: DomGrader
    page: Page
    said: list[str] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        report = self.grade()
        for _ in range(MOST_ITERATIONS):
            told = self.agent.progress()
            self.said.append(" ".join(filter(None, (told["step"], told["target"]))))
            if told["step"] in ("stop", "escalate"):
                return told
            if told["step"] == "probe":
                report = self.grade()
                continue
            if told["step"] == "upgrade":
                self.agent.model = told["target"]
            assert self.agent.gate()["verdict"] == "fail", "it goes on only where the gate is shut"
            self.agent.mend(report["issues"][0])
            report = self.grade()
        raise AssertionError(f"it never ends: {self.said}")

    def grade(self) -> dict[str, Any]:
        agent = self.agent
        return self.grader.grade(
            self.page, branch=agent.branch, html=agent.html, files=["rates.html"]
        )


def test_an_agent_obeys_progress_over_a_stuck_model_to_an_open_gate(
    agent: Agent, grader: DomGrader, project: Project, page: Page
) -> None:
    agent.begin(project.slug)
    loop = Loop(agent, grader, page)
    told = loop.run()
    assert (told["step"], told["curve"]) == ("stop", [3, 2, 2, 2, 2, 1, 0])
    assert loop.said == [*["continue"] * 4, "upgrade sonnet", "continue", "stop"]
    gate = agent.gate()
    assert (gate["verdict"], gate["open"], gate["stale"]) == ("pass", True, False)


def test_an_agent_whose_models_are_at_their_end_stops_for_a_person_and_the_gate_stays_shut(
    agent: Agent, grader: DomGrader, project: Project, page: Page
) -> None:
    limits = {"window": 2, "ladder": ["haiku"]}
    change_policy(project_id=project.pk, actor=SYSTEM, required=["dom"], limits=limits)
    agent.begin(project.slug)
    loop = Loop(agent, grader, page)
    told = loop.run()
    assert (told["step"], told["policy_version"]) == ("escalate", 2)
    assert "last model of the ladder" in told["why"]
    assert not agent.gate()["open"]


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
