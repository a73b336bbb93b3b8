import json
from collections import Counter
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django.fixtures import Settings

from branches.models import Branch
from tests import make
from tests.guards import unguarded
from verel_site.access.models import Project
from verel_site.heads import (
    KEPT_DAYS,
    KEPT_LATEST,
    Head,
    find_faults,
    keep_heads,
    read_kept,
    take_head,
    thin_out,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, settings: Settings) -> None:
    settings.VEREL_HOME = tmp_path


@pytest.fixture
def trunk() -> Branch:
    trunk = make.make_run()[1]
    make.append(trunk, *(make.make_message("user", f"{n}") for n in range(3)))
    make.make_fork(trunk, 2)
    return trunk


def faults(project: Project, *heads: Head) -> list[tuple[str, str]]:
    found = find_faults(project_id=project.pk, counts=Counter(), heads=heads)
    return [(fault.kind, fault.row) for fault in found]


def cut_audit_tail() -> None:
    with unguarded(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_auditentry")


def cut_and_put_back(trunk: Branch) -> None:
    """Cuts the branch's tail and puts its row back to the event before: the chain is whole again."""
    last = trunk.events.get(seq=3)
    with unguarded(), connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM branches_event WHERE branch_id = %s AND seq > 3", [trunk.pk.hex]
        )
    Branch.objects.filter(pk=trunk.pk).update(
        head_seq=3, head_position=last.position, head_digest=last.digest, head_seal=last.seal
    )


def test_what_goes_on_after_a_head_was_signed_is_no_fault(trunk: Branch) -> None:
    head = take_head(trunk.project_id)
    make.append(trunk, make.make_message("user", "more"))
    make.make_fork(trunk, 5)
    make.make_run(trunk.project)
    assert faults(trunk.project, head) == []


def test_a_cut_tail_of_the_audit_log_shows_against_a_signed_head(trunk: Branch) -> None:
    head = take_head(trunk.project_id)
    cut_audit_tail()
    assert faults(trunk.project) == []
    assert faults(trunk.project, head) == [("cut_tail", f"audit entry {head.audit_number}")]


def test_a_cut_tail_of_a_branch_shows_even_where_its_row_was_put_back(trunk: Branch) -> None:
    head = take_head(trunk.project_id)
    cut_and_put_back(trunk)
    assert faults(trunk.project) == []
    assert [kind for kind, _ in faults(trunk.project, head)] == ["cut_tail"]


def test_a_head_that_was_altered_or_signed_elsewhere_is_refused(
    trunk: Branch, tmp_path: Path, settings: Settings
) -> None:
    told = take_head(trunk.project_id).as_json()
    path = tmp_path / "heads.jsonl"
    wrongs: list[object] = [{**told, "audit_number": 0}, {}, [], {**told, "signature": None}]
    for wrong in wrongs:
        path.write_text(json.dumps(wrong))
        with pytest.raises(CommandError, match="head"):
            call_command("verify", heads=path)
    path.write_text(json.dumps(told))
    settings.SECRET_KEY = "another"
    with pytest.raises(CommandError, match="does not hold"):
        call_command("verify", heads=path)


def test_the_command_prints_a_head_that_verify_takes(trunk: Branch, tmp_path: Path) -> None:
    out, path = StringIO(), tmp_path / "heads.jsonl"
    call_command("audit_head", project=trunk.project.slug, stdout=out)
    path.write_text(out.getvalue())
    call_command("verify", heads=path, stdout=StringIO())
    cut_audit_tail()
    with pytest.raises(SystemExit):
        call_command("verify", heads=path, stdout=StringIO())


def test_the_worker_keeps_a_head_only_when_something_happened(trunk: Branch) -> None:
    keep_heads()
    keep_heads()
    assert len(read_kept(trunk.project_id)) == 1
    make.append(trunk, make.make_message("user", "more"))
    keep_heads()
    assert [head.events for head in read_kept(trunk.project_id)] == [7, 8]


def test_the_worker_never_signs_over_a_cut_tail(trunk: Branch) -> None:
    keep_heads()
    cut_audit_tail()
    make.append(trunk, make.make_message("user", "more"))
    keep_heads()
    assert len(read_kept(trunk.project_id)) == 1
    assert ("cut_tail", "audit entry 1") in faults(trunk.project)


def test_a_kept_head_that_was_altered_is_named(trunk: Branch, tmp_path: Path) -> None:
    keep_heads()
    path = tmp_path / "heads" / f"{trunk.project_id}.jsonl"
    path.write_text(path.read_text().replace('"audit_number": 1', '"audit_number": 2'))
    assert faults(trunk.project) == [("head", f"line 1 of {path.name}")]


def test_of_many_heads_the_latest_and_one_a_day_are_kept(trunk: Branch) -> None:
    fields = {k: v for k, v in take_head(trunk.project_id).as_json().items() if k != "signature"}
    hours = [datetime(2026, 1, 1) + timedelta(hours=n) for n in range(24 * 60)]
    kept = thin_out([Head(**(fields | {"at": hour.isoformat()})) for hour in hours])
    assert len(kept) == KEPT_LATEST + KEPT_DAYS
    assert kept[-1].at == hours[-1].isoformat()
    assert {head.at[11:] for head in kept[:KEPT_DAYS]} == {"00:00:00"}
