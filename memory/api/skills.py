"""Skills in and out, as archives."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request
from rest_framework.response import Response

from branches.selectors.listings import pick_project
from memory.api.answers import record_json
from memory.api.serializers import ProposedSerializer, SigningKeySerializer
from memory.curves import read_curves
from memory.evidence import BadEvidence, Cited
from memory.seals import public_key
from memory.skills import read_archive, upload_skill
from verel_site.access.endpoints import Endpoint, documented, query_parameter
from verel_site.access.idempotency import Answer, answer_once
from verel_site.access.rights import Right
from verel_site.kit.parsers import RawParser
from verel_site.kit.refusals import BadInput


class SkillUpload(Endpoint):
    parser_classes = [RawParser]

    @documented(
        body={"*/*": OpenApiTypes.BINARY},
        answers={201: ProposedSerializer},
        parameters=[
            query_parameter("project", "slug or id; needed where the key reads several"),
            query_parameter("scope", "team, repo:NAME or agent:NAME; team by default"),
            query_parameter("event", "ids of events that speak for it, apart by commas"),
        ],
        creates=True,
    )
    def post(self, request: Request) -> Response:
        """The next version of a skill: a zip or tar archive of an Agent Skills folder."""
        project = pick_project(actor=self.actor, named=request.query_params.get("project"))
        self.actor.demand(project.pk, Right.PROPOSE)

        def act() -> Answer:
            raw: Any = request.data
            try:
                told = upload_skill(
                    project_id=project.pk,
                    actor=self.actor,
                    # Without a body there is a mapping, and no bytes.
                    archive=raw if isinstance(raw, bytes) else b"",
                    scope=request.query_params.get("scope") or "team",
                    evidence=_read_events(request.query_params.get("event", "")),
                )
            except BadEvidence as fault:
                raise BadEvidence(fault.detail, parameter="event") from fault
            return 201, {
                "became": told.became.value,
                "suspicions": [{"code": s.code, "says": s.says} for s in told.suspicions],
                "record": record_json(told.record, timezone.now(), read_curves(project.pk)),
            }

        return answer_once(request, project_id=project.pk, actor=self.actor, act=act)


def _read_events(text: str) -> list[Cited]:
    named = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return [Cited(UUID(part)) for part in named]
    except ValueError as error:
        raise BadInput("event takes UUIDs, apart by commas.", parameter="event") from error


class SkillArchive(Endpoint):
    @documented(answers={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request, record: UUID) -> HttpResponse:
        """The version's folder as a zip archive."""
        name, packed = read_archive(actor=self.actor, record_id=record)
        response = HttpResponse(packed, content_type="application/zip")
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["X-Content-Type-Options"] = "nosniff"
        return response


class SigningKey(Endpoint):
    @documented(answers={200: SigningKeySerializer})
    def get(self, request: Request) -> Response:
        """The installation's public key, for the seals of its skills. A seal signs the bytes `verel
        skill 1` and the digest of `seal`, `content`, the content digest, `record`, the record's id,
        `by`, the seal's by, `at` and the seal's at. The content digest is that of `skill` and, for
        each file by its path, the path and a text: `x` where the file may be executed, else `-`, a
        space, and the SHA-256 of its bytes, in hexadecimal. A digest is the SHA-256 of the bytes
        `verel memory 1` and of each part in UTF-8, or as its bytes, behind its length in 8
        big-endian bytes."""
        return Response({"algorithm": "Ed25519", "key": public_key()})
