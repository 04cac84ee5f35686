"""Rows of the drop folder's tables for a simulated field, under the vendor's column names.

Belongs here: how the simulated truth, through the eyes of controllers, vendor and operator, becomes rows. Which file a row
goes into and when that file is written is in `field`.

A table is a dict of equal-length lists of texts, already formatted; an empty text is null.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.cards.codec import encode_hex
from oasis_pipeline.cards.column import CardColumn
from oasis_pipeline.physics.stress import goodman_loading_pct
from oasis_pipeline.physics.unit import UnitKind
from oasis_pipeline.schema.xspoc_tables import XDIAGRESULTS
from oasis_pipeline.simulation.equipment import Wells, survey

FloatArray = NDArray[np.float64]
Table = dict[str, list[str]]

CARD_COLUMNS = [
    "NodeID",
    "Date",
    "CardType",
    "SPM",
    "StrokeLength",
    "Runtime",
    "LoadLimit",
    "HiLoadLimit",
    "LoLoadLimit",
    "Fillage",
    "FillBasePct",
    "SecondaryPumpFillage",
    "CauseID",
    "AnalysisDate",
    "Area",
    "AreaLimit",
    "PositionLimit",
    "MalPositionLimit",
    "MalLoadLimit",
    "SurfaceCardB",
    "DownholeCardB",
    "POCDownholeCardB",
    "PredictedCardB",
    "TorquePlotMinEnergyB",
    "TorquePlotMinTorqueB",
    "TorquePlotCurrentB",
    "PermissibleLoadUpB",
    "PermissibleLoadDownB",
]

XDIAG_COLUMNS = [column.name for column in XDIAGRESULTS.columns if not column.name.islower()]

UNIT_TEXTS = {
    UnitKind.CONVENTIONAL: "Conventional",
    UnitKind.MARK_II: "Mark II",
    UnitKind.AIR_BALANCED: "Air Balanced",
}

_WORDS = [
    "Kestrel",
    "Heron",
    "Juniper",
    "Sable",
    "Marlow",
    "Tansy",
    "Alder",
    "Quill",
    "Bracken",
    "Osprey",
    "Larkspur",
    "Fenwick",
    "Corrie",
    "Thistle",
    "Wren",
    "Saxifrage",
    "Lapwing",
    "Hazel",
    "Orrin",
    "Teasel",
    "Dunlin",
    "Merrow",
    "Yarrow",
    "Plover",
]


def node_ids(count: int, rng: np.random.Generator) -> list[str]:
    """Made-up well names in the field's style, all different."""
    names: list[str] = []
    while len(names) < count:
        word = _WORDS[len(names) % len(_WORDS)]
        name = f"{word} {rng.integers(1, 37)}-{rng.integers(1, 200)}H"
        if name not in names:
            names.append(name)
    return names


def stamp_text(moment: datetime) -> str:
    """Format a time as the tables do."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def us_stamp_text(moment: datetime) -> str:
    """Format a time as the operator's spreadsheets do."""
    return f"{moment.month}/{moment.day}/{moment.year} {moment.strftime('%I').lstrip('0')}:{moment.strftime('%M %p')}"


def numbers(values: Iterable[float], digits: int) -> list[str]:
    """Format numbers with a fixed number of digits; NaN and infinity become null."""
    return [f"{value:.{digits}f}" if np.isfinite(value) else "" for value in values]


def empty(count: int, columns: Sequence[str]) -> Table:
    """Make a table of nulls."""
    return {name: [""] * count for name in columns}


def hex_cards(position: FloatArray, load: FloatArray) -> list[str]:
    """Card blobs in hex, from dense arrays (n, points)."""
    count, points = position.shape
    offsets = np.arange(count + 1, dtype=np.int64) * points
    return encode_hex(
        CardColumn(position.ravel().astype(np.float32), load.ravel().astype(np.float32), offsets)
    )


