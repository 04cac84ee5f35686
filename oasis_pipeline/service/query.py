"""Parameters of a GET or DELETE to SQL: filters, order, limit, cursor.

Here: what a client may ask of a resource, checked against its columns. Not here: running it (``rows``) and the forms of the
answer (``output``).

Values are checked and brought into one spelling by type, then written into the statement as quoted literals with a cast: the driver
streams an answer (COPY) only from a statement without parameters. ``literal`` is the only way in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from oasis_pipeline.intake.values import clean_node, node_key
from oasis_pipeline.schema import Table, Type, quote
from oasis_pipeline.schema.xspoc_tables import NODE_TABLE
from oasis_pipeline.service import limits
from oasis_pipeline.service.errors import ApiError

LOOKUPS = ("gte", "gt", "lte", "lt", "in", "range", "contains")
RESERVED = ("order_by", "limit", "cursor", "format", "fields")
_SIGNS = {"gte": ">=", "gt": ">", "lte": "<=", "lt": "<", "exact": "="}
_ORDERED = frozenset({Type.TEXT, Type.FLOAT, Type.INT, Type.TIME, Type.UTC, Type.DAY})
_PLUS = re.compile(r"(?<=\d) (?=\d{2}:?\d{2}$)")
_ELEMENT = re.compile(r'(?:[ \t]*"((?:[^"]|"")*)"[ \t]*|([^",]*))(,|\Z)')
_LONGEST = 10_000


@dataclass(frozen=True)
class Field:
    """One column of a resource.

    Attributes
    ----------
    name : str
        As clients say it.
    type : Type
    sql : str
        Expression in the statement.
    description, unit : str
    required : bool
        Never null.
    """

    name: str
    type: Type
    sql: str
    description: str = ""
    unit: str = ""
    required: bool = False


@dataclass(frozen=True)
class Resource:
    """Something that can be filtered, ordered and paged.

    Attributes
    ----------
    name : str
        Last part of its path.
    source : str
        What stands after FROM.
    fields : dict of str to Field
    key : tuple of str
        Unique, never null; the order if no other is asked for.
    aliases : dict of str to str
        Other names of fields.
    description : str
    """

    name: str
    source: str
    fields: Mapping[str, Field]
    key: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    description: str = ""

    def field(self, name: str) -> Field | None:
        """Field of that name or alias."""
        return self.fields.get(self.aliases.get(name, name))


def resource_of(
    table: Table, *, name: str | None = None, aliases: Mapping[str, str] | None = None
) -> Resource:
    """Make a resource of a table of the schema source.

    Parameters
    ----------
    table : Table
    name : str, optional
        The table's by default.
    aliases : mapping of str to str, optional

    Returns
    -------
    Resource
    """
    fields = {
        c.name: Field(c.name, c.type, quote(c.name), c.description, c.unit, c.required or c.name in table.key)
        for c in table.columns
    }
    return Resource(name or table.name, table.full_name, fields, table.key, aliases or {}, table.description)


@dataclass(frozen=True)
class Order:
    """One term of an order."""

    field: Field
    descending: bool = False

    @property
    def sql(self) -> str:
        """Term of ORDER BY; what has no value comes last either way."""
        return f"{self.field.sql} {'DESC' if self.descending else 'ASC'}{'' if self.field.required else ' NULLS LAST'}"


@dataclass(frozen=True)
class Query:
    """What a client asks.

    Attributes
    ----------
    resource : Resource
    where : list of str
        Conditions of the filters.
    order : list of Order
        Ends with the key, so that it is total.
    limit : int or None
    after : str or None
        Condition of the cursor.
    form : str or None
        ``format``, as it came.
    chosen : tuple of Field
        What the answer holds.
    """

    resource: Resource
    where: Sequence[str]
    order: Sequence[Order]
    limit: int | None
    after: str | None
    form: str | None
    chosen: Sequence[Field]

    @property
    def names(self) -> list[str]:
        """Names of what the answer holds."""
        return [found.name for found in self.chosen]

    @property
    def needed(self) -> list[Field]:
        """What a page has to be read with: what was chosen, and what the cursor is made of."""
        have = set(self.names)
        return [*self.chosen, *(term.field for term in self.order if term.field.name not in have)]

    def condition(self, more: Iterable[str] = ()) -> str:
        """Everything after WHERE."""
        parts = [*self.where, *more, *([self.after] if self.after else [])]
        return " AND ".join(f"({part})" for part in parts) or "true"

    def sql(
        self, columns: Sequence[Field] | None = None, more: Iterable[str] = (), limit: int | None = None
    ) -> str:
        """Build the statement."""
        chosen = columns if columns is not None else self.chosen
        names = ", ".join(f"{f.sql} AS {quote(f.name)}" for f in chosen)
        end = f" LIMIT {limit}" if limit is not None else ""
        order = ", ".join(term.sql for term in self.order)
        return (
            f"SELECT {names} FROM {self.resource.source} WHERE {self.condition(more)} ORDER BY {order}{end}"
        )

    def cursor_after(self, row: Mapping[str, Any]) -> str:
        """Cursor of the page that begins after a row."""
        values = [_spell(row[term.field.name], term.field.type) for term in self.order]
        return _encode_cursor([self._mark, *values])

    @property
    def _mark(self) -> str:
        return _mark(self.resource, self.where, self.order)


def _mark(resource: Resource, where: Sequence[str], order: Sequence[Order]) -> str:
    """What a cursor belongs to: it means nothing under other filters or another order."""
    text = repr((resource.name, list(where), [term.sql for term in order]))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Faults:
    """What is wrong with the parameters, gathered so that all of it is told at once."""

    def __init__(self, resource: Resource) -> None:
        self.errors: list[dict[str, str]] = []
        self.unknown = False
        self._resource = resource

    def add(self, name: str, reason: str) -> None:
        """Note a fault of a parameter."""
        self.errors.append({"field": name[:200], "reason": reason})

    def add_unknown(self, name: str) -> None:
        """Note a parameter that is not a field."""
        self.unknown = True
        self.add(name, "is not a field")

    def raise_any(self) -> None:
        """Raise a 400 with all of them."""
        if not self.errors:
            return
        more: dict[str, Any] = {"errors": self.errors}
        reason = "; ".join(f"{error['field']} {error['reason']}" for error in self.errors[:5])
        if self.unknown:
            more["fields"] = list(self._resource.fields)
            reason += f". Fields: {', '.join(more['fields'])}"
        raise ApiError(400, reason, **more)


def parse(resource: Resource, parameters: Iterable[tuple[str, str]], *, only_filters: bool = False) -> Query:
    """Read the parameters of a request.

    Parameters
    ----------
    resource : Resource
    parameters : iterable of (str, str)
        Decoded; a name may come more than once, all its conditions hold.
    only_filters : bool
        True refuses order, limit, cursor and format (DELETE).

    Returns
    -------
    Query

    Raises
    ------
    ApiError
        400 with all faults; with the names of all fields if one is unknown.
    """
    faults = Faults(resource)
    where: list[str] = []
    reserved: dict[str, str] = {}
    for name, value in parameters:
        if "\x00" in value or "\x00" in name:
            faults.add(name.replace("\x00", "\ufffd"), "has a NUL character")
        elif len(value) > _LONGEST:
            faults.add(name, f"has more than {_LONGEST} characters")
        elif name in RESERVED:
            if only_filters:
                faults.add(name, "has no meaning here")
            elif name in reserved:
                faults.add(name, "is given twice")
            reserved[name] = value
        else:
            condition = _filter(resource, name, value, faults)
            if condition is not None:
                where.append(condition)
    order = _order(resource, reserved.get("order_by"), faults)
    limit = _limit(reserved.get("limit"), faults)
    chosen = _chosen(resource, reserved.get("fields"), faults)
    after = None
    if "cursor" in reserved and not faults.errors:
        after = _after(reserved["cursor"], _mark(resource, where, order), order, faults)
    faults.raise_any()
    return Query(resource, where, order, limit, after, reserved.get("format"), chosen)


def literal(text: str) -> str:
    """Quote a text as an SQL literal; the session's ``standard_conforming_strings`` is on."""
    return "'" + text.replace("'", "''") + "'"


