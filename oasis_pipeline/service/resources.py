"""What can be read: the resources of the API, made from the schema source.

Here: which tables are resources, and the columns that came with the data. Not here: filters (``query``).

Every table of wells is one (schemas ``xspoc``, ``clean``, ``analysis``), but for histories and the platform's own book-keeping: a table that is
added to the schema source appears here by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from oasis_pipeline.schema import TABLES, Kind, Table, Type, quote, table
from oasis_pipeline.service.query import Field, Resource, resource_of
from oasis_pipeline.service.warehouse import warehouse

_WELL_SCHEMAS = ("xspoc", "clean", "analysis")
_FOR_PEOPLE = ("rejected", "alarm_decision", "opinion_request")
"""Of the book-keeping, what people look at."""
_READING = ("module_num", "timestamp", "measures", "temperature", "voltage", "description")
_NEWEST_COLUMNS_SECONDS = 5.0
_TYPES = {t.sql: t for t in Type} | {
    "timestamp(3) without time zone": Type.TIME,
    "timestamp with time zone": Type.UTC,
    "integer": Type.INT,
    "smallint": Type.INT,
    "real": Type.FLOAT,
}

FOREIGN_KEY = {"module__module_num": "module_num"}
"""How clients of the first service followed the foreign key from a reading to its module."""


def module_resource() -> Resource:
    """Modules."""
    return _with_synonym(resource_of(table("iot", "module")))


def reading_resource() -> Resource:
    """Readings, without what the platform notes of their arrival."""
    whole = resource_of(table("iot", "rawdata"))
    return _with_synonym(replace(whole, fields={name: whole.fields[name] for name in _READING}))


def _with_synonym(resource: Resource) -> Resource:
    """The same resource with `module` beside `module_num`, in filters and answers."""
    synonym = replace(resource.fields["module_num"], name="module", description="The same as module_num")
    return replace(resource, fields={"module": synonym, **resource.fields}, aliases=FOREIGN_KEY)


@lru_cache(maxsize=1)
def readable_tables() -> Mapping[str, Table]:
    """Tables that are resources, by the last part of their path."""
    wells = (t for t in TABLES if t.schema in _WELL_SCHEMAS and not t.name.endswith("_history"))
    return {t.name: t for t in wells if t.kind is not Kind.SYSTEM or t.name in _FOR_PEOPLE}


class _Grown:
    """Columns that came with the data (one for each failure class, say), looked up now and then."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: dict[str, tuple[float, Resource]] = {}

    def get(self, source: Table) -> Resource:
        now = time.monotonic()
        with self._guard:
            kept = self._known.get(source.asset)
        if kept is not None and now - kept[0] < _NEWEST_COLUMNS_SECONDS:
            return kept[1]
        found = _with_new_columns(source)
        with self._guard:
            self._known[source.asset] = (now, found)
        return found


_grown = _Grown()


def table_resource(name: str) -> Resource:
    """Resource of a readable table, with the columns that it has right now.

    Parameters
    ----------
    name : str
        Key of `readable_tables`.

    Returns
    -------
    Resource
    """
    return _grown.get(readable_tables()[name])


def _with_new_columns(source: Table) -> Resource:
    plain = resource_of(source)
    there = warehouse().query(
        "SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS kind FROM pg_attribute a"
        " WHERE a.attrelid = to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        (source.full_name,),
    )
    new = {
        row["name"]: Field(row["name"], _TYPES[row["kind"]], quote(row["name"]))
        for row in there.to_pylist()
        if row["name"] not in plain.fields and row["kind"] in _TYPES
    }
    return replace(plain, fields={**plain.fields, **new})
