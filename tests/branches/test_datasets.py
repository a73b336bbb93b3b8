import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from branches import datasets
from branches.datasets import (
    UnknownFormat,
    make_dataset,
    order_dataset,
    sweep_exports,
)
from branches.domain.admission import Admission
from branches.merges import merge_branches, revert_merge
from branches.models import Dataset, Export, Merge, Triplet
from branches.selectors.datasets import HoldsWithdrawn, NotReady, open_file
from branches.snapshots import NothingFits, NothingToExport, write_snapshot
from branches.storage.cold import AlreadyStored, NotStored, cold_store
from tests.make import append, make_fork, make_message, make_person, make_project, make_run
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.kit.refusals import Forbidden, Unprocessable
from verel_site.serving import standing_jobs

pytestmark = pytest.mark.django_db

FORMATS = ("trl", "kto", "openai", "axolotl", "llamafactory")


def make_merge(
    project: Project, answer: str = "50 mg", *, question: Any = "Cap the dose", **extra: Any
) -> Merge:
    _, trunk = make_run(project)
    asked = make_message("user", "")
    asked.payload["content"] = question
    append(trunk, asked, make_message("assistant", "45 mg"))
    fork = make_fork(trunk, 2).branch
    append(fork, make_message("assistant", answer))
    told = {"verdict": "pass", "open": True, "policy_version": 1, **extra}
    admission = Admission(fork.pk, bytes(fork.head_digest), **told)
    return merge_branches(
        winner_id=fork.pk, loser_ids=[trunk.pk], actor=SYSTEM, admission=admission
    )


def pass_undo() -> None:
    Merge.objects.update(undo_until=timezone.now() - timedelta(seconds=1))


def hold_undo(merge: Merge) -> None:
    """A slow machine must not let the window pass."""
    Merge.objects.filter(pk=merge.pk).update(undo_until=timezone.now() + timedelta(hours=1))


def make(project: Project, format: str = "trl", **filter: Any) -> Dataset:
    return make_dataset(project_id=project.pk, actor=SYSTEM, format=format, filter=filter)


def read(dataset: Dataset, name: str = "") -> bytes:
    actor = make_person(dataset.project)
    return b"".join(open_file(actor=actor, dataset_id=dataset.pk, name=name)[1])


def rows_of(dataset: Dataset) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in sorted(dataset.files):
        if name.startswith("data/"):
            data = read(dataset, name)
            rows += (
                json.loads(data) if name.endswith(".json") else map(json.loads, data.splitlines())
            )
    return rows


def test_only_triplets_past_their_undo_window_and_not_withdrawn_leave() -> None:
    project = make_project()
    kept, reverted = make_merge(project), make_merge(project, "60 mg")
    hold_undo(kept)
    hold_undo(reverted)
    with pytest.raises(NothingToExport):
        make(project)
    pass_undo()
    before = make(project)
    assert len(rows_of(before)) == 2
    revert_merge(merge_id=reverted.pk, actor=SYSTEM, reason="wrong")
    rows = rows_of(make(project))
    assert [json.loads(row["metadata"])["merge_id"] for row in rows] == [str(kept.pk)]


def test_a_dataset_that_holds_a_withdrawn_triplet_gives_its_rows_to_nobody() -> None:
    project = make_project()
    make_merge(project)
    reverted = make_merge(project, "60 mg")
    pass_undo()
    mine = make(project, run=str(reverted.run_id))
    other = make(project, since="2020-01-01", until=timezone.now().isoformat())
    revert_merge(merge_id=reverted.pk, actor=SYSTEM, reason="wrong")
    for dataset in (mine, other):
        for name in ("", "provenance.jsonl"):
            with pytest.raises(HoldsWithdrawn, match="1 of its triplets"):
                read(dataset, name)
        assert json.loads(read(dataset, "manifest.json")) == dataset.manifest


