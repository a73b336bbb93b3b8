import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.test import AsyncClient
from django.utils import timezone

from branches.models import Branch
from branches.steering import pause_branch
from tests.api_client import Api, data, problem
from tests.branches.api.test_events import make_event
from tests.make import make_fork, make_key, make_project, make_run, make_user
from verel_site.access.actors import SYSTEM
from verel_site.access.models import ApiKey
from verel_site.access.projects import set_member
from verel_site.access.rights import Role

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]


@pytest.fixture
def trunk() -> Branch:
    return make_run()[1]


@pytest.fixture
def agent(trunk: Branch) -> Api:
    return Api(make_key(trunk.project, "branches:run", "events:write"))


def claim(trunk: Branch, agent: Api, **extra: object) -> Any:
    body = {"project": trunk.project.slug, "worker": "w1", "seconds": 60, **extra}
    return agent.post("claims", body)


def test_nothing_to_claim_is_a_204(trunk: Branch, agent: Api) -> None:
    answer = agent.post("claims", {"project": str(trunk.project_id), "worker": "w", "seconds": 60})
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_fork_is_claimed_written_kept_and_given_back(trunk: Branch, agent: Api) -> None:
    fork = make_fork(trunk, 1).branch
    claimed = data(claim(trunk, agent))
    assert claimed["branch"] == str(fork.pk)
    assert claimed["context"]["variables"] == {"Dose": "50mg"}
    epoch = claimed["lease"]["epoch"]
    assert claim(trunk, agent).status_code == 204
    path = f"branches/{fork.pk}"
    body = {"events": [make_event()], "lease_epoch": epoch}
    assert agent.post(f"{path}/events", body).status_code == 201
    kept = data(agent.post(f"{path}/lease", {"epoch": epoch, "seconds": 600}))
    assert kept["lease"]["expires_at"] > claimed["lease"]["expires_at"]
    held = data(agent.get(path))["lease"]
    assert held == {**kept["lease"], "worker": "w1"}
    assert agent.call("DELETE", f"{path}/lease", {"epoch": epoch}).status_code == 204
    again = data(claim(trunk, agent, format="anthropic"))
    assert again["lease"]["epoch"] == epoch + 1
    assert again["context"]["format"] == "anthropic"
    assert agent.call("DELETE", f"{path}/lease?epoch={epoch + 1}").status_code == 204
    problem(agent.call("DELETE", f"{path}/lease"), 400, "bad_input", "/epoch")


def test_an_expired_lease_is_not_extended_and_the_branch_is_claimable(
    trunk: Branch, agent: Api
) -> None:
    fork = make_fork(trunk, 1).branch
    epoch = data(claim(trunk, agent))["lease"]["epoch"]
    past = timezone.now() - timedelta(seconds=1)
    Branch.objects.filter(pk=fork.pk).update(lease_expires_at=past)
    body = {"epoch": epoch, "seconds": 60}
    problem(agent.post(f"branches/{fork.pk}/lease", body), 409, "stale_lease", "/epoch")
    assert data(claim(trunk, agent))["lease"]["epoch"] == epoch + 1


def test_directives_come_in_order_and_are_acknowledged_by_the_cursor(
    trunk: Branch, agent: Api
) -> None:
    fork = make_fork(trunk, 1).branch
    pause_branch(branch_id=fork.pk, actor=SYSTEM, reason="look")
    make_fork(make_run()[1], 1)
    page = data(agent.get(f"directives?project={trunk.project.slug}"))
    assert [(row["kind"], row["branch"]) for row in page["results"]] == [
        ("fork_claimable", str(fork.pk)),
        ("pause", str(fork.pk)),
    ]
    assert page["results"][1]["body"]["reason"] == "look"
    rest = data(agent.get(f"directives?after={page['next']}"))
    assert rest == {"results": [], "next": page["next"]}
    one = data(agent.get("directives?limit=1"))
    assert one["next"] == page["results"][0]["id"]


def test_who_has_several_projects_names_one(trunk: Branch) -> None:
    user = make_user(trunk.project)
    set_member(project=make_project(), user=user, role=Role.VIEWER)
    problem(Api(user=user).get("directives"), 400, "bad_input")
    assert Api(user=user).get(f"directives?project={trunk.project.slug}").status_code == 200


@pytest.mark.django_db(transaction=True)
async def test_a_poll_waits_until_a_directive_comes() -> None:
    trunk = (await sync_to_async(make_run)())[1]
    project = await sync_to_async(lambda: trunk.project)()
    key = await sync_to_async(make_key)(project, "context:read")
    headers = {"Authorization": f"Bearer {key}"}

    async def poll() -> Any:
        # As the ASGI handler does: a thread of its own for each request's middleware.
        async with ThreadSensitiveContext():
            return await AsyncClient().get("/api/v1/directives?wait=20", headers=headers)

    asked = asyncio.create_task(poll())
    done, _ = await asyncio.wait({asked}, timeout=0.3)
    assert not done
    fork = await sync_to_async(make_fork)(trunk, 1)
    rows = (await asked).json()["results"]
    assert rows[0]["kind"] == "fork_claimable"
    assert str(fork.branch.run_id) == rows[0]["body"]["run"]


@pytest.mark.django_db(transaction=True)
async def test_a_poll_ends_empty_when_its_time_is_up_and_a_stranger_does_not_wait() -> None:
    trunk = (await sync_to_async(make_run)())[1]
    project = await sync_to_async(lambda: trunk.project)()
    key = await sync_to_async(make_key)(project, "context:read")
    path = f"/api/v1/directives?wait=1&project={project.slug}"
    headers = {"Authorization": f"Bearer {key}"}
    started = time.monotonic()
    answer = await AsyncClient().get(path, headers=headers)
    assert answer.json() == {"results": [], "next": 0}
    assert time.monotonic() - started >= 1
    assert (await AsyncClient().get(path)).status_code == 401
    await ApiKey.objects.aupdate(revoked_at=timezone.now())
    assert (await AsyncClient().get(path, headers=headers)).status_code == 401
