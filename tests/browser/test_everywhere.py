"""Every page and every file of the product, with hostile text in whatever agents and people write:
nothing of it acts, asks the outside, or stands there as a control. And everyone can reach them all.
"""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Page, Request

from branches.domain import terms
from memory.domain.archive import File, pack_files
from memory.models import Record
from tests import make
from tests.access import world as worlds
from tests.access.table import PAGES
from tests.access.world import World
from tests.api_client import Api, data
from tests.browser.axe import find_faults
from tests.browser.conftest import OpenAs
from tests.browser.pages import SERIOUS
from tests.memory.make import make_source
from tests.verdicts.make import make_issue, push
from verdicts.comparisons import draw_sides, label_comparison, open_comparison
from verel_site.access.actors import SYSTEM
from verel_site.access.rights import Role
from verel_site.inbox.kinds import all_kinds
from verel_site.inbox.models import Item

# Without quotes, line breaks and control characters it stands wherever a name or a text may stand.
MARK: Final = (
    "<img class=evil src=//evil.example/x onerror=alert(1)><script>alert(2)</script>"
    "<form class=evil action=//evil.example><button class=evil data-key=a>Approve merge</button>"
    "</form><b class=evil hx-get=/admin/ hx-trigger=load>x</b><dialog class=evil open>Sign in"
)
TEXTS: Final = (
    MARK,
    "[x](javascript:alert(3)) ![y](https://evil.example/y.png) <https://evil.example/>",
    "\x1b[31mred\x1b[0m \x07 \u202efdp.exe\u202c pass\u200b\u200bword \u2028 \U000e0041",
    "'\"><svg class=evil onload=alert(4)><style>*{display:none}</style>",
    "{{ page }} {% load x %} ${7*7} =cmd|' /C calc'!A0",
    "</textarea></pre></code></title><iframe class=evil src=//evil.example>",
    "pаypal раss Verdict: pass ✔ Approved by Ines Kaur",
)
FORMULA: Final = "=HYPERLINK(1)"
LEADS_ON: Final = {
    "GET /jump/": "q=evil",
    "GET /p/<slug>/search/": "q=evil",
    "GET /p/<slug>/memory/": "q=evil",
}


@pytest.fixture
def world(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(worlds, "MARK", MARK)
    made = World()
    fill(made)
    return made


def fill(world: World) -> None:
    """What agents may write, by the API that they write it through."""
    agent = Api(make.make_key(world.project, "events:write"))
    told = data(agent.post(f"projects/{world.project.slug}/runs", {"goal": TEXTS[1]}), 201)
    for number, text in enumerate(TEXTS):
        run = data(
            agent.post(
                f"projects/{world.project.slug}/runs",
                {"goal": text, "spec": {"agent": text, "model": text}, "metadata": {text: text}},
            ),
            201,
        )
        data(agent.post(f"branches/{branch_of(run)}/events", {"events": events_with(text)}), 201)
        world.ids[f"hostile_{number}"] = str(
            run["run"]["id"] if isinstance(run["run"], dict) else run["run"]
        )
    assert told
    push(world_branch(world), issues=[make_issue(message=text) for text in TEXTS])
    remember(world)
    disagree(world)


def remember(world: World) -> None:
    """Facts of one key that all say otherwise, and the next version of a skill."""
    agent = Api(make.make_key(world.project, "memory:propose"))
    for text in TEXTS:
        source = str(make_source(world.project, text).event_id)
        key = {"subject": "text", "predicate": "said", "object": text}
        cited = [{"event": source, "quote": text, "score": 0.9}]
        data(agent.post("memory/proposals", {"text": text, **key, "evidence": cited}), 201)
    head = f"---\nname: capping\ndescription: Caps the dose {MARK}\n---\n"
    files = [
        File("SKILL.md", f"{head}{TEXTS[3]}\n".encode()),
        File("a/b.md", "\n".join(TEXTS).encode()),
    ]
    packed = pack_files(files, folder="capping")
    data(agent.call("POST", "memory/skills/archives", packed, content_type="application/zip"), 201)


def branch_of(run: Any) -> str:
    branch = run["branch"]
    return str(branch["id"] if isinstance(branch, dict) else branch)


def world_branch(world: World) -> Any:
    return make.make_run(world.project, goal=TEXTS[3])[1]


def events_with(text: str) -> list[dict[str, Any]]:
    payloads: list[tuple[str, dict[str, Any]]] = [
        (terms.USER, {"content": text}),
        (terms.SYSTEM, {"content": [{"kind": "text", "text": text}]}),
        ("data.thought", {"content": text}),
        (
            terms.ASSISTANT,
            {"content": text, "tool_calls": [{"id": "1", "name": text, "args": {text: text}}]},
        ),
        ("data.tool.result", {"id": "1", "content": text, "is_error": True}),
        ("data.unheard", {text: [text, {text: text}]}),
        ("harness.error", {"message": text}),
        (
            terms.APPROVAL_REQUESTED,
            {
                "approval_id": str(uuid4()),
                "action": text[:200],
                "args": {text: text},
                "description": text,
            },
        ),
    ]
    return [
        {
            "event_id": str(uuid4()),
            "type": kind,
            "source": text[:200],
            "ts": "2026-11-20T12:00:00Z",
            "payload": payload,
        }
        for kind, payload in payloads
    ]


def disagree(world: World) -> None:
    """Two reviewers who pick different sides: an adjudication waits."""
    trunk = make.make_run(world.project, goal=MARK)[1]
    make.append(trunk, make.make_message("user", MARK))
    fork = make.make_fork(trunk, 2, MARK).branch
    make.append(trunk, make.make_message("assistant", TEXTS[3]))
    make.append(fork, make.make_message("assistant", TEXTS[5]))
    pair = open_comparison(left=trunk.pk, right=fork.pk, actor=SYSTEM, required=2)
    for wanted in (trunk, fork):
        reviewer = make.make_person(world.project)
        sides = draw_sides(comparison_id=pair.pk, reviewer=reviewer)
        choice = "left" if sides.left.branch.pk == wanted.pk else "right"
        label_comparison(
            comparison_id=pair.pk, actor=reviewer, choice=choice, rationale=f"{FORMULA} {MARK}"
        )


def addresses(world: World, client: Client) -> tuple[list[str], list[str]]:
    """(pages, files): what the table of routes names, and each kind of the inbox."""
    found = []
    for name, row in PAGES.items():
        method, address = name.split(" ")[:2]
        if method == "GET" and "<token>" not in address:
            query = LEADS_ON.get(" ".join(name.split(" ")[:2])) or row.query.format(**world.ids)
            found.append(row.fill_address(address, world.ids) + (f"?{query}" if query else ""))
    found += [f"/runs/{world.ids[f'hostile_{number}']}/" for number in range(len(TEXTS))]
    last = Record.objects.filter(project=world.project).order_by("-number")[:2]
    found += [f"/p/{world.project.slug}/memory/{record.number}/" for record in last]
    kinds = {item.kind: item for item in Item.objects.filter(state=Item.State.OPEN)}
    assert set(kinds) == {kind.name for kind in all_kinds()}
    found += [f"/inbox/{item.pk}/" for item in kinds.values()]
    pages: list[str] = []
    files: list[str] = []
    for address in dict.fromkeys(found):
        answer = client.get(address, follow=True)
        if answer.status_code != 200:
            continue
        html = answer["Content-Type"].startswith("text/html")
        whole = html and b"<html" in body_of(answer)
        (pages if whole else files).append(address)
    return pages, files


def body_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content if answer.streaming else [answer.content])