@pytest.mark.parametrize("format", FORMATS)
def test_the_manifest_tells_the_truth_about_every_file(format: str) -> None:
    project = make_project()
    for number in range(6):
        make_merge(project, f"{number} mg")
    pass_undo()
    dataset = make(project, format)
    manifest = json.loads(read(dataset, "manifest.json"))
    assert set(dataset.files) == {*manifest["sha256"], "manifest.json", "README.md"}
    for name, expected in manifest["sha256"].items():
        assert hashlib.sha256(read(dataset, name)).hexdigest() == expected
    per_triplet = 2 if format == "kto" else 1
    assert len(rows_of(dataset)) == 6 * per_triplet == sum(manifest["rows"].values())
    assert manifest["triplets"]["train"] + manifest["triplets"]["holdout"] == 6
    assert manifest["likeness"]["repeated_prompts"] == 5
    origins = [json.loads(line) for line in read(dataset, "provenance.jsonl").splitlines()]
    assert {origin["number"] for origin in origins} == {1, 2, 3, 4, 5, 6}
    assert len(origins) == 6 * per_triplet


def test_rows_have_the_columns_that_a_trainer_loads() -> None:
    project = make_project()
    make_merge(project)
    pass_undo()
    (row,) = rows_of(make(project))
    assert list(row) == ["prompt", "chosen", "rejected", "tools", "metadata"]
    assert row["prompt"] == [{"role": "user", "content": "Cap the dose"}]
    assert row["chosen"] == [{"role": "assistant", "content": "50 mg"}]


def test_what_does_not_fit_is_left_out_with_its_reason() -> None:
    project = make_project()
    image = [{"kind": "image", "mime": "image/png", "data": "aGk="}]
    make_merge(project, question=image)
    pass_undo()
    with pytest.raises(NothingFits, match="an image"):
        make(project)
    make_merge(project)
    pass_undo()
    dataset = make(project)
    assert dataset.manifest["skipped"]["triplets"] == 1
    (line,) = map(json.loads, read(dataset, "skipped.jsonl").splitlines())
    assert (line["number"], line["reason"]) == (1, "It holds an image; only text fits.")
    assert "1: It holds an image" in read(dataset, "README.md").decode()


def test_two_runs_or_more_always_give_two_sides_and_no_run_stands_on_both() -> None:
    project = make_project()
    make_merge(project)
    pass_undo()
    assert make(project).manifest["triplets"] in (
        {"train": 1, "holdout": 0},
        {"train": 0, "holdout": 1},
    )
    for number in range(2, 8):
        make_merge(project, f"{number} mg")
        pass_undo()
        dataset = make(project)
        assert min(dataset.manifest["triplets"].values()) >= 1
        sides: dict[str, set[str]] = {}
        for line in map(json.loads, read(dataset, "provenance.jsonl").splitlines()):
            sides.setdefault(line["file"], set()).add(line["run"])
        train, held = sides.values()
        assert not train & held
        assert (
            make(project).manifest["sha256"]["provenance.jsonl"]
            == dataset.manifest["sha256"]["provenance.jsonl"]
        )


def test_a_prompt_that_stands_on_both_sides_of_the_split_is_marked() -> None:
    project = make_project()
    for number in range(4):
        make_merge(project, f"{number} mg")
    pass_undo()
    dataset = make(project)
    assert dataset.manifest["likeness"]["across_splits"] >= 1
    marks = [json.loads(row["metadata"]).get("likeness") for row in rows_of(dataset)]
    told = [mark["across_splits"] for mark in marks if mark]
    assert sum(told) == dataset.manifest["likeness"]["across_splits"]


