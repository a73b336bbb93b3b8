"""What graders already print, pushed as it is."""

import hashlib
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request
from rest_framework.response import Response

from branches.selectors.events import read_branch
from verdicts.api.answers import report_json
from verdicts.api.serializers import ImportedSerializer, PreviewedSerializer
from verdicts.domain.terms import Grader
from verdicts.graders.formats import AUTO, FORMATS
from verdicts.graders.printed import MAX_WORD, Reading, clean_word
from verdicts.imports import import_reports, read_output, read_raw
from verdicts.report_form import read_report
from verdicts.selectors import read_report as find_report
from verel_site.access.endpoints import (
    Endpoint,
    ProblemSerializer,
    documented,
    query_parameter,
)
from verel_site.access.idempotency import Answer, answer_once
from verel_site.kit.parsers import RawParser
from verel_site.kit.problems import PROBLEM_TYPE
from verel_site.kit.refusals import BadInput

HEAD_HEADER = "Verel-Head-Digest"
MAX_ROOT = 1_000
MAX_COVERS = 1_000
_GRADERS = frozenset(grader.value for grader in Grader) - {Grader.HUMAN.value}
_PARAMETERS = (
    query_parameter("format", f"{AUTO} (the default), {', '.join(FORMATS)}"),
    query_parameter(
        "head_digest",
        f"of the head that was graded, or the header {HEAD_HEADER}; a 409 where the branch has "
        "moved on. Without it the reports are about the head as it is now",
    ),
    query_parameter("root", "the directory that absolute paths are made relative to"),
    query_parameter("tool", "a name in place of the tool's own; two shards need two"),
    query_parameter("grader", "for OTLP and SARIF: which kind of grader spoke"),
    query_parameter("senses", "for AgentVision: which senses looked, as dom,ocr,vision"),
    query_parameter(
        "covers",
        "a file or folder that the tool was pointed at, as often as there are; for output that "
        "does not name what it looked through. Without it such output speaks for the whole head",
    ),
    query_parameter("preview", "true: nothing is stored; the bodies to sign and push"),
)


class ReportImport(Endpoint):
    parser_classes = [RawParser]

    @documented(
        body={"*/*": OpenApiTypes.BINARY},
        answers={200: PreviewedSerializer, 201: ImportedSerializer},
        parameters=_PARAMETERS,
        creates=True,
    )
    def post(self, request: Request, branch: UUID) -> Response:
        """Files all reports that a grader's output holds, or none."""
        found = read_branch(actor=self.actor, branch_id=branch)
        query = request.query_params
        format, reading = query.get("format", AUTO), _reading(query)
        head = _head(request)
        preview = _flag(query, "preview")
        # DRF takes a body of no byte for none, and gives a form without fields.
        raw: bytes = request.data or b""  # type: ignore[assignment]
        if preview:
            name, printed = read_output(
                branch=found, actor=self.actor, raw=raw, format=format, reading=reading
            )
            digest = (head or bytes(found.head_digest)).hex()
            bodies = [_to_sign(report.as_json(digest)) for report in printed.reports]
            return Response({"format": name, "head_digest": digest, "results": bodies})

        def act() -> Answer:
            reports = import_reports(
                branch_id=branch,
                actor=self.actor,
                raw=raw,
                format=format,
                head_digest=head,
                reading=reading,
            )
            return 201, {
                "format": reports[0].trace["import"]["format"],
                "head_digest": bytes(reports[0].head_digest).hex(),
                "raw_sha256": hashlib.sha256(raw).hexdigest(),
                "results": [report_json(report) for report in reports],
            }

        return answer_once(request, project_id=found.project_id, actor=self.actor, act=act)


def _to_sign(body: dict[str, Any]) -> dict[str, Any]:
    read = read_report(body)
    return {"report": body, "result_digest": read.result_digest, "verdict": read.verdict.value}


def _reading(query: Any) -> Reading:
    root, tool = query.get("root", ""), query.get("tool", "")
    if len(root) > MAX_ROOT:
        raise BadInput(f"root takes at most {MAX_ROOT} characters.", parameter="root")
    if len(tool) > MAX_WORD or tool != clean_word(tool):
        raise BadInput(f"tool is a name of at most {MAX_WORD} characters.", parameter="tool")
    grader = query.get("grader")
    senses = [sense for sense in query.get("senses", "").split(",") if sense]
    for parameter, names in (("grader", [grader] if grader else []), ("senses", senses)):
        if any(name not in _GRADERS for name in names):
            known = ", ".join(sorted(_GRADERS))
            raise BadInput(f"{parameter} takes {known}.", parameter=parameter)
    covers = query.getlist("covers")
    if len(covers) > MAX_COVERS or any(not 1 <= len(path) <= MAX_ROOT for path in covers):
        raise BadInput(
            f"covers takes at most {MAX_COVERS} paths of {MAX_ROOT} characters.", parameter="covers"
        )
    return Reading(
        covers=tuple(covers),
        root=root,
        tool=tool,
        grader=Grader(grader) if grader else None,
        senses=tuple(Grader(sense) for sense in senses),
    )


def _head(request: Request) -> bytes | None:
    told = request.query_params.get("head_digest") or request.headers.get(HEAD_HEADER)
    if told is None:
        return None
    try:
        digest = bytes.fromhex(told)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise BadInput("head_digest is 64 hexadecimal digits.", parameter="head_digest")
    return digest


def _flag(query: Any, name: str) -> bool:
    told = query.get(name, "false")
    if told not in ("true", "false"):
        raise BadInput(f"{name} is true or false.", parameter=name)
    return bool(told == "true")


class ReportRaw(Endpoint):
    @documented(
        answers={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (409, PROBLEM_TYPE): ProblemSerializer,
        }
    )
    def get(self, request: Request, report: UUID) -> HttpResponse:
        """The bytes that an imported report was read from."""
        found = find_report(actor=self.actor, report_id=report)
        answer = HttpResponse(
            read_raw(actor=self.actor, report=found), content_type="application/octet-stream"
        )
        answer["Content-Disposition"] = f'attachment; filename="{found.raw_sha256}"'
        answer["X-Content-Type-Options"] = "nosniff"
        return answer