def well_details(
    nodes: Sequence[str], wells: Wells, poc_type: NDArray[np.int64], anchored: NDArray[np.bool_]
) -> Table:
    """Rows of WellDetails."""
    return {
        "NodeID": list(nodes),
        "POCType": [str(value) for value in poc_type],
        "PumpDepth": numbers(wells.depth_ft, 0),
        "TubingPressure": numbers(wells.tubing_pressure_psi, 0),
        "CasingPressure": numbers(wells.casing_pressure_psi, 0),
        "WaterCut": numbers(wells.water_cut_pct, 0),
        "WaterSG": numbers(wells.water_gravity, 2),
        "OilAPIGravity": numbers(wells.oil_api, 0),
        "FluidSpecificGravity": numbers(wells.fluid_gravity, 3),
        "SPM": numbers(wells.spm, 1),
        "StrokeLength": numbers(np.round(wells.stroke_in), 0),
        "TubingOD": numbers(wells.tubing_od_in, 3),
        "TubingID": numbers(wells.tubing_id_in, 3),
        "TubingAnchorDepth": [
            f"{depth - 90:.0f}" if held else "" for depth, held in zip(wells.depth_ft, anchored, strict=True)
        ],
        "TubingAnchored": [str(bool(held)) for held in anchored],
        "PlungerDiam": numbers(wells.plunger_diameter_in, 2),
        "Clearance": numbers(wells.plunger_clearance_in, 3),
        "Viscosity": numbers(wells.viscosity_cp, 1),
        "MotorHP": numbers(wells.motor_hp, 0),
    }


def rods(nodes: Sequence[str], wells: Wells, grade: Sequence[str]) -> Table:
    """Rows of Rods, top first; sinker bars carry their own grade."""
    table = empty(0, ("NodeID", "RodNum", "Grade", "Length", "Diameter"))
    for i, node in enumerate(nodes):
        number = 0
        for length, diameter in zip(wells.rods.length_ft[i], wells.rods.diameter_in[i], strict=True):
            if length <= 0.0:
                continue
            number += 1
            row = (node, str(number), "SB" if diameter > 1.2 else grade[i], f"{length:.0f}", f"{diameter:g}")
            for column, value in zip(table.values(), row, strict=True):
                column.append(value)
    return table


def deviations(nodes: Sequence[str], wells: Wells) -> Table:
    """Rows of Deviations for the wells that are not vertical."""
    table = empty(0, ("NodeID", "MD", "Inclination", "Azimuth"))
    for i, node in enumerate(nodes):
        if wells.inclination_deg[i] <= 0.0:
            continue
        measured, inclination, azimuth, _ = survey(
            wells.depth_ft[i], wells.kickoff_ft[i], wells.inclination_deg[i]
        )
        table["NodeID"] += [node] * len(measured)
        table["MD"] += numbers(measured, 0)
        table["Inclination"] += numbers(inclination, 2)
        table["Azimuth"] += numbers(azimuth, 1)
    return table


def pumping_units(nodes: Sequence[str], wells: Wells) -> Table:
    """Rows of PumpingUnits."""
    unit = wells.unit
    table: Table = {
        "NodeID": list(nodes),
        "UnitType": [UNIT_TEXTS[UnitKind(int(kind))] for kind in np.asarray(unit.kind)],
        "Rotation": ["CW" if turn else "CCW" for turn in np.asarray(unit.clockwise)],
    }
    for column, field in zip("ACIKPR", ("a_in", "c_in", "i_in", "k_in", "p_in", "r_in"), strict=True):
        table[column] = numbers(np.asarray(getattr(unit, field)), 2)
    table["GearboxRating"] = numbers(np.asarray(unit.gearbox_rating_in_lbf), 0)
    table["StructuralRating"] = numbers(np.asarray(unit.structural_rating_lbf), 0)
    table["CounterbalanceMoment"] = numbers(np.asarray(unit.counterbalance_moment_in_lbf), 0)
    table["CrankOffset"] = numbers(np.asarray(unit.crank_offset_deg), 1)
    return table


def card_rows(
    nodes: Sequence[str],
    dates: Sequence[datetime],
    wells: Wells,
    surface: tuple[FloatArray, FloatArray],
    pump: tuple[FloatArray, FloatArray],
    fillage_pct: FloatArray,
    runtime_h: FloatArray,
    poc_type: NDArray[np.int64],
) -> Table:
    """Rows of CardData."""
    count = len(nodes)
    table = empty(count, CARD_COLUMNS)
    peak, low = surface[1].max(axis=1), surface[1].min(axis=1)
    table["NodeID"] = list(nodes)
    table["Date"] = [stamp_text(date) for date in dates]
    table["CardType"] = ["N"] * count
    table["SPM"] = numbers(wells.spm, 1)
    table["StrokeLength"] = numbers(np.round(wells.stroke_in), 0)
    table["Runtime"] = numbers(runtime_h, 1)
    table["LoadLimit"] = ["40"] * count
    table["HiLoadLimit"] = numbers(np.round(1.2 * peak, -2), 0)
    table["LoLoadLimit"] = numbers(np.round(0.5 * low, -2), 0)
    table["Fillage"] = numbers(fillage_pct, 1)
    table["FillBasePct"] = ["45"] * count
    table["SecondaryPumpFillage"] = ["60"] * count
    table["CauseID"] = ["99"] * count
    table["AnalysisDate"] = [stamp_text(date + timedelta(seconds=95)) for date in dates]
    table["Area"] = ["5" if kind == 17 else "0" for kind in poc_type]
    table["AreaLimit"] = ["70"] * count
    table["PositionLimit"] = ["65"] * count
    table["MalPositionLimit"] = ["30"] * count
    table["MalLoadLimit"] = ["85"] * count
    table["SurfaceCardB"] = hex_cards(*surface)
    table["POCDownholeCardB"] = hex_cards(*pump)
    return table


