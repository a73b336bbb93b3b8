import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from branches.models import Branch, Merge
from tests.api_client import Api, data, problem
from tests.branches.api.test_bad_input import count_rows
from tests.make import append, make_fork, make_key, make_message, make_run, make_user
from tests.verdicts.make import make_issue, push
from verel_site.access.models import Project
from verel_site.access.rights import Role

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]


@pytest.fixture
def pair() -> tuple[Branch, Branch]:
    """A graded fork that won, and the trunk that lost."""
    trunk = make_run()[1]
    append(trunk, make_message("user", "Cap the dose"))
    winner = make_fork(trunk, 2).branch
    append(trunk, make_message("assistant", "At 80mg"))
    append(winner, make_message("assistant", "At 50mg"))
    push(winner, "test")
    return winner, trunk


@pytest.fixture
def project(pair: tuple[Branch, Branch]) -> Project:
    return pair[0].project


@pytest.fixture
def person(project: Project) -> Api:
    return Api(user=make_user(project, Role.REVIEWER))


def ask(pair: tuple[Branch, Branch], **changes: Any) -> dict[str, Any]:
    winner, loser = pair
    heads = {str(branch.pk): bytes(branch.head_digest).hex() for branch in pair}
    return {"winner": str(winner.pk), "losers": [str(loser.pk)], "expected_heads": heads, **changes}


