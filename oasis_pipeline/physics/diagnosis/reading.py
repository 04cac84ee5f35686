"""Reading a pump card: load lines, stroke, fillage by several methods, speeds at the load transfers.

Belongs here: geometry of the pump card with its times, as one compiled pass over a card. Does not belong here: what the
readings mean in psi and barrels (:mod:`.quantities`), nor how the card was had (:mod:`.pump_cards`).

How a card is read (effective loads, points in time order, upstroke first):

1. The tubing's stretch is taken from the position: x - F/kt is the travel relative to the barrel.
2. The upper load line is the median load of the upstroke between 35 and 90 % of the stroke; the lower one the median of
   the downstroke below the opening of the travelling valve (found in three rounds, from a first guess at the bottom).
3. The opening of the travelling valve, by
   *vertical line*: the steepest unloading; *horizontal line*: 90 % unloaded; *corner*: the point of the downstroke
   farthest under the chord from the top right to the bottom left; *gas law*: with u the unloaded share, the gas volume is
   proportional to q = (PIP/(PIP + u (Pd - PIP)))^(1/gamma), so position is linear in q while both valves are shut; the line
   through the positions at u = 0.25 ... 0.85 is drawn on to u = 1; *area*: card area over load range times stroke.
4. Load pick-up and unloading: plunger speeds where the load passes its middle, and the plunger travel during the
   transfer.
5. The lines at rest: least squares of the load on the mean rod speed (half of polished rod plus plunger) along each
   line, read at speed zero. What a wrong damping leaves on the card is proportional to that speed, so the lines at rest
   hardly depend on the damping that was assumed; the card itself and the damping are left as they are.
6. Friction from the shelf: just after the top, both valves shut and the barrel pressure still the intake pressure, the
   load is lower than on the upstroke by twice the friction. The shelf is drawn back to the top of the stroke along the
   gas law. Only where the pump is not full.
7. Sag: where the upper line sinks in mid-stroke and comes back, the standing valve is shut and all that the plunger sweeps runs
   past it, through a worn part of the barrel. The plunger's speed there over the share of the pressure that is left is the leak at
   full pressure (as a speed), the largest of which and its place are read, and the travel that is lost so.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

COLUMNS = (
    "bottom_in",
    "gross_stroke_in",
    "upper_lbf",
    "lower_lbf",
    "fill_vertical",
    "fill_horizontal",
    "fill_corner",
    "fill_gas",
    "fill_area",
    "pickup_speed_in_per_s",
    "unload_speed_in_per_s",
    "pickup_travel_in",
    "unload_travel_in",
    "area_in_lbf",
    "mean_lbf",
    "plunger_travel_in",
    "upper_rest_lbf",
    "upper_slope",
    "lower_rest_lbf",
    "lower_slope",
    "shelf_friction_lbf",
    "pickup_time_s",
    "sag_speed_in_per_s",
    "sag_place",
    "sag_travel",
)

LINE_TOLERANCE = 0.06
"""Points farther from a load line than this share of the load span are not on it: they belong to the transfers. Where too
few are left (noise), the share is widened to the second figure."""
WIDE_TOLERANCE = 0.15

SHELF_OPENING = 0.93
"""In a pump that is fuller the shelf is too short to be read."""
SHELF_RISE = 0.3
"""Share of the load span, beyond the friction, up to which the shelf is read: farther on an error of the gas law outweighs
what is read."""
SHELF_ROUNDS = 3
"""Friction and intake pressure hang together: they are settled in some rounds."""

SAG_FROM = 0.12
SAG_BACK = 0.07
SAG_TRAVEL = 0.1
SAG_DEPTH = 0.2
SAG_SHAKING = 0.04
"""The upper line sags where it is below by the first share of the load span, until it is within the second, over at least
the third share of the stroke, and somewhere by the fourth share of the span. Points that far above the line may be the last share of all."""

TRIM = 2.0

_LEVELS = 7


@numba.njit(cache=True, nogil=True)
def _ring(j, n):  # type: ignore[no-untyped-def]
    """Index on a ring of n, for -n <= j < 2 n: several times as fast as a division."""
    if j >= n:
        return j - n
    if j < 0:
        return j + n
    return j


@numba.njit(cache=True, nogil=True)
def _quantile(values, count, share):  # type: ignore[no-untyped-def]
    """Quantile (nearest rank) of the first ``count`` values by quickselect, which reorders them."""
    if count == 0:
        return np.nan
    rank = int(share * (count - 1) + 0.5)
    left = 0
    right = count - 1
    while left < right:
        pivot = values[(left + right) // 2]
        i = left
        j = right
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            right = j
        elif rank >= i:
            left = i
        else:
            break
    return values[rank]


@numba.njit(cache=True, nogil=True)
def _fall(f, start, count, level):  # type: ignore[no-untyped-def]
    """Steps after ``start`` (fractional) at which the load first falls through ``level``; -1 where it does not."""
    n = len(f)
    before = f[_ring(start, n)]
    if before < level:
        return 0.0
    for step in range(1, count + 1):
        here = f[_ring(start + step, n)]
        if here < level:
            return step - 1 + (before - level) / (before - here)
        before = here
    return -1.0


@numba.njit(cache=True, nogil=True)
def _rise(f, start, count, level):  # type: ignore[no-untyped-def]
    """Steps after ``start`` (fractional) at which the load first rises through ``level``; -1 where it does not."""
    n = len(f)
    before = f[_ring(start, n)]
    if before > level:
        return 0.0
    for step in range(1, count + 1):
        here = f[_ring(start + step, n)]
        if here > level:
            return step - 1 + (level - before) / (here - before)
        before = here
    return -1.0


@numba.njit(cache=True, nogil=True)
def _at(x, start, steps):  # type: ignore[no-untyped-def]
    """Periodic linear interpolation at ``start`` plus a fractional number of steps."""
    n = len(x)
    if not abs(steps) < n:
        return np.nan  # not a place on the stroke: it must not become an index
    base = int(np.floor(steps))
    part = steps - base
    return x[_ring(start + base, n)] * (1.0 - part) + x[_ring(start + base + 1, n)] * part


@numba.njit(cache=True, nogil=True)
def _lines(x, f, bottom, stroke, top, down, up, work):  # type: ignore[no-untyped-def]
    """Upper and lower load line, medians of the loads that lie on them."""
    n = len(x)
    count = 0
    for step in range(up + 1):
        j = _ring(top - step, n)
        share = (x[j] - bottom) / stroke
        if 0.35 <= share <= 0.9:
            work[count] = f[j]
            count += 1
    upper = _quantile(work, count, 0.5)
    count = 0
    for step in range(down + 1):
        j = _ring(top + step, n)
        share = (x[j] - bottom) / stroke
        if 0.02 <= share <= 0.3:
            work[count] = f[j]
            count += 1
    lower = _quantile(work, count, 0.25)
    for _ in range(3):
        steps = _fall(f, top, down, lower + 0.12 * (upper - lower))
        if steps < 0.0:
            break
        opening = (_at(x, top, steps) - bottom) / stroke
        count = 0
        for step in range(int(steps) + 1, down + 1):
            j = _ring(top + step, n)
            share = (x[j] - bottom) / stroke
            if 0.04 <= share <= opening - 0.04:
                work[count] = f[j]
                count += 1
        if count < 3:
            break
        lower = _quantile(work, count, 0.5)
    return upper, lower


@numba.njit(cache=True, nogil=True)
def _at_rest(f, speed, chosen, count):  # type: ignore[no-untyped-def]
    """Load at speed zero and its slope, by least squares over the chosen points; NaN with fewer than six.

    Points farther off than twice the rms are left out in two more rounds: beside a load transfer they all lie on its
    side and would tilt the line.
    """
    rest = np.nan
    slope = np.nan
    for _ in range(3):
        if count < 6:
            break
        sv = 0.0
        sf = 0.0
        for i in range(count):
            sv += speed[chosen[i]]
            sf += f[chosen[i]]
        sv /= count
        sf /= count
        svv = 0.0
        svf = 0.0
        sff = 0.0
        for i in range(count):
            dv = speed[chosen[i]] - sv
            df = f[chosen[i]] - sf
            svv += dv * dv
            svf += dv * df
            sff += df * df
        if not svv > 0.0:
            break
        slope = svf / svv
        rest = sf - slope * sv
        limit = TRIM * np.sqrt(max(sff - slope * svf, 0.0) / count)
        kept = 0
        for i in range(count):
            if abs(f[chosen[i]] - rest - slope * speed[chosen[i]]) <= limit:
                chosen[kept] = chosen[i]
                kept += 1
        count = kept
    return rest, slope


@numba.njit(cache=True, nogil=True)
def _on_line(x, f, bottom, stroke, start, step, count, low, high, line, span, chosen):  # type: ignore[no-untyped-def]
    """Collect points of a part of the stroke (shares ``low`` to ``high``) that lie on a load line; their number."""
    n = len(f)
    for limit in (LINE_TOLERANCE * span, WIDE_TOLERANCE * span):
        found = 0
        window = 0
        for i in range(1, count):
            j = _ring(start + step * i, n)
            share = (x[j] - bottom) / stroke
            if low < share < high:
                window += 1
                if abs(f[j] - line) < limit:
                    chosen[found] = j
                    found += 1
        if 3 * found >= window:
            break
    return found


@numba.njit(cache=True, nogil=True)
def _rest_lines(x, f, speed, bottom, stroke, top, down, opening, upper, lower, chosen, out):  # type: ignore[no-untyped-def]
    """Load lines at rest and their slopes over rod speed, into ``out``."""
    span = upper - lower
    found = _on_line(x, f, bottom, stroke, top, -1, len(f) - down, 0.12, 0.97, upper, span, chosen)
    out[0], out[1] = _at_rest(f, speed, chosen, found)
    found = _on_line(x, f, bottom, stroke, top, 1, down, 0.03, opening - 0.05, lower, span, chosen)
    out[2], out[3] = _at_rest(f, speed, chosen, found)


@numba.njit(cache=True, nogil=True)
def _shelf(x, f, speed, bottom, stroke, top, down, opening, rest, discharge_load, exponent):  # type: ignore[no-untyped-def]
    """Friction from the shelf after the top of the stroke; NaN where there is none."""
    n = len(f)
    span = rest[0] - rest[2]
    if not (opening < SHELF_OPENING and span > 0.0):
        return np.nan
    slope = rest[3]
    friction = 0.0
    for turn in range(SHELF_ROUNDS):
        limit = SHELF_RISE * span + 2.0 * friction if turn > 0 else 0.55 * span
        # The fluid load without the friction tells the intake pressure, and that the gas law that the shelf follows.
        intake = (
            min(max(1.0 - (span - 2.0 * friction) / discharge_load, 0.02), 0.9)
            if discharge_load > 0.0
            else 0.1
        )
        gas = (1.0 - opening) / (1.0 - intake ** (1.0 / exponent))
        count = 0
        sm = 0.0
        sf = 0.0
        smm = 0.0
        smf = 0.0
        for step in range(1, down):
            j = _ring(top + step, n)
            share = (x[j] - bottom) / stroke
            load = f[j] - slope * speed[j]
            if rest[0] - load > limit or share <= opening:
                break
            if share >= 0.992 or 1.0 - share >= 0.98 * gas:
                continue
            model = (1.0 - (1.0 - share) / gas) ** (-exponent) - 1.0
            count += 1
            sm += model
            sf += load
            smm += model * model
            smf += model * load
        bend = smm - sm * sm / count if count > 0 else 0.0
        if count < 4 or not bend > 0.0:
            return np.nan
        fall = (smf - sm * sf / count) / bend
        friction = 0.5 * (rest[0] - (sf - fall * sm) / count)
        friction = min(max(friction, 0.0), 0.25 * span)
    return 0.5 * (rest[0] - (sf - fall * sm) / count)


@numba.njit(cache=True, nogil=True)
def _sag(x, bottom, stroke, top, up, f, span, line, dt, out):  # type: ignore[no-untyped-def]
    """Sag of the upper line into ``out``: leak as a speed, its place and the travel lost (shares of the stroke); NaN without."""
    n = len(f)
    worst = 0.0
    place = 0.0
    travel = 0.0
    lost = 0.0
    risen = False
    above = 0
    depth = 0.0
    leak = 0.0
    at = 0.0
    for step in range(up, 0, -1):
        j = _ring(top - step, n)
        share = (x[j] - bottom) / stroke
        if share > 0.97:
            break
        missing = (line - f[j]) / span
        if not risen:
            risen = missing < SAG_BACK
            continue
        if missing < -SAG_FROM:
            above += 1
        if missing > SAG_FROM:
            before = x[_ring(j - 1, n)]
            after = x[_ring(j + 1, n)]
            lost += 0.5 * (after - before) / stroke
            depth = max(depth, missing)
            rate = 0.5 * (after - before) / dt / max(1.0 - missing, 0.1)
            if rate > leak:
                leak = rate
                at = share
        elif missing < SAG_BACK and lost > 0.0:
            # Back on the line: what sinks and stays down is a load transfer.
            if lost > SAG_TRAVEL and depth > SAG_DEPTH:
                travel += lost
                if leak > worst:
                    worst = leak
                    place = at
            lost = 0.0
            depth = 0.0
            leak = 0.0
    # A load that swings above the line as well shakes: that is no barrel.
    if travel > 0.0 and above <= SAG_SHAKING * n:
        out[0] = worst
        out[1] = place
        out[2] = travel


@numba.njit(cache=True, nogil=True)
def _read_one(surface, position, f, stretch, discharge_load, exponent, dt, x, work, speed, chosen, out):  # type: ignore[no-untyped-def]
    """Fill ``out`` with the readings of one card in the order of COLUMNS."""
    n = len(f)
    total = 0.0
    for j in range(n):
        x[j] = position[j] - stretch * f[j]
        total += f[j] + position[j]
    out[:] = np.nan
    if not np.isfinite(total):
        return
    low = int(np.argmin(x))
    top = int(np.argmax(x))
    bottom = x[low]
    stroke = x[top] - bottom
    out[0] = bottom
    out[1] = stroke
    out[15] = np.max(position) - np.min(position)
    if stroke <= 0.0:
        return
    area = 0.0
    mean = 0.0
    for j in range(n):
        after = j + 1 if j + 1 < n else 0
        area += 0.5 * (f[j] + f[after]) * (x[after] - x[j])
        mean += f[j]
    out[13] = area
    out[14] = mean / n
    down = int((low - top) % n)
    up = n - down
    upper, lower = _lines(x, f, bottom, stroke, top, down, up, work)
    out[2] = upper
    out[3] = lower
    span = upper - lower
    if not span > 0.0:
        return

    # opening of the travelling valve
    steepest = 0.0
    steep_at = 0
    farthest = -1.0
    corner_at = 0
    for step in range(down):
        j = _ring(top + step, n)
        after = _ring(j + 1, n)
        fall = f[j] - f[after]
        if fall > steepest:
            steepest = fall
            steep_at = step
        under = (upper - f[j]) / span - (bottom + stroke - x[j]) / stroke
        if under > farthest:
            farthest = under
            corner_at = step
    out[4] = (_at(x, top, steep_at + 0.5) - bottom) / stroke
    steps = _fall(f, top, down, lower + 0.1 * span)
    if steps >= 0.0:
        out[5] = (_at(x, top, steps) - bottom) / stroke
    out[6] = (x[_ring(top + corner_at, n)] - bottom) / stroke
    intake = min(max(1.0 - span / discharge_load, 0.01), 0.95) if discharge_load > 0.0 else 0.1
    sq = 0.0
    sx = 0.0
    sqq = 0.0
    sqx = 0.0
    found = 0
    for level in range(_LEVELS):
        u = 0.25 + 0.1 * level
        steps = _fall(f, top, down, upper - u * span)
        if steps < 0.0:
            break
        q = (intake / (intake + u * (1.0 - intake))) ** (1.0 / exponent)
        share = (_at(x, top, steps) - bottom) / stroke
        sq += q
        sx += share
        sqq += q * q
        sqx += q * share
        found += 1
    if found == _LEVELS:
        slope = max((found * sqx - sq * sx) / (found * sqq - sq * sq), 0.0)
        out[7] = (sx - slope * sq) / found + slope * intake ** (1.0 / exponent)
    out[8] = area / (span * stroke)

    # lines at rest and friction
    opening = out[7] if not np.isnan(out[7]) else out[5]
    opening = min(max(opening, 0.0), 1.0) if not np.isnan(opening) else 1.0
    for j in range(n):
        after = j + 1 if j + 1 < n else 0
        before = j - 1 if j > 0 else n - 1
        speed[j] = (surface[after] - surface[before] + position[after] - position[before]) * (0.25 / dt)
    _rest_lines(x, f, speed, bottom, stroke, top, down, opening, upper, lower, chosen, out[16:20])
    out[20] = _shelf(x, f, speed, bottom, stroke, top, down, opening, out[16:20], discharge_load, exponent)

    # A sag of nearly half the stroke drags the median down, not the upper quartile.
    count = 0
    for step in range(up + 1):
        j = _ring(top - step, n)
        if 0.2 <= (x[j] - bottom) / stroke <= 0.95:
            work[count] = f[j]
            count += 1
    line = _quantile(work, count, 0.75)
    _sag(x, bottom, stroke, top, up, f, line - lower, line, dt, out[22:25])
    if not np.isnan(out[22]):
        out[2] = line
        out[16] = line

    # load transfers
    middle = 0.5 * (upper + lower)
    begin = (low - down // 4) % n
    steps = _rise(f, begin, n // 2, middle)
    if steps >= 0.0:
        out[9] = (_at(x, begin, steps + 0.5) - _at(x, begin, steps - 0.5)) / dt
        first = _rise(f, begin, n // 2, lower + 0.2 * span)
        last = _rise(f, begin, n // 2, lower + 0.8 * span)
        if last >= 0.0:
            out[11] = (_at(position, begin, last) - _at(position, begin, first)) / 0.6
            out[21] = (last - first) * dt
    begin = _ring(top - up // 4, n)
    steps = _fall(f, begin, n // 2, middle)
    if steps >= 0.0:
        out[10] = (_at(x, begin, steps + 0.5) - _at(x, begin, steps - 0.5)) / dt
        first = _fall(f, begin, n // 2, lower + 0.8 * span)
        last = _fall(f, begin, n // 2, lower + 0.2 * span)
        if last >= 0.0:
            out[12] = (_at(position, begin, first) - _at(position, begin, last)) / 0.6


@numba.njit(cache=True, nogil=True)
def _read_all(surface, position, load, stretch, discharge_load, exponent, dt, out):  # type: ignore[no-untyped-def]
    points = position.shape[1]
    x = np.empty(points)
    work = np.empty(points)
    speed = np.empty(points)
    chosen = np.empty(points, dtype=np.int64)
    for i in range(len(position)):
        _read_one(
            surface[i],
            position[i],
            load[i],
            stretch[i],
            discharge_load[i],
            exponent[i],
            dt[i],
            x,
            work,
            speed,
            chosen,
            out[i],
        )


def read_pump_cards(
    surface_position_in: Array,
    position_in: Array,
    load_lbf: Array,
    *,
    spm: Array,
    stretch_in_per_lbf: Array,
    discharge_load_lbf: Array,
    gas_exponent: Array,
) -> dict[str, Array]:
    """Read pump cards (module docstring).

    Parameters
    ----------
    surface_position_in : ndarray, shape (k, n)
        Polished-rod positions at the same times (the pump's own again where they are not known).
    position_in, load_lbf : ndarray, shape (k, n)
        Pump cards in time form, effective loads; a card with NaN gives NaN.
    spm : ndarray, shape (k,)
        Strokes a minute.
    stretch_in_per_lbf : ndarray, shape (k,)
        Stretch of the unanchored tubing, 0 where it is anchored.
    discharge_load_lbf : ndarray, shape (k,)
        Plunger area times absolute discharge pressure, for the gas law; where NaN, an intake of a tenth of the
        discharge pressure is taken.
    gas_exponent : ndarray, shape (k,)
        Polytropic exponent.

    Returns
    -------
    dict of ndarray, shape (k,)
        Readings named as in ``COLUMNS``; fills are shares of the stroke, not yet limited to 0 ... 1.
    """
    cards, points = position_in.shape
    out = np.empty((cards, len(COLUMNS)))
    _read_all(
        np.ascontiguousarray(surface_position_in),
        np.ascontiguousarray(position_in),
        np.ascontiguousarray(load_lbf),
        np.ascontiguousarray(stretch_in_per_lbf, dtype=np.float64),
        np.ascontiguousarray(discharge_load_lbf, dtype=np.float64),
        np.ascontiguousarray(gas_exponent, dtype=np.float64),
        60.0 / np.asarray(spm, dtype=np.float64) / points,
        out,
    )
    return {name: out[:, i].copy() for i, name in enumerate(COLUMNS)}
