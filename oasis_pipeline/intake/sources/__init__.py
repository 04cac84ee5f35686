"""Live sources: a field's rows straight from where they are kept, into intake.

Here: one interface (``base``), and the database behind ``OASIS_SOURCE_URL``: ``mapping`` says which of its columns are which, ``statements`` are all
that can be asked, ``connection`` asks slowly and again, ``database`` decides what is new. Not here: what becomes of the rows (`intake.take_in`).
"""

from __future__ import annotations

from oasis_pipeline.intake.sources.base import Source, SourceError, SourceReport
from oasis_pipeline.intake.sources.connection import source_url
from oasis_pipeline.intake.sources.database import DatabaseSource
from oasis_pipeline.intake.sources.mapping import Mapping, load_mapping
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

__all__ = ["Source", "SourceError", "SourceReport", "open_source", "require_source", "watched_sources"]


def require_source(settings: Settings) -> Mapping:
    """Refuse an installation without a source, or with one whose address or mapping can't be used; nothing is opened.

    Returns
    -------
    Mapping
        How it is read.

    Raises
    ------
    SourceError
    """
    source_url(settings)
    return load_mapping(settings.home)


def watched_sources(settings: Settings) -> dict[str, float]:
    """Sources of an installation by name, and after how many minutes without a whole look at one somebody should know.

    Raises
    ------
    SourceError
        If one of them is configured so that it can't be used.
    """
    if settings.source_url is None:
        return {}
    mapping = require_source(settings)
    return {mapping.name: max(3 * mapping.sweep_minutes, 60.0)}


def open_source(settings: Settings, warehouse: Warehouse, store: ObjectStore) -> DatabaseSource:
    """Open the source of an installation.

    Raises
    ------
    SourceError
        If none is configured, or its address or mapping can't be used.
    """
    return DatabaseSource(settings, warehouse, store)
