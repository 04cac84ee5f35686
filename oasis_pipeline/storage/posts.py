"""Readings that come a few at a time, from many senders at once: one statement and one commit for all that wait.

Here: `Post` and `PostWriter`. Not here: who waits for whom (``service.group_commit``), and readings by the thousand, which go by COPY
(``readings.store_readings``). What counts as the same, and what becomes of it, is said there and is the same here.

One statement looks the modules up and locks them, inserts, and marks the days in the ledger: it is its own transaction, and one way
to the server and back. So nothing about modules is remembered between posts that somebody else could change; of partitions, which are never
removed, the server's word that one is missing is waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from oasis_pipeline.storage import embedded, ledger
from oasis_pipeline.storage.errors import LOST_CONNECTION, StorageError, one_line
from oasis_pipeline.storage.partitions import ensure_days
from oasis_pipeline.storage.readings import MODULE, RAWDATA

if TYPE_CHECKING:
    from oasis_pipeline.storage.postgres import Warehouse

__all__ = ["Post", "PostResult", "PostWriter"]

_ATTEMPTS = 5
_SESSION = (
    "SELECT set_config('timezone', 'UTC', false), set_config('datestyle', 'ISO, MDY', false),"
    " set_config('standard_conforming_strings', 'on', false), set_config('application_name', %s, false),"
    # those who wait for something else wait together, so not for long
    " set_config('lock_timeout', '1s', false), set_config('statement_timeout', '30s', false),"
    # whatever the server does by default: what is answered is on disk
    " set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')"
    " THEN 'on' ELSE current_setting('synchronous_commit') END, false)"
)
_DAY = "to_char(\"timestamp\" AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
_KEY = 'module_num, "timestamp"'
_GIVEN = (
    # one text for all columns: the array of each costs a literal a value to write, and to parse
    "json_to_recordset({}) AS g(i bigint, m text, t timestamptz, j jsonb, x float8, v float8, d text, r timestamptz, k bigint)"
)
_PREPARE = (
    "PREPARE oasis_posts (text[], json) AS"
    # one that is being deleted is waited for by its own sender only
    f" WITH known AS MATERIALIZED (SELECT module_num FROM {MODULE.full_name} WHERE module_num = ANY($1)"
    " ORDER BY module_num FOR KEY SHARE SKIP LOCKED),"
    f" fresh AS (INSERT INTO {RAWDATA.full_name} ({_KEY}, measures, temperature, voltage, description, received_at, received_row)"
    f" SELECT m, t, j, x, v, d, r, k FROM {_GIVEN.format('$2')}"
    # all or none; in order of the key, so that two writers wait for each other in the same order
    f" WHERE (SELECT count(*) FROM known) = cardinality($1) ORDER BY m, t ON CONFLICT DO NOTHING RETURNING {_KEY}),"
    f" locked AS MATERIALIZED (SELECT {ledger.MARKING_SQL} FROM (SELECT FROM fresh LIMIT 1) AS any_new),"
    " drawn AS MATERIALIZED (SELECT nextval('oasis.tick') AS tick FROM locked),"
    f" given AS (SELECT {_DAY} AS p, count(*) AS more FROM fresh GROUP BY 1),"
    " marked AS (" + ledger.changed_by_sql(f"'{RAWDATA.asset}'::text", "tick", "given, drawn") + ")"
    # as a rule all of them, which need not be named
    " SELECT n = json_array_length($2), ARRAY(SELECT module_num FROM known),"
    " CASE WHEN n < json_array_length($2) THEN ARRAY(SELECT module_num FROM fresh) END,"
    ' CASE WHEN n < json_array_length($2) THEN ARRAY(SELECT "timestamp" FROM fresh) END'
    " FROM (SELECT count(*) AS n FROM fresh) AS counted"
)
_INSERT = "EXECUTE oasis_posts (%s::text[], %s)"
_COMPARE = (
    "SELECT g.i, (r.measures, r.temperature, r.voltage, r.description) IS NOT DISTINCT FROM (g.j, g.x, g.v, g.d),"
    ' r.module_num, r."timestamp", r.measures::text, r.temperature, r.voltage, r.description'
    f" FROM {_GIVEN.format('%s')} JOIN {RAWDATA.full_name} AS r"
    ' ON r.module_num = g.m AND r."timestamp" = g.t'
    # spelled out as well, so that only the partitions of these days are looked at
    ' AND r."timestamp" BETWEEN %s::timestamptz AND %s::timestamptz'
)
_STANDING = ("module_num", "timestamp", "measures", "temperature", "voltage", "description")
_NO_PARTITION = "23514"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Post:
    """Readings of one request, stored all or none.

    Attributes
    ----------
    received_at : datetime
        When they came, UTC.
    modules : list of str
    moments : list of datetime
        UTC.
    measures : list of bytes
        JSON objects of name to number.
    temperatures, voltages : list of float or None
    descriptions : list of str or None
    """

    received_at: datetime
    modules: Sequence[str]
    moments: Sequence[datetime]
    measures: Sequence[bytes]
    temperatures: Sequence[float | None]
    voltages: Sequence[float | None]
    descriptions: Sequence[str | None]


@dataclass
class PostResult:
    """What became of a post.

    Attributes
    ----------
    unknown : list of str
        Modules that are not registered; nothing is stored then.
    busy : bool
        Somebody is changing one of its modules, or deleting what it was compared with: nothing is lost if it is stored again, alone.
    new : int
        Readings that were not there before.
    first_day : date or None
        Earliest UTC day of the new ones.
    conflicts : dict of int to dict
        Position -> what stands in the database instead, measures as JSON text.
    """

    unknown: list[str] = field(default_factory=list)
    busy: bool = False
    new: int = 0
    first_day: date | None = None
    conflicts: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        """Whether nothing of it was tried any further."""
        return self.busy or bool(self.unknown)


class _Row:
    """A reading on its way."""

    __slots__ = ("key", "place", "post")

    def __init__(self, post: int, place: int, key: tuple[str, datetime]) -> None:
        self.post = post
        self.place = place
        self.key = key


class PostWriter:
    """A connection that stores posts; of one thread at a time.

    Parameters
    ----------
    warehouse : Warehouse
        The database, and the maker of partitions.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._connection: Any = None

    def store(self, posts: Sequence[Post]) -> list[PostResult]:
        """Store posts, as if one after the other, in one transaction.

        Parameters
        ----------
        posts : sequence of Post

        Returns
        -------
        list of PostResult
            Durable. A post with an unknown module, or a busy one, keeps no other from being stored.

        Raises
        ------
        StorageError
            Of all posts. Whether they are stored is unknown if the connection was lost; the same again does no harm.
        """
        results = [PostResult() for _ in posts]
        rows = [
            _Row(number, place, key)
            for number, post in enumerate(posts)
            for place, key in enumerate(zip(post.modules, post.moments, strict=True))
        ]
        new: set[tuple[int, int]] = set()
        for _ in range(_ATTEMPTS):
            if not rows:
                break
            first: dict[tuple[str, datetime], _Row] = {}
            for row in rows:
                first.setdefault(row.key, row)
            known, inserted = self._insert(posts, list(first.values()))
            lacking = {module for module, _ in first} - known
            if lacking:
                self._refuse(results, rows, lacking)
                rows = [row for row in rows if not results[row.post].refused]
                continue
            for key in inserted:
                row = first[key]
                new.add((row.post, row.place))
                self._count(results[row.post], key[1])
            rows = [row for row in rows if (row.post, row.place) not in new]
            # what is left stands there already, unless somebody deletes it at this moment
            rows = self._compare(posts, rows, results) if rows else []
        for row in rows:
            results[row.post].busy = True
        return results

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    @staticmethod
    def _count(result: PostResult, moment: datetime) -> None:
        day = moment.astimezone(UTC).date()
        result.new += 1
        result.first_day = day if result.first_day is None else min(day, result.first_day)

    def _refuse(self, results: list[PostResult], rows: list[_Row], lacking: set[str]) -> None:
        """Tell modules that are not there from those that somebody holds."""
        held = {
            name
            for (name,) in self._run(
                f"SELECT module_num FROM {MODULE.full_name} WHERE module_num = ANY(%s::text[])",
                (list(lacking),),
            )
        }
        for row in rows:
            module, result = row.key[0], results[row.post]
            if module in held:
                result.busy = True
            elif module in lacking and module not in result.unknown:
                result.unknown.append(module)

    def _insert(
        self, posts: Sequence[Post], rows: Sequence[_Row]
    ) -> tuple[set[str], list[tuple[str, datetime]]]:
        """Insert what is not there, if all modules are known; the known ones, and keys of what was inserted."""
        given = _text(posts, rows)
        modules = sorted({row.key[0] for row in rows})
        try:
            ((all_new, known, names, moments),) = self._run(_INSERT, (modules, given))
        except StorageError as error:
            if error.sqlstate != _NO_PARTITION:
                raise
            with self._warehouse.transaction() as tx:
                ensure_days(tx, RAWDATA, {row.key[1].astimezone(UTC).date() for row in rows})
            ((all_new, known, names, moments),) = self._run(_INSERT, (modules, given))
        inserted = [row.key for row in rows] if all_new else list(zip(names, moments, strict=True))
        return set(known), inserted

    def _compare(self, posts: Sequence[Post], rows: list[_Row], results: list[PostResult]) -> list[_Row]:
        """Compare readings with what stands under their keys; those under whose key nothing stands any more."""
        moments = [row.key[1] for row in rows]
        found = self._run(
            _COMPARE,
            (
                _text(posts, rows),
                min(moments).isoformat(),
                max(moments).isoformat(),
            ),
        )
        for number, same, *standing in found:
            row = rows[number]
            if not same:
                results[row.post].conflicts[row.place] = dict(zip(_STANDING, standing, strict=True))
        there = {number for number, *_ in found}
        return [row for number, row in enumerate(rows) if number not in there]

    def _run(self, sql: str, params: tuple[Any, ...]) -> list[Any]:
        """Run a statement that commits by itself; once more if a connection kept from earlier has died since."""
        import psycopg2

        kept = self._connection is not None
        try:
            if not kept:
                self._connection = self._connect()
            with self._connection.cursor() as cursor:
                cursor.execute(sql, params)
                return list(cursor.fetchall())
        except psycopg2.Error as error:
            address = self._warehouse.address
            reason = one_line(str(error).split("CONTEXT:", 1)[0], secret=address.password)
            state: str | None = error.pgcode
            if self._connection is None or self._connection.closed or (state or "").startswith(("08", "57P")):
                self.close()
                # the same readings again change nothing, should the first attempt have stored them
                if kept:
                    return self._run(sql, params)
                raise StorageError(
                    f"PostgreSQL at {address.public()} does not answer: {reason}",
                    sqlstate=state or LOST_CONNECTION,
                ) from None
            raise StorageError(f"PostgreSQL refused: {reason}", sqlstate=state) from None

    def _connect(self) -> Any:
        import psycopg2

        connection = psycopg2.connect(self._warehouse.address.uri(), connect_timeout=15)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(_SESSION, (embedded.application_name(),))
                cursor.execute(_PREPARE)
        except psycopg2.Error:
            connection.close()
            raise
        return connection


class _Given(msgspec.Struct, gc=False):
    """A reading as the statements take it."""

    i: int
    m: str
    t: datetime
    j: msgspec.Raw
    x: float | None
    v: float | None
    d: str | None
    r: datetime
    k: int


def _text(posts: Sequence[Post], rows: Sequence[_Row]) -> str:
    """Write readings as the JSON text that `_GIVEN` reads."""
    given = []
    for number, row in enumerate(rows):
        post, place = posts[row.post], row.place
        given.append(
            _Given(
                number,
                *row.key,
                msgspec.Raw(post.measures[place]),
                post.temperatures[place],
                post.voltages[place],
                post.descriptions[place],
                post.received_at,
                place,
            )
        )
    return _encode(given).decode()
