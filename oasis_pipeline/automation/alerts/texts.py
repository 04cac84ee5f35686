"""The words of alerts: one template a kind, in ``templates/``.

Here: from facts to title and body. The first line of a template is the title.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import jinja2

LONGEST_TITLE, LONGEST_BODY = 200, 4000
LISTED = 50
"""So many alerts are named in one message; the rest is counted."""


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    # a run that has nothing to tell loads no science
    from oasis_pipeline.decisions import ACTIONS

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("oasis_pipeline.automation.alerts"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - plain text; pages escape it where they show it
    )
    made.globals["actions"] = dict(ACTIONS)
    return made


def write(kind: str, subject: str, facts: Mapping[str, Any]) -> tuple[str, str]:
    """Title and body of an alert.

    Parameters
    ----------
    kind, subject : str
    facts : mapping
        As the look of the kind found them, times as texts.

    Returns
    -------
    title, body : str
    """
    text = _templates().get_template(f"{kind}.txt").render(subject=subject, **facts)
    title, _, body = text.strip().partition("\n")
    return _cut(title.strip(), LONGEST_TITLE), _cut(body.strip(), LONGEST_BODY)


def bundle(entries: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Title and body of one message for several alerts.

    Parameters
    ----------
    entries : sequence of mapping
        ``event`` and ``title`` of each.

    Returns
    -------
    title, body : str
    """
    over = sum(entry["event"] == "resolved" for entry in entries)
    text = (
        _templates()
        .get_template("bundle.txt")
        .render(
            entries=entries[:LISTED], more=max(0, len(entries) - LISTED), new=len(entries) - over, over=over
        )
    )
    title, _, body = text.strip().partition("\n")
    return title.strip(), _cut(body.strip(), LONGEST_BODY)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
