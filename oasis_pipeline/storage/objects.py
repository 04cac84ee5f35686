"""The object store: archives, features, and model artifacts, in a local folder or in S3, by one interface.

Here: bytes, files and Parquet tables under paths. Not here: which paths there are, and what the tables mean. Nothing is stored as
a pickle.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import stat
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from oasis_pipeline.storage.errors import StorageError, one_line

if TYPE_CHECKING:
    from oasis_pipeline.settings import Settings

__all__ = ["LocalStore", "ObjectStore", "S3Store", "checked", "error_code", "open_store"]

_TEMPORARY = ".tmp"
_CHUNK_BYTES = 1 << 20
_DECODED_BYTES = 256 << 20
_CONFLICTS = 5
"""So often a conditional write is tried again that met another one."""


class _Decoded:
    """Tables that were decoded last, by the hash of their bytes: steps of one run read the same files, which take longer to decode than to hash."""

    def __init__(self) -> None:
        self._tables: OrderedDict[Hashable, pa.Table] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, name: Hashable) -> pa.Table | None:
        """Table of this name, if it is kept."""
        with self._lock:
            if name in self._tables:
                self._tables.move_to_end(name)
            return self._tables.get(name)

    def keep(self, name: Hashable, table: pa.Table) -> None:
        """Keep a table, and let go of those that were not asked for longest."""
        size = table.nbytes
        if size > _DECODED_BYTES:
            return
        with self._lock:
            if name not in self._tables:
                self._tables[name] = table
                self._bytes += size
            while self._bytes > _DECODED_BYTES:
                self._bytes -= self._tables.popitem(last=False)[1].nbytes


_DECODED = _Decoded()


class ObjectStore(ABC):
    """Objects under paths such as ``backup/CardData/x.csv``.

    A path is relative, with ``/`` between its parts; no part is empty, ``.``, ``..`` or begins with ``.tmp``. What a method
    has written is durable when it returns, and a reader sees the old object or the new one, never a part.
    """

    @property
    @abstractmethod
    def url(self) -> str:
        """Where the store is, for people; holds no secret."""

    @abstractmethod
    def put_bytes(self, path: str, data: bytes) -> None:
        """Write an object, whole, in place of one that is there."""

    @abstractmethod
    def put_file(self, path: str, local: Path) -> None:
        """Write a local file as an object; the file may be larger than memory."""

    @abstractmethod
    def open_read(self, path: str) -> BinaryIO:
        """Open an object as a stream.

        Raises
        ------
        StorageError
            If there is none.
        """

    @abstractmethod
    def size(self, path: str) -> int | None:
        """Size in bytes; None if there is no such object."""

    @abstractmethod
    def list(self, prefix: str = "") -> list[str]:
        """Paths that begin with a text, sorted."""

    @abstractmethod
    def delete(self, path: str) -> bool:
        """Remove an object; False if there was none."""

    def get_bytes(self, path: str) -> bytes:
        """Read an object, whole.

        Raises
        ------
        StorageError
            If there is none.
        """
        # the stream of a remote object may fail as well as its opening
        with self.doing("read", path), self.open_read(path) as stream:
            return stream.read()

    def exists(self, path: str) -> bool:
        """Whether there is an object."""
        return self.size(path) is not None

    def sha256(self, path: str) -> str:
        """Hash of an object as it can be read back, in hex."""
        return self.copy_to(path, lambda _chunk: None)

    def copy_to(self, path: str, write: Callable[[bytes], object]) -> str:
        """Copy an object piece by piece.

        Parameters
        ----------
        path : str
            Which.
        write : callable
            Takes a piece; of an open file, for example.

        Returns
        -------
        str
            Hash of what was copied, in hex.

        Raises
        ------
        StorageError
            If there is none, or it breaks off.
        """
        digest = hashlib.sha256()
        with self.doing("read", path), self.open_read(path) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                write(chunk)
        return digest.hexdigest()

    def write_table(self, path: str, table: pa.Table) -> int:
        """Write a table as Parquet (zstd).

        Parameters
        ----------
        path : str
            Where.
        table : pyarrow.Table
            Rows.

        Returns
        -------
        int
            Bytes written.
        """
        buffer = pa.BufferOutputStream()
        # numbers of lists seldom repeat, and a dictionary of them takes longer than all the rest
        flat = [field.name for field in table.schema if not pa.types.is_nested(field.type)]
        pq.write_table(table, buffer, compression="zstd", use_dictionary=flat)
        data = buffer.getvalue()
        self.put_bytes(path, data)
        return int(data.size)

    def read_table(self, path: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a Parquet table.

        Parameters
        ----------
        path : str
            Where.
        columns : sequence of str, optional
            Which columns; all by default.

        Returns
        -------
        pyarrow.Table

        Raises
        ------
        StorageError
            If there is none, it is not Parquet, or lacks a column.
        """
        data = self.get_bytes(path)
        name = hashlib.sha256(data).hexdigest(), None if columns is None else tuple(columns)
        if (known := _DECODED.get(name)) is not None:
            return known
        try:
            file = pq.ParquetFile(pa.BufferReader(data))
            # asked once: it is put together anew at each look
            there = frozenset(file.schema_arrow.names) if columns is not None else frozenset()
            lacking = [name for name in columns or () if name not in there]
            if lacking:
                raise StorageError(f"{self.where(path)} has no column {', '.join(lacking)}")
            table = file.read(columns=None if columns is None else list(columns))
        except pa.ArrowException as error:
            raise StorageError(
                f"{self.where(path)} is not a Parquet file that can be read: {one_line(error)}"
            ) from None
        _DECODED.keep(name, table)
        return table

    def where(self, path: str) -> str:
        """Full address of an object, for people."""
        return f"{self.url}/{path}"

    @abstractmethod
    def doing(self, what: str, path: str) -> AbstractContextManager[None]:
        """Turn the errors of a block into `StorageError`."""

    def __repr__(self) -> str:
        """Show the address; holds no secret."""
        return f"{type(self).__name__}({self.url!r})"


