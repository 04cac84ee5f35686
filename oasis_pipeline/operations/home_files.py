"""Files of the home folder that change what is made: ``economics.toml`` and ``models.toml``.

Here: what of them is in force, which is kept in a table, so that a change makes stale what rests on it. Not here: what they may say.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from oasis_pipeline.decisions import Economics, EconomicsError, parse_economics
from oasis_pipeline.learning.site_models import SiteModelError, TrendChoice, read_site_models
from oasis_pipeline.schema import Table, arrow_schema, table
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse

ECONOMICS = table("analysis", "economics")
ECONOMICS_FILE = "economics.toml"
FORECASTER = table("analysis", "forecaster")

Setting = TypeVar("Setting", Economics, TrendChoice)


def stored_economics(warehouse: Warehouse) -> Economics:
    """Read the prices that are in force; the defaults before any were stored."""
    return _stored(warehouse, ECONOMICS, Economics) or Economics()


def stored_forecaster(warehouse: Warehouse) -> TrendChoice:
    """Read which forecaster of trends is in force."""
    return _stored(warehouse, FORECASTER, TrendChoice) or TrendChoice()


def read_economics(home: Path) -> Economics:
    """Read ``economics.toml`` of a home folder; the defaults if there is none.

    Parameters
    ----------
    home : Path

    Returns
    -------
    Economics

    Raises
    ------
    EconomicsError
        If the file can't be used. The message names it.
    """
    path = home / ECONOMICS_FILE
    try:
        return parse_economics(path.read_text("utf-8-sig")) if path.exists() else Economics()
    except (EconomicsError, OSError, UnicodeDecodeError) as error:
        raise EconomicsError(f"{path}: {error}") from error


def take_home_files(warehouse: Warehouse, home: Path) -> list[str]:
    """Store what the files of the home folder say where that has changed, so that what rests on it is made again.

    Parameters
    ----------
    warehouse : Warehouse
    home : Path
        Home folder.

    Returns
    -------
    list of str
        What is wrong with the files; what was in force stays so.
    """
    wrong = []
    try:
        _keep(warehouse, ECONOMICS, read_economics(home))
    except EconomicsError as error:
        wrong.append(f"{error}; the lists keep the prices they had")
    try:
        chosen = read_site_models(home).trend
        # a table without a row says the same as the default
        if chosen != stored_forecaster(warehouse):
            _keep(warehouse, FORECASTER, chosen)
    except SiteModelError as error:
        wrong.append(f"{error}; trends keep the forecaster they had")
    return wrong


def _stored(warehouse: Warehouse, where: Table, kind: Callable[..., Setting]) -> Setting | None:
    rows = warehouse.query(f"select settings::text as settings from {where.full_name}").to_pylist()
    return msgspec.json.decode(rows[0]["settings"], type=kind) if rows else None


def _keep(warehouse: Warehouse, where: Table, wanted: Any) -> None:
    if _stored(warehouse, where, type(wanted)) == wanted:
        return
    new = pa.table(
        {"name": [where.name], "settings": [msgspec.json.encode(wanted).decode()]},
        schema=arrow_schema(where),
    )
    with warehouse.transaction() as tx:
        tx.upsert(where, new)
        ledger.mark_changed(tx, where.asset, {"": 1})
