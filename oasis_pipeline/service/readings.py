"""A request's body to readings and modules: decoding, and every fault with its place.

Here: what a client may send. Not here: what the database has to say to it (``store``).

A body is decoded and checked in one go by msgspec into typed objects. Only if that fails it is gone through again, item by item and field
by field, to list all faults; forms that people write and the quick way does not know (a date alone, a module named twice alike) are taken there.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

import msgspec
import pyarrow as pa

from oasis_pipeline.intake.values import epoch_microseconds
from oasis_pipeline.service import limits
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.storage.posts import Post

MAX_NAME = 100
MAX_DESCRIPTION = 1000
MAX_MEASURES = 1000
AHEAD = timedelta(days=1)
"""A gateway's clock may run ahead by less than this."""

_JSON_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
_JSON = (
    "application/json",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "text/plain",
    "",
)
_US = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


class Measure(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One measured number."""

    name: str
    value: float


class Reading(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One reading as it comes. There are thousands at a time, and no cycle among them for the collector to look for."""

    module: str | None = None
    module_num: str | None = None
    measures: list[Measure] | dict[str, float] = []
    temperature: float | None = None
    voltage: float | None = None
    timestamp: datetime | int | float | None = None
    """A number is seconds or milliseconds since 1970."""
    description: str | None = None
    conflict: bool | None = None
    """Of an answer that is sent back; without meaning."""


_one = msgspec.json.Decoder(Reading)
_many = msgspec.json.Decoder(list[Reading])
# names only; values are stepped over
_one_bare = msgspec.json.Decoder(dict[str, msgspec.Raw])
_many_bare = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_loose = msgspec.json.Decoder()


@dataclass(frozen=True)
class Readings:
    """Readings, checked.

    Attributes
    ----------
    items : list of Reading
        As they came.
    modules : list of str
    moments : list of datetime
        UTC.
    measures : list of bytes
        JSON objects.
    single : bool
        Whether the body was one object and no list.
    """

    items: list[Reading]
    modules: list[str]
    moments: list[datetime]
    measures: list[bytes]
    single: bool

    def __len__(self) -> int:
        """Number of readings."""
        return len(self.items)

    def table(self) -> pa.Table:
        """Make columns of many: module_num, timestamp (UTC, microseconds), measures (JSON objects as text), temperature, voltage, description."""
        return pa.table(
            {
                "module_num": pa.array(self.modules, pa.string()),
                "timestamp": pa.array(self.moments, pa.timestamp("us", tz="UTC")),
                "measures": pa.array(self.measures, pa.binary()).cast(pa.string()),
                "temperature": pa.array([r.temperature for r in self.items], pa.float64()),
                "voltage": pa.array([r.voltage for r in self.items], pa.float64()),
                "description": pa.array([r.description for r in self.items], pa.string()),
            }
        )

    def post(self, received: datetime) -> Post:
        """Make a post of a few.

        Parameters
        ----------
        received : datetime
            When they came, UTC.

        Returns
        -------
        Post
        """
        return Post(
            received,
            self.modules,
            self.moments,
            self.measures,
            [r.temperature for r in self.items],
            [r.voltage for r in self.items],
            [r.description for r in self.items],
        )


class Answer(msgspec.Struct, gc=False):
    """One reading as it is answered."""

    module: str | None
    module_num: str | None
    timestamp: datetime
    measures: list[Measure]
    temperature: float | None
    voltage: float | None
    description: str | None


class ConflictingAnswer(Answer, gc=False):
    """What stands in the database in the place of a reading that says something else."""

    conflict: bool = True


@dataclass(frozen=True)
class Body:
    """A body before it is decoded.

    Attributes
    ----------
    data : bytes
        Not compressed.
    lines : bool
        One object a line.
    """

    data: bytes
    lines: bool


class Faults:
    """What is wrong with the items of a body."""

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []
        self.count = 0
        self.items: set[int] = set()

    def add(self, index: int, name: str | None, reason: str) -> None:
        """Note a fault of an item's field; None is the item itself."""
        self.count += 1
        self.items.add(index)
        if len(self.errors) < limits.MAX_ERRORS:
            self.errors.append({"index": index, "field": name, "reason": reason})

    def error(self, status: int) -> ApiError:
        """Make an error of all of them."""
        left = self.count - len(self.errors)
        more: dict[str, Any] = {"more_errors": left} if left else {}
        bad = "1 bad item" if len(self.items) == 1 else f"{len(self.items)} bad items"
        return ApiError(status, f"{bad}, nothing is stored", errors=self.errors, **more)

    def raise_any(self, status: int = 400) -> None:
        """Raise an error if there is any fault."""
        if self.count:
            raise self.error(status)


def body_of(data: bytes, content_type: str, content_encoding: str) -> Body:
    """Undo compression, and tell JSON from JSON lines.

    Parameters
    ----------
    data : bytes
        As it came.
    content_type, content_encoding : str
        Headers.

    Returns
    -------
    Body

    Raises
    ------
    ApiError
        400, 413 or 415.
    """
    encoding = content_encoding.strip().lower()
    if encoding in ("gzip", "x-gzip"):
        data = _unzip(data)
    elif encoding not in ("", "identity"):
        raise ApiError(415, "a body comes as it is, or with Content-Encoding: gzip")
    return Body(data, _has_lines(content_type))


@lru_cache(maxsize=64)
def _has_lines(content_type: str) -> bool:
    media, *options = (part.strip().lower() for part in content_type.split(";"))
    if any(
        option.startswith("charset=")
        and option.strip('"')[8:].strip('"') not in ("utf-8", "utf8", "us-ascii")
        for option in options
    ):
        raise ApiError(415, "JSON is in UTF-8")
    if media not in (*_JSON, *_JSON_LINES):
        raise ApiError(415, f"a body is application/json or application/x-ndjson, not {media[:100]}")
    return media in _JSON_LINES


def _unzip(data: bytes) -> bytes:
    parts: list[bytes] = []
    left, size = data, 0
    try:
        while left:
            machine = zlib.decompressobj(wbits=31)
            parts.append(machine.decompress(left, limits.MAX_BODY_BYTES + 1 - size))
            size += len(parts[-1])
            if size > limits.MAX_BODY_BYTES:
                raise ApiError(413, f"a body may have {limits.MAX_BODY_BYTES >> 20} MB when unpacked")
            if not machine.eof:
                raise ApiError(400, "the gzip body ends too early")
            left = machine.unused_data
    except zlib.error as error:
        raise ApiError(400, f"the body is not valid gzip: {error}") from None
    return b"".join(parts)


def decode_readings(body: Body, received: datetime, earliest: date, only_module: str | None) -> Readings:
    """Decode and check the readings of a body.

    Parameters
    ----------
    body : Body
    received : datetime
        UTC; the time of readings that bring none. Several of one module in one body follow each other by a microsecond.
    earliest : date
        Readings before it are refused.
    only_module : str or None
        The one module of a device.

    Returns
    -------
    Readings

    Raises
    ------
    ApiError
        400 with every fault of every item, 403 for a device that sends of other modules, 413 for too many readings.
    """
    try:
        found, single = _quickly(body)
        _require_few(len(found))
        readings = _columns(found, single, received)
        if not _sound(readings, received, earliest):
            raise _SlowlyError
    except (msgspec.MsgspecError, _SlowlyError, OverflowError, ValueError):
        found, single = _slowly(body, received, earliest)
        readings = _columns(found, single, received)
    if only_module is not None:
        foreign = Faults()
        for index, name in enumerate(readings.modules):
            if name != only_module:
                foreign.add(
                    index, "module_num", f"a device may post readings of its own module {only_module} only"
                )
        foreign.raise_any(403)
    return readings


def answers(readings: Readings, conflicts: Mapping[int, dict[str, Any]]) -> list[Answer]:
    """Say what is stored of readings.

    Parameters
    ----------
    readings : Readings
    conflicts : mapping of int to dict
        Position -> the row that stands in the database instead, measures as JSON text.

    Returns
    -------
    list of Answer
        In the order of the request.
    """
    given: list[Answer] = [
        Answer(name, name, moment, _as_list(r.measures), r.temperature, r.voltage, r.description)
        for name, moment, r in zip(readings.modules, readings.moments, readings.items, strict=True)
    ]
    for index, row in conflicts.items():
        measures = _as_list(msgspec.json.decode(row["measures"], type=dict[str, float]))
        given[index] = ConflictingAnswer(
            row["module_num"],
            row["module_num"],
            row["timestamp"],
            measures,
            row["temperature"],
            row["voltage"],
            row["description"],
        )
    return given


def _as_list(measures: list[Measure] | dict[str, float]) -> list[Measure]:
    return (
        measures if isinstance(measures, list) else [Measure(name, value) for name, value in measures.items()]
    )


class _SlowlyError(Exception):
    """The quick way found a fault."""


def _is_single(data: bytes) -> bool:
    return re.match(rb"\s*\{", data) is not None


def _require_few(count: int) -> None:
    if count > limits.MAX_READINGS:
        raise ApiError(413, f"{count} items in one request; there may be {limits.MAX_READINGS}")


def _quickly(body: Body) -> tuple[list[Reading], bool]:
    single = not body.lines and _is_single(body.data)
    if body.lines:
        found: list[Reading] = _one.decode_lines(body.data)
        given = _one_bare.decode_lines(body.data)
    elif single:
        found, given = [_one.decode(body.data)], [_one_bare.decode(body.data)]
    else:
        found, given = _many.decode(body.data), _many_bare.decode(body.data)
    nested = sum(len(r.measures) if isinstance(r.measures, dict) else 2 * len(r.measures) for r in found)
    if _names_in(body.data) != nested + sum(map(len, given)):
        raise _SlowlyError
    return found, single


def _names_in(data: bytes) -> int:
    """Count the names of a JSON text, so that one that comes twice in an object is noticed: decoding keeps the last and says nothing.

    -1 if that takes a closer look: a name is what stands before ``":``, unless there is white space between the two, or a text begins with a
    colon or has an escaped quote before one, which makes the count too high.
    """
    if b'" :' in data or b'"\t:' in data or b'"\n:' in data or b'"\r:' in data:
        return -1
    return data.count(b'":')


def _columns(found: list[Reading], single: bool, received: datetime) -> Readings:
    """Readings to columns; times in UTC, missing ones filled.

    Raises
    ------
    ValueError
        If a reading names a measure twice.
    """
    # a reading without a module has None, which is a fault
    names: list[Any] = [r.module_num if r.module_num is not None else r.module for r in found]
    moments = _moments([r.timestamp for r in found], names, received)
    measures = [
        r.measures if isinstance(r.measures, dict) else {m.name: m.value for m in r.measures} for r in found
    ]
    if any(len(plain) != len(r.measures) for plain, r in zip(measures, found, strict=True)):
        raise ValueError("a measure is named twice")
    measured = set().union(*measures)
    if not all(0 < len(name) <= MAX_NAME and "\x00" not in name for name in measured) or any(
        len(plain) > MAX_MEASURES for plain in measures
    ):
        raise ValueError("a measure has no name that can be used, or there are too many")
    return Readings(found, names, moments, [_encode(plain) for plain in measures], single)


def _moments(
    given: Sequence[datetime | float | None], names: Sequence[str | None], received: datetime
) -> list[datetime]:
    """Times in UTC; those without an offset are UTC already.

    Raises
    ------
    ValueError
        If a number is neither seconds nor milliseconds since 1970.
    """
    count: dict[str | None, int] = {}
    moments = []
    for moment, name in zip(given, names, strict=True):
        if moment is None:
            # two readings of one module at the same moment would be one
            count[name] = count.get(name, -1) + 1
            moment = received + timedelta(microseconds=count[name])
        elif not isinstance(moment, datetime):
            moment = _since_1970(moment)
        moments.append(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC))
    return moments


