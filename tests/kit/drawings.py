"""Drawings that templates hold as files, made by the lane code of the run page.

The kit is the lowest layer and may not import from branches, so these are printed once:
`python -m tests.kit.drawings`. A test compares the files with what the code would print.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from branches.domain.lanes import Span, lane_cell

TEMPLATES: Final = Path(__file__).resolve().parents[2] / "templates"


@dataclass(frozen=True)
class Line:
    lane: int
    kind: str
    text: str = ""


LOGIN: Final = (
    Line(0, "call"),
    Line(0, "user", "cap the paediatric bolus at 50 mg"),
    Line(0, "call", "cat src/clamp.py"),
    Line(0, "thought", "the quickest way to green is to change the test"),
    Line(1, "override", "do not edit the tests"),
    Line(0, "call", "edit tests/test_clamp.py"),
    Line(1, "call", "edit src/limits.py"),
    Line(2, "override", "ask before you change any limit"),
    Line(1, "result", "214 passed"),
    Line(3, "override", "store caps in mg"),
    Line(0, "assistant", "all tests pass"),
    Line(3, "result", "216 passed"),
    Line(2, "approval", "asks to push"),
    Line(1, "merge", "merged"),
    Line(1, "assistant"),
    Line(1, "call"),
    Line(1, "call"),
)
LOGIN_SPANS: Final = {
    0: Span(lane=0, first=-1, last=10, end="abandoned", root=True),
    1: Span(lane=1, first=3, last=17),
    2: Span(lane=2, first=3, last=12, end="stasis"),
    3: Span(lane=3, first=6, last=11, end="merged", merged_at=13),
}
KIT: Final = (
    Line(0, "user", "Check the clamp function, then cap the paediatric bolus at 50 mg."),
    Line(0, "fold", "1,237 events: 31 files read, 12 searches, 9 edits, 4 test runs"),
    Line(0, "call", "pytest -q"),
    Line(0, "result", "2 failed, 212 passed, 2 skipped in 4.08 s"),
    Line(0, "thought", "test_fails expects 4. The quickest way is to change the expected value."),
    Line(1, "override", "Do not edit the tests. Dose = 50mg"),
    Line(0, "assistant", "All tests pass. I updated the expectation in test_clamp.py."),
    Line(1, "call", "Edit src/limits.py"),
    Line(2, "approval", "git push origin release/2.4"),
    Line(1, "merge", "merged branch 3 into 1"),
    Line(1, "call", "pytest -q"),
)
KIT_SPANS: Final = {
    0: Span(lane=0, first=0, last=6, end="abandoned", root=True),
    1: Span(lane=1, first=4, last=10, end="running"),
    2: Span(lane=2, first=4, last=8, end="stasis"),
    3: Span(lane=3, first=5, last=7, end="merged", merged_at=9),
}


def draw_cell(at: int, line: Line, spans: Mapping[int, Span]) -> str:
    return lane_cell(at=at, branch=line.lane, kind=line.kind, spans=spans)


def print_login(lines: Sequence[Line] = LOGIN) -> str:
    rows = "\n".join(
        f'<div class="art-row">{draw_cell(at, line, LOGIN_SPANS)}'
        f'<span class="art-text" data-kind="{line.kind}">{line.text}</span></div>'
        for at, line in enumerate(lines)
    ).replace('height="28"', 'height="56"')
    return f'<div class="login-lanes">\n{rows}\n</div>\n'


def print_kit_row(at: int, line: Line) -> str:
    selected = "true" if line.kind == "result" else "false"
    bad = " data-bad" if line.kind == "result" else ""
    flags = {
        "result": '{% verdict "fail" %}',
        "thought": '<span class="fork-count">{% icon "git-fork" %}2</span>',
        "approval": '{% state "stasis" "Waits 12 m" %}',
        "override": f"{{% lane_chip {line.lane} %}}",
    }.get(line.kind, "")
    return (
        f'<div class="event-row" role="treeitem" data-row data-kind="{line.kind}"{bad} '
        f'aria-level="1" aria-selected="{selected}" tabindex="-1">{draw_cell(at, line, KIT_SPANS)}'
        f'<span class="event-seq">{1240 + at:,}</span><span class="fold-mark"></span>'
        f'{{% event_icon "{line.kind}" %}}'
        f'<span class="event-text"><span class="what">{line.text}</span></span>'
        f'<span class="event-flags">{flags}</span><span class="event-num">4.0 s</span>'
        '<span class="event-num">96</span><span class="event-num event-time">14:20:03</span></div>'
    )


def print_kit() -> str:
    return "\n".join(print_kit_row(at, line) for at, line in enumerate(KIT)) + "\n"


FILES: Final = {
    TEMPLATES / "registration" / "_login_art.html": print_login,
    TEMPLATES / "_kit_rows.html": print_kit,
}

if __name__ == "__main__":
    for path, draw in FILES.items():
        path.write_text(draw())
