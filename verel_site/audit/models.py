from django.db import models

from verel_site.access.models import Project


class AuditEntry(models.Model):
    """One act. `body` is the truth; the other columns repeat parts of it for filtering.

    `seal` is SHA-256 over the previous entry's seal and `body`; `number` is gapless by project.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="audit_entries")
    number = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=8)
    actor_id = models.CharField(max_length=64)
    actor_name = models.CharField(max_length=150)
    action = models.CharField(max_length=64)
    subject = models.CharField(max_length=120)
    reason = models.TextField(blank=True)
    body = models.BinaryField()
    seal = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="audit_number_once")
        ]
        indexes = [
            models.Index(fields=["project", "subject", "number"], name="audit_subject"),
            models.Index(fields=["project", "action", "number"], name="audit_action"),
            models.Index(fields=["project", "actor_name", "number"], name="audit_actor"),
        ]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.number} {self.action} {self.subject}"