@pytest.mark.parametrize(
    ("filter", "numbers"),
    [
        ({"granularity": "decision"}, {1, 2, 3}),
        ({"granularity": "final"}, set()),
        ({"verdict": "warn"}, {2}),
        ({"bypassed": True}, {3}),
        ({"bypassed": False}, {1, 2}),
        ({"reviewer": "Verel"}, {1, 2, 3}),
        ({"reviewer": "Ada"}, set()),
        ({"since": "2026-01-01"}, {1, 2, 3}),
        ({"until": "2026-01-01"}, set()),
        ({"text": '"six"\nty'}, {2}),
        ({"text": "CAP THE"}, {1, 2, 3}),
        ({"text": "%"}, set()),
    ],
)
def test_a_filter_means_the_same_set_everywhere(filter: Any, numbers: set[int]) -> None:
    project = make_project()
    make_merge(project)
    make_merge(project, 'at most "six"\nty', verdict="warn")
    make_merge(project, "70 mg", open=False, verdict="fail", bypass_reason="grader is down")
    pass_undo()
    if not numbers:
        with pytest.raises(NothingToExport):
            make(project, **filter)
        return
    rows = rows_of(make(project, **filter))
    ids = {json.loads(row["metadata"])["triplet_id"] for row in rows}
    found = Triplet.objects.filter(pk__in=ids).values_list("number", flat=True)
    assert set(found) == numbers


@pytest.mark.parametrize(
    ("filter", "pointer"),
    [
        ({"colour": "red"}, "/filter/colour"),
        ({"run": 5}, "/filter/run"),
        ({"run": "x"}, "/filter/run"),
        ({"granularity": []}, "/filter/granularity"),
        ({"bypassed": "maybe"}, "/filter/bypassed"),
        ({"since": "2026-13-01"}, "/filter/since"),
        ({"until": "2026-01-01T00:00:00"}, "/filter/until"),
        ({"until": "9999-12-31"}, "/filter/until"),
        ({"text": "x" * 201}, "/filter/text"),
    ],
)
def test_a_bad_filter_is_named(filter: Any, pointer: str) -> None:
    with pytest.raises(Unprocessable) as refusal:
        make(make_project(), **filter)
    assert refusal.value.pointer == pointer


def test_a_dataset_is_kept_in_the_archive_and_audited() -> None:
    project = make_project()
    make_merge(project)
    pass_undo()
    actor = make_person(project)
    dataset = make_dataset(project_id=project.pk, actor=actor)
    assert json.loads(cold_store().get(dataset.files["manifest.json"])) == dataset.manifest
    assert project.audit_entries.filter(action="dataset.export", actor_name=actor.name).exists()


