"""A simulated field in files: the drop folder a field would send over some weeks, and the truth beside it.

Belongs here: which row goes into which file, when each file is written, and what goes wrong on the way (late rows, repeats,
broken cards, bad clocks, NodeIDs spelt otherwise). What a row says is in `tables`, what a card looks like in `cards`.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation import tables
from oasis_pipeline.simulation.cards import FIELD_VERSION, CardBatch, run_cards
from oasis_pipeline.simulation.controller import Controllers, make_controllers, vendor_conditions
from oasis_pipeline.simulation.episodes import FieldKind, episode_card_times, plan_episodes
from oasis_pipeline.simulation.equipment import Wells, make_wells
from oasis_pipeline.simulation.histories import (
    HABITS,
    CardTimes,
    Failure,
    card_times,
    failures_of,
    plan_failures,
)
from oasis_pipeline.simulation.modules import MEASURES, module_readings

MODULE_DAYS = 3
"""Days of readings of sensor modules: enough for every flag, and few enough not to be felt in a demonstration."""

FloatArray = NDArray[np.float64]
Table = tables.Table


@dataclass(frozen=True)
class Field:
    """A simulated field before it is written.

    `states` holds the equipment of every well and, after them, what it was after a workover; `state` points into it by card.
    """

    nodes: list[str]
    states: Wells
    state_of: dict[tuple[int, int], int]
    controllers: Controllers
    failures: list[Failure]
    times: CardTimes
    dates: list[datetime]
    batch: CardBatch
    start: datetime
    days: int


class _Folder:
    """Rows by kind and time of writing, then files."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, datetime], Table] = {}

    def add(self, kind: str, stamp: datetime, table: Table, rows: list[int] | None = None) -> None:
        """Append rows of a table (all by default) to the file of this kind and stamp."""
        chosen = range(len(next(iter(table.values())))) if rows is None else rows
        if not len(chosen):
            return
        file = self.files.setdefault((kind, stamp), {name: [] for name in table})
        for name, values in table.items():
            file[name] += [values[row] for row in chosen]

    def write(self, folder: Path) -> Counter[str]:
        """Write every file; gives the number of rows of each kind."""
        folder.mkdir(parents=True, exist_ok=True)
        rows: Counter[str] = Counter()
        for (kind, stamp), table in sorted(self.files.items(), key=lambda item: (item[0][1], item[0][0])):
            path = folder / f"{kind}.E2E.{stamp:%Y%m%d.%H%M}.csv"
            with path.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                writer.writerow(table)
                writer.writerows(zip(*table.values(), strict=True))
            rows[kind] += len(next(iter(table.values())))
        return rows


