"""The language of design rules and of cues: a condition over named values, and what it asks for.

    rule       = condition "=>" ("require" | "forbid" | "prefer") text
    condition  = all {"or" all}
    all        = single {"and" single}
    single     = "not" single | "(" condition ")" | test
    test       = name [ ("==" | "!=" | "<" | "<=" | ">" | ">=") value | "in" "[" value {"," value} "]" ]
    value      = number | "text" | 'text' | true | false
    name       = letter {letter | digit | "_" | "-" | "."}

A bare name asks whether its value is true. Logic has three values: a name that is not known makes
its test unknown, `not` keeps it so, and a rule applies only where its condition is true. Values of
different types are not equal, and have no order: that too is unknown. Nothing is ever executed.
What is read here is kept in its canonical spelling, and so that spelling is held to the same limits.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, assert_never

MAX_TEXT: Final = 2_000
MAX_DEPTH: Final = 40
DEMANDS: Final = ("require", "forbid", "prefer")

type Value = str | float | bool
type Truth = bool | None

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<arrow>=>)|(?P<op>==|!=|<=|>=|<|>)|(?P<mark>[()\[\],])"""
    r"""|(?P<number>-?\d{1,15}(?:\.\d{1,15})?(?![\w.]))"""
    r"""|"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'"""
    r"""|(?P<name>[^\W\d_][\w\-.]*))""",
    re.DOTALL,
)
_WORDS: Final = frozenset({"and", "or", "not", "in", "true", "false", *DEMANDS})


class BadExpression(ValueError):
    """`says` is a sentence for the author; `at` the offset, `line` and `column` count from 1."""

    def __init__(self, says: str, *, text: str, at: int) -> None:
        super().__init__(says)
        self.says = says
        self.at = at
        self.line = text.count("\n", 0, at) + 1
        self.column = at - (text.rfind("\n", 0, at) + 1) + 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """`op` is a comparison, `in` with several values, or `is` for a bare name."""

    name: str
    op: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: "Condition"


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple["Condition", ...]


type Condition = Comparison | Not | AllOf | AnyOf


@dataclass(frozen=True, slots=True)
class Rule:
    condition: Condition
    demand: str
    subject: str


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse_rule(text: str) -> Rule:
    """Raises BadExpression, with its place, for what is no rule."""
    reader = _Reader(text)
    condition = reader.condition(0)
    reader.take("arrow", "=>", "an operator, “and”, “or” or “=>”")
    demand = reader.next
    if demand.kind != "word" or demand.text not in DEMANDS:
        raise reader.fault(f"After “=>” stands one of {', '.join(DEMANDS)}.", demand.at)
    subject = text[demand.at + len(demand.text) :].strip()
    if not subject:
        raise reader.fault(f"“{demand.text}” needs what it asks for.", len(text))
    rule = Rule(condition, demand.text, " ".join(subject.split()))
    _check_written(reader, write_rule(rule), demand.at)
    return rule


def parse_condition(text: str) -> Condition:
    """A condition alone, as a cue has it. Raises BadExpression."""
    reader = _Reader(text)
    condition = reader.condition(0)
    reader.take("end", "", "the end, “and” or “or”")
    _check_written(reader, write_condition(condition), len(text))
    return condition


def _check_written(reader: "_Reader", written: str, at: int) -> None:
    """The canonical spelling has spaces and parentheses that its author left out: what could not be
    read again from it is not taken."""
    if len(written) > MAX_TEXT:
        raise reader.fault(f"Written out it has more than {MAX_TEXT:,} characters.", at)
    try:
        _Reader(written).condition(0)
    except BadExpression as error:
        raise reader.fault(f"Written out it is too much: {error.says}", at) from error


def evaluate(condition: Condition, facts: Mapping[str, Value]) -> Truth:
    """True, false, or None where what is known does not decide it."""
    match condition:
        case Comparison():
            return _test(condition, facts.get(condition.name))
        case Not(part):
            truth = evaluate(part, facts)
            return None if truth is None else not truth
        case AllOf(parts):
            truths = [evaluate(part, facts) for part in parts]
            return False if False in truths else None if None in truths else True
        case AnyOf(parts):
            truths = [evaluate(part, facts) for part in parts]
            return True if True in truths else None if None in truths else False
        case _:
            assert_never(condition)


def applies(rule: Rule, facts: Mapping[str, Value]) -> bool:
    return evaluate(rule.condition, facts) is True


