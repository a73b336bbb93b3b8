"""Skills: Agent Skills folders, kept by the content of their files, each version a record.

A new version of a verified skill waits for a person. What a skill may do is granted by people: an
archive that a key sends asks for no tools.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import yaml
from django.db import transaction

from memory.domain.archive import (
    MANIFEST,
    BadArchive,
    File,
    Skill,
    make_skill,
    pack_files,
    read_files,
    split_manifest,
)
from memory.domain.content import content_digest, fold
from memory.domain.readings import strip_hidden
from memory.domain.terms import ItemType, Kind
from memory.evidence import Cited
from memory.models import Record, RefusedValue, SkillFile
from memory.records import BadRecord, Proposal, Proposed, propose_record
from memory.refused import ValueRefused
from memory.requests import ask_where_needed, find_record
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.kit.refusals import NotFound

MAX_ARCHIVE_BYTES: Final = 8 * 1024 * 1024


class BadSkill(BadRecord):
    code = "bad_skill"
    title = "The archive is no skill"


class _Plain(yaml.SafeLoader):
    """YAML without aliases: a few lines of them stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("An alias is not allowed in front matter.")
        return super().compose_node(parent, index)


def read_skill(raw: bytes) -> Skill:
    """Raises BadSkill with what is wrong."""
    if len(raw) > MAX_ARCHIVE_BYTES:
        raise BadSkill(f"An archive has at most {MAX_ARCHIVE_BYTES:,} bytes.")
    try:
        folder, files = read_files(raw)
        manifest = next((file for file in files if file.path == MANIFEST), None)
        if manifest is None:
            raise BadArchive(f"A skill has a {MANIFEST} at its root.")
        front, _ = split_manifest(manifest.data.decode())
        # The loader is a SafeLoader with less.
        return make_skill(yaml.load(front, _Plain), files, folder=folder)  # noqa: S506
    except UnicodeDecodeError as error:
        raise BadSkill(f"{MANIFEST} is UTF-8.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise BadSkill(f"The front matter of {MANIFEST} is no YAML that is taken here.") from error
    except BadArchive as error:
        raise BadSkill(str(error)) from error


@transaction.atomic
def upload_skill(
    *,
    project_id: UUID,
    actor: Actor,
    archive: bytes,
    scope: str = "team",
    evidence: Sequence[Cited] = (),
) -> Proposed:
    """The next version of a skill, or support for the same one. Raises BadSkill."""
    actor.demand(project_id, Right.PROPOSE)
    skill = read_skill(archive)
    if skill.tools and actor.kind != "person":
        raise BadSkill("allowed-tools is granted by people: leave it out of the archive.")
    hashes = {file.path: hashlib.sha256(file.data).hexdigest() for file in skill.files}
    parts = _parts(skill, hashes)
    proposal = Proposal(
        kind=Kind.SKILL,
        scope=scope,
        text=skill.description,
        parts=parts,
        key=f"skill|{skill.name}",
        subject=skill.name,
        predicate="skill",
        object=content_digest(Kind.SKILL.value, parts).hex(),
        item_type=ItemType.API_CONTRACT,
        details=_details(skill, hashes),
        bodies=tuple(file.data.decode(errors="replace") for file in skill.files),
        cited=tuple(evidence),
    )
    _check_refused(project_id, proposal.key, skill.files)
    proposed = propose_record(project_id=project_id, actor=actor, proposal=proposal)
    rows = [
        SkillFile(project_id=project_id, sha256=hashes[file.path], data=file.data)
        for file in skill.files
    ]
    SkillFile.objects.bulk_create(rows, ignore_conflicts=True)
    return ask_where_needed(proposed)


def _check_refused(project_id: UUID, key: str, files: Sequence[File]) -> None:
    """What differs from a refused version in case and spaces alone was refused with it."""
    rows = RefusedValue.objects.filter(project_id=project_id, key=key, cleared_at=None)
    told = list(rows.select_related("record"))
    sent = _loosely((file.path, file.data) for file in files) if told else {}
    for row in told:
        if _loosely((one["path"], data) for one, data in list_files(row.record)) == sent:
            raise ValueRefused(f"{row.by_name} refused it: {row.reason}", refused=str(row.pk))


def _loosely(files: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    return {fold(path): fold(strip_hidden(data.decode(errors="replace"))) for path, data in files}


def _parts(skill: Skill, hashes: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (file.path, f"{'x' if file.executable else '-'} {hashes[file.path]}")
        for file in skill.files
    )


def _details(skill: Skill, hashes: dict[str, str]) -> dict[str, Any]:
    return {
        "name": skill.name,
        "license": skill.license,
        "compatibility": skill.compatibility,
        "metadata": dict(skill.metadata),
        "allowed_tools": list(skill.tools),
        "files": [
            {
                "path": file.path,
                "sha256": hashes[file.path],
                "size": len(file.data),
                "executable": file.executable,
            }
            for file in skill.files
        ],
    }


def read_archive(*, actor: Actor, record_id: UUID) -> tuple[str, bytes]:
    """The name of the archive, and its bytes: the same version is the same bytes."""
    record = find_record(actor=actor, record_id=record_id)
    if record.kind != Kind.SKILL.value:
        raise NotFound(f"{record.label} is no skill.")
    files = [File(told["path"], data, told["executable"]) for told, data in list_files(record)]
    folder = str(record.details["name"])
    return f"{folder}-v{record.version}.zip", pack_files(files, folder=folder)


def list_files(record: Record) -> list[tuple[dict[str, Any], bytes]]:
    """Each file's description and bytes, by path."""
    listed = record.details.get("files", [])
    rows = SkillFile.objects.filter(
        project_id=record.project_id, sha256__in=[one["sha256"] for one in listed]
    )
    found = {row.sha256: bytes(row.data) for row in rows}
    return [(one, found[one["sha256"]]) for one in listed]