def split_list(text: str) -> list[str] | None:
    """Take ``(a,b)`` apart; an element with a comma goes in double quotes. None if it is not a list."""
    text = text.strip()
    if len(text) < 2 or text[0] not in "([" or text[-1] not in ")]":
        return None
    inner = text[1:-1]
    if not inner.strip():
        return []
    parts: list[str] = []
    at = 0
    while True:
        match = _ELEMENT.match(inner, at)
        if match is None:
            return None
        quoted, bare, end = match.groups()
        parts.append(bare.strip() if quoted is None else quoted.replace('""', '"'))
        at = match.end()
        if not end:
            return parts


def _filter(resource: Resource, name: str, value: str, faults: Faults) -> str | None:
    """Condition of one parameter; None after a fault."""
    found, lookup = _field_of(resource, name)
    if found is None:
        faults.add_unknown(name)
        return None
    if lookup not in (*LOOKUPS, "exact"):
        faults.add(name, f"has no lookup {lookup}; there are {', '.join(LOOKUPS)}")
        return None
    if found.type is Type.POINTS:
        faults.add(name, "holds the points of a card, which can't be compared")
        return None
    if found.type is Type.JSON:
        return _json_filter(found, name, lookup, value, faults)
    if found.type is Type.CODES and lookup == "contains":
        return f"{literal(value)} = ANY({found.sql})"
    if found.type in (Type.CODES, Type.DOCUMENT):
        faults.add(name, "holds several values, which can't be compared")
        return None
    if lookup == "contains":
        if found.type is not Type.TEXT:
            faults.add(name, "is not text")
            return None
        return f"position({literal(value)} in {found.sql}) > 0"
    if lookup in ("in", "range"):
        return _list_filter(found, name, lookup, value, faults)
    if lookup != "exact" and found.type not in _ORDERED:
        faults.add(name, "has no order")
        return None
    wanted = _value(found, name, value, faults)
    return None if wanted is None else f"{found.sql} {_SIGNS[lookup]} {wanted}"


