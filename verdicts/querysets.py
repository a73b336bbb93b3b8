"""Queries with a name. Every one that answers a reader starts at what that reader may see."""

from typing import TYPE_CHECKING, Self

from verel_site.access.querysets import Visible

if TYPE_CHECKING:
    # Named in type arguments as text, where ruff does not look.
    from verdicts.failure_models import Failure, KnownBug  # noqa: F401
    from verdicts.models import Comparison, Label, Report, Suite  # noqa: F401


class ReportQuerySet(Visible["Report"]):
    pass


class SuiteQuerySet(Visible["Suite"]):
    def frozen(self) -> Self:
        """Suites that a receipt may name: frozen, and not retired since."""
        return self.filter(frozen_at__isnull=False, retired_at=None)


class ComparisonQuerySet(Visible["Comparison"]):
    pass


class LabelQuerySet(Visible["Label"]):
    def standing(self) -> Self:
        return self.filter(withdrawn_at=None)


class FailureQuerySet(Visible["Failure"]):
    def held(self) -> Self:
        """Those in quarantine."""
        return self.filter(ticket__isnull=False)


class KnownBugQuerySet(Visible["KnownBug"]):
    pass
