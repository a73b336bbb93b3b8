"""That every benchmark runs and says what it should. How fast it was is nobody's business here."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from verel_site.bench.figures import AtLeast, AtMost, Case, Measure, all_cases, run_case

ROOT = Path(__file__).resolve().parent.parent.parent
FIELDS = {
    "name", "database", "size", "figure", "unit", "limit", "ratio", "target", "met", "growth",
}  # fmt: skip


def run(*measures: Measure) -> list[dict[str, Any]]:
    """The lines of a case that tells one measure at each of two sizes."""
    told = iter(measures)

    def measure(size: int) -> Iterator[Measure]:
        yield next(told)

    return list(run_case(Case("c", measure, sizes=(1, 2), tiny=(1, 2)), (10, 20)))


@pytest.mark.parametrize(
    ("target", "figure", "met"),
    [
        (AtLeast(0.5), 50, True),
        (AtLeast(0.5), 49, False),
        (AtMost(1.3), 130, True),
        (AtMost(1.3), 131, False),
        (None, 1, None),
    ],
)
def test_a_figure_is_held_against_the_limit_of_its_own_run(
    target: AtLeast | AtMost | None, figure: float, met: bool | None
) -> None:
    line = run(*[Measure("m", figure, "s", 100, target)] * 2)[0]
    assert (line["ratio"], line["met"]) == (figure / 100, met)


def test_growth_is_told_at_the_larger_size_and_may_miss_its_target() -> None:
    small, large = run(
        Measure("m", 2, "ms", 2, AtMost(6), growth=AtMost(1.2)),
        Measure("m", 3, "ms", 3, AtMost(6), growth=AtMost(1.2)),
    )
    assert (small["growth"], small["met"]) == (None, True)
    assert (large["growth"], large["met"]) == (1.5, False)
    assert large["target"] == "≤ 6, growth ≤ 1.2"


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(CommandError, match=r"there are .*append"):
        call_command("bench", "apend")


@pytest.mark.parametrize("sizes", [(0, 5), (-3, 5), (5, 5), (80, 20), (20, 10_000_000)])
def test_sizes_that_do_not_rise_or_are_beyond_measure_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(CommandError, match=r"smaller first|no size above 5,000"):
        call_command("bench", "gate", "--sizes", *map(str, sizes))


def test_it_measures_in_no_installation_but_its_own() -> None:
    with pytest.raises(CommandError, match="child process"):
        call_command("bench", "append", "--inside")


def test_a_benchmark_runs_on_a_postgresql_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "bench", "bytes", "--tiny", "--json", "--postgresql"],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "verel_site.settings"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(line["name"], line["database"]) for line in lines} == {
        ("bytes.plain", "postgresql"),
        ("bytes.zstd", "postgresql"),
    }


def test_every_benchmark_runs_at_two_sizes_in_a_database_that_is_gone_afterwards(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    env = {**os.environ, "VEREL_HOME": str(home), "DJANGO_SETTINGS_MODULE": "verel_site.settings"}
    done = subprocess.run(
        [sys.executable, "manage.py", "bench", "all", "--tiny", "--json"],
        cwd=ROOT,
        env={**env, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    names = {line["name"] for line in lines}
    assert {case for case in all_cases() if any(name.startswith(case) for name in names)} == set(
        all_cases()
    )
    for line in lines:
        assert set(line) == FIELDS
        assert line["figure"] >= 0  # a count of what was lost is best at nothing
        assert line["ratio"] == pytest.approx(line["figure"] / line["limit"], rel=0.05, abs=0.001)
    for name in {line["name"] for line in lines}:
        sizes = [line["size"] for line in lines if line["name"] == name]
        told = [(line["figure"], line["growth"]) for line in lines if line["name"] == name]
        assert sizes == sorted(set(sizes))
        assert told[0][1] is None
        assert (told[1][1] is None) == (told[0][0] == 0)
    # The installation that it was started from has not even been migrated.
    with sqlite3.connect(home / "verel.sqlite3") as untouched:
        assert untouched.execute("SELECT name FROM sqlite_master").fetchall() == []
    assert list(tmp_path.glob("verel-bench-*")) == []
