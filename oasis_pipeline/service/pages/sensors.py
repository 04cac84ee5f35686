"""Sensor modules: what they said last and how good it is; of one module its series, features of windows, and spectra.

Here: the page. Not here: flags, windows and spectra themselves (``oasis_pipeline.readings``), and the readings of the chart, which its script fetches
from ``/api/rawdata/``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import escape
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
from django.http import HttpRequest, HttpResponseBase
from numpy.typing import NDArray

from oasis_pipeline.readings.quality import CLOCK_FLAGS, VALUE_FLAGS, clock_flags, value_flags
from oasis_pipeline.readings.series import MICROSECONDS, Readings, from_table
from oasis_pipeline.readings.spectrum import LEAST_READINGS, lomb_scargle
from oasis_pipeline.readings.windows import TIME_FEATURES, Window, data_batches
from oasis_pipeline.service.pages.shared import PageError, page, render_page
from oasis_pipeline.service.warehouse import reading
from oasis_pipeline.storage.postgres import Transaction

MODULES = 50
"""Modules of a page."""
LATELY = 100
"""Readings of each module that its flags in the list rest on."""
PERIODS = {"1": "a day", "3": "3 days", "7": "a week"}
MOST_READINGS = 20_000
WINDOWS = ("15min", "1h", "6h")
SHOWN_WINDOWS = 12
_FREQUENCIES = 512
_SPECTRUM_READINGS = 4096

_READING = 'r."timestamp", r.measures, r.temperature, r.voltage, r.description, r.received_at, r.received_row, r.file_stamp is null as live'
_LIST = f"""
with chosen as (
    select * from iot.module as m where m.module_num > $1
    and ($2 = '' or position(lower($2) in lower(concat_ws(' ', m.module_num, m.module_type, m.asset, m.sensor_type))) > 0)
    order by m.module_num limit {MODULES + 1}
)
select m.module_num, m.module_type, m.asset, m.sensor_type, {_READING} from chosen as m
left join lateral (
    select * from iot.rawdata as d where d.module_num = m.module_num order by d."timestamp" desc limit {LATELY}
) as r on true order by m.module_num, r."timestamp"
"""
_NEWEST = (
    'select max("timestamp") as newest, min("timestamp") as first from iot.rawdata where module_num = $1'
)
_SPAN = f"""
select {_READING} from iot.rawdata as r where r.module_num = $1 and r."timestamp" > $2 and r."timestamp" <= $3
order by r."timestamp" limit {MOST_READINGS}
"""


@page("module")
def show(request: HttpRequest) -> HttpResponseBase:
    """List the modules, or show one."""
    given = {
        name: request.GET.get(name, "")
        for name in ("module", "q", "after", "days", "until", "measure", "window")
    }
    if any("\x00" in value or len(value) > 200 for value in given.values()):
        raise PageError(400, "That can't be shown", "a parameter is too long or has a NUL")
    return _one(request, given) if given["module"] else _list(request, given)


# ---- the list


def _list(request: HttpRequest, given: dict[str, str]) -> HttpResponseBase:
    with reading() as tx:
        rows = tx.query(_LIST, (given["after"], given["q"].strip()))
        any_module = tx.query("select exists (select from iot.module) as there")["there"][0].as_py()
    now = datetime.now(UTC)
    parts = _by_module(rows)
    return render_page(
        request,
        "pages/sensors.html",
        {
            "title": "Sensors",
            "modules": [_entry(part, now) for part in parts[:MODULES]],
            "next": "?" + urlencode({"q": given["q"], "after": parts[MODULES - 1]["module_num"][0].as_py()})
            if len(parts) > MODULES
            else None,
            "q": given["q"],
            "any_module": any_module,
            "lately": LATELY,
        },
    )


def _by_module(rows: pa.Table) -> list[pa.Table]:
    if not rows.num_rows:
        return []
    codes = rows["module_num"].combine_chunks().dictionary_encode().indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), rows.num_rows]
    return [rows.slice(low, high - low) for low, high in pairwise(edges)]


def _entry(rows: pa.Table, now: datetime) -> dict[str, Any]:
    """A line of the list: the newest reading of a module, and the flags of those of late."""
    last = rows.slice(rows.num_rows - 1).to_pylist()[0]
    entry = {
        name: last[name]
        for name in (
            "module_num",
            "module_type",
            "asset",
            "sensor_type",
            "timestamp",
            "temperature",
            "voltage",
        )
    }
    if last["timestamp"] is None:
        return {**entry, "values": [], "flags": [], "hours": None}
    readings = from_table(rows)
    flags = _flags(readings, rows)
    newest = [
        (name, float(values[-1])) for name, values in readings.measures.items() if np.isfinite(values[-1])
    ]
    return {
        **entry,
        "values": newest[:4],
        "more": max(0, len(newest) - 4),
        "hours": (now - last["timestamp"]).total_seconds() / 3600.0,
        "flags": _shares(flags),
    }


def _flags(readings: Readings, rows: pa.Table) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Flags of the values of each measure, and of the clock under the empty name."""
    found: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for name, values in readings.measures.items():
        at = np.flatnonzero(np.isfinite(values))
        found[name] = value_flags(readings.times_us[at], values[at])
    found[""] = clock_flags(
        readings.times_us,
        rows["received_at"].cast(pa.int64()).to_numpy(),
        rows["received_row"].to_numpy(),
        rows["live"].to_numpy(zero_copy_only=False).astype(bool),
    )
    return found


