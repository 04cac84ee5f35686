"""One card of a well: picture, class, diagnosis in words and figures, rods, balance; the cards beside it in time.

Here: what is read of a card and how its part of the well's page is put together. Not here: drawing (``plotting.card_picture``), the rest of the page
(``well``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from oasis_pipeline.decisions import findings
from oasis_pipeline.plotting.card_picture import PIN_COLOURS, Band, CardPicture, Pin, picture_svg
from oasis_pipeline.plotting.svg import Card
from oasis_pipeline.service.pages.pump_cards import pump_cards_by_rods
from oasis_pipeline.storage.card_points import USABLE_POINTS, cards_of
from oasis_pipeline.storage.postgres import Transaction

MOST_PINS = len(PIN_COLOURS)

# the newest card up to a moment, else the first one
_CHOSEN = """
(select coalesce((select max("Date") from xspoc.card where "NodeID" = $1 and "Date" <= $2::timestamp),
    (select min("Date") from xspoc.card where "NodeID" = $1)) as moment)
"""

_CARD = f"""
select d.*, c."NodeID", c."Date", c."SPM", c."StrokeLength", c."Runtime", c."Fillage", c."CardType", c."LoLoadLimit", c."HiLoadLimit",
    c."PositionLimit", c."LoadLimit", c."AreaLimit", c.surfcard_fault, c.pocdowncard_fault, {USABLE_POINTS},
    c.permissibleloadup_position as up_position, c.permissibleloadup_load as up_load, c.permissibleloaddown_position as down_position,
    c.permissibleloaddown_load as down_load, p."Label1", p."Prob1", p."Label2", p."Prob2", p."ModelVersion", p.in_training,
    l."TrueLabel1", l."TrueLabel2", l."LabeledBy", b.card as bounds_card, b.pos_min, b.pos_max, b.load_min, b.load_max,
    a.departure, a.is_anomaly, a.reason as departs, a."HorizonHours" as forecast_hours, f.card as band_card, f.position_in as band_position,
    f.load_lower_lbf as band_lower, f.load_upper_lbf as band_upper,
    (select max("Date") from xspoc.card where "NodeID" = $1 and "Date" < k.moment) as before,
    (select min("Date") from xspoc.card where "NodeID" = $1 and "Date" > k.moment) as after
