"""Where a copy of an installation lies: a folder, or a prefix of a bucket.

Here: files of a copy in and out, each durable when it is written. Not here: what belongs into a copy (``backup``).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.address import parse_bucket
from oasis_pipeline.storage.objects import S3Store


class CopyError(RuntimeError):
    """A copy can't be made there, or isn't there; the message says what to do."""


class Copy(ABC):
    """Files of a copy, by names such as ``store/models/m/1.model``."""

    @property
    @abstractmethod
    def where(self) -> str:
        """Its address, for people."""

    @abstractmethod
    def begin(self) -> None:
        """Refuse a place that holds anything."""

    @abstractmethod
    def writing(self, name: str) -> AbstractContextManager[Path]:
        """A local file to write to, which becomes a file of the copy at the end; not if an error leaves the block."""

    @abstractmethod
    def reading(self, name: str) -> AbstractContextManager[Path]:
        """A file of the copy as a local one.

        Raises
        ------
        FileNotFoundError
        """

    @abstractmethod
    def said(self, name: str) -> dict[str, Any]:
        """Size and SHA-256 of a file, as it can be read back.

        Raises
        ------
        FileNotFoundError
        """

    def read(self, name: str) -> bytes:
        """A small file."""
        with self.reading(name) as path:
            return path.read_bytes()

    def name_of(self, name: str) -> str:
        """Where a file lies, for people."""
        return f"{self.where}/{name}"


class FolderCopy(Copy):
    """A copy in a folder, closed to others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def where(self) -> str:
        """The folder."""
        return str(self.folder)

    def begin(self) -> None:
        """Make the folder; it may be there already if it is empty."""
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise CopyError(f"{self.folder} is not empty: name a folder that is new")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """See `Copy.writing`."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            yield temporary
            # secrets among them, and the service refuses a key that others may read
            temporary.chmod(0o600)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """See `Copy.reading`."""
        yield self.folder / name

    def said(self, name: str) -> dict[str, Any]:
        """See `Copy.said`."""
        path = self.folder / name
        with path.open("rb") as file:
            return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


class BucketCopy(Copy):
    """A copy under a prefix of a bucket; on the local disk there is one file of it at a time.

    Parameters
    ----------
    store : S3Store
    """

    def __init__(self, store: S3Store) -> None:
        self.store = store

    @property
    def where(self) -> str:
        """``s3://bucket/prefix``."""
        return self.store.url

    def begin(self) -> None:
        """Refuse a prefix under which something lies."""
        if self.store.list():
            raise CopyError(f"{self.where} is not empty: name a prefix that is new")

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """See `Copy.writing`."""
        with _local_file() as path:
            yield path
            self.store.put_file(name, path)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """See `Copy.reading`."""
        self._require(name)
        with _local_file() as path:
            with path.open("wb") as file:
                self.store.copy_to(name, file.write)
            yield path

    def said(self, name: str) -> dict[str, Any]:
        """See `Copy.said`; the object is read once more."""
        return {"bytes": self._require(name), "sha256": self.store.sha256(name)}

    def _require(self, name: str) -> int:
        size = self.store.size(name)
        if size is None:
            raise FileNotFoundError(self.name_of(name))
        return size


@contextmanager
def _local_file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="oasis-copy-") as folder:
        yield Path(folder) / "file"


def open_copy(place: Path | str, settings: Settings) -> Copy:
    """Find where a copy lies, or is to lie.

    Parameters
    ----------
    place : Path or str
        A folder, or ``s3://bucket/prefix``.
    settings : Settings
        With the address of the S3 server, if that is not Amazon's.

    Returns
    -------
    Copy

    Raises
    ------
    CopyError
        If the address can't be used, or lies in the installation's own store.
    """
    text = str(place)
    if not text.startswith("s3:"):
        return FolderCopy(Path(place).absolute())
    try:
        bucket, prefix = parse_bucket(text)
    except ValueError as error:
        raise CopyError(f"{text} {error}") from None
    own = f"{settings.s3_prefix.strip('/')}/".lstrip("/")
    if bucket == settings.s3_bucket and f"{prefix}/".startswith(own):
        raise CopyError(
            f"{text} lies in the installation's own store (OASIS_S3_PREFIX): name another prefix or bucket"
        )
    return BucketCopy(S3Store(bucket, prefix, settings.s3_endpoint))
