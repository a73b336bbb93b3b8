"""The rule that every query which answers a reader starts from, said once."""

from typing import Self

from django.db import models

from verel_site.access.actors import Actor


class Visible[M: models.Model](models.QuerySet[M]):
    """Rows of a model that has a `project`."""

    def visible_to(self, actor: Actor) -> Self:
        """Those in projects that the actor may read; the system reads all."""
        return self if actor.kind == "system" else self.filter(project_id__in=actor.projects)
