"""How a well's loads, plunger stroke and work answer to its speed: tables made by the predictive model.

Here: which points are simulated, and their tables. Not here: how a table is fitted to a card, and what is advised (``setpoints``).

The predictive model (`oasis_pipeline.physics.simulator`) runs on a coarse grid of time and rods: 16 segments and 50 points a stroke
change peak loads by 0.3 % and minimum loads by 1.5 % (standard deviations) and take a third of the time. A table depends on the equipment
and not on any card, so one serves every day that the equipment holds.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics.diagnosis.pump_cards import PumpCards, discharge_psi
from oasis_pipeline.physics.diagnosis.quantities import rod_columns
from oasis_pipeline.physics.diagnosis.well import Well, WellColumns, columns_of
from oasis_pipeline.physics.fluids import plunger_area_in2
from oasis_pipeline.physics.simulator import parameters, simulate
from oasis_pipeline.physics.unit import PumpingUnit, stroke_in
from oasis_pipeline.physics.wave_frequency import damping_per_s, propagate_each

Array = NDArray[np.float64]

QUANTITIES = ("stroke_in", "pprl_lbf", "mprl_lbf", "work_in_lbf", "torque_in_lbf", "rods_pct")
"""Of a full cycle: plunger stroke in the barrel, peak and minimum polished-rod load, work of the polished rod, peak gearbox torque,
loading of the worst taper."""

DAMPINGS = (0.04, 0.12, 0.36)
"""Dimensionless dampings of the table."""

GAS_SHARE = 0.5
DRAG_SHARE = 0.15
"""Share of gas in the barrel, and dry friction along the rods over the fluid load, of the states that measure what both do."""

LOW_INTAKE_SHARE, HIGH_INTAKE_SHARE = 0.05, 0.40
"""Intake pressures of the table, as shares of the discharge pressure."""

STATES = ("full", "full", "full", "drag", "gas", "intake")
"""States of a table's third axis: a full pump at each of `DAMPINGS`, then one change each at the middle damping."""

FIRST_SPM, SPM_RATIO, NODES = 1.5, 1.06, 20
"""Speeds of all tables are FIRST_SPM x SPM_RATIO^k; each table holds NODES of them."""

BELOW_PRESENT = 0.5
"""Where a table begins, as a share of the present speed; it ends at 1.43 of it or more."""

_SIMULATED_AT_ONCE = 512


def can_respond(wells: WellColumns) -> list[list[str]]:
    """Name what is missing for the table of each well, as codes of ``missing``; empty where nothing is."""
    needed = {
        "no_plunger": "plunger_diameter_in",
        "no_fluid_sg": "fluid_sg",
        "no_depth": "pump_depth_ft",
        "no_tubing_pressure": "tubing_pressure_psi",
    }
    lacks = {"no_rods": ~wells.has_rods} | {
        code: ~np.isfinite(wells.plain[name]) for code, name in needed.items()
    }
    return [[code for code, missing in lacks.items() if missing[i]] for i in range(len(wells.has_rods))]


@dataclass(frozen=True)
class Response:
    """Tables of n wells.

    Attributes
    ----------
    first_node : ndarray of int, shape (n,)
        Number k of the first speed of each table.
    values : ndarray, shape (n, NODES, states, quantities)
        In the order of `STATES` and `QUANTITIES`; torque is NaN without a counterbalance, loading without a grade.
    discharge_psi, low_intake_psi, high_intake_psi, plunger_area_in2, vertical_depth_ft, rod_weight_lbf : ndarray, shape (n,)
        What the states stand for, and what the inflow needs of the equipment.
    """

    first_node: NDArray[np.int64]
    values: Array
    discharge_psi: Array
    low_intake_psi: Array
    high_intake_psi: Array
    plunger_area_in2: Array
    vertical_depth_ft: Array
    rod_weight_lbf: Array

    def at(self, spm: Array) -> Array:
        """Tables at speeds.

        Parameters
        ----------
        spm : ndarray, shape (n, c)
            Speeds; outside of a table its end holds.

        Returns
        -------
        ndarray, shape (n, c, states, quantities)
        """
        place = np.log(spm / FIRST_SPM) / np.log(SPM_RATIO) - self.first_node[:, None]
        place = np.clip(np.nan_to_num(place), 0.0, NODES - 1.0)
        base = np.minimum(place.astype(np.int64), NODES - 2)
        part = (place - base)[..., None, None]
        row = np.arange(len(self.values))[:, None]
        return np.asarray(self.values[row, base] * (1.0 - part) + self.values[row, base + 1] * part)


