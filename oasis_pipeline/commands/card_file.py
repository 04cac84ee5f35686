"""The two files of ``oasis diagnose``: a card as csv or in the `.dyn` form, and a well as JSON.

Here: reading them, and saying in one line what is wrong with them. Not here: what is done with them (``diagnose``).

The `.dyn` form is the one that XDIAG and RODDIAG read and many dynamometer programs write. Theta Enterprises described it in
a technical note (xspoc.com/technotes/xdiag_fileformat.html): text, a value a line,

1. the number of points;
2. that many lines ``position, load`` (in, lbf), one stroke, equally spaced in time;
3. 1, -1 or 0: the counterbalance effect was measured on the upstroke, on the downstroke, or not;
4. if it was, two lines: its load (lbf) and the position where (0 bottom, 1 top);
5. strokes a minute, 0 where not measured;
6. length of the stroke (in), 0 where not measured;
7. loads of the valve tests and running times, which are not used here.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click
import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.cards.canonical import TimeForm, time_form_column
from oasis_pipeline.cards.column import CardColumn
from oasis_pipeline.cards.misfit import judge_cards, misfit_text
from oasis_pipeline.cards.quality import Unusable
from oasis_pipeline.intake.values import NULLS
from oasis_pipeline.operations.wells import can_turn
from oasis_pipeline.physics.diagnosis import Well
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.unit import PumpingUnit, UnitKind
from oasis_pipeline.physics.well_path import Survey

COLUMNS = ("position_in", "load_lbf")
_MOST_BYTES = 5_000_000
_LARGEST = {"position_in": 1e5, "load_lbf": 1e7}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

_CURE = {
    Unusable.ALL_ZERO: "every value is zero",
    Unusable.TOO_MANY_NAN: "more than a fifth of the values are missing",
    Unusable.TOO_FEW_POINTS: "one stroke needs 8 or more, best 100 to 200",
    Unusable.ZERO_STROKE: "all points are at one position: there is no stroke",
    Unusable.SEVERAL_STROKES: "give the points of one stroke, from any start to where it begins again",
    Unusable.IMPOSSIBLE_LOAD: "loads have to be in lbf",
    Unusable.IMPOSSIBLE_POSITION: "positions must be in in, loads in lbf",
    Unusable.NO_AREA: "give the measured loads",
}


class InputError(click.ClickException):
    """A file that can't be used; the message names it and says what to do."""


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(
                f"{path} has more than {_MOST_BYTES // 1_000_000} MB: give one stroke or one well, not a whole export"
            )
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: save it as UTF-8") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such name"
        raise InputError(f"can't read {path}: {reason}") from None


@dataclass(frozen=True)
class CardFile:
    """A card from a file.

    Attributes
    ----------
    form : TimeForm
        Of one usable card.
    spm : float
        Speed that the file tells, NaN where it does not.
    """

    form: TimeForm
    spm: float = math.nan


def read_card_file(path: Path) -> CardFile:
    """Read one surface card, in the `.dyn` form if the name ends so, else as csv.

    Parameters
    ----------
    path : Path

    Returns
    -------
    CardFile

    Raises
    ------
    InputError
        If there is no such card in it.
    """
    if path.suffix.lower() == ".dyn":
        return _read_dyn(path)
    return CardFile(read_card(path))


