"""Who may do what. Roles are for people, scopes for API keys; both reduce to rights.

A right is one word that an action asks for. Scopes that push never include those that judge.
"""

from enum import StrEnum
from typing import Final


class Right(StrEnum):
    READ = "read"
    WRITE_EVENTS = "events:write"
    RUN_BRANCHES = "branches:run"
    IMPORT = "import"
    FORK = "fork"
    STEER = "steer"
    ANSWER = "answer"
    LABEL = "label"
    MERGE = "merge"
    BYPASS_GATE = "gate:bypass"
    REPORT = "reports:write"
    EXPORT = "exports:read"
    RUN_SUITES = "suites:run"
    PROPOSE = "memory:propose"
    CURATE = "curate"
    ADMINISTER = "administer"


class Role(StrEnum):
    VIEWER = "viewer"
    REVIEWER = "reviewer"
    CURATOR = "curator"
    ADMIN = "admin"


class Scope(StrEnum):
    EVENTS_WRITE = "events:write"
    CONTEXT_READ = "context:read"
    BRANCHES_RUN = "branches:run"
    REPORTS_WRITE = "reports:write"
    MEMORY_PROPOSE = "memory:propose"
    EXPORTS_READ = "exports:read"
    SUITES_RUN = "suites:run"
    ADMIN = "admin"


_VIEWER: Final = frozenset({Right.READ})
_REVIEWER: Final = _VIEWER | {
    Right.FORK,
    Right.STEER,
    Right.ANSWER,
    Right.LABEL,
    Right.MERGE,
    Right.IMPORT,
    Right.EXPORT,
    Right.PROPOSE,
}
_CURATOR: Final = _REVIEWER | {Right.CURATE}
_ADMIN: Final = _CURATOR | {Right.ADMINISTER, Right.BYPASS_GATE}

RIGHTS_OF_ROLE: Final[dict[Role, frozenset[Right]]] = {
    Role.VIEWER: _VIEWER,
    Role.REVIEWER: _REVIEWER,
    Role.CURATOR: _CURATOR,
    Role.ADMIN: _ADMIN,
}

RIGHTS_OF_SCOPE: Final[dict[Scope, frozenset[Right]]] = {
    Scope.EVENTS_WRITE: frozenset({Right.WRITE_EVENTS, Right.READ}),
    Scope.CONTEXT_READ: frozenset({Right.READ}),
    Scope.BRANCHES_RUN: frozenset({Right.RUN_BRANCHES, Right.FORK, Right.READ}),
    Scope.REPORTS_WRITE: frozenset({Right.REPORT, Right.READ}),
    Scope.MEMORY_PROPOSE: frozenset({Right.PROPOSE, Right.READ}),
    Scope.EXPORTS_READ: frozenset({Right.EXPORT, Right.READ}),
    Scope.SUITES_RUN: frozenset({Right.RUN_SUITES, Right.READ}),
    Scope.ADMIN: _ADMIN,
}

PUSHING_SCOPES: Final = frozenset({Scope.EVENTS_WRITE, Scope.BRANCHES_RUN})
# Whoever reads the cases of a suite is a judge too: an agent's key must not.
JUDGING_SCOPES: Final = frozenset({Scope.REPORTS_WRITE, Scope.SUITES_RUN, Scope.ADMIN})

# What an override's frame may call its author. It comes from the role, never from a form.
AUTHORITY_OF_ROLE: Final[dict[Role, str]] = {
    Role.REVIEWER: "Verified Human Supervisor",
    Role.CURATOR: "Verified Human Supervisor",
    Role.ADMIN: "Verified Human Supervisor",
}
AUTHORITY_OF_KEY: Final = "API client, no person"