def merge(pair: tuple[Branch, Branch], person: Api, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = data(person.post("merges", ask(pair, **changes)), 201)
    return made


def end_undo() -> None:
    Merge.objects.update(undo_until=timezone.now() - timedelta(seconds=1))


def test_a_merge_ends_both_sides_and_answers_with_its_triplet(
    pair: tuple[Branch, Branch], person: Api
) -> None:
    made = merge(pair, person, note="stays below 50")
    assert made["admission"]["open"]
    (triplet,) = made["triplets"]
    assert triplet["prompt"] == [{"role": "user", "content": "Cap the dose"}]
    assert triplet["chosen"] == [{"role": "assistant", "content": "At 50mg"}]
    assert triplet["rejected"] == [{"role": "assistant", "content": "At 80mg"}]
    assert data(person.get(f"merges/{made['merge']}")) == made
    statuses = [data(person.get(f"branches/{branch.pk}"))["status"] for branch in pair]
    assert statuses == ["merged", "abandoned"]


def test_a_revert_reopens_both_and_withdraws(pair: tuple[Branch, Branch], person: Api) -> None:
    made = merge(pair, person)
    path = f"merges/{made['merge']}/revert"
    problem(person.post(path), 422, "reason_missing", "/reason")
    reverted = data(person.post(path, {"reason": "wrong one"}))
    assert reverted["revert_reason"] == "wrong one"
    assert reverted["triplets"][0]["withdrawn_at"] is not None
    problem(person.post(path, {"reason": "again"}), 409, "already_reverted")
    assert data(person.get("triplets"))["results"] == []
    statuses = [data(person.get(f"branches/{branch.pk}"))["status"] for branch in pair]
    assert statuses == ["running", "running"]


def test_a_repeat_under_one_key_merges_once(pair: tuple[Branch, Branch], person: Api) -> None:
    first = person.post("merges", ask(pair), Idempotency_Key="k")
    again = person.post("merges", ask(pair), Idempotency_Key="k")
    assert again.content == first.content
    problem(person.post("merges", ask(pair)), 409, "already_ended")
    assert Merge.objects.count() == 1


def test_refused_merges_leave_nothing(pair: tuple[Branch, Branch], person: Api) -> None:
    winner, loser = pair
    stranger = make_run(winner.project)[1]
    foreign = make_run()[1]
    wrong = {str(winner.pk): "00" * 32, str(loser.pk): bytes(loser.head_digest).hex()}
    before = count_rows()
    cases: list[tuple[dict[str, Any], int, str, str | None]] = [
        ({"losers": [str(winner.pk)]}, 422, "winner_among_losers", "/losers"),
        ({"losers": [str(foreign.pk)]}, 404, "not_found", "/losers"),
        ({"losers": [str(stranger.pk)]}, 422, "other_run", "/losers"),
        ({"losers": []}, 400, "bad_input", "/losers"),
        ({"losers": ["x"]}, 400, "bad_input", "/losers/0"),
        ({"losers": [str(loser.pk)] * 2}, 422, "unprocessable", "/losers"),
        ({"winner": str(foreign.pk)}, 404, "not_found", None),
        ({"granularity": "word"}, 400, "bad_input", "/granularity"),
        ({"expected_heads": []}, 400, "bad_input", "/expected_heads"),
        ({"expected_heads": {"x": "00" * 32}}, 400, "bad_input", "/expected_heads/x"),
        ({"expected_heads": {str(winner.pk): "00"}}, 400, "bad_input",
         f"/expected_heads/{winner.pk}"),
        ({"expected_heads": wrong}, 409, "head_moved", None),
        ({"expected_heads": {}}, 422, "heads_missing", "/expected_heads"),
        ({"note": 7}, 400, "bad_input", "/note"),
    ]  # fmt: skip
    for change, status, code, pointer in cases:
        problem(person.post("merges", ask(pair, **change)), status, code, pointer)
        assert count_rows() == before, change


def test_a_shut_gate_lets_only_an_admin_past_with_a_reason(
    pair: tuple[Branch, Branch], project: Project, person: Api
) -> None:
    push(pair[0], "test", [make_issue()])
    admin = Api(user=make_user(project, Role.ADMIN))
    before = count_rows()
    problem(person.post("merges", ask(pair)), 409, "gate_shut")
    problem(person.post("merges", ask(pair, bypass_reason="hurry")), 403, "forbidden")
    blank = admin.post("merges", ask(pair, bypass_reason=" "))
    problem(blank, 422, "bypass_reason_missing", "/bypass_reason")
    assert count_rows() == before
    assert merge(pair, admin, bypass_reason="flaky")["bypass_reason"] == "flaky"


def test_a_trainer_sees_triplets_when_the_time_to_undo_is_up(
    pair: tuple[Branch, Branch], project: Project, person: Api
) -> None:
    made = merge(pair, person)
    trainer = Api(make_key(project, "exports:read"))
    assert data(person.get("triplets"))["results"] == made["triplets"]
    assert data(trainer.get("triplets"))["results"] == []
    end_undo()
    assert data(trainer.get("triplets")) == {"results": made["triplets"], "next": None}
    assert data(trainer.get("triplets?after=1"))["results"] == []
    problem(Api(make_key(project, "events:write")).get("triplets"), 403, "forbidden")


def test_a_dataset_is_made_read_and_downloaded(
    pair: tuple[Branch, Branch], project: Project, person: Api
) -> None:
    trainer = Api(make_key(project, "exports:read"))
    problem(trainer.post("datasets", {"format": "trl"}), 409, "nothing_to_export")
    made = merge(pair, person)
    end_undo()
    body = {"format": "trl", "filter": {"run": made["run"]}}
    dataset = data(trainer.post("datasets", body, Idempotency_Key="k"), 201)
    assert data(trainer.post("datasets", body, Idempotency_Key="k"), 201) == dataset
    path = f"datasets/{dataset['dataset']}"
    assert data(trainer.get(path)) == dataset
    rows = trainer.get(f"{path}/file")
    assert rows["Content-Disposition"].startswith("attachment")
    (row,) = [json.loads(line) for line in rows.getvalue().splitlines()]
    assert row["chosen"] == made["triplets"][0]["chosen"]
    manifest = json.loads(trainer.get(f"{path}/file?name=manifest.json").getvalue())
    assert manifest == dataset["manifest"]
    for name in ("../secret_key", "nothing"):
        told = problem(trainer.get(f"{path}/file?name={name}"), 400, "bad_input")
        assert told["parameter"] == "name"
    problem(trainer.post("datasets", {"format": "xml"}), 422, "unknown_format", "/format")
    wrong = trainer.post("datasets", {"filter": {"colour": 1}})
    problem(wrong, 422, "unprocessable", "/filter/colour")


def test_a_merges_triplets_are_shown_to_whom_the_list_of_triplets_is(
    pair: tuple[Branch, Branch], person: Api, project: Project
) -> None:
    made = merge(pair, person)
    trainer = Api(make_key(project, "exports:read"))
    agent = Api(make_key(project, "events:write"))

    def shown(reader: Api) -> int:
        return len(data(reader.get(f"merges/{made['merge']}"))["triplets"])

    assert [shown(reader) for reader in (person, trainer, agent)] == [1, 0, 0]
    end_undo()
    assert [shown(reader) for reader in (person, trainer, agent)] == [1, 1, 0]
    data(person.post(f"merges/{made['merge']}/revert", {"reason": "too early"}))
    assert [shown(reader) for reader in (person, trainer, agent)] == [1, 0, 0]
