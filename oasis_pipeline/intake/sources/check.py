"""What a database that is a source is like: tables, columns, counts, clocks, and a card of it.

Here: what ``oasis source check`` says. Not here: reading for intake (``database``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import numpy as np

from oasis_pipeline.cards.codec import BlobFault, decode_blobs, decode_hex, pack_bytes
from oasis_pipeline.cards.misfit import judge_cards, misfit_text
from oasis_pipeline.intake.sources import statements
from oasis_pipeline.intake.sources.base import SourceError
from oasis_pipeline.intake.sources.connection import SourceConnection
from oasis_pipeline.intake.sources.mapping import Mapping
from oasis_pipeline.intake.sources.rows import naive_time, to_arrow
from oasis_pipeline.intake.sources.statements import SourceTable
from oasis_pipeline.schema import DropKind
from oasis_pipeline.settings import Settings

_SAMPLE_ROWS = 20
_BLOBS = ("SurfaceCardB", "POCDownholeCardB", "DownholeCardB")

Looked = tuple[DropKind, SourceTable | None, dict[str, tuple[str, str]]]
"""A mapped kind with its table, if that is there, and all columns of it by folded name: name and type."""


def check_source(
    connection: SourceConnection, mapping: Mapping, settings: Settings, looked: Iterable[Looked]
) -> dict[str, Any]:
    """Look at tables, columns, types, counts, newest rows and clocks; nothing is stored.

    Parameters
    ----------
    connection : SourceConnection
    mapping : Mapping
    settings : Settings
        Of the field, for its time zone.
    looked : iterable of tuple
        Each mapped kind with its table, if that is there, and all columns of it by folded name: name and type.

    Returns
    -------
    dict
        ``source``, ``clock``, ``tables`` (one entry a kind), ``sample_card`` (a card of the first well, with what is wrong with it), and
        ``findings``: what to do, in words.
    """
    findings: list[str] = []
    zone = mapping.zone(settings.zone)
    ((local, utc),) = connection.read(statements.clock(connection.server))
    now = datetime.now(UTC).replace(tzinfo=None)
    skew = (utc - now).total_seconds()
    offset = round((local - utc).total_seconds() / 900) / 4
    mine = datetime.now(zone).replace(tzinfo=None)
    if abs(skew) > 60:
        findings.append(f"the source's clock is {skew:+.0f} s from this machine's: set one of them")
    looked = list(looked)
    entries = [_check_table(connection, mapping, zone, look, mine, findings) for look in looked]
    cards = next((table for kind, table, _ in looked if kind.name == "CardData"), None)
    newest = max((entry["newest"] for entry in entries if entry.get("newest") is not None), default=None)
    guess = None
    if newest is not None and abs((newest - mine).total_seconds()) < 86_400:
        # the newest row of a field that works is minutes old: the next half hour above it is the zone's
        guess = (
            -(-((newest - now).total_seconds()) // 1800) / -2
            if newest > now
            else -(((now - newest).total_seconds()) // 1800) / 2
        )
        if newest > mine + timedelta(minutes=5):
            findings.append(
                f"the newest row lies {(newest - mine).total_seconds() / 60:.0f} minutes after the clock in {zone}: its times are"
                " in another zone; set `timezone` in source.toml"
            )
    elif newest is not None and newest > mine:
        findings.append(
            f"the newest row is of {newest}, more than a day after the clock: a controller's clock is wrong"
        )
    return {
        "source": str(connection.where),
        "server": connection.server,
        "mapping": mapping.name,
        "clock": {
            "skew_s": round(skew, 1),
            "server_utc_offset_h": offset,
            "rows_utc_offset_h_at_least": guess,
            "timezone": str(zone),
            "field_timezone": settings.timezone,
        },
        "tables": entries,
        "sample_card": None
        if cards is None
        else _sample_card(connection, cards, zone, settings.zone, findings),
        "findings": findings,
    }


def _sample_card(
    connection: SourceConnection, table: SourceTable, zone: tzinfo, field: tzinfo, findings: list[str]
) -> dict[str, Any] | None:
    """Read one of the newest cards as intake would, and judge it; None where a well has none."""
    blobs = [name for name in _BLOBS if name in table.columns]
    if not blobs or set(table.key) & set(table.missing):
        return None
    try:
        ((well,),) = connection.read(table.next_well(None))
        rows = [] if well is None else connection.read(table.newest(str(well), _SAMPLE_ROWS))
        read = to_arrow(table, rows, zone, field) if rows else None
    except SourceError as error:
        findings.append(f"no card of {table.name} could be read: {error}")
        return None
    for name in blobs if read is not None else ():
        for row in read.to_pylist() if read is not None else ():
            if row[name]:
                return _judged(table, name, row, findings)
    return None


def _check_table(
    connection: SourceConnection,
    mapping: Mapping,
    zone: tzinfo,
    look: Looked,
    mine: datetime,
    findings: list[str],
) -> dict[str, Any]:
    kind, table, there = look
    entry: dict[str, Any] = {
        "kind": kind.name,
        "table": mapping.table_name(kind.name),
        "found": table is not None,
    }
    if table is None:
        findings.append(
            f"no table {entry['table']} ({kind.name}): its rows will be missing; name another one in source.toml"
        )
        return entry
    used = {given.column.casefold() for given in table.columns.values()}
    entry |= {
        "columns": {
            name: f"{given.column} {there[given.column.casefold()][1]}"
            for name, given in table.columns.items()
        },
        "missing": list(table.missing),
        "not_mapped": [f"{name} {what}" for folded, (name, what) in there.items() if folded not in used],
    }
    if lacking := [name for name in table.key if name in table.missing]:
        findings.append(
            f"{table.name} has no column {', '.join(lacking)}, part of the key: map it in source.toml"
        )
        return entry
    try:
        ((count, *times),) = connection.read(table.extent())
        entry["rows"] = count
        if times:
            entry["oldest"], entry["newest"] = (
                None if each is None else naive_time(each, zone) for each in times
            )
            ((entry["rows_of_last_day"],),) = connection.read(
                table.count_since(mine - timedelta(days=1), mine)
            )
            ((ahead,),) = connection.read(table.count_since(mine + timedelta(minutes=5)))
            if ahead:
                findings.append(
                    f"{table.name}: {ahead} rows lie after the clock in {zone}; they wait until their time comes"
                )
    except SourceError as error:
        entry["not_counted"] = str(error)
    return entry


def _judged(table: SourceTable, name: str, row: dict[str, Any], findings: list[str]) -> dict[str, Any]:
    """Decode a card of a source and say what is wrong with it."""
    blob = row[name] if isinstance(row[name], (bytes, str)) else str(row[name])
    packed = pack_bytes([blob])
    column, faults = (decode_hex if isinstance(blob, str) else decode_blobs)(*packed)
    sample: dict[str, Any] = {"NodeID": row["NodeID"], "Date": row["Date"], "column": name}
    fault: str | None = None
    if faults[0]:
        fault = BlobFault(faults[0]).text
    else:
        position, load = column.row(0)
        pump, stroke = name != "SurfaceCardB", float(row.get("StrokeLength") or np.nan)
        code = judge_cards(column, pump=pump, stroke_length_in=np.array([stroke]))[0]
        if code:
            fault = misfit_text(position, load, int(code), pump=pump, stroke_length_in=stroke)
        sample |= {
            "points": len(position),
            "position_in": position.astype(float).round(3).tolist(),
            "load_lbf": load.astype(float).round(1).tolist(),
        }
    if fault is not None:
        findings.append(
            f"the card {name} of {row['NodeID']} at {row['Date']} in {table.name} can't be used ({fault}): map its column, order or units in "
            "source.toml"
        )
    return {**sample, "fault": fault}
