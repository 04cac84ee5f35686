"""The archive of drop files: names in it, and the way into it.

Here: archiving with proof. Not here: the rest of a file's life (``intake``), and the way back (``reload``).
"""

from __future__ import annotations

from pathlib import Path

from oasis_pipeline.intake.files import DropName, archive_path, parse_name
from oasis_pipeline.schema import DropKind
from oasis_pipeline.storage.objects import ObjectStore


class ArchiveError(RuntimeError):
    """The archive does not hold what it has to; the message says which file."""


def archive_file(store: ObjectStore, kind: DropKind, source_file: str, local: Path, sha256: str) -> None:
    """Copy a file to the archive and read it back.

    Parameters
    ----------
    store : ObjectStore
    kind : DropKind
    source_file : str
        Name in the archive.
    local : Path
        The drop file.
    sha256 : str
        Hash of the bytes that were loaded.

    Raises
    ------
    ArchiveError
        If what can be read back is not what was loaded; the wrong object is removed.
    StorageError
        If the store refuses.
    """
    path = archive_path(kind, source_file)
    if store.exists(path) and store.sha256(path) == sha256:
        return
    store.put_file(path, local)
    if store.sha256(path) != sha256:
        store.delete(path)
        raise ArchiveError(
            f"{local.name} changed between load and archive; it is loaded again in the next pass"
        )


def archive_name(name: str, suffix: str, sha256: str) -> str:
    """Name in the archive of a file whose own name is taken: part of its hash goes before the ending."""
    return f"{name.removesuffix(suffix)}.{sha256[:12]}{suffix}"


def archived_name(source_file: str, kind: DropKind) -> DropName:
    """Read the name of an archived file, with or without a part of its hash.

    Parameters
    ----------
    source_file : str
    kind : DropKind

    Returns
    -------
    DropName
    """
    suffix = max((each for each in kind.suffixes if source_file.endswith(each)), key=len, default="")
    parts = source_file.removesuffix(suffix).split(".")
    drop = parse_name(".".join(parts[:4]) + suffix)
    if drop is None:
        raise ArchiveError(f"{source_file} is not the name of a drop file")
    return drop
