"""What controllers make of a stroke: a surface card, a pump card by their own rough method, a fillage and a vendor's analysis.

Three makes. ``angle``: an inclinometer on the beam and a strain gauge clamped to it, 20 points a second. ``switch``: a proximity switch on the
crank and a load cell at the polished rod; the position comes from a table of the unit and the time, so neither slip nor knock
is in it. ``encoder``: a variable-speed drive that knows the crank, filters hard and sends few points.

References
----------
Gibbs, S.G., Neely, A.B. (1966): Computer diagnosis of down-hole conditions in sucker rod pumping wells, JPT (pump card by Fourier series).
Nickell, R.L., Rowlan, O.L., McCoy, J.N. (2005), Takacs (2015), chapter 6: load cells, inclinometers and their errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .field import WellHistory
from .strokes import COLUMN, SAMPLES
from .units import polished_rod
from .wells import ELEMENT_FT, FT, GRAVITY, IN, LBF, PSI, Well

PUMP_POINTS = 100
_STEEL, _NOMINAL_MODULUS, _NOMINAL_SPEED = 7850.0, 2.103e11, 4970.0


@dataclass
class Recorded:
    """What a controller sends and the vendor's program adds; in, lbf, psi, bbl/d.

    Attributes
    ----------
    surface, pump : list of (position, load)
        Float32 arrays, one pair a card.
    spm : ndarray, shape (n,)
    fillage : ndarray, shape (n,)
        Per cent, by the controller.
    analysis : dict of str to ndarray, shape (n,)
        Columns of ``XDiagResults``.
    """

    surface: list[tuple[NDArray[np.float32], NDArray[np.float32]]]
    pump: list[tuple[NDArray[np.float32], NDArray[np.float32]]]
    spm: NDArray[np.float64]
    fillage: NDArray[np.float64]
    analysis: dict[str, NDArray[np.generic]]


def record(history: WellHistory, rng: np.random.Generator) -> Recorded:
    """Record all cards of a well with the controller that it has."""
    well = history.well
    n = len(history.day)
    true_position = history.surface[:, 0].astype(np.float64) / IN
    true_load = history.surface[:, 1].astype(np.float64) / LBF
    period = history.parameters[:, COLUMN["period"]]
    filtered, gain, zero, noise, grain, late = _load_errors(well, history.day, rng)
    load = _low_pass(true_load, period, filtered)
    load = _shift(load, -late / period * SAMPLES)
    load = load * gain + zero[:, None]
    position = _position(well, true_position, period, rng)
    count = {"angle": np.clip(np.round(period * 20), 40, 200).astype(int), "switch": np.full(n, 200), "encoder": np.full(n, 100)}[well.controller]  # fmt: skip
    begin = {"angle": 0.0, "switch": float(rng.uniform(0, 1)), "encoder": 0.5}[well.controller]
    pads = well.controller == "encoder" and rng.random() < 0.5
    surfaces = []
    for k in range(n):
        at = ((np.arange(count[k]) / count[k] + begin) % 1) * SAMPLES
        x = np.interp(at, np.arange(SAMPLES + 1), np.append(position[k], position[k, 0]))
        y = np.interp(at, np.arange(SAMPLES + 1), np.append(load[k], load[k, 0]))
        y = y + rng.normal(0, noise, count[k])
        x = np.round(x / 0.1) * 0.1 if well.controller == "encoder" else np.round(x, 2)
        y = np.round(y / grain) * grain
        if pads:
            x, y = np.append(x, np.zeros(200 - count[k])), np.append(y, np.zeros(200 - count[k]))
        surfaces.append((x.astype(np.float32), y.astype(np.float32)))
    pump_position, pump_load = controller_pump_card(well, position, load, period, rng)
    fillage = _fillage(pump_position, pump_load)
    pumps = [
        (np.round(pump_position[k], 2).astype(np.float32), np.round(pump_load[k]).astype(np.float32))
        for k in range(n)
    ]
    analysis = _analysis(history, load, pump_position, pump_load, fillage, rng)
    return Recorded(
        surfaces,
        pumps,
        np.round(60 / period, 1 if well.controller == "switch" else 2),
        np.round(fillage),
        analysis,
    )


def controller_pump_card(
    well: Well,
    position: NDArray[np.float64],
    load: NDArray[np.float64],
    period: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the pump cards that a controller computes, by Fourier series with few terms and nominal rods.

    Parameters
    ----------
    well : Well
    position, load : ndarray, shape (n, SAMPLES)
        In, lbf; as recorded.
    period : ndarray, shape (n,)
        S.
    rng : numpy.random.Generator
        Draws what the controller was told: damping, gravity of the liquid.

    Returns
    -------
    position, load : ndarray, shape (n, PUMP_POINTS)
        In from the lowest, lbf less the buoyant weight of the rods as the controller knows it.
    """
    terms = {"angle": 14, "switch": 22, "encoder": 34}[well.controller]
    damping = float(rng.uniform(0.02, 0.15))
    told = float(rng.uniform(0.9, 1.05))
    y = np.fft.rfft(position * IN, axis=1)[:, : terms + 1] / SAMPLES
    t = np.fft.rfft(load * LBF, axis=1)[:, : terms + 1] / SAMPLES
    weight = sum(
        _STEEL * 1.05 * np.pi / 4 * (d * IN) ** 2 * count * ELEMENT_FT * FT * GRAVITY
        for d, count in well.tapers
    )
    t[:, 0] -= weight * (1 - 1000 * told / _STEEL)
    w = 2 * np.pi * np.arange(1, terms + 1)[None] / period[:, None]
    drag = np.pi * _NOMINAL_SPEED * damping / (2 * well.depth_ft * FT)
    for d, elements in well.tapers:
        area = np.pi / 4 * (d * IN) ** 2
        length = elements * ELEMENT_FT * FT
        k = np.sqrt(w * w - 1j * w * drag) / _NOMINAL_SPEED
        stiff = _NOMINAL_MODULUS * area * k
        y1 = y[:, 1:] * np.cos(k * length) - t[:, 1:] * np.sin(k * length) / stiff
        t1 = y[:, 1:] * stiff * np.sin(k * length) + t[:, 1:] * np.cos(k * length)
        y[:, 0] = y[:, 0] - t[:, 0] * length / (_NOMINAL_MODULUS * area)
        y[:, 1:], t[:, 1:] = y1, t1
    # Lanczos' factors keep the last terms from ringing.
    soft = np.sinc(np.arange(terms + 1) / (terms + 1))
    full = PUMP_POINTS
    x = np.fft.irfft(_padded(y * soft, full), n=full, axis=1) * full / IN
    f = np.fft.irfft(_padded(t * soft, full), n=full, axis=1) * full / LBF
    return x - x.min(axis=1, keepdims=True), f