def _since_1970(number: float) -> datetime:
    """Read seconds or milliseconds since 1970.

    Raises
    ------
    ValueError
        If it is neither.
    """
    microseconds = epoch_microseconds(number)
    if microseconds is None:
        raise ValueError(f"{number} is neither seconds nor milliseconds since 1970")
    return _EPOCH + timedelta(microseconds=microseconds)


def _bounds(received: datetime, earliest: date) -> tuple[datetime, datetime]:
    return datetime.combine(earliest, time(), UTC), received + AHEAD


def _sound(readings: Readings, received: datetime, earliest: date) -> bool:
    """Whether nothing is wrong with decoded readings; what exactly is wrong is found slowly."""
    if not readings.items:
        return True
    first, last = _bounds(received, earliest)
    if min(readings.moments) < first or max(readings.moments) > last:
        return False
    if any(r.module is not None and r.module_num is not None for r in readings.items):
        return False
    descriptions = {r.description for r in readings.items} - {None}
    # a reading without a module has None for it
    return _plain_texts(set(readings.modules), MAX_NAME, 1) and _plain_texts(descriptions, MAX_DESCRIPTION, 0)


def _plain_texts(texts: Collection[str | None], longest: int, shortest: int) -> bool:
    return all(text is not None and shortest <= len(text) <= longest and "\x00" not in text for text in texts)


