"""What to do about a well, why, and what it is worth: one line of the worklist a well.

Here: the documented set of actions, what speaks for each (physics first, then the class), their value in money, the order of the
lines and their sentences. Not here: where the figures come from.

The score of a line is money over the horizon of ``economics.toml``: lost oil, what may fail, and overload, added. A job's cost is not
subtracted (a person decides whether to pull a pump) but given as days until it has paid for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from oasis_pipeline.decisions.economics import Economics
from oasis_pipeline.decisions.production import SENTENCES
from oasis_pipeline.decisions.states import WellState

ACTIONS: Mapping[str, str] = {
    "finish_workover": "finish the workover",
    "restart": "restart the well",
    "check_power_or_communication": "check power and communication",
    "pull_rods": "pull the rods",
    "pull_pump": "pull the pump",
    "repair_tubing": "test and repair the tubing",
    "balance": "balance the unit",
    "slow_down": "slow the unit down",
    "speed_up": "speed the unit up",
    "lengthen_idle_time": "lengthen the idle time",
    "shorten_idle_time": "shorten the idle time",
    "gas_separator": "fit a gas separator or lower the intake",
    "check_tubing_anchor": "check the tubing anchor",
    "treat_friction": "treat for friction",
    "raise_spacing": "raise the pump spacing",
    "lower_spacing": "lower the pump spacing",
    "test_well": "test the well",
    "check_sensor": "look at the load cell and the position sensor",
    "none": "nothing to do",
}
"""Every action a line may name, with the words it is shown in."""

LIKELY_PCT = 50.0
"""A class counts from this probability on, percent."""

WORTH_BPD = 0.5
"""Lost oil below this may be noise, bbl/d: no action rests on it."""

WORTH_SHARE = 0.12
"""And so is a smaller share of the attainable rate, if nothing in the card explains a loss."""

EXPLAINED_SHARE = 0.05
"""The same where the class takes oil: a leak, a worn barrel, gas or fluid pound."""

_TAKES_OIL = (
    "Leak in Traveling Valve",
    "Leak in Standing Valve",
    "Worn Pump Barrel",
    "Gas Interference",
    "Fluid Pound",
)

SPACING_IN_PER_1000_FT = 1.0
"""First step when a pump tags: one inch for each 1,000 ft of rods, then look at the next card. A rule of thumb."""

SILENT_DOWN_SHARE = 0.5
"""Share of silent wells that turn out to be down, until the field's own history tells."""