from {_CHOSEN} as k
join xspoc.card as c on c."NodeID" = $1 and c."Date" = k.moment
left join clean.carddiag as d on d."NodeID" = c."NodeID" and d."Date" = c."Date"
left join clean.dynapred as p on p."NodeID" = c."NodeID" and p."Date" = c."Date"
left join clean.dynalabel as l on l."NodeID" = c."NodeID" and l."Date" = c."Date"
left join clean.dynabounds as b on b."NodeID" = c."NodeID" and b."Date" = c."Date"::date
left join clean.cardanomaly as a on a."NodeID" = c."NodeID" and a."Date" = c."Date"
left join clean.cardpred as f on f."NodeID" = a."NodeID" and f."IssuedAt" = a."IssuedAt" and f."HorizonHours" = a."HorizonHours"
"""

_RODS = """
select "RodNum" as number, grade, length_ft, diameter_in, top_max_stress_psi, top_min_stress_psi, loading_pct from clean.roddiag
where "NodeID" = $1 and "Date" = $2::timestamp order by "RodNum"
"""

_PINS = f"""
select c."Date", {USABLE_POINTS} from unnest($2::timestamp[]) as k(moment)
join xspoc.card as c on c."NodeID" = $1 and c."Date" = k.moment order by c."Date"
"""

_FACTS: tuple[tuple[str, str, int, str], ...] = (
    ("Fillage", "fillage_pct", 0, "%"),
    ("Intake pressure", "pump_intake_pressure_psi", 0, "psi"),
    ("Fluid above pump", "fluid_above_pump_ft", 0, "ft"),
    ("By this card it makes", "inferred_production_bpd", 0, "bbl/d"),
    ("Plunger travel, net of gross", "strokes", 0, "in"),
    ("Fluid load", "fluid_load_lbf", 0, "lbf"),
    ("Leak, travelling valve", "tv_leak_bpd", 0, "bbl/d"),
    ("Leak, standing valve", "sv_leak_bpd", 0, "bbl/d"),
    ("Leak, worn barrel", "barrel_leak_bpd", 0, "bbl/d"),
    ("Friction at the pump", "friction_lbf", 0, "lbf"),
    ("Peak polished-rod load", "pprl_lbf", 0, "lbf"),
    ("Least polished-rod load", "mprl_lbf", 0, "lbf"),
    ("Polished-rod power", "polished_rod_power_hp", 1, "hp"),
    ("Speed", "SPM", 1, "1/min"),
    ("Run time", "Runtime", 1, "h/d"),
    ("Fillage by the controller", "Fillage", 0, "%"),
)


def read_card(
    tx: Transaction, node: str, moment: datetime, pinned: Sequence[datetime]
) -> dict[str, Any] | None:
    """Read one card with all that was found in it.

    Parameters
    ----------
    tx : Transaction
    node : str
        NodeID as shown.
    moment : datetime
        The newest card up to then is taken, else the first one.
    pinned : sequence of datetime
        Cards that are laid over.

    Returns
    -------
    dict or None
        None if the well has no card.
    """
    found = tx.query(_CARD, (node, moment))
    if not found.num_rows:
        return None
    ((surface, pump),) = _pairs(found)
    points = {f"{card}_{axis}" for card in ("surface", "pump", "up", "down") for axis in ("position", "load")}
    row: dict[str, Any] = found.drop_columns(sorted(points & set(found.column_names))).to_pylist()[0]
    permissible = [pair for name in ("up", "down") if (pair := _pairs(found, (name,))[0][0]) is not None]
    rods = tx.query(_RODS, (node, row["Date"])).to_pylist()
    pins = _read_pins(tx, node, pinned)
    band = None
    if row["band_card"] is not None:
        band = Band(
            _side(row["band_card"]), row.pop("band_position"), row.pop("band_lower"), row.pop("band_upper")
        )
    limits = (row["pos_min"], row["pos_max"], row["load_min"], row["load_max"])
    (computed,) = pump_cards_by_rods(tx, [row], cards_of(found["surface_position"], found["surface_load"]))
    of_controller = row["pump_card_source"] == "poc"
    picture = CardPicture(
        surface,
        pump,
        (_side(row["bounds_card"]), *limits)
        if row["bounds_card"] is not None and None not in limits
        else None,
        band,
        # the lines were read off one of the two pump cards: without that one in the picture they would mislead
        (row["fluid_load_upper_lbf"], row["fluid_load_lower_lbf"])
        if of_controller or computed is not None
        else (None, None),
        (row["LoLoadLimit"], row["HiLoadLimit"]),
        permissible,
        (row["PositionLimit"], row["LoadLimit"])
        if row["PositionLimit"] is not None and row["LoadLimit"] is not None
        else None,
        pins,
        computed,
        title=f"card of {node}, {row['Date']:%Y-%m-%d %H:%M}",
    )
    codes = [code for code in (row["quality"] or "").split("; ") if code]
    return {
        **row,
        "picture": picture_svg(picture),
        "shown": _legend(picture),
        "pins": [
            {"name": pin.name, "colour": PIN_COLOURS[n % len(PIN_COLOURS)]} for n, pin in enumerate(pins)
        ],
        "rods": rods,
        "facts": _facts(row),
        "said": findings.said_of(codes),
        "balance": _balance(row),
    }


def _pairs(found: pa.Table, names: Sequence[str] = ("surface", "pump")) -> list[list[Card | None]]:
    """Points of some cards of each row; None where there is none."""
    columns = [cards_of(found[f"{name}_position"], found[f"{name}_load"]) for name in names]
    return [
        [column.row(place) if column.counts[place] else None for column in columns]
        for place in range(found.num_rows)
    ]


def _read_pins(tx: Transaction, node: str, pinned: Sequence[datetime]) -> list[Pin]:
    if not pinned:
        return []
    found = tx.query(_PINS, (node, list(pinned)))
    return [
        Pin(f"{moment:%Y-%m-%d %H:%M:%S}", surface, pump)
        for moment, (surface, pump) in zip(found["Date"].to_pylist(), _pairs(found), strict=True)
    ]


def _side(card: str) -> str:
    return "pump" if card == "pocdowncard" else "surface"


def _legend(picture: CardPicture) -> list[tuple[str, str]]:
    """What a picture shows besides the cards: CSS class of the mark, words."""
    there = (
        (picture.computed is not None, "computed", "pump card by the rods"),
        (picture.computed is not None and picture.pump is not None, "beside", "the controller's"),
        (picture.bounds is not None, "bounds", "bounds of this well's cards"),
        (picture.band is not None, "band", "forecast, 90 %"),
        (
            any(v is not None for v in picture.load_lines),
            "load-line",
            "fluid load",
        ),
        (any(v is not None for v in picture.limits), "limit", "load limits"),
        (bool(picture.permissible), "permissible", "permissible load"),
        (picture.set_point is not None, "set-point", "pump-off set point"),
    )
    return [(css, words) for shown, css, words in there if shown]


def _facts(row: Mapping[str, Any]) -> list[tuple[str, float | str, int, str]]:
    """Figures of the diagnosis that are there: name, value, digits, unit."""
    facts: list[tuple[str, float | str, int, str]] = []
    for name, column, digits, unit in _FACTS:
        if column == "strokes":
            if row["net_stroke_in"] is not None and row["gross_stroke_in"] is not None:
                facts.append(
                    (name, f"{row['net_stroke_in']:.0f} of {row['gross_stroke_in']:.0f}", digits, unit)
                )
        elif column == "barrel_leak_bpd" and (row[column] or 0.0) > (
            row["gross_displacement_bpd"] or float("inf")
        ):
            # what one worn stretch would pass at full pressure is no rate of the pump
            facts.append((name, f"over {row['gross_displacement_bpd']:,.0f}", digits, unit))
        elif row[column] is not None:
            facts.append((name, row[column], digits, unit))
    return facts


def _balance(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Torque as it is against that with the best counterbalance, in percent of the rating where it is known."""
    torque, best = row["peak_gearbox_torque_in_lbf"], row["best_gearbox_torque_in_lbf"]
    if torque is None or best is None:
        return None
    load = row["gearbox_load_pct"]
    rated = torque / (load / 100.0) if load else None
    most = max(torque, best, rated or 0.0)
    bars = [
        {
            "name": name,
            "counterbalance": counterbalance,
            "torque": value / 1000.0,
            "load": 100.0 * value / rated if rated else None,
            "width": 100.0 * value / most,
            "over": bool(rated and value > rated),
        }
        for name, counterbalance, value in (
            ("existing", row["counterbalance_lbf"], torque),
            ("best", row["best_counterbalance_lbf"], best),
        )
    ]
    return {
        "bars": bars,
        "rated": 100.0 * rated / most if rated else None,
        "structure": row["structural_load_pct"],
    }
