"""A fork's context begins with its parent's up to the fork point, byte for byte, as HTTP answers it:
what a model server's prefix cache is asked for again."""

import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branches.models import Branch
from branches.selectors.context import FORMATS
from tests.branches.test_triplet_trees import Tree, grow
from tests.make import make_key

pytestmark = pytest.mark.django_db


def read_answer(client: Client, branch: Branch, **query: Any) -> tuple[str, dict[str, Any]]:
    """The bytes between the brackets of `messages` as they stand in the answer, and all of it."""
    answer = client.get(f"/api/v1/branches/{branch.pk}/context", query)
    assert answer.status_code == 200, answer.content
    text = answer.content.decode()
    start = text.index('"messages":[') + len('"messages":')
    _, end = json.JSONDecoder().raw_decode(text, start)
    return text[start + 1 : end - 1], json.loads(text)


def check_fork(client: Client, fork: Branch, told: str, warm_fork_first: bool) -> None:
    assert fork.parent is not None
    asked = [(fork, {}), (fork.parent, {"upto": fork.fork_seq})]
    answers = {}
    for branch, query in asked if warm_fork_first else reversed(asked):
        answers[branch.pk] = read_answer(client, branch, format=told, **query)
    (ours, fork_body), (theirs, parent_body) = answers[fork.pk], answers[fork.parent.pk]
    assert ours == theirs or not theirs or ours.startswith(f"{theirs},")
    assert fork_body["cache_key"] == parent_body["cache_key"]
    # Nothing of the fork's own yet: the whole of its messages is its parent's.
    assert read_answer(client, fork, format=told, upto=0)[0] == theirs
    if told == "anthropic" and theirs:
        assert fork_body["system"] == parent_body["system"]


def check_tree(tree: Tree, told: str, data: st.DataObject) -> None:
    client = Client(headers={"Authorization": f"Bearer {make_key(tree.project, 'context:read')}"})
    forks = [branch for branch in tree.branches if branch.parent_id is not None]
    keys = set()
    for fork in forks:
        check_fork(client, fork, told, data.draw(st.booleans(), label="the fork is asked first"))
        keys.add(read_answer(client, fork, format=told)[1]["cache_key"])
    assert len(keys) == 1


@pytest.mark.parametrize("told", FORMATS)
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_forks_answer_begins_with_the_bytes_of_its_parents(
    told: str, data: st.DataObject
) -> None:
    check_tree(grow(data), told, data)
