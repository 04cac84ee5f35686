"""Types of an ASGI application, for all that stand in the row from the connection to Django.

Here: names for callables and mappings of the protocol. Not here: what anybody does with them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
SendWhole = Callable[[int, list[tuple[bytes, bytes]], bytes], None]
"""Of an answer: status, headers, body."""

TakeAtOnce = Callable[[Scope, bytes, SendWhole], bool]
"""Takes a request and its body, or leaves them to an `Application`."""