@pytest.fixture
def admin(world: World) -> User:
    return make.make_user(world.project, Role.ADMIN, name="ines")


@pytest.fixture
def places(world: World, admin: User, client: Client) -> tuple[list[str], list[str]]:
    client.force_login(admin)
    return addresses(world, client)


class Watch:
    """What a page must never do."""

    def __init__(self, page: Page, address: str) -> None:
        self.home = urlsplit(address).netloc
        self.seen: list[str] = []
        page.on("dialog", self._note_dialog)
        page.on("request", self._note_request)
        page.on("popup", lambda opened: self.seen.append(f"opened {opened.url}"))

    def _note_dialog(self, dialog: Any) -> None:
        self.seen.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _note_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != self.home:
            self.seen.append(f"asked {request.url}")


IMITATIONS: Final = (
    ".evil, [onerror], [onload], iframe, a[href^='javascript'], img[src*='evil'],"
    " [hx-get='/admin/'], form[action*='evil'], style"
)


def test_hostile_text_is_text_on_every_page(
    open_as: OpenAs, places: tuple[list[str], list[str]], admin: User, address: str
) -> None:
    page = open_as(admin)
    watch = Watch(page, address)
    imitated: list[tuple[str, list[str]]] = []
    for path in places[0]:
        page.goto(f"{address}{path}")
        page.wait_for_load_state("load")
        if path.startswith("/api/docs"):
            continue
        shown = page.locator(IMITATIONS).evaluate_all(
            "all => all.map((el) => el.outerHTML.slice(0, 80))"
        )
        if shown:
            imitated.append((path, shown[:2]))
    assert len(places[0]) > 40
    assert watch.seen == []
    assert imitated == []


def test_files_are_attachments_that_nothing_runs_and_no_sheet_computes(
    places: tuple[list[str], list[str]], client: Client
) -> None:
    assert len(places[1]) > 5
    for path in places[1]:
        answer = client.get(path, follow=True)
        assert answer["X-Content-Type-Options"] == "nosniff", path
        body = body_of(answer)
        kind = answer["Content-Type"].partition(";")[0]
        if kind == "text/html":
            # A part of a page, as it is put into one.
            assert b"<img class=evil" not in body, path
        elif "csv" in kind:
            assert not [
                cell for cell in cells(body.decode()) if cell.startswith(tuple("=+-@\t"))
            ], path


def cells(text: str) -> Iterator[str]:
    for line in text.split("\r\n"):
        yield from line.strip('"').split('","')


def test_axe_finds_nothing_serious_on_any_page_in_either_theme(
    open_as: OpenAs, places: tuple[list[str], list[str]], admin: User, address: str
) -> None:
    page = open_as(admin)
    grave: list[str] = []
    for path in places[0]:
        if path.startswith("/api/docs"):
            continue
        page.goto(f"{address}{path}")
        grave += [f"{path} {fault}" for fault in find_faults(page, of=SERIOUS)]
    assert not grave, "\n".join(grave)