def _read_dyn(path: Path) -> CardFile:
    lines = [(n, line.strip()) for n, line in enumerate(_text(path).splitlines(), start=1) if line.strip()]
    # Some programs write DOS's end-of-file mark.
    lines = [(n, line) for n, line in lines if line != "\x1a"]
    if not lines or not re.fullmatch(r"\d{1,6}", lines[0][1], re.ASCII):
        found = _plain(lines[0][1][:40]) if lines else "nothing"
        raise InputError(f"{path}: a .dyn file begins with its number of points, this one with {found!r}")
    count = int(lines[0][1])
    points, rest = lines[1 : count + 1], lines[count + 1 :]
    if len(points) < count:
        raise InputError(f"{path}: {count} points are announced, but {len(points)} lines follow")
    values = np.empty((count, 2))
    for i, (number, line) in enumerate(points):
        cells = [cell for cell in re.split(r"[,;\s]+", line) if cell]
        if len(cells) != 2:
            raise InputError(
                f"{path}, line {number}: {_plain(line[:40])!r} is not a pair of position and load"
            )
        for place, name in enumerate(COLUMNS):
            values[i, place] = _cell(path, number, cells, name, place)
    return CardFile(_usable(path, values), _dyn_speed(path, rest))


def _dyn_speed(path: Path, rest: list[tuple[int, str]]) -> float:
    """Speed among the lines after the points; they may be missing from some line on."""
    flag = rest[0][1] if rest else "0"
    place = 1 if flag.rstrip("0").rstrip(".") in ("", "0") else 3
    if len(rest) <= place:
        return math.nan
    number, line = rest[place]
    speed = float(line) if _NUMBER.fullmatch(line) else -1.0
    if not 0.0 <= speed <= 60.0:
        raise InputError(
            f"{path}, line {number}: expected strokes a minute (0 if not measured, at most 60), found {_plain(line[:40])!r}"
        )
    return speed if speed > 0.0 else math.nan


