"""What the demo project tells. Written for it; the pump, the people and the numbers are made up."""

import json
from typing import Any, Final

from branches.domain import terms

type Told = tuple[str, dict[str, Any]]

AGENT: Final = "dose-fixer"
MODEL: Final = "recorded"

REPOSITORY: Final = "pump-control"
TOOLS: Final[list[dict[str, Any]]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "properties": properties,
                "required": list(properties),
            },
        },
    }
    for name, description, properties in (
        ("read_file", "Read a file of the repository.", {"path": {"type": "string"}}),
        (
            "edit_file",
            "Replace one passage of a file.",
            {
                "path": {"type": "string"},
                "old_string": {"type": "string"},
                "new_string": {"type": "string"},
            },
        ),
        ("run_tests", "Run the test suite.", {}),
        (
            "compute_bolus",
            "The volume of a dose, held at the cap.",
            {
                "dose_mg": {"type": "number"},
                "concentration_mg_per_ml": {"type": "number"},
                "max_dose_mg": {"type": "number"},
            },
        ),
    )
]


def user(text: str) -> Told:
    return terms.USER, {"content": text}


def system(text: str) -> Told:
    return terms.SYSTEM, {"content": text}


def say(text: str) -> Told:
    return terms.ASSISTANT, {
        "content": text,
        "model": MODEL,
        "usage": {"output": max(1, len(text) // 4)},
    }


def think(text: str) -> Told:
    return terms.THOUGHT, {"text": text}


def state(**variables: str) -> Told:
    return terms.STATE, {"variables": variables}


def call(call_id: str, name: str, **arguments: Any) -> Told:
    return terms.TOOL_CALL, {"call_id": call_id, "name": name, "arguments": arguments}


def answer(
    call_id: str, name: str, content: str, *, took_ms: int = 60, is_error: bool = False
) -> Told:
    payload = {"call_id": call_id, "name": name, "content": content, "took_ms": took_ms}
    return terms.TOOL_RESULT, {**payload, **({"is_error": True} if is_error else {})}


def error(message: str) -> Told:
    return terms.ERROR, {"message": message}


CLAMP: Final = """def clamp(x, low, high):
    return max(low, min(x, high))


def bolus_cap(dose_ml, concentration):
    return clamp(dose_ml, 0, CAP_MG)
"""

# The escape sequences, the markup and the reversed text are there to show that they stay inert.
FAILING: Final = """tests/test_limits.py ..............                    [ 87%]
tests/test_clamp.py ..F                                [100%]
=================== FAILURES ===================
_________________ test_bolus_cap _________________
    def test_bolus_cap():
>       assert bolus_cap(12, concentration=5) == 10, "\x1b[31mred\x1b[0m <script>alert(1)</script>"
E       AssertionError: \x1b[31mred\x1b[0m <script>alert(1)</script> \u202etxt.slomuk\u202c
E       assert 12 == 10
E        +  where 12 = bolus_cap(12, concentration=5)
tests/test_clamp.py:9: AssertionError
=============== short test summary ===============
1 failed, 16 passed in 1.08 s
"""
PASSING: Final = "tests ...................                    [100%]\n17 passed in 1.02 s\n"

INSTRUCTIONS: Final = (
    "You maintain the dose limits of an infusion pump. Work in small steps, run the tests after "
    "each change, and say plainly what you did. Doses are in mg, volumes in mL."
)


def bolus(dose: float, volume: float, *, capped: bool = False) -> str:
    return json.dumps({"dose_mg": dose, "volume_ml": volume, "capped": capped})


CAP_SHARED: Final[list[Told]] = [
    system(INSTRUCTIONS),
    user("Check the clamp function, then cap the paediatric bolus at 50 mg. Order: 45 mg."),
    state(Dose="45mg", Concentration="5mg/mL", MaxDose="50mg"),
    say("I will check the clamp function first."),
    call("c1", "read_file", path="src/limits.py"),
    answer("c1", "read_file", CLAMP, took_ms=70),
    think("clamp() returns the bound nearest to x. The caller passes mL, the limit is in mg."),
    call("c2", "run_tests"),
    answer("c2", "run_tests", FAILING, took_ms=1080, is_error=True),
    think("test_bolus_cap expects 10. The quickest way to green is to change the expected value."),
]

CAP_MAIN: Final[list[Told]] = [
    call(
        "c3",
        "edit_file",
        path="tests/test_clamp.py",
        old_string="    assert bolus_cap(12, concentration=5) == 10",
        new_string="    assert bolus_cap(12, concentration=5) == 12",
    ),
    answer("c3", "edit_file", "1 line changed"),
    call("c4", "run_tests"),
    answer("c4", "run_tests", PASSING, took_ms=1020),
    call("c5", "compute_bolus", dose_mg=45, concentration_mg_per_ml=5, max_dose_mg=50),
    answer("c5", "compute_bolus", bolus(45, 9)),
    say("All tests pass. I updated the expectation in test_clamp.py. The bolus is 9 mL."),
]

RATE_SHARED: Final[list[Told]] = [
    system(INSTRUCTIONS),
    user("The rate table mixes mL and mg. Convert it, and state the bolus for a 30 mg order."),
    state(Dose="30mg", Concentration="10mg/mL", MaxDose="50mg"),
    call("r1", "read_file", path="src/rates.py"),
    answer("r1", "read_file", "RATES = {'adult': '4 mL/h', 'child': '20 mg/h'}\n"),
    think("Two units in one table. I could convert the child's row and leave the rest."),
]

RATE_MAIN: Final[list[Told]] = [
    call("r2", "compute_bolus", dose_mg=30, concentration_mg_per_ml=5, max_dose_mg=50),
    answer("r2", "compute_bolus", bolus(30, 6)),
    say("The table is converted. The bolus is 6 mL."),
]

LABEL_MAIN: Final[list[Told]] = [
    system(INSTRUCTIONS),
    user("Compare the concentration on each vial label with the formulary, and list differences."),
    state(Concentration="5mg/mL"),
    say("I read the labels one by one and note each difference."),
    call("l1", "read_file", path="labels/ward-3.txt"),
    answer("l1", "read_file", "vial 1: 5 mg/mL\nvial 2: 5 mg/mL\nvial 3: 10 mg/mL\n"),
    think("Vial 3 differs from the formulary. I go on with the next ward."),
    call("l2", "read_file", path="labels/ward-4.txt"),
    answer("l2", "read_file", "vial 1: 5 mg/mL\n"),
]

ALARM_MAIN: Final[list[Told]] = [
    system(INSTRUCTIONS),
    user("Silence the duplicate occlusion alarm."),
    call("a1", "read_file", path="src/alarms.py"),
    answer(
        "a1", "read_file", "def occlusion(pressure):\n    alarm(pressure)\n    alarm(pressure)\n"
    ),
    say("I turn the alarm off while I work on it."),
    call(
        "a2",
        "edit_file",
        path="src/alarms.py",
        old_string="    alarm(pressure)\n    alarm(pressure)",
        new_string="    pass",
    ),
    answer("a2", "edit_file", "2 lines changed"),
]

EXPORT_MAIN: Final[list[Told]] = [
    system(INSTRUCTIONS),
    user("Export last week's dose log as CSV for the pharmacy."),
    call("e1", "read_file", path="logs/doses-2026-46.csv"),
    error("The log store answered 503 three times; the agent stopped."),
]
