"""Queries with a name. Every one that answers a reader starts at what that reader may see."""

from typing import TYPE_CHECKING, Self

from django.db import models

from verel_site.access.actors import Actor

if TYPE_CHECKING:
    # Named in type arguments as text, where ruff does not look.
    from verdicts.models import Comparison, Label, Report, Suite  # noqa: F401


class _Visible[M: models.Model](models.QuerySet[M]):
    def visible_to(self, actor: Actor) -> Self:
        return self if actor.kind == "system" else self.filter(project_id__in=actor.projects)


class ReportQuerySet(_Visible["Report"]):
    pass


class SuiteQuerySet(_Visible["Suite"]):
    def frozen(self) -> Self:
        """Suites that a receipt may name: frozen, and not retired since."""
        return self.filter(frozen_at__isnull=False, retired_at=None)


class ComparisonQuerySet(_Visible["Comparison"]):
    pass


class LabelQuerySet(_Visible["Label"]):
    def standing(self) -> Self:
        return self.filter(withdrawn_at=None)
