"""Live sources: a field's rows straight from where they are kept, into intake.

Here: one interface (``base``); the database behind ``OASIS_SOURCE_URL``: ``mapping`` says which of its columns are which, ``statements`` are all
that can be asked, ``connection`` asks slowly and again, ``database`` decides what is new by what ``watermarks`` knows, ``rows``
become files, ``check`` says what the source is like; drop folders elsewhere (``OASIS_REMOTE_DROP``): ``remote`` takes
files, ``bucket`` and ``sftp`` hold them. Not here: what becomes of the rows (`intake.take_in`).
"""

from __future__ import annotations

from oasis_pipeline.intake.sources.base import Source, SourceError, SourceReport
from oasis_pipeline.intake.sources.bucket import BucketPlace
from oasis_pipeline.intake.sources.connection import source_url
from oasis_pipeline.intake.sources.database import DatabaseSource
from oasis_pipeline.intake.sources.mapping import Mapping, load_mapping
from oasis_pipeline.intake.sources.remote import SILENT_MINUTES, Place, RemoteDrop
from oasis_pipeline.intake.sources.sftp import SftpPlace, parse_sftp
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.address import parse_bucket
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

__all__ = [
    "Source",
    "SourceError",
    "SourceReport",
    "open_source",
    "open_sources",
    "require_source",
    "require_sources",
    "watched_sources",
]


def require_source(settings: Settings) -> Mapping:
    """Refuse an installation without a database as a source, or with one whose address or mapping can't be used; nothing is opened.

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


def require_sources(settings: Settings) -> None:
    """Refuse an installation without any source, or with one that can't be used; nothing is opened.

    Raises
    ------
    SourceError
    """
    if settings.source_url is not None or settings.remote_drop is None:
        require_source(settings)
    _places(settings)


def watched_sources(settings: Settings) -> dict[str, float]:
    """Sources of an installation by name, and after how many minutes without a whole look at one somebody should know.

    Raises
    ------
    SourceError
        If one of them is configured so that it can't be used.
    """
    watched = {place.where: SILENT_MINUTES for place in _places(settings)}
    if settings.source_url is None:
        return watched
    mapping = require_source(settings)
    return {mapping.name: mapping.silent_minutes, **watched}


def open_source(settings: Settings, warehouse: Warehouse, store: ObjectStore) -> DatabaseSource:
    """Open the database that is a source of an installation.

    Raises
    ------
    SourceError
        If none is configured, or its address or mapping can't be used.
    """
    return DatabaseSource(settings, warehouse, store)


def open_sources(
    settings: Settings, warehouse: Warehouse, store: ObjectStore
) -> list[DatabaseSource | RemoteDrop]:
    """Open all sources of an installation, the database first; close each.

    Raises
    ------
    SourceError
        If none is configured, or one of them can't be used as it is.
    """
    require_sources(settings)
    places = _places(settings)
    opened: list[DatabaseSource | RemoteDrop] = []
    if settings.source_url is not None:
        opened.append(DatabaseSource(settings, warehouse, store))
    return [*opened, *(RemoteDrop(place, settings, warehouse, store) for place in places)]


def _places(settings: Settings) -> list[Place]:
    """Drop folders elsewhere; nothing is connected to."""
    given = settings.remote_drop.get_secret_value().split() if settings.remote_drop is not None else []
    places = [_place(text, settings) for text in given]
    names = [place.where for place in places]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SourceError(f"OASIS_REMOTE_DROP names {twice[0]} twice: once is enough")
    return places


def _place(text: str, settings: Settings) -> Place:
    if text.startswith("sftp:"):
        return SftpPlace(parse_sftp(text), settings)
    if not text.startswith("s3:"):
        raise SourceError("OASIS_REMOTE_DROP: an address is s3://bucket/prefix or sftp://user@host/folder")
    try:
        bucket, prefix = parse_bucket(text)
    except ValueError as error:
        raise SourceError(f"OASIS_REMOTE_DROP: {text} {error}") from None
    own = f"{settings.s3_prefix.strip('/')}/".lstrip("/")
    if bucket == settings.s3_bucket and f"{prefix}/".startswith(own):
        # the archive holds files of the very same names
        raise SourceError(
            f"OASIS_REMOTE_DROP: {text} lies in the installation's own store: name another prefix or bucket"
        )
    return BucketPlace(bucket, prefix, settings.s3_endpoint)
