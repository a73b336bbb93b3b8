import io
import zipfile
from uuid import UUID

import pytest
from django.test import Client

from memory.domain.terms import Answer
from memory.models import PromotionRequest, Record, SkillFile
from memory.records import Became, Proposed
from memory.refused import ValueRefused
from memory.requests import PROMOTION, request_promotion
from memory.skill_files import MAX_ON_PAGE, read_skill_files
from memory.skills import BadSkill, read_archive, upload_skill
from tests.make import append, make_message, make_person, make_project, make_run, make_user
from tests.memory.make import answer
from tests.verdicts.make import SUITE, make_runner, push_proven
from verdicts.admission import admit_merge
from verdicts.models import GateDecision
from verdicts.suites import create_suite, freeze_suite, retire_suite
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import Role
from verel_site.inbox.models import Item
from verel_site.kit.refusals import NotFound

pytestmark = pytest.mark.django_db
FRONT = "name: unit-conversion\ndescription: Converts doses between units\n"


def archive(front: str = FRONT, **files: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("unit-conversion/SKILL.md", f"---\n{front}---\nConvert first.\n")
        for name, text in files.items():
            made.writestr(f"unit-conversion/{name}.py", text)
    return packed.getvalue()


def upload(project: Project, actor: Actor, raw: bytes) -> Proposed:
    return upload_skill(project_id=project.pk, actor=actor, archive=raw)


def test_a_skill_goes_in_and_comes_out_as_the_same_files(project: Project, agent: Actor) -> None:
    record = upload(project, agent, archive(convert="print(1)")).record
    assert (record.kind, record.key, record.trust) == (
        "skill",
        "skill|unit-conversion",
        "unverified",
    )
    assert [one["path"] for one in record.details["files"]] == ["SKILL.md", "convert.py"]
    name, packed = read_archive(actor=agent, record_id=record.record_id)
    assert name == "unit-conversion-v1.zip"
    with zipfile.ZipFile(io.BytesIO(packed)) as made:
        assert made.read("unit-conversion/convert.py") == b"print(1)"
    assert read_archive(actor=agent, record_id=record.record_id)[1] == packed
    with pytest.raises(NotFound):
        read_archive(actor=make_person(make_project()), record_id=record.record_id)


def test_the_same_folder_is_the_same_version_and_files_are_kept_once(
    project: Project, agent: Actor
) -> None:
    first = upload(project, agent, archive(convert="print(1)"))
    assert upload(project, agent, archive(convert="print(1)")).became is Became.SUPPORT
    second = upload(project, agent, archive(convert="print(1)", more="print(2)"))
    assert (second.became, second.record.version) == (Became.NEW, 2)
    first.record.refresh_from_db()
    assert first.record.suppressed_by == second.record
    assert SkillFile.objects.count() == 3


def test_a_new_version_of_a_verified_skill_waits_and_its_promotion_takes_over(
    project: Project, agent: Actor
) -> None:
    curator = make_person(project, Role.CURATOR)
    first = upload(project, agent, archive()).record
    answer(first, curator, Answer.PROMOTE)
    second = upload(project, agent, archive(convert="print(1)"))
    assert (second.became, second.record.version) == (Became.HELD, 2)
    assert PromotionRequest.objects.get(record=second.record).state == "open"
    answer(second.record, curator, Answer.PROMOTE)
    first.refresh_from_db()
    assert (first.standing, first.suppressed_by) == ("suppressed", second.record)


def test_a_refused_version_stays_refused(project: Project, agent: Actor) -> None:
    curator = make_person(project, Role.CURATOR)
    record = upload(project, agent, archive(convert="rm")).record
    answer(record, curator, Answer.REJECT, "It deletes")
    for text in ("rm", "rm\n\n", "  RM ", "r\N{ZERO WIDTH SPACE}m"):
        with pytest.raises(ValueRefused, match="deletes"):
            upload(project, agent, archive(convert=text))
    assert upload(project, agent, archive(convert="ls")).became is Became.NEW


def test_the_review_of_a_skill_shows_its_diff_its_evaluation_and_what_it_may_do(
    project: Project, agent: Actor
) -> None:
    freeze_suite(
        project_id=project.pk, actor=SYSTEM, grader="test", name="convert-10", digest=SUITE
    )
    user = make_user(project, Role.CURATOR)
    person = actor_of_user(user)
    first = upload(project, person, archive(convert="print(1)")).record
    answer(first, person, Answer.PROMOTE)
    wider = archive(FRONT + "allowed-tools: Bash(git:*)\n", convert="print(2)")
    record = upload(project, person, wider).record
    trunk = make_run(project)[1]
    append(trunk, make_message("assistant", "Done"))
    push_proven(make_runner(project), trunk)
    admit_merge(winner=trunk, actor=SYSTEM)
    gate = GateDecision.objects.get(branch=trunk)
    request_promotion(record_id=record.record_id, actor=SYSTEM, gate_decision=gate.pk)
    client = Client()
    client.force_login(user)
    item = Item.objects.get(kind=PROMOTION, state="open")
    for address in (f"/p/{project.slug}/memory/{record.number}/", f"/inbox/{item.pk}/pane/"):
        text = client.get(address).content.decode()
        assert '<del class="code">print(1)</del>' in text
        assert '<ins class="code">print(2)</ins>' in text
        assert "<ins><code>Bash(git:*)</code> newly asked for</ins>" in text
        assert "The gate was open with pass" in text
        assert "convert-10</a>; its receipt is valid, signed by the runner" in text
        assert "No source of its own is from that run" in text
    retire_suite(suite_id=gate_suite(record), actor=person, reason="It leaked")
    text = client.get(f"/p/{project.slug}/memory/{record.number}/").content.decode()
    assert "No evaluation stands behind it" in text
    assert first.seal["by"] == person.name
    answer(first, person, Answer.DEMOTE, "It rounds")
    assert first.seal == {}, "what is not promoted any more is not signed"


def gate_suite(record: Record) -> UUID:
    return UUID(PromotionRequest.objects.get(record=record, state="open").gate["suite"])


def test_only_a_person_grants_tools(project: Project, agent: Actor) -> None:
    raw = archive(FRONT + "allowed-tools: Bash(git:*)\n")
    with pytest.raises(BadSkill, match="granted by people"):
        upload(project, agent, raw)
    record = upload(project, make_person(project), raw).record
    assert record.details["allowed_tools"] == ["Bash(git:*)"]


def test_a_canary_in_any_file_holds_the_skill(project: Project, agent: Actor) -> None:
    suite = create_suite(
        project_id=project.pk,
        actor=SYSTEM,
        grader="test",
        name="unit",
        cases=[{"name": "a", "body": 1}],
    )
    told = upload(project, agent, archive(convert=f"# {suite.token}"))
    assert told.became is Became.HELD
    assert [one.code for one in told.suspicions] == ["canary"]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "no zip or tar"),
        (archive("name: a\n"), "description"),
        (archive("name: [\n"), "no YAML"),
        (archive("a: &a [1]\nb: [*a, *a]\n"), "no YAML"),
        (archive("name: !!python/object/apply:os.system ['true']\n"), "no YAML"),
        (archive("name: a\nname: " + "[" * 2000 + "\n"), "no YAML"),
    ],
)
def test_a_fault_is_told_and_nothing_is_kept(
    project: Project, agent: Actor, raw: bytes, says: str
) -> None:
    with pytest.raises(BadSkill, match=says):
        upload(project, agent, raw)
    assert not Record.objects.exists()
    assert not SkillFile.objects.exists()


