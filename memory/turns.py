"""Following the journals of many projects: each has its turn, whatever befalls another."""

from collections.abc import Callable, Iterable
from uuid import UUID


def give_turns(projects: Iterable[UUID], follow: Callable[[UUID], bool]) -> bool:
    """Whether any of them has more right away. What one project raises is raised once every other
    had its turn."""
    more = False
    faults: list[Exception] = []
    for project_id in projects:
        try:
            more = follow(project_id) or more
        # Whatever it is: the next project has no part in it.
        except Exception as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise ExceptionGroup("several projects could not be followed", faults)
    return more