# ---- the slow way


def decode_items(body: Body) -> tuple[list[Any], bool, Faults]:
    """Decode a body to items of any kind.

    Parameters
    ----------
    body : Body

    Returns
    -------
    items : list
    single : bool
        Whether it was one object and no list.
    faults : Faults
        Of lines that are not valid JSON, whose items are None, and of names that an object has twice.

    Raises
    ------
    ApiError
        400 if the whole is not valid JSON, 413 if there are too many.
    """
    faults = Faults()
    items: list[Any]
    if body.lines:
        lines = [line for line in body.data.splitlines() if line.strip()]
        _require_few(len(lines))
        items = []
        for index, line in enumerate(lines):
            try:
                items.append(_decode(line))
            except ValueError as error:
                faults.add(index, None, f"is not valid JSON: {error}")
                items.append(None)
        _note_doubles(items, faults)
        return items, False, faults
    try:
        whole = _decode(body.data)
    except ValueError as error:
        raise ApiError(400, f"the body is not valid JSON: {error}") from None
    if not isinstance(whole, (dict, list)):
        raise ApiError(400, "the body is neither an object nor an array of objects")
    items = [whole] if isinstance(whole, dict) else whole
    _require_few(len(items))
    _note_doubles(items, faults)
    return items, isinstance(whole, dict), faults