@dataclass(frozen=True)
class WellDay:
    """What is known of one well at the end of a day; NaN (or None) where something is not known.

    Attributes
    ----------
    well : str
    state : str
        `WellState`.
    since : datetime or None
        Since when.
    as_of : datetime
        Moment of looking.
    failure : str or None
        What failed, as it arrived, of a well that is down.
    failure_class : str or None
        Its class.
    label, second : str or None
        Class of the day and the other one.
    label_pct : float
        Probability of the first.
    label_days : int
        Days in a row.
    oil_bpd, lost_bpd, lost_lower_bpd, lost_upper_bpd, attainable_bpd : float
        Oil rates, bbl/d.
    basis : str
        What the attainable rate rests on.
    production_bpd : float
        Liquid rate.
    source : str
        What it rests on.
    fillage_pct, intake_psi, run_h : float
        Fillage, pump intake pressure, run time (h/d).
    gearbox_pct, best_gearbox_pct, structure_pct, rods_pct : float
        Loads in percent of the ratings; `best_gearbox_pct` with the best counterbalance.
    counterbalance_lbf, best_counterbalance_lbf : float
        Existing and best counterbalance effect.
    worst_taper : int or None
        Taper with the greatest loading, 1 = top.
    parted_depth_ft, pump_depth_ft : float
        Depths.
    tv_leak_bpd, sv_leak_bpd, barrel_leak_bpd, friction_lbf, tubing_movement_in : float
        Of the diagnosis.
    displacement_bpd : float
        What the plunger of the newest card displaces.
    no_fluid_load : bool
        Whether the card carries no fluid load.
    sensor_doubt : str
        What the diagnosis doubts of the newest card's load or position, in words; empty without a doubt. Rates and forces of such a card are not
        told as facts.
    half_stroke : bool
        Whether the newest card holds half a stroke only.
    unusable : str
        Why no card of the newest day with cards can be used; empty where one can.
    failure_prob_3d, failure_prob_15d, failure_prob_change_7d : float
        Probabilities of a failure, percent, and the change of the latter over a week, percentage points.
    likely_failure : str or None
        Most probable class of failure.
    test_bpd, test_age_d : float
        Newest approved test of this run.
    water_cut_pct : float
    advice : str
        Action of the set-point advice, ``none`` without one.
    advice_gain : float
        What it gains a day, in money.
    advice_oil_bpd : float
        By how much it changes the oil, bbl/d.
    advice_reason : str
        The advice in sentences, or why there is none.
    disagreements : tuple of str
        Codes.
    silent_down_share : float
        Share of silences of this field that were failures.
    """

    well: str
    state: str
    as_of: datetime
    since: datetime | None = None
    failure: str | None = None
    failure_class: str | None = None
    label: str | None = None
    second: str | None = None
    label_pct: float = float("nan")
    label_days: int = 0
    oil_bpd: float = float("nan")
    lost_bpd: float = float("nan")
    lost_lower_bpd: float = float("nan")
    lost_upper_bpd: float = float("nan")
    attainable_bpd: float = float("nan")
    basis: str = ""
    production_bpd: float = float("nan")
    source: str = ""
    fillage_pct: float = float("nan")
    intake_psi: float = float("nan")
    run_h: float = float("nan")
    gearbox_pct: float = float("nan")
    best_gearbox_pct: float = float("nan")
    structure_pct: float = float("nan")
    rods_pct: float = float("nan")
    counterbalance_lbf: float = float("nan")
    best_counterbalance_lbf: float = float("nan")
    worst_taper: int | None = None
    parted_depth_ft: float = float("nan")
    pump_depth_ft: float = float("nan")
    tv_leak_bpd: float = float("nan")
    sv_leak_bpd: float = float("nan")
    barrel_leak_bpd: float = float("nan")
    friction_lbf: float = float("nan")
    tubing_movement_in: float = float("nan")
    displacement_bpd: float = float("nan")
    no_fluid_load: bool = False
    sensor_doubt: str = ""
    half_stroke: bool = False
    unusable: str = ""
    failure_prob_3d: float = float("nan")
    failure_prob_15d: float = float("nan")
    failure_prob_change_7d: float = float("nan")
    likely_failure: str | None = None
    test_bpd: float = float("nan")
    test_age_d: float = float("nan")
    water_cut_pct: float = float("nan")
    advice: str = "none"
    advice_gain: float = 0.0
    advice_oil_bpd: float = float("nan")
    advice_reason: str = ""
    disagreements: tuple[str, ...] = ()
    silent_down_share: float = SILENT_DOWN_SHARE


@dataclass(frozen=True)
class Line:
    """One line of the worklist before it has a rank.

    Attributes
    ----------
    well : str
    score : float
        Money over the horizon.
    lost_oil_bpd, value_at_risk, overload_pct : float
        Oil that is lost (bbl/d; expected, for a silent well), money at risk, and the worst load in percent. NaN: not known.
    gain_oil_bpd, gain_value : float
        Oil that the action should bring back or add (bbl/d; at most, where it mends what takes the oil), and its money over the
        horizon with what else the action saves, its cost not subtracted. NaN where only a look or a test can tell.
    action : str
        A key of `ACTIONS`.
    reason : str
        One or two sentences with the numbers.
    first : bool
        Whether the line comes before all others: a down well that loses oil.
    parts : dict
        What the score is made of, and what else a person needs to see why the line stands where it does.
    """

    well: str
    score: float
    lost_oil_bpd: float
    value_at_risk: float
    overload_pct: float
    gain_oil_bpd: float
    gain_value: float
    action: str
    reason: str
    first: bool
    parts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Finding:
    """One thing that is wrong: what to do about it, what it is worth, how it is said, and what the action gives.

    `oil` is what the action brings back or adds, bbl/d, `saves` the money beside over the horizon; NaN where nobody can say.
    """

    action: str
    value: float
    text: str
    detail: str = ""
    job: float = 0.0
    oil: float = float("nan")
    saves: float = 0.0


