import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from verdicts.runners import register_runner
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.kit.refusals import Refusal


class Command(BaseCommand):
    help = (
        "Make a runner: an Ed25519 key whose private half is written to a file that only its owner "
        "reads, and whose public half is registered. Prints the key's id. Move the file to the "
        "runner, where no agent can reach it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--project", required=True)
        parser.add_argument("--out", required=True, type=Path, help="a file that is not there yet")
        parser.add_argument("--days", type=int, help="until it ends; never without")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']!r}.")
        days = options["days"]
        key = Ed25519PrivateKey.generate()
        write_private_key(key, options["out"])
        try:
            runner = register_runner(
                project_id=project.pk,
                actor=SYSTEM,
                name=options["name"],
                public_key=key.public_key().public_bytes_raw(),
                valid_until=timezone.now() + timedelta(days=days) if days is not None else None,
            )
        except (Refusal, OverflowError) as refusal:
            options["out"].unlink()
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(runner.key_id)


def write_private_key(key: Ed25519PrivateKey, path: Path) -> None:
    """As PKCS #8 PEM, for its owner alone. Raises CommandError where the file is there."""
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}.") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
