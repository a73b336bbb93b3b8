"""Announcements to sockets that watch one run, while an agent pushes 200 events a second to it.

How late: from the answer to the push, which follows its commit, to the first announcement of that
event or a later one, over all sockets and pushes. Lost: sockets that did not hear of the last.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from branches.models import Branch
from verel_site.access.models import Project
from verel_site.access.projects import set_member
from verel_site.access.rights import Role
from verel_site.bench.figures import AtMost, Case, Measure
from verel_site.bench.load import make_ground, make_trunk, make_wire_events
from verel_site.bench.served import Call, Served, serving
from verel_site.bench.sockets import Listener

EVENTS_A_SECOND: Final = 200
BATCH: Final = 10
SECONDS: Final = 8
TINY_SOCKETS: Final = 5
LATE_MS: Final = 100
MOST_A_SECOND: Final = 20
LAST_WORD_SECONDS: Final = 5

type Pushed = list[tuple[float, int]]


def measure_live(size: int) -> Iterator[Measure]:
    ground = make_ground("live")
    trunk, cookie = make_trunk(ground.project), _sign_in(ground.project)
    seconds = SECONDS if size > TINY_SOCKETS else 1
    with serving(ground.agent_key) as served:
        pushed, heard = asyncio.run(_watch(served, trunk, cookie, size, seconds))
    late = sorted(_lateness(pushed, heard))
    p95 = statistics.quantiles(late, n=20)[-1] * 1e3
    yield Measure("live.p95", p95, "ms", LATE_MS, AtMost(1))
    lost = sum(not told or told[-1][1] < pushed[-1][1] for told in heard)
    yield Measure("live.lost", lost, "sockets", size, AtMost(0))
    rate = max(_rate(told) for told in heard)
    yield Measure("live.rate", rate, "a second", MOST_A_SECOND, AtMost(1))


def _rate(told: list[tuple[float, int]]) -> float:
    """Announcements a second, from the first to the last."""
    return (len(told) - 1) / (told[-1][0] - told[0][0]) if len(told) > 1 else 0.0


def _sign_in(project: Project) -> str:
    user = User.objects.create_user(f"bench-{project.slug}")
    set_member(project=project, user=user, role=Role.VIEWER)
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}"


async def _watch(
    served: Served, trunk: Branch, cookie: str, sockets: int, seconds: int
) -> tuple[Pushed, list[list[tuple[float, int]]]]:
    opened = asyncio.Barrier(sockets + 1)
    listeners = [Listener() for _ in range(sockets)]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(one.listen(served.host, served.port, trunk.run_id, cookie, opened))
            for one in listeners
        ]
        await opened.wait()
        for one in listeners:
            one.heard.clear()
        pushed = await asyncio.to_thread(_push, served, trunk, seconds)
        await _wait_for_the_last(listeners, pushed[-1][1])
        for task in tasks:
            task.cancel()
    return pushed, [one.heard for one in listeners]


def _push(served: Served, trunk: Branch, seconds: int) -> Pushed:
    """Batches in time with a clock; when each was answered, and the seq that it went up to."""
    count = EVENTS_A_SECOND * seconds
    events = make_wire_events(count)
    started, pushed = time.perf_counter(), []
    for index, start in enumerate(range(0, count, BATCH)):
        due = started + index * BATCH / EVENTS_A_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        body = json.dumps({"events": events[start : start + BATCH]}).encode()
        call: Call = ("POST", f"/api/v1/branches/{trunk.pk}/events", body)
        served.send([call])
        # The trunk's first event is the run's start.
        pushed.append((time.perf_counter(), 1 + start + BATCH))
    return pushed


async def _wait_for_the_last(listeners: list[Listener], seq: int) -> None:
    """Until everybody heard of it, or nobody can be waiting for it any more."""
    until = time.perf_counter() + LAST_WORD_SECONDS
    while time.perf_counter() < until:
        if all(one.heard and one.heard[-1][1] >= seq for one in listeners):
            return
        await asyncio.sleep(0.01)


def _lateness(pushed: Pushed, heard: list[list[tuple[float, int]]]) -> Iterator[float]:
    for told in heard:
        place = 0
        for at, seq in pushed:
            while place < len(told) and told[place][1] < seq:
                place += 1
            if place < len(told):
                # An announcement may overtake the answer to the push that it is about.
                yield max(0.0, told[place][0] - at)


CASES: Final = (Case("live", measure_live, sizes=(20, 100), tiny=(2, 4), most=400),)
