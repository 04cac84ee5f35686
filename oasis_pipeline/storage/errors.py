"""The one error of this room.

Here: `StorageError` and the reduction of a driver's complaint to one clear line. Not here: handling.
"""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^\s:/@]*):[^\s/]*@")


LOST_CONNECTION = "08006"
"""PostgreSQL's code of a connection that failed: a driver that has lost one gives no code, for no server was there to send it."""


class StorageError(RuntimeError):
    """Storage can't do what was asked; the message is one line that says why and what to do, never with a password.

    Attributes
    ----------
    sqlstate : str or None
        PostgreSQL's code of the error, where it came from a server.
    """

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


_PASSING = ("08", "57P", "53", "58030", "40001", "40P01", "55P03", "57014", "25006")


def is_passing(error: StorageError) -> bool:
    """Whether the same may succeed a little later: no connection, a restart, too little room, somebody else in the way."""
    return (error.sqlstate or "").startswith(_PASSING)


def one_line(error: BaseException | str, *, secret: str | None = None, limit: int = 300) -> str:
    """Reduce an error to one line that may be shown and logged.

    Parameters
    ----------
    error : BaseException or str
        What a driver or a server said, possibly in many lines.
    secret : str, optional
        Text that must not stand in the answer, whatever form it was quoted in.
    limit : int
        Greatest length in characters.

    Returns
    -------
    str
        Text without line breaks, passwords removed.
    """
    text = " ".join(str(error).split())
    if secret:
        text = text.replace(secret, "***")
    text = _USERINFO.sub(r"\1:***@", _PASSWORD.sub(r"\1***", text))
    return text if len(text) <= limit else text[: limit - 1] + "…"
