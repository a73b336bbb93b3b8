"""Who is asking, as one value: a signed-in person, an API key, or the system itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from verel_site.access.rights import (
    AUTHORITY_OF_KEY,
    AUTHORITY_OF_ROLE,
    RIGHTS_OF_ROLE,
    RIGHTS_OF_SCOPE,
    Right,
    Role,
    Scope,
)
from verel_site.kit.refusals import Forbidden, NotFound


@dataclass(frozen=True)
class Actor:
    """`rights` by project id. What is not in it does not exist for this actor."""

    kind: Literal["person", "key", "system"]
    id: str
    name: str
    user_id: int | None = None
    rights: Mapping[UUID, frozenset[Right]] = field(default_factory=dict)
    authorities: Mapping[UUID, str] = field(default_factory=dict)

    def may(self, project_id: UUID, right: Right) -> bool:
        return self.kind == "system" or right in self.rights.get(project_id, frozenset())

    def demand(self, project_id: UUID, right: Right) -> None:
        """Raises NotFound for what the actor may not see, Forbidden for what it may not do."""
        if self.may(project_id, right):
            return
        if not self.may(project_id, Right.READ):
            raise NotFound("There is nothing here that you may see.")
        raise Forbidden(f"This needs the right {right.value!r} in the project.", right=right.value)

    @property
    def projects(self) -> list[UUID]:
        """Project ids that the actor may read."""
        return [project for project, rights in self.rights.items() if Right.READ in rights]

    def authority(self, project_id: UUID) -> str:
        return self.authorities.get(project_id, AUTHORITY_OF_KEY)

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "id": self.id, "name": self.name}


SYSTEM = Actor(kind="system", id="verel", name="Verel")


def person_actor(*, user_id: int, name: str, roles: Mapping[UUID, Role]) -> Actor:
    return Actor(
        kind="person",
        id=str(user_id),
        name=name,
        user_id=user_id,
        rights={project: RIGHTS_OF_ROLE[role] for project, role in roles.items()},
        authorities={
            project: AUTHORITY_OF_ROLE[role]
            for project, role in roles.items()
            if role in AUTHORITY_OF_ROLE
        },
    )


def key_actor(*, key_id: str, name: str, project_id: UUID, scopes: list[str]) -> Actor:
    rights: frozenset[Right] = frozenset()
    for scope in scopes:
        rights |= RIGHTS_OF_SCOPE[Scope(scope)]
    return Actor(kind="key", id=key_id, name=name, rights={project_id: rights})
