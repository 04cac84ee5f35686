"""What a table is: columns with type, unit and meaning, a key, and the SQL and Arrow forms made from them.

Here: the small vocabulary in which ``tables`` is written. Not here: any particular table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property

import pyarrow as pa


class Type(Enum):
    """A column type, with its PostgreSQL and Arrow spelling."""

    TEXT = ("text", pa.string())
    FLOAT = ("double precision", pa.float64())
    INT = ("bigint", pa.int64())
    BOOL = ("boolean", pa.bool_())
    TIME = ("timestamp(3)", pa.timestamp("ms"))
    """A field's local time, to the millisecond, without a zone."""
    UTC = ("timestamptz", pa.timestamp("us", tz="UTC"))
    DAY = ("date", pa.date32())
    POINTS = ("real[]", pa.list_(pa.float32()))
    """The points of one axis of a card, as they arrived."""
    DOCUMENT = ("jsonb", pa.string(), "document")
    """A JSON object of anything, in Arrow as its text."""
    JSON = ("jsonb", pa.string())
    """A JSON object of numbers by name."""
    CODES = ("text[]", pa.list_(pa.string()))
    """A short list of codes."""

    @property
    def sql(self) -> str:
        """PostgreSQL type name."""
        return str(self.value[0])

    @property
    def arrow(self) -> pa.DataType:
        """Arrow type."""
        return self.value[1]

    @property
    def is_json(self) -> bool:
        """Whether PostgreSQL keeps it as ``jsonb``."""
        return self in (Type.DOCUMENT, Type.JSON)


class Kind(Enum):
    """What a table holds, which decides how it is written."""

    SERIES = "series"
    """Rows with a time; day-partitioned."""
    STATE = "state"
    """The newest state of each well; not partitioned."""
    SYSTEM = "system"
    """The platform's own book-keeping."""


def quote(name: str) -> str:
    """Quote an SQL identifier.

    Parameters
    ----------
    name : str
        Identifier as it should be stored.

    Returns
    -------
    str
        The identifier in double quotes, inner quotes doubled.
    """
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
        Name in PostgreSQL, Arrow and files alike.
    type : Type
        Storage type.
    unit : str
        Unit of measure; empty for texts, flags and times.
    description : str
        What the value means, in the field's terms.
    required : bool
        True if null is refused. Key columns are always required.
    """

    name: str
    type: Type = Type.FLOAT
    unit: str = ""
    description: str = ""
    required: bool = False


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes
    ----------
    schema, name : str
        Where it stands in PostgreSQL; also its asset key.
    key : tuple of str
        Primary key columns.
    columns : tuple of Column
        All columns, key included, in order.
    kind : Kind
        How the table is written.
    description : str
        One or two sentences for people.
    time_column : str or None
        Column whose day is the partition.
    indexes : tuple of tuple of str
        Further indexes, each a tuple of columns.
    storage_options : str
        ``WITH (...)`` options.
    partition_by_day : bool
        True for a table that PostgreSQL itself keeps in one partition a day of `time_column` (UTC); ``storage.partitions``
        makes them when they are needed.
    """

    schema: str
    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    kind: Kind
    description: str
    time_column: str | None = None
    indexes: tuple[tuple[str, ...], ...] = ()
    storage_options: str = ""
    partition_by_day: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.key if name not in self.by_name]
        if unknown or len(self.by_name) != len(self.columns):
            raise ValueError(
                f"{self.schema}.{self.name}: unknown key columns {unknown} or a name given twice"
            )
        if self.partition_by_day and (self.time_column not in self.key or self.storage_options):
            raise ValueError(
                f"{self.schema}.{self.name}: PostgreSQL wants the column of the partitions in the key, and no storage options"
            )

    def __hash__(self) -> int:
        """Tell tables apart by name: hashing every column would cost what `arrow_schema` saves by remembering."""
        return hash((self.schema, self.name))

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by name."""
        return {column.name: column for column in self.columns}

    @property
    def full_name(self) -> str:
        """``schema.name``, quoted."""
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def asset(self) -> str:
        """``schema/name``, the asset key in one string."""
        return f"{self.schema}/{self.name}"

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def value_columns(self) -> tuple[str, ...]:
        """Names of the columns outside the key."""
        return tuple(name for name in self.column_names if name not in self.key)


@cache
def arrow_schema(table: Table) -> pa.Schema:
    """Arrow schema of a table.

    Parameters
    ----------
    table : Table
        The table.

    Returns
    -------
    pyarrow.Schema
        One field a column; the unit and description travel as field metadata.
    """
    fields = [
        pa.field(
            column.name,
            column.type.arrow,
            nullable=not (column.required or column.name in table.key),
            metadata={"unit": column.unit, "description": column.description},
        )
        for column in table.columns
    ]
    return pa.schema(fields)


def column_sql(table: Table, column: Column) -> str:
    """SQL definition of one column, as in ``CREATE TABLE`` or ``ADD COLUMN``."""
    required = " NOT NULL" if column.required or column.name in table.key else ""
    return f"{quote(column.name)} {column.type.sql}{required}"


def create_table_sql(table: Table) -> list[str]:
    """Statements that make a table with its key, indexes and comments.

    Parameters
    ----------
    table : Table
        The table.

    Returns
    -------
    list of str
        Statements in order; running them twice does nothing the second time.
    """
    lines = [f"    {column_sql(table, column)}" for column in table.columns]
    lines.append(f"    PRIMARY KEY ({', '.join(quote(name) for name in table.key)})")
    options = f" WITH ({table.storage_options})" if table.storage_options else ""
    if table.partition_by_day and table.time_column is not None:
        options = f" PARTITION BY RANGE ({quote(table.time_column)})"
    statements = [f"CREATE TABLE IF NOT EXISTS {table.full_name} (\n" + ",\n".join(lines) + f"\n){options}"]
    points = [column for column in table.columns if column.type is Type.POINTS]
    if points:
        # measured floats do not compress (trying to halves the speed of a load), and kept out of line they leave the rest
        # of the table six times smaller to scan
        stored = ", ".join(f"ALTER COLUMN {quote(column.name)} SET STORAGE EXTERNAL" for column in points)
        statements.append(f"ALTER TABLE {table.full_name} SET (toast_tuple_target = 256), {stored}")
    for columns in table.indexes:
        index = quote(f"{table.name}_{'_'.join(columns)}_idx".lower().replace(" ", "_"))
        on = ", ".join(quote(name) for name in columns)
        statements.append(f"CREATE INDEX IF NOT EXISTS {index} ON {table.full_name} ({on})")
    statements.append(f"COMMENT ON TABLE {table.full_name} IS {_literal(table.description)}")
    for column in table.columns:
        text = f"{column.description} [{column.unit}]" if column.unit else column.description
        if text:
            statements.append(f"COMMENT ON COLUMN {table.full_name}.{quote(column.name)} IS {_literal(text)}")
    return statements


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
