"""What happens when a user is made.

Here: everybody gets a profile, and whoever is made without a role becomes a viewer, for an administrator to see and change. Not
here: roles (``roles``).
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models.signals import post_save
from django.dispatch import receiver

from oasis_pipeline.service.models import Profile
from oasis_pipeline.service.roles import VIEWER


@receiver(post_save, sender=User)
def complete_user(sender: type[User], instance: Any, created: bool, raw: bool = False, **_: Any) -> None:
    """Give a new user a profile and the role of a viewer."""
    if not created or raw:
        return
    Profile.objects.get_or_create(user=instance)
    if not instance.is_superuser:
        instance.groups.add(Group.objects.get_or_create(name=VIEWER)[0])