def _known(value: float) -> bool:
    return value == value


def _known_or(value: float, other: float) -> float:
    return value if value == value else other


def _has(day: WellDay, name: str) -> bool:
    first = day.label == name and _known_or(day.label_pct, 0.0) >= LIKELY_PCT
    return first or day.second == name


def _days(count: int) -> str:
    return f"{count} day" if count == 1 else f"{count} days"


def _class_text(day: WellDay, name: str) -> str:
    """Name a class, with how long it has stood and how sure it is where it is the first one."""
    if day.label != name:
        return f"{name} beside {day.label}" if day.label else name
    row = f" for {_days(day.label_days)}" if day.label_days > 1 else ""
    sure = f" ({day.label_pct:.0f} %)" if _known(day.label_pct) else ""
    return f"{name}{row}{sure}"


def _lost_text(day: WellDay) -> str:
    if not (_known(day.oil_bpd) and _known(day.attainable_bpd)):
        return f"loses {day.lost_bpd:.0f} bbl/d oil"
    basis = "of its own past" if day.basis == "own_past" else "of what its pump could lift"
    return f"makes {day.oil_bpd:.0f} of {day.attainable_bpd:.0f} bbl/d oil {basis}"


def write_line(day: WellDay, economics: Economics) -> Line:
    """Decide what to do about a well, and say why.

    Parameters
    ----------
    day : WellDay
        What is known.
    economics : Economics
        Prices and costs.

    Returns
    -------
    Line
        The action is the one whose finding is worth most; the reason also names the next one.
    """
    price, horizon = economics.oil_price_per_bbl, economics.horizon_days
    lost = _known_or(day.lost_bpd, 0.0)
    if day.state == WellState.SILENT:
        lost = day.silent_down_share * _known_or(day.attainable_bpd, 0.0)
    share = EXPLAINED_SHARE if any(_has(day, name) for name in _TAKES_OIL) else WORTH_SHARE
    noise = max(WORTH_BPD, share * _known_or(day.attainable_bpd, 0.0))
    worth = lost >= noise
    # what is smaller than the noise may be a loss: the smaller, the less likely
    lost_value = lost * min(lost / noise, 1.0) * price * horizon
    risk_value, risk_cost = _risk(day, economics)
    over, over_name, over_value = _overload(day, economics)
    findings = _findings(day, economics, lost if worth else 0.0, over, over_name, over_value)
    findings.sort(key=lambda finding: -finding.value)
    best = findings[0] if findings else None
    action = best.action if best else "none"
    score = lost_value + risk_value + over_value
    if (
        not findings
        and risk_value > economics.job_cost.visit
        and _known_or(day.failure_prob_15d, 0.0) >= 30.0
    ):
        action = "test_well"
    gain_oil, gain_value = (0.0, 0.0) if action == "none" else (float("nan"), float("nan"))
    if best:
        gain_oil, gain_value = best.oil, best.oil * price * horizon + best.saves
    parts: dict[str, Any] = {
        "currency": economics.currency,
        "lost_oil_value": round(lost_value),
        "risk_value": round(risk_value),
        "overload_value": round(over_value),
        "cost_of_failure": round(risk_cost),
        "findings": [
            {"action": finding.action, "value": round(finding.value), "text": finding.text + finding.detail}
            for finding in findings
        ],
        "setpoint": day.advice_reason,
        "setpoint_value": round(_known_or(day.advice_gain, 0.0) * horizon),
        "attainable_basis": day.basis,
        "production_source": day.source,
        "disagreements": list(day.disagreements),
    }
    if best and best.job:
        parts["job_cost"] = round(best.job)
        # what only looks, or mends nothing that earns, never pays for itself
        if gain_value > 0.0:
            parts["payback_days"] = round(best.job * horizon / gain_value, 1)
    return Line(
        day.well,
        score,
        lost if worth else max(day.lost_bpd, 0.0) if _known(day.lost_bpd) else float("nan"),
        risk_value,
        over,
        gain_oil,
        gain_value,
        action,
        _reason(day, findings, worth, 2.0 * risk_value > score),
        day.state == WellState.DOWN and (lost >= economics.down_first_bpd or not _known(day.lost_bpd)),
        parts,
    )


