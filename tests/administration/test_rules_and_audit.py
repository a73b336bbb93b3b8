import csv
import hashlib
import io
import json
from uuid import uuid4

import pytest
from django.test import Client

from tests.make import make_project, make_user
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.audit.ledger import FIRST_SEAL, record_act
from verel_site.audit.models import AuditEntry

pytestmark = pytest.mark.django_db

HOSTILE = '=HYPERLINK("http://evil.example") <script>alert(1)</script>'


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def admin(project: Project) -> Client:
    client = Client()
    client.force_login(make_user(project, Role.ADMIN, name="ada"))
    return client


def act(project: Project, action: str = "branch.fork", subject: str = "branch:1") -> None:
    record_act(project_id=project.pk, actor=SYSTEM, action=action, subject=subject, reason=HOSTILE)


def test_a_change_of_rules_is_kept_with_what_stood_before(admin: Client, project: Project) -> None:
    page = f"/p/{project.slug}/settings/"
    admin.post(page, {"separate_duties": "1", "reason": "two pairs of eyes"})
    project.refresh_from_db()
    assert (project.separate_duties, project.override_in_prompt) == (True, False)
    entry = AuditEntry.objects.get(action="project.change_rules")
    body = json.loads(bytes(entry.body))
    assert (body["before"]["separate_duties"], body["after"]["separate_duties"]) == (False, True)
    assert entry.reason == "two pairs of eyes"
    admin.post(page, {"separate_duties": "1", "reason": "the same again"})
    assert AuditEntry.objects.count() == 1


def test_a_budget_is_a_whole_number_of_tokens_or_none(admin: Client, project: Project) -> None:
    page = f"/p/{project.slug}/settings/"
    admin.post(page, {"token_budget": " 2,000 000 ", "reason": "November"})
    project.refresh_from_db()
    assert project.token_budget == 2_000_000
    for typed in ("-1", "0", "2.5", "many", "9" * 24, "²"):
        refused = admin.post(page, {"token_budget": typed, "reason": "kept"})
        assert refused.status_code == 400
        assert b"Nothing was changed" in refused.content
        assert b'value="kept"' in refused.content
    project.refresh_from_db()
    assert project.token_budget == 2_000_000
    admin.post(page, {"token_budget": "", "reason": "none any more"})
    project.refresh_from_db()
    assert project.token_budget is None


def test_a_viewer_sees_the_rules_and_cannot_change_them(project: Project) -> None:
    viewer = Client()
    viewer.force_login(make_user(project, Role.VIEWER))
    shown = viewer.get(f"/p/{project.slug}/settings/").content
    assert b"Two people for a merge" in shown
    assert b"disabled" in shown
    assert b"Audit log" not in shown


def test_the_log_is_filtered_and_read_in_windows_without_gaps(
    admin: Client, project: Project
) -> None:
    for index in range(150):
        act(project, subject=f"branch:{index}")
    act(project, "merge.revert", "merge:9")
    page = f"/p/{project.slug}/audit/"
    newest = admin.get(page).content.decode()
    older = admin.get(page, {"before": "52"}).content.decode()
    assert ("branch:52<" in newest, "branch:50<" in newest) == (True, False)
    assert "?before=52&amp;" in newest
    assert ("branch:50<" in older, "branch:0<" in older) == (True, True)
    assert "This is where the log begins." in older
    found = admin.get(page, {"action": "merge", "subject": "merge:"}).content.decode()
    assert ("merge:9" in found, "branch:" in found.split("<tbody>")[1]) == (True, False)
    assert admin.get(page, {"actor": "Verel", "before": "x"}).status_code == 400
    assert "Nothing matches" in admin.get(page, {"actor": "nobody"}).content.decode()
    assert "<script>alert" not in newest


def test_json_lines_hold_the_stored_bytes_and_their_chain(admin: Client, project: Project) -> None:
    for _ in range(3):
        act(project)
    answer = admin.get(f"/p/{project.slug}/audit/file.jsonl")
    lines = b"".join(answer).splitlines()
    seal = FIRST_SEAL
    for line in reversed(lines):
        told = json.loads(line)
        body = line.removeprefix(b'{"entry":').rsplit(b',"seal":', 1)[0]
        seal = hashlib.sha256(seal + body).digest()
        assert told["seal"] == seal.hex()
        assert told["entry"]["reason"] == HOSTILE
    assert "attachment" in answer["Content-Disposition"]


def test_csv_holds_no_formula(admin: Client, project: Project) -> None:
    act(project)
    act(project, "key.create", "key:1")
    answer = admin.get(f"/p/{project.slug}/audit/file.csv", {"action": "branch."})
    rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode())))
    assert [row["action"] for row in rows] == ["branch.fork"]
    assert rows[0]["reason"] == f"'{HOSTILE}"
    assert admin.get(f"/p/{project.slug}/audit/file.exe").status_code == 404


def test_an_entry_leads_to_what_was_acted_on(admin: Client, project: Project) -> None:
    key = uuid4()
    for kind in ("branch", "merge", "record"):
        act(project, f"{kind}.act", f"{kind}:{key}")
    act(project, "merge.forged", "merge:../../login")
    text = admin.get(f"/p/{project.slug}/audit/").content.decode()
    assert f'href="/p/{project.slug}/search/?q={key}"' in text
    assert f'href="/merges/{key}/"' in text
    assert f'<span class="hash" title="record:{key}">' in text
    assert '<span class="hash" title="merge:../../login">' in text
