"""The inbox: its page over many items, and twenty reviewers who claim and answer at once.

The limit of the page is the page of an inbox with one item; that of a claim with its answer is the
same by one reviewer who is alone. An answer that had to be given again counts as failed.
"""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Final
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from verdicts.escalations import ESCALATION
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user, set_member
from verel_site.access.rights import Role
from verel_site.bench.figures import AtMost, Case, Measure, median_seconds
from verel_site.bench.load import make_ground
from verel_site.inbox.claims import claim_next
from verel_site.inbox.decisions import decide_item
from verel_site.inbox.models import Item
from verel_site.serving import collect_static

REVIEWERS: Final = 20
EACH: Final = 5
ALONE: Final = 40
TIMES: Final = 9
PAGE_QUERIES: Final = 12
CHUNK: Final = 5_000
DIGEST: Final = "00" * 32


def measure_inbox(size: int) -> Iterator[Measure]:
    collect_static()
    empty, full = make_ground("inbox-empty").project, make_ground("inbox").project
    _fill(empty, 1)
    _fill(full, size)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    reader, visitor = _sign_in(full), _sign_in(empty)
    limit = median_seconds(lambda: _get(visitor), TIMES) * 1e3
    told = median_seconds(lambda: _get(reader), TIMES) * 1e3
    yield Measure("inbox.page", told, "ms", limit, AtMost(4))
    with CaptureQueriesContext(connection) as queries:
        _get(reader)
    yield Measure("inbox.queries", len(queries), "queries", PAGE_QUERIES, AtMost(1), AtMost(1))
    yield from _measure_claims(full)


def _fill(project: Project, count: int) -> None:
    now = timezone.now()
    for start in range(0, count, CHUNK):
        Item.objects.bulk_create(
            Item(
                project=project,
                kind=ESCALATION,
                subject=uuid4(),
                digest=DIGEST,
                title=f"No progress on dose {number}",
                about="main, run 7",
                flag="stuck",
                body={"cause": "stuck", "reasons": ["The same four failures stand."]},
                created_at=now - timedelta(seconds=count - number),
            )
            for number in range(start, min(start + CHUNK, count))
        )


def _user(project: Project) -> User:
    user = User.objects.create_user(f"bench-{uuid4().hex[:12]}")
    set_member(project=project, user=user, role=Role.REVIEWER)
    return user


def _sign_in(project: Project) -> Client:
    client = Client(headers={"host": settings.ALLOWED_HOSTS[0]})
    client.force_login(_user(project))
    return client


def _get(client: Client) -> bytes:
    answer = client.get("/inbox/", secure=settings.VEREL_SECURE)
    assert answer.status_code == 200, answer.status_code
    return answer.content


def _answer_one(actor: Actor) -> bool:
    claim = claim_next(actor=actor)
    if claim is None:
        return False
    decide_item(item_id=claim.item_id, actor=actor, answer="dismiss", digest=DIGEST, claim=claim.pk)
    return True


def _measure_claims(project: Project) -> Iterator[Measure]:
    alone = actor_of_user(_user(project))
    limit = median_seconds(lambda: _answer_one(alone), ALONE) * 1e3
    people = [actor_of_user(_user(project)) for _ in range(REVIEWERS)]
    failed: list[Exception] = []
    answered: list[bool] = []

    def work(actor: Actor) -> None:
        try:
            for _ in range(EACH):
                answered.append(_answer_one(actor))
                # As at the end of a request: back to the pool.
                connection.close()
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(actor,)) for actor in people]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    each = (time.perf_counter() - began) / max(1, sum(answered)) * 1e3
    yield Measure("inbox.claim_and_answer", each, "ms", limit, AtMost(3), AtMost(1.5))
    yield Measure("inbox.failed", len(failed), "answers", 1, AtMost(0))


CASES: Final = (Case("inbox", measure_inbox, sizes=(10_000, 100_000), tiny=(150, 200)),)