def test_a_viewer_cannot_export_and_an_unknown_format_is_named() -> None:
    project = make_project()
    with pytest.raises(Forbidden):
        make_dataset(project_id=project.pk, actor=make_person(project, Role.VIEWER))
    with pytest.raises(UnknownFormat, match="trl"):
        make(project, "xml")


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose datasets are left to the worker."""
    monkeypatch.setattr(datasets, "INLINE_TRIPLETS", 1)
    project = make_project()
    for number in range(3):
        make_merge(project, f"{number} mg")
    pass_undo()
    return project


def order(project: Project) -> Export:
    ordered = order_dataset(project_id=project.pk, actor=make_person(project))
    assert isinstance(ordered, Export)
    return ordered


def test_a_large_dataset_is_left_to_the_worker_and_appears_when_it_is_whole(large: Project) -> None:
    ordered = order(large)
    with pytest.raises(NotReady, match="0 of 3"):
        open_file(actor=make_person(large), dataset_id=ordered.pk, name="")
    (job,) = (job for job in standing_jobs() if job.name == "datasets")
    assert job.step()
    assert not job.step()
    dataset = Dataset.objects.get(pk=ordered.pk)
    assert len(rows_of(dataset)) == 3
    ordered.refresh_from_db()
    assert (ordered.state, ordered.done) == ("done", 3)
    assert large.audit_entries.filter(action="dataset.export", actor_name=ordered.by_name).exists()


def test_an_export_whose_worker_died_is_built_by_the_next_one_once(large: Project) -> None:
    ordered = order(large)
    late = timezone.now() - timedelta(seconds=1)
    dead = UUID(int=1)
    Export.objects.filter(pk=ordered.pk).update(state="working", holder=dead, held_until=late)
    assert sweep_exports()
    assert Dataset.objects.get().pk == ordered.pk


def test_a_worker_that_lost_its_export_writes_no_dataset(
    large: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered = order(large)

    def write_slowly(*args: Any, **more: Any) -> Any:
        Export.objects.filter(pk=ordered.pk).update(holder=UUID(int=2))
        return write_snapshot(*args, **more)

    monkeypatch.setattr(datasets, "write_snapshot", write_slowly)
    assert sweep_exports()
    assert not Dataset.objects.exists()


def test_an_export_that_never_ends_is_given_up_and_says_so(large: Project) -> None:
    ordered = order(large)
    Export.objects.filter(pk=ordered.pk).update(attempts=datasets.MAX_ATTEMPTS)
    assert not sweep_exports()
    ordered.refresh_from_db()
    assert ordered.state == "failed"
    with pytest.raises(NotReady, match="never finished"):
        open_file(actor=make_person(large), dataset_id=ordered.pk, name="")


def test_a_triplet_that_is_withdrawn_while_it_is_written_is_not_in_the_dataset(
    large: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    order(large)

    def write_slowly(*args: Any, **more: Any) -> Any:
        snapshot = write_snapshot(*args, **more)
        first = Merge.objects.filter(reverted_at=None).order_by("created_at").first()
        if first is not None and Merge.objects.filter(reverted_at=None).count() == 3:
            revert_merge(merge_id=first.pk, actor=SYSTEM, reason="just then")
        return snapshot

    monkeypatch.setattr(datasets, "write_snapshot", write_slowly)
    assert sweep_exports()
    rows = rows_of(Dataset.objects.get())
    assert len(rows) == 2
    assert "0 mg" not in json.dumps(rows)


def test_an_export_of_which_nothing_is_left_fails_in_words(large: Project) -> None:
    ordered = order(large)
    for merge in Merge.objects.all():
        revert_merge(merge_id=merge.pk, actor=SYSTEM, reason="all wrong")
    assert sweep_exports()
    ordered.refresh_from_db()
    assert (ordered.state, ordered.fault[:26]) == ("failed", "No triplet may leave yet. ")


@pytest.mark.parametrize("format", FORMATS)
def test_the_command_writes_a_directory_once(tmp_path: Path, format: str) -> None:
    project = make_project()
    make_merge(project)
    out = tmp_path / "dataset"
    arguments = {"project": project.slug, "format": format, "out": str(out)}
    hold_undo(Merge.objects.get())
    with pytest.raises(CommandError, match="undo window"):
        call_command("export_triplets", **arguments)
    pass_undo()
    call_command("export_triplets", **arguments)
    written = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert written >= {"manifest.json", "README.md", "provenance.jsonl"}
    assert ("dataset_info.json" in written) == (format == "llamafactory")
    with pytest.raises(CommandError, match="not empty"):
        call_command("export_triplets", **arguments)


def test_an_object_is_written_once_and_never_outside_the_store(tmp_path: Path) -> None:
    store = cold_store()
    store.put("a/b", b"1")
    other = tmp_path / "other"
    other.write_bytes(b"2" * 600_000)
    with pytest.raises(AlreadyStored):
        store.put("a/b", b"2")
    with pytest.raises(AlreadyStored):
        store.put_file("a/b", other)
    assert store.get("a/b") == b"1"
    store.put_file("a/c", other)
    pieces = list(store.read("a/c"))
    assert len(pieces) > 1
    assert b"".join(pieces) == other.read_bytes()
    for outside in ("../../etc/passwd", "a/none"):
        with pytest.raises(NotStored):
            store.get(outside)
        with pytest.raises(NotStored):
            store.read(outside)
    with pytest.raises(NotStored):
        store.put("../outside", b"x")
