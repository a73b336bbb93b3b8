"""The demo agent: a small set of rules, deterministic, and honest about being one.

It reads two things from the context that it is given: the variables, and the directive of the last
interrupt frame. Its story is the bolus of an infusion pump: `Dose`, `Concentration` and `MaxDose`
decide the numbers; a directive about tests or about asking first decides what it does beside. Its
tools are simulated, and their results say so. Of any other story it understands nothing, and says
that.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from branches.agent.steps import Step
from branches.domain import terms
from branches.domain.context import Context
from branches.domain.events import StoredEvent
from branches.domain.override import read_value

NAME: Final = "demo-agent"
DEFAULT_CONCENTRATION: Final = 5.0
DEFAULT_CAP: Final = 50.0
EDITED: Final = "src/limits.py"
OLD_LINE: Final = "    return clamp(dose_ml, 0, CAP_MG)"
NEW_LINES: Final = "    dose_mg = dose_ml * concentration\n    return clamp(dose_mg, 0, CAP_MG)"

_TESTS = re.compile(r"\btests?\b", re.IGNORECASE)
_ASK = re.compile(r"\bask\b", re.IGNORECASE)
_UNITS = re.compile(r"\bunits?\b|\bconver|\bfix\b", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """What the agent read: milligrams, milligrams per millilitre, and the person's words."""

    dose: float
    concentration: float
    cap: float
    named: tuple[tuple[str, str], ...]
    directive: str
    answer: Mapping[str, Any] | None

    @property
    def given(self) -> float:
        return min(self.dose, self.cap)

    @property
    def volume(self) -> float:
        return round(self.given / self.concentration, 3)

    @property
    def edits(self) -> bool:
        return bool(_UNITS.search(self.directive) or _TESTS.search(self.directive))

    @property
    def asks(self) -> bool:
        return bool(_ASK.search(self.directive))


class DemoMind:
    name = NAME

    def next_step(self, events: Sequence[StoredEvent], context: Context) -> Step:
        """The plan follows from the reading alone; the step is the first not yet told."""
        told = _told_since_frame(events)
        reading = read_variables(events, context.variables)
        if reading is None:
            return Step((_say(_UNKNOWN.format(words=_quote(_directive(events)))),), last=True)
        plan = make_plan(reading, _frame_id(events))
        at = 0
        for number, step in enumerate(plan):
            if at >= told:
                return Step(step, last=number == len(plan) - 1)
            at += len(step)
        return Step((), last=True)


_UNKNOWN = (
    "I am Verel's demo agent, a set of rules and no model. I have read your directive {words}, but "
    "this story is not one I know: I only understand the bolus of the demo's infusion pump. "
    "Connect a model to continue branches like this one."
)


def _told_since_frame(events: Sequence[StoredEvent]) -> int:
    count = 0
    for event in events:
        if event.type in (terms.OVERRIDE, terms.FORKED):
            count = 0
        elif event.source == NAME:
            count += 1
    return count


def _frame_id(events: Sequence[StoredEvent]) -> str:
    frames = [e.event_id.hex for e in events if e.type in (terms.OVERRIDE, terms.FORKED)]
    return frames[-1] if frames else "0" * 32


def _directive(events: Sequence[StoredEvent]) -> str:
    for event in reversed(events):
        if event.type == terms.OVERRIDE:
            return str(event.payload.get("directive") or "")
        if event.type == terms.FORKED:
            break
    return ""


def _answer(events: Sequence[StoredEvent]) -> Mapping[str, Any] | None:
    for event in reversed(events):
        if event.type == terms.APPROVAL_RESOLVED:
            return event.payload
        if event.type in (terms.OVERRIDE, terms.FORKED):
            break
    return None


def read_variables(events: Sequence[StoredEvent], variables: Mapping[str, Any]) -> Reading | None:
    """None where no `Dose` is told: then this is not the demo's story."""
    told = {name.lower(): (name, value) for name, value in variables.items()}
    dose = _number(told.get("dose"))
    if dose is None:
        return None
    concentration = _number(told.get("concentration"))
    cap = _number(told.get("maxdose"))
    return Reading(
        dose=dose,
        concentration=concentration or DEFAULT_CONCENTRATION,
        cap=DEFAULT_CAP if cap is None else cap,
        named=tuple((name, str(value)) for name, value in told.values()),
        directive=_directive(events),
        answer=_answer(events),
    )


def _number(told: tuple[str, Any] | None) -> float | None:
    if told is None:
        return None
    typed = read_value(str(told[1]))
    if isinstance(typed.value, bool) or not isinstance(typed.value, int | float):
        return None
    return float(typed.value) if typed.value > 0 else None


type _Events = tuple[tuple[str, dict[str, Any]], ...]


