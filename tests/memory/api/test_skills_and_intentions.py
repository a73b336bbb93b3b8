import hashlib
import io
import zipfile
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from branches.merges import merge_branches
from branches.models import Branch
from branches.steering import abandon_branch
from memory.domain.archive import File, pack_files
from memory.domain.terms import Answer
from memory.episodes import follow_episodes
from memory.intentions import follow_intentions
from memory.models import Record
from tests.api_client import Api, data, problem
from tests.make import append, make_draft, make_fork, make_key, make_message, make_run
from tests.memory.make import answer, make_source
from tests.verdicts.make import push
from verdicts.admission import admit_merge
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]
MANIFEST = b"---\nname: unit-conversion\ndescription: Converts doses\n---\nConvert first.\n"
ASKED = {
    "cue": "type == 'data.message.assistant'",
    "action": {"do": "look"},
    "idempotency_key": "a",
    "ttl_seconds": 60,
}


@pytest.fixture
def agent(project: Project) -> Api:
    return Api(make_key(project, "memory:propose"))


def pack(name: str, front: str) -> bytes:
    text = f"---\nname: {name}\ndescription: Converts doses\n{front}---\nConvert first.\n"
    return pack_files([File("SKILL.md", text.encode())], folder=name)


def upload(agent: Api, name: str, front: str = "", events: str = "") -> str:
    made = agent.post(
        f"memory/skills/archives?event={events}", pack(name, front), content_type="application/zip"
    )
    return str(data(made, 201)["record"]["record"])


def take_up(project: Project, name: str) -> Branch:
    """A run whose agent takes up a skill."""
    trunk = make_run(project)[1]
    call = {"call_id": "s", "name": "Skill", "arguments": {"skill": name}}
    append(
        trunk,
        make_draft("data.tool.call", call),
        make_draft("data.tool.result", {"call_id": "s", "content": "# Convert"}),
    )
    return trunk


def test_a_skill_is_uploaded_listed_and_downloaded(agent: Api) -> None:
    packed = pack_files([File("SKILL.md", MANIFEST)], folder="unit-conversion")
    made = data(
        agent.post(
            "memory/skills/archives?scope=repo:pump", packed, content_type="application/zip"
        ),
        201,
    )
    assert made["record"]["scope"] == "repo:pump"
    [listed] = data(agent.get("memory/skills"))["results"]
    assert listed["details"]["name"] == "unit-conversion"
    response = agent.get(f"memory/skills/{listed['record']}/archive")
    assert response["Content-Disposition"] == 'attachment; filename="unit-conversion-v1.zip"'
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.read("unit-conversion/SKILL.md") == MANIFEST


def test_a_skill_tells_when_to_take_it_up_what_it_needs_and_how_it_has_done(
    project: Project, agent: Api
) -> None:
    front = "metadata:\n  trigger: a dose in drops\n  deps: rounding, no-such\n"
    needed = upload(agent, "rounding")
    skill = upload(agent, "unit-conversion", front)
    path = f"memory/records/{skill}"
    told = data(agent.get(path))["skill"]
    assert told["trigger"] == "a dose in drops"
    assert told["deps"] == [
        {"name": "rounding", "record": needed},
        {"name": "no-such", "record": None},
    ]
    assert (told["runs"], told["success_rate"], told["last_used"]) == (0, None, None)
    assert data(agent.get(f"memory/records/{needed}"))["skill"]["trigger"] == "Converts doses"

    won, lost, open_one, other = (
        take_up(project, name) for name in (*["unit-conversion"] * 3, "x")
    )
    push(won)
    merge_branches(
        winner_id=won.pk,
        loser_ids=[make_fork(won, 1).branch.pk],
        actor=SYSTEM,
        admission=admit_merge(winner=won, actor=SYSTEM),
    )
    abandon_branch(branch_id=lost.pk, actor=SYSTEM, reason="No")
    while follow_episodes():
        pass
    told = data(agent.get(path))["skill"]
    assert (told["runs"], told["decided"], told["succeeded"]) == (3, 2, 1)
    assert (told["success_rate"], told["last_used"] is None) == (0.5, False)
    used = data(agent.get("memory/episodes?skill=unit-conversion"))["results"]
    assert [one["branch"] for one in used] == [str(one.pk) for one in (won, lost, open_one)]
    assert (
        data(agent.get(f"memory/episodes?branch={other.pk}"))["results"][0]["action"]["skill"]
        == "x"
    )

    # What comes after the next version is that one's.
    later = upload(agent, "unit-conversion", "license: MIT\n")
    take_up(project, "unit-conversion")
    while follow_episodes():
        pass
    assert data(agent.get(path))["skill"]["runs"] == 3
    assert data(agent.get(f"memory/records/{later}"))["skill"]["runs"] == 1


