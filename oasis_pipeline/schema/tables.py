"""All tables of the warehouse, and which drop-file kind feeds which.

Here: the assembly and look-up. The tables themselves stand in ``xspoc_tables``, ``clean_tables``, ``decision_tables``,
``iot_tables`` and ``system_tables``.
"""

from __future__ import annotations

from dataclasses import dataclass

from oasis_pipeline.schema.clean_tables import CLEAN_TABLES, DYNALABEL, FAILURE_INFO, WELL_GROUP
from oasis_pipeline.schema.decision_tables import DECISION_TABLES
from oasis_pipeline.schema.iot_tables import IOT_TABLES, RAWDATA
from oasis_pipeline.schema.model import Table
from oasis_pipeline.schema.system_tables import SYSTEM_TABLES
from oasis_pipeline.schema.xspoc_tables import (
    CARD,
    CARD_BLOBS,
    DEVIATIONS,
    PUMPINGUNITS,
    RODS,
    WELLDETAILS,
    WELLTEST,
    XDIAGRESULTS,
    XDIAGRODRESULTS,
    XSPOC_TABLES,
    card_columns,
    history_of,
)

__all__ = [
    "CARD_BLOBS",
    "DROP_KINDS",
    "TABLES",
    "DropKind",
    "card_columns",
    "drop_kind",
    "history_of",
    "table",
]

TABLES: tuple[Table, ...] = (
    *SYSTEM_TABLES,
    *XSPOC_TABLES,
    *CLEAN_TABLES,
    *DECISION_TABLES,
    *IOT_TABLES,
)
"""Every table, in the order in which they are created."""

_BY_NAME = {(t.schema, t.name): t for t in TABLES}


def table(schema: str, name: str) -> Table:
    """Look up a table.

    Parameters
    ----------
    schema, name : str
        As in ``schema.name``.

    Returns
    -------
    Table

    Raises
    ------
    KeyError
        If there is no such table.
    """
    return _BY_NAME[schema, name]


@dataclass(frozen=True)
class DropKind:
    """One kind of drop file.

    Attributes
    ----------
    name : str
        First part of the file's name.
    table : Table
        Where its rows go.
    columns : tuple of str
        Column names as they stand in the file; blob columns among them.
    whole_state : bool
        True if a file replaces everything known of each well it names (rod strings, surveys).
    order : int
        Kinds of a lower number go first in a pass.
    suffixes : tuple of str
        File endings accepted.
    open_columns : bool
        True if every column that is not among `columns` is a measure; else such columns are ignored.
    """

    name: str
    table: Table
    columns: tuple[str, ...]
    whole_state: bool = False
    order: int = 1
    suffixes: tuple[str, ...] = (".csv", ".csv.gz", ".parquet")
    open_columns: bool = False

    @property
    def time_column(self) -> str | None:
        """Column with the row's time; None for equipment."""
        return self.table.time_column

    @property
    def has_history(self) -> bool:
        """True for equipment, whose every state is kept."""
        return self.table.schema == "xspoc" and self.table.time_column is None


def _file_columns(source: Table) -> tuple[str, ...]:
    """Columns of a table that a file brings: everything but what intake itself adds (lower case)."""
    return tuple(name for name in source.column_names if not name.islower())


_KINDS = (
    DropKind("WellDetails", WELLDETAILS, _file_columns(WELLDETAILS), order=0),
    DropKind("Rods", RODS, _file_columns(RODS), whole_state=True),
    DropKind("Deviations", DEVIATIONS, _file_columns(DEVIATIONS), whole_state=True),
    DropKind("PumpingUnits", PUMPINGUNITS, _file_columns(PUMPINGUNITS)),
    DropKind("CardData", CARD, (*_file_columns(CARD), *CARD_BLOBS)),
    DropKind("XDiagResults", XDIAGRESULTS, _file_columns(XDIAGRESULTS)),
    DropKind("XDiagRodResults", XDIAGRODRESULTS, _file_columns(XDIAGRODRESULTS)),
    DropKind("WellTests", WELLTEST, _file_columns(WELLTEST)),
    DropKind(
        "Failures",
        FAILURE_INFO,
        ("NodeID", "Failure Start Date", "Failure End Date", "Failures"),
        suffixes=(".csv", ".csv.gz", ".parquet", ".xlsx"),
    ),
    DropKind("Labels", DYNALABEL, ("NodeID", "Date", "TrueLabel1", "TrueLabel2")),
    DropKind("Groups", WELL_GROUP, ("NodeID", "GroupName")),
    DropKind(
        "Readings",
        RAWDATA,
        ("module_num", "timestamp", "temperature", "voltage", "description"),
        suffixes=(".csv", ".csv.gz", ".parquet", ".ndjson"),
        open_columns=True,
    ),
)

DROP_KINDS: dict[str, DropKind] = {kind.name: kind for kind in _KINDS}
"""Kinds of drop file by name."""


def drop_kind(name: str) -> DropKind | None:
    """Kind of that name, or None."""
    return DROP_KINDS.get(name)