def read_card(path: Path) -> TimeForm:
    """Read one surface card.

    Parameters
    ----------
    path : Path
        csv with the columns ``position_in`` and ``load_lbf`` (others are ignored), a point a row: one stroke, points equally
        spaced in time, from any start, in either direction, closed or not. Missing values are empty, NULL, NA or NaN.

    Returns
    -------
    TimeForm
        Of one usable card.

    Raises
    ------
    InputError
        If there is no such card in it.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), skipinitialspace=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not valid csv ({error})") from None
    names = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    if any(names.count(name) != 1 for name in COLUMNS):
        found = ", ".join(name[:40] for name in names[:8]) or "nothing"
        raise InputError(
            f"{path}: the first row must name the columns position_in and load_lbf, each once, but names {_plain(found)}"
        )
    places = [names.index(name) for name in COLUMNS]
    values = np.array(
        [
            [_cell(path, line, row, name, place) for name, place in zip(COLUMNS, places, strict=True)]
            for line, row in rows[1:]
        ],
        dtype=np.float64,
    ).reshape(-1, 2)
    return _usable(path, values)


def _usable(path: Path, values: NDArray[np.float64]) -> TimeForm:
    """Time form of the points (n, 2) of a file."""
    column = CardColumn.from_rows([(values[:, 0], values[:, 1])])
    code = Unusable(int(judge_cards(column)[0]))
    if code is not Unusable.USABLE:
        why = misfit_text(values[:, 0], values[:, 1], code)
        cure = f"; {_CURE[code]}" if code in _CURE else ""
        raise InputError(f"{path} has no usable card ({len(values)} points): {why}{cure}")
    return time_form_column(column)


def _cell(path: Path, line: int, row: list[str], name: str, place: int) -> float:
    text = row[place].strip() if place < len(row) else ""
    if text.lower() in NULLS:
        return math.nan
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    if not math.isfinite(value):
        raise InputError(f"{path}, line {line}: {name} is {_plain(text[:40])!r}, which is not a number")
    if abs(value) > _LARGEST[name]:
        raise InputError(
            f"{path}, line {line}: {name} is {value:g}; out of range for a card: check column and unit (in, lbf)"
        )
    return value


def _plain(text: str) -> str:
    """Keep a message on one line."""
    return "".join(character if character.isprintable() else "?" for character in text)


@dataclass(frozen=True)
class _Number:
    """A number inside bounds; `low` itself is allowed only where it is no physical zero.

    A number outside of them is told the unit it looks like: of `units` (name, value of one in the wanted unit) the first that
    brings it between the two figures of `usual`.
    """

    low: float
    high: float
    open_below: bool = True
    usual: tuple[float, float] = (math.nan, math.nan)
    units: tuple[tuple[str, float], ...] = ()

    def _hint(self, number: float) -> str:
        for unit, factor in self.units:
            if self.usual[0] <= number * factor <= self.usual[1]:
                return f" (looks like {unit})"
        return ""

    def __call__(self, value: Any, where: str, fail: Callable[[str], NoReturn]) -> float:
        if value is None:
            return math.nan
        number = math.nan
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
        if math.isnan(number):
            fail(f"{where} is {_shown(value)}; it must be a number")
        if not (self.low < number if self.open_below else self.low <= number) or number > self.high:
            sign = "above" if self.open_below else "from"
            fail(
                f"{where} is {number:g}; it must be {sign} {self.low:g} and at most {self.high:g}{self._hint(number)}"
            )
        return number


_PRESSURE = _Number(-14.7, 20_000.0, open_below=False)
_LENGTHS_IN = (("mm", 1 / 25.4), ("cm", 1 / 2.54), ("m", 39.37), ("ft", 12.0))
_SIZE_IN = _Number(1.0, 600.0, usual=(10.0, 400.0), units=_LENGTHS_IN)
_TUBING = _Number(0.5, 20.0, usual=(1.0, 10.0), units=_LENGTHS_IN)
_ANGLE = _Number(-360.0, 360.0, open_below=False)

_PLAIN_KEYS: dict[str, _Number] = {
    "spm": _Number(
        0.1, 60.0, usual=(0.5, 25.0), units=(("strokes a second", 60.0), ("strokes an hour", 1 / 60))
    ),
    "damping": _Number(0.0, 5.0, open_below=False),
    "fluid_sg": _Number(
        0.3,
        3.0,
        usual=(0.6, 1.3),
        units=(("kg/m3", 0.001), ("lb/gal", 1 / 8.345), ("lb/ft3", 1 / 62.43), ("psi/ft", 1 / 0.433)),
    ),
    "viscosity_cp": _Number(0.0, 1e6),
    "tubing_pressure_psi": _PRESSURE,
    "casing_pressure_psi": _PRESSURE,
    "tubing_od_in": _TUBING,
    "tubing_id_in": _TUBING,
    "tubing_anchor_depth_ft": _Number(0.0, 40_000.0),
}
_ROD_KEYS = {
    "length_ft": _Number(0.0, 40_000.0),
    "diameter_in": _Number(0.3, 2.5, usual=(0.5, 2.5), units=_LENGTHS_IN),
    "weight_lb_per_ft": _Number(0.1, 20.0, usual=(0.5, 10.0), units=(("N/m", 0.06852),)),
    "modulus_psi": _Number(
        1e6, 1e8, usual=(4e6, 35e6), units=(("GPa", 145_038.0), ("MPa", 145.038), ("Pa", 1.45038e-4))
    ),
}
_PUMP_KEYS = {
    "diameter_in": (
        "plunger_diameter_in",
        _Number(0.5, 6.0, usual=(0.75, 5.75), units=_LENGTHS_IN),
    ),
    "depth_ft": ("pump_depth_ft", _Number(0.0, 40_000.0)),
    "clearance_in": (
        "clearance_in",
        _Number(0.0, 0.2, usual=(0.001, 0.03), units=(("mm", 1 / 25.4), ("mil", 0.001), ("um", 1 / 25_400))),
    ),
    "length_in": ("plunger_length_in", _Number(1.0, 400.0, usual=(12.0, 360.0), units=_LENGTHS_IN)),
}
_SURVEY_KEYS = {
    "md_ft": _Number(0.0, 60_000.0, open_below=False),
    "inclination_deg": _Number(0.0, 180.0, open_below=False),
    "azimuth_deg": _ANGLE,
}
_LINKAGE = ("a_in", "c_in", "i_in", "k_in", "p_in", "r_in")
_UNIT_KEYS = {
    **dict.fromkeys(_LINKAGE, _SIZE_IN),
    "gearbox_rating_in_lbf": _Number(0.0, 1e8),
    "structural_rating_lbf": _Number(0.0, 1e6),
    "counterbalance_moment_in_lbf": _Number(-1e8, 1e8, open_below=False),
    "crank_offset_deg": _ANGLE,
}


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=True)
    return text if len(text) <= 40 else f"{text[:37]}..."


def read_well(path: Path) -> Well:
    """Read a well file.

    Parameters
    ----------
    path : Path
        JSON object with ``spm``, ``rods``, ``damping``, ``pump``, ``fluid_sg``, ``viscosity_cp``, ``tubing_pressure_psi``,
        ``casing_pressure_psi``, ``tubing_anchored``, ``tubing_od_in``, ``tubing_id_in``, ``tubing_anchor_depth_ft``, ``survey``
        and ``unit``; whatever is left out or null is not known.

    Returns
    -------
    Well

    Raises
    ------
    InputError
        If it is no such object; names the place in it.
    """

    def fail(reason: str) -> NoReturn:
        raise InputError(f"{path}: {_plain(reason)}")

    def no_constant(name: str) -> NoReturn:
        fail(f"{name} is not a valid number in JSON")

    try:
        given = json.loads(_text(path), parse_constant=no_constant)
    except json.JSONDecodeError as error:
        fail(f"not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}")
    except (RecursionError, ValueError):
        fail("not a JSON description of a well")
    _object(given, "the file", {*_PLAIN_KEYS, "rods", "pump", "tubing_anchored", "survey", "unit"}, fail)
    values: dict[str, Any] = {key: check(given.get(key), key, fail) for key, check in _PLAIN_KEYS.items()}
    anchored = given.get("tubing_anchored")
    if anchored is not None and not isinstance(anchored, bool):
        fail(f"tubing_anchored is {_shown(anchored)}, it must be true or false")
    pump = given.get("pump") or {}
    _object(pump, "pump", set(_PUMP_KEYS), fail)
    for key, (name, check) in _PUMP_KEYS.items():
        values[name] = check(pump.get(key), f"pump.{key}", fail)
    if values["tubing_id_in"] >= values["tubing_od_in"]:
        fail("tubing_id_in must be smaller than tubing_od_in")
    rods = _rods(given.get("rods"), fail)
    if rods is not None and (hint := string_in_metres(rods, values["pump_depth_ft"])):
        fail(hint)
    return Well(
        rods=rods,
        unit=_unit(given.get("unit"), fail),
        survey=_survey(given.get("survey"), fail),
        tubing_anchored=anchored,
        **values,
    )


def string_in_metres(rods: RodString, pump_depth_ft: float) -> str:
    """Say that rods or pump depth look like metres, empty where they don't."""
    length = float(rods.total_length_ft)
    for what, share in (
        ("rods[].length_ft", length / pump_depth_ft),
        ("pump.depth_ft", pump_depth_ft / length),
    ):
        if abs(share / 0.3048 - 1.0) < 0.03:
            return f"the rods are {length:,.0f} ft long and the pump is at {pump_depth_ft:,.0f} ft: {what} looks like m"
    return ""


