"""The words of grading, and the four constants that the gate turns on."""

from enum import StrEnum


class Verdict(StrEnum):
    """What a report claims, and what the gate decides."""

    PASS = "pass"  # noqa: S105 - a verdict
    WARN = "warn"
    FAIL = "fail"


class Severity(StrEnum):
    """How bad one issue is. Compare by `rank`; the values themselves order by spelling."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info up to 3 for critical."""
        return SEVERITY_RANKS[self]


class Confidence(StrEnum):
    """How sure the grader is of one issue."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Grader(StrEnum):
    """A kind of grader; also the `source` of an issue."""

    VISION = "vision"
    DOM = "dom"
    OCR = "ocr"
    CV = "cv"
    TEST = "test"
    TYPECHECK = "typecheck"
    LINT = "lint"
    LLM_JUDGE = "llm_judge"
    PERF = "perf"
    SECURITY = "security"
    CONTRACT = "contract"
    COST = "cost"
    OTHER = "other"
    HUMAN = "human"


class IssueKind(StrEnum):
    """What one issue is about."""

    CONTRAST = "contrast"
    OVERFLOW = "overflow"
    BROKEN_IMAGE = "broken_image"
    ERROR_TEXT = "error_text"
    TYPO = "typo"
    BLANK = "blank"
    LAYOUT = "layout"
    CLIPPED = "clipped"
    OVERLAP = "overlap"
    MISSING_ELEMENT = "missing_element"
    INTENT_MISMATCH = "intent_mismatch"
    TEST_FAILURE = "test_failure"
    TYPE_ERROR = "type_error"
    LINT = "lint"
    VULNERABILITY = "vulnerability"
    REGRESSION = "regression"
    BUDGET = "budget"
    OTHER = "other"


class Part(StrEnum):
    """What a case of a suite is there for."""

    CASE = "case"
    HOLDOUT = "holdout"
    RESERVE = "reserve"


SEVERITY_RANKS = {
    Severity.INFO: 0,
    Severity.WARNING: 1,
    Severity.ERROR: 2,
    Severity.CRITICAL: 3,
}

# Deterministic graders, whose findings may block a merge.
PRECISE = frozenset(
    {
        Grader.TEST,
        Grader.TYPECHECK,
        Grader.LINT,
        Grader.DOM,
        Grader.OCR,
        Grader.CV,
        Grader.SECURITY,
    }
)

# Models that judge. The graders in neither set (perf, contract, cost, other, human) are not clamped.
ADVISORY = frozenset({Grader.VISION, Grader.LLM_JUDGE})

# An issue at or above this, after clamping, shuts the gate.
GATING_SEVERITY = Severity.ERROR

# The highest severity that an advisory grader, or a finding of low confidence, can carry.
ADVISORY_CEILING = Severity.WARNING

# What a finding in quarantine can carry at most: it is shown, and shuts nothing.
QUARANTINE_CEILING = Severity.WARNING
