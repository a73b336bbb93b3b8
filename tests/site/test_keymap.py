"""The map of keys: what the pages print is what it says, and what clashes is refused."""

import re
from typing import Final

import pytest
from django.conf import settings

from verel_site.keymap import BadKeys, check_keys, key_groups, own_keys, scripted_keys

TEMPLATES: Final = settings.BASE_DIR / "templates"
PRINTED: Final = re.compile(r'{% (?:press|cap) "([\w.]+)" "([^"]+)"')
ACTS: Final = {act.id: act for group in key_groups() for act in group.acts}


def printed() -> list[tuple[str, str, str]]:
    """(template, act, usual key) of every element that a key presses."""
    return [
        (path.name, act, key)
        for path in TEMPLATES.rglob("*.html")
        for act, key in PRINTED.findall(path.read_text())
    ]


def test_templates_print_the_usual_keys_of_the_map() -> None:
    found = printed()
    assert len(found) > 40
    assert [one for one in found if one[1] not in ACTS or ACTS[one[1]].key != one[2]] == []


def test_every_act_of_the_map_is_on_some_page() -> None:
    kinds = {group.name for group in key_groups()[6:]}
    used = {act for _, act, _ in printed()}
    lost = [
        act.id
        for act in ACTS.values()
        if not (act.fixed or act.scripted or act.id in used)
        and act.id.split(".")[0] not in {"go", *kinds}
    ]
    assert lost == []


def test_no_template_has_a_bare_key_that_nobody_could_change() -> None:
    bare = {
        key
        for path in TEMPLATES.rglob("*.html")
        for key in re.findall(r'data-key="([^"{]+)"', path.read_text())
    }
    assert bare <= {"Ctrl+Enter", "Escape"}


def test_each_kind_of_the_inbox_lists_the_answers_that_it_registered() -> None:
    names = {group.name for group in key_groups()}
    assert {"approval", "comparison", "adjudication", "escalation", "promotion"} <= names
    assert ACTS["comparison.both_bad"].key == "x"
    assert ACTS["approval.respond"].words == "Reply"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"inbox.skip": "s"}, {"inbox.skip": "s"}),
        ({"inbox.skip": "w"}, {}),
        ({"inbox.skip": ""}, {}),
        ({"everywhere.jump": "Ctrl+P"}, {"everywhere.jump": "Ctrl+P"}),
        ({"go.runs": "0"}, {"go.runs": "0"}),
        # Two that change places, and the same key on pages that never meet.
        (
            {"comparison.left": "b", "comparison.right": "a"},
            {"comparison.left": "b", "comparison.right": "a"},
        ),
        ({"promotion.merge": "f"}, {"promotion.merge": "f"}),
    ],
)
def test_what_can_be_told_apart_is_kept(given: dict[str, str], kept: dict[str, str]) -> None:
    assert check_keys(given) == kept


@pytest.mark.parametrize(
    ("given", "at", "told"),
    [
        ({"inbox.skip": "u"}, "inbox.skip", "“Give the claim back” (Inbox)"),
        ({"inbox.skip": "z"}, "inbox.skip", "“Undo the last decision” (Everywhere)"),
        ({"inbox.skip": "a"}, "inbox.skip", "is already"),
        ({"rows.next": "a"}, "rows.next", "is already"),
        ({"inbox.skip": "3"}, "inbox.skip", "“Rubric” (Inbox)"),
        ({"comparison.left": "e"}, "comparison.left", "“Equal” (Comparison)"),
        ({"comparison.left": "g"}, "comparison.left", "g r is already “Go to runs”"),
        ({"go.runs": "k r"}, "go.runs", "k is already “Previous row” (Lists)"),
        ({"approval.edit": "f"}, "approval.edit", "“Fork here” (A run)"),
        ({"inbox.skip": "ab"}, "inbox.skip", "Give one key"),
        ({"inbox.skip": "ü"}, "inbox.skip", "Give one key"),
        ({"inbox.skip": " "}, "inbox.skip", "Give one key"),
        ({"inbox.skip": "Enter"}, "inbox.skip", "Give one key"),
        ({"inbox.skip": "\x00"}, "inbox.skip", "Give one key"),
        ({"everywhere.jump": "Ctrl+T"}, "everywhere.jump", "belongs to the browser"),
        ({"inbox.open": "o"}, "inbox.open", "cannot be changed"),
        ({"no.such": "o"}, "no.such", "no such act"),
    ],
)
def test_what_cannot_be_told_apart_or_pressed_is_refused_at_its_place(
    given: dict[str, str], at: str, told: str
) -> None:
    with pytest.raises(BadKeys) as refused:
        check_keys(given)
    assert refused.value.pointer == f"/keys/{at}"
    assert told in refused.value.faults[at]


def test_both_sides_of_a_clash_are_told_where_both_were_changed() -> None:
    with pytest.raises(BadKeys) as refused:
        check_keys({"inbox.skip": "q", "inbox.comment": "q"})
    assert set(refused.value.faults) == {"inbox.skip", "inbox.comment"}


def test_scripts_are_told_what_a_key_stands_for_and_which_is_given_up() -> None:
    assert scripted_keys({"inbox.skip": "s"}) == {}
    assert scripted_keys({"rows.next": "n"}) == {"n": "j", "j": ""}
    assert scripted_keys({"rows.next": "k", "rows.previous": "j"}) == {"k": "j", "j": "k"}


def test_a_key_of_an_act_that_is_gone_is_forgotten() -> None:
    assert own_keys({"inbox.skip": "s", "inbox.gone": "q"}) == {"inbox.skip": "s"}


def test_no_two_acts_of_one_group_have_the_same_usual_key() -> None:
    for group in key_groups():
        keys = [act.key for act in group.acts]
        assert len(keys) == len(set(keys)), group.name
