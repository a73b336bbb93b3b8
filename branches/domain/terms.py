"""The words of branches: statuses and their moves, event types, granularities."""

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    MERGED = "merged"
    ABANDONED = "abandoned"


ENDED: Final = frozenset({Status.MERGED, Status.ABANDONED})

# Moves that an action may ask for. A merge ends any open branch; its revert reopens both sides.
MOVES: Final[dict[Status, frozenset[Status]]] = {
    Status.PAUSED: frozenset({Status.RUNNING}),
    Status.RUNNING: frozenset({Status.PAUSED}),
    Status.COMPLETED: frozenset({Status.RUNNING, Status.PAUSED}),
    Status.MERGED: frozenset({Status.RUNNING, Status.PAUSED, Status.COMPLETED}),
    Status.ABANDONED: frozenset({Status.RUNNING, Status.PAUSED, Status.COMPLETED}),
}


class Granularity(StrEnum):
    DECISION = "decision"
    TRAJECTORY = "trajectory"
    FINAL = "final"


class ExportState(StrEnum):
    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


class Answer(StrEnum):
    ACCEPT = "accept"
    EDIT = "edit"
    RESPOND = "respond"
    IGNORE = "ignore"


class DirectiveKind(StrEnum):
    FORK_CLAIMABLE = "fork_claimable"
    PAUSE = "pause"
    RESUME = "resume"
    APPROVAL_ANSWERED = "approval_answered"
    STOP = "stop"


class ImportState(StrEnum):
    WAITING = "waiting"
    READING = "reading"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @classmethod
    def open(cls) -> tuple[str, ...]:
        """The states of an import that has not come to its end."""
        return cls.WAITING.value, cls.READING.value


PREFIXES: Final = ("harness.", "data.")
# The source of events that Verel itself wrote. Clients cannot write under it, so an override,
# a patch or an answer that carries it is what it says; the same type from elsewhere is text.
SERVER_SOURCE: Final = "verel"

USER: Final = "data.message.user"
ASSISTANT: Final = "data.message.assistant"
SYSTEM: Final = "data.message.system"
THOUGHT: Final = "data.thought"
TOOL_CALL: Final = "data.tool.call"
TOOL_RESULT: Final = "data.tool.result"
USAGE: Final = "data.usage"
STATE: Final = "data.state"
PERCEPT: Final = "data.percept"
RUN_STARTED: Final = "harness.run.started"
RUN_FINISHED: Final = "harness.run.finished"
FORKED: Final = "harness.branch.forked"
PAUSED: Final = "harness.branch.paused"
RESUMED: Final = "harness.branch.resumed"
COMPLETED: Final = "harness.branch.completed"
MERGED: Final = "harness.branch.merged"
ABANDONED: Final = "harness.branch.abandoned"
REOPENED: Final = "harness.branch.reopened"
OVERRIDE: Final = "harness.override.injected"
PATCHED: Final = "harness.variable.patched"
APPROVAL_REQUESTED: Final = "harness.approval.requested"
APPROVAL_RESOLVED: Final = "harness.approval.resolved"
ERROR: Final = "harness.error"
UNKNOWN_RECORD: Final = "harness.import.record"

# What a person did, as an agent is told it.
INTERVENTIONS: Final = frozenset({OVERRIDE, PATCHED, APPROVAL_RESOLVED})
GRADED_HARNESS: Final = frozenset({OVERRIDE, PATCHED})


def advances_digest(event_type: str) -> bool:
    """Whether a model would see it or a grader would grade it; other events carry the digest on."""
    return event_type.startswith("data.") or event_type in GRADED_HARNESS
