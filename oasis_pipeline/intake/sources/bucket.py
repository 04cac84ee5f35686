"""Drop files under a prefix of a bucket.

Here: listing, claims by a conditional write, fetching and removing. Not here: the increment (``remote``).

A claim is an object ``<prefix>/.claims/<name>.<version>`` written on the condition that there is none (``If-None-Match: *``): of two takers that
write at once the server lets one. An object appears whole or not at all, so there is nothing to wait for. A file is removed on the
condition that it is still what was fetched (``If-Match``).
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oasis_pipeline.intake.sources.base import SourceError
from oasis_pipeline.intake.sources.remote import RemoteFile, sort_names
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.objects import S3Store, error_code

_CLAIMS = ".claims/"
_TAKEN = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
_GONE = ("NoSuchKey", "404", "NotFound")
_CHUNK = 1 << 20


class BucketPlace:
    """A prefix of a bucket, in which files lie directly.

    Parameters
    ----------
    bucket, prefix : str
    endpoint : str, optional
        Address of a server other than Amazon's.
    client : boto3 S3 client, optional
        With credentials of the standard AWS chain by default.
    """

    def __init__(self, bucket: str, prefix: str, endpoint: str | None = None, client: Any = None) -> None:
        self.store = S3Store(bucket, prefix, endpoint, client)
        self._root = f"{self.store.prefix}/" if self.store.prefix else ""

    @property
    def where(self) -> str:
        """``s3://bucket/prefix``."""
        return self.store.url

    def files(self, *, wait: bool = True) -> tuple[list[RemoteFile], list[str]]:
        """Files that nobody has claimed, and names that are no drop file's; page by page, without what lies deeper."""
        claimed = {key[len(self._root) + len(_CLAIMS) :] for key, _ in self._keys(self._root + _CLAIMS)}
        files = [
            RemoteFile(key[len(self._root) :], item["Size"], _version(item["ETag"], item["LastModified"]))
            for key, item in self._keys(self._root)
        ]
        known, others = sort_names(files)
        return [file for file in known if _claim_name(file) not in claimed], others

    def _keys(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        with self._doing():
            pages = self.store.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.store.bucket, Prefix=prefix, Delimiter="/"
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    if item["Key"] != prefix:
                        yield item["Key"], item

    def claim(self, file: RemoteFile, taker: str) -> bool:
        """Claim a file by a conditional write, if it is still the one that was listed."""
        if self._version_of(file) != file.version:
            return False
        path = _CLAIMS + _claim_name(file)
        with self._doing():
            if self.store.put_new(path, taker.encode()):
                return True
        return self._read(self._root + path) == taker.encode()

    def fetch(self, file: RemoteFile, taker: str, to: Path) -> bool:
        """Fetch a file if it is still the one that was claimed."""
        with self._doing():
            answer = self._if_there(
                lambda: self.store.client.get_object(
                    Bucket=self.store.bucket, Key=self._root + file.name, IfMatch=_etag(file.version)
                )
            )
            if answer is None or _version(answer["ETag"], answer["LastModified"]) != file.version:
                return False
            with to.open("wb") as local:
                while chunk := answer["Body"].read(_CHUNK):
                    local.write(chunk)
                local.flush()
                os.fsync(local.fileno())
        return to.stat().st_size == file.size

    def remove(self, file: RemoteFile, taker: str) -> bool:
        """Remove a file if it is still the one that was fetched, then its claim."""
        same = self._version_of(file) == file.version
        if same:
            with self._doing():
                same = (
                    self._if_there(
                        lambda: self.store.client.delete_object(
                            Bucket=self.store.bucket, Key=self._root + file.name, IfMatch=_etag(file.version)
                        )
                    )
                    is not None
                )
        gone = self._version_of(file) is None
        self.release(file, taker)
        return same or gone

    def release(self, file: RemoteFile, taker: str) -> None:
        """Remove a claim."""
        with self._doing():
            self.store.client.delete_object(Bucket=self.store.bucket, Key=self._claim_key(file))

    def look(self) -> list[str]:
        """Try a conditional write."""
        with self._doing():
            refused = self.store.check_conditional_write(f"{_CLAIMS}check-{secrets.token_hex(8)}")
        return [] if refused is None else [refused]

    def close(self) -> None:
        """Nothing stays open."""

    def _claim_key(self, file: RemoteFile) -> str:
        return f"{self._root}{_CLAIMS}{_claim_name(file)}"

    def _version_of(self, file: RemoteFile) -> str | None:
        with self._doing():
            found = self._if_there(
                lambda: self.store.client.head_object(Bucket=self.store.bucket, Key=self._root + file.name)
            )
        return None if found is None else _version(found["ETag"], found["LastModified"])

    def _read(self, key: str) -> bytes | None:
        with self._doing():
            found = self._if_there(lambda: self.store.client.get_object(Bucket=self.store.bucket, Key=key))
            return None if found is None else found["Body"].read()

    def _if_there(self, ask: Any) -> Any:
        """Answer of a request; None if the object is gone or another one."""
        from botocore.exceptions import ClientError

        try:
            return ask()
        except ClientError as error:
            if error_code(error) in (*_GONE, *_TAKEN):
                return None
            raise

    @contextmanager
    def _doing(self) -> Iterator[None]:
        try:
            with self.store.doing("use", ""):
                yield
        except StorageError as error:
            said = str(error).replace("OASIS_S3_BUCKET", "OASIS_REMOTE_DROP")
            raise SourceError(said) from None


def _etag(version: str) -> str:
    return f'"{version.partition("@")[0]}"'


def _version(etag: str, at: Any) -> str:
    # the same content put there again is another arrival
    return f"{etag.strip(chr(34))}@{at.timestamp():.0f}"


def _claim_name(file: RemoteFile) -> str:
    return f"{file.name}.{hashlib.sha256(file.version.encode()).hexdigest()[:16]}"
