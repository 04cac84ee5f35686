"""``oasis diagnose``: one surface card to pump card, diagnosis and picture, without a database unless one is asked for."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.cards.misfit import odd_for
from oasis_pipeline.commands.card_file import InputError, read_card_file, read_well
from oasis_pipeline.commands.common import (
    NoInstallationError,
    existing_warehouse,
    home_option,
    json_option,
    print_json,
    print_table,
    require_installation,
    settings_of,
)
from oasis_pipeline.physics import wave_difference, wave_frequency
from oasis_pipeline.physics.diagnosis import Cards, Diagnosis, Quality, Well, diagnose_all, expected_of
from oasis_pipeline.physics.diagnosis.quantities import PUMP_COLUMNS
from oasis_pipeline.physics.diagnosis.sensors import advance_position
from oasis_pipeline.physics.diagnosis.well import columns_of
from oasis_pipeline.physics.torque import permissible_load_lbf
from oasis_pipeline.plotting.diagnosis import LISTED, DiagnosedCard, diagnosis_figure, figure_text
from oasis_pipeline.plotting.style import png

Array = NDArray[np.float64]
Card = tuple[Array, Array]

NO_CARD: Card = (np.empty(0), np.empty(0))

_TIME_POINTS = (400, 200, 100)
"""Points in time for the finite differences, the finest that is stable."""

_PRESSURES = (
    "pump_intake_pressure_psi",
    "pump_discharge_pressure_psi",
    "pump_intake_pressure_lower_psi",
    "pump_intake_pressure_upper_psi",
    "fluid_level_ft",
    "fluid_above_pump_ft",
    "slippage_bpd",
    "slippage_arco_hf_bpd",
)
_RATES = (
    "gross_displacement_bpd",
    "net_displacement_bpd",
    "tv_leak_bpd",
    "sv_leak_bpd",
    "barrel_leak_bpd",
    "inferred_production_bpd",
)
_TORQUE = ("peak_gearbox_torque_in_lbf", "gearbox_load_pct", "counterbalance_lbf")
_ROD_COLUMNS = (
    "pump_card",
    "pump_card_fd",
    *PUMP_COLUMNS,
    "load_offset_lbf",
    "position_phase_deg",
    "damping",
    "max_rod_load_pct",
)

NEEDED_BY: tuple[tuple[Quality, str, tuple[str, ...]], ...] = (
    (Quality.NO_SPM, "spm", (*_ROD_COLUMNS, "polished_rod_power_hp")),
    (Quality.NO_RODS, "rods", _ROD_COLUMNS),
    (Quality.RODS_INCOMPLETE, "rods down to the pump", _ROD_COLUMNS),
    (Quality.NO_ROD_GRADE, "rods.grade", ("max_rod_load_pct",)),
    (Quality.NO_PLUNGER, "pump.diameter_in", (*(name for name in _PRESSURES if name != "pump_discharge_pressure_psi"), *_RATES)),
    (Quality.NO_DEPTH, "pump.depth_ft", _PRESSURES),
    (Quality.NO_CLEARANCE, "pump.clearance_in", _PRESSURES[-2:]),
    (Quality.NO_FLUID_SG, "fluid_sg", (*_PRESSURES, "load_offset_lbf")),
    (Quality.NO_VISCOSITY, "viscosity_cp", _PRESSURES[-2:]),
    (Quality.NO_TUBING_PRESSURE, "tubing_pressure_psi", _PRESSURES),
    (Quality.NO_CASING_PRESSURE, "casing_pressure_psi", ("fluid_level_ft", "fluid_above_pump_ft")),
    (Quality.NO_UNIT, "unit", (*_TORQUE, "best_counterbalance_lbf", "best_gearbox_torque_in_lbf", "structural_load_pct")),
    (Quality.NO_COUNTERBALANCE, "unit.counterbalance_moment_in_lbf", _TORQUE),
    (Quality.NO_GEARBOX_RATING, "unit.gearbox_rating_in_lbf", ("gearbox_load_pct",)),
    (Quality.NO_STRUCTURAL_RATING, "unit.structural_rating_lbf", ("structural_load_pct",)),
)  # fmt: skip
"""Code of ``quality``, the key of the well file that was not given, and what can't be had without it."""