def _field_of(resource: Resource, name: str) -> tuple[Field | None, str]:
    """Field and lookup of a parameter; names of fields may hold two underscores."""
    found = resource.field(name)
    if found is not None:
        return found, "exact"
    head, _, lookup = name.rpartition("__")
    found = resource.field(head)
    if found is not None and head:
        if found.type is Type.JSON and lookup not in LOOKUPS:
            return _measure(found, lookup), "exact"
        return found, lookup
    if (at := name.find("__")) > 0 and (parent := resource.field(name[:at])) and parent.type is Type.JSON:
        return _measure(parent, head[at + 2 :]), lookup
    return None, ""


def _measure(parent: Field, key: str) -> Field:
    """One number of a column of numbers by name."""
    return Field(
        f"{parent.name}__{key}",
        Type.FLOAT,
        f"({parent.sql} ->> {literal(key)})::double precision",
        parent.description,
    )


def _json_filter(found: Field, name: str, lookup: str, value: str, faults: Faults) -> str | None:
    if lookup == "contains":
        return f"jsonb_exists({found.sql}, {literal(value)})"
    faults.add(
        name,
        f"holds numbers by name: {found.name}__contains=NAME, {found.name}__NAME__gte=1, {found.name}__NAME=1",
    )
    return None


def _list_filter(found: Field, name: str, lookup: str, value: str, faults: Faults) -> str | None:
    parts = split_list(value)
    if parts is None or (lookup == "range" and len(parts) != 2):
        faults.add(name, "is not a list (a,b)" if lookup == "in" else "is not a list of two values (from,to)")
        return None
    if lookup == "range" and found.type not in _ORDERED:
        faults.add(name, "has no order")
        return None
    wanted = [_value(found, name, part, faults) for part in parts]
    if None in wanted:
        return None
    if lookup == "range":
        return f"{found.sql} BETWEEN {wanted[0]} AND {wanted[1]}"
    return f"{found.sql} IN ({', '.join(map(str, wanted))})" if wanted else "false"


def _value(found: Field, name: str, text: str, faults: Faults) -> str | None:
    """Literal of a value with its cast; None after a fault."""
    try:
        spelled = normal(found.type, text)
    except ValueError as error:
        faults.add(name, str(error))
        return None
    if found.name == "NodeID":
        # matched as everywhere: without regard to case, blanks and #
        key = literal(node_key(clean_node(spelled)))
        return f'coalesce((SELECT n."NodeID" FROM {NODE_TABLE.full_name} AS n WHERE n.node_key = {key}), {literal(spelled)})'
    return f"{literal(spelled)}::{found.type.sql}"


def normal(kind: Type, text: str) -> str:
    """Bring a value into the spelling in which PostgreSQL gets it.

    Parameters
    ----------
    kind : Type
        Of the column.
    text : str
        As it came.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        With a clause that goes after the parameter's name.
    """
    if kind is Type.TEXT:
        return text
    bare = text.strip()
    if kind is Type.FLOAT:
        return _number(bare)
    if kind is Type.INT:
        return _whole(bare)
    if kind is Type.BOOL:
        if bare.lower() not in ("true", "false", "1", "0"):
            raise ValueError("is neither true nor false")
        return "true" if bare.lower() in ("true", "1") else "false"
    if kind is Type.DAY:
        try:
            return date.fromisoformat(bare).isoformat()
        except ValueError:
            raise ValueError("is not a valid date (YYYY-MM-DD)") from None
    return _time(kind, bare)


