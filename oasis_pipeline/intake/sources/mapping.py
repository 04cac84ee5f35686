"""Which table, columns and units of a source make which kind of drop file: ``source.toml``.

Here: the file's form, its checks, the defaults for XSPOC's published names, and the conversion of units. Not here: reading the source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from oasis_pipeline.intake.sources.base import SourceError
from oasis_pipeline.schema import CARD_BLOBS, DROP_KINDS, DropKind

MAPPING_FILE = "source.toml"

KINDS = (
    "WellDetails",
    "PumpingUnits",
    "Rods",
    "Deviations",
    "CardData",
    "XDiagResults",
    "XDiagRodResults",
    "WellTests",
)
"""Kinds that a database can bring, equipment first."""

TABLES = {
    "WellDetails": "tblWellDetails",
    "Rods": "tblRods",
    "Deviations": "tblDeviations",
    "CardData": "tblCardData",
    "XDiagResults": "tblXDiagResults",
    "XDiagRodResults": "tblXDiagRodResults",
    "WellTests": "tblWellTests",
}
"""Kind -> table, by XSPOC's published names. Dimensions of pumping units have no published names; a site maps a view of its own."""

SCHEMAS = {"postgresql": "xspoc_dbo", "mssql": "dbo"}
"""Schema in which the tables stand, where the file names none."""

SWEEP_DAYS = {"WellTests": 30.0}
_SWEEP_DAYS = 3.0

_UNITS: dict[str, tuple[str, float]] = {
    "in": ("length", 0.0254), "ft": ("length", 0.3048), "m": ("length", 1.0), "cm": ("length", 0.01), "mm": ("length", 0.001),
    "lbf": ("force", 4.4482216152605), "klbf": ("force", 4448.2216152605), "N": ("force", 1.0), "kN": ("force", 1000.0),
    "daN": ("force", 10.0), "kgf": ("force", 9.80665),
    "psi": ("pressure", 6894.757293168), "bar": ("pressure", 1e5), "kPa": ("pressure", 1e3), "MPa": ("pressure", 1e6),
    "bbl/d": ("rate", 0.158987294928), "m3/d": ("rate", 1.0), "Mscf/d": ("gas rate", 28.316846592), "sm3/d": ("gas rate", 1.0),
    "hp": ("power", 745.6998715822702), "kW": ("power", 1000.0),
    "in-lbf": ("torque", 0.1129848290276167), "ft-lbf": ("torque", 1.3558179483314004), "kN-m": ("torque", 1000.0), "N-m": ("torque", 1.0),
    "h": ("time", 3600.0), "min": ("time", 60.0), "s": ("time", 1.0),
    "h/d": ("share of a day", 1 / 24), "min/d": ("share of a day", 1 / 1440),
    "%": ("share", 0.01), "1": ("share", 1.0),
}  # fmt: skip
"""Unit -> dimension, and what one of it is in that dimension's first unit."""

Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class ColumnMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of a source.

    Attributes
    ----------
    column : str
        Its name there.
    unit : str or None
        Its unit there, where that is not the unit of ``docs/tables.md``.
    position_unit, load_unit : str or None
        The same of a card's points.
    """

    column: Name
    unit: str | None = None
    position_unit: str | None = None
    load_unit: str | None = None


class TableMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table, or view, of a source.

    Attributes
    ----------
    table : str or None
        Its name; XSPOC's by default. Empty: the kind is not read.
    schema : str or None
        Where it stands, if not where the others do.
    columns : dict of str to str or ColumnMapping
        Column of the drop file -> column of the source; those that are not named have the same name. An empty name: not read.
    sweep_days : float or None
        How far a sweep looks back for late and corrected rows.
    """

    table: str | None = None
    schema: Name | None = None
    columns: dict[str, str | ColumnMapping] = msgspec.field(default_factory=dict)
    sweep_days: Positive | None = None


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a source is read.

    Attributes
    ----------
    name : str
        Under which its watermarks are kept; so its address may change.
    schema : str or None
        Where its tables stand; ``dbo`` in SQL Server, ``xspoc_dbo`` in PostgreSQL.
    timezone : str or None
        In which it writes times; the field's by default.
    every_seconds : float
        Between two looks of the sensor.
    first_days : float
        How far the first increment of a well looks back; a backfill brings what was before.
    overlap_minutes : float
        How far every increment looks back behind what it has of a well, also when a clock was set back.
    sweep_minutes : float
        Between two sweeps, which look back `TableMapping.sweep_days`, for new wells, and at equipment.
    batch_rows : int
        Rows of a statement, and about those of a drop file.
    rows_per_second : float
        Not more than this on average.
    statement_seconds : float
        A statement that takes longer is given up.
    tables : dict of str to TableMapping
        By kind of drop file.
    """

    name: Name = "xspoc"
    schema: Name | None = None
    timezone: str | None = None
    every_seconds: Annotated[float, msgspec.Meta(ge=5.0, le=86_400.0)] = 60.0
    first_days: Positive = 7.0
    overlap_minutes: Annotated[float, msgspec.Meta(ge=0.0)] = 120.0
    sweep_minutes: Positive = 60.0
    batch_rows: Annotated[int, msgspec.Meta(ge=10, le=100_000)] = 2000
    rows_per_second: Positive = 5000.0
    statement_seconds: Annotated[float, msgspec.Meta(ge=1.0, le=3600.0)] = 30.0
    tables: dict[str, TableMapping] = msgspec.field(default_factory=dict)

    @property
    def silent_minutes(self) -> float:
        """After how long without a sweep somebody should know."""
        return max(3 * self.sweep_minutes, 60.0)

    def of(self, kind: str) -> TableMapping:
        """What is said of a kind."""
        return self.tables.get(kind, TableMapping())

    def table_name(self, kind: str) -> str | None:
        """Table of a kind; None if it is not read."""
        named = self.of(kind).table
        return TABLES.get(kind) if named is None else named or None

    def sweep_days(self, kind: str) -> float:
        """How far a sweep of a kind looks back, days."""
        return self.of(kind).sweep_days or SWEEP_DAYS.get(kind, _SWEEP_DAYS)

    def column(self, kind: str, name: str) -> ColumnMapping | None:
        """Where a column of a kind comes from; None if it is not read."""
        given = self.of(kind).columns.get(name, name)
        if isinstance(given, ColumnMapping):
            return given
        return ColumnMapping(given) if given else None

    def zone(self, field: ZoneInfo) -> ZoneInfo:
        """Zone of the source's times."""
        return field if self.timezone is None else ZoneInfo(self.timezone)

    def digest(self, kind: str) -> str:
        """Changes when the rows of a kind would come out otherwise."""
        said = msgspec.json.encode([self.timezone, self.of(kind).columns], order="sorted")
        return hashlib.sha256(said).hexdigest()[:16]


