"""Running a query: a page with the cursor of the next one, or everything as a stream.

Here: what is common to all resources that are read. Not here: which resources there are (``resources``).

Django's ASGI handler would gather a plain generator in memory before it sends the first byte; `streamed` hands it an
asynchronous one, each step of which runs in a thread.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any, TypeVar
from urllib.parse import urlencode

import pyarrow as pa
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from oasis_pipeline.service import limits, output
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.middleware import note
from oasis_pipeline.service.query import Query, Resource, parse
from oasis_pipeline.service.warehouse import reading
from oasis_pipeline.storage.errors import StorageError, is_passing

_T = TypeVar("_T")
NO_DATABASE = "the database does not answer: try again"
LATER = {"Retry-After": "5"}


def parameters_of(request: HttpRequest) -> list[tuple[str, str]]:
    """Parameters of a request, in order, with repeated ones."""
    return [(name, value) for name, values in request.GET.lists() for value in values]


def answer(request: HttpRequest, resource: Resource, *more: str) -> HttpResponseBase:
    """Answer a GET.

    Parameters
    ----------
    request : HttpRequest
    resource : Resource
    *more : str
        Further SQL conditions, of what this client may see.

    Returns
    -------
    HttpResponseBase
        With a limit: one page, with the headers ``X-Next-Cursor`` and ``Link`` if there is more; without: a stream.
    """
    query = parse(resource, parameters_of(request))
    form = output.form_of(query.form, request.headers.get("Accept", ""))
    if query.limit is not None:
        return _page(request, query, form, more)
    return everything(query, form, *more)


def everything(query: Query, form: str, *more: str) -> StreamingHttpResponse:
    """Answer with all rows of a query, as a stream.

    Parameters
    ----------
    query : Query
        Its limit is not looked at.
    form : str
        Key of `output.MEDIA`.
    *more : str
        Further SQL conditions.

    Returns
    -------
    StreamingHttpResponse
    """
    response = streamed(_everything(query, form, more), output.MEDIA[form])
    _name_file(response, query.resource, form)
    return response


def _page(request: HttpRequest, query: Query, form: str, more: tuple[str, ...]) -> HttpResponse:
    limit = query.limit or 0
    with reading() as tx:
        found = tx.query(query.sql(query.needed, more=more, limit=limit + 1))
    whole = found.slice(0, limit).combine_chunks()
    page = whole.select(query.names)
    batches = page.to_batches() or [pa.RecordBatch.from_pylist([], schema=page.schema)]
    response = HttpResponse(
        b"".join(output.encoded(form, batches, query.resource.fields)), content_type=output.MEDIA[form]
    )
    note(request, rows=page.num_rows)
    if found.num_rows > limit:
        last = whole.slice(limit - 1, 1).to_pylist()[0]
        cursor = query.cursor_after(last)
        kept = [(name, value) for name, value in parameters_of(request) if name != "cursor"]
        response.headers["X-Next-Cursor"] = cursor
        response.headers["Link"] = f'<{request.path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'
    _name_file(response, query.resource, form)
    return response


def _everything(query: Query, form: str, more: tuple[str, ...]) -> Iterator[bytes]:
    with reading(limits.STREAM_SECONDS) as tx:
        yield from output.encoded(form, begun(tx.stream(query.sql(more=more))), query.resource.fields)


def begun(items: Iterator[_T]) -> Iterator[_T]:
    """Take the first item now, so that nothing is answered before it is there."""
    first = list(islice(items, 1))
    return chain(first, items)


def _name_file(response: HttpResponseBase, resource: Resource, form: str) -> None:
    if form != "json":
        response.headers["Content-Disposition"] = f'attachment; filename="{resource.name}.{form}"'


def streamed(pieces: Iterator[bytes], media: str) -> StreamingHttpResponse:
    """Stream pieces that a generator makes; its faults before the first piece still become errors.

    Parameters
    ----------
    pieces : iterator of bytes
        Runs in threads, one step at a time.
    media : str
        Content type.

    Returns
    -------
    StreamingHttpResponse
    """
    first = next(pieces, b"")
    end = time.monotonic() + limits.STREAM_SECONDS

    def step() -> bytes | None:
        return next(pieces, None) if time.monotonic() < end else None

    async def stream() -> AsyncIterator[bytes]:
        try:
            yield first
            while (piece := await sync_to_async(step, thread_sensitive=False)()) is not None:
                yield piece
            if time.monotonic() >= end:
                raise TimeoutError(
                    "a stream took too long; the connection is cut so that it is not taken for whole"
                )
        finally:
            await sync_to_async(_close, thread_sensitive=False)(pieces)

    response = StreamingHttpResponse(stream(), content_type=media)
    # a client that goes away ends the task between two steps
    response._resource_closers.append(lambda: _close(pieces))
    return response


def _close(pieces: Any) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        with suppress(ValueError):  # a step of it is under way; it is closed when that has ended
            close()


def storage_error(error: StorageError) -> ApiError:
    """What a fault of the database means to a client."""
    state = error.sqlstate or ""
    if state == "57014":
        return ApiError(
            503,
            "the question took too long: narrow it with filters or a limit",
            headers={"Retry-After": "30"},
        )
    if state == "55P03":
        return ApiError(503, "something else is being written: try again", headers={"Retry-After": "5"})
    if state in ("40001", "40P01"):
        return ApiError(503, "two writers got into each other's way: try again", headers={"Retry-After": "1"})
    if is_passing(error):
        return ApiError(503, NO_DATABASE, headers=LATER)
    raise error
