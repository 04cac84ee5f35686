"""The SELECTs by which a source is read; nothing else can be compiled here.

Here: statements of SQLAlchemy for a table as the mapping names it. Not here: running them (``connection``).

Pages go by key (``key > last key``, a limited number of rows, in order of the key), not by an open cursor: each is a short transaction that
holds no lock and no snapshot while the reader rests. A well's rows are one range of the index that XSPOC's tables have, (NodeID, Date).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mssql
from sqlalchemy.sql.elements import quoted_name

from oasis_pipeline.intake.sources.base import SourceError
from oasis_pipeline.intake.sources.mapping import ColumnMapping
from oasis_pipeline.schema import DropKind


@dataclass(frozen=True)
class SourceTable:
    """A table of a source, as it was found there.

    Attributes
    ----------
    kind : DropKind
        What its rows become.
    schema, name : str
        In the source's spelling.
    columns : dict of str to ColumnMapping
        Column of the drop file -> column of the source, in its spelling; those that the source lacks left out.
    missing : tuple of str
        Columns of the drop file that the source lacks.
    server : str
        ``postgresql`` or ``mssql``.
    """

    kind: DropKind
    schema: str
    name: str
    columns: dict[str, ColumnMapping]
    missing: tuple[str, ...]
    server: str

    @property
    def time_column(self) -> str | None:
        """Column with the time of a row; None for equipment."""
        return self.kind.time_column

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that order the pages: those of the kind's key."""
        return self.kind.table.key

    def _column(self, name: str) -> sa.ColumnClause[Any]:
        return sa.column(quoted_name(self.columns[name].column, True))

    def _table(self) -> sa.TableClause:
        return sa.table(quoted_name(self.name, True), schema=quoted_name(self.schema, True))

    def _value(self, value: Any) -> Any:
        if isinstance(value, datetime) and self.server == "mssql":
            # a datetime given as text is read by the login's language, a datetime2 is not
            return sa.cast(sa.literal(value), mssql.DATETIME2(3))  # type: ignore[no-untyped-call]
        return sa.literal(value)

    def _after(self, key: Sequence[str], last: Sequence[Any]) -> sa.ColumnElement[bool]:
        """Rows behind a key; row values can't be compared in SQL Server."""
        parts = []
        for at, name in enumerate(key):
            equal = [self._column(key[i]) == self._value(last[i]) for i in range(at)]
            parts.append(sa.and_(*equal, self._column(name) > self._value(last[at])))
        return sa.or_(*parts)

    def page(
        self,
        rows: int,
        *,
        since: Mapping[str, datetime] | None = None,
        until: datetime | None = None,
        after: Sequence[Any] | None = None,
    ) -> sa.Select[Any]:
        """Rows in order of the key.

        Parameters
        ----------
        rows : int
            At most.
        since : dict of str to datetime, optional
            Well -> from when on; other wells are left out.
        until : datetime, optional
            Up to and with this time.
        after : sequence, optional
            Only rows behind this key.
        """
        chosen = sa.select(*(self._column(name).label(quoted_name(name, True)) for name in self.columns))
        chosen = chosen.select_from(self._table())
        if since is not None and self.time_column is not None:
            node, time = self._column("NodeID"), self._column(self.time_column)
            wells = [sa.and_(node == well, time >= self._value(at)) for well, at in since.items()]
            chosen = chosen.where(sa.or_(*wells))
        if until is not None and self.time_column is not None:
            chosen = chosen.where(self._column(self.time_column) <= self._value(until))
        if after is not None:
            chosen = chosen.where(self._after(self.key, after))
        return chosen.order_by(*(self._column(name) for name in self.key)).limit(rows)

    def newest(self, well: str, rows: int) -> sa.Select[Any]:
        """The newest rows of a well."""
        chosen = sa.select(*(self._column(name).label(quoted_name(name, True)) for name in self.columns))
        newest_first = [self._column(name).desc() for name in self.key]
        return (
            chosen.select_from(self._table())
            .where(self._column("NodeID") == well)
            .order_by(*newest_first)
            .limit(rows)
        )

    def newer(self, since: Mapping[str, datetime], until: datetime) -> sa.Select[Any]:
        """One row if any well has rows behind these times."""
        if self.time_column is None:
            raise SourceError(f"{self.kind.name} has no time")
        node, time = self._column("NodeID"), self._column(self.time_column)
        wells = [sa.and_(node == well, time > self._value(at)) for well, at in since.items()]
        return (
            sa.select(node)
            .where(sa.or_(*wells), time <= self._value(until))
            .select_from(self._table())
            .limit(1)
        )

    def next_well(self, last: str | None) -> sa.Select[Any]:
        """The well behind another one: all of them by as many looks into the index, without a scan."""
        node = self._column("NodeID")
        chosen = sa.select(sa.func.min(node)).select_from(self._table())
        return chosen if last is None else chosen.where(node > last)

    def extent(self) -> sa.Select[Any]:
        """Number of rows, oldest and newest time."""
        when = () if self.time_column is None else (self._column(self.time_column),)
        times = [function(each) for each in when for function in (sa.func.min, sa.func.max)]
        return sa.select(sa.func.count(), *times).select_from(self._table())

    def count_since(self, since: datetime, until: datetime | None = None) -> sa.Select[Any]:
        """Number of rows from a time on."""
        time = self._column(self.time_column or "")
        chosen = sa.select(sa.func.count()).select_from(self._table()).where(time > self._value(since))
        return chosen if until is None else chosen.where(time <= self._value(until))


def columns_of(server: str, schema: str) -> sa.Select[Any]:
    """Tables, columns and types of a schema."""
    # a server with a case-sensitive collation knows these names in one spelling only
    spell = str.upper if server == "mssql" else str.lower
    names: list[sa.ColumnClause[Any]] = [
        sa.column(quoted_name(spell(name), True))
        for name in ("table_schema", "table_name", "column_name", "data_type")
    ]
    where = sa.table(
        quoted_name(spell("columns"), True), schema=quoted_name(spell("information_schema"), True)
    )
    return sa.select(*names[1:]).select_from(where).where(sa.func.lower(names[0]) == schema.lower())


def clock(server: str) -> sa.Select[Any]:
    """The server's local time, and UTC."""
    if server == "mssql":
        return sa.select(sa.func.sysdatetime(), sa.func.sysutcdatetime())
    now = sa.func.clock_timestamp()
    return sa.select(
        sa.cast(sa.func.timezone(sa.func.current_setting("TimeZone"), now), sa.DateTime),
        sa.cast(sa.func.timezone("UTC", now), sa.DateTime),
    )
