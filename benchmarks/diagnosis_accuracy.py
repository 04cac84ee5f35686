"""Errors of the card diagnosis on simulated wells, by condition: ``python -m benchmarks.diagnosis_accuracy``.

Wells are drawn at random, simulated by the predictive model (which shares no code with the solvers), and diagnosed with
what an office would know: rod lengths and moduli wrong by 1 %, damping and friction unknown. Writes the table of
``docs/diagnosis-accuracy.md`` between its markers, or prints it with ``--print``.

Belongs here: the draw of the wells, the comparison and the table. Tuning is done on other seeds than the one printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics import wave_difference, wave_frequency
from oasis_pipeline.physics.constants import WATER_GRADIENT_PSI_PER_FT
from oasis_pipeline.physics.diagnosis import Cards, Diagnosis, Well, diagnose_all
from oasis_pipeline.physics.rods import RodString, api_tapers
from oasis_pipeline.physics.simulator import SIMULATOR_VERSION, SimulatedCards, parameters, simulate
from oasis_pipeline.physics.unit import PumpingUnit, UnitKind, stroke_in
from oasis_pipeline.physics.well_path import Survey
from oasis_pipeline.simulation.cards import FIELD_VERSION, simulate_cards
from oasis_pipeline.simulation.equipment import survey

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], dict[str, Array]]

SEED = 71_209
"""Seed of the printed tables, for simulator and field of the versions printed with them; committed before the work on the
diagnosis that they judge; the page says for what it was looked at once before the end."""
WELLS = 200
PAGE = Path(__file__).resolve().parent.parent / "docs" / "diagnosis-accuracy.md"
BEGIN, END = "<!-- table begin -->", "<!-- table end -->"


def _draw(**ranges: tuple[float, float]) -> Draw:
    """Condition whose parameters are uniform in ranges."""
    return lambda rng, n: {name: rng.uniform(low, high, n) for name, (low, high) in ranges.items()}


def _vibration(rng: np.random.Generator, n: int) -> dict[str, Array]:
    return {
        "vibration_in": rng.uniform(0.1, 0.5, n),
        "vibration_harmonic": rng.integers(7, 14, n).astype(np.float64),
        "vibration_phase_rad": rng.uniform(0.0, 2.0 * np.pi, n),
    }


def _heavy_oil(rng: np.random.Generator, n: int) -> dict[str, Array]:
    return {"damping_up": rng.uniform(0.25, 0.5, n), "damping_down": rng.uniform(0.35, 0.7, n)}


CONDITIONS: dict[str, Draw] = {
    "Full pump": _draw(),
    "Fluid pound": _draw(gas_fraction=(0.2, 0.75), intake_psi=(20.0, 90.0)),
    "Gas interference": _draw(gas_fraction=(0.1, 0.6), intake_psi=(250.0, 700.0), clearance_in=(4.0, 12.0)),
    "Leak in Traveling Valve": _draw(tv_leak_bpd=(30.0, 150.0)),
    "Leak in Standing Valve": _draw(sv_leak_bpd=(30.0, 150.0)),
    "Tubing Movement": _draw(gas_fraction=(0.0, 0.3)),
    "Worn Pump Barrel": _draw(wear_leak_bpd=(50.0, 250.0), wear_place=(0.3, 0.7), wear_width=(0.1, 0.25)),
    "Wellbore Friction": _draw(rod_drag_lbf=(200.0, 1200.0), gas_fraction=(0.0, 0.4)),
    "Pump Tagging Down": _draw(tag_down_in=(0.5, 4.0)),
    "Pump Tagging Up": _draw(tag_up_in=(0.5, 4.0)),
    "Excessive Vibration of the Rod": _vibration,
    "Heavy oil": _heavy_oil,
}


@dataclass(frozen=True)
class Field:
    """Simulated wells of one condition: the truth of their equipment and their cards."""

    rods: RodString
    units: PumpingUnit
    conditions: NDArray[np.void]
    depth_ft: Array
    tubing_stretch_in_per_lbf: Array
    cards: SimulatedCards


def make_field(name: str, wells: int, seed: int) -> Field:
    """Draw wells and simulate one card of each.

    Parameters
    ----------
    name : str
        A key of ``CONDITIONS``.
    wells : int
        How many.
    seed : int
        Seed; the same seed gives the same wells.

    Returns
    -------
    Field
        Steady ones only.
    """
    rng = np.random.default_rng([seed, list(CONDITIONS).index(name)])
    depth = rng.uniform(3000.0, 8500.0, wells)
    diameter = np.where(
        depth > 6000.0, rng.choice([1.25, 1.5, 1.75], wells), rng.choice([1.5, 1.75, 2.0, 2.25], wells)
    )
    strings = []
    for d, plunger in zip(depth, diameter, strict=True):
        sizes, shares = api_tapers("76" if d < 6000.0 else "86", float(plunger))
        strings.append(RodString.from_sections([d * s for s in shares], sizes, ["D"] * len(sizes)))
    rods = RodString.stack(strings)
    size = rng.choice([0.7, 0.85, 1.0, 1.2], wells)
    a, c, i, k, p, r = (size * x for x in (167.7, 111.09, 111.0, 151.34, 114.0, 42.0))
    units = PumpingUnit(
        np.full(wells, int(UnitKind.CONVENTIONAL), dtype=np.int8),
        a_in=a,
        c_in=c,
        i_in=i,
        k_in=k,
        p_in=p,
        r_in=r,
    )
    spm = rng.uniform(0.5, 1.0, wells) * np.minimum(10.0, 1000.0 / stroke_in(units))
    gravity = rng.uniform(0.85, 1.05, wells)
    discharge = rng.uniform(50.0, 300.0, wells) + WATER_GRADIENT_PSI_PER_FT * gravity * depth
    damping = rng.uniform(0.05, 0.2, wells)
    values: dict[str, Array] = {
        "spm": spm,
        "fluid_gravity": gravity,
        "discharge_psi": discharge,
        "plunger_diameter_in": diameter,
        "intake_psi": rng.uniform(60.0, 600.0, wells),
        "damping_up": damping,
        "damping_down": damping * rng.uniform(0.8, 1.25, wells),
        "plunger_friction_lbf": rng.uniform(30.0, 200.0, wells),
        "stuffing_box_lbf": rng.uniform(0.0, 60.0, wells),
        "clearance_in": rng.uniform(2.0, 6.0, wells),
        "valve_drop_psi": rng.uniform(3.0, 12.0, wells),
    }
    values |= CONDITIONS[name](rng, wells)
    stretch = np.zeros(wells)
    if name == "Tubing Movement":
        stretch = 12.0 * depth / (30.5e6 * 0.25 * np.pi * (2.875**2 - 2.441**2))
        values["tubing_spring_lbf_per_in"] = 1.0 / stretch
        values["tubing_mass_lbf"] = 6.5 * depth / 3.0
    conditions = parameters(wells, **values)
    cards = simulate(rods, units, conditions)
    return Field(rods, units, conditions, depth, stretch, cards)


def diagnose_field(field: Field, seed: int, *, gain: float = 0.0, gravity: float = 0.0) -> Diagnosis:
    """Diagnose with wrong knowledge: lengths and moduli by 1 %, load gain and gravity as given, signs at random."""
    wells = len(field.depth_ft)
    rng = np.random.default_rng([seed, 99])
    signs = rng.choice([-1.0, 1.0], (4, wells))
    known = []
    for i in range(wells):
        true = field.rods.take(i)
        believed = RodString(
            true.length_ft * (1.0 + 0.01 * signs[0, i]),
            true.diameter_in,
            true.weight_lb_per_ft,
            true.modulus_psi * (1.0 + 0.01 * signs[1, i]),
            true.tensile_psi,
        )
        c = field.conditions[i]
        tubing_psi = c["discharge_psi"] - WATER_GRADIENT_PSI_PER_FT * c["fluid_gravity"] * field.depth_ft[i]
        moving = field.tubing_stretch_in_per_lbf[i] > 0
        known.append(
            Well(
                rods=believed,
                unit=field.units.take(i),
                plunger_diameter_in=float(c["plunger_diameter_in"]),
                pump_depth_ft=float(field.depth_ft[i]),
                fluid_sg=float(c["fluid_gravity"]) + gravity * signs[3, i],
                tubing_pressure_psi=float(tubing_psi),
                casing_pressure_psi=50.0,
                tubing_anchored=not moving,
                tubing_od_in=2.875,
                tubing_id_in=2.441,
                clearance_in=0.004,
                viscosity_cp=5.0,
            )
        )
    cards = Cards(
        field.cards.surface_position_in,
        field.cards.surface_load_lbf * (1.0 + gain * signs[2])[:, None],
        spm=np.array(field.conditions["spm"]),
        well=np.arange(wells),
    )
    return diagnose_all(cards, known)


def _errors(found: Array, truth: Array, rows: NDArray[np.bool_]) -> str:
    wrong = np.abs(found - truth)[rows]
    wrong = wrong[np.isfinite(wrong)]
    if not len(wrong):
        return "-"
    middle, high = np.percentile(wrong, [50, 95])
    digits = 1 if high < 30 else 0
    return f"{middle:.{digits}f} / {high:.{digits}f}"


def solver_errors(field: Field) -> dict[str, tuple[float, float]]:
    """Distance of both solvers' pump cards from the true one, with everything known; median and p95 of rms / load range."""
    c = field.conditions
    steady = np.flatnonzero(field.cards.results["steady"] > 0)
    weight = field.rods.buoyant_weight_lbf(c["fluid_gravity"])
    truth = field.cards.pump_load_lbf
    every = field.cards.surface_load_lbf.shape[1] // truth.shape[1]
    spread = np.ptp(truth, axis=1)
    damping = wave_frequency.damping_per_s(field.rods, 0.5 * (c["damping_up"] + c["damping_down"]))
    out = {}
    for harmonics in (10, 20, 40, None):
        _, load = wave_frequency.pump_card(
            field.cards.surface_position_in,
            field.cards.surface_load_lbf,
            field.rods,
            c["spm"],
            damping,
            buoyant_weight_lbf=weight,
            harmonics=harmonics,
        )
        rms = np.sqrt(np.mean((load[:, ::every] - truth) ** 2, axis=1)) / spread
        name = f"frequency domain, {harmonics or 'all'} harmonics"
        out[name] = tuple(100.0 * np.percentile(rms[steady], [50, 95]))
    rms = np.full(len(truth), np.nan)
    for i in steady:
        _, load = wave_difference.pump_card(
            field.cards.surface_position_in[i],
            field.cards.surface_load_lbf[i],
            field.rods.take(int(i)),
            c["spm"][i],
            damping[i],
            buoyant_weight_lbf=weight[i],
        )
        rms[i] = np.sqrt(np.mean((load[::every] - truth[i]) ** 2)) / spread[i]
    out["Everitt-Jennings, 100 nodes, 200 points"] = tuple(100.0 * np.percentile(rms[steady], [50, 95]))
    return out


