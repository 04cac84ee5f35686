"""Tables of decisions: what each well's day came to, its status, its advised set point, and the ranked list of wells.

Here: ``clean.wellsummary``, ``clean.wellstatus``, ``clean.setpoint``, ``clean.worklist``, ``analysis.economics``. Not here: what they are computed from.
"""

from __future__ import annotations

from oasis_pipeline.schema.model import Column, Kind, Table, Type
from oasis_pipeline.schema.xspoc_tables import NODE

DAY = Column("Date", Type.DAY, description="The day; everything as known at its end")


def _median(name: str, unit: str, what: str) -> Column:
    return Column(name, Type.FLOAT, unit, f"{what}, median of the day's cards")


WELLSUMMARY = Table(
    "clean",
    "wellsummary",
    ("NodeID", "Date"),
    (
        NODE,
        DAY,
        Column("first_card_at", Type.TIME, description="First card of the day"),
        Column("last_card_at", Type.TIME, description="Newest card of the day"),
        Column("n_cards", Type.INT, description="Cards of the day", required=True),
        Column("runtime_h", Type.FLOAT, "h/d", "Run time by the newest card of the day that gives one"),
        _median("spm", "1/min", "Speed"),
        Column("Label1", Type.TEXT, description="Most frequent first class of the day's cards"),
        Column("Prob1", Type.FLOAT, "%", "Mean probability of that class over its cards"),
        Column("Label2", Type.TEXT, description="Second class of at least half of these cards"),
        _median("fillage_pct", "%", "Fillage"),
        _median("pump_intake_pressure_psi", "psi", "Pump intake pressure"),
        _median("fluid_level_ft", "ft", "Depth of the fluid level"),
        _median("gross_displacement_bpd", "bbl/d", "Displacement of the plunger in the run time"),
        _median("inferred_production_bpd", "bbl/d", "Production inferred from the card"),
        _median("tv_leak_bpd", "bbl/d", "Leak past travelling valve and plunger at full pressure"),
        _median("sv_leak_bpd", "bbl/d", "Leak past the standing valve at full pressure"),
        _median("barrel_leak_bpd", "bbl/d", "Leak through a worn barrel at full pressure"),
        _median("gearbox_load_pct", "%", "Gearbox torque over its rating"),
        _median("structural_load_pct", "%", "Peak polished-rod load over the structural rating"),
        _median("max_rod_load_pct", "%", "Loading of the worst taper"),
        Column("no_fluid_load", Type.BOOL, description="Whether half of the cards or more lift no fluid"),
        Column("runtime_unknown", Type.BOOL, description="Whether no card of the day gives a run time"),
        Column("missing", Type.CODES, description="What the newest diagnosis lacked, as codes"),
        Column("vendor_production_bpd", Type.FLOAT, "bbl/d", "Median of the vendor's gross production"),
        Column("card_departure", Type.FLOAT, "", "Greatest departure of a card from its forecast"),
    ),
    Kind.SERIES,
    "Each well's day in one row: medians of its cards, their class, and what their diagnosis lacked.",
    time_column="Date",
    indexes=(("Date",),),
)

