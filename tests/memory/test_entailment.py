"""Who may say how far a source supports a record: the scorers, and what graders push."""

import json
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from pytest_django.fixtures import Settings

from memory.entailment import Pushed, Score, pair_digest, push_scores, score_pairs
from memory.ports.embedders import register_embedder
from memory.ports.failures import PortFailed
from tests.api_client import Api, data, problem
from tests.make import make_key, make_project
from tests.memory.make import make_source
from tests.memory.model_server import HashedWords, ModelServer, verdict
from tests.verdicts.make import make_issue, push
from verel_site.access.actors import Actor, key_actor
from verel_site.access.models import Project

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]
PAIR = ("The bolus cap is 45 mg.", "The bolus cap is 45 mg")
OTHERWISE = ("The bolus cap is 45 mg.", "The bolus cap is 50 mg")


@pytest.fixture
def judged(settings: Settings, model_server: ModelServer) -> ModelServer:
    settings.VEREL_ENTAILMENT = "judge"
    settings.VEREL_JUDGE_URL = model_server.url
    settings.VEREL_JUDGE_MODEL = "small"
    settings.VEREL_JUDGE_KEY = "sk-test"
    return model_server


def grader(project: Project, name: str = "ci") -> Actor:
    return key_actor(key_id=name, name=name, project_id=project.pk, scopes=["reports:write"])


def test_without_a_model_shared_words_score_and_say_so(project: Project) -> None:
    same, other = score_pairs(project, [PAIR, OTHERWISE])
    assert same == Score(1.0, "lexical", precise=False)
    assert other.value < 0.5


def test_embeddings_see_synonyms_and_not_through_numbers(
    project: Project, settings: Settings
) -> None:
    register_embedder("hashed", HashedWords)
    settings.VEREL_ENTAILMENT, settings.VEREL_EMBEDDER = "embedding", "hashed"
    told = [("The dose limit holds.", "The dosage cap holds"), OTHERWISE]
    alike, other = score_pairs(project, told)
    assert alike.value > 0.99
    assert (alike.source, alike.precise) == ("embedding:hashed-words", False)
    assert other.value < 0.5


def test_a_judge_is_asked_about_each_pair_alone_and_its_number_is_taken(
    project: Project, judged: ModelServer
) -> None:
    def say(path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        told = json.loads(body["messages"][1]["content"])
        value = 0.9 if "45" in told["hypothesis"] else 0.1
        return 200, json.dumps(verdict(json.dumps({"entailment": value}))).encode()

    judged.say = say
    assert score_pairs(project, [PAIR, OTHERWISE, PAIR]) == [
        Score(0.9, "judge:small", precise=False),
        Score(0.1, "judge:small", precise=False),
        Score(0.9, "judge:small", precise=False),
    ]
    assert [path for path, _, _ in judged.asked] == ["/v1/chat/completions"] * 2
    assert {key for _, _, key in judged.asked} == {"Bearer sk-test"}


@pytest.mark.parametrize(
    "content",
    [
        "1.0",
        '{"entailment": "1.0"}',
        '{"entailment": true}',
        '{"entailment": 1.5}',
        '{"entailment": NaN}',
        '{"entailment": 0.1, "entailment": 1.0}',
        '{"entailment": 0.9, "precise": true}',
        'Sure! {"entailment": 0.9}',
        "[" * 5_000,
        None,
        {"entailment": 0.9},
    ],
)
def test_what_a_judge_says_beside_its_number_is_refused(
    project: Project, judged: ModelServer, content: Any
) -> None:
    judged.answer(verdict(content))
    with pytest.raises(PortFailed):
        score_pairs(project, [PAIR])


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {}),
        (302, {}),
        (200, b"<html>"),
        (200, []),
        (200, {"choices": []}),
        (200, b'{"pad": "' + b"x" * (17 * 1024 * 1024) + b'"}'),
    ],
)
def test_a_judge_that_does_not_answer_is_no_score(
    project: Project, judged: ModelServer, status: int, body: Any
) -> None:
    judged.answer(body, status)
    with pytest.raises(PortFailed):
        score_pairs(project, [PAIR])


def test_a_judge_that_is_not_there_is_no_score(project: Project, settings: Settings) -> None:
    settings.VEREL_ENTAILMENT, settings.VEREL_JUDGE_MODEL = "judge", "small"
    settings.VEREL_JUDGE_URL = "http://127.0.0.1:1/v1"
    with pytest.raises(PortFailed):
        score_pairs(project, [PAIR])


