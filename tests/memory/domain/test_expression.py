import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.domain.expression import (
    MAX_TEXT,
    AllOf,
    AnyOf,
    BadExpression,
    Comparison,
    Condition,
    Not,
    Rule,
    Value,
    applies,
    evaluate,
    names_in,
    parse_condition,
    parse_rule,
    write_condition,
    write_rule,
)

TABLE_RULE = 'viewport <= 375 and component == "data-table" => require overflow-x-auto'


def test_the_rule_of_the_specification_is_read_and_applied() -> None:
    rule = parse_rule(TABLE_RULE)
    assert (rule.demand, rule.subject) == ("require", "overflow-x-auto")
    assert applies(rule, {"viewport": 375.0, "component": "data-table"})
    assert not applies(rule, {"viewport": 376.0, "component": "data-table"})
    assert not applies(rule, {"viewport": 320.0})
    assert write_rule(rule) == TABLE_RULE


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("width == 375", True),
        ("width != 375", False),
        ('width == "375"', False),
        ("dark", True),
        ("not dark", False),
        ("dark == true", True),
        ("dark == 1", False),
        ("width", None),
        ("dark < 3", None),
        ("height > 3", None),
        ("not height > 3", None),
        ("height > 3 and width == 1", False),
        ("height > 3 or width == 375", True),
        ("height > 3 and width == 375", None),
        ("name in ['card', \"data-table\"]", True),
        ("name in [1, true]", False),
        ("not (dark and width > 400)", True),
        ("width > 400 or dark and width < 400", True),
        ("(width > 400 or dark) and width > 400", False),
    ],
)
def test_logic_has_three_values_and_no_coercion(text: str, truth: bool | None) -> None:
    facts: dict[str, Value] = {"width": 375.0, "dark": True, "name": "data-table"}
    assert evaluate(parse_condition(text), facts) is truth


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("", 1, 1, "a name"),
        ("width <= ", 1, 10, "a number"),
        ("width <= 375", 1, 13, "=>"),
        ("width <= 375 => ", 1, 17, "one of require"),
        ("width <= 375 => overflow", 1, 17, "one of require"),
        ("width <= 375 => require", 1, 24, "what it asks for"),
        ("width <=\n  height => require x", 2, 3, "“height”"),
        ("(width <= 375 => require x", 1, 15, "“)”"),
        ("width in 3 => require x", 1, 10, "“[”"),
        ("width in [3 4] => require x", 1, 13, "“]”"),
        ('name == "card => require x', 1, 9, "no closing quote"),
        ("width ; drop => require x", 1, 7, "“;”"),
        ("__import__('os') => require x", 1, 1, "“_”"),
        ("width and and dark => require x", 1, 11, "a name"),
        ("require => require x", 1, 1, "a name"),
        ("width == 3px => require x", 1, 10, "“3”"),
    ],
)
def test_a_fault_has_its_place_and_a_sentence(text: str, line: int, column: int, says: str) -> None:
    with pytest.raises(BadExpression) as caught:
        parse_rule(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert says in caught.value.says


@pytest.mark.parametrize(
    "text", ["not " * 60 + "a", "(" * 60 + "a" + ")" * 60, "a" * (MAX_TEXT + 1)]
)
def test_depth_and_length_are_bounded(text: str) -> None:
    with pytest.raises(BadExpression):
        parse_condition(text)


def test_the_longest_condition_is_read() -> None:
    text = " or ".join(["a"] * (MAX_TEXT // 5))
    assert len(list(names_in(parse_condition(text)))) == MAX_TEXT // 5


def _nest(depth: int) -> str:
    """Each level has a pair of parentheses here, and two as it is written out."""
    return "a and b or c and (" * depth + "a" + ")" * depth


@pytest.mark.parametrize(
    ("text", "at"), [("a<1 and " * (MAX_TEXT // 8 - 1) + "a", 1_993), (_nest(30), 571)]
)
def test_what_could_not_be_read_again_as_it_is_kept_is_refused(text: str, at: int) -> None:
    assert len(text) <= MAX_TEXT
    for read, told in ((parse_condition, text), (parse_rule, f"{text} => require x"[:MAX_TEXT])):
        with pytest.raises(BadExpression):
            read(told)
    with pytest.raises(BadExpression, match="Written out") as caught:
        parse_condition(text)
    assert caught.value.at == at == len(text)
    shallow = parse_condition(_nest(15))
    assert parse_condition(write_condition(shallow)) == shallow


names = st.from_regex(r"[a-z][a-z0-9_.\-]{0,8}", fullmatch=True).filter(
    lambda name: (
        name not in {"and", "or", "not", "in", "true", "false", "require", "forbid", "prefer"}
    )
)
values: st.SearchStrategy[Value] = (
    st.text(max_size=6)
    | st.booleans()
    | st.integers(-(10**9), 10**9).map(lambda whole: whole / 1000)
)
comparisons = (
    st.builds(
        Comparison, names, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), st.tuples(values)
    )
    | st.builds(
        Comparison, names, st.just("in"), st.lists(values, min_size=1, max_size=3).map(tuple)
    )
    | st.builds(Comparison, names, st.just("is"), st.just(()))
)


def _grow(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(Not, inner) | st.builds(AllOf, several) | st.builds(AnyOf, several)


conditions: st.SearchStrategy[Condition] = st.recursive(comparisons, _grow, max_leaves=8)
facts = st.dictionaries(names, values, max_size=4)


@given(conditions, facts)
def test_what_is_written_reads_as_the_same_condition(
    condition: Condition, known: dict[str, Value]
) -> None:
    read = parse_condition(write_condition(condition))
    assert read == condition
    assert evaluate(read, known) is evaluate(condition, known)


@given(conditions, facts, facts)
def test_more_knowledge_never_turns_an_answer(
    condition: Condition, known: dict[str, Value], more: dict[str, Value]
) -> None:
    before = evaluate(condition, known)
    after = evaluate(condition, {**more, **known})
    assert before is None or after is before


def _fault_of(text: str) -> BadExpression | Rule:
    try:
        return parse_rule(text)
    except BadExpression as fault:
        return fault


@given(st.text(max_size=80))
def test_any_text_is_a_rule_or_a_fault_with_a_place_in_it(text: str) -> None:
    found = _fault_of(text)
    if isinstance(found, BadExpression):
        assert 0 <= found.at <= len(text)
        assert found.line >= 1
        assert found.column >= 1
    else:
        assert parse_rule(write_rule(found)) == found