def load_mapping(home: Path) -> Mapping:
    """Read ``source.toml`` of a home folder; without one everything is as XSPOC has it.

    Raises
    ------
    SourceError
        If it can't be used; the message names the key and what is wrong.
    """
    try:
        return parse_mapping((home / MAPPING_FILE).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return Mapping()
    except UnicodeDecodeError:
        raise SourceError(f"{home / MAPPING_FILE} is not UTF-8 text: save it as UTF-8") from None


def parse_mapping(text: str) -> Mapping:
    """Read a mapping from TOML.

    Parameters
    ----------
    text : str
        Content of ``source.toml``.

    Returns
    -------
    Mapping

    Raises
    ------
    SourceError
        If the text is not TOML, a key, kind, column, unit or time zone is unknown, or a value is of the wrong type or out of range.
    """
    try:
        mapping = msgspec.toml.decode(text, type=Mapping)
    except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
        raise SourceError(f"{MAPPING_FILE} can't be used: {error}") from None
    if mapping.timezone is not None:
        try:
            ZoneInfo(mapping.timezone)
        except (OSError, ValueError, KeyError):
            raise _wrong(
                "timezone", f"{mapping.timezone!r} is not a time zone: use one such as America/Chicago or UTC"
            ) from None
    for kind, table in mapping.tables.items():
        if kind not in KINDS:
            raise _wrong(f"tables.{kind}", f"is none of {', '.join(KINDS)}")
        for name, given in table.columns.items():
            _check_column(DROP_KINDS[kind], name, given)
    return mapping


def _check_column(kind: DropKind, name: str, given: str | ColumnMapping) -> None:
    place = f"tables.{kind.name}.columns.{name}"
    if name not in kind.columns:
        raise _wrong(place, f"is not a column of {kind.name}; docs/tables.md lists them")
    if given == "" and name in kind.table.key:
        raise _wrong(place, "is part of the key, so it has to be read")
    if isinstance(given, str):
        return
    units = [("position_unit", given.position_unit, "in"), ("load_unit", given.load_unit, "lbf")]
    if name in CARD_BLOBS:
        if given.unit is not None:
            raise _wrong(place, "is a card: it has a position_unit and a load_unit")
    else:
        if given.position_unit or given.load_unit:
            raise _wrong(place, "is not a card: it has one unit")
        units = [("unit", given.unit, kind.table.by_name[name].unit)]
    for key, unit, own in units:
        if unit is None:
            continue
        if own not in _UNITS:
            raise _wrong(f"{place}.{key}", "has no unit that could be converted")
        same = [each for each, (dimension, _) in _UNITS.items() if dimension == _UNITS[own][0]]
        if unit not in same:
            raise _wrong(f"{place}.{key}", f"{unit!r} is none of {', '.join(same)}")


def _wrong(place: str, what: str) -> SourceError:
    return SourceError(f"{MAPPING_FILE} can't be used: {place}: {what}")


def factor(unit: str | None, own: str) -> float:
    """By what a value in `unit` is multiplied to be one in `own`, of the same dimension."""
    return 1.0 if unit is None or unit == own else _UNITS[unit][1] / _UNITS[own][1]


def convert_values(values: Sequence[Any], by: float) -> list[Any]:
    """Multiply numbers; what is no number stays as it is, for intake to judge."""
    if by == 1.0:
        return list(values)
    return [
        value if value is None or isinstance(value, (str, bytes, bool)) else float(value) * by
        for value in values
    ]


def convert_cards(blobs: Sequence[Any], position_by: float, load_by: float) -> list[Any]:
    """Multiply the points of cards: little-endian float32, all loads, then all positions.

    A text (hex) is read as bytes; what is no card stays as it is, for intake to judge.
    """
    if position_by == load_by == 1.0:
        return list(blobs)
    return [_convert_card(blob, position_by, load_by) for blob in blobs]


def _convert_card(blob: Any, position_by: float, load_by: float) -> Any:
    data = blob
    if isinstance(blob, str):
        text = blob.strip()
        try:
            data = bytes.fromhex(text[2:] if text[:2] in ("0x", "0X", "\\x", "\\X") else text)
        except ValueError:
            return blob
    if data is None or len(data) % 8:
        return blob
    points = np.frombuffer(data, "<f4").reshape(2, -1).astype(np.float64) * [[load_by], [position_by]]
    return points.astype("<f4").tobytes()
