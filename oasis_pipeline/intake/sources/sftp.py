"""Drop files in a folder of an SFTP server.

Here: the connection with its host key, listing, settling, claims by a rename. Not here: the increment (``remote``).

SFTP has no conditional write, but a rename of one name succeeds once: a file is claimed as ``.<name>.<taker>.taking``, as in the drop folder. What
other programs have open over there nobody tells, so a file has to be unchanged in size and time for the settle time by looks of our own; one
whose end is missing three times as long.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from oasis_pipeline.intake.drop_folder import DropFile, is_whole
from oasis_pipeline.intake.files import parse_name
from oasis_pipeline.intake.sources.base import SourceError
from oasis_pipeline.intake.sources.remote import RemoteFile, sort_names
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.errors import one_line

if TYPE_CHECKING:
    import paramiko

_TIMEOUT_S = 20.0
_PORT = 22
KNOWN_HOSTS, KEY_FILE = "known_hosts", "sftp_key"
"""In the home folder: keys of servers that are trusted beside those of ``~/.ssh``, and our own key."""


@dataclass(frozen=True)
class Login:
    """Where and as whom.

    Attributes
    ----------
    host : str
    port : int
    user : str or None
    password : str or None
    folder : str
        Absolute, or relative to where the log-in leads.
    """

    host: str
    port: int
    user: str | None
    password: str | None
    folder: str


def parse_sftp(text: str) -> Login:
    """Read ``sftp://user:password@host:port/folder``; ``/~/folder`` is relative to the log-in's own folder.

    Raises
    ------
    SourceError
        If it can't be used; nothing of it is said, for it may hold a password.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or _PORT
    except ValueError:
        host, port = None, _PORT
    if not host or parts.scheme != "sftp" or parts.query:
        raise SourceError(
            "OASIS_REMOTE_DROP: an SFTP address is sftp://user@host/folder, with special characters of a password as %40 and so on"
        )
    path = unquote(parts.path) or "/"
    folder = path[3:] or "." if path.startswith("/~/") else path
    given = [None if text is None else unquote(text) for text in (parts.username, parts.password)]
    return Login(host, port, given[0], given[1], folder.rstrip("/") or "/")