def make_plan(reading: Reading, frame: str) -> list[_Events]:
    """The steps in order. What an answer changes comes after the question, so that the steps told
    before it stay the same."""
    steps: list[_Events] = [(_say(_introduce(reading)),), (_think(_reason(reading)),)]
    if reading.asks:
        steps.append((_ask_step(frame),))
    if reading.edits or reading.asks:
        steps += _edit_steps(reading, frame)
    steps += _compute_steps(reading, frame)
    steps.append((_say(_conclude(reading)),))
    return steps


def _introduce(reading: Reading) -> str:
    named = ", ".join(f"{name} = {value}" for name, value in reading.named)
    words = f" Your directive: {_quote(reading.directive)}" if reading.directive else ""
    return f"I am Verel's demo agent, a set of rules and no model. I read {named}.{words}"


def _reason(reading: Reading) -> str:
    volume = f"{reading.given:g} mg at {reading.concentration:g} mg/mL is {reading.volume:g} mL"
    if reading.dose > reading.cap:
        return f"{reading.dose:g} mg is over the cap of {reading.cap:g} mg, so the cap counts: {volume}."
    tests = " The tests say what is right; I leave them alone." if reading.edits else ""
    return f"{volume}, within the cap of {reading.cap:g} mg.{tests}"


def _conclude(reading: Reading) -> str:
    capped = (
        f" You asked for {reading.dose:g} mg; the cap of {reading.cap:g} mg held."
        if reading.dose > reading.cap
        else ""
    )
    return (
        f"The bolus is {reading.given:g} mg, which is {reading.volume:g} mL at "
        f"{reading.concentration:g} mg/mL.{capped}{_tell_edit(reading)}"
    )


def _tell_edit(reading: Reading) -> str:
    if _refused(reading):
        return " I changed no file, as you decided."
    if reading.asks or reading.edits:
        return f" {EDITED} converts to milligrams before it clamps. The tests are unchanged."
    return " I changed no file."


def _refused(reading: Reading) -> bool:
    return reading.answer is not None and reading.answer.get("answer") in {"ignore", "respond"}


def _ask_step(frame: str) -> tuple[str, dict[str, Any]]:
    return terms.APPROVAL_REQUESTED, {
        "approval_id": _approval_id(frame),
        "action": f"edit {EDITED}",
        "args": {"path": EDITED, "new_string": NEW_LINES},
        "allow": ["accept", "edit", "respond", "ignore"],
        "description": "Convert the dose to milligrams before it is clamped.",
    }


def _approval_id(frame: str) -> str:
    """A UUID that follows from the frame: asking twice asks the same question."""
    flipped = f"{int(frame, 16) ^ (2**128 - 1):032x}"
    return f"{flipped[:8]}-{flipped[8:12]}-{flipped[12:16]}-{flipped[16:20]}-{flipped[20:]}"


def _edit_steps(reading: Reading, frame: str) -> list[_Events]:
    if _refused(reading):
        return [(_say("Understood. I leave the file as it is."),)]
    new = NEW_LINES
    if reading.answer is not None and reading.answer.get("answer") == "edit":
        args = reading.answer.get("args")
        new = str(args.get("new_string", new)) if isinstance(args, Mapping) else new
    arguments = {"path": EDITED, "old_string": OLD_LINE, "new_string": new}
    return _tool_steps("edit_file", arguments, {"changed": EDITED}, f"{frame[:8]}-edit")


def _compute_steps(reading: Reading, frame: str) -> list[_Events]:
    arguments = {
        "dose_mg": _plain(reading.dose),
        "concentration_mg_per_ml": _plain(reading.concentration),
        "max_dose_mg": _plain(reading.cap),
    }
    result = {
        "dose_mg": _plain(reading.given),
        "volume_ml": _plain(reading.volume),
        "capped": reading.dose > reading.cap,
    }
    return _tool_steps("compute_bolus", arguments, result, f"{frame[:8]}-bolus")


def _plain(value: float) -> float | int:
    """50 rather than 50.0, as a person would write it."""
    return int(value) if value.is_integer() else value


def _tool_steps(
    name: str, arguments: dict[str, Any], result: dict[str, Any], call_id: str
) -> list[_Events]:
    content = json.dumps({**result, "simulated": True})
    call = {"call_id": call_id, "name": name, "arguments": arguments}
    answer = {"call_id": call_id, "name": name, "content": content, "took_ms": 40}
    return [((terms.TOOL_CALL, call),), ((terms.TOOL_RESULT, answer),)]


def _say(text: str) -> tuple[str, dict[str, Any]]:
    usage = {"output": max(1, len(text) // 4)}
    return terms.ASSISTANT, {"content": text, "model": "rules", "usage": usage}


def _think(text: str) -> tuple[str, dict[str, Any]]:
    return terms.THOUGHT, {"text": text}


def _quote(text: str) -> str:
    return f"“{' '.join(text.split())[:200]}”"
