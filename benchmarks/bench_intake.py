"""Speed of the intake: a drop file of cards, from csv to rows in PostgreSQL, stored, archived and deleted.

The server is the embedded one with its ordinary, durable settings, the archive a local folder.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from oasis_pipeline.cards.codec import CardColumn, encode_hex
from oasis_pipeline.intake import take_in
from oasis_pipeline.intake.files import parse_name, read_chunks
from oasis_pipeline.intake.rules import Rules
from oasis_pipeline.settings import load_settings
from oasis_pipeline.storage.installation import using_warehouse
from oasis_pipeline.storage.objects import open_store

N_CARDS = 20_000
N_WELLS = 250
SURFACE_POINTS, PUMP_POINTS = 200, 100
REPEATS = 3
NAME = "CardData.E2E.20260401.0000.csv"


def write_cards(path: Path, n_cards: int = N_CARDS, seed: int = 0) -> None:
    """Write a drop file: each card 200 surface and 100 pump points, 18 columns of numbers and texts."""
    rng = np.random.default_rng(seed)
    texts = []
    for points, top_lbf in ((SURFACE_POINTS, 15_000.0), (PUMP_POINTS, 5_000.0)):
        phase = 2 * np.pi * np.arange(points) / points
        position = 60 * (1 - np.cos(phase)) * rng.uniform(0.6, 1.4, (n_cards, 1))
        load = top_lbf * (0.6 + 0.3 * np.tanh(4 * np.sin(phase))) + rng.normal(0, 40, (n_cards, points))
        cards = CardColumn.from_dense(position.astype(np.float32), load.astype(np.float32))
        texts.append(encode_hex(cards))
    times = np.datetime64("2026-03-01T00:00:00") + np.arange(n_cards) // N_WELLS * np.timedelta64(3600, "s")
    with path.open("w") as file:
        file.write(
            "NodeID,Date,CardType,SPM,StrokeLength,Runtime,LoadLimit,HiLoadLimit,LoLoadLimit,Fillage,FillBasePct,"
            "SecondaryPumpFillage,CauseID,AnalysisDate,SurfaceCardB,POCDownholeCardB\n"
        )
        for card, (surface, pump) in enumerate(zip(*texts, strict=True)):
            numbers = f"7.{card % 10},120,24.0,40,28000,2500,9{card % 10}.5,45,,99"
            file.write(
                f"WELL {card % N_WELLS:04d},{times[card]},N,{numbers},{times[card]},{surface},{pump}\n"
            )


def rows(n_cards: int = N_CARDS) -> list[dict[str, Any]]:
    """Measure; one row a figure: name, figure, unit, note."""
    home = Path(tempfile.mkdtemp(prefix="oasis-bench-"))
    try:
        settings = load_settings(home, settle_seconds=0)
        settings.drop.mkdir(parents=True)
        source = home / NAME
        write_cards(source, n_cards)
        drop = parse_name(NAME)
        assert drop is not None
        read_s = float("inf")
        for _ in range(REPEATS):
            began = time.perf_counter()
            rules = Rules(drop, settings.earliest_day)
            for chunk in read_chunks(source, drop.suffix, drop.kind):
                rules.check(chunk)
            read_s = min(read_s, time.perf_counter() - began)
        with using_warehouse(settings) as warehouse:
            store = open_store(settings)
            shutil.copy(source, settings.drop / NAME)
            began = time.perf_counter()
            report = take_in(warehouse, store, settings)
            whole_s = time.perf_counter() - began
            assert [file.stored for file in report.files] == [n_cards], report
            shutil.copy(source, settings.drop / NAME)
            began = time.perf_counter()
            assert not take_in(warehouse, store, settings).changed
            again_s = time.perf_counter() - began
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            1e6 if sys.platform == "darwin" else 1e3
        )
        note = f"{n_cards} cards of {SURFACE_POINTS} + {PUMP_POINTS} points, {source.stat().st_size / 1e6:.0f} MB of csv"
        figures = [
            ("drop file read and validated", round(n_cards / read_s), "cards/s", note),
            ("drop file stored, archived, deleted", round(n_cards / whole_s), "cards/s", note),
            ("the same drop file again", round(again_s, 2), "s", "nothing changes"),
            ("peak memory of the process", round(peak_mb), "MB", "the making of the file included"),
        ]
        return [dict(zip(("name", "figure", "unit", "note"), each, strict=True)) for each in figures]
    finally:
        shutil.rmtree(home)


def main() -> None:
    """Print the table."""
    for row in rows():
        print(f"{row['name']:40} {row['figure']:>10,} {row['unit']:8} {row['note']}")


if __name__ == "__main__":
    main()
