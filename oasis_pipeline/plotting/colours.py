"""Colours of classes; one place, so that a class has one colour in every picture and on every page.

Not here: inks and lines of pictures (``style``), colours of pages, which stand in their style sheet.
"""

from __future__ import annotations

from collections.abc import Iterable

UNKNOWN_COLOUR = "#9aa5b1"

# Okabe and Ito's colours, which people with colour-blindness can tell apart, then darker relatives of them
_CYCLE = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9",
    "#8c6d1f", "#004c75", "#7a1f5c", "#00634a", "#8f3d00", "#b8a900",
)  # fmt: skip


QUIET_COLOUR = "#c9dccf"
QUIET = ("Full Pump", "Normal")
"""Classes that mean no trouble recede; everything else catches the eye."""


def class_colours(labels: Iterable[str]) -> dict[str, str]:
    """Give each class a colour.

    Parameters
    ----------
    labels : iterable of str
        Class texts.

    Returns
    -------
    dict of str to str
        Colour by class; the same set of classes always gets the same colours. ``Unknown`` is grey.
    """
    ordered = sorted({label for label in labels if label != "Unknown" and label not in QUIET})
    colours = {label: _CYCLE[i % len(_CYCLE)] for i, label in enumerate(ordered)}
    return {**dict.fromkeys(QUIET, QUIET_COLOUR), **colours, "Unknown": UNKNOWN_COLOUR}