def _risk(day: WellDay, economics: Economics) -> tuple[float, float]:
    """Money at risk: probability of a failure within 15 days times the job and the oil lost meanwhile."""
    if day.state == WellState.DOWN or not _known(day.failure_prob_15d):
        return 0.0, 0.0
    oil = _known_or(day.oil_bpd, _known_or(day.attainable_bpd, 0.0))
    cost = economics.cost_of(day.likely_failure or "") + (
        economics.job_days * oil * economics.oil_price_per_bbl
    )
    return day.failure_prob_15d / 100.0 * cost, cost


def _overload(day: WellDay, economics: Economics) -> tuple[float, str, float]:
    """Worst load in percent, whose it is, and what the part above 100 % is worth."""
    loads = {
        "gearbox": (day.gearbox_pct, economics.job_cost.gearbox),
        "structure": (day.structure_pct, economics.job_cost.gearbox),
        "rods": (day.rods_pct, economics.job_cost.rod),
    }
    known = {name: value for name, value in loads.items() if _known(value[0])}
    if not known or day.state == WellState.DOWN:
        return float("nan"), "", 0.0
    name, (load, cost) = max(known.items(), key=lambda item: item[1][0])
    return load, name, _overload_value(load, cost, economics)


def _overload_value(load: float, cost: float, economics: Economics) -> float:
    """Money that a load above its rating puts at risk within the horizon."""
    return min(economics.overload_failure_pct / 100.0 * max(load - 100.0, 0.0) / 10.0, 1.0) * cost


def _findings(
    day: WellDay, economics: Economics, lost: float, over: float, over_name: str, over_value: float
) -> list[_Finding]:
    """Everything that is wrong; `lost` is the oil that is surely lost, bbl/d."""
    jobs = economics.job_cost
    lost_value = lost * economics.oil_price_per_bbl * economics.horizon_days
    if day.state == WellState.DOWN:
        return [_down(day, economics, lost, lost_value)]
    least = max(lost_value, jobs.visit)
    if day.state == WellState.SILENT:
        text = f"Silent since {_moment(day)}"
        return [
            _Finding("check_power_or_communication", least, text, _silent(day), jobs.visit, _back(day, lost))
        ]
    if day.state == WellState.IDLE:
        return [_Finding("restart", least, f"Idle since {_moment(day)}", "", jobs.visit, _back(day, lost))]
    if day.unusable:
        text = f"None of its newest cards can be used: {day.unusable}"
        return [_Finding("check_sensor", least, text, "", jobs.visit)]
    if day.half_stroke:
        text = "Its newest card holds half a stroke only: class and figures of such a card mean nothing"
        return [_Finding("check_sensor", least, text, "", jobs.visit)]
    found = [
        *_pump_findings(day, economics, lost, lost_value),
        *_load_findings(day, economics, over, over_name, over_value),
    ]
    if day.advice != "none":
        found = _with_advice(found, day, economics)
    if day.sensor_doubt:
        found.append(_Finding("check_sensor", jobs.visit, day.sensor_doubt))
    if lost and not any(finding.value >= lost_value for finding in found):
        emptied = _has(day, "Fluid Pound") and not _has(day, "Gas Interference")
        why = ": the pump empties it, so less flows in" if emptied else " and no card says why"
        found.append(_Finding("test_well", lost_value, f"It {_lost_text(day)}{why}", "", jobs.visit))
    elif any(code.startswith("test_") for code in day.disagreements):
        found.append(_Finding("test_well", 0.5 * jobs.visit, "Test and card contradict each other"))
    return found