def _shares(flags: dict[str, dict[str, NDArray[np.bool_]]]) -> list[tuple[str, float]]:
    """Share of the values with each flag over all measures, those that occur."""
    shares = []
    for name in (*VALUE_FLAGS, *CLOCK_FLAGS):
        masks = [each[name] for each in flags.values() if name in each and each[name].size]
        size = sum(mask.size for mask in masks)
        share = sum(int(mask.sum()) for mask in masks) / size if size else 0.0
        if share:
            shares.append((name, share))
    return shares


# ---- one module


def _one(request: HttpRequest, given: dict[str, str]) -> HttpResponseBase:
    if given["days"] not in ("", *PERIODS) or given["window"] not in ("", *WINDOWS):
        told = f"days is {', '.join(PERIODS)}; window is {', '.join(WINDOWS)}"
        raise PageError(400, "That can't be shown", told)
    days, window = int(given["days"] or 1), given["window"] or "1h"
    module = given["module"]
    with reading() as tx:
        about = tx.query("select * from iot.module where module_num = $1", (module,)).to_pylist()
        if not about:
            raise PageError(
                404,
                "No such module",
                f"module {module[:100]} is not registered; /sensors lists the modules",
            )
        edges = tx.query(_NEWEST, (module,)).to_pylist()[0]
        until = _until(given["until"]) or edges["newest"]
        rows = _read(tx, module, until, days)
    shown: dict[str, Any] = {
        "about": about[0],
        "edges": edges,
        "days": str(days),
        "window": window,
        "until": until,
    }
    if rows.num_rows:
        readings = from_table(rows)
        measure = (
            given["measure"] if given["measure"] in readings.measures else next(iter(readings.measures), "")
        )
        shown |= {
            "count": rows.num_rows,
            "cut": rows.num_rows == MOST_READINGS,
            "newest": _newest_rows(rows),
            "measures": _about_measures(readings, rows),
            "clock": _shares({"": _flags(readings, rows)[""]}),
            "measure": measure,
            "batches": _batches(readings, measure, window),
            "spectrum": _spectrum_svg(readings, measure),
        }
    asked = {"module": module, "days": str(days), "window": window}
    if until is not None:
        step = timedelta(days=days)
        begin = until - step
        shown |= {
            "earlier": "?" + urlencode({**asked, "until": begin.isoformat()})
            if edges["first"] is not None and begin >= edges["first"]
            else None,
            "later": "?" + urlencode({**asked, "until": min(until + step, edges["newest"]).isoformat()})
            if edges["newest"] is not None and until < edges["newest"]
            else None,
            "begin": begin,
            "api": "/api/rawdata/?"
            + urlencode(
                {
                    "module_num": module,
                    "timestamp__gt": _z(begin),
                    "timestamp__lte": _z(until),
                    "order_by": "timestamp",
                }
            ),
            "batch_api": "/api/databatch/?"
            + urlencode(
                {
                    "module_num": module,
                    "timestamp__gt": _z(begin),
                    "timestamp__lte": _z(until),
                    "window": window,
                    "frequency": "true",
                    "format": "csv",
                }
            ),
        }
    return render_page(
        request,
        "pages/sensor.html",
        {
            "title": module,
            **shown,
            "periods": list(PERIODS.items()),
            "windows": WINDOWS,
            "features": TIME_FEATURES,
            "most": MOST_READINGS,
            "here": "/sensors",
        },
    )


