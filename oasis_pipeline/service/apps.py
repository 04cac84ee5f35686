"""The Django application.

Here: its name. Not here: its models and pages.
"""

from __future__ import annotations

from django.apps import AppConfig


class ServiceConfig(AppConfig):
    """The data service as an application of Django."""

    name = "oasis_pipeline.service"
    label = "service"
    verbose_name = "Data service"

    def ready(self) -> None:
        """Register what happens when users are made."""
        from oasis_pipeline.service import signals  # noqa: F401 - registers by being imported