def _back(day: WellDay, lost: float) -> float:
    """Oil that comes back once what takes it is mended: all that is lost; NaN where that is not known."""
    return lost if lost or _known(day.lost_bpd) else float("nan")


_FEWER = ("slow_down", "lengthen_idle_time")
_MORE = ("speed_up", "shorten_idle_time")


def _with_advice(found: list[_Finding], day: WellDay, economics: Economics) -> list[_Finding]:
    """Add the set-point advice: to what speaks for the same already, else as a finding of its own.

    What speaks for the opposite (a rule of thumb) gives way: the advice has counted it.
    """
    same, opposite = (_FEWER, _MORE) if day.advice in _FEWER else (_MORE, _FEWER)
    gain = _known_or(day.advice_gain, 0.0) * economics.horizon_days
    saves = gain - day.advice_oil_bpd * economics.oil_price_per_bbl * economics.horizon_days
    said = day.advice_reason.split(";")[0]
    kept = [finding for finding in found if finding.action not in opposite]
    for place, finding in enumerate(kept):
        if finding.action in same:
            kept[place] = _Finding(
                day.advice,
                max(finding.value, gain),
                finding.text,
                f"{finding.detail}. {said}",
                economics.job_cost.visit,
                day.advice_oil_bpd,
                saves,
            )
            return kept
    return [*kept, _Finding(day.advice, gain, said, "", economics.job_cost.visit, day.advice_oil_bpd, saves)]


def _moment(day: WellDay) -> str:
    return f"{day.since:%-d %b %Y %H:%M}" if day.since else "an unknown time"


def _silent(day: WellDay) -> str:
    if day.since is None:
        return ""
    hours = (day.as_of - day.since).total_seconds() / 3600.0
    age = f"{hours:.0f} h" if hours < 72.0 else f"{hours / 24.0:.0f} days"
    return f": no card for {age}; {100.0 * day.silent_down_share:.0f} % of such silences were wells that were down"


def _down(day: WellDay, economics: Economics, lost: float, lost_value: float) -> _Finding:
    what = day.failure or "failure"
    oil = _known_or(day.lost_bpd, float("nan"))
    loses = f", loses {oil:.0f} bbl/d oil" if _known(oil) else ""
    action = {"Pump": "pull_pump", "Rod": "pull_rods", "Tubing": "repair_tubing"}.get(
        day.failure_class or "", "finish_workover"
    )
    return _Finding(
        action,
        lost_value,
        f"Down since {_moment(day)} ({what}){loses}",
        "",
        economics.cost_of(day.failure_class or ""),
        _back(day, lost),
    )


