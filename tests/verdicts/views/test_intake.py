import json
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings

from branches.models import Import, Run
from tests.make import make_project, make_user
from verdicts.uploads import UploadWorker, uploads_folder
from verdicts.views import intake
from verel_site.access.models import Project
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db

HI = json.dumps([{"role": "user", "content": "Is the pump on?"}]).encode()


@pytest.fixture
def project(settings: Settings, tmp_path: Path) -> Project:
    settings.VEREL_HOME = tmp_path / "home"
    return make_project()


@pytest.fixture
def reviewer(project: Project) -> Client:
    client = Client()
    client.force_login(make_user(project))
    return client


def upload(
    client: Client, project: Project, *files: tuple[str, bytes], **extra: str
) -> HttpResponse:
    body = [SimpleUploadedFile(name, content) for name, content in files]
    address = reverse("import", args=[project.slug])
    return client.post(address, {"files": body, **extra})  # type: ignore[return-value]


def show(client: Client, project: Project) -> str:
    return client.get(reverse("import", args=[project.slug])).content.decode()


def read_all() -> None:
    worker = UploadWorker()
    while worker.run_once():
        pass


def test_the_page_offers_one_form_that_works_without_scripts(
    reviewer: Client, project: Project
) -> None:
    html = reviewer.get(reverse("import", args=[project.slug])).content.decode()

    assert 'enctype="multipart/form-data"' in html
    assert '<input id="upload-files" type="file" name="files" multiple' in html
    assert "Nothing was imported into this project yet." in html


def test_an_upload_waits_then_is_read_and_answered_with_links_to_its_runs(
    reviewer: Client, project: Project
) -> None:
    answer = upload(reviewer, project, ("one.json", HI), ("two.json", b"# no"))
    assert (answer.status_code, answer["Location"]) == (302, reverse("import", args=[project.slug]))
    waiting = show(reviewer, project)
    assert waiting.count("Waits for the worker") == 2
    assert 'hx-trigger="every 1s"' in waiting
    assert not Run.objects.exists()

    read_all()

    html = show(reviewer, project)
    run = Run.objects.get(project=project)
    assert run.goal == "Is the pump on?"
    assert reverse("run", args=[run.pk]) in html
    assert "It is not JSON" in html
    assert "every 1s" not in html
    assert [row.state for row in Import.objects.order_by("pk")] == ["done", "failed"]


def test_reading_a_file_again_says_that_all_was_here(reviewer: Client, project: Project) -> None:
    for name in ("one.json", "copy.json"):
        upload(reviewer, project, (name, HI))
        read_all()

    assert "all of it was here before" in show(reviewer, project)
    assert Run.objects.filter(project=project).count() == 1


def test_htmx_gets_the_list_alone(reviewer: Client, project: Project) -> None:
    upload(reviewer, project, ("one.json", HI))
    Import.objects.update(state="reading", bytes_read=30, bytes_total=120, summary={"events": 7})

    headers = {"HX-Request": "true", "HX-Target": "imports"}
    address = reverse("import", args=[project.slug])
    html = reviewer.get(address, headers=headers).content.decode()

    assert html.startswith('<section class="upload-result" id="imports"')
    assert '<progress max="100" value="25"' in html
    assert "7 events" in html


def test_a_list_of_imports_takes_the_same_queries_however_long_it_is(
    reviewer: Client, project: Project, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    one = [{"role": "user", "content": "?"}]
    files = [(f"{n}.json", json.dumps([{"task_id": n, "traj": one}]).encode()) for n in range(6)]
    upload(reviewer, project, files[0])
    read_all()
    with CaptureQueriesContext(connection) as first:
        show(reviewer, project)
        count = len(first.captured_queries)
    upload(reviewer, project, *files[1:])
    read_all()

    with django_assert_max_num_queries(count):
        assert show(reviewer, project).count("import-row") == 6


def test_an_import_can_be_cancelled_by_who_may_import(reviewer: Client, project: Project) -> None:
    upload(reviewer, project, ("one.json", HI))
    row = Import.objects.get()
    viewer, stranger = Client(), Client()
    viewer.force_login(make_user(project, Role.VIEWER))
    other = make_project()
    stranger.force_login(make_user(other))
    address = reverse("import-cancel", args=[project.slug, row.pk])

    assert viewer.post(address).status_code == 403
    assert stranger.post(address).status_code == 404
    assert stranger.post(reverse("import-cancel", args=[other.slug, row.pk])).status_code == 404
    assert reviewer.get(address).status_code == 405
    assert reviewer.post(address).status_code == 302
    assert reviewer.post(address).status_code == 409
    read_all()
    assert not Run.objects.exists()
    assert "Cancelled. 0 events had been read" in show(reviewer, project)


def test_an_upload_without_a_file_is_422(reviewer: Client, project: Project) -> None:
    nothing = upload(reviewer, project)

    assert nothing.status_code == 422
    assert "No file was chosen" in nothing.content.decode()


def test_a_file_over_the_limit_is_413_and_nothing_is_imported(
    reviewer: Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MAX_FILE_BYTES", 1000)

    answer = upload(reviewer, project, ("small.json", HI), ("large.json", b"[" + b" " * 2000))

    assert answer.status_code == 413
    html = answer.content.decode()
    assert "large.json is too large" in html
    assert not Run.objects.exists()


def test_uploads_are_gone_once_they_are_read(
    reviewer: Client,
    project: Project,
    settings: Settings,
    tmp_path: Path,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "temporary")
    (tmp_path / "temporary").mkdir()

    upload(reviewer, project, ("one.json", HI))
    assert list((tmp_path / "temporary").iterdir()) == []
    assert len(list(uploads_folder().iterdir())) == 1
    with django_capture_on_commit_callbacks(execute=True):
        read_all()

    assert list(uploads_folder().iterdir()) == []


def test_a_hostile_name_is_shown_inert(reviewer: Client, project: Project) -> None:
    upload(reviewer, project, ("<script>x\u202e.json", b"# no"))
    read_all()

    html = show(reviewer, project)
    assert "<script>x" not in html
    assert "\u202e" not in html


def test_the_form_needs_its_token(project: Project) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user(project))

    assert upload(client, project, ("one.json", HI)).status_code == 403
    client.get(reverse("import", args=[project.slug]))
    token = client.cookies["csrftoken"].value
    answer = upload(client, project, ("one.json", HI), csrfmiddlewaretoken=token)
    assert answer.status_code == 302


def test_a_viewer_may_not_and_a_stranger_finds_nothing(project: Project) -> None:
    viewer, stranger = Client(), Client()
    viewer.force_login(make_user(project, Role.VIEWER))
    stranger.force_login(make_user(make_project()))
    address = reverse("import", args=[project.slug])

    assert viewer.get(address).status_code == 403
    assert upload(viewer, project, ("one.json", HI)).status_code == 403
    assert stranger.get(address).status_code == 404
    assert Client().get(address).status_code == 302
    assert not Run.objects.exists()
