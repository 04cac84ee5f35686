"""What somebody chose on a page the last time, for the next one.

Here: one text for each user and page, in the service's own tables. Not here: what the text means (the page), the colours, which are the browser's.
"""

from __future__ import annotations

from oasis_pipeline.service.access import Principal
from oasis_pipeline.service.models import Preference


def read(who: Principal, page: str) -> str:
    """What was kept; empty for programs, and for who has chosen nothing."""
    if who.user_id is None:
        return ""
    return str(
        Preference.objects.filter(user_id=who.user_id, page=page).values_list("chosen", flat=True).first()
        or ""
    )


def write(who: Principal, page: str, chosen: str) -> None:
    """Keep what was chosen, if it is something else than before."""
    if who.user_id is not None and chosen != read(who, page):
        Preference.objects.update_or_create(user_id=who.user_id, page=page, defaults={"chosen": chosen})
