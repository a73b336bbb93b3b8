"""What a reviewer may say of two sides, and which branch that means."""

from enum import StrEnum


class Choice(StrEnum):
    LEFT = "left"
    RIGHT = "right"
    EQUAL = "equal"
    BOTH_BAD = "both_bad"


def pick_sides[T](choice: Choice, *, left: T, right: T) -> tuple[T, T] | None:
    """(chosen, rejected), or None where neither side won."""
    match choice:
        case Choice.LEFT:
            return left, right
        case Choice.RIGHT:
            return right, left
    return None
