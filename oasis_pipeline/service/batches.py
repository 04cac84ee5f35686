"""Windows of readings and their features: ``/api/databatch/``.

Here: what a client asks, and the way from the database through the computation to the answer, part by part. Not here: the
computation (``oasis_pipeline.readings``), which Dagster's assets share.

Readings come in the order of time as a stream of batches; memory holds one, and the window that is open at its end.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pyarrow as pa
from django.http import HttpRequest, HttpResponseBase

from oasis_pipeline.readings.series import Readings, from_table
from oasis_pipeline.readings.windows import Window, Windows, data_batches, windows_schema
from oasis_pipeline.schema import Type
from oasis_pipeline.service import limits, output
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.query import Field, Query, parse
from oasis_pipeline.service.resources import reading_resource
from oasis_pipeline.service.rows import begun, parameters_of, streamed
from oasis_pipeline.service.warehouse import reading

OWN = ("module_num", "module", "window_size", "window", "frequency")
"""Parameters that are no filters of readings."""

_encode = msgspec.json.Encoder().encode
_TYPES = {pa.string(): Type.TEXT, pa.int64(): Type.INT, pa.float64(): Type.FLOAT}


def batches(request: HttpRequest) -> HttpResponseBase:
    """Answer with the windows of one module.

    Parameters
    ----------
    request : HttpRequest

    Returns
    -------
    HttpResponseBase
        A stream.

    Raises
    ------
    ApiError
        400.
    """
    own: dict[str, str] = {}
    filters = []
    for name, value in parameters_of(request):
        if name not in OWN:
            filters.append((name, value))
        elif own.setdefault(name, value) != value:
            raise ApiError(400, f"{name} is given twice")
    for name in ("order_by", "limit", "cursor", "fields"):
        if any(given == name for given, _ in filters):
            raise ApiError(
                400, f"{name} has no meaning here: windows go in the order of time over all that matches"
            )
    module = _module(own)
    window = _window(own)
    frequency = _flag(own.get("frequency", "false"))
    query = parse(reading_resource(), [("module_num", module), *filters])
    form = output.form_of(query.form, request.headers.get("Accept", ""))
    windows = _windows(query, window, frequency)
    if form == "json":
        return streamed(_as_json(windows, module, own.get("window_size")), output.MEDIA[form])
    schema = windows_schema(frequency=frequency)
    fields = {
        f.name: Field(f.name, Type.UTC if pa.types.is_timestamp(f.type) else _TYPES[f.type], "")
        for f in schema
    }
    response = streamed(
        output.encoded(form, _as_batches(windows, module, schema), fields), output.MEDIA[form]
    )
    response.headers["Content-Disposition"] = f'attachment; filename="databatch.{form}"'
    return response


def _module(own: dict[str, str]) -> str:
    given = {own[name] for name in ("module_num", "module") if name in own}
    if len(given) != 1:
        raise ApiError(400, "module_num is required: the one module whose readings are cut into windows")
    return given.pop()


def _window(own: dict[str, str]) -> Window:
    if ("window_size" in own) == ("window" in own):
        raise ApiError(400, "give either window_size=N (readings) or window=15min (time)")
    try:
        if "window" not in own:
            return Window(count=_count(own["window_size"]))
        window = Window.parse(own["window"])
    except ValueError as error:
        raise ApiError(400, str(error)) from None
    if window.count is not None:
        raise ApiError(400, "window is a length of time like 15min; a count of readings is window_size")
    return window


def _count(text: str) -> int:
    plain = text.strip()
    if not (plain.isascii() and plain.isdigit() and len(plain) <= 9):
        raise ValueError("window_size is not a whole number of readings")
    return int(plain)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ApiError(400, "frequency is true or false")
    return text.lower() in ("true", "1")


def _windows(query: Query, window: Window, frequency: bool) -> Iterator[Windows]:
    columns = [query.resource.fields[name] for name in ("timestamp", "measures")]
    with reading(limits.STREAM_SECONDS) as tx:
        yield from data_batches(_parts(tx.stream(query.sql(columns))), window, frequency=frequency)


def _parts(found: Iterator[pa.RecordBatch]) -> Iterator[Readings]:
    return (from_table(pa.Table.from_batches([batch])) for batch in found if batch.num_rows)


def _as_json(windows: Iterator[Windows], module: str, window_size: str | None) -> Iterator[bytes]:
    found = begun(windows)
    yield b"["
    between = b""
    for some in found:
        records = list(some.records(module, window_size))
        if records:
            yield between + _encode(records)[1:-1]
            between = b","
    yield b"]"


def _as_batches(windows: Iterator[Windows], module: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    found = begun(windows)
    yield pa.RecordBatch.from_pylist([], schema=schema)
    for some in found:
        yield from some.to_arrow(module).combine_chunks().to_batches()