def taper_loads(wells: Wells, surface_load: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Largest and smallest load at the top and smallest at the bottom of each taper, as a vendor estimates them.

    The card's extremes are scaled down the string with the weight that hangs below; shapes (n, tapers), lbf.
    """
    total = wells.rods.air_weight_lbf
    weight = wells.rods.taper_air_weight_lbf
    below_top = total[:, np.newaxis] - np.cumsum(weight, axis=1) + weight
    share_top = below_top / total[:, np.newaxis]
    share_bottom = (below_top - weight) / total[:, np.newaxis]
    fluid = wells.fluid_load_lbf[:, np.newaxis]
    peak = surface_load.max(axis=1)[:, np.newaxis]
    low = surface_load.min(axis=1)[:, np.newaxis]
    return fluid + (peak - fluid) * share_top, low * share_top, low * share_bottom


def xdiag_rows(
    nodes: Sequence[str],
    dates: Sequence[datetime],
    wells: Wells,
    truth: dict[str, FloatArray],
    surface_load: FloatArray,
    verdicts: NDArray[np.str_],
    hide_intake: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Table:
    """Rows of XDiagResults: the vendor's analysis with its errors, the columns it does not fill left null."""
    count = len(nodes)
    table = empty(count, XDIAG_COLUMNS)
    peak, low = surface_load.max(axis=1), surface_load.min(axis=1)

    def off(values: FloatArray, relative: float, absolute: float = 0.0) -> FloatArray:
        wrong = values * (1.0 + relative * rng.standard_normal(count)) + absolute * rng.standard_normal(count)
        return np.asarray(wrong)

    fillage = np.clip(off(truth["fillage_pct"], 0.0, 3.0), 0.0, 100.0)
    gross = off(truth["gross_stroke_in"], 0.015)
    intake = np.where(
        hide_intake, np.nan, np.maximum(off(truth["pump_intake_pressure_psi"], 0.12, 35.0), 0.0)
    )
    production = np.maximum(off(truth["inferred_production_bpd"], 0.06), 0.0)
    oil = production * (1.0 - wells.water_cut_pct / 100.0)
    torque = off(truth["peak_gearbox_torque_in_lbf"], 0.03)
    rating = np.asarray(wells.unit.gearbox_rating_in_lbf)
    power = off(truth["polished_rod_power_hp"], 0.02)
    top, low_top, _ = taper_loads(wells, surface_load)
    area = wells.rods.area_in2
    loading = goodman_loading_pct(low_top / area, top / area, wells.rods.tensile_psi)
    loading = np.where(wells.rods.length_ft > 0.0, loading, np.nan)
    load = off(truth["fluid_load_lbf"], 0.04)
    displacement = 0.116571 * gross * wells.spm * wells.plunger_diameter_in**2
    energy = power * 0.7457 * 24.0 / 0.65
    best = 1.06 * (wells.rods.buoyant_weight_lbf(wells.fluid_gravity) + 0.5 * truth["fluid_load_lbf"])
    columns: dict[str, tuple[FloatArray, int]] = {
        "FillagePct": (fillage, 0),
        "PumpEffPct": (100.0 * production / np.maximum(displacement, 1.0), 0),
        "PumpStroke": (gross, 0),
        "GearBoxLoadPct": (100.0 * torque / rating, 0),
        "MinTorqueGBLoadPct": (88.0 * torque / rating, 0),
        "TubingPressure": (wells.tubing_pressure_psi, 0),
        "CasingPressure": (wells.casing_pressure_psi, 0),
        "GrossProd": (production, 0),
        "WaterCutPct": (wells.water_cut_pct, 0),
        "PeakGBTorque": (torque, 0),
        "MinGBTorque": (0.88 * torque, 0),
        "GearboxTorqueRating": (rating, 0),
        "NetProd": (oil, 1),
        "FluidLevelXDiag": (
            wells.vertical_depth_ft - np.maximum(intake - wells.casing_pressure_psi, 0.0) / (0.433 * 0.85),
            0,
        ),
        "MinEnergyGBLoadPct": (93.0 * torque / rating, 1),
        "PumpSize": (wells.plunger_diameter_in, 2),
        "PPRL": (peak, 0),
        "MPRL": (low, 0),
        "BouyRodWeight": (wells.rods.buoyant_weight_lbf(wells.fluid_gravity), 0),
        "DryRodWeight": (wells.rods.air_weight_lbf, 0),
        "PolRodHP": (power, 2),
        "UnitStructLoad": (100.0 * peak / np.asarray(wells.unit.structural_rating_lbf), 0),
        "MaxRodLoad": (np.nanmax(loading, axis=1), 0),
        "CurrentMCB": (np.asarray(wells.unit.counterbalance_moment_in_lbf), 0),
        "MinTorqueCBE": (best, 0),
        "MinEnergyKWH": (0.95 * energy, 1),
        "MinTorqueKWH": (0.97 * energy, 1),
        "CurrentKWH": (energy, 1),
        "TubingMovement": (np.maximum(off(truth["tubing_movement_in"], 0.1, 0.4), 0.0), 1),
        "FluidLoadonPump": (load, 0),
        "PumpIntakePressure": (intake, 0),
        "WaterSG": (wells.water_gravity, 2),
        "OilAPIGravity": (wells.oil_api, 0),
        "FluidSG": (wells.fluid_gravity, 3),
        "GrossPumpStroke": (gross, 1),
        "GrossPumpDisplacement": (displacement, 1),
        "NetStrokeApparent": (gross * fillage / 100.0, 1),
        "PumpFriction": (np.maximum(off(truth["friction_lbf"], 0.2, 80.0), 0.0), 0),
        "Friction": (np.maximum(off(truth["friction_lbf"], 0.2, 80.0), 0.0), 0),
        "MotorLoad": (100.0 * power / 0.65 / wells.motor_hp, 1),
        "DownholeCapacity24": (displacement, 1),
    }
    for name, (values, digits) in columns.items():
        table[name] = numbers(values, digits)
    table["NodeID"] = list(nodes)
    table["Date"] = [stamp_text(date) for date in dates]
    table["AnalysisDate"] = [stamp_text(date + timedelta(minutes=4)) for date in dates]
    table["PumpCond1"] = list(verdicts[:, 0])
    table["PumpCond2"] = list(verdicts[:, 1])
    table["PumpCondition"] = list(verdicts[:, 0])
    table["CardType"] = ["N"] * count
    table["BalanceUnit"] = [str(value) for value in (torque > 1.1 * rating)]
    table["TubingLeak"] = ["False"] * count
    table["BadSG"] = ["False"] * count
    return table


def xdiag_rod_rows(
    nodes: Sequence[str],
    dates: Sequence[datetime],
    wells: Wells,
    grade: Sequence[str],
    surface_load: FloatArray,
) -> Table:
    """Rows of XDiagRodResults, one per card and taper."""
    top, low_top, low_bottom = taper_loads(wells, surface_load)
    area = wells.rods.area_in2
    loading = goodman_loading_pct(low_top / area, top / area, wells.rods.tensile_psi)
    table = empty(
        0,
        (
            "NodeID",
            "Date",
            "RodNum",
            "Grade",
            "Length",
            "Diameter",
            "Loading",
            "BottomMinStress",
            "TopMinStress",
            "TopMaxStress",
        ),
    )
    length, diameter = wells.rods.length_ft, wells.rods.diameter_in
    for i, (node, date) in enumerate(zip(nodes, dates, strict=True)):
        text = stamp_text(date)
        number = 0
        for t in range(length.shape[1]):
            if length[i, t] <= 0.0:
                continue
            number += 1
            row = (
                node,
                text,
                str(number),
                "SB" if diameter[i, t] > 1.2 else grade[i],
                f"{length[i, t]:.0f}",
                f"{diameter[i, t]:g}",
                *numbers(
                    (
                        loading[i, t],
                        low_bottom[i, t] / area[i, t],
                        low_top[i, t] / area[i, t],
                        top[i, t] / area[i, t],
                    ),
                    0,
                ),
            )
            for column, value in zip(table.values(), row, strict=True):
                column.append(value)
    return table
