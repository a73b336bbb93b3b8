"""Several people and agents at one promotion, in threads with connections of their own."""

import pytest

from memory.domain.terms import Answer
from memory.models import PromotionDecision, PromotionRequest, Record
from memory.promotion import Said, decide_promotion
from tests.branches.test_concurrency import at_once
from tests.make import make_person, make_project, make_user
from tests.memory.make import CAP, cite, make_source, make_verified, propose
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import Role
from verel_site.kit.refusals import Refusal

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_several_answers_at_once_one_counts_and_the_others_are_told() -> None:
    project = make_project()
    first = actor_of_user(make_user(project, Role.CURATOR))
    people = [first, *(make_person(project, Role.CURATOR) for _ in range(3))]
    make_verified(project, "The cap is 45 mg", first, **CAP, object="45 mg")
    rivals = [
        propose(project, f"It is {dose} mg", **CAP, object=f"{dose} mg").record for dose in (50, 52)
    ]
    asked = [PromotionRequest.objects.get(record=row, state="open") for row in rivals]
    source = cite(make_source(project))
    said = [
        (asked[0], people[0], Answer.PROMOTE),
        (asked[1], people[1], Answer.PROMOTE),
        (asked[0], people[2], Answer.REJECT),
        (asked[1], people[3], Answer.BURY),
    ]

    def give(request: PromotionRequest, who: int, answer: Answer) -> object:
        told = Said(
            answer,
            bytes(request.content_digest),
            bytes(request.evidence_digest),
            reason="As on the label",
        )
        return decide_promotion(request_id=request.pk, actor=people[who], said=told)

    given = at_once(
        *(lambda row=row, at=at: give(row[0], at, row[2]) for at, row in enumerate(said)),
        lambda: propose(project, "It is 50 mg", **CAP, object="50 mg", evidence=source),
    )
    refused = [one for one in given[:4] if isinstance(one, Exception)]
    assert all(isinstance(one, Refusal) and one.status == 409 for one in refused), refused
    decided = PromotionDecision.objects.filter(request__in=asked)
    assert decided.count() == 4 - len(refused)
    # Whoever answers first moves what the others looked at: no two answers about one key count.
    assert decided.count() <= 1
    assert Record.objects.filter(project=project, standing="live").count() == 1
    assert (
        PromotionRequest.objects.filter(pk__in=[one.pk for one in asked], state="open").count() == 0
    )