def test_a_promotion_shows_what_changed_in_which_file_and_what_it_may_do(
    project: Project, agent: Actor
) -> None:
    user = make_user(project, Role.CURATOR)
    curator = actor_of_user(user)
    first = upload(project, agent, archive(convert="def convert():\n    return 5\n", old="x = 1\n"))
    answer(first.record, curator, Answer.PROMOTE)
    raw = archive(
        FRONT + "allowed-tools: Bash(git:*)\n",
        convert="def convert():\n    return '<b>10</b>'\n",
        new="y = 2\n",
    )
    second = upload(project, curator, raw).record
    files = read_skill_files(second, slug=project.slug)
    assert files is not None
    assert {file.path: file.change for file in files.files} == {
        "SKILL.md": "changed",
        "convert.py": "changed",
        "new.py": "added",
        "old.py": "removed",
    }
    client = Client()
    client.force_login(user)
    text = client.get(f"/p/{project.slug}/memory/{second.number}/").content.decode()
    assert '<del class="code">    return 5</del>' in text
    assert "<b>10" not in text
    assert "<code>Bash(git:*)</code>" in text
    response = client.get(f"/p/{project.slug}/memory/{second.number}/archive/")
    assert response["Content-Disposition"].startswith("attachment")
    assert client.get(f"/p/{project.slug}/memory/999/archive/").status_code == 404


def test_the_tree_has_each_folder_once_and_any_version_is_compared_with(
    project: Project, agent: Actor, client: Client
) -> None:
    versions = []
    for step in ("one", "two", "three"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as made:
            made.writestr("SKILL.md", f"---\n{FRONT}---\n{step}\n")
            made.writestr("docs/deep/a.md", f"{step}\n" * 3)
            made.writestr("docs/deep/b.md", "same\n")
            made.writestr("docs/c.md", "same\n")
        versions.append(upload(project, agent, packed.getvalue()).record)
    first, _, third = versions
    files = read_skill_files(third, slug=project.slug, against=str(first.number))
    assert files is not None
    assert [(row.name, row.depth, row.file is None) for row in files.tree] == [
        ("SKILL.md", 0, False),
        ("docs", 0, True),
        ("c.md", 1, False),
        ("deep", 1, True),
        ("a.md", 2, False),
        ("b.md", 2, False),
    ]
    assert files.against == f"{first.label}, version 1"
    deep = next(file for file in files.files if file.path == "docs/deep/a.md")
    assert (deep.added, deep.removed) == (3, 3)
    assert [line.text for line in deep.lines] == ["one"] * 3 + ["three"] * 3
    same = next(file for file in files.files if file.path == "docs/c.md")
    assert [(line.text, line.op) for line in same.lines] == [("same", "")], (
        "what stayed is read too"
    )
    alone = read_skill_files(third, slug=project.slug, against="none")
    assert alone is not None
    assert {file.change for file in alone.files} == {""}
    assert [version.current for version in alone.versions] == [False, False, True]
    with pytest.raises(NotFound):
        read_skill_files(third, slug=project.slug, against="999")
    whole = "".join(f"{number}\n" for number in range(900))
    monster = {f"f{number}": whole for number in range(12)}
    big = read_skill_files(upload(project, agent, archive(**monster)).record, slug=project.slug)
    assert big is not None
    assert sum(len(file.lines) for file in big.files) <= MAX_ON_PAGE


def test_a_file_that_is_no_text_is_told_and_not_shown(project: Project, agent: Actor) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("SKILL.md", f"---\n{FRONT}---\n")
        made.writestr("logo.png", b"\x89PNG\xff\xfe")
        made.writestr("long.txt", "a\n" * 2_000)
    record = upload(project, agent, packed.getvalue()).record
    files = read_skill_files(record, slug=project.slug)
    assert files is not None
    notes = {file.path: file.note for file in files.files}
    assert "no text" in notes["logo.png"]
    assert "2,000" in notes["long.txt"] or "More than" in notes["long.txt"]
