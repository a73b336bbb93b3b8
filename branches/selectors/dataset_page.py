"""The pages of triplets and datasets: what there is, what a filter would export, what was made."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.http import QueryDict
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from branches.domain.formats import FORMATS, Format
from branches.domain.formats.pair import Pair, Unfit
from branches.domain.terms import Granularity
from branches.models import Merge, Run, Triplet
from branches.selectors.triplets import FILTERS, VERDICTS, WORDS_OFF, TripletFilter, words_off
from branches.triplets import read_pair
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import get_project
from verel_site.access.rights import Right
from verel_site.kit.cursors import read_int
from verel_site.kit.refusals import BadInput, NotFound

PAGE: Final = 50
SHOWN_CHARACTERS: Final = 4_000
MAX_REVIEWERS: Final = 100
_TONES: Final = {
    "chosen": "chosen",
    "preferred_output": "chosen",
    "rejected": "rejected",
    "non_preferred_output": "rejected",
}


@dataclass(frozen=True)
class View:
    """What the address of the page says. `before` is the cursor: the number of the last row of the
    page before; `triplet` is the one that is shown."""

    wanted: TripletFilter
    format: Format
    before: int = 0
    triplet: int = 0

    @classmethod
    def read(cls, query: QueryDict) -> "View":
        """Raises BadInput. `run` may be a run's number, `r-7`, beside its id."""
        key = query.get("format", "trl")
        if key not in FORMATS:
            raise BadInput(f"format is one of {', '.join(FORMATS)}.", parameter="format")
        return cls(
            wanted=TripletFilter.ask({name: query.get(name, "").strip() for name in FILTERS}),
            format=FORMATS[key],
            before=read_int(query, "before", 0, low=0, high=2**31 - 1),
            triplet=read_int(query, "triplet", 0, low=0, high=2**31 - 1),
        )

    def query(self, **changes: Any) -> str:
        told: dict[str, Any] = dict(self.wanted.as_json())
        told |= {"format": "" if self.format.key == "trl" else self.format.key}
        told |= {"before": self.before, "triplet": self.triplet, **changes}
        kept = [(name, _text(value)) for name, value in told.items() if value not in ("", 0, None)]
        return f"?{urlencode(kept)}" if kept else "?"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class TripletRow:
    """`state` is withdrawn, held (the undo window is open), or empty: it may leave."""

    number: int
    href: str
    goal: str
    run: int
    winner: str
    loser: str
    granularity: str
    verdict: str
    bypassed: bool
    reviewer: str
    at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Part:
    """A field of a row, as it is written; `cut` characters of it are not shown."""

    key: str
    tone: str
    text: str
    cut: int


@dataclass(frozen=True)
class Preview:
    """The rows that a triplet would give in the format, or why it gives none."""

    row: TripletRow
    merge_href: str
    run_href: str
    why: str
    rows: tuple[tuple[Part, ...], ...] = ()
    unfit: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    name: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class Counts:
    found: int
    withdrawn: int
    held: int

    @property
    def exportable(self) -> int:
        return self.found - self.withdrawn - self.held


@dataclass(frozen=True)
class TripletsPage:
    """`begins` says that the project has no triplet at all."""

    project: Project
    view: View
    rows: tuple[TripletRow, ...]
    counts: Counts
    formats: tuple[Option, ...]
    granularities: tuple[Option, ...]
    verdicts: tuple[Option, ...]
    bypasses: tuple[Option, ...]
    reviewers: tuple[Option, ...]
    run: Run | None
    since: str
    until: str
    hidden: tuple[tuple[str, str], ...]
    preview: Preview | None
    older_href: str
    newest_href: str
    clear_href: str
    text_off: str
    begins: bool
    override_in_prompt: bool
    settings_href: str

    screen: str = "datasets"
    nav: str = "datasets"
    tab: str = "triplets"
    title: str = "Triplets"

    @property
    def narrows(self) -> bool:
        return self.view.wanted != TripletFilter()