def _pump_findings(day: WellDay, economics: Economics, lost: float, lost_value: float) -> list[_Finding]:
    jobs = economics.job_cost
    found: list[_Finding] = []

    def add(action: str, text: str, detail: str = "", job: float = 0.0, least: float = 0.0) -> None:
        # fewer strokes bring no oil back, whatever is lost
        back, value = (0.0, 0.0) if action in _FEWER else (_back(day, lost), lost_value)
        found.append(_Finding(action, max(value, least), text, detail, job, back))

    parted = _has(day, "Parted Rod")
    if parted and not day.no_fluid_load and not _known(day.fillage_pct):
        text = f"{_class_text(day, 'Parted Rod')}, and no pump card confirms it"
        add("test_well", text, ": its rods, plunger and fluid are not known", jobs.visit, jobs.visit)
        return found
    if parted or (day.no_fluid_load and _known(day.parted_depth_ft)):
        deep = f" at about {day.parted_depth_ft:,.0f} ft" if _known(day.parted_depth_ft) else ""
        taper = f", taper {day.worst_taper} is the most loaded" if day.worst_taper else ""
        add("pull_rods", f"The rods look parted{deep}", taper, jobs.rod, jobs.visit)
        return found
    if day.no_fluid_load:
        add("pull_pump", "The pump card has no height: the pump lifts nothing", "", jobs.pump, jobs.visit)
        return found
    leaks = (
        ("Leak in Traveling Valve", day.tv_leak_bpd, "travelling valve or plunger"),
        ("Leak in Standing Valve", day.sv_leak_bpd, "standing valve"),
        ("Worn Pump Barrel", day.barrel_leak_bpd, "barrel"),
    )
    named = [(name, leak, part) for name, leak, part in leaks if _has(day, name)]
    if named:
        parts = " and ".join(part for _, _, part in named)
        measured = [
            f"{part} passes {_leak_text(day, leak)}" for _, leak, part in named if _known_or(leak, 0.0) > 5.0
        ]
        detail = f"; the {' and the '.join(measured)} at full pressure" if measured else ""
        if day.sensor_doubt:
            detail = "; how much it passes can't be told by a doubtful card" if measured else ""
        add("pull_pump", f"{parts.capitalize()}: {_class_text(day, named[0][0])}", detail, jobs.pump)
    if _has(day, "Gas Interference"):
        fill = f", fillage {day.fillage_pct:.0f} %" if _known(day.fillage_pct) else ""
        press = (
            f", intake {day.intake_psi:.0f} psi" if _known(day.intake_psi) and not day.sensor_doubt else ""
        )
        add("gas_separator", f"{_class_text(day, 'Gas Interference')}{fill}{press}", "", jobs.visit)
    elif _has(day, "Fluid Pound"):
        fill = f", fillage {day.fillage_pct:.0f} %" if _known(day.fillage_pct) else ""
        action = "lengthen_idle_time" if _known_or(day.run_h, 24.0) < 23.0 else "slow_down"
        add(action, f"{_class_text(day, 'Fluid Pound')}{fill}", "", jobs.visit, 0.25 * jobs.visit)
    step = SPACING_IN_PER_1000_FT * _known_or(day.pump_depth_ft, float("nan")) / 1000.0
    inches = f" by about {max(round(step), 1)} in" if _known(step) else ""
    if _has(day, "Pump Tagging Down"):
        add(
            "raise_spacing",
            _class_text(day, "Pump Tagging Down"),
            f": raise it{inches}",
            jobs.visit,
            0.5 * jobs.visit,
        )
    if _has(day, "Pump Tagging Up"):
        add(
            "lower_spacing",
            _class_text(day, "Pump Tagging Up"),
            f": lower it{inches}",
            jobs.visit,
            0.5 * jobs.visit,
        )
    if _has(day, "Wellbore Friction"):
        told = _known_or(day.friction_lbf, 0.0) > 100 and not day.sensor_doubt
        force = f", {day.friction_lbf:,.0f} lbf at the pump" if told else ""
        add(
            "treat_friction",
            f"{_class_text(day, 'Wellbore Friction')}{force}",
            "",
            jobs.visit,
            0.5 * jobs.visit,
        )
    if _has(day, "Tubing Movement"):
        inch = day.tubing_movement_in
        moves = f", {inch:.0f} in a stroke" if _known_or(inch, 0.0) > 1.0 else ""
        add(
            "check_tubing_anchor",
            f"{_class_text(day, 'Tubing Movement')}{moves}",
            "",
            jobs.tubing,
            0.25 * jobs.visit,
        )
    if _has(day, "Excessive Vibration of the Rod"):
        add(
            "slow_down", _class_text(day, "Excessive Vibration of the Rod"), "", jobs.visit, 0.25 * jobs.visit
        )
    if (
        lost
        and not found
        and _known(day.fillage_pct)
        and day.fillage_pct >= 95.0
        and _known_or(day.run_h, 24.0) < 20.0
    ):
        add("shorten_idle_time", f"Full pump that runs {day.run_h:.0f} h a day", "", jobs.visit)
    return found