def test_whoever_has_the_archive_the_seal_and_the_key_can_verify_a_skill(
    project: Project, agent: Api, curator: Actor
) -> None:
    record = upload(agent, "unit-conversion")
    assert data(agent.get(f"memory/records/{record}"))["skill"]["seal_holds"] is False
    answer(Record.objects.get(record_id=record), curator, Answer.PROMOTE)
    told = data(agent.get(f"memory/records/{record}"))
    assert told["skill"]["seal_holds"] is True
    seal, key = told["seal"], data(agent.get("memory/skills/key"))
    assert (key["algorithm"], key["key"]) == ("Ed25519", seal["key"])

    def digest(*parts: str | bytes) -> bytes:
        raws = [part if isinstance(part, bytes) else part.encode() for part in parts]
        return hashlib.sha256(
            b"verel memory 1" + b"".join(len(raw).to_bytes(8, "big") + raw for raw in raws)
        ).digest()

    packed = agent.get(f"memory/skills/{record}/archive").content
    parts: list[str] = []
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for info in archive.infolist():
            sign = "x" if info.external_attr >> 16 & 0o111 else "-"
            path = info.filename.partition("/")[2]
            parts += [path, f"{sign} {hashlib.sha256(archive.read(info)).hexdigest()}"]
    content = digest("skill", *parts)
    assert content.hex() == told["content_digest"]
    signed = digest(
        "seal", "content", content, "record", record, "by", seal["by"], "at", seal["at"]
    )
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["key"]))
    public.verify(bytes.fromhex(seal["signature"]), b"verel skill 1" + signed)


def test_an_upload_cites_the_events_that_speak_for_it(project: Project, agent: Api) -> None:
    events = [str(make_source(project).event_id) for _ in range(3)]
    record = upload(agent, "unit-conversion", events=",".join(events))
    told = data(agent.get(f"memory/records/{record}"))
    assert (told["support_count"], told["trust"]) == (3, "corroborated")
    assert [row["event"] for row in told["provenance"]] == events
    path = "memory/skills/archives?event="
    packed = pack("unit-conversion", "")
    body = problem(agent.post(f"{path}x", packed, content_type="application/zip"), 400, "bad_input")
    assert body["parameter"] == "event"
    odd = agent.post(f"{path}{uuid4()}", packed, content_type="application/zip")
    assert problem(odd, 422, "bad_evidence")["parameter"] == "event"


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"x" * 100])
def test_what_is_no_archive_is_told(agent: Api, raw: bytes) -> None:
    problem(
        agent.post("memory/skills/archives", raw, content_type="application/zip"), 422, "bad_skill"
    )


def test_an_intention_from_its_cue_to_its_report(project: Project, agent: Api) -> None:
    made = data(agent.post("memory/intentions", ASKED), 201)
    assert (made["state"], made["cue"]) == ("waiting", 'type == "data.message.assistant"')
    claim = {"worker": "w", "seconds": 60}
    assert agent.post("memory/intentions/claims", claim).status_code == 204
    append(make_run(project)[1], make_message("assistant", "Done"))
    follow_intentions()
    due = data(agent.post("memory/intentions/claims", claim))
    assert due["intention"]["action"] == {"do": "look"}
    path = f"memory/intentions/{made['intention']}"
    problem(agent.post(f"{path}/fired", {"epoch": 9}), 409, "fire_lost", "/epoch")
    assert data(agent.post(f"{path}/fired", {"epoch": due["epoch"]}))["state"] == "fired"
    assert [
        row["state"] for row in data(agent.get("memory/intentions?state=fired"))["results"]
    ] == ["fired"]
    problem(agent.get("memory/intentions?state=odd"), 400, "bad_input")
    problem(agent.get("memory/intentions?stat=fired"), 400, "bad_input")
    assert data(agent.get("memory/intentions?scope=repo:a"))["results"] == []
    [told] = data(agent.get("memory/intentions?scope=team"))["results"]
    assert (told["ttl_seconds"], told["fire"]["worker"], told["fire"]["epoch"]) == (60, "w", 1)
    assert told["fire"]["fired_at"] is not None


def test_a_cue_that_cannot_be_read_has_its_place(agent: Api) -> None:
    body = problem(
        agent.post("memory/intentions", {**ASKED, "cue": "type =="}), 422, "bad_intention", "/cue"
    )
    assert body["column"] == 8


def test_an_intention_is_cancelled(agent: Api) -> None:
    made = data(agent.post("memory/intentions", ASKED), 201)
    path = f"memory/intentions/{made['intention']}"
    assert data(agent.call("DELETE", path))["state"] == "cancelled"
    assert data(agent.get(path))["state"] == "cancelled"