def parity_table(wells: int, seed: int) -> str:
    """Everitt-Jennings against the frequency domain on the simulator's cards, both on the same number of harmonics."""
    lines = [
        f"Simulator version {SIMULATOR_VERSION}, seed {seed}, {wells} wells for each condition; rms difference of the pump loads in % "
        "of the load range, median / p95.",
        "",
        "| condition | harmonics of the card | Everitt-Jennings as published | fourth order |",
        "|---|---|---|---|",
    ]
    for name in ("Full pump", "Fluid pound", "Gas interference"):
        field = make_field(name, wells, seed)
        c, cards = field.conditions, field.cards
        rows = np.flatnonzero(cards.results["steady"] > 0)
        weight = field.rods.buoyant_weight_lbf(c["fluid_gravity"])
        damping = wave_frequency.damping_per_s(field.rods, 0.5 * (c["damping_up"] + c["damping_down"]))
        for harmonics in (10, 20, 40, 60):
            cut = []
            for signal in (cards.surface_position_in, cards.surface_load_lbf):
                spectrum = np.fft.rfft(signal)
                spectrum[:, harmonics + 1 :] = 0.0
                cut.append(np.fft.irfft(spectrum, signal.shape[1]))
            cells = []
            for scheme in ("published", "compact"):
                wrong = []
                for i in rows:
                    known = (cut[0][i], cut[1][i], field.rods.take(int(i)), c["spm"][i], damping[i])
                    _, exact = wave_frequency.pump_card(*known, buoyant_weight_lbf=weight[i])
                    _, load = wave_difference.pump_card(*known, buoyant_weight_lbf=weight[i], scheme=scheme)
                    wrong.append(100.0 * np.sqrt(np.mean((load - exact) ** 2)) / np.ptp(exact))
                cells.append("{:.2f} / {:.2f}".format(*np.percentile(wrong, [50, 95])))
            lines.append(f"| {name} | {harmonics} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def table(wells: int = WELLS, seed: int = SEED) -> str:
    """Run everything and write it as Markdown."""
    lines = [
        f"Simulator version {SIMULATOR_VERSION}, seed {seed}, {wells} wells for each condition. Median / 95th percentile of",
        "the absolute error; PIP twice: with true load gain and gravity, and with the gain wrong by 1.2 % and",
        "the gravity by 0.02.",
        "",
        "| condition | wells | fillage, % | net stroke, in | PIP, psi | PIP (gain, gravity wrong), psi | fluid load, lbf | friction, lbf "
        "| tubing movement, in | TV and barrel leak, bbl/d | SV leak, bbl/d | production, bbl/d | spread covers fillage error |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    pooled: list[tuple[Array, Array, Array]] = []
    solver_lines: list[str] = []
    for name in CONDITIONS:
        field = make_field(name, wells, seed)
        if name in ("Full pump", "Fluid pound", "Gas interference"):
            solver_lines += [
                f"| {name} | {solver} | {middle:.2f} / {high:.2f} |"
                for solver, (middle, high) in solver_errors(field).items()
            ]
        rows = field.cards.results["steady"] > 0
        truth = field.cards.truth
        good = diagnose_field(field, seed).columns
        bad = diagnose_field(field, seed, gain=0.012, gravity=0.02).columns
        # The truth counts what passes a worn barrel with the travelling valve's leak.
        good["tv_leak_bpd"] = good["tv_leak_bpd"] + good["barrel_leak_bpd"]
        wrong = np.abs(good["fillage_pct"] - truth["fillage_pct"])
        covered = np.mean((wrong <= good["fillage_spread_pct"] + 1.0)[rows])
        pip = "pump_intake_pressure_psi"
        cells = [name, str(int(rows.sum()))]
        cells += [_errors(good[key], truth[key], rows) for key in ("fillage_pct", "net_stroke_in", pip)]
        cells.append(_errors(bad[pip], truth[pip], rows))
        cells += [
            _errors(good[key], truth[key], rows)
            for key in (
                "fluid_load_lbf",
                "friction_lbf",
                "tubing_movement_in",
                "tv_leak_bpd",
                "sv_leak_bpd",
                "inferred_production_bpd",
            )
        ]
        lines.append("| " + " | ".join([*cells, f"{100 * covered:.0f} %"]) + " |")
        pooled.append(
            (wrong[rows], np.abs(good[pip] - truth[pip])[rows], np.abs(bad[pip] - truth[pip])[rows])
        )
    whole = [np.concatenate(part) for part in zip(*pooled, strict=True)]
    medians = [np.nanmedian(part) for part in whole]
    lines += [
        "",
        f"All conditions pooled, medians: fillage {medians[0]:.2f} %, PIP {medians[1]:.1f} psi, PIP with",
        f"gain and gravity wrong {medians[2]:.1f} psi.",
        "",
        "Pump loads of the solvers against the true pump card, everything known but that damping differs up",
        "and down (its mean is used): rms error in % of the load range, median / p95.",
        "",
        "| condition | solver | rms, % |",
        "|---|---|---|",
        *solver_lines,
    ]
    return "\n".join(lines)


def field_table(count: int, seed: int) -> str:
    """Cards of the simulated field: several faults at once, deviated wells, faulty load cells, noise; by first label."""
    batch = simulate_cards(count, seed, cards_per_well=5)
    w = batch.wells
    known = []
    for i in range(count):
        path = None
        if w.inclination_deg[i] > 0:
            md, inclination, azimuth, _ = survey(
                float(w.depth_ft[i]), float(w.kickoff_ft[i]), float(w.inclination_deg[i])
            )
            path = Survey(md, inclination, azimuth)
        known.append(
            Well(
                rods=w.rods.take(i),
                unit=w.unit.take(i),
                plunger_diameter_in=float(w.plunger_diameter_in[i]),
                clearance_in=float(w.plunger_clearance_in[i]),
                pump_depth_ft=float(w.depth_ft[i]),
                fluid_sg=float(w.fluid_gravity[i]),
                viscosity_cp=float(w.viscosity_cp[i]),
                tubing_pressure_psi=float(w.tubing_pressure_psi[i]),
                casing_pressure_psi=float(w.casing_pressure_psi[i]),
                tubing_anchored=True,
                survey=path,
            )
        )
    cards = Cards(batch.surface_position_in, batch.surface_load_lbf, spm=w.spm, well=np.arange(count))
    found = diagnose_all(cards, known).columns
    keys = (
        "fillage_pct",
        "pump_intake_pressure_psi",
        "friction_lbf",
        "tubing_movement_in",
        "tv_leak_bpd",
        "inferred_production_bpd",
    )
    found["tv_leak_bpd"] = found["tv_leak_bpd"] + found["barrel_leak_bpd"]
    lines = [
        f"Simulated field, version {FIELD_VERSION}, seed {seed}, {count} cards.",
        "",
        "| first label | cards | fillage, % | PIP, psi | friction, lbf | tubing movement, in | TV and barrel leak, bbl/d | "
        "production, bbl/d | said to be parted | said to have a worn barrel |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    parted = np.array(["parted_rod" in text for text in found["quality"]])
    for label in sorted(set(batch.labels[:, 0])):
        rows = (batch.labels[:, 0] == label) & batch.steady
        if rows.sum() < 10:
            continue
        cells = [_errors(found[key], batch.truth[key], rows) for key in keys]
        worn = found["barrel_leak_bpd"][rows] > 0.0
        shares = f" | {100 * parted[rows].mean():.0f} % | {100 * worn.mean():.0f} % |"
        lines.append(f"| {label} | {rows.sum()} | " + " | ".join(cells) + shares)
    return "\n".join(lines)


def main() -> None:
    """Write the table into the page, or print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wells", type=int, default=WELLS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--print", action="store_true", help="print the table instead of writing the page")
    parser.add_argument(
        "--parity", action="store_true", help="print only the difference of the two solvers by harmonics"
    )
    options = parser.parse_args()
    if options.parity:
        sys.stdout.write(parity_table(options.wells, options.seed) + "\n")
        return
    text = table(options.wells, options.seed) + "\n\n" + field_table(5 * options.wells, options.seed)
    if options.print:
        sys.stdout.write(text + "\n")
        return
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
