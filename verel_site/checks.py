"""System checks of the set-up as a whole: what the settings allow, and should not be."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register

from verel_site.kit.env import SQLITE


@register(Tags.compatibility)
def check_processes(**kwargs: Any) -> list[CheckMessage]:
    """Several processes share what one keeps in its file and its memory."""
    if settings.VEREL_PROCESSES == 1:
        return []
    on_sqlite = settings.DATABASES["default"]["ENGINE"] == SQLITE
    found: list[CheckMessage] = []
    if on_sqlite:
        found.append(
            Error(
                "VEREL_PROCESSES is more than 1 on SQLite.",
                hint="Set VEREL_DATABASE_URL to a PostgreSQL, or VEREL_PROCESSES to 1.",
                id="verel.E001",
            )
        )
    if not settings.VEREL_REDIS_URL:
        found.append(
            Error(
                "VEREL_PROCESSES is more than 1 without Redis.",
                hint="It carries from process to process who is there. "
                "Set VEREL_REDIS_URL, or VEREL_PROCESSES to 1.",
                id="verel.E002",
            )
        )
    return found


@register(Tags.security, deploy=True)
def check_secret(**kwargs: Any) -> list[CheckMessage]:
    """A secret that was generated on one machine is unknown to the next, and lost with its disk."""
    if settings.VEREL_SECRET_IS_KEPT:
        return [
            Warning(
                "VEREL_SECRET_KEY is not set: the secret was generated under VEREL_HOME.",
                hint="Set VEREL_SECRET_KEY to 50 random characters or more, on every machine alike.",
                id="verel.W001",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def check_hosts(**kwargs: Any) -> list[CheckMessage]:
    """HTTPS for a machine that answers to no name but its own is a mistake."""
    if settings.VEREL_SECURE and not settings.VEREL_HOSTS_ARE_NAMED:
        return [
            Warning(
                "VEREL_ALLOWED_HOSTS is not set: only this machine's own names are answered.",
                hint="Set VEREL_ALLOWED_HOSTS to the names that people open.",
                id="verel.W002",
            )
        ]
    return []


@register(Tags.security)
def tell_what_is_encrypted(**kwargs: Any) -> list[CheckMessage]:
    """Keys that are set let an operator think that nothing at all is in the clear."""
    if not settings.VEREL_EVENT_KEYS:
        return []
    return [
        Info(
            "VEREL_EVENT_KEYS encrypts what agents wrote: payloads of events, their binary parts, "
            "triplets, and the files of datasets. It does not encrypt what people and graders say: "
            "goals, overrides, arguments in approvals, reports and their raw files, labels, reasons; "
            "nor transcripts that were uploaded and are not read yet.",
            hint="Encrypt the disks of the database, the archive and VEREL_HOME for those.",
            id="verel.I001",
        )
    ]