ASSUMED: tuple[tuple[Quality, str], ...] = (
    (
        Quality.NO_ANCHOR_DATA,
        "tubing_anchored (or the sizes of free tubing): the tubing is taken as anchored",
    ),
    (Quality.DEPTH_FROM_RODS, "pump.depth_ft: taken from the length of the rods"),
    (Quality.NO_SURVEY, "survey: the well is taken as vertical"),
    (Quality.PLUNGER_LENGTH_ASSUMED, "pump.length_in: a plunger of 48 in is taken for the slippage"),
)


@dataclass(frozen=True)
class Answer:
    """What ``oasis diagnose`` found.

    Attributes
    ----------
    surface, pump, pump_fd : tuple of ndarray
        Positions (in) and loads (lbf) in time form; pump cards in the frequency domain and by finite differences, empty where
        they could not be computed.
    direction_reversed : bool
        Whether the points came against the direction of time.
    findings : dict
        Columns of ``clean.carddiag`` that could be had.
    missing : list of str
        What was not given, and what it kept from being computed.
    report : str
    limits : tuple of ndarray or None
        Permissible loads at the points of the surface card.
    """

    surface: Card
    pump: Card
    pump_fd: Card
    direction_reversed: bool
    findings: dict[str, Any]
    missing: list[str]
    report: str
    limits: Card | None


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--well", metavar="NODEID", help="Take the newest equipment of this well from the warehouse.")
@click.option(
    "--well-file", type=click.Path(path_type=Path), help="JSON with the well's rods, pump, fluid and unit."
)
@click.option(
    "--spm",
    type=float,
    help="Speed at which the card was taken; else the file's, if it is .dyn, or the well's.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write a picture (PNG).")