Fail = Callable[[str], NoReturn]


def _object(value: Any, where: str, keys: set[str], fail: Fail) -> None:
    if not isinstance(value, dict):
        fail(f"{where} is {_shown(value)}, it must be an object with some of {', '.join(sorted(keys))}")
    unknown = sorted(set(value) - keys)
    if unknown:
        fail(f"{where} has the unknown key {unknown[0][:40]!r}; known keys are {', '.join(sorted(keys))}")


def _list(value: Any, where: str, fail: Fail) -> list[Any]:
    if not isinstance(value, list) or not value:
        fail(f"{where} is {_shown(value)}, it must be a list of at least one object")
    return value


def _needed(item: Mapping[str, Any], where: str, checks: Mapping[str, _Number], fail: Fail) -> list[float]:
    for key in checks:
        if item.get(key) is None:
            fail(f"{where}.{key} is missing")
    return [check(item[key], f"{where}.{key}", fail) for key, check in checks.items()]


def _rods(value: Any, fail: Fail) -> RodString | None:
    if value is None:
        return None
    columns: dict[str, list[Any]] = {
        name: [] for name in ("length_ft", "diameter_in", "grade", "weight", "modulus")
    }
    for i, item in enumerate(_list(value, "rods", fail)):
        where = f"rods[{i}]"
        _object(item, where, {*_ROD_KEYS, "grade"}, fail)
        length, diameter = _needed(item, where, {k: _ROD_KEYS[k] for k in ("length_ft", "diameter_in")}, fail)
        grade = item.get("grade")
        if grade is not None and not isinstance(grade, str):
            fail(f"{where}.grade is {_shown(grade)}, it must be text")
        weight, modulus = (
            _ROD_KEYS[key](item.get(key), f"{where}.{key}", fail)
            for key in ("weight_lb_per_ft", "modulus_psi")
        )
        row = (length, diameter, grade, *(None if math.isnan(v) else v for v in (weight, modulus)))
        for column, entry in zip(columns.values(), row, strict=True):
            column.append(entry)
    try:
        return RodString.from_sections(*columns.values())
    except ValueError as error:
        # for example a rod so thin that it weighs nothing
        fail(f"rods: {error}")