@dataclass
class Responses:
    """Tables that were made so far, kept for wells that are asked for again.

    Attributes
    ----------
    kept : dict
        ((key of the equipment, stroke), number of the speed) -> ndarray (states, quantities); those asked for last stand last.
    made : bool
        Whether one was added.
    """

    kept: dict[tuple[tuple[Hashable, float], int], Array] = field(default_factory=dict)
    made: bool = False

    def of(self, keys: Sequence[Hashable], wells: Sequence[Well], stroke: Array, spm: Array) -> Response:
        """Make the tables of wells, or take those that are kept.

        Parameters
        ----------
        keys : sequence of hashable
            What tells equipment apart.
        wells : sequence of Well
            Wells that lack nothing (`can_respond`).
        stroke : ndarray, shape (n,)
            Stroke of the polished rod, in; the unit's where NaN.
        spm : ndarray, shape (n,)
            Present speeds, positive.

        Returns
        -------
        Response
        """
        columns = columns_of(wells)
        first = np.floor(np.log(BELOW_PRESENT * spm / FIRST_SPM) / np.log(SPM_RATIO)).astype(np.int64)
        of_unit = np.where(columns.has_unit, stroke_in(columns.units), np.nan)
        # a stroke within 3 % is the unit's own; another crank hole scales the motion
        same = ~(np.abs(stroke / of_unit - 1.0) > 0.03) & columns.has_unit
        used = np.where(same, of_unit, np.round(np.where(np.isfinite(stroke), stroke, of_unit)))
        names = [(key, float(np.round(inches, 1))) for key, inches in zip(keys, used, strict=True)]
        wanted: dict[tuple[tuple[Hashable, float], int], tuple[int, int]] = {}
        for row, name in enumerate(names):
            for node in range(first[row], first[row] + NODES):
                if (name, node) in self.kept:
                    self.kept[name, node] = self.kept.pop((name, node))
                else:
                    wanted.setdefault((name, node), (row, node))
        if wanted:
            rows = np.array([row for row, _ in wanted.values()], dtype=np.intp)
            nodes = np.array([node for _, node in wanted.values()])
            size = max(_SIMULATED_AT_ONCE // len(STATES), 1)
            made = [
                _tabulate(
                    [wells[row] for row in rows[start : start + size]],
                    used[rows[start : start + size]],
                    FIRST_SPM * SPM_RATIO ** nodes[start : start + size],
                )
                for start in range(0, len(rows), size)
            ]
            self.kept.update(zip(wanted, np.concatenate(made), strict=True))
            self.made = True
        values = np.array(
            [
                [self.kept[name, node] for node in range(start, start + NODES)]
                for name, start in zip(names, first, strict=True)
            ]
        ).reshape(len(wells), NODES, len(STATES), len(QUANTITIES))
        discharge = discharge_psi(columns)
        area = plunger_area_in2(columns.plain["plunger_diameter_in"])
        low, high = _intakes(discharge)
        return Response(
            first,
            values,
            discharge,
            low,
            high,
            area,
            columns.vertical_depth_ft,
            columns.buoyant_weight_lbf,
        )


def _intakes(discharge: Array) -> tuple[Array, Array]:
    return np.maximum(LOW_INTAKE_SHARE * discharge, 10.0), HIGH_INTAKE_SHARE * discharge


def _scaled(units: PumpingUnit, has_unit: NDArray[np.bool_], stroke: Array) -> PumpingUnit:
    """Units whose linkage is scaled to a stroke; simple harmonic motion where there is none."""
    factor = stroke / np.where(has_unit, stroke_in(units), 100.0)
    return replace(
        units,
        a_in=units.a_in * factor,
        c_in=units.c_in * factor,
        i_in=units.i_in * factor,
        k_in=units.k_in * factor,
        p_in=units.p_in * factor,
        r_in=units.r_in * factor,
    )


def _tabulate(wells: Sequence[Well], stroke: Array, spm: Array) -> Array:
    """Simulate every state of wells at one speed each; shape (n, states, quantities)."""
    columns = columns_of(wells)
    count, states = len(wells), len(STATES)
    discharge = discharge_psi(columns)
    low, high = _intakes(discharge)
    load = plunger_area_in2(columns.plain["plunger_diameter_in"]) * discharge
    row = np.repeat(np.arange(count), states)
    kind = np.tile(np.array(STATES), count)
    damping = np.tile(np.array([*DAMPINGS, *[DAMPINGS[1]] * 3]), count)
    stretch = columns.stretch_in_per_lbf[row]
    conditions = parameters(
        count * states,
        spm=spm[row],
        damping_up=damping,
        damping_down=damping,
        plunger_diameter_in=columns.plain["plunger_diameter_in"][row],
        fluid_gravity=columns.plain["fluid_sg"][row],
        discharge_psi=discharge[row],
        intake_psi=np.where(kind == "intake", high[row], low[row]),
        gas_fraction=np.where(kind == "gas", GAS_SHARE, 0.0),
        gas_exponent=columns.plain["gas_exponent"][row],
        rod_drag_lbf=np.where(kind == "drag", DRAG_SHARE * load[row], 0.0),
        tubing_spring_lbf_per_in=np.where(stretch > 0.0, 1.0 / np.maximum(stretch, 1e-12), np.inf),
    )
    rods = columns.rods.take(row)
    units = _scaled(columns.units, columns.has_unit, stroke).take(row)
    # coarse on purpose: see the module's docstring
    cards = simulate(
        rods, units, conditions, nodes=16, surface_points=50, pump_points=50, tolerance=5e-3, max_cycles=12
    )
    buoyant = columns.buoyant_weight_lbf[row]
    x, f, below = propagate_each(
        cards.surface_position_in,
        cards.surface_load_lbf - buoyant[:, None],
        rods,
        spm[row],
        damping_per_s(rods, damping),
        25,
        tapers=True,
    )
    assert below is not None, "tapers were asked for"
    settled = np.ones(len(row), dtype=np.bool_)
    stress = rod_columns(
        cards.surface_load_lbf, PumpCards(x, f, f, below, damping, damping, settled, {}), columns, row
    )
    loading = np.nanmax(np.where(np.isnan(stress["loading_pct"]), -np.inf, stress["loading_pct"]), axis=1)
    results = cards.results
    values = np.stack(
        [
            results["relative_stroke_in"],
            results["pprl_lbf"],
            results["mprl_lbf"],
            results["surface_work_in_lbf"],
            cards.truth["peak_gearbox_torque_in_lbf"],
            np.where(np.isfinite(loading), loading, np.nan),
        ],
        axis=1,
    )
    return np.asarray(values.reshape(count, states, len(QUANTITIES)))
