"""The form of the log: one JSON object a line, on standard output.

Here: the formatter, which Django loads before anything else of the service. Not here: what is logged of a request
(``middleware``).
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from oasis_pipeline.storage.errors import one_line

_encode = msgspec.json.Encoder(enc_hook=str).encode


@lru_cache(maxsize=4)
def _second(since_1970: int) -> str:
    return datetime.fromtimestamp(since_1970, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Put a record on one line."""
        line: dict[str, Any] = {
            "time": f"{_second(int(record.created))}.{int(record.msecs):03d}+00:00",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        if fields is None:
            line["message"] = one_line(record.getMessage(), limit=2000)
        else:
            line |= fields
        if record.exc_info:
            line["trace"] = "".join(traceback.format_exception(*record.exc_info))
        try:
            return _encode(line).decode()
        except (ValueError, TypeError, OverflowError):
            # halves of characters, for instance
            return json.dumps(line, default=str)