def checked(path: str) -> str:
    """Refuse a path that is not one of an object.

    Parameters
    ----------
    path : str
        See `ObjectStore`.

    Returns
    -------
    str
        The same path.

    Raises
    ------
    StorageError
        If it is not relative and plain.
    """
    parts = path.split("/")
    if (
        any(part in ("", ".", "..") or part.startswith(_TEMPORARY) for part in parts)
        or "\\" in path
        or "\0" in path
    ):
        raise StorageError(
            f"{path!r} is not a path of the object store: it must be relative, parts joined by one '/', no '.' or '..'"
        )
    return path


class LocalStore(ObjectStore):
    """Objects as files in a folder.

    Parameters
    ----------
    root : Path
        The folder; made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()

    @property
    def url(self) -> str:
        """The folder."""
        return str(self.root)

    def put_bytes(self, path: str, data: bytes) -> None:
        """Write an object; see `ObjectStore.put_bytes`."""
        self._put(path, io.BytesIO(data))

    def put_file(self, path: str, local: Path) -> None:
        """Write a local file; see `ObjectStore.put_file`."""
        with local.open("rb") as source:
            self._put(path, source)

    def _put(self, path: str, source: BinaryIO) -> None:
        target = self._file(path)
        # temporary files have a folder of their own: what a crash leaves behind is never listed and may be removed
        temporary = self.root / _TEMPORARY / secrets.token_hex(8)
        try:
            _make_durable_folder(target.parent)
            temporary.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as sink:
                while chunk := source.read(_CHUNK_BYTES):
                    sink.write(chunk)
                sink.flush()
                os.fsync(sink.fileno())
            temporary.replace(target)
            _sync_folder(target.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StorageError(
                f"can't write {target}: {error.strerror}; check the disk and the folder's owner"
            ) from None

    def open_read(self, path: str) -> BinaryIO:
        """Open an object; see `ObjectStore.open_read`."""
        with self.doing("open", path):
            # an object is a regular file: a pipe that stands there is not waited for, a link not followed
            number = os.open(self._file(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            if not stat.S_ISREG(os.fstat(number).st_mode):
                os.close(number)
                raise FileNotFoundError(path)
            return os.fdopen(number, "rb")

    def size(self, path: str) -> int | None:
        """Size in bytes; see `ObjectStore.size`."""
        try:
            found = self._file(path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def list(self, prefix: str = "") -> list[str]:
        """Paths that begin with a text; see `ObjectStore.list`."""
        folder = self.root / PurePosixPath(prefix.rpartition("/")[0]) if "/" in prefix else self.root
        found = []
        for place, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if name != _TEMPORARY]
            relative = Path(place).relative_to(self.root).as_posix()
            found += [name if relative == "." else f"{relative}/{name}" for name in files]
        return sorted(path for path in found if path.startswith(prefix))

    def delete(self, path: str) -> bool:
        """Remove an object; see `ObjectStore.delete`."""
        file = self._file(path)
        if not file.is_file():
            return False
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"can't delete {file}: {error.strerror}") from None
        _sync_folder(file.parent)
        return True

    def _file(self, path: str) -> Path:
        return self.root / checked(path)

    @contextmanager
    def doing(self, what: str, path: str) -> Iterator[None]:
        """See `ObjectStore.doing`."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise StorageError(f"there is no {self.where(path)}") from None
        except OSError as error:
            raise StorageError(f"can't {what} {self.where(path)}: {error.strerror}") from None


