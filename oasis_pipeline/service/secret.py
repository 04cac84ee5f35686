"""The signing key of sessions: made once, kept in the home folder for its owner alone.

Here: the key. Not here: what is signed.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from oasis_pipeline.home import make_home
from oasis_pipeline.settings import Settings

_SHORTEST = 32


class SecretKeyError(RuntimeError):
    """The key can't be used; the message says why and what to do."""


def secret_key(settings: Settings) -> str:
    """Signing key of an installation: ``OASIS_SECRET_KEY``, else the one in the home folder, made if there is none.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    str

    Raises
    ------
    SecretKeyError
        If it is too short to be one, or others than its owner may read its file.
    """
    if settings.secret_key is not None:
        given = settings.secret_key.get_secret_value()
        if len(given) < _SHORTEST:
            raise SecretKeyError(
                f"OASIS_SECRET_KEY is shorter than {_SHORTEST} characters: take a random one"
            )
        return given
    path = settings.home / "secret_key"
    make_home(settings.home)
    return _read(path) or _make(path)


def _read(path: Path) -> str | None:
    try:
        number = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(number, encoding="utf-8") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise SecretKeyError(
                f"others may read {path}: chmod 600 it, or delete it (which ends all sessions)"
            )
        key = file.read().strip()
    if len(key) < _SHORTEST:
        raise SecretKeyError(f"{path} holds no key: delete it, a new one is made (which ends all sessions)")
    return key


def _make(path: Path) -> str:
    """Make the key under another name and link it, so that of two processes that start at once one wins whole."""
    new = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(64) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(new, path)
    except FileExistsError:
        pass
    finally:
        new.unlink()
    made = _read(path)
    if made is None:
        raise SecretKeyError(f"{path} can't be made")
    return made
