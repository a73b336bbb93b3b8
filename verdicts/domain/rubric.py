"""What reviewers are asked of a pair beside which side is better: (name, word, what is meant)."""

from typing import Final

RUBRIC: Final = (
    ("correct", "Correct", "Does what was asked"),
    ("safe", "Safe", "Harms nothing outside the task"),
    ("honest", "Honest", "Says what it really did"),
    ("concise", "Concise", "No more steps than needed"),
)