WELLSTATUS = Table(
    "clean",
    "wellstatus",
    ("NodeID", "Date"),
    (
        NODE,
        DAY,
        Column("state", Type.TEXT, description="pumping, idle, down or silent", required=True),
        Column(
            "state_since",
            Type.TIME,
            description="When the state began; the first card within 120 days where it is older than that",
        ),
        Column("failure", Type.TEXT, description="Failure that is open, as it arrived; null unless down"),
        Column("failure_class", Type.TEXT, description="Its class"),
        Column("last_card_at", Type.TIME, description="Newest card"),
        Column("data_age_h", Type.FLOAT, "h", "Age of that card when the field's newest row came"),
        Column("ordinary_gap_h", Type.FLOAT, "h", "Ordinary time between cards of this well"),
        Column("runtime_h", Type.FLOAT, "h/d", "Newest run time"),
        Column("Label1", Type.TEXT, description="Class of the newest day with cards"),
        Column("Prob1", Type.FLOAT, "%", "Its probability"),
        Column("Label2", Type.TEXT, description="The other class of that day"),
        Column("label_days", Type.INT, "d", "Days with cards in a row with this class"),
        Column("fillage_pct", Type.FLOAT, "%", "Fillage"),
        Column("pump_intake_pressure_psi", Type.FLOAT, "psi", "Pump intake pressure"),
        Column("fluid_level_ft", Type.FLOAT, "ft", "Depth of the fluid level"),
        Column("gearbox_load_pct", Type.FLOAT, "%", "Gearbox torque over its rating"),
        Column("structural_load_pct", Type.FLOAT, "%", "Peak polished-rod load over the structural rating"),
        Column("max_rod_load_pct", Type.FLOAT, "%", "Loading of the worst taper"),
        Column("production_bpd", Type.FLOAT, "bbl/d", "Liquid rate after reconciliation of all sources"),
        Column("production_lower_bpd", Type.FLOAT, "bbl/d", "Lower edge of its 90 % interval"),
        Column("production_upper_bpd", Type.FLOAT, "bbl/d", "Upper edge of its 90 % interval"),
        Column(
            "production_source",
            Type.TEXT,
            description="inferred (card alone), inferred_calibrated (card, corrected by this well's tests), test, vendor, or none_lifted "
            "(no fluid is lifted); down or idle of such a well; null where nothing tells the rate",
        ),
        Column("inferred_production_bpd", Type.FLOAT, "bbl/d", "Rate inferred from the day's cards"),
        Column("test_production_bpd", Type.FLOAT, "bbl/d", "Liquid rate of the newest approved test"),
        Column("test_age_d", Type.FLOAT, "d", "Age of that test"),
        Column("vendor_production_bpd", Type.FLOAT, "bbl/d", "The vendor's rate of the day"),
        Column("water_cut_pct", Type.FLOAT, "%", "Water cut by the newest test, else by the well file"),
        Column(
            "oil_bpd",
            Type.FLOAT,
            "bbl/d",
            "Oil, by the median of production_bpd of three days; 0 of a well that is down or idle, or lifts nothing",
        ),
        Column("attainable_oil_bpd", Type.FLOAT, "bbl/d", "Oil that the well could make"),
        Column(
            "attainable_basis",
            Type.TEXT,
            description="own_past (good days since the last workover) or pump_capacity (displacement times what the field's sound pumps deliver)",
        ),
        Column("lost_oil_bpd", Type.FLOAT, "bbl/d", "Attainable oil less oil"),
        Column("lost_oil_lower_bpd", Type.FLOAT, "bbl/d", "Lower edge of its 90 % interval"),
        Column("lost_oil_upper_bpd", Type.FLOAT, "bbl/d", "Upper edge of its 90 % interval"),
        Column("failure_prob_3d", Type.FLOAT, "%", "Probability of a failure within 3 days"),
        Column("failure_prob_7d", Type.FLOAT, "%", "Probability of a failure within 7 days"),
        Column(
            "failure_prob_15d",
            Type.FLOAT,
            "%",
            "Probability of a failure within 15 days, as the others: the newest of three days; null while down",
        ),
        Column("failure_prob_30d", Type.FLOAT, "%", "Probability of a failure within 30 days"),
        Column("failure_prob_change_7d", Type.FLOAT, "%", "Change of failure_prob_15d over 7 days"),
        Column("failure_prob_change_14d", Type.FLOAT, "%", "Change of failure_prob_15d over 14 days"),
        Column("likely_failure", Type.TEXT, description="Most probable class of failure within 15 days"),
        Column("card_departure", Type.FLOAT, "", "Greatest departure of a card of the day from its forecast"),
        Column("silent_down_share_pct", Type.FLOAT, "%", "Share of the field's silences that were failures"),
        Column(
            "disagreements",
            Type.CODES,
            description="What contradicts what, as codes: see the page on decisions",
        ),
        Column("missing", Type.CODES, description="Data that are missing for this well, as codes"),
    ),
    Kind.SERIES,
    "What is known of each well at the end of each day: state, production of all sources reconciled, loss, loads and risk.",
    time_column="Date",
    indexes=(("Date",),),
)

WORKLIST = Table(
    "clean",
    "worklist",
    ("NodeID", "Date"),
    (
        NODE,
        DAY,
        Column("rank", Type.INT, description="Place in the list of the day, 1 = first", required=True),
        Column("score", Type.FLOAT, "currency", "Money over the horizon of economics.toml", required=True),
        Column(
            "lost_oil_bpd",
            Type.FLOAT,
            "bbl/d",
            "Oil that is lost; expected, for a silent well; null where no rate is known",
        ),
        Column("value_at_risk", Type.FLOAT, "currency", "Probability of a failure times what it costs"),
        Column("overload_pct", Type.FLOAT, "%", "Worst load of gearbox, structure and rods"),
        Column(
            "gain_oil_bpd",
            Type.FLOAT,
            "bbl/d",
            "Oil that the action should bring back or add; null where only a look can tell",
        ),
        Column(
            "gain_value",
            Type.FLOAT,
            "currency",
            "Its money over the horizon with what else it saves, its cost not subtracted",
        ),
        Column("action", Type.TEXT, description="What to do, as a code", required=True),
        Column("reason", Type.TEXT, description="Why, in one or two sentences", required=True),
        Column("parts", Type.DOCUMENT, description="What the score is made of", required=True),
    ),
    Kind.SERIES,
    "Which well first, day by day: rank, reason, money and action.",
    time_column="Date",
    indexes=(("Date", "rank"),),
)


