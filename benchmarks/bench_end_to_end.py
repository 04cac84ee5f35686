"""Speed of everything: drop files of a field to the last table, by ``oasis run``, beside the earlier platform's way and plain copies.

The field is simulated once for at most 40 wells; more wells are copies of these under other names, with noise on every card. It is
kept in the cache folder. Labels are those of the first 40 wells, so that a training is the same whatever the size. The newest day is held
back and comes in alone and without labels, as in a field's ordinary night; then a run has nothing to do.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.ensemble import RandomForestClassifier

from benchmarks.bench_storage import decoded_cards
from oasis_pipeline.cards.descriptors import elliptic_fourier
from oasis_pipeline.cards.geometry import area_in_lbf
from oasis_pipeline.commands.simulate import SENSOR_MODULES
from oasis_pipeline.settings import load_settings
from oasis_pipeline.simulation.field import simulate_field
from oasis_pipeline.storage.installation import using_warehouse

ON_REQUEST = True
SIZE = (240, 31)
SEED = 77
BASE_WELLS = 40
NOISE_LBF = 15.0

TO_STORED = ("intake",)
TO_PREDICTION = ("clean__dynabounds", "clean__card_features", "clean__dynapred", "dbt_days")
PER_CARD = (*TO_PREDICTION, "diagnose_cards")
TRAINING = ("models__",)
_ONE_FIELD = ("Labels", "Readings")

_SURFACE_POINTS = 100
_TREES = 100


@dataclass(frozen=True)
class Measured:
    """What a field came to.

    Attributes
    ----------
    wells, days, cards : int
    backfill, increment, idle : dict
        What ``oasis run --json --profile`` told of all days but the newest, of the newest, and with nothing to do; ``seconds`` by the clock
        and ``peak_mb`` too.
    database_bytes, store_bytes, archive_bytes : int
        Disk that the database, the object store and the archive of drop files took in the end.
    """

    wells: int
    days: int
    cards: int
    backfill: dict[str, Any]
    increment: dict[str, Any]
    idle: dict[str, Any]
    database_bytes: int
    store_bytes: int
    archive_bytes: int


def rows(size: tuple[int, int] = SIZE, cache: Path | None = None) -> list[dict[str, Any]]:
    """Measure; one row a figure: name, figure, unit, note."""
    with tempfile.TemporaryDirectory(prefix="oasis-bench-") as scratch:
        root = Path(scratch)
        source = write_field(cache or root / "cache", *size)
        measured = measure(source, *size, root)
        earlier = _earlier_way(source)
        copies = list(_plain_copies(root))
    return [*_told(measured), *_beside(measured, earlier), *copies]


def measure(source: Path, wells: int, days: int, root: Path) -> Measured:
    """Run a field's drop files through an installation under a folder: the backfill, one more day, nothing."""
    home = root / "home"
    settings = load_settings(home, settle_seconds=0)
    settings.drop.mkdir(parents=True)
    newest = max(path.name.split(".")[2] for path in source.glob("CardData.*"))
    for path in source.iterdir():
        if path.name.split(".")[2] < newest:
            shutil.copy(path, settings.drop)
    backfill = _run(home)
    for path in source.glob(f"*.{newest}.*"):
        if not path.name.startswith("Labels."):
            shutil.copy(path, settings.drop)
    increment, idle = _run(home), _run(home)
    with using_warehouse(settings) as warehouse:
        found = warehouse.query(
            "select count(*) as cards, pg_database_size(current_database()) as bytes from xspoc.card"
        ).to_pylist()[0]
    archive = _size_of(settings.store / "backup")
    stored = _size_of(settings.store) - archive
    return Measured(wells, days, found["cards"], backfill, increment, idle, found["bytes"], stored, archive)


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_field(cache: Path, wells: int, days: int, cards_per_day: int = 3) -> Path:
    """Write the drop files of a field, once; return their folder."""
    often = "" if cards_per_day == 3 else f"x{cards_per_day}"
    base = cache / f"end-to-end-{min(wells, BASE_WELLS)}x{days + 1}{often}"
    if not base.exists():
        part = base.with_suffix(".part")
        simulate_field(
            part, min(wells, BASE_WELLS), days + 1, SEED, cards_per_day=cards_per_day, modules=SENSOR_MODULES
        )
        part.rename(base)
    copies = -(-wells // BASE_WELLS)
    if copies == 1:
        return base / "drop"
    out = cache / f"end-to-end-{wells}x{days + 1}{often}"
    if not out.exists():
        part = out.with_suffix(".part")
        part.mkdir(parents=True)
        rng = np.random.default_rng(SEED)
        for path in sorted((base / "drop").iterdir()):
            _copy_under_other_names(path, part / path.name, copies, rng)
        part.rename(out)
    return out


def _copy_under_other_names(path: Path, out: Path, copies: int, rng: np.random.Generator) -> None:
    """Write a drop file `copies` times: rows of wells of other names follow those that are there, cards with noise."""
    csv.field_size_limit(1 << 30)
    with path.open(newline="") as read, out.open("w", newline="") as write:
        header, *lines = csv.reader(read)
        writer = csv.writer(write)
        writer.writerows([header, *lines])
        if path.name.startswith(_ONE_FIELD) or "NodeID" not in header:
            return
        node = header.index("NodeID")
        card = header.index("SurfaceCardB") if "SurfaceCardB" in header else None
        for copy in range(1, copies):
            for line in lines:
                if len(line) == len(header):
                    line = [*line]
                    line[node] = f"{line[node].rstrip()}-{copy}"
                    if card is not None:
                        line[card] = _noisy(line[card], rng)
                    writer.writerow(line)


def _noisy(text: str, rng: np.random.Generator) -> str:
    try:
        points = np.frombuffer(bytes.fromhex(text.removeprefix("0x")), "<f4").copy()
    except ValueError:
        return text  # a damaged card stays one
    half = len(points) // 2  # loads come first
    points[:half] += rng.normal(0.0, NOISE_LBF, half).astype(np.float32)
    return points.tobytes().hex().upper()


def _oasis() -> str:
    return str(Path(sys.executable).with_name("oasis"))


def _run(home: Path) -> dict[str, Any]:
    """Run ``oasis run --profile``; what it tells, with wall seconds and most memory."""
    environment = os.environ | {"OASIS_SETTLE_SECONDS": "0"}
    began = time.perf_counter()
    asked = [_oasis(), "run", "--home", str(home), "--profile", "--json"]
    # a child's own peak: the greatest of all children so far would be the first run's
    with subprocess.Popen(asked, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        told: dict[str, Any] = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"oasis run ended with {process.returncode}: {told}")
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return told | {"seconds": time.perf_counter() - began, "peak_mb": _most(usage) / scale}


def _most(usage: resource.struct_rusage) -> float:
    return float(usage.ru_maxrss)


def _seconds(told: dict[str, Any], names: tuple[str, ...]) -> float:
    """Seconds of the parts whose name begins like one of these."""
    return sum(part["seconds"] for part in told["profile"] if part["part"].startswith(names))


def _told(measured: Measured) -> Iterator[dict[str, Any]]:
    backfill, increment, idle = measured.backfill, measured.increment, measured.idle
    cards, wells = measured.cards, measured.wells

    def row(name: str, figure: float, unit: str, note: str = "") -> dict[str, Any]:
        return {"name": name, "figure": figure, "unit": unit, "note": note}

    training = _seconds(backfill, TRAINING)
    stored = _seconds(backfill, TO_STORED)
    predicted = stored + _seconds(backfill, TO_PREDICTION)
    diagnosed = stored + _seconds(backfill, PER_CARD)
    yield row("cards", cards, "", f"{wells} wells")
    yield row("drop files stored and archived", cards / stored, "cards/s", "all kinds of files")
    yield row("drop files to predictions", cards / predicted, "cards/s", "bounds, features; training apart")
    yield row("drop files to predictions and diagnosis", cards / diagnosed, "cards/s", "training apart")
    whole = backfill["seconds"]
    yield row("drop files to every table", cards / (whole - training), "cards/s", "training apart")
    yield row("drop files to every table, training too", cards / whole, "cards/s", f"{whole:.0f} s")
    yield row("training", training, "s", "classifier, failures, run life, card forecasts")
    yield row("most memory of that run", backfill["peak_mb"], "MB")
    yield row(
        "one more day, every table", increment["seconds"], "s", f"most memory {increment['peak_mb']:.0f} MB"
    )
    yield row("one more day, training apart", increment["seconds"] - _seconds(increment, TRAINING), "s")
    yield row("a run with nothing to do", idle["seconds"], "s")
    for title, told in (("backfill", backfill), ("one more day", increment)):
        for part in sorted(told["profile"], key=lambda part: -part["seconds"])[:12]:
            count = part["rows"]
            yield row(f"{title}: {part['part']}", part["seconds"], "s", f"{count:,} rows" if count else "")


def _beside(measured: Measured, earlier: tuple[int, dict[str, float]]) -> Iterator[dict[str, Any]]:
    backfill, cards = measured.backfill, measured.cards
    count, seconds = earlier
    whole = sum(seconds.values())
    ours = cards / (_seconds(backfill, TO_STORED) + _seconds(backfill, TO_PREDICTION))
    yield {
        "name": "the earlier platform's way",
        "figure": count / whole,
        "unit": "cards/s",
        "note": ", ".join(f"{name} {spent:.1f} s" for name, spent in seconds.items()),
    }
    yield {
        "name": "ours : earlier, to predictions",
        "figure": ours / (count / whole),
        "unit": "",
        "note": "ours stores every column of every kind of file, and bounds, features, labels of both models",
    }


def _earlier_way(source: Path) -> tuple[int, dict[str, float]]:
    """Re-create the earlier platform's way: csv, a card decoded at a time, bounds, Fourier descriptors, forest, ``to_sql``."""
    spent: dict[str, float] = {}
    began = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal began
        now = time.perf_counter()
        spent[name], began = now - began, now

    frame = pd.concat([pd.read_csv(path) for path in sorted(source.glob("CardData.*"))])
    lap("csv")
    points = [_decoded(text) for text in frame["SurfaceCardB"]]
    frame = frame[[card is not None for card in points]]
    cards = [card for card in points if card is not None]
    lap("decode")
    frame = frame.assign(
        top=[load.max() for load, _ in cards],
        bottom=[load.min() for load, _ in cards],
        stroke=[np.ptp(position) for _, position in cards],
    )
    bounds = frame.groupby("NodeID")[["top", "bottom", "stroke"]].agg(["min", "max"])
    frame = frame.join(bounds.set_axis([f"{a}_{b}" for a, b in bounds.columns], axis=1), on="NodeID")
    lap("bounds")
    features = []
    for (load, position), (_, row) in zip(cards, frame.iterrows(), strict=True):
        x = position / max(row["stroke_max"], 1e-9)
        y = (load - row["bottom_min"]) / max(row["top_max"] - row["bottom_min"], 1e-9)
        descriptors = elliptic_fourier(x[None], y[None], order=5)
        features.append([*np.ravel(descriptors), x.mean(), y.mean(), float(area_in_lbf(x[None], y[None])[0])])
    table = np.nan_to_num(np.array(features))
    lap("features")
    taught = np.arange(len(table)) % 13
    forest = RandomForestClassifier(_TREES, n_jobs=-1, random_state=0).fit(table[:2000], taught[:2000])
    lap("training")
    del spent["training"]
    frame["label"] = forest.predict(table)
    lap("predict")
    with sqlite3.connect(":memory:") as database:
        frame.to_sql("dynapred", database, index=False)
    lap("to_sql")
    return len(frame), spent


def _decoded(text: object) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        points = np.frombuffer(bytes.fromhex(str(text).removeprefix("0x")), "<f4").astype(np.float64)
    except ValueError:
        return None
    half = len(points) // 2
    if half < 8 or len(points) % 2 or not np.isfinite(points).all():
        return None
    load, position = points[:half], points[half:]
    at = np.linspace(0, half - 1, _SURFACE_POINTS)
    return np.interp(at, np.arange(half), load), np.interp(at, np.arange(half), position)


def _plain_copies(root: Path) -> Iterator[dict[str, Any]]:
    """What a machine can do at most with the same bytes: memory, Parquet, COPY."""
    cards = decoded_cards()
    size = cards.nbytes
    began = time.perf_counter()
    copied = np.frombuffer(bytes(size), np.uint8).copy()
    memory_s = time.perf_counter() - began
    began = time.perf_counter()
    pq.write_table(cards, root / "cards.parquet", compression="zstd")
    parquet_s = time.perf_counter() - began
    with using_warehouse(load_settings(root / "plain")) as warehouse, warehouse.transaction() as tx:
        tx.execute("create temporary table plain (like xspoc.card)")
        began = time.perf_counter()
        tx.ingest("plain", cards)
        copy_s = time.perf_counter() - began
    assert len(copied) == size
    for name, seconds in (("memory copy", memory_s), ("Parquet write", parquet_s), ("plain COPY", copy_s)):
        yield {
            "name": f"{name} of decoded cards",
            "figure": cards.num_rows / seconds,
            "unit": "cards/s",
            "note": f"{size / 1e6:.0f} MB",
        }
