"""OASIS Pipeline: from a rod-pumped field's raw data to decisions.

The public Python API is what ``__all__`` lists; ``docs/python-api.md`` describes it. It is loaded at its first use:

    import oasis_pipeline

    field = oasis_pipeline.open(".oasis")
    card = oasis_pipeline.decode_card(blob, spm=8.0, well=field.well("Well 1"))

Rooms, from the bottom up: ``schema`` and ``settings`` (facts), ``cards`` and ``physics`` (science on arrays),
``learning``, ``storage``, ``intake``, ``operations`` (what is done), ``assets`` (the graph), ``automation`` and
``commands``. A room imports only from the ones below it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oasis_pipeline.api import Card, CardSeries, Classification, Field, Well, decode_card, open  # noqa: A004

__version__ = "0.1.0"
__all__ = ["Card", "CardSeries", "Classification", "Field", "Well", "decode_card", "open"]


def __getattr__(name: str) -> Any:
    """Load the public API when one of its names is asked for."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("oasis_pipeline.api"), name)
    raise AttributeError(f"module 'oasis_pipeline' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
