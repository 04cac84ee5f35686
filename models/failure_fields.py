"""Simulated fields that forecasts of failures are judged on, from cards to the tables that the platform would hold.

    python -m models.failure_fields --out FOLDER      makes all of them and keeps them there

Belongs here: which fields (kinds and seeds), and the platform's own steps from a card to its diagnosis, without files and
without a database. Choices are made on `TUNING_SEEDS`; `TEST_SEEDS` are for the figures that are told, and for nothing else.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oasis_pipeline.cards.canonical import time_form_column
from oasis_pipeline.intake.failures import package_rules, reduce_text
from oasis_pipeline.learning.base import laid_out
from oasis_pipeline.learning.failures.channels import FEATURE_COLUMNS
from oasis_pipeline.learning.inputs import CardInputs, Findings
from oasis_pipeline.physics.diagnosis import Cards, diagnose_all
from oasis_pipeline.physics.diagnosis.well import columns_of
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation import tables
from oasis_pipeline.simulation.controller import vendor_conditions
from oasis_pipeline.simulation.episodes import FieldKind
from oasis_pipeline.simulation.field import Field, make_field, runtimes_h
from oasis_pipeline.simulation.recorded import recorded_wells

WELLS, DAYS, CARDS_PER_DAY = 40, 150, 2
JUDGED_DAYS = 120
"""Forecasts are judged up to this day; the month after it only tells what came of them, so that an alarm that came to nothing is
seen as such as surely as one that came true."""
KINDS = (FieldKind.GROWING, FieldKind.DECOYS)
TUNING_SEEDS = (501, 502, 503, 601, 602)
TEST_SEEDS = (901, 902, 903, 904, 905)

_TEXTS = ("NodeID", "Date", "PumpCond1", "PumpCond2", "PumpCondition", "CardType", "AnalysisDate")


@dataclass(frozen=True)
class FieldTables:
    """What the platform holds of a field, and the truth.

    Attributes
    ----------
    cards : pyarrow.Table
        A row a card: NodeID, Date, the columns of ``xspoc.card`` and, where the vendor analysed it, ``xspoc.xdiagresults`` that
        carry numbers, those of ``clean.carddiag``, some descriptors of ``clean/card_features``, and the true severities as ``true ...``.
    failures : pyarrow.Table
        As ``analysis.failure_info``, with ``sudden`` and ``growing_from`` beside.
    """

    cards: pa.Table
    failures: pa.Table


def field_tables(
    kind: FieldKind, seed: int, wells: int = WELLS, days: int = DAYS, per_day: int = CARDS_PER_DAY
) -> FieldTables:
    """Simulate a field and take it through the platform's steps.

    Parameters
    ----------
    kind : FieldKind
    seed : int
    wells, days, per_day : int

    Returns
    -------
    FieldTables
    """
    field = make_field(wells, days, seed, cards_per_day=per_day, kind=kind)
    return FieldTables(_card_table(field, np.random.default_rng([seed, 5])), _failure_table(field))


def _card_table(field: Field, rng: np.random.Generator) -> pa.Table:
    batch = field.batch
    count = len(field.dates)
    nodes = [field.nodes[well] for well in batch.well]
    columns: dict[str, pa.Array] = {
        "NodeID": pa.array(nodes),
        "Date": pa.array(field.dates, pa.timestamp("ms")),
        "SPM": pa.array(np.round(batch.wells.spm, 1)),
        "StrokeLength": pa.array(np.round(batch.wells.stroke_in)),
        "Runtime": pa.array(np.round(runtimes_h(batch.severity, rng), 1)),
        "Fillage": pa.array(np.round(batch.fillage_pct, 1)),
        "cardPPRL": pa.array(batch.surface_load_lbf.max(axis=1)),
        "cardMPRL": pa.array(batch.surface_load_lbf.min(axis=1)),
    }
    analysed = rng.random(count) < 0.9
    shy = rng.random(len(field.nodes)) < 0.3
    hide = np.where(shy[batch.well], rng.random(count) < 0.7, rng.random(count) < 0.05)
    vendor = tables.xdiag_rows(
        nodes,
        field.dates,
        batch.wells,
        batch.truth,
        batch.surface_load_lbf,
        vendor_conditions(batch.severity, rng),
        hide,
        rng,
    )
    for name, texts in vendor.items():
        if name in _TEXTS or not any(texts) or set(texts) <= {"True", "False", ""}:
            continue
        numbers = np.array([float(text) if text else np.nan for text in texts])
        columns[name] = pa.array(np.where(analysed, numbers, np.nan), from_pandas=True)
    findings = _findings(field)
    for name, values in findings.diagnosed.items():
        if values.dtype.kind == "f":
            columns[name] = pa.array(values, from_pandas=True)
    every = np.ones(count, bool)
    surface, pump = (
        time_form_column(laid_out(position, load, every))
        for position, load in (
            (batch.surface_position_in, batch.surface_load_lbf),
            (batch.pump_position_in, batch.pump_load_lbf),
        )
    )
    spm = np.round(batch.wells.spm, 1)
    described = CardInputs.of(surface, pump, spm, batch.fillage_pct, findings=findings).features()
    for name in FEATURE_COLUMNS:
        columns[name] = pa.array(described[name], from_pandas=True)
    for name, place in c.COLUMN.items():
        columns[f"true {name}"] = pa.array(batch.severity[:, place])
    return pa.table(columns)


def _findings(field: Field) -> Findings:
    """Diagnose with the equipment as the drop folder tells it, state by state."""
    batch = field.batch
    wells = recorded_wells(field.states)
    state = np.array(
        [
            field.state_of[w, k]
            for w, k in zip(field.times.well.tolist(), field.times.workovers.tolist(), strict=True)
        ]
    )
    cards = Cards(
        batch.surface_position_in.astype(np.float32).astype(np.float64),
        batch.surface_load_lbf.astype(np.float32).astype(np.float64),
        spm=np.round(batch.wells.spm, 1),
        runtime_h_per_d=np.full(len(state), 24.0),
        well=state,
        pump_position_in=batch.pump_position_in.astype(np.float32).astype(np.float64),
        pump_load_lbf=batch.pump_load_lbf.astype(np.float32).astype(np.float64),
    )
    return Findings(diagnose_all(cards, wells).columns, columns_of(wells), state)


def _failure_table(field: Field) -> pa.Table:
    rules = package_rules()
    begin = np.datetime64(field.start, "ms")

    def moments(days: list[float]) -> np.ndarray:
        values = np.array(days)
        stamps = np.full(len(values), np.datetime64("NaT", "ms"))
        known = np.isfinite(values)
        stamps[known] = begin + (60_000 * np.round(values[known] * 1440.0)).astype("timedelta64[ms]")
        return stamps

    # as the files have it: known the day after the job has ended, open at the end of the field
    is_open = [failure.end_day + 1.0 >= field.days for failure in field.failures]
    known = [
        float(field.days if open_ else int(failure.end_day) + 2)
        for failure, open_ in zip(field.failures, is_open, strict=True)
    ]
    ends = [
        np.nan if open_ else failure.end_day for failure, open_ in zip(field.failures, is_open, strict=True)
    ]
    return pa.table(
        {
            "NodeID": [field.nodes[failure.well] for failure in field.failures],
            "Failure Start Date": pa.array(moments([failure.start_day for failure in field.failures])),
            "Failure End Date": pa.array(moments(ends)),
            "failure_class": [reduce_text(failure.text, rules) for failure in field.failures],
            "known_from": pa.array(moments(known)),
            "sudden": [not failure.warned for failure in field.failures],
            "growing_from": pa.array(moments([failure.onset_day for failure in field.failures])),
        }
    )


def kept_field(kind: FieldKind, seed: int, folder: Path) -> FieldTables:
    """Read a field that was kept, or make it and keep it.

    Parameters
    ----------
    kind : FieldKind
    seed : int
    folder : Path

    Returns
    -------
    FieldTables
    """
    paths = [folder / f"{kind}-{seed}.{name}.parquet" for name in ("cards", "failures")]
    if not all(path.is_file() for path in paths):
        made = field_tables(kind, seed)
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(made.cards, paths[0])
        pq.write_table(made.failures, paths[1])
    return FieldTables(*(pq.read_table(path) for path in paths))


def main() -> None:
    """Make every field."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to keep the fields in")
    out: Path = parser.parse_args().out
    for seed in sorted({*TEST_SEEDS, *TUNING_SEEDS}):
        for kind in KINDS:
            begin = time.perf_counter()
            made = kept_field(kind, seed, out)
            sudden = pc.sum(made.failures["sudden"]).as_py() or 0
            print(
                f"{kind} {seed}: {made.cards.num_rows} cards, {made.failures.num_rows} failures, {sudden} of them sudden, "
                f"{time.perf_counter() - begin:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
