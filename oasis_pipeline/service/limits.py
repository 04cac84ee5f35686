"""Bounds of a request, in one place; ``docs/data-service.md`` states them.

Here: numbers. Not here: where they are enforced.
"""

from __future__ import annotations

MAX_BODY_BYTES = 64 << 20
"""Of a request's body, as it comes and after gzip is undone."""

MAX_ANONYMOUS_BYTES = 1 << 20
"""Of a body without credentials: the log-in form is smaller."""

MAX_BODIES_BYTES = 256 << 20
"""Bodies that one process holds at the same time."""

MAX_READINGS = 100_000
"""Items of one request."""

MAX_ERRORS = 1000
"""Faults listed in one answer; how many more there are is told."""

CONNECTIONS = 4096
"""Of one process, if the limit of open files lets it."""

CONNECTIONS_PER_ADDRESS = 256
"""Of them from one address; a proxy that is trusted may have all."""

MAX_HEAD_BYTES = 64 << 10
"""Of a request's line and headers."""

MAX_HEADERS = 200
"""Of a request."""

HEAD_SECONDS = 5.0
"""For a request's head to arrive, from when it is connected or from its first byte; and for TLS to be agreed upon."""

KEEP_ALIVE_SECONDS = 60
"""Between two requests of a connection."""

BODY_PAUSE_SECONDS = 5.0
"""Between two pieces of a body; after as long it has to have kept `BYTES_PER_SECOND` on average."""

BYTES_PER_SECOND = 1000
"""Slowest body that is waited for, and slowest reader of an answer."""

BODY_SECONDS = 60.0
"""For a request's body to arrive whole."""

ANSWER_SECONDS = 30.0
"""For a reader who is slower than that."""

POSTS = 256
"""Posts of readings that one process deals with at the same time; others wait."""

GROUPED_READINGS = 300
"""Greatest post that is stored together with others; greater ones go by COPY."""

GROUP_READINGS = 2000
"""Of one group."""

GATHER_SECONDS = 0.005
"""For as many posts as the last group had to come together; one that came alone is stored at once."""

LOG_INS = 4
"""Log-in pages of one process at the same time; others wait."""

PAGES = 32
"""Other requests of one process at the same time, as many that read and as many that write; others wait."""

QUERY_SECONDS = 60
"""For a statement whose answer is one page."""

DELETE_SECONDS = 600
"""For a DELETE."""

STREAM_SECONDS = 1800
"""For a whole answer streamed without a limit; the reader's own slowness counts."""

LOCK_SECONDS = 20
"""To wait for somebody else's transaction."""

MAX_PAGE = 100_000
"""Greatest `limit`."""

WRITERS = 4
"""Requests of one process that write at the same time; others wait. Each holds its body in memory."""

READERS = 8
"""Requests of one process that read at the same time; others wait."""

WAIT_SECONDS = 15.0
"""For one of these places; then 503."""

REQUESTS_PER_MINUTE = 1200
"""Of a token, if it has no number of its own, and of a user."""

FAILED_LOGINS_PER_MINUTE = 10
"""From one address under one name, in any minute."""

FAILED_LOGINS_OF_NAME = 30
"""Under one name, from all addresses where nobody has logged in under it: more than one address may use up."""

FAILED_LOGINS_OF_ADDRESS = 60
"""From one address, under all names under which nobody has logged in there: a site behind one router may have many."""

KNOWN_SECONDS = 30 * 86_400
"""How long an address is known after a log-in."""

CACHE_SECONDS = 1.0
"""How long what is known of a token or user is believed: a revoked token works no longer than this."""

PASS_SECONDS = 12 * 3600
"""How long a log-in lasts, in a browser."""
