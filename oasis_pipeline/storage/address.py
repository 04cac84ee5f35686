"""Where a PostgreSQL database answers, and the spelling of buckets.

Here: `Address` and the forms of it that drivers, people and other programs want. Not here: connecting.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from urllib.parse import quote


def parse_bucket(text: str) -> tuple[str, str]:
    """Split ``s3://bucket/prefix``.

    Returns
    -------
    bucket, prefix : str
        The prefix without slashes at its ends; it may be empty.

    Raises
    ------
    ValueError
        If it is none; its text goes behind the address.
    """
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([^?#]*))?", text)
    prefix = (found[2] or "").strip("/") if found else ""
    if found is None or any(part in ("", ".", "..") for part in prefix.split("/") if prefix):
        raise ValueError("is not the address of a bucket: write s3://bucket/prefix")
    return found[1], prefix


@dataclass(frozen=True)
class Address:
    """Address of one database.

    Attributes
    ----------
    host : str
        Name or IP address, or the folder of a unix socket.
    port : int
        TCP port, or the number in the socket's name.
    user, db : str
        Role and database.
    password : str or None
        Never shown: not in `repr`, not in `public`.
    """

    host: str
    port: int = 5432
    user: str = "postgres"
    db: str = "oasis"
    password: str | None = field(default=None, repr=False)

    @property
    def is_socket(self) -> bool:
        """Whether `host` is the folder of a unix socket."""
        return self.host.startswith("/")

    def uri(self) -> str:
        """Address for libpq with the password, for drivers only."""
        return "postgresql" + self._rest(self.password)

    def sqlalchemy_url(self) -> str:
        """SQLAlchemy address with the driver named (a bare one means another driver from SQLAlchemy 2.1 on)."""
        # SQLAlchemy leaves an encoded name as it is, but decodes the same as an option
        if (name := quote(self.db, safe="")) == self.db:
            return "postgresql+psycopg2" + self._rest(self.password)
        plain = replace(self, db="")._rest(self.password)
        return f"postgresql+psycopg2{plain}{'&' if '?' in plain else '?'}dbname={name}"

    def public(self) -> str:
        """Address for libpq without the password, for people, logs and ``psql``."""
        return "postgresql" + self._rest(None)

    def __str__(self) -> str:
        """As `public`."""
        return self.public()

    def _rest(self, password: str | None) -> str:
        user = quote(self.user, safe="")
        secret = "" if password is None else ":" + quote(password, safe="")
        name = quote(self.db, safe="")
        if self.is_socket:
            port = "" if self.port == 5432 else f"&port={self.port}"
            return f"://{user}{secret}@/{name}?host={quote(self.host, safe='/')}{port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"://{user}{secret}@{host}:{self.port}/{name}"
