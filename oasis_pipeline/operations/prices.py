"""The prices and costs in force: stored in ``analysis.economics``, taken from ``economics.toml`` of the home folder."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pyarrow as pa

from oasis_pipeline.decisions import Economics, EconomicsError, parse_economics
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse

ECONOMICS = table("analysis", "economics")
ECONOMICS_FILE = "economics.toml"


def stored_economics(warehouse: Warehouse) -> Economics:
    """Read the prices that are in force; the defaults before any were stored."""
    rows = warehouse.query("select settings::text as settings from analysis.economics").to_pylist()
    return msgspec.json.decode(rows[0]["settings"], type=Economics) if rows else Economics()


def take_economics(warehouse: Warehouse, home: Path) -> str | None:
    """Store the prices of the home folder where they have changed, so that the lists are made again.

    Parameters
    ----------
    warehouse : Warehouse
    home : Path
        Home folder.

    Returns
    -------
    str or None
        What is wrong with the file; the prices that were in force stay so.
    """
    path = home / ECONOMICS_FILE
    try:
        wanted = parse_economics(path.read_text(encoding="utf-8")) if path.exists() else Economics()
    except (EconomicsError, OSError, UnicodeDecodeError) as error:
        return f"{path}: {error}; the lists keep the prices they had"
    rows = warehouse.query("select settings::text as settings from analysis.economics").to_pylist()
    if rows and msgspec.json.decode(rows[0]["settings"], type=Economics) == wanted:
        return None
    new = pa.table(
        {"name": ["economics"], "settings": [msgspec.json.encode(wanted).decode()]},
        schema=arrow_schema(ECONOMICS),
    )
    with warehouse.transaction() as tx:
        tx.upsert(ECONOMICS, new)
        ledger.mark_changed(tx, ECONOMICS.asset, {"": 1})
    return None