class SftpPlace:
    """A folder of an SFTP server; connected at the first question.

    Parameters
    ----------
    login : Login
    settings : Settings
        Home folder, and how long a file has to be still.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(self, login: Login, settings: Settings, sleep: Callable[[float], None] = time.sleep) -> None:
        self.login = login
        self._home = settings.home
        self._settle_s = settings.settle_seconds
        self._unfinished_s = settings.unfinished_settle_seconds
        self._sleep = sleep
        self._client: paramiko.SSHClient | None = None
        self._sftp: paramiko.SFTPClient | None = None

    @property
    def where(self) -> str:
        """``sftp://host/folder``, without a password."""
        login = self.login
        port = "" if login.port == _PORT else f":{login.port}"
        folder = login.folder if login.folder.startswith("/") else f"/~/{login.folder}"
        return f"sftp://{f'{login.user}@' if login.user else ''}{login.host}{port}{folder}"

    def files(self, *, wait: bool = True) -> tuple[list[RemoteFile], list[str]]:
        """Regular files that nobody has claimed, and other names; with `wait` those that stayed as they are for the settle time."""
        known, others = self._look()
        if wait and known:
            self._sleep(self._settle_s)
            again, _ = self._look()
            known = [file for file in known if file in again]
        return known, others

    def _look(self) -> tuple[list[RemoteFile], list[str]]:
        with self._doing() as sftp:
            entries = sftp.listdir_attr(self.login.folder)
        files = [
            RemoteFile(entry.filename, int(entry.st_size or 0), _version(entry))
            for entry in entries
            # a link is not followed, nor a pipe waited for
            if entry.st_mode is not None and stat.S_ISREG(entry.st_mode)
        ]
        return sort_names(files)

    def claim(self, file: RemoteFile, taker: str) -> bool:
        """Claim a file by a rename."""
        mine = self._claimed(file, taker)
        with self._doing() as sftp:
            if self._stat(sftp, mine) is not None:
                return True
            try:
                # not the rename that replaces: that one would succeed twice
                sftp.rename(self._path(file.name), mine)
            except OSError:
                # lost, or the connection is: then the question fails, and the note of the claim stays
                return self._stat(sftp, mine) is not None
            return True

    def fetch(self, file: RemoteFile, taker: str, to: Path) -> bool:
        """Fetch a claimed file; False if it is written to meanwhile."""
        with self._doing() as sftp:
            mine = self._claimed(file, taker)
            sftp.get(mine, str(to))
            drop = parse_name(file.name)
            if drop is not None and not is_whole(DropFile.of(to, drop, to.lstat())):
                self._sleep(max(0.0, self._unfinished_s - self._settle_s))
            found = self._stat(sftp, mine)
            # whoever had it open when it was claimed may have written on
            if found is None or _version(found) != file.version or to.stat().st_size != file.size:
                return False
        with to.open("rb") as local:
            os.fsync(local.fileno())
        return True

    def remove(self, file: RemoteFile, taker: str) -> bool:
        """Remove a claimed file; one of its name that came meanwhile stays."""
        with self._doing() as sftp:
            found = self._stat(sftp, self._claimed(file, taker))
            if found is not None and _version(found) != file.version:
                self._put_back(sftp, file, taker)
                return False
            if found is not None:
                sftp.remove(self._claimed(file, taker))
        return True

    def release(self, file: RemoteFile, taker: str) -> None:
        """Give a file its own name again, unless another one has that."""
        with self._doing() as sftp:
            self._put_back(sftp, file, taker)

    def _put_back(self, sftp: paramiko.SFTPClient, file: RemoteFile, taker: str) -> None:
        with suppress(OSError):
            if self._stat(sftp, self._path(file.name)) is None:
                sftp.rename(self._claimed(file, taker), self._path(file.name))

    def look(self) -> list[str]:
        """Try a rename and a removal."""
        name = f".oasis-{os.urandom(4).hex()}"
        try:
            with self._doing() as sftp:
                with sftp.open(self._path(f"{name}.tmp"), "w") as file:
                    file.write(b"")
                sftp.rename(self._path(f"{name}.tmp"), self._path(name))
                sftp.remove(self._path(name))
        except SourceError as error:
            return [f"{error} Files there have to be renamed and removed by this log-in"]
        return []

    def close(self) -> None:
        """End the connection."""
        client, self._client, self._sftp = self._client, None, None
        if client is not None:
            client.close()

    def _path(self, name: str) -> str:
        return f"{self.login.folder.rstrip('/')}/{name}"

    def _claimed(self, file: RemoteFile, taker: str) -> str:
        return self._path(f".{file.name}.{taker}.taking")

    def _stat(self, sftp: paramiko.SFTPClient, path: str) -> Any:
        try:
            return sftp.lstat(path)
        except FileNotFoundError:
            return None

    @contextmanager
    def _doing(self) -> Iterator[paramiko.SFTPClient]:
        """The open folder; errors in words, after which the next question connects anew."""
        try:
            import paramiko
        except ImportError:
            raise SourceError(
                "SFTP needs the package paramiko: install it with pip install 'oasis-pipeline[sftp]'"
            ) from None
        try:
            if self._sftp is None:
                self._sftp = self._connect()
            yield self._sftp
        except paramiko.BadHostKeyException:
            self.close()
            raise SourceError(
                f"the host key of {self.where} is another one than before: somebody may stand in between. Ask the server's owner, then"
                f" correct {self._home / KNOWN_HOSTS} or ~/.ssh/known_hosts"
            ) from None
        except paramiko.AuthenticationException:
            self.close()
            raise SourceError(
                f"{self.where} refuses the log-in: correct user and password in OASIS_REMOTE_DROP, or put a private key into"
                f" {self._home / KEY_FILE}"
            ) from None
        except (OSError, EOFError, paramiko.SSHException) as error:
            self.close()
            said = one_line(error, secret=self.login.password)
            if "not found in known_hosts" in said:
                raise SourceError(
                    f"the host key of {self.where} is not known: get it from the server's owner, or by ssh-keyscan and compare, and write it"
                    f" into {self._home / KNOWN_HOSTS}"
                ) from None
            raise SourceError(f"{self.where} can't be used: {said or type(error).__name__}.") from None

    def _connect(self) -> paramiko.SFTPClient:
        import paramiko

        client = paramiko.SSHClient()
        client.load_system_host_keys()
        if (self._home / KNOWN_HOSTS).exists():
            client.load_host_keys(str(self._home / KNOWN_HOSTS))
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        key = self._home / KEY_FILE
        self._client = client
        client.connect(
            self.login.host,
            port=self.login.port,
            username=self.login.user,
            password=self.login.password,
            key_filename=str(key) if key.exists() else None,
            timeout=_TIMEOUT_S,
            banner_timeout=_TIMEOUT_S,
            auth_timeout=_TIMEOUT_S,
            channel_timeout=_TIMEOUT_S,
            allow_agent=self.login.password is None,
            look_for_keys=self.login.password is None,
        )
        sftp = client.open_sftp()
        channel = sftp.get_channel()
        if channel is not None:
            channel.settimeout(_TIMEOUT_S)
        return sftp


def _version(entry: Any) -> str:
    return f"{entry.st_size} {entry.st_mtime}"
