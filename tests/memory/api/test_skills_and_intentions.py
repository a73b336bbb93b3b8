import io
import zipfile

import pytest

from memory.domain.archive import File, pack_files
from memory.intentions import follow_intentions
from tests.api_client import Api, data, problem
from tests.make import append, make_key, make_message, make_run
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