def read_triplets_page(*, actor: Actor, slug: str, view: View) -> TripletsPage:
    """One page of triplets, newest first: a constant number of queries."""
    project = get_project(actor=actor, slug=slug)
    actor.demand(project.pk, Right.EXPORT)
    here = reverse("triplets", args=[project.slug])
    all_rows = Triplet.objects.filter(project=project)
    found = view.wanted.narrow(all_rows)
    shown = _light(found.filter(number__lt=view.before) if view.before else found)
    triplets = list(shown.order_by("-number")[: PAGE + 1])
    more, triplets = len(triplets) > PAGE, triplets[:PAGE]
    rows = tuple(_row(triplet, here, view) for triplet in triplets)
    wanted = view.wanted
    return TripletsPage(
        project=project,
        view=view,
        rows=rows,
        counts=_count(found),
        formats=tuple(
            Option(one.key, one.title, here + view.query(format=one.key), one is view.format)
            for one in FORMATS.values()
        ),
        granularities=_options(tuple(Granularity), wanted.granularity),
        verdicts=_options(VERDICTS, wanted.verdict),
        bypasses=(
            Option("false", "Through an open gate", "", wanted.bypassed is False),
            Option("true", "Past a shut one", "", wanted.bypassed is True),
        ),
        reviewers=_options(_read_reviewers(project), wanted.reviewer),
        run=Run.objects.filter(project=project, pk=wanted.run).first() if wanted.run else None,
        since=f"{wanted.since:%Y-%m-%d}" if wanted.since else "",
        until=f"{wanted.until - timedelta(days=1):%Y-%m-%d}" if wanted.until else "",
        hidden=tuple((name, _text(value)) for name, value in wanted.as_json().items()),
        preview=_preview(all_rows, triplets, here, view),
        older_href=here + view.query(before=rows[-1].number, triplet=0) if more else "",
        newest_href=here + view.query(before=0, triplet=0) if view.before else "",
        clear_href=here,
        text_off=WORDS_OFF if words_off() else "",
        begins=not rows and not all_rows.exists(),
        override_in_prompt=project.override_in_prompt,
        settings_href=_href("rules", project.slug),
    )


def _light(rows: QuerySet[Triplet]) -> QuerySet[Triplet]:
    """Without the messages, of which a page of rows may hold many megabytes."""
    heavy = ("prompt", "chosen", "rejected", "tools", "metadata")
    return rows.defer(*heavy).select_related("run", "merge", "chosen_branch", "rejected_branch")


def _count(rows: QuerySet[Triplet]) -> Counts:
    gone = Q(withdrawn_at__isnull=False)
    counted = rows.aggregate(
        found=Count("pk"),
        withdrawn=Count("pk", filter=gone),
        held=Count("pk", filter=~gone & Q(merge__undo_until__gt=timezone.now())),
    )
    return Counts(**counted)


def _options(values: Sequence[str], current: str) -> tuple[Option, ...]:
    return tuple(Option(str(v), str(v).capitalize(), "", v == current) for v in values)


def _read_reviewers(project: Project) -> tuple[str, ...]:
    rows = Merge.objects.filter(project=project).values_list("by_name", flat=True)
    return tuple(rows.distinct().order_by("by_name")[:MAX_REVIEWERS])


def _row(triplet: Triplet, here: str, view: View) -> TripletRow:
    merge = triplet.merge
    held = "held" if merge.undo_until > timezone.now() else ""
    return TripletRow(
        number=triplet.number,
        href=here + view.query(triplet=triplet.number),
        goal=triplet.run.goal,
        run=triplet.run.number,
        winner=triplet.chosen_branch.label,
        loser=triplet.rejected_branch.label,
        granularity=triplet.granularity,
        verdict=str(merge.admission.get("verdict", "")),
        bypassed=bool(merge.bypass_reason),
        reviewer=merge.by_name,
        at=merge.created_at,
        state="withdrawn" if triplet.withdrawn_at else held,
    )


def _preview(
    rows: QuerySet[Triplet], listed: Sequence[Triplet], here: str, view: View
) -> Preview | None:
    number = view.triplet or (listed[0].number if listed else 0)
    if not number:
        return None
    related = rows.select_related("run", "merge", "chosen_branch", "rejected_branch")
    triplet = related.filter(number=number).first()
    if triplet is None:
        raise NotFound(f"There is no triplet {number} in this project.")
    shown, unfit = _written(read_pair(triplet), view.format)
    return Preview(
        row=_row(triplet, here, view),
        merge_href=_href("merge", triplet.merge_id),
        run_href=reverse("run", args=[triplet.run_id]),
        why=triplet.merge.bypass_reason or triplet.merge.note,
        rows=shown,
        unfit=unfit,
    )


def _written(pair: Pair, format: Format) -> tuple[tuple[tuple[Part, ...], ...], str]:
    try:
        rows = format.rows(pair)
    except Unfit as unfit:
        return (), str(unfit)
    return tuple(tuple(_part(key, value) for key, value in row.items()) for row in rows), ""


def _part(key: str, value: Any) -> Part:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    cut = max(0, len(text) - SHOWN_CHARACTERS)
    return Part(key, _TONES.get(key, ""), text[:SHOWN_CHARACTERS], cut)


def _href(name: str, key: UUID | str) -> str:
    try:
        return reverse(name, args=[key])
    except NoReverseMatch:
        # The page belongs to an app above this one, which may be absent.
        return ""