class S3Store(ObjectStore):
    """Objects in a bucket of S3 or of anything that speaks its protocol.

    Parameters
    ----------
    bucket : str
        Bucket; must exist.
    prefix : str
        What every key begins with.
    endpoint : str, optional
        Address of a server other than Amazon's.
    client : boto3 S3 client, optional
        By default one with credentials of the standard AWS chain, made at first use.
    """

    def __init__(
        self, bucket: str, prefix: str = "", endpoint: str | None = None, client: Any = None
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix.strip("/")
        self.endpoint = endpoint
        self._client = client

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    @property
    def client(self) -> Any:
        """The boto3 client."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            retries: Any = {"max_attempts": 5, "mode": "standard"}
            self._client = boto3.client(
                "s3", endpoint_url=self.endpoint, config=Config(retries=retries, connect_timeout=10)
            )
        return self._client

    def __getstate__(self) -> dict[str, Any]:
        """Leave the client behind: each process makes its own."""
        return {**self.__dict__, "_client": None}

    def put_bytes(self, path: str, data: bytes) -> None:
        """Write an object; see `ObjectStore.put_bytes`."""
        with self.doing("write", path):
            self.client.upload_fileobj(pa.BufferReader(data), self.bucket, self._key(path))

    def put_file(self, path: str, local: Path) -> None:
        """Write a local file; see `ObjectStore.put_file`."""
        with self.doing("write", path):
            self.client.upload_file(str(local), self.bucket, self._key(path))

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object on the condition that there is none (``If-None-Match: *``).

        Returns
        -------
        bool
            False if there is one; of several that write at once one gets True.
        """
        from botocore.exceptions import ClientError

        with self.doing("write", path):
            for _ in range(_CONFLICTS):
                try:
                    self.client.put_object(
                        Bucket=self.bucket, Key=self._key(path), Body=data, IfNoneMatch="*"
                    )
                    return True
                except ClientError as error:
                    code = error_code(error)
                    if code in ("PreconditionFailed", "412"):
                        return False
                    if code not in ("ConditionalRequestConflict", "409"):
                        raise
        raise StorageError(f"can't write {self.where(path)}: others write it again and again")

    def check_conditional_write(self, path: str) -> str | None:
        """Try at a path whether the server keeps the condition of `put_new`; why it can't be relied on, or None."""
        try:
            kept = self.put_new(path, b"1") and not self.put_new(path, b"2")
            kept = kept and self.get_bytes(path) == b"1"
        finally:
            self.delete(path)
        if kept:
            return None
        return (
            f"{self.url} does not keep the condition If-None-Match of a write: two takers may take one file"
        )

    def open_read(self, path: str) -> BinaryIO:
        """Open an object; see `ObjectStore.open_read`."""
        with self.doing("read", path):
            body: BinaryIO = self.client.get_object(Bucket=self.bucket, Key=self._key(path))["Body"]
            return body

    def size(self, path: str) -> int | None:
        """Size in bytes; see `ObjectStore.size`."""
        from botocore.exceptions import ClientError

        with self.doing("look at", path):
            try:
                return int(self.client.head_object(Bucket=self.bucket, Key=self._key(path))["ContentLength"])
            except ClientError as error:
                if error_code(error) in ("404", "NoSuchKey", "NotFound"):
                    return None
                raise

    def list(self, prefix: str = "") -> list[str]:
        """Paths that begin with a text; see `ObjectStore.list`."""
        root = f"{self.prefix}/" if self.prefix else ""
        with self.doing("list", prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=root + prefix
            )
            return sorted(item["Key"][len(root) :] for page in pages for item in page.get("Contents", ()))

    def delete(self, path: str) -> bool:
        """Remove an object; see `ObjectStore.delete`."""
        there = self.exists(path)
        with self.doing("delete", path):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(path))
        return there

    def _key(self, path: str) -> str:
        return f"{self.prefix}/{checked(path)}" if self.prefix else checked(path)

    @contextmanager
    def doing(self, what: str, path: str) -> Iterator[None]:
        """See `ObjectStore.doing`."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except NoCredentialsError:
            raise StorageError(
                f"no AWS credentials for {self.url}: give them by ~/.aws, AWS_* variables or a role"
            ) from None
        except ClientError as error:
            code = error_code(error)
            if code in ("NoSuchKey", "404"):
                raise StorageError(f"there is no {self.where(path)}") from None
            if code == "NoSuchBucket":
                raise StorageError(
                    f"there is no bucket {self.bucket}: make it, or correct OASIS_S3_BUCKET"
                ) from None
            raise StorageError(f"can't {what} {self.where(path)}: {one_line(error)}") from None
        except (Boto3Error, BotoCoreError, HTTPClientError, HTTPError) as error:
            # the last one is of a body that breaks off: boto3 hands its stream on as urllib3 has it
            raise StorageError(
                f"can't {what} {self.where(path)}: {one_line(error)}; check the network and OASIS_S3_ENDPOINT"
            ) from None


def error_code(error: Any) -> str:
    """What a server of S3 calls its error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def open_store(settings: Settings) -> ObjectStore:
    """Object store of an installation; nothing is connected to or made yet.

    Parameters
    ----------
    settings : Settings
        With a bucket: S3; otherwise the folder under home.

    Returns
    -------
    ObjectStore
    """
    if settings.s3_bucket is None:
        return LocalStore(settings.store)
    return S3Store(settings.s3_bucket, settings.s3_prefix, settings.s3_endpoint)


def _make_durable_folder(folder: Path) -> None:
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for part in reversed(missing):
        part.mkdir(exist_ok=True)
        _sync_folder(part.parent)


def _sync_folder(folder: Path) -> None:
    """Make renames and deletions in a folder durable."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