@home_option
@json_option
def diagnose(
    file: Path,
    well: str | None,
    well_file: Path | None,
    spm: float | None,
    out: Path | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Diagnose one surface card: pump card, fillage, loads, pressures, torque and a report in words.

    FILE is csv with the columns position_in and load_lbf, or a dynamometer file in the .dyn form of XDIAG: one stroke, points
    equally spaced in time, from any start, in either direction. Without --well and --well-file only what the surface card
    alone tells is answered.
    """
    if well is not None and well_file is not None:
        raise click.ClickException("--well and --well-file name the well twice: leave one of them out")
    if spm is not None and not 0.0 < spm <= 60.0:
        raise click.ClickException("--spm has to be above 0 and at most 60")
    # what may be misspelled first: a well that is named wrong needs no card to be told
    known = Well()
    if well_file is not None:
        known = read_well(well_file)
    elif well is not None:
        well, known = well_of_warehouse(home, well)
    if out is not None and not out.absolute().parent.is_dir():
        raise InputError(f"can't write the picture {out}: there is no folder {out.absolute().parent}")
    card = read_card_file(file)
    form = card.form
    speed = spm if spm is not None else card.spm
    if not math.isnan(speed):
        known = replace(known, spm=speed)
    position, load = (np.asarray(values, dtype=np.float64) for values in form.column.row(0))
    if not form.is_open[0] and (reason := reason_of_another_well(position, load, known)):
        raise InputError(f"{file}: {reason}; check the units (in, lbf) and the well")
    answer = answer_of(
        (position, load), known, is_open=bool(form.is_open[0]), reversed_=bool(form.direction_reversed[0])
    )
    if out is not None:
        picture = picture_of(answer, known, title=well or file.stem, note=file.name if well else "")
        try:
            out.write_bytes(png(diagnosis_figure(picture), dpi=110))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no such name"
            raise InputError(f"can't write the picture {out}: {reason}") from None
    if as_json:
        print_json(json_of(answer))
    else:
        _print(answer, file, out)


def reason_of_another_well(position: Array, load: Array, well: Well) -> str | None:
    """Say why a surface card can't be of a well, None where it can.

    Parameters
    ----------
    position, load : ndarray, shape (n,)
    well : Well

    Returns
    -------
    str or None
        One clause, with the unit that the values look like.
    """
    return odd_for(position, load, expected_of(columns_of([well]), np.zeros(1, dtype=np.intp)).of(0))


def answer_of(surface: Card, well: Well, *, is_open: bool = False, reversed_: bool = False) -> Answer:
    """Diagnose one card.

    Parameters
    ----------
    surface : tuple of ndarray, shape (n,)
        Positions and loads in time form.
    well : Well
    is_open : bool
        Whether it holds half a stroke only.
    reversed_ : bool
        Whether its points came against the direction of time.

    Returns
    -------
    Answer
    """
    position, load = surface
    found = diagnose_all(Cards(position[None], load[None], is_open=np.array([is_open])), well)
    columns = found.columns
    findings: dict[str, Any] = {
        name: float(values[0])
        for name, values in columns.items()
        if values.dtype.kind == "f" and math.isfinite(values[0])
    }
    findings |= {name: str(columns[name][0]) for name in ("pump_card_source", "quality")}
    pump, pump_fd = NO_CARD, NO_CARD
    notes: list[str] = []
    if columns["pump_card_source"][0] == "computed":
        pump = (found.pump_position_in[0], found.pump_load_lbf[0])
        pump_fd, notes = _by_differences(surface, well, found)
    there = {
        *findings,
        *(["pump_card"] if len(pump[0]) else []),
        *(["pump_card_fd"] if len(pump_fd[0]) else []),
    }
    return Answer(
        surface,
        pump,
        pump_fd,
        reversed_,
        findings,
        missing_of(Quality(int(found.codes[0])), there) + notes,
        str(columns["report"][0]),
        _limits(position, well),
    )


def missing_of(codes: Quality, there: set[str]) -> list[str]:
    """Say what was not given, and what it kept from being computed.

    Parameters
    ----------
    codes : Quality
    there : set of str
        What could be had all the same.

    Returns
    -------
    list of str
        ``key: what could not be had``, and ``key: what was taken instead``.
    """
    said = []
    for code, key, needed_by in NEEDED_BY:
        withheld = [name for name in needed_by if name not in there]
        if codes & code and withheld:
            said.append(f"{key}: not given, so there is no {', '.join(dict.fromkeys(withheld))}")
    if "pump_card" in there:
        said.extend(text for code, text in ASSUMED if codes & code)
    return said


def _by_differences(surface: Card, well: Well, found: Diagnosis) -> tuple[Card, list[str]]:
    """Pump card by finite differences, with the damping, weight and phase of the one in the frequency domain."""
    columns = columns_of([well])
    string = columns.rods.take(0)
    damping = wave_frequency.damping_per_s(string, found.columns["damping"])
    position = surface[0][None]
    if found.codes[0] & Quality.PHASE_CORRECTED:
        position = advance_position(position, found.columns["position_phase_deg"])
    for points in _TIME_POINTS:
        try:
            x, f = wave_difference.pump_card(
                position,
                surface[1][None],
                string,
                well.spm,
                damping,
                buoyant_weight_lbf=columns.buoyant_weight_lbf,
                time_points=min(points, position.shape[1]),
            )
        except ValueError:
            continue  # unstable: the time step is too short for this string
        if np.isfinite(x).all() and np.isfinite(f).all():
            return (x[0], f[0]), []
    return NO_CARD, ["pump_card_fd: no stable grid for these rods at this speed"]


def _limits(position: Array, well: Well) -> Card | None:
    if well.unit is None:
        return None
    unit = well.unit
    moment, rating, offset, unbalance = (
        np.atleast_1d(np.asarray(value, dtype=np.float64))
        for value in (
            unit.counterbalance_moment_in_lbf,
            unit.gearbox_rating_in_lbf,
            unit.crank_offset_deg,
            unit.structural_unbalance_lbf,
        )
    )
    if not (np.isfinite(rating).all() and np.isfinite(moment).all()):
        return None
    angle, factor = columns_of([well]).motion.of_cards(position[None], np.zeros(1, dtype=np.intp))
    upper, lower = permissible_load_lbf(factor, angle, moment, rating, offset, unbalance)
    return upper[0], lower[0]


def well_of_warehouse(home: Path | None, name: str) -> tuple[str, Well]:
    """Read the newest equipment of a well.

    Parameters
    ----------
    home : Path or None
        Home folder of the installation.
    name : str
        NodeID in any spelling.

    Returns
    -------
    node : str
        NodeID as shown.
    well : Well

    Raises
    ------
    InputError
        If there is no warehouse or no such well.
    """
    from oasis_pipeline.assets.wells import EquipmentStates
    from oasis_pipeline.intake.values import clean_node, node_key

    settings = settings_of(home)
    try:
        require_installation(settings)
    except NoInstallationError as error:
        raise InputError(f"{error}; or describe the well by --well-file") from None
    with existing_warehouse(settings) as warehouse:
        nodes = {
            row["node_key"]: row["NodeID"]
            for row in warehouse.query('select node_key, "NodeID" from xspoc.node').to_pylist()
        }
        key = node_key(clean_node(name))
        if key not in nodes:
            close = [nodes[k] for k in difflib.get_close_matches(key, nodes, n=3)]
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise InputError(f"there is no well {name!r} in the warehouse ({len(nodes)} wells){hint}")
        newest = datetime.max.replace(microsecond=0)
        states = EquipmentStates.read(warehouse, [nodes[key]], newest, newest)
        return nodes[key], states.found[states.index(nodes[key], newest)].well


def picture_of(answer: Answer, well: Well, *, title: str, note: str = "") -> DiagnosedCard:
    """What is drawn of an answer."""
    rating = float("nan") if well.unit is None else float(np.asarray(well.unit.structural_rating_lbf))
    return DiagnosedCard(
        title=title,
        note=note,
        surface=answer.surface,
        pump=answer.pump if len(answer.pump[0]) else None,
        second_pump=answer.pump_fd if len(answer.pump_fd[0]) else None,
        findings={name: value for name, value in answer.findings.items() if isinstance(value, float)},
        limits=answer.limits,
        structural_rating_lbf=rating,
        report=answer.report,
    )


def json_of(answer: Answer) -> dict[str, Any]:
    """An answer for a program."""

    def points(card: Card) -> dict[str, list[float]]:
        return {"position_in": card[0].tolist(), "load_lbf": card[1].tolist()}

    return {
        "surface_card": points(answer.surface),
        "pump_card": points(answer.pump),
        "pump_card_fd": points(answer.pump_fd),
        "direction_reversed": answer.direction_reversed,
        "diagnosis": answer.findings,
        "missing": answer.missing,
        "report": answer.report,
    }


def _print(answer: Answer, file: Path, out: Path | None) -> None:
    click.echo(answer.report)
    click.echo()
    rows = [
        [says, figure_text(name, answer.findings[name]), unit]
        for name, says, unit in LISTED
        if name in answer.findings
    ]
    print_table(str(file), ["", "value", "unit"], rows, right=(1,))
    if answer.direction_reversed:
        click.echo("note: the points came against the direction of time; they were turned round")
    for line in answer.missing:
        click.echo(f"note: {_short(line)}")
    if out is not None:
        click.echo(f"picture: {out}")


def _short(line: str) -> str:
    """Leave out names beyond the first few, which say nothing more to a person."""
    names = line.split(", ")
    return (
        line
        if len(names) <= 6
        else f"{', '.join(names[:4])} and {len(names) - 4} more (--json names them all)"
    )
