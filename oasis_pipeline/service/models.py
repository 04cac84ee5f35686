"""What the administration site shows and Django keeps: profiles, tokens, what people chose and noted, and modules.

Here: tables of the service itself (schema ``django``), and a window on ``iot.module``, which the schema source owns. Not here:
readings, which go by COPY (``store``), and the check of a token (``access``).
"""

from __future__ import annotations

import hashlib
import secrets
from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from oasis_pipeline.service import limits

TOKEN_PREFIX = "oasis"  # noqa: S105 - what a token begins with, not a token


class Profile(models.Model):
    """What the service knows of a user besides Django's own columns."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="profile")
    module_num = models.CharField(
        "module",
        max_length=100,
        null=True,
        blank=True,
        help_text="For a user of the group device: the one module whose readings it may post.",
    )

    class Meta:
        """Names."""

        verbose_name = "profile"

    def __str__(self) -> str:
        """The user's name."""
        return str(self.user)


class Token(models.Model):
    """A bearer token of a module or of a user; only the hash of its secret is kept."""

    name = models.CharField(max_length=100, help_text="What it is for, for people.")
    module_num = models.CharField(
        "module",
        max_length=100,
        null=True,
        blank=True,
        help_text="A device's token: it may post readings of this module and nothing else.",
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="tokens",
        help_text="A person's or a program's token: it may do what this user may do.",
    )
    requests_per_minute = models.PositiveIntegerField(default=limits.REQUESTS_PER_MINUTE)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Never, if empty.")
    revoked = models.BooleanField(default=False, help_text="A revoked token is refused within a second.")
    key = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=150, blank=True, editable=False)

    class Meta:
        """Names and rules."""

        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(module_num__isnull=True) ^ Q(user__isnull=True), name="token_of_module_or_user"
            )
        ]

    def __str__(self) -> str:
        """Its name and the part of it that is no secret."""
        return f"{self.name} ({TOKEN_PREFIX}-{self.key}-...)"

    def clean(self) -> None:
        """Refuse a token of nobody, of two, or of a module that there is not."""
        self.module_num = self.module_num or None
        if (self.module_num is None) == (self.user is None):
            raise ValidationError("A token belongs either to a module or to a user.")
        if self.module_num and not Module.objects.filter(pk=self.module_num).exists():
            raise ValidationError({"module_num": f"There is no module {self.module_num}."})

    def renew(self) -> str:
        """Give it a new secret.

        Returns
        -------
        str
            The token, which can't be had a second time: ``oasis-<key>-<secret>``.
        """
        secret = secrets.token_urlsafe(32)
        self.key = secrets.token_hex(8)
        self.digest = digest_of(secret)
        return f"{TOKEN_PREFIX}-{self.key}-{secret}"


def digest_of(secret: str) -> str:
    """Hash of a token's secret. It has 256 random bits, so that nothing slower than SHA-256 is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Preference(models.Model):
    """What a user chose on a page the last time."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="preferences")
    page = models.CharField(max_length=30)
    chosen = models.CharField(max_length=2000)

    class Meta:
        """Names and rules."""

        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "page"], name="preference_of_page")]

    def __str__(self) -> str:
        """Whose it is, and of what."""
        return f"{self.user}, {self.page}"


class Note(models.Model):
    """What somebody wrote about a well, for the others."""

    node = models.CharField(
        "well",
        max_length=200,
        db_index=True,
        help_text="In lower case, as in xspoc.node: its spelling may change.",
    )
    text = models.TextField(max_length=4000)
    written_by = models.CharField(max_length=150, editable=False)
    written_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Names."""

        ordering: ClassVar = ["-written_at"]

    def __str__(self) -> str:
        """Its well and its first words."""
        return f"{self.node}: {str(self.text)[:60]}"


class WellGroup(models.Model):
    """A group of wells, by its name; which wells it has is read and written beside (``admin``). The table is the schema source's."""

    name = models.CharField(
        max_length=100,
        primary_key=True,
        db_column="GroupName",
        help_text="A route, a battery, a foreman: whatever wells are looked at by.",
    )

    class Meta:
        """Where it stands."""

        managed = False
        db_table = '"analysis"."well_group"'
        ordering: ClassVar = ["name"]
        verbose_name = "group of wells"
        verbose_name_plural = "groups of wells"

    def __str__(self) -> str:
        """Its name."""
        return str(self.name)


class Module(models.Model):
    """A sensor module; the table is the schema source's."""

    module_num = models.CharField("module", max_length=100, primary_key=True)
    module_type = models.CharField(max_length=100, null=True, blank=True)
    asset = models.CharField(max_length=100, null=True, blank=True)
    sensor_type = models.CharField(max_length=100, null=True, blank=True)

    class Meta:
        """Where it stands."""

        managed = False
        db_table = '"iot"."module"'
        ordering: ClassVar = ["module_num"]

    def __str__(self) -> str:
        """Its number."""
        return str(self.module_num)
