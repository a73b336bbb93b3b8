"""The pages of triplets and datasets: found, looked at, made, fetched, without JavaScript."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from branches import datasets
from branches.datasets import sweep_exports
from branches.domain import terms
from branches.merges import revert_merge
from branches.models import Dataset, Event, Export
from branches.selectors import dataset_page
from tests.branches.test_datasets import hold_undo, make_merge, pass_undo
from tests.make import make_project, make_user
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true", "HX-Target": "event-detail"}


def enter(client: Client, project: Project, role: Role = Role.REVIEWER) -> None:
    client.force_login(make_user(project, role))


def show(client: Client, project: Project, **query: Any) -> str:
    response = client.get(reverse("triplets", args=[project.slug]), query)
    assert response.status_code == 200, response.content.decode()[:600]
    return response.content.decode()


def test_triplets_are_listed_with_what_may_leave_and_what_never_will(client: Client) -> None:
    project = make_project()
    make_merge(project, "first")
    pass_undo()
    revert_merge(merge_id=make_merge(project, "second").pk, actor=SYSTEM, reason="wrong")
    hold_undo(make_merge(project, "third"))
    enter(client, project)
    page = show(client, project)
    assert "1 withdrawn" in page
    assert "1 in the undo window" in page
    assert "<b>1</b> would be exported" in page
    assert 'data-state="withdrawn"' in page
    assert 'data-state="held"' in page


@pytest.mark.parametrize(
    ("format", "shown"),
    [
        ("trl", "&quot;prompt&quot;"),
        ("kto", "&quot;label&quot;"),
        ("openai", "&quot;preferred_output&quot;"),
        ("axolotl", "&quot;messages&quot;"),
        ("llamafactory", "&quot;conversations&quot;"),
    ],
)
def test_a_triplet_is_shown_literally_in_the_chosen_format(
    client: Client, format: str, shown: str
) -> None:
    project = make_project()
    make_merge(project, "<script>alert(1)</script>")
    enter(client, project)
    page = show(client, project, format=format, triplet=1)
    assert shown.replace("&quot;", '"') in page
    assert "<script>alert" not in page


def test_what_does_not_fit_says_so_before_a_snapshot_is_made(client: Client) -> None:
    project = make_project()
    make_merge(project, question=[{"kind": "image", "mime": "image/png", "data": "aGk="}])
    enter(client, project)
    page = show(client, project, format="openai")
    assert "It does not fit OpenAI preference." in page
    assert "It holds an image" in page


def test_a_filter_narrows_list_count_and_snapshot_alike(client: Client) -> None:
    project = make_project()
    make_merge(project)
    make_merge(project, "70 mg", open=False, verdict="fail", bypass_reason="grader is down")
    pass_undo()
    enter(client, project)
    page = show(client, project, bypassed="true")
    assert "<b>1</b> would be exported" in page
    assert "grader is down" in page
    where = reverse("triplets", args=[project.slug])
    made = client.post(where, {"bypassed": "true", "format": "kto"})
    dataset = Dataset.objects.get()
    assert made.headers["Location"] == reverse("dataset", args=[dataset.pk])
    assert (dataset.format, dataset.filter, dataset.manifest["looked_at"]) == (
        "kto",
        {"bypassed": True},
        1,
    )


def test_a_bad_filter_or_format_is_a_page_that_says_so(client: Client) -> None:
    project = make_project()
    make_merge(project)
    enter(client, project)
    where = reverse("triplets", args=[project.slug])
    for query in ({"since": "soon"}, {"format": "xml"}, {"before": "x"}, {"run": "r"}):
        assert client.get(where, query).status_code == 400
    assert client.get(where, {"triplet": 99}).status_code == 404
    assert client.post(where, {"format": "xml"}).status_code == 422
    assert client.post(where, {"since": "soon"}).status_code == 422
    assert client.post(where).status_code == 409


def test_a_long_list_is_windowed_without_gaps_or_repeats(
    client: Client, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(dataset_page, "PAGE", 2)
    project = make_project()
    for number in range(5):
        make_merge(project, f"{number} mg")
    enter(client, project)
    where, seen = reverse("triplets", args=[project.slug]), []
    query = ""
    for _ in range(3):
        with django_assert_num_queries(9):
            response = client.get(f"{where}{query}")
        page = response.context["page"]
        seen += [row.number for row in page.rows]
        query = page.older_href.removeprefix(where)
    assert seen == [5, 4, 3, 2, 1]
    assert not query


def test_a_dataset_shows_its_manifest_card_and_files_to_fetch(client: Client) -> None:
    project = make_project()
    make_merge(project)
    make_merge(project, "60 mg")
    pass_undo()
    enter(client, project)
    client.post(reverse("triplets", args=[project.slug]))
    dataset = Dataset.objects.get()
    page = client.get(reverse("dataset", args=[dataset.pk])).content.decode()
    for text in (
        "2 triplets",
        "To train on",
        "pretty_name",
        dataset.manifest["sha256"]["provenance.jsonl"],
    ):
        assert text in page
    rows = client.get(reverse("dataset-file", args=[dataset.pk]), {"name": "manifest.json"})
    assert json.loads(rows.getvalue()) == dataset.manifest
    assert rows.headers["Content-Disposition"] == 'attachment; filename="manifest.json"'
    listed = client.get(reverse("datasets", args=[project.slug])).content.decode()
    assert reverse("dataset", args=[dataset.pk]) in listed


def test_a_dataset_with_withdrawn_triplets_says_so_and_offers_another(client: Client) -> None:
    project = make_project()
    make_merge(project)
    wrong = make_merge(project, "60 mg")
    pass_undo()
    enter(client, project)
    where = reverse("triplets", args=[project.slug])
    client.post(where, {"verdict": "pass"})
    dataset = Dataset.objects.get()
    revert_merge(merge_id=wrong.pk, actor=SYSTEM, reason="wrong")
    page = client.get(reverse("dataset", args=[dataset.pk])).content.decode()
    assert "1 of its triplets was withdrawn since." in page
    assert '<input type="hidden" name="verdict" value="pass">' in page
    assert client.get(reverse("dataset-file", args=[dataset.pk])).status_code == 409


def test_progress_is_shown_until_the_worker_is_done(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "INLINE_TRIPLETS", 0)
    project = make_project()
    make_merge(project)
    pass_undo()
    enter(client, project)
    client.post(reverse("triplets", args=[project.slug]))
    where = reverse("dataset", args=[Export.objects.get().pk])
    asking = {"HX-Request": "true", "HX-Target": "dataset-state"}
    waiting = client.get(where, headers=asking)
    assert "Waits for the worker" in waiting.content.decode()
    assert "HX-Refresh" not in waiting.headers
    assert "Being written" in client.get(reverse("datasets", args=[project.slug])).content.decode()
    assert sweep_exports()
    assert client.get(where, headers=asking).headers["HX-Refresh"] == "true"
    assert "manifest.json" in client.get(where).content.decode()


def test_a_failed_export_says_why(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "INLINE_TRIPLETS", 0)
    project = make_project()
    merge = make_merge(project)
    pass_undo()
    enter(client, project)
    client.post(reverse("triplets", args=[project.slug]))
    revert_merge(merge_id=merge.pk, actor=SYSTEM, reason="wrong")
    assert sweep_exports()
    page = client.get(reverse("dataset", args=[Export.objects.get().pk])).content.decode()
    assert "No triplet may leave yet." in page


def test_the_pages_begin_with_words_where_there_is_nothing(client: Client) -> None:
    project = make_project()
    enter(client, project)
    assert "No triplet in this project yet" in show(client, project)
    empty = client.get(reverse("datasets", args=[project.slug])).content.decode()
    assert "No dataset was made yet" in empty


def test_the_event_of_a_merge_leads_to_its_page_and_no_other_event_does(
    client: Client,
) -> None:
    project = make_project()
    merge = make_merge(project, "first")
    way = f'href="{reverse("merge", args=[merge.pk])}"'
    enter(client, project)
    winner = Event.objects.filter(branch=merge.winner)
    told = winner.get(type=terms.MERGED)
    assert way in client.get(reverse("event", args=[told.event_id]), headers=HTMX).content.decode()
    said = winner.filter(type=terms.ASSISTANT).first()
    assert said is not None
    shown = client.get(reverse("event", args=[said.event_id]), headers=HTMX)
    assert way not in shown.content.decode()
