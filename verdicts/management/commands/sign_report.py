import hashlib
import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from verdicts.receipts import sign_receipt
from verdicts.report_form import read_report
from verel_site.kit import strict_json
from verel_site.kit.refusals import Refusal


class Command(BaseCommand):
    help = (
        "Sign a report as a runner does, and print the receipt (a DSSE envelope). It needs no "
        "database: run it where the key is. The nonce is the one that GET branches/{b}/gate gives."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "report", help="the report's JSON, as for POST branches/{b}/reports; - is the input"
        )
        parser.add_argument("--key", required=True, type=Path, help="the private key, as PEM")
        parser.add_argument("--branch", required=True, type=UUID)
        parser.add_argument("--nonce", required=True)
        parser.add_argument("--suite", default="", help="the SHA-256 of the suite that ran")
        parser.add_argument("--files", nargs="*", default=[], help="every file looked at")
        parser.add_argument(
            "--whole", action="store_true", help="print the report with its receipt in it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        body = self._read_body(options["report"])
        try:
            report = read_report(body)
        except Refusal as refusal:
            raise CommandError(f"{refusal.pointer or '/'}: {refusal.detail}") from refusal
        key = read_private_key(options["key"])
        receipt = sign_receipt(
            private_key=key,
            key_id=hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest(),
            branch_id=options["branch"],
            head_digest=report.head_digest,
            grader=report.grader,
            nonce=options["nonce"],
            verdict=report.verdict,
            errored=report.errored,
            covered=report.covered,
            issues=[issue.facts for issue in report.issues],
            issued_at=timezone.now(),
            suite_digest=options["suite"],
            coverage=options["files"],
        )
        told = {**body, "receipt": receipt} if options["whole"] else receipt
        self.stdout.write(json.dumps(told, ensure_ascii=False))

    def _read_body(self, path: str) -> dict[str, Any]:
        try:
            raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
            body = strict_json.decode(raw)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}.") from error
        except Refusal as refusal:
            raise CommandError(f"{path}: {refusal.detail}") from refusal
        if not isinstance(body, dict):
            raise CommandError(f"{path}: a report is a JSON object.")
        return body


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Raises CommandError for what is no Ed25519 key in PEM without a password."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}.") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CommandError(f"{path} is no private key in PEM without a password.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise CommandError(f"{path} is a key of another kind than Ed25519.")
    return key