@pytest.mark.parametrize("chosen", [("judge", "none"), ("embedding", "none"), ("lexical", "local")])
def test_a_choice_that_lacks_what_it_takes_stops_the_start(
    project: Project, settings: Settings, chosen: tuple[str, str]
) -> None:
    settings.VEREL_ENTAILMENT, settings.VEREL_EMBEDDER = chosen
    with pytest.raises(SystemCheckError, match="VEREL_"):
        call_command("check")
    if chosen[0] != "lexical":
        with pytest.raises(ImproperlyConfigured, match="VEREL_"):
            score_pairs(project, [PAIR])


def test_a_pushed_score_counts_before_the_scorer_and_the_lowest_of_several(
    project: Project,
) -> None:
    pair = pair_digest(*PAIR)
    push_scores(project_id=project.pk, actor=grader(project), pushed=[Pushed(pair, 0.9)])
    assert score_pairs(project, [PAIR]) == [Score(0.9, "pushed:ci", precise=False)]
    other = grader(project, "nightly")
    push_scores(project_id=project.pk, actor=other, pushed=[Pushed(pair, 0.6)])
    assert score_pairs(project, [PAIR]) == [Score(0.6, "pushed:nightly", precise=False)]
    push_scores(project_id=project.pk, actor=other, pushed=[Pushed(pair, 0.95)])
    assert score_pairs(project, [PAIR])[0].source == "pushed:ci"
    assert score_pairs(make_project(), [PAIR])[0].source == "lexical"


def test_told_to_take_pushed_scores_alone_what_nobody_scored_is_not_supported(
    project: Project, settings: Settings
) -> None:
    settings.VEREL_ENTAILMENT = "pushed"
    assert score_pairs(project, [PAIR]) == [Score(0.0, "unscored", precise=False)]


@pytest.mark.parametrize(
    ("value", "fails", "sees", "precise"),
    [
        (0.9, False, {}, True),
        (0.8, False, {}, False),
        (0.9, True, {}, False),
        (0.9, True, {"sees": "fail"}, True),
        (0.9, False, {"sees": "fail"}, False),
    ],
)
def test_precise_takes_a_precise_graders_report_that_agrees(
    project: Project, value: float, fails: bool, sees: dict[str, str], precise: bool
) -> None:
    event = make_source(project)
    told = push(event.branch, issues=[make_issue()] if fails else [])
    api = Api(make_key(project, "reports:write"))
    pair = pair_digest(*PAIR).hex()
    row = {"pair": pair, "value": value, "event": str(event.event_id), "report": str(told.pk)}
    row |= sees
    stored = data(api.post("memory/scores", {"scores": [row]}), 201)
    assert stored == {"scores": [{"pair": pair, "value": value, "precise": precise}]}
    (score,) = score_pairs(project, [PAIR])
    assert (score.precise, score.report) == (precise, told.pk if precise else None)


def test_bad_scores_are_told_where_they_are(project: Project) -> None:
    api, pair = Api(make_key(project, "reports:write")), "ab" * 32
    event = str(make_source(project).event_id)
    for row, status, code, pointer in [
        ({"pair": "xy", "value": 1}, 400, "bad_input", "/scores/0/pair"),
        ({"pair": pair}, 400, "bad_input", "/scores/0/value"),
        ({"pair": pair, "value": 2}, 400, "bad_input", "/scores/0/value"),
        ({"pair": pair, "value": 1, "event": event}, 400, "bad_input", "/scores/0/report"),
        (
            {"pair": pair, "value": 1, "event": event, "report": event, "sees": "no"},
            400,
            "bad_input",
            "/scores/0/sees",
        ),
        (
            {"pair": pair, "value": 1, "event": event, "report": event},
            422,
            "bad_evidence",
            "/scores/0/report",
        ),
        (
            {"pair": pair, "value": 1, "event": pair[:32], "report": event},
            422,
            "bad_evidence",
            "/scores/0/event",
        ),
    ]:
        problem(api.post("memory/scores", {"scores": [row]}), status, code, pointer)
    good = {"pair": pair, "value": 1}
    problem(api.post("memory/scores", {"scores": [good, good]}), 422, "bad_scores", "/scores")
    problem(api.post("memory/scores", {"scores": []}), 400, "bad_input", "/scores")
    agent = Api(make_key(project, "memory:propose"))
    problem(agent.post("memory/scores", {"scores": [good]}), 403, "forbidden")
