import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.domain.content import BadKey, content_digest, is_scope, make_key, narrowness, tier_of
from memory.domain.terms import Tier


@pytest.mark.parametrize(
    ("subject", "predicate", "key"),
    [
        ("limits.bolus", "max_dose", "limits.bolus|max_dose"),
        ("  Limits.Bolus ", "MAX_DOSE", "limits.bolus|max_dose"),
        ("ｌｉｍｉｔｓ", "max\u00a0 dose", "limits|max dose"),
        ("", "", ""),
    ],
)
def test_a_key_is_the_same_however_it_is_spelled(subject: str, predicate: str, key: str) -> None:
    assert make_key(subject, predicate) == key


@pytest.mark.parametrize(
    ("subject", "predicate"), [("a", ""), ("", "b"), ("a|b", "c"), ("a" * 201, "b")]
)
def test_half_a_key_and_a_bar_in_one_are_refused(subject: str, predicate: str) -> None:
    with pytest.raises(BadKey):
        make_key(subject, predicate)


@pytest.mark.parametrize("scope", ["team", "global", "repo:pump-control", "agent:dose-fixer"])
def test_scopes_are_words_or_named(scope: str) -> None:
    assert is_scope(scope)


@pytest.mark.parametrize("scope", ["", "Team", "repo", "repo:", "repo:a b", "repo:a|b", "user:x"])
def test_what_is_no_scope_is_refused(scope: str) -> None:
    assert not is_scope(scope)


def test_an_agent_is_narrower_than_a_repository_and_that_than_the_team() -> None:
    order = ["agent:a", "repo:b", "team", "global"]
    assert sorted(order, key=narrowness, reverse=True) == order
    assert [tier_of(scope) for scope in order] == [
        Tier.PRIVATE,
        Tier.PRIVATE,
        Tier.TEAM,
        Tier.GLOBAL,
    ]


@given(st.lists(st.tuples(st.text(), st.text())), st.lists(st.tuples(st.text(), st.text())))
def test_two_contents_share_a_digest_only_if_they_are_the_same(
    one: list[tuple[str, str]], other: list[tuple[str, str]]
) -> None:
    same = content_digest("fact", one) == content_digest("fact", other)
    assert same == (one == other)


def test_a_digest_does_not_survive_a_moved_boundary_or_another_kind() -> None:
    assert content_digest("fact", [("ab", "c")]) != content_digest("fact", [("a", "bc")])
    assert content_digest("fact", [("a", "b")]) != content_digest("rule", [("a", "b")])