def _number(text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in text:
        raise ValueError("is not a valid number")
    return repr(number)


def _whole(text: str) -> str:
    if not re.fullmatch(r"[+-]?\d{1,19}", text, re.ASCII) or not -(2**63) <= int(text) < 2**63:
        raise ValueError("is not a whole number")
    return str(int(text))


def _time(kind: Type, text: str) -> str:
    try:
        # a + that was not written as %2B arrives as a blank
        moment = datetime.fromisoformat(_PLUS.sub("+", text) if ":" in text[:-6] else text)
        if kind is Type.UTC:
            moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        elif moment.tzinfo is not None:
            raise OverflowError
        return moment.isoformat(sep=" ")
    except OverflowError:
        if kind is Type.UTC:
            raise ValueError("is not within the range of times") from None
        raise ValueError("is in the field's local time, which has no offset") from None
    except ValueError:
        raise ValueError("is not a valid time (YYYY-MM-DDThh:mm:ss)") from None


def _order(resource: Resource, text: str | None, faults: Faults) -> list[Order]:
    terms: list[Order] = []
    names = [] if text is None else split_list(text)
    if names is None:
        names = [(text or "").strip()]
    for name in names:
        found = resource.field(name.removeprefix("-"))
        if found is None:
            faults.add_unknown(f"order_by={name}")
        elif found.type not in (*_ORDERED, Type.BOOL):
            faults.add("order_by", f"can't order by {found.name}")
        elif all(term.field.name != found.name for term in terms):
            terms.append(Order(found, name.startswith("-")))
    given = {term.field.name for term in terms}
    # ties go the way of the last term, so that one index serves the whole
    down = bool(terms) and terms[-1].descending
    return [*terms, *(Order(resource.fields[name], down) for name in resource.key if name not in given)]


def _chosen(resource: Resource, text: str | None, faults: Faults) -> list[Field]:
    """Fields of the answer: all of them, or those of a list in its order."""
    if text is None:
        return list(resource.fields.values())
    names = split_list(text)
    chosen: dict[str, Field] = {}
    for name in [text.strip()] if names is None else names:
        found = resource.field(name)
        if found is None:
            faults.add_unknown(f"fields={name}")
        else:
            chosen[found.name] = found
    if names == []:
        faults.add("fields", "names no field")
    return list(chosen.values())


def _limit(text: str | None, faults: Faults) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII) or not 1 <= int(text) <= limits.MAX_PAGE:
        faults.add("limit", f"must be a whole number from 1 to {limits.MAX_PAGE}")
        return None
    return int(text)


def _encode_cursor(parts: list[str | None]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def _after(text: str, mark: str, order: Sequence[Order], faults: Faults) -> str | None:
    """Condition: comes after the values of a cursor in this order."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        parts = msgspec.json.decode(raw, type=list[str | None])
        given, values = parts[0], parts[1:]
        if given != mark or len(values) != len(order):
            faults.add("cursor", "belongs to other filters or another order")
            return None
        literals = [
            None if value is None else _cursor_literal(term.field, value)
            for term, value in zip(order, values, strict=True)
        ]
    except (ValueError, binascii.Error, msgspec.MsgspecError, IndexError):
        faults.add("cursor", "is none that this service gave")
        return None
    columns = [term.field.sql for term in order]
    down = order[0].descending
    if all(term.field.required and term.descending == down for term in order):
        # one comparison of rows, for which an index is used
        return f"({', '.join(columns)}) {'<' if down else '>'} ({', '.join(map(str, literals))})"
    options = []
    for i, (term, value) in enumerate(zip(order, literals, strict=True)):
        equal = [
            f"{c} IS NOT DISTINCT FROM {v or 'NULL'}" for c, v in zip(columns[:i], literals[:i], strict=True)
        ]
        if value is None:
            continue  # what has no value is last: nothing comes after it
        beyond = f"{term.field.sql} {'<' if term.descending else '>'} {value}"
        if not term.field.required:
            beyond = f"({beyond} OR {term.field.sql} IS NULL)"
        options.append(" AND ".join([*equal, beyond]))
    return " OR ".join(f"({option})" for option in options) or "false"


def _cursor_literal(column: Field, value: str) -> str:
    if "\x00" in value:
        raise ValueError("NUL")
    # a stored number may be infinite or NaN, which no filter can ask for
    if column.type is Type.FLOAT and value in ("nan", "inf", "-inf"):
        return f"{literal(value)}::double precision"
    return f"{literal(normal(column.type, value))}::{column.type.sql}"


def _spell(value: Any, kind: Type) -> str | None:
    if value is None:
        return None
    if kind is Type.FLOAT:
        return repr(float(value))
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return str(value)
