import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from verel_site.access.rights import Role


def role_choices() -> list[tuple[str, str]]:
    return [(role.value, role.value) for role in Role]


class Project(models.Model):
    """Tenant and permission boundary; every other row belongs to one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    override_in_prompt = models.BooleanField(
        default=False, help_text="Put the override into the prompt of exported triplets."
    )
    separate_duties = models.BooleanField(
        default=False, help_text="Who wrote an override may not alone merge what came of it."
    )
    token_budget = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Output tokens that a calendar month (UTC) may take."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=16, choices=role_choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once"),
            models.CheckConstraint(
                condition=Q(role__in=["viewer", "reviewer", "curator", "admin"]),
                name="membership_role",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.role}"


class Preferences(models.Model):
    """What a person has set for themselves. `keys` holds the key of each act that is not the
    product's own choice."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="preferences",
    )
    time_zone = models.CharField(max_length=64, blank=True)
    keys = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"preferences of {self.user_id}"


class ApiKey(models.Model):
    """`vk_<id>_<secret>`; only the SHA-256 of the secret is kept."""

    id = models.CharField(primary_key=True, max_length=16, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=120)
    secret_sha256 = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=150, blank=True)
    revoke_reason = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"vk_{self.id} {self.name}"


class SignInLink(models.Model):
    """A one-time way in for the person who started an embedded installation."""

    token_sha256 = models.CharField(primary_key=True, max_length=64)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"sign-in link of {self.user}"


class RememberedAnswer(models.Model):
    """The first answer under an Idempotency-Key, replayed to every repeat of the same request."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE)
    actor = models.CharField(max_length=64)
    key = models.CharField(max_length=255)
    request_sha256 = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    body = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "actor", "key"], name="remembered_answer_once"
            )
        ]
        indexes = [models.Index(fields=["created_at"], name="remembered_answer_age")]

    def __str__(self) -> str:
        return self.key


class LoginFailures(models.Model):
    """How often a sign-in failed of late, by account or by address; neither is kept in the clear."""

    subject = models.CharField(primary_key=True, max_length=64)
    count = models.PositiveIntegerField(default=0)
    shut_until = models.DateTimeField(default=timezone.now)
    touched_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name_plural = "login failures"

    def __str__(self) -> str:
        return f"{self.count} of {self.subject[:8]}"