def names_in(condition: Condition) -> Iterator[str]:
    """Every name that the condition asks for, in order, some more than once."""
    match condition:
        case Comparison(name):
            yield name
        case Not(part):
            yield from names_in(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from names_in(part)
        case _:
            assert_never(condition)


def write_rule(rule: Rule) -> str:
    """The rule in its one canonical spelling; reading it again gives the same rule."""
    return f"{write_condition(rule.condition)} => {rule.demand} {rule.subject}"


def write_condition(condition: Condition) -> str:
    match condition:
        case Comparison(name, "is"):
            return name
        case Comparison(name, "in", values):
            return f"{name} in [{', '.join(map(_write_value, values))}]"
        case Comparison(name, op, values):
            return f"{name} {op} {_write_value(values[0])}"
        case Not(part):
            return f"not {_write_part(part)}"
        case AllOf(parts):
            return " and ".join(map(_write_part, parts))
        case AnyOf(parts):
            return " or ".join(map(_write_part, parts))
        case _:
            assert_never(condition)


def _write_part(condition: Condition) -> str:
    written = write_condition(condition)
    return f"({written})" if isinstance(condition, AllOf | AnyOf) else written


def _write_value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return f"{value:.15f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def _test(test: Comparison, known: Value | None) -> Truth:
    if known is None:
        return None
    if test.op == "is":
        return known if isinstance(known, bool) else None
    if test.op == "in":
        return any(_same(known, value) for value in test.values)
    value = test.values[0]
    if test.op in ("==", "!="):
        return _same(known, value) == (test.op == "==")
    return _compare(test.op, known, value)


def _same(one: Value, other: Value) -> bool:
    """1 is not true, and "1" is not 1."""
    return _type(one) == _type(other) and one == other


def _type(value: Value) -> type:
    return bool if isinstance(value, bool) else str if isinstance(value, str) else float


def _compare(op: str, known: Value, value: Value) -> Truth:
    if isinstance(known, bool | str) or isinstance(value, bool | str):
        return None
    if op == "<":
        return known < value
    if op == "<=":
        return known <= value
    return known > value if op == ">" else known >= value


class _Reader:
    """Reads one token ahead. The text behind a demand is free, so tokens are made as asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        if len(text) > MAX_TEXT:
            raise self.fault(f"A rule has at most {MAX_TEXT:,} characters.", MAX_TEXT)
        self._at = 0
        self.next = self._read()

    def fault(self, says: str, at: int) -> BadExpression:
        return BadExpression(says, text=self._text, at=at)

    def _read(self) -> _Token:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            rest = self._text[self._at :]
            at = self._at + len(rest) - len(rest.lstrip())
            if at == len(self._text):
                return _Token("end", "", at)
            sign = self._text[at]
            says = (
                "The text has no closing quote."
                if sign in "\"'"
                else f"“{sign}” has no meaning here."
            )
            raise self.fault(says, at)
        kind = match.lastgroup or ""
        start = match.start(kind) - (kind in ("double", "single"))
        self._at = match.end()
        if kind == "name" and match[kind] in _WORDS:
            kind = "word"
        return _Token(kind, match[kind if kind != "word" else "name"], start)

    def advance(self) -> _Token:
        token, self.next = self.next, self._read()
        return token

    def take(self, kind: str, text: str, wanted: str) -> _Token:
        if self.next.kind != kind or (text and self.next.text != text):
            found = f"“{self.next.text}”" if self.next.kind != "end" else "the end"
            raise self.fault(f"Here stands {found}, where {wanted} is expected.", self.next.at)
        return self.next if kind == "end" else self.advance()

    def condition(self, depth: int) -> Condition:
        parts = [self._all(depth)]
        while self._passes("or"):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self, depth: int) -> Condition:
        parts = [self._single(depth)]
        while self._passes("and"):
            parts.append(self._single(depth))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _passes(self, word: str) -> bool:
        """Whether the word stands here; it is read, if so."""
        found = self.next.kind == "word" and self.next.text == word
        if found:
            self.advance()
        return found

    def _single(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise self.fault(f"Nested deeper than {MAX_DEPTH}.", self.next.at)
        if self._passes("not"):
            return Not(self._single(depth + 1))
        if self.next.text == "(" and self.next.kind == "mark":
            self.advance()
            inner = self.condition(depth + 1)
            self.take("mark", ")", "“)”")
            return inner
        return self._test(self.take("name", "", "a name"))

    def _test(self, name: _Token) -> Comparison:
        if self.next.kind == "op":
            op = self.advance().text
            return Comparison(name.text, op, (self._value(),))
        if self._passes("in"):
            return Comparison(name.text, "in", self._list())
        return Comparison(name.text, "is", ())

    def _list(self) -> tuple[Value, ...]:
        self.take("mark", "[", "“[”")
        values = [self._value()]
        while self.next.kind == "mark" and self.next.text == ",":
            self.advance()
            values.append(self._value())
        self.take("mark", "]", "“,” or “]”")
        return tuple(values)

    def _value(self) -> Value:
        token = self.next
        if token.kind == "number":
            self.advance()
            return float(token.text)
        if token.kind in ("double", "single"):
            self.advance()
            return re.sub(r"\\(.)", r"\1", token.text, flags=re.DOTALL)
        if token.kind == "word" and token.text in ("true", "false"):
            self.advance()
            return token.text == "true"
        found = f"“{token.text}”" if token.kind != "end" else "the end"
        raise self.fault(
            f"Here stands {found}, where a number, a text, true or false is expected.", token.at
        )