def _padded(series: NDArray[np.complex128], points: int) -> NDArray[np.complex128]:
    out = np.zeros((len(series), points // 2 + 1), complex)
    out[:, : series.shape[1]] = series
    return out


def _load_errors(
    well: Well, day: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, float, NDArray[np.float64], float, float, float]:
    """Return time constant (s), gain, zero of each card (lbf), noise (lbf), grain (lbf) and delay (s)."""
    if well.controller == "angle":  # a gauge on the beam is never calibrated well
        gain, zero, noise, grain, filtered = rng.uniform(0.93, 1.07), rng.normal(0, 600), 45.0, 10.0, 0.05
    elif well.controller == "switch":
        gain, zero, noise, grain, filtered = rng.normal(1, 0.01), rng.normal(0, 150), 25.0, 1.0, 0.03
    else:
        gain, zero, noise, grain, filtered = rng.normal(1, 0.015), rng.normal(0, 200), 10.0, 25.0, 0.09
    warm = 60 * np.sin(2 * np.pi * (day - 0.3)) + 120 * np.sin(2 * np.pi * day / 47 + rng.uniform(0, 6))
    late = float(rng.uniform(0.0, 0.06))
    return (
        float(filtered * rng.uniform(0.6, 1.5)),
        float(gain),
        zero + warm * rng.uniform(0.2, 1.2),
        noise,
        grain,
        late,
    )


def _position(
    well: Well, true: NDArray[np.float64], period: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    stroke = well.unit.stroke
    if well.controller == "switch":
        table = polished_rod(well.unit)
        at = np.arange(SAMPLES) / SAMPLES * len(table)
        one = np.interp(at, np.arange(len(table) + 1), np.append(table, table[0]))
        return np.repeat(_shift(one[None], float(rng.normal(0, 0.004)) * SAMPLES), len(true), axis=0)
    smooth = _low_pass(true, period, 0.06 if well.controller == "angle" else 0.02)
    if well.controller == "angle":
        half = float(rng.uniform(0.35, 0.55))
        smooth = stroke / 2 * (1 + np.sin((smooth / stroke * 2 - 1) * half) / np.sin(half))
        smooth = smooth * float(rng.normal(1, 0.01))
    return smooth


def _low_pass(
    values: NDArray[np.float64], period: NDArray[np.float64], constant: float
) -> NDArray[np.float64]:
    """Return what a first-order filter lets through, delay included."""
    series = np.fft.rfft(values, axis=1)
    w = 2 * np.pi * np.arange(series.shape[1])[None] / period[:, None]
    return np.asarray(np.fft.irfft(series / (1 + 1j * w * constant), n=values.shape[1], axis=1))


def _shift(values: NDArray[np.float64], points: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return cards moved forward in time by a number of points; negative: late."""
    n = values.shape[1]
    series = np.fft.rfft(values, axis=1)
    turn = np.exp(2j * np.pi * np.arange(series.shape[1])[None] * np.asarray(points).reshape(-1, 1) / n)
    return np.asarray(np.fft.irfft(series * turn, n=n, axis=1))


def _fillage(position: NDArray[np.float64], load: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the position at which a falling load crosses the middle, per cent of the travel."""
    low, high = load.min(axis=1, keepdims=True), load.max(axis=1, keepdims=True)
    over = load > 0.5 * (low + high)
    top = np.argmax(position, axis=1)
    n = position.shape[1]
    out = np.full(len(position), 100.0)
    for k in range(len(position)):
        order = (top[k] + np.arange(n // 2)) % n
        falls = np.flatnonzero(~over[k, order])
        if falls.size:
            out[k] = 100 * position[k, order[falls[0]]] / max(position[k].max(), 1e-6)
    return np.asarray(np.clip(out, 5, 100))


def _analysis(
    history: WellHistory,
    load: NDArray[np.float64],
    pump_position: NDArray[np.float64],
    pump_load: NDArray[np.float64],
    fillage: NDArray[np.float64],
    rng: np.random.Generator,
) -> dict[str, NDArray[np.generic]]:
    """Return what the vendor's program says of the controller's cards, by rules of thumb."""
    well = history.well
    n = len(load)
    area = np.pi / 4 * well.plunger_in**2
    ordered = np.sort(pump_load, axis=1)
    fluid = ordered[:, 75] - ordered[:, 25]
    discharge = well.tubing_psi + 0.433 * 1.0 * well.depth_ft
    intake = discharge - fluid / area
    travel = pump_position.max(axis=1)
    spm = 60 / history.parameters[:, COLUMN["period"]]
    gross = 0.1166 * travel * fillage / 100 * spm * well.plunger_in**2 * history.runtime_h / 24
    first = np.full(n, "Full pump", object)
    second = np.full(n, None, object)
    first[fillage < 88] = "Incomplete pump fillage"
    first[(fillage < 85) & (intake < 0.1 * discharge)] = "Fluid pound"
    first[(fillage < 85) & (intake > 0.2 * discharge)] = "Gas interference"
    spread = ordered[:, 95] - ordered[:, 5] - fluid
    second[spread > 0.35 * np.maximum(fluid, 1)] = "High rod-tubing friction"
    ends = ordered[:, -1] - ordered[:, 80]
    second[ends > 0.5 * np.maximum(fluid, 1)] = "Pump hitting up"
    rounded = (pump_load > ordered[:, 75:76] - 0.15 * fluid[:, None]).mean(axis=1)
    first[(rounded < 0.30) & (fillage > 88)] = "Possible TV leak"
    slip = rng.random(n) < 0.08
    first[slip] = rng.choice(
        ["Worn pump barrel", "Possible SV leak", "Bent pump barrel or sticking plunger", "Pump hitting down"],
        slip.sum(),
    )
    intake[rng.random(n) < 0.3] = np.nan
    return {
        "PumpCond1": first,
        "PumpCond2": second,
        "FillagePct": np.round(fillage),
        "TubingPressure": np.full(n, round(well.tubing_psi)),
        "CasingPressure": np.full(n, round(well.casing_psi)),
        "GrossProd": np.round(gross),
        "WaterCutPct": np.full(n, round(100 * well.water_cut)),
        "NetProd": np.round(gross * (1 - well.water_cut), 1),
        "PPRL": np.round(load.max(axis=1)),
        "MPRL": np.round(load.min(axis=1)),
        "FluidLoadonPump": np.round(fluid),
        "PumpIntakePressure": np.round(intake),
        "GrossPumpStroke": np.round(travel, 1),
        "PumpSize": np.full(n, well.plunger_in),
    }


def pressure_psi(history: WellHistory, name: str) -> NDArray[np.float64]:
    """Return ``intake`` or ``discharge`` of each card, psi."""
    return np.asarray(history.parameters[:, COLUMN[name]] / PSI)