def make_field(
    wells: int,
    days: int,
    seed: int,
    *,
    cards_per_day: int = 3,
    start: date = date(2025, 1, 1),
    progress: Callable[[int, int], None] | None = None,
    kind: FieldKind = FieldKind.DEMONSTRATION,
) -> Field:
    """Simulate a field in memory.

    Parameters
    ----------
    wells, days, cards_per_day : int
        Size, each at least 1.
    seed : int
        The same seed gives the same field.
    start : date
        First day.
    progress : callable, optional
        Called with (cards done, cards in all).
    kind : FieldKind
        What its faults come to.

    Returns
    -------
    Field

    Raises
    ------
    ValueError
        If a size is not positive.
    """
    if min(wells, days, cards_per_day) < 1:
        raise ValueError("wells, days and cards_per_day must be at least 1")
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(6)]
    equipment = make_wells(wells, streams[0])
    if kind is FieldKind.DEMONSTRATION:
        unanchored = np.array([HABITS[i % len(HABITS)].base.get(c.TUBING, 0.0) > 0.0 for i in range(wells)])
        equipment.tubing_anchored[unanchored] = False
        failures = plan_failures(wells, days, streams[1])
        times = card_times(wells, days, cards_per_day, failures, streams[2])
    else:
        episodes, failures = plan_episodes(wells, days, kind, streams[1])
        times = episode_card_times(wells, days, cards_per_day, episodes, failures, streams[2])
    # A pump job may run a plunger of another size; the well is another state of equipment from then on.
    indices, state_of = list(range(wells)), {(well, 0): well for well in range(wells)}
    diameters = list(equipment.plunger_diameter_in)
    for well in range(wells):
        for number, failure in enumerate(failures_of(failures, well), start=1):
            state_of[well, number] = state_of[well, number - 1]
            if "Pump" in failure.text and streams[3].random() < 0.6:
                old = diameters[state_of[well, number]]
                state_of[well, number] = len(indices)
                indices.append(well)
                diameters.append(old - 0.25 if old > 1.3 else old + 0.25)
    states = equipment.take(np.array(indices)).with_plunger(np.array(diameters))
    state = np.array(
        [state_of[w, k] for w, k in zip(times.well.tolist(), times.workovers.tolist(), strict=True)], np.int64
    )
    controllers = make_controllers(equipment, streams[3])
    batch = run_cards(
        times.well, states.take(state), controllers.take(times.well), times.severity, streams[4], progress
    )
    begin = datetime.combine(start, time())
    dates = [begin + timedelta(seconds=round(day * 86_400.0)) for day in times.day.tolist()]
    return Field(
        tables.node_ids(wells, streams[5]),
        states,
        state_of,
        controllers,
        failures,
        times,
        dates,
        batch,
        begin,
        days,
    )


