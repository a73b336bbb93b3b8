from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from branches.storage.codec import NEWEST
from branches.storage.training import DICTIONARY_BYTES, SAMPLES, read_samples, train_dictionary
from verel_site.access.actors import SYSTEM
from verel_site.access.projects import get_project
from verel_site.kit.refusals import Refusal


class Command(BaseCommand):
    help = (
        "Train a compression dictionary on a project's events, and tell what it would save. To use "
        "it, put it at branches/storage/dictionaries/ID.zdict and let the codec's NEWEST name it. "
        "It holds pieces of those events in the clear."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, help="slug or id")
        parser.add_argument("--out", required=True, type=Path, help="a file that is not there yet")
        parser.add_argument("--id", type=int, default=NEWEST + 1, help="what rows will name it by")
        parser.add_argument("--bytes", type=int, default=DICTIONARY_BYTES)
        parser.add_argument("--events", type=int, default=SAMPLES, help="at most so many")

    def handle(self, *args: Any, **options: Any) -> None:
        if not NEWEST < options["id"] < 2**31:
            raise CommandError(f"--id is more than {NEWEST}: rows name the others already.")
        if not 256 <= options["bytes"] <= 1024 * 1024 or options["events"] < 1:
            raise CommandError("--bytes is from 256 to 1048576, --events 1 or more.")
        try:
            project = get_project(actor=SYSTEM, slug=options["project"])
            samples = read_samples(project.pk, limit=options["events"])
            made = train_dictionary(samples, dictionary_id=options["id"], size=options["bytes"])
            with options["out"].open("xb") as file:
                file.write(made.data)
        except Refusal as refusal:
            raise CommandError(f"{refusal.title}. {refusal.detail}") from refusal
        except OSError as error:
            raise CommandError(f"{options['out']} cannot be written: {error.strerror}.") from error
        self.stdout.write(
            f"{len(made.data):,} bytes from {made.samples:,} events. Stored bytes a byte of others: "
            f"{made.trained:.2f}; {made.present:.2f} with the present dictionary, "
            f"{made.alone:.2f} without one."
        )
