import json
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from branches.models import Run
from tests.make import make_project, make_user
from verdicts.views import intake
from verel_site.access.models import Project
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db

HI = json.dumps([{"role": "user", "content": "Is the pump on?"}]).encode()


@pytest.fixture
def project() -> Project:
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


def test_the_page_offers_one_form_that_works_without_scripts(
    reviewer: Client, project: Project
) -> None:
    html = reviewer.get(reverse("import", args=[project.slug])).content.decode()

    assert 'enctype="multipart/form-data"' in html
    assert '<input id="upload-files" type="file" name="files" multiple' in html
    assert "Nothing was imported into this project yet." in html


def test_files_are_read_and_each_is_answered_with_links_to_its_runs(
    reviewer: Client, project: Project
) -> None:
    html = upload(reviewer, project, ("one.json", HI), ("two.json", b"# no")).content.decode()

    run = Run.objects.get(project=project)
    assert run.goal == "Is the pump on?"
    assert reverse("run", args=[run.pk]) in html
    assert "It is not JSON" in html
    recent = reviewer.get(reverse("import", args=[project.slug])).content.decode()
    assert "one.json" in recent
    assert "two.json" not in recent


def test_reading_a_file_again_says_that_all_was_here(reviewer: Client, project: Project) -> None:
    upload(reviewer, project, ("one.json", HI))

    html = upload(reviewer, project, ("copy.json", HI)).content.decode()

    assert "all of it was here before" in html
    assert Run.objects.filter(project=project).count() == 1


def test_an_upload_without_a_readable_file_is_422(reviewer: Client, project: Project) -> None:
    assert upload(reviewer, project, ("one.zip", b"PK\x03\x04")).status_code == 422
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


def test_uploads_lie_in_temporary_files_that_are_gone_afterwards(
    reviewer: Client,
    project: Project,
    settings: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)  # type: ignore[attr-defined]

    answer = upload(reviewer, project, ("one.json", HI))
    answer.close()

    assert answer.status_code == 200
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_name_is_shown_inert(reviewer: Client, project: Project) -> None:
    html = upload(reviewer, project, ("<script>x\u202e.json", b"# no")).content.decode()

    assert "<script>x" not in html
    assert "\u202e" not in html


def test_the_form_needs_its_token(project: Project) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user(project))

    assert upload(client, project, ("one.json", HI)).status_code == 403
    client.get(reverse("import", args=[project.slug]))
    token = client.cookies["csrftoken"].value
    answer = upload(client, project, ("one.json", HI), csrfmiddlewaretoken=token)
    assert answer.status_code == 200


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
