import hashlib
import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from branches.datasets import NothingToExport, UnknownFormat, build_snapshot, make_dataset
from branches.domain.admission import Admission
from branches.merges import merge_branches, revert_merge
from branches.models import Merge
from branches.storage.cold import AlreadyStored, NotStored, cold_store
from tests.make import append, make_fork, make_message, make_person, make_project, make_run
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.kit.refusals import Forbidden

pytestmark = pytest.mark.django_db


def make_merge(project: Project, answer: str = "50 mg") -> Merge:
    _, trunk = make_run(project)
    append(trunk, make_message("user", "Cap the dose"), make_message("assistant", "45 mg"))
    fork = make_fork(trunk, 2).branch
    append(fork, make_message("assistant", answer))
    admission = Admission(fork.pk, bytes(fork.head_digest), "pass", True, 1)
    return merge_branches(
        winner_id=fork.pk, loser_ids=[trunk.pk], actor=SYSTEM, admission=admission
    )


def pass_undo() -> None:
    Merge.objects.update(undo_until=timezone.now() - timedelta(seconds=1))


def rows_of(files: dict[str, bytes]) -> list[dict[str, object]]:
    lines = [line for name, data in files.items() if "data/" in name for line in data.splitlines()]
    return [json.loads(line) for line in lines]


def test_only_triplets_past_their_undo_window_and_not_withdrawn_leave() -> None:
    project = make_project()
    kept, reverted = make_merge(project), make_merge(project, "60 mg")
    with pytest.raises(NothingToExport):
        build_snapshot(project=project, actor=SYSTEM)
    pass_undo()
    assert len(rows_of(build_snapshot(project=project, actor=SYSTEM).files)) == 2
    revert_merge(merge_id=reverted.pk, actor=SYSTEM, reason="wrong")
    rows = rows_of(build_snapshot(project=project, actor=SYSTEM).files)
    assert [json.loads(str(row["metadata"]))["merge_id"] for row in rows] == [str(kept.pk)]


def test_the_manifest_tells_the_truth_about_every_file() -> None:
    project = make_project()
    for _ in range(6):
        make_merge(project)
    pass_undo()
    snapshot = build_snapshot(project=project, actor=SYSTEM)
    manifest = json.loads(snapshot.files["manifest.json"])
    for name, expected in manifest["sha256"].items():
        assert hashlib.sha256(snapshot.files[name]).hexdigest() == expected
        assert snapshot.files[name].count(b"\n") == manifest["rows"][name]
    assert sum(manifest["rows"].values()) == 6
    assert manifest["repeated_prompts"] == 5
    assert b"trl" in snapshot.files["README.md"]


def test_rows_have_the_columns_that_a_trainer_loads() -> None:
    project = make_project()
    make_merge(project)
    pass_undo()
    (row,) = rows_of(build_snapshot(project=project, actor=SYSTEM).files)
    assert list(row) == ["prompt", "chosen", "rejected", "tools", "metadata"]
    assert row["prompt"] == [{"role": "user", "content": "Cap the dose"}]
    assert row["chosen"] == [{"role": "assistant", "content": "50 mg"}]


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
        build_snapshot(project=project, actor=make_person(project, Role.VIEWER))
    with pytest.raises(UnknownFormat, match="trl"):
        build_snapshot(project=project, actor=SYSTEM, format="xml")


def test_the_command_writes_a_directory_once(tmp_path: Path) -> None:
    project = make_project()
    make_merge(project)
    out = tmp_path / "dataset"
    with pytest.raises(CommandError, match="undo window"):
        call_command("export_triplets", project=project.slug, out=str(out))
    pass_undo()
    call_command("export_triplets", project=project.slug, out=str(out))
    assert {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()} >= {
        "manifest.json",
        "README.md",
    }
    with pytest.raises(CommandError, match="not empty"):
        call_command("export_triplets", project=project.slug, out=str(out))


def test_an_object_is_written_once_and_never_outside_the_store() -> None:
    store = cold_store()
    store.put("a/b", b"1")
    with pytest.raises(AlreadyStored):
        store.put("a/b", b"2")
    assert store.get("a/b") == b"1"
    with pytest.raises(NotStored):
        store.get("../../etc/passwd")
    with pytest.raises(NotStored):
        store.put("../outside", b"x")
