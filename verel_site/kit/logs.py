"""How a log line is written: text for a terminal, one JSON object a line for production.

Never a key's secret, a sign-in link or a row: lines carry named fields only, what opens a door is
masked wherever it stands, and a failure's text loses what the database quotes of its rows.
"""

import logging
import re
import time
from contextvars import ContextVar
from typing import Any, Final

from pythonjsonlogger.json import JsonFormatter

REQUESTS: Final = "verel.requests"
REQUEST_FIELDS: Final = ("method", "path", "status", "ms", "project", "actor", "actor_id")
# An API key anywhere, the token of a one-time link, and what PostgreSQL tells of a failing row.
SECRETS: Final = (
    (re.compile(r"\bvk_[A-Za-z0-9_.~+=-]+"), "vk_***"),
    (re.compile(r"(/sign-in/)[^/\s'\"?]+"), r"\1***"),
    (re.compile(r"(?m)^(DETAIL|CONTEXT|STATEMENT): .*(?:\n(?!\S).*)*"), r"\1: ***"),
)

request_id: Final[ContextVar[str]] = ContextVar("request_id", default="")


def mask(text: str) -> str:
    """The text without what could open a door or quote a row."""
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


class Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


class Lines(JsonFormatter):
    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        log_data["time"] = f"{moment}.{int(record.msecs):03}Z"
        log_data["level"] = record.levelname.lower()
        log_data["logger"] = record.name
        log_data["message"] = mask(record.getMessage())
        log_data["process"] = record.process
        if known := request_id.get():
            log_data["request_id"] = known
        if record.name == REQUESTS:
            log_data |= {name: record.__dict__.get(name) for name in REQUEST_FIELDS}
        if record.exc_info:
            log_data["error"] = mask(logging.Formatter.formatException(self, record.exc_info))