def _survey(value: Any, fail: Fail) -> Survey | None:
    if value is None:
        return None
    stations = []
    for i, item in enumerate(_list(value, "survey", fail)):
        _object(item, f"survey[{i}]", set(_SURVEY_KEYS), fail)
        stations.append(_needed(item, f"survey[{i}]", _SURVEY_KEYS, fail))
    columns: NDArray[np.float64] = np.array(stations, dtype=np.float64)
    if len(columns) < 2 or np.any(np.diff(columns[:, 0]) <= 0.0):
        fail("survey must have at least two stations with rising md_ft")
    return Survey(*columns.T)


def _unit(value: Any, fail: Fail) -> PumpingUnit | None:
    if value is None:
        return None
    _object(value, "unit", {*_UNIT_KEYS, "type", "rotation"}, fail)
    try:
        kind = UnitKind.from_text(str(value.get("type") or ""))
    except ValueError:
        fail(
            f"unit.type is {_shown(value.get('type'))}; known are Conventional, Mark II, Air Balanced and Simple Harmonic (r_in is half the stroke)"
        )
    rotation = str(value.get("rotation") or "CW").strip().upper()
    if rotation not in ("CW", "CCW", "CLOCKWISE", "COUNTERCLOCKWISE"):
        fail(
            f"unit.rotation is {_shown(value.get('rotation'))}; it must be CW or CCW, seen with the well to the right"
        )
    sizes = dict.fromkeys(_LINKAGE, 1.0)
    wanted = ("r_in",) if kind is UnitKind.SIMPLE_HARMONIC else _LINKAGE
    sizes |= dict(
        zip(wanted, _needed(value, "unit", {key: _UNIT_KEYS[key] for key in wanted}, fail), strict=True)
    )
    rest = {
        key: check(value.get(key), f"unit.{key}", fail)
        for key, check in _UNIT_KEYS.items()
        if key not in _LINKAGE
    }
    rest["crank_offset_deg"] = 0.0 if math.isnan(rest["crank_offset_deg"]) else rest["crank_offset_deg"]
    unit = PumpingUnit(kind, clockwise=rotation in ("CW", "CLOCKWISE"), **sizes, **rest)
    if not can_turn(unit):
        fail("unit: a crank with these a_in, c_in, i_in, k_in, p_in and r_in can't turn; check them")
    return unit