def simulate_field(
    out: Path,
    wells: int,
    days: int,
    seed: int,
    *,
    cards_per_day: int = 3,
    start: date = date(2025, 1, 1),
    progress: Callable[[int, int], None] | None = None,
    kind: FieldKind = FieldKind.DEMONSTRATION,
    modules: int = 0,
    labelled: float = 0.85,
) -> dict[str, Any]:
    """Simulate a field and write ``out/drop/``, ``out/truth.csv``, ``out/failures.csv`` and ``out/truth.json``.

    Parameters
    ----------
    out : Path
        Folder, made where it does not exist. Files of the same name are replaced.
    wells, days, cards_per_day : int
        Size, each at least 1.
    seed : int
        The same seed gives the same files.
    start : date
        First day.
    progress : callable, optional
        Called with (cards done, cards in all).
    kind : FieldKind
        What its faults come to.
    modules : int
        Sensor modules; they send readings on the last `MODULE_DAYS` days.
    labelled : float
        Share of the cards of a labelled well that have a label.

    Returns
    -------
    dict
        Counts: wells, days, cards, files, rows by kind, what was put in wrong on purpose, failures, labels; the same as in
        ``truth.json``.

    Raises
    ------
    ValueError
        If a size is not positive.
    """
    field = make_field(
        wells, days, seed, cards_per_day=cards_per_day, start=start, progress=progress, kind=kind
    )
    rng = np.random.default_rng(np.random.SeedSequence([seed, 77]))
    runtime = np.round(runtimes_h(field.batch.severity, rng), 1)
    field = _in_run_time(field, runtime)
    folder = _Folder()
    _write_equipment(field, folder)
    dirt = _write_cards(field, folder, runtime, rng)
    _write_vendor(field, folder, rng)
    _write_well_tests(field, folder, rng)
    _write_failures(field, folder)
    labels, labelled_wells = _write_labels(field, folder, rng, labelled)
    sensors = _write_readings(field, folder, modules, seed)
    rows = folder.write(out / "drop")
    _write_truth(field, out / "truth.csv")
    _write_true_failures(field, out / "failures.csv")
    summary: dict[str, Any] = {
        "simulator_version": FIELD_VERSION,
        "seed": seed,
        "wells": wells,
        "days": days,
        "kind": str(kind),
        "first_day": field.start.date().isoformat(),
        "cards": len(field.dates),
        "cards_not_steady": int((~field.batch.steady).sum()),
        "files": len(folder.files),
        "rows": dict(sorted(rows.items())),
        **dirt,
        "failures": len(field.failures),
        "failures_with_warning": sum(failure.warned for failure in field.failures),
        **sensors,
        "labels": labels,
        "labelled_wells": labelled_wells,
        "class_counts": dict(
            Counter(label for pair in field.batch.labels.tolist() for label in pair if label).most_common()
        ),
    }
    (out / "truth.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def _midnight(field: Field, day: int, minute: int) -> datetime:
    """Time of writing shortly after a day (counted from 0) has ended."""
    return field.start + timedelta(days=day + 1, minutes=minute)


def _write_equipment(field: Field, folder: _Folder) -> None:
    """Well files as the field begins, and again for a well whose workover changed something."""
    count = len(field.nodes)
    first = field.states.take(np.arange(count))
    stamp = field.start + timedelta(minutes=1)
    anchored = first.tubing_anchored
    grades = list(first.grade)
    folder.add(
        "WellDetails", stamp, tables.well_details(field.nodes, first, field.controllers.poc_type, anchored)
    )
    folder.add("Rods", stamp, tables.rods(field.nodes, first, grades))
    folder.add("PumpingUnits", stamp, tables.pumping_units(field.nodes, first))
    folder.add("Deviations", stamp, tables.deviations(field.nodes, first))
    for (well, number), state in field.state_of.items():
        if number == 0:
            continue
        failure = failures_of(field.failures, well)[number - 1]
        if failure.end_day >= field.days:
            continue
        done = field.start + timedelta(days=failure.end_day)
        stamp = done.replace(second=0, microsecond=0) + timedelta(minutes=20)
        one = field.states.take(np.array([state]))
        if state != field.state_of[well, number - 1]:
            poc, held = field.controllers.poc_type[[well]], anchored[[well]]
            folder.add("WellDetails", stamp, tables.well_details([field.nodes[well]], one, poc, held))
        if "Rod" in failure.text:
            # New rods of the next grade up where there is one.
            folder.add("Rods", stamp, tables.rods([field.nodes[well]], one, ["HS"]))


def runtimes_h(severity: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Running hours of the day of each card: a controller stops a pumped-off well for the rest of its cycle.

    Parameters
    ----------
    severity : ndarray, shape (n, 12)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n,)
        2 to 24 h.
    """
    rest = 14.0 * np.clip(severity[:, c.POUND] - 0.2, 0.0, 1.0)
    return np.asarray(np.clip(24.0 - rest + rng.normal(0.0, 0.4, len(severity)), 2.0, 24.0))


def _misspelt(name: str, rng: np.random.Generator) -> str:
    """Spell a NodeID as people and old systems do."""
    style = int(rng.integers(4))
    return (f"#{name}", name.replace(" ", "  "), name.upper(), f" {name.lower()} ")[style]


def _in_run_time(field: Field, runtime_h: FloatArray) -> Field:
    """Make the true production that of a day: the model of a card knows a pump that never rests."""
    name = "inferred_production_bpd"
    truth = {**field.batch.truth, name: field.batch.truth[name] * runtime_h / 24.0}
    return replace(field, batch=replace(field.batch, truth=truth))


def _write_cards(
    field: Field, folder: _Folder, runtime: FloatArray, rng: np.random.Generator
) -> dict[str, int]:
    """Card files, one a day, with rare late rows, repeats and broken rows; gives what was put in."""
    batch = field.batch
    count = len(field.dates)
    nodes = [field.nodes[well] for well in batch.well]
    misspelt = rng.random(count) < 0.03
    spelt = [_misspelt(node, rng) if wrong else node for node, wrong in zip(nodes, misspelt, strict=True)]
    poc = field.controllers.poc_type[batch.well]
    table = tables.card_rows(
        spelt,
        field.dates,
        batch.wells,
        (batch.surface_position_in, batch.surface_load_lbf),
        (batch.pump_position_in, batch.pump_load_lbf),
        batch.fillage_pct,
        runtime,
        poc,
    )
    day = np.floor(field.times.day).astype(np.int64)
    late = (rng.random(count) < 0.006) & (day < field.days - 1)
    written = day + np.where(late, rng.integers(1, 3, count), 0)
    written = np.minimum(written, field.days - 1)
    repeated = (rng.random(count) < 0.005) & (written < field.days - 1)
    for number in range(field.days):
        stamp = _midnight(field, number, 7)
        rows = (
            np.flatnonzero(written == number).tolist()
            + np.flatnonzero(repeated & (written == number - 1)).tolist()
        )
        folder.add("CardData", stamp, table, rows)
    planted: Counter[str] = Counter()
    kinds = (
        "bad_hex_rows",
        "odd_length_rows",
        "future_rows",
        "keyless_rows",
        "text_for_number_rows",
        "empty_card_rows",
    )
    if count:
        wrong = max(1, round(0.0008 * count))
        for kind in kinds:
            for _ in range(wrong if kind != "keyless_rows" else 1):
                _plant(kind, int(rng.integers(count)), table, written, field, folder)
                planted[kind] += 1
    return {
        "misspelt_node_ids": int(misspelt.sum()),
        "late_rows": int(late.sum()),
        "repeated_rows": int(repeated.sum()),
        **{kind: planted[kind] for kind in kinds},
        "rows_to_reject": sum(planted[kind] for kind in kinds if kind != "empty_card_rows"),
    }


def _plant(
    kind: str, row: int, table: Table, written: NDArray[np.int64], field: Field, folder: _Folder
) -> None:
    """Add one row that is not as it should be: a card's row, twelve minutes later, with one thing wrong."""
    wrong = {name: [values[row]] for name, values in table.items()}
    number = int(written[row])
    moment = field.dates[row].replace(hour=min(field.dates[row].hour, 22)) + timedelta(minutes=12, seconds=7)
    wrong["Date"] = [tables.stamp_text(moment)]
    blob = wrong["SurfaceCardB"][0]
    if kind == "bad_hex_rows":
        wrong["SurfaceCardB"] = [blob[:100] + "xyz?" + blob[104:]]
    elif kind == "odd_length_rows":
        wrong["POCDownholeCardB"] = [wrong["POCDownholeCardB"][0][:-3]]
    elif kind == "future_rows":
        wrong["Date"] = [tables.stamp_text(_midnight(field, number, 0) + timedelta(days=3650, hours=5))]
    elif kind == "keyless_rows":
        wrong["NodeID"] = [""]
    elif kind == "text_for_number_rows":
        wrong["SPM"] = ["##.#"]
    else:
        wrong["SurfaceCardB"], wrong["POCDownholeCardB"] = ["0" * 3200], [""]
    folder.add("CardData", _midnight(field, number, 7), wrong)


def _write_vendor(field: Field, folder: _Folder, rng: np.random.Generator) -> None:
    """Vendor's analysis of most cards, some of it days late."""
    batch = field.batch
    rows = np.flatnonzero(rng.random(len(field.dates)) < 0.9)
    if not len(rows):
        return
    verdicts = vendor_conditions(batch.severity[rows], rng)
    # In some wells the vendor hardly ever gives an intake pressure.
    shy = rng.random(len(field.nodes)) < 0.3
    hide = np.where(shy[batch.well[rows]], rng.random(len(rows)) < 0.7, rng.random(len(rows)) < 0.05)
    nodes = [field.nodes[well] for well in batch.well[rows]]
    dates = [field.dates[row] for row in rows]
    wells = batch.wells.take(rows)
    truth = {name: values[rows] for name, values in batch.truth.items()}
    load = batch.surface_load_lbf[rows]
    results = tables.xdiag_rows(nodes, dates, wells, truth, load, verdicts, hide, rng)
    grade = [str(value) for value in wells.grade]
    tapers = tables.xdiag_rod_rows(nodes, dates, wells, grade, load)
    day = np.floor(field.times.day[rows]).astype(np.int64)
    delay = np.where(rng.random(len(rows)) < 0.05, rng.integers(1, 4, len(rows)), 0)
    written = np.minimum(day + delay, field.days - 1)
    # Rows of the tapers follow their card.
    sizes = (wells.rods.length_ft > 0.0).sum(axis=1)
    written_tapers = np.repeat(written, sizes)
    for number in range(field.days):
        stamp = _midnight(field, number, 11)
        folder.add("XDiagResults", stamp, results, np.flatnonzero(written == number).tolist())
        folder.add("XDiagRodResults", stamp, tapers, np.flatnonzero(written_tapers == number).tolist())


def _write_well_tests(field: Field, folder: _Folder, rng: np.random.Generator) -> None:
    """Add a test of each well every week or two, from the cards of its day; written the day after with US dates."""
    batch = field.batch
    day = np.floor(field.times.day).astype(np.int64)
    for well, node in enumerate(field.nodes):
        when = int(rng.integers(0, 9))
        while when < field.days:
            rows = np.flatnonzero((batch.well == well) & (day == when))
            if len(rows):
                liquid = float(batch.truth["inferred_production_bpd"][rows].mean() * rng.normal(1.0, 0.04))
                cut = float(batch.wells.water_cut_pct[rows[0]]) / 100.0
                level = batch.wells.vertical_depth_ft[rows] - batch.truth["fluid_level_ft"][rows]
                oil = max(liquid, 0.0) * (1.0 - cut)
                table: Table = {
                    "NodeID": [node],
                    "TestDate": [tables.us_stamp_text(field.start + timedelta(days=when, hours=6))],
                    "Approved": [str(bool(rng.random() < 0.93))],
                    "Duration": ["24"],
                    "OilRate": [f"{oil:.1f}"],
                    "WaterRate": [f"{max(liquid, 0.0) * cut:.1f}"],
                    "GasRate": [f"{oil * rng.uniform(0.4, 1.6):.1f}"],
                    "FluidAbovePump": tables.numbers([float(np.mean(level))], 0),
                }
                folder.add("WellTests", _midnight(field, when, 31), table)
            when += int(rng.integers(7, 15))


def _write_failures(field: Field, folder: _Folder) -> None:
    """Failures, known the day after the job has ended; one still open at the end is known the morning after it began, without an end."""
    for failure in field.failures:
        began = field.start + timedelta(seconds=60 * round(failure.start_day * 1440.0))
        ended = field.start + timedelta(seconds=60 * round(failure.end_day * 1440.0))
        still_open = failure.end_day + 1.0 >= field.days
        known = min(int(failure.start_day), field.days - 1) if still_open else int(failure.end_day) + 1
        table: Table = {
            "NodeID": [field.nodes[failure.well]],
            "Failure Start Date": [tables.stamp_text(began)],
            "Failure End Date": ["" if still_open else tables.stamp_text(ended)],
            "Failures": [failure.text],
        }
        folder.add("Failures", _midnight(field, known, 6 * 60), table)


def _write_labels(field: Field, folder: _Folder, rng: np.random.Generator, share: float) -> tuple[int, int]:
    """Weekly label files for six wells in ten; every class that occurs has a labelled well."""
    labels, well = field.batch.labels, field.batch.well
    wanted = max(1, round(0.6 * len(field.nodes)))
    chosen: list[int] = []
    for name in c.LABELS:
        counts = np.bincount(well[(labels == name).any(axis=1)], minlength=len(field.nodes))
        if counts.any() and not counts[chosen].any() and len(chosen) < wanted:
            chosen.append(int(counts.argmax()))
    others = [w for w in rng.permutation(len(field.nodes)).tolist() if w not in chosen]
    chosen += others[: wanted - len(chosen)]
    rows = np.flatnonzero(np.isin(well, chosen) & (rng.random(len(well)) < share))
    day = np.floor(field.times.day[rows]).astype(np.int64)
    for first_day in range(0, field.days, 7):
        last = min(first_day + 6, field.days - 1)
        week = rows[(day >= first_day) & (day <= last)]
        first, second = [str(v) for v in labels[week, 0]], [str(v) for v in labels[week, 1]]
        swap = (rng.random(len(week)) < 0.3) & np.array([bool(text) for text in second], dtype=bool)
        pairs = [(b, a) if turn else (a, b) for a, b, turn in zip(first, second, swap, strict=True)]
        table: Table = {
            "NodeID": [field.nodes[w] for w in well[week]],
            "Date": [tables.stamp_text(field.dates[row]) for row in week],
            # Now and then a label is typed in another case.
            "TrueLabel1": [a.capitalize() if rng.random() < 0.01 else a for a, _ in pairs],
            "TrueLabel2": [b for _, b in pairs],
        }
        folder.add("Labels", _midnight(field, last, 9 * 60 + 15), table)
    return len(rows), len(chosen)


def _write_readings(field: Field, folder: _Folder, modules: int, seed: int) -> dict[str, Any]:
    """Files of sensor readings, one a day; gives the modules with their types, and what was put in wrong on purpose."""
    if not modules:
        return {}
    days = min(field.days, MODULE_DAYS)
    start = field.start + timedelta(days=field.days - days)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 78]))
    faults: Counter[str] = Counter()
    found = module_readings(modules, start, days, rng)
    for module in found:
        faults.update(module.faults)
        of_day = np.array([(moment - start).days for moment in module.times])
        for day in range(days):
            rows = np.flatnonzero(of_day == day)
            table: Table = {
                name: [""] * len(rows)
                for name in ("module_num", "timestamp", "temperature", "voltage", *MEASURES)
            }
            table["module_num"] = [module.module_num] * len(rows)
            table["timestamp"] = [f"{module.times[row].isoformat()}Z" for row in rows]
            for name, values in (
                ("temperature", module.temperature),
                ("voltage", module.voltage),
                *module.measures.items(),
            ):
                table[name] = [str(values[row]) for row in rows]
            folder.add("Readings", start + timedelta(days=day + 1, minutes=13), table)
    return {
        "modules": {module.module_num: module.module_type for module in found},
        "sensor_faults": dict(faults),
    }


