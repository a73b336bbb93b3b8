import json
import subprocess
import sys
from contextlib import nullcontext
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from verel_site.bench.figures import Case, all_cases, run_case
from verel_site.bench.scratch import scratch_environment
from verel_site.bench.served import KeptServers


class Command(BaseCommand):
    help = (
        "Measure against the raw limits of this machine, in a throwaway database on the server "
        "that VEREL_DATABASE_URL names. `all`, or names of benchmarks."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="+", metavar="NAME", help="or all")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")
        parser.add_argument("--quick", action="store_true", help="at a quarter of the sizes")
        parser.add_argument("--tiny", action="store_true", help="see that it runs, not how fast")
        parser.add_argument("--sizes", type=int, nargs=2, help="two other sizes, the smaller first")
        parser.add_argument(
            "--postgresql", action="store_true", help="on a PostgreSQL that is started for it"
        )
        parser.add_argument("--inside", action="store_true", help="in this very installation")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = pick_cases(options["names"], exactly=options["inside"])
        if options["sizes"]:
            check_sizes(chosen, *options["sizes"])
        if options["inside"]:
            self._measure(chosen, options)
            return
        # Each in a fresh database, so that none is measured on top of another's rows.
        failed = []
        for cases in [chosen] if options["tiny"] else [[case] for case in chosen]:
            with scratch_environment(own_server=options["postgresql"]) as env:
                done = subprocess.run(_inside(cases, options), env=env, cwd=settings.BASE_DIR)
            failed += [case.name for case in cases if done.returncode]
        if failed:
            raise CommandError(f"{', '.join(failed)} failed; the others were measured.")

    def _measure(self, chosen: list[Case], options: dict[str, Any]) -> None:
        if settings.SETTINGS_MODULE != "verel_site.bench.settings":
            raise CommandError("--inside is for the child process that bench itself starts.")
        call_command("migrate", interactive=False, verbosity=0)
        with KeptServers() if options["tiny"] else nullcontext():
            for case in chosen:
                for line in run_case(case, _sizes_of(case, options)):
                    text = json.dumps(line) if options["json"] else _as_text(line)
                    self.stdout.write(text)
                    self.stdout.flush()


def pick_cases(names: list[str], *, exactly: bool = False) -> list[Case]:
    """Each name stands for itself and, unless `exactly`, for what begins with it and a point. Raises
    CommandError, with the names that there are."""
    known = all_cases()
    if names == ["all"]:
        return list(known.values())
    chosen = []
    for name in names:
        named = [
            one for one in known if one == name or (one.startswith(f"{name}.") and not exactly)
        ]
        if not named:
            raise CommandError(f"No benchmark {name!r}; there are {', '.join(known)}, all.")
        chosen += named
    return [case for name, case in known.items() if name in chosen]


def check_sizes(cases: list[Case], first: int, second: int) -> None:
    """Raises CommandError where a benchmark can not grow from the one size to the other."""
    if not 1 <= first < second:
        raise CommandError("--sizes takes two whole numbers from 1 up, the smaller first.")
    for case in cases:
        if second > case.most:
            raise CommandError(f"{case.name} takes no size above {case.most:,}.")


def _sizes_of(case: Case, options: dict[str, Any]) -> tuple[int, int]:
    if options["sizes"]:
        first, second = options["sizes"]
        return first, second
    if options["tiny"]:
        return case.tiny
    return case.quick if options["quick"] else case.sizes


def _inside(cases: list[Case], options: dict[str, Any]) -> list[str]:
    names = [case.name for case in cases]
    command = [sys.executable, "manage.py", "bench", *names, "--inside"]
    command += [f"--{flag}" for flag in ("json", "quick", "tiny") if options[flag]]
    if options["sizes"]:
        command += ["--sizes", *map(str, options["sizes"])]
    return command


def _as_text(line: dict[str, Any]) -> str:
    grown = "" if line["growth"] is None else f"  growth {line['growth']}"
    met = {True: "met", False: "missed", None: ""}[line["met"]]
    return (
        f"{line['name']:<28} {line['database']:<10} {line['size']:>9,}  "
        f"{line['figure']:>12,.2f} {line['unit']:<12} limit {line['limit']:>12,.2f}  "
        f"ratio {line['ratio']:>6.3f}  {line['target']:<24} {met}{grown}"
    )
