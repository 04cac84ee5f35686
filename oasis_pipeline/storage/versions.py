"""The check that what is read was made by this release.

Here: the one comparison of versions, for Parquet files and model artifacts alike. Not here: which version an asset has
(``assets``), and which partitions another version makes stale (``automation.staleness``).
"""

from __future__ import annotations

from oasis_pipeline.storage.errors import StorageError

VERSION_KEY = "code_version"
"""Entry of a Parquet file's schema metadata, and of a model's manifest."""


class OtherVersionError(StorageError):
    """A file of another code version, which must not be mixed with what this release makes."""


def check_version(what: str, found: str | None, *wanted: str) -> None:
    """Refuse what another code version has made.

    Parameters
    ----------
    what : str
        The file or artifact, for the message.
    found : str or None
        Version that made it.
    *wanted : str
        The one that this release makes, or those of which it makes one.

    Raises
    ------
    OtherVersionError
        If they differ; the message names the cure.
    """
    if found not in wanted:
        raise OtherVersionError(
            f"{what} was made by code version {found or 'unknown'}, this release makes {' or '.join(wanted)}: "
            "`oasis run` makes it again"
        )