def _leak_text(day: WellDay, leak: float) -> str:
    """Rate of a leak; of a worn stretch it is a rate at that place, which may be more than a pump displaces in all."""
    return "more than the pump displaces" if leak > day.displacement_bpd else f"{leak:,.0f} bbl/d"


def _load_findings(
    day: WellDay, economics: Economics, over: float, over_name: str, over_value: float
) -> list[_Finding]:
    if not _known(over) or over <= 100.0:
        return []
    rating = "their allowable range" if over_name == "rods" else "its rating"
    text = f"{over_name.capitalize()} at {over:.0f} % of {rating}"
    if day.sensor_doubt:
        text += " if the card's loads are right"
    if over_name == "gearbox" and _known_or(day.best_gearbox_pct, over) < min(over - 5.0, 0.97 * over):
        moved = (
            f" at {day.best_counterbalance_lbf:,.0f} lbf instead of {day.counterbalance_lbf:,.0f}"
            if _known(day.best_counterbalance_lbf) and _known(day.counterbalance_lbf)
            else ""
        )
        detail = f"; balanced{moved} it would be at {day.best_gearbox_pct:.0f} %"
        left = _overload_value(day.best_gearbox_pct, economics.job_cost.gearbox, economics)
        return [_Finding("balance", over_value, text, detail, 0.0, 0.0, over_value - left)]
    taper = f" (taper {day.worst_taper})" if over_name == "rods" and day.worst_taper else ""
    return [_Finding("slow_down", over_value, text + taper)]


def _reason(day: WellDay, findings: Sequence[_Finding], worth: bool, mostly_risk: bool) -> str:
    """Put the first two findings, the risk and the first contradiction into sentences."""
    said: list[str] = []
    if findings:
        first = findings[0].text + findings[0].detail
        if worth and day.state == WellState.PUMPING and _known(day.oil_bpd) and "makes" not in first:
            first += f"; it {_lost_text(day)}"
        said.append(first)
        others = [finding for finding in findings[1:] if finding.value > 0.0]
        if others:
            said.append(others[0].text + others[0].detail)
    elif worth and _known(day.oil_bpd):
        said.append(f"It {_lost_text(day)}")
    risk = _known_or(day.failure_prob_15d, 0.0)
    if day.state in (WellState.PUMPING, WellState.IDLE) and (risk >= 20.0 or (mostly_risk and risk >= 10.0)):
        change = day.failure_prob_change_7d
        moved = f", {change:+.0f} points in a week" if _known(change) and abs(change) >= 5.0 else ""
        kind = f" ({day.likely_failure})" if day.likely_failure and day.likely_failure != "Normal" else ""
        said.append(f"Failure within 15 days: {day.failure_prob_15d:.0f} %{kind}{moved}")
    text = ". ".join(part[0].upper() + part[1:] for part in said)
    text = f"{text}." if text else "Nothing stands out."
    warned = [SENTENCES[code] for code in day.disagreements if code in SENTENCES]
    return " ".join([text, *warned[:1]])


def rank_lines(lines: Sequence[Line]) -> list[Line]:
    """Put lines in order: down wells that lose oil first, wells with nothing to do last, each by score, lost oil and name.

    Parameters
    ----------
    lines : sequence of Line
        One a well.

    Returns
    -------
    list of Line
        Rank 1 first.
    """
    return sorted(
        lines,
        key=lambda line: (
            not line.first,
            line.action == "none",
            -line.score,
            -_known_or(line.lost_oil_bpd, 0.0),
            line.well,
        ),
    )