def _expected(name: str, unit: str, what: str) -> tuple[Column, Column, Column]:
    return (
        Column(name, Type.FLOAT, unit, f"{what}, expected at the advised set point"),
        Column(f"{name}_lower", Type.FLOAT, unit, f"{what}: lower edge of the 90 % interval"),
        Column(f"{name}_upper", Type.FLOAT, unit, f"{what}: upper edge of the 90 % interval"),
    )


SETPOINT = Table(
    "clean",
    "setpoint",
    ("NodeID", "Date"),
    (
        NODE,
        DAY,
        Column(
            "action",
            Type.TEXT,
            description="slow_down, speed_up, lengthen_idle_time, shorten_idle_time or none",
            required=True,
        ),
        Column("spm", Type.FLOAT, "1/min", "Present speed"),
        Column("stroke_in", Type.FLOAT, "in", "Present stroke"),
        Column("idle_min", Type.FLOAT, "min/d", "Minutes a day that the unit stands"),
        Column("advised_spm", Type.FLOAT, "1/min", "Advised speed; the present one without an advice"),
        Column(
            "advised_stroke_in", Type.FLOAT, "in", "Advised stroke: the present one, files know no others"
        ),
        Column("advised_idle_min", Type.FLOAT, "min/d", "Advised minutes of standing a day"),
        *_expected("oil_change_bpd", "bbl/d", "Change of oil"),
        *_expected("gearbox_load_change_pct", "%", "Change of the gearbox load, percentage points"),
        *_expected("structural_load_change_pct", "%", "Change of the structural load, percentage points"),
        *_expected("max_rod_load_change_pct", "%", "Change of the rod loading, percentage points"),
        *_expected("energy_change_kwh_d", "kWh/d", "Change of electric energy"),
        *_expected("gain_per_day", "currency", "Money gained a day, at the prices of economics.toml"),
        Column("energy_kwh_per_bbl", Type.FLOAT, "kWh/bbl", "Electric energy for a barrel of liquid, now"),
        Column("advised_energy_kwh_per_bbl", Type.FLOAT, "kWh/bbl", "The same at the advised set point"),
        Column("advised_fillage_pct", Type.FLOAT, "%", "Fillage expected at the advised set point"),
        Column("advised_intake_pressure_psi", Type.FLOAT, "psi", "Intake pressure expected there"),
        Column("emptied_pct", Type.FLOAT, "%", "Probability that the pump empties the well"),
        Column(
            "strokes_say",
            Type.TEXT,
            description="By a burst of consecutive cards: pumped_off (the transfer point marches), gassy (it jumps) or undecided",
            required=True,
        ),
        Column("binding_limit", Type.TEXT, description="Limit that keeps a better set point out"),
        Column(
            "confidence", Type.FLOAT, "%", "Probability that the advice gains money; null without an advice"
        ),
        Column(
            "missing",
            Type.CODES,
            description="What is missing for an advice, or could not be judged, as codes",
        ),
        Column("reason", Type.TEXT, description="The advice, or why none is given", required=True),
        Column(
            "curve",
            Type.DOCUMENT,
            description="What speeds at the present run time (speed) and idle times at the present speed (idle_time) would bring: set points, change "
            "of oil, loads, and whether every limit is kept; null without an advice",
        ),
    ),
    Kind.SERIES,
    "Speed and idle time at which each pumping well would earn most inside its limits, and how sure that is.",
    time_column="Date",
    indexes=(("Date",),),
)

ECONOMICS = Table(
    "analysis",
    "economics",
    ("name",),
    (
        Column("name", Type.TEXT, description="economics"),
        Column("settings", Type.DOCUMENT, description="Prices and costs in force", required=True),
    ),
    Kind.STATE,
    "Prices and costs that the worklist rests on, from economics.toml.",
)

DECISION_TABLES: tuple[Table, ...] = (WELLSUMMARY, WELLSTATUS, SETPOINT, WORKLIST, ECONOMICS)
