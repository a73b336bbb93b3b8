"""More than two continuations: round by round through the inbox, undone, merged, and at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.urls import reverse

from branches.models import Branch, Triplet
from tests.make import (
    append,
    make_fork,
    make_message,
    make_person,
    make_project,
    make_run,
)
from tests.verdicts.make import push
from verdicts.comparisons import draw_sides, label_comparison, withdraw_label
from verdicts.contests import (
    ContestOpen,
    ContestRefused,
    advance_contest,
    merge_contest,
    open_contest,
    play_contest,
)
from verdicts.models import Comparison, Contender, Contest, Label
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import Role
from verel_site.inbox.decisions import decide_item, undo_decision
from verel_site.inbox.models import Decision, Item
from verel_site.inbox.sweeps import sweep_inbox
from verel_site.kit.refusals import Forbidden, NotFound

pytestmark = pytest.mark.django_db


@pytest.fixture
def forks(project: Project) -> list[Branch]:
    _, trunk = make_run(project)
    append(trunk, make_message("user", "Cap the dose."))
    made = [make_fork(trunk, 2, f"Dose = {n}mg", name=f"Secret {n}").branch for n in range(4)]
    for fork in made:
        append(fork, make_message("assistant", f"done {fork.number}"))
    return made


def begin(forks: list[Branch], actor: Actor, **extra: int) -> Contest:
    return open_contest(branches=[fork.pk for fork in forks], actor=actor, **extra)


def order_of(contest: Contest) -> list[Branch]:
    rows = Contender.objects.filter(contest=contest).select_related("branch")
    return [row.branch for row in rows.order_by("position")]


def current(contest: Contest) -> Comparison:
    contest.refresh_from_db()
    assert contest.current is not None
    return contest.current


def say(contest: Contest, actor: Actor, better: Branch | str) -> Decision:
    """One word on the present round, through its item in the inbox."""
    pair = current(contest)
    sides = draw_sides(comparison_id=pair.pk, reviewer=actor)
    answer = better
    if isinstance(better, Branch):
        answer = "left" if sides.left.branch.pk == better.pk else "right"
    item = Item.objects.get(kind="comparison", subject=pair.pk)
    return decide_item(item_id=item.pk, actor=actor, answer=str(answer), digest=item.digest)


def waiting() -> set[object]:
    return set(Item.objects.filter(kind="comparison", state="open").values_list("subject"))


def test_the_winner_of_each_round_meets_the_next_and_wins_over_all(
    forks: list[Branch], ines: User
) -> None:
    actor = actor_of_user(ines)
    contest = begin(forks, actor)
    a, b, c, d = order_of(contest)
    for better, champion in ((b, b), (b, b), (d, d)):
        assert len(waiting()) == 1, "one round waits at a time"
        assert current(contest).cause == "contest"
        say(contest, actor, better)
        assert champion in (b, d)
    contest.refresh_from_db()
    assert (contest.state, contest.winner, contest.current) == ("done", d, None)
    assert not waiting()
    judged = {frozenset((row.first, row.second)) for row in Comparison.objects.all()}
    assert judged == {frozenset((a, b)), frozenset((b, c)), frozenset((b, d))}
    assert Item.objects.filter(about__contains="4 siblings, round 3 of 3").exists()


def test_the_order_is_drawn_once_and_the_same_heads_are_the_same_contest(
    forks: list[Branch], ines: User
) -> None:
    actor = actor_of_user(ines)
    contest = begin(forks, actor)
    before = order_of(contest)
    assert begin(list(reversed(forks)), actor) == contest
    assert order_of(contest) == before
    orders = set()
    for _ in range(12):
        project = make_project()
        _, trunk = make_run(project)
        append(trunk, make_message("user", "Go"))
        several = [make_fork(trunk, 2, f"Dose = {n}mg").branch for n in range(3)]
        another = begin(several, make_person(project))
        orders.add(tuple(several.index(branch) for branch in order_of(another)))
    assert len(orders) > 1, "and not as it was given"


def test_an_undone_word_takes_back_the_round_that_followed(forks: list[Branch], ines: User) -> None:
    actor = actor_of_user(ines)
    contest = begin(forks, actor)
    a, b, c, _ = order_of(contest)
    first = current(contest)
    decision = say(contest, actor, a)
    second = current(contest)
    undo_decision(decision_id=decision.pk, actor=actor)
    assert current(contest) == first
    assert waiting() == {(first.pk,)}
    assert Item.objects.get(subject=second.pk).state == Item.State.CLOSED
    say(contest, actor, a)
    assert current(contest) == second, "the same word again leads to the same round"
    assert waiting() == {(second.pk,)}
    say(contest, actor, c)
    assert {current(contest).first, current(contest).second} & {c}
    assert b not in (current(contest).first, current(contest).second)


def test_what_was_judged_before_is_not_asked_again(forks: list[Branch], ines: User) -> None:
    actor = actor_of_user(ines)
    contest = begin(forks, actor)
    for _ in range(3):
        say(contest, actor, "equal")
    winner = order_of(contest)[0]
    contest.refresh_from_db()
    assert contest.winner == winner
    Contest.objects.filter(pk=contest.pk).update(digest="00" * 32)
    again = begin(forks, actor)
    asked = current(again) if again.state == "open" else None
    said = Label.objects.standing().values_list("comparison")
    assert asked is None or (asked.pk,) not in set(said)


def test_reviewers_who_disagree_over_a_round_wait_for_their_adjudicator(
    project: Project, forks: list[Branch], ines: User
) -> None:
    actor, other, judge = actor_of_user(ines), make_person(project), make_person(project)
    contest = begin(forks[:3], actor, required=2)
    a, b, c = order_of(contest)
    say(contest, actor, a)
    pair = current(contest)
    assert {pair.first, pair.second} == {a, b}, "one of two has judged"
    say(contest, other, b)
    assert current(contest) == pair
    sweep_inbox()
    item = Item.objects.get(kind="adjudication")
    sides = draw_sides(comparison_id=pair.pk, reviewer=judge)
    answer = "left" if sides.left.branch == b else "right"
    word = decide_item(item_id=item.pk, actor=judge, answer=answer, digest=item.digest)
    assert {current(contest).first, current(contest).second} == {b, c}
    undo_decision(decision_id=word.pk, actor=judge)
    assert current(contest) == pair, "the adjudicator took it back"


def test_a_contender_that_grows_or_ends_drops_out(forks: list[Branch], ines: User) -> None:
    actor = actor_of_user(ines)
    contest = begin(forks, actor)
    a, b, c, d = order_of(contest)
    append(b, make_message("assistant", "more"))
    sweep_inbox()
    sweep_inbox()
    pair = current(contest)
    assert {pair.first, pair.second} == {a, c}
    assert waiting() == {(pair.pk,)}
    say(contest, actor, c)
    say(contest, actor, c)
    contest.refresh_from_db()
    assert contest.winner == c
    assert d != c


def test_nobody_wins_where_the_last_champion_was_called_bad(
    forks: list[Branch], ines: User
) -> None:
    actor = actor_of_user(ines)
    contest = begin(forks[:3], actor)
    say(contest, actor, "both_bad")
    say(contest, actor, "equal")
    contest.refresh_from_db()
    assert (contest.state, contest.winner) == ("done", None)
    with pytest.raises(ContestOpen):
        merge_contest(contest_id=contest.pk, actor=actor)


def test_the_winner_is_merged_over_all_others_and_a_reversal_takes_it_back(
    client: Client, forks: list[Branch], ines: User
) -> None:
    actor = actor_of_user(ines)
    client.force_login(ines)
    contest = begin(forks, actor)
    a, b, *_ = order_of(contest)
    for better in (a, a, a):
        say(contest, actor, better)
    address = reverse("contest", args=[contest.pk])
    assert "Merge it over the other 3" in client.get(address).content.decode()
    refused = client.post(reverse("contest-merge", args=[contest.pk]))
    assert refused.status_code == 409, "nobody graded it"
    push(a)
    merged = client.post(reverse("contest-merge", args=[contest.pk]), {"note": "the best"})
    assert merged.status_code == 302
    assert Triplet.objects.filter(withdrawn_at=None).count() == 3
    assert "see what came of it" in client.get(address).content.decode()
    first = Label.objects.get(rejected=b)
    withdraw_label(label_id=first.pk, actor=actor, reason="I misread it")
    assert not Triplet.objects.filter(withdrawn_at=None).exists()
    contest.refresh_from_db()
    assert contest.state == "open"
    assert {row.status for row in Branch.objects.filter(contenders__contest=contest)} == {"running"}


@pytest.mark.django_db(transaction=True)
def test_steps_at_once_leave_one_round_waiting(forks: list[Branch], ines: User) -> None:
    actor = actor_of_user(ines)
    contest = begin(forks, actor)
    pair = current(contest)
    draw_sides(comparison_id=pair.pk, reviewer=actor)
    label_comparison(comparison_id=pair.pk, actor=actor, choice="left")

    def step(_: int) -> None:
        try:
            advance_contest(contest.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(step, range(8)))
    assert len(waiting()) == 1
    assert Comparison.objects.count() == 2


def test_what_is_no_contest_is_refused(project: Project, forks: list[Branch]) -> None:
    actor = make_person(project)
    _, elsewhere = make_run(project)
    for wrong in (forks[:2], [*forks[:2], forks[0]], [*forks[:2], elsewhere], forks * 4):
        with pytest.raises(ContestRefused) as refused:
            begin(wrong, actor)
        assert refused.value.pointer == "/branches"
    with pytest.raises(ContestRefused):
        begin(forks, actor, required=0)
    with pytest.raises(Forbidden):
        begin(forks, make_person(project, Role.VIEWER))
    with pytest.raises(NotFound):
        begin(forks, make_person(make_project()))
    assert not Contest.objects.exists()


def test_the_page_is_sealed_until_the_end(
    client: Client, project: Project, forks: list[Branch], ines: User
) -> None:
    client.force_login(ines)
    opened = client.post(
        reverse("contest-open", args=[forks[0].run_id]),
        {"several": [str(fork.pk) for fork in forks[:3]]},
    )
    assert opened.status_code == 302
    contest = Contest.objects.get()
    address = reverse("contest", args=[contest.pk])
    actor = actor_of_user(ines)
    first = order_of(contest)[0]
    say(contest, actor, first)
    page = client.get(address).content.decode()
    assert "Round 2 of 2" in page
    assert "Secret" not in page
    api = client.get(f"/api/v1/contests/{contest.pk}").json()
    assert (api["state"], api["rounds"], api["winner"], api["rounds_decided"]) == (
        "open",
        [],
        None,
        1,
    )
    say(contest, actor, first)
    page = client.get(address).content.decode()
    assert f"{first.label} won" in page
    api = client.get(f"/api/v1/contests/{contest.pk}").json()
    assert api["winner"] == str(first.pk)
    assert len(api["rounds"]) == len(api["losers"]) == 2


def test_the_form_keeps_what_was_marked_and_the_api_points_at_the_fault(
    client: Client, forks: list[Branch], ines: User
) -> None:
    client.force_login(ines)
    two = [str(fork.pk) for fork in forks[:2]]
    refused = client.post(
        reverse("contest-open", args=[forks[0].run_id]), {"several": [*two, "no id"]}
    )
    assert refused.status_code == 422
    assert refused.content.decode().count(" checked") == 2
    wrong = client.post("/api/v1/contests", {"branches": two}, content_type="application/json")
    assert (wrong.status_code, wrong.json()["pointer"]) == (422, "/branches")
    made = client.post(
        "/api/v1/contests",
        {"branches": [str(fork.pk) for fork in forks], "reviewers": 2},
        content_type="application/json",
    )
    assert (made.status_code, made.json()["contenders"]) == (201, 4)
    contest = Contest.objects.get()
    rows = list(contest.contenders.order_by("position").select_related("branch"))
    assert play_contest(contest, rows).pending is not None