class _Doubled(dict[str, Any]):
    """An object that has a name twice; which of the two was meant nobody knows."""

    names: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    doubled = _Doubled(plain)
    names = [name for name, _ in pairs]
    doubled.names = tuple(name for name in plain if names.count(name) > 1)
    return doubled


def _note_doubles(items: list[Any], faults: Faults) -> None:
    for index, item in enumerate(items):
        left = [item]
        while left:
            part = left.pop()
            for name in part.names if isinstance(part, _Doubled) else ():
                faults.add(index, name[:MAX_NAME], "is given twice in one object")
            if isinstance(part, dict):
                left.extend(part.values())
            elif isinstance(part, list):
                left.extend(part)


def _decode(data: bytes) -> Any:
    """Decode JSON of any kind; a number beyond all bounds becomes infinite, for its field to be named."""
    try:
        try:
            _loose.decode(data)
            known = True
        except msgspec.ValidationError:
            known = False
        # the standard library alone tells of names that come twice
        whole = json.loads(data, object_pairs_hook=_object, parse_int=_whole)
        if not known:
            _encode(whole)  # refuses halves of characters, which can be neither stored nor answered
        return whole
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _whole(digits: str) -> int | float:
    """A whole number; one of thousands of digits becomes infinite, for its field to be named."""
    return int(digits) if len(digits) <= 400 else math.inf


def _slowly(body: Body, received: datetime, earliest: date) -> tuple[list[Reading], bool]:
    items, single, faults = decode_items(body)
    broken = set(faults.items)
    span = _bounds(received, earliest)
    found = [_reading(item, index, span, faults) for index, item in enumerate(items) if index not in broken]
    faults.raise_any()
    return found, single


_FIELDS = [name for name in Reading.__struct_fields__ if name != "conflict"]