def _until(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise PageError(400, "That can't be shown", "until is a time like 2025-01-31T12:00:00Z") from None


def _read(tx: Transaction, module: str, until: datetime | None, days: int) -> pa.Table:
    if until is None:
        return pa.table({})
    try:
        begin = until - timedelta(days=days)
    except OverflowError:
        raise PageError(400, "That can't be shown", "until lies before any reading") from None
    return tx.query(_SPAN, (module, begin, until))


def _z(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _newest_rows(rows: pa.Table) -> list[dict[str, Any]]:
    tail = rows.slice(max(0, rows.num_rows - 12))
    readings = from_table(tail)
    plain = tail.select(["timestamp", "temperature", "voltage", "description"]).to_pylist()
    return [
        {
            **row,
            "values": [
                (name, float(values[at]))
                for name, values in readings.measures.items()
                if np.isfinite(values[at])
            ],
        }
        for at, row in enumerate(plain)
    ][::-1]


def _about_measures(readings: Readings, rows: pa.Table) -> list[dict[str, Any]]:
    """What the period says of each measure: how many values, in which range, with which flags."""
    flags = _flags(readings, rows)
    found = []
    for name, values in readings.measures.items():
        known = values[np.isfinite(values)]
        found.append(
            {
                "name": name,
                "readings": int(known.size),
                "low": float(known.min()) if known.size else None,
                "mean": float(known.mean()) if known.size else None,
                "high": float(known.max()) if known.size else None,
                "flags": _shares({name: flags[name]}),
            }
        )
    return found


def _batches(readings: Readings, measure: str, window: str) -> list[dict[str, Any]]:
    """Features of the newest windows of one measure, as ``/api/databatch/`` computes them, the newest first."""
    lines: list[dict[str, Any]] = []
    for some in data_batches(iter([readings]), Window.parse(window)):
        if measure not in some.names:
            continue
        row = some.names.index(measure)
        for at in np.flatnonzero(some.counts[row]).tolist():
            features = [float(some.features[name][row, at]) for name in TIME_FEATURES]
            begin = datetime.fromtimestamp(int(some.starting_us[at]) / MICROSECONDS, UTC)
            lines.append({"begin": begin, "readings": int(some.counts[row, at]), "features": features})
    return lines[: -SHOWN_WINDOWS - 1 : -1]


def _spectrum_svg(readings: Readings, measure: str, width: int = 640, height: int = 150) -> str:
    """Draw the spectrum of a measure over the period, never resampled; empty where there is none."""
    values = readings.measures.get(measure)
    if values is None:
        return ""
    at = np.flatnonzero(np.isfinite(values))[-_SPECTRUM_READINGS:]
    times, known = readings.times_us[at].astype(np.float64) / MICROSECONDS, values[at]
    if at.size < LEAST_READINGS or np.ptp(known) == 0.0 or np.ptp(times) == 0.0:
        return ""
    span = np.ptp(times) * at.size / (at.size - 1)
    count = int(min(_FREQUENCIES, at.size // 2))
    power = lomb_scargle((times - times[0]) / span, known, count)
    frequency_per_hour = np.arange(1, count + 1) / span * 3600.0
    top = max(float(power.max()), 1e-9)
    # by the logarithm of the frequency: what a day does and what a minute does both have room
    share = np.log(frequency_per_hour / frequency_per_hour[0]) / max(np.log(count), 1e-9)
    x, y = 44 + share * (width - 54), height - 22 - np.clip(power / top, 0, 1) * (height - 34)
    line = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    best = int(power.argmax())
    said = f"{escape(measure, quote=True)}: most of a wave of {_length(3600.0 / frequency_per_hour[best])}, {100 * power[best]:.0f} % of the variance"
    ticks = "".join(
        f'<text x="{x[place]:.0f}" y="{height - 6}" class="tick" text-anchor="{anchor}">{_length(3600.0 / frequency_per_hour[place])}</text>'
        for place, anchor in (
            (0, "start"),
            *([(best, "middle")] if 100 < x[best] < width - 110 else []),
            (count - 1, "end"),
        )
    )
    return (
        f'<svg class="curve" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="Spectrum of {said}">'
        f'<path d="M44 {height - 22}H{width - 10}" stroke="var(--strong-line)"/><path d="M{line}" stroke="var(--surface)" stroke-width="1.4" fill="none"/>'
        f'<text x="40" y="16" class="tick" text-anchor="end">{100 * top:.0f} %</text>{ticks}</svg><p class="note">{said}</p>'
    )


def _length(seconds: float) -> str:
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