def _write_truth(field: Field, path: Path) -> None:
    """Write the truth of each card: label set, severities, quantities."""
    batch = field.batch
    names = sorted(batch.truth)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns: list[list[str]] = [
        [field.nodes[well] for well in batch.well],
        [tables.stamp_text(moment) for moment in field.dates],
        ["; ".join(label for label in pair if label) for pair in batch.labels.tolist()],
        *(tables.numbers(batch.severity[:, k], 4) for k in range(len(c.LABELS))),
        *(tables.numbers(batch.truth[name], 3) for name in names),
    ]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["NodeID", "Date", "Labels", *(f"Severity {name}" for name in c.LABELS), *names])
        writer.writerows(zip(*columns, strict=True))


def _write_true_failures(field: Field, path: Path) -> None:
    """Write every failure with what only the simulator knows: whether anything announced it, and since when."""

    def moment(day: float) -> str:
        return (
            tables.stamp_text(field.start + timedelta(seconds=60 * round(day * 1440.0)))
            if np.isfinite(day)
            else ""
        )

    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["NodeID", "Start", "End", "Failures", "Sudden", "GrowingFrom"])
        for failure in field.failures:
            times = [moment(day) for day in (failure.start_day, failure.end_day)]
            writer.writerow(
                [
                    field.nodes[failure.well],
                    *times,
                    failure.text,
                    not failure.warned,
                    moment(failure.onset_day),
                ]
            )