def _reading(item: Any, index: int, span: tuple[datetime, datetime], faults: Faults) -> Reading:
    made = Reading()
    if not isinstance(item, dict):
        faults.add(index, None, "is not an object")
        return made
    for name in item:
        if name not in Reading.__struct_fields__:
            faults.add(
                index, name[:MAX_NAME], f"is not a field of a reading; the fields are {', '.join(_FIELDS)}"
            )
    made.module_num = module_number(item, index, faults)
    made.temperature = _float(item.get("temperature"), index, "temperature", faults)
    made.voltage = _float(item.get("voltage"), index, "voltage", faults)
    made.description = text_field(item, "description", index, faults, MAX_DESCRIPTION)
    made.timestamp = _moment(item.get("timestamp"), index, span, faults)
    made.measures = _measures(item.get("measures", []), index, faults)
    return made


def module_number(item: dict[str, Any], index: int, faults: Faults) -> str | None:
    """Read `module_num` or its synonym `module` of an item; a fault if there is none, or two that differ."""
    given = {name: item[name] for name in ("module_num", "module") if item.get(name) is not None}
    if not given:
        faults.add(index, "module_num", "is required")
        return None
    if len({repr(value) for value in given.values()}) > 1:
        faults.add(index, "module", "is a synonym of module_num and has another value")
        return None
    (name, value), *_ = given.items()
    if not isinstance(value, str):
        faults.add(index, name, "is not text")
        return None
    if not 0 < len(value) <= MAX_NAME or "\x00" in value:
        faults.add(index, name, f"has no character, more than {MAX_NAME}, or a NUL")
        return None
    return value


def text_field(
    item: dict[str, Any], name: str, index: int, faults: Faults, longest: int = MAX_NAME
) -> str | None:
    """Read an optional text of an item."""
    value = item.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        faults.add(index, name, "is not text")
    elif len(value) > longest or "\x00" in value:
        faults.add(index, name, f"has more than {longest} characters, or a NUL")
    else:
        return value
    return None


def _float(value: Any, index: int, name: str, faults: Faults, *, required: bool = False) -> float | None:
    if value is None and not required:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        faults.add(index, name, "is not a valid number")
        return None
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        faults.add(index, name, "is too large")
        return None
    return number


def _measures(value: Any, index: int, faults: Faults) -> list[Measure] | dict[str, float]:
    pairs: list[tuple[str, Any, Any]] = []
    if isinstance(value, dict):
        pairs = [(f"measures.{str(name)[:MAX_NAME]}", name, number) for name, number in value.items()]
    elif isinstance(value, list):
        for i, entry in enumerate(value[: MAX_MEASURES + 1]):
            if not isinstance(entry, dict):
                faults.add(index, f"measures[{i}]", "is not an object with name and value")
            elif entry.keys() != {"name", "value"}:
                faults.add(index, f"measures[{i}]", "has to have name and value, and nothing else")
            else:
                pairs.append((f"measures[{i}]", entry["name"], entry["value"]))
    else:
        faults.add(index, "measures", "is not a list of objects with name and value")
    if isinstance(value, (list, dict)) and len(value) > MAX_MEASURES:
        faults.add(index, "measures", f"has more than {MAX_MEASURES} entries")
    made: dict[str, float] = {}
    for place, name, number in pairs:
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or "\x00" in name:
            faults.add(index, f"{place}.name", f"must be text of 1 to {MAX_NAME} characters")
        elif name in made:
            faults.add(index, f"{place}.name", f"names {name} a second time")
        else:
            made[name] = _float(number, index, f"{place}.value", faults, required=True) or 0.0
    return made


def _moment(value: Any, index: int, span: tuple[datetime, datetime], faults: Faults) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        faults.add(
            index,
            "timestamp",
            "is not a time like 2018-01-01T00:07:37Z or seconds or milliseconds since 1970",
        )
        return None
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else _since_1970(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        faults.add(
            index,
            "timestamp",
            "is not a time like 2018-01-01T00:07:37Z or seconds or milliseconds since 1970",
        )
        return None
    first, last = span
    if moment < first:
        faults.add(index, "timestamp", f"lies before {first.date().isoformat()}")
        return None
    if moment > last:
        faults.add(index, "timestamp", "lies more than a day ahead")
        return None
    return moment
