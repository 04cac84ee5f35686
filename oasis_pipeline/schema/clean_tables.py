"""Tables that the platform derives, and the two that people fill through intake (labels, failures).

Here: schemas ``clean`` and ``analysis``. Views are the dbt project's.
"""

from __future__ import annotations

from oasis_pipeline.schema.model import Column, Kind, Table, Type
from oasis_pipeline.schema.xspoc_tables import DATE, NODE, STAMP

FAILURE_INFO = Table(
    "analysis",
    "failure_info",
    ("NodeID", "Failure Start Date"),
    (
        NODE,
        Column("Failure Start Date", Type.TIME, description="Start of the failure"),
        Column("Failure End Date", Type.TIME, description="End of the job; empty while open"),
        Column("Failures", Type.TEXT, description="What failed, as it arrived"),
        Column("failure_class", Type.TEXT, description="Failures reduced by the rule file"),
        Column("known_from", Type.TIME, description="From when on this failure was known", required=True),
        STAMP,
    ),
    Kind.STATE,
    "Failures of wells.",
)

WELL_GROUP = Table(
    "analysis",
    "well_group",
    ("NodeID", "GroupName"),
    (
        NODE,
        Column(
            "GroupName", Type.TEXT, description="Route, battery, foreman: whatever wells are looked at by"
        ),
        Column(
            "given_by", Type.TEXT, description="Who put the well there by hand; empty for what a file says"
        ),
        STAMP,
    ),
    Kind.STATE,
    "Groups that wells belong to; a well may belong to several.",
    indexes=(("GroupName",),),
)

DYNALABEL = Table(
    "clean",
    "dynalabel",
    ("NodeID", "Date"),
    (
        NODE,
        DATE,
        Column("TrueLabel1", Type.TEXT, description="What the card shows"),
        Column("TrueLabel2", Type.TEXT, description="What else it shows"),
        Column("LabeledBy", Type.TEXT, description="Who labelled; a file's name", required=True),
        Column("LabeledAt", Type.TIME, description="When; a file's stamp", required=True),
    ),
    Kind.STATE,
    "The label in force of each labelled card.",
)

DYNALABEL_HISTORY = Table(
    "clean",
    "dynalabel_history",
    ("NodeID", "Date", "LabeledBy", "LabeledAt"),
    DYNALABEL.columns,
    Kind.STATE,
    "Every label ever given.",
)

XSPOC = Table(
    "clean",
    "xspoc",
    ("NodeID", "Date"),
    (
        NODE,
        DATE,
        Column("XNodeID", Type.TEXT, description="Well of the vendor's result; null where there is none"),
        Column("XDate", Type.TIME, description="Time of the vendor's result; null where there is none"),
        Column("SPM", Type.FLOAT, "1/min", "Strokes per minute"),
        Column("StrokeLength", Type.FLOAT, "in", "Stroke length of the polished rod"),
        Column("Runtime", Type.FLOAT, "h/d", "Running time of the day"),
        Column("Fillage", Type.FLOAT, "%", "Pump fillage by the controller"),
        Column("FillBasePct", Type.FLOAT, "%", "Load line at which the controller reads fillage"),
        Column("cardPPRL", Type.FLOAT, "lbf", "Greatest load of the surface card"),
        Column("cardMPRL", Type.FLOAT, "lbf", "Least load of the surface card"),
        Column("FillagePct", Type.FLOAT, "%", "Pump fillage by the vendor's diagnosis"),
        Column("TubingPressure", Type.FLOAT, "psi", "Tubing-head pressure"),
        Column("CasingPressure", Type.FLOAT, "psi", "Casing-head pressure"),
        Column("GrossProd", Type.FLOAT, "bbl/d", "Gross production by the vendor's diagnosis"),
        Column("NetProd", Type.FLOAT, "bbl/d", "Net production by the vendor's diagnosis"),
        Column("PPRL", Type.FLOAT, "lbf", "Peak polished-rod load by the vendor's diagnosis"),
        Column("MPRL", Type.FLOAT, "lbf", "Minimum polished-rod load by the vendor's diagnosis"),
        Column("FluidLoadonPump", Type.FLOAT, "lbf", "Fluid load by the vendor's diagnosis"),
        Column("PumpIntakePressure", Type.FLOAT, "psi", "Pump intake pressure by the vendor's diagnosis"),
        Column("MinEnergyKWH", Type.FLOAT, "kWh", "Energy at minimum-energy balance"),
        Column("MinTorqueKWH", Type.FLOAT, "kWh", "Energy at minimum-torque balance"),
        Column("MinEnergyGBLoadPct", Type.FLOAT, "%", "Gearbox load at minimum-energy balance"),
        Column("MinTorqueGBLoadPct", Type.FLOAT, "%", "Gearbox load at minimum-torque balance"),
        Column("FailureBin", Type.INT, description="1 inside a failure, else 0", required=True),
        Column("FailureLabel", Type.TEXT, description="Normal, or the failure's class", required=True),
    ),
    Kind.SERIES,
    "Cards and vendor results side by side, with what is known of failures.",
    time_column="Date",
    indexes=(("Date",),),
)

DYNABOUNDS = Table(
    "clean",
    "dynabounds",
    ("NodeID", "Date"),
    (
        NODE,
        Column("Date", Type.DAY, description="Bounds as known at the end of this day"),
        Column(
            "card",
            Type.TEXT,
            description="Which card is bounded: pocdowncard, or surfcard for a well without one",
            required=True,
        ),
        Column("pos_min", Type.FLOAT, "in", "Least position"),
        Column("pos_max", Type.FLOAT, "in", "Greatest position"),
        Column("load_min", Type.FLOAT, "lbf", "Least load"),
        Column("load_max", Type.FLOAT, "lbf", "Greatest load"),
        Column(
            "n_cards",
            Type.INT,
            description="Cards since the last workover that the bounds rest on",
            required=True,
        ),
    ),
    Kind.SERIES,
    "Bounds of each well's cards, day by day, never from later cards.",
    time_column="Date",
    indexes=(("Date",),),
)

DYNAPRED = Table(
    "clean",
    "dynapred",
    ("NodeID", "Date"),
    (
        NODE,
        DATE,
        Column("Label1", Type.TEXT, description="Most probable class, or Unknown", required=True),
        Column(
            "Prob1",
            Type.FLOAT,
            "%",
            "Calibrated probability that this class is among the card's labels",
            required=True,
        ),
        Column("Label2", Type.TEXT, description="Second class; null where Prob2 <= 35"),
        Column("Prob2", Type.FLOAT, "%", "Calibrated probability of the second class"),
        Column("ModelVersion", Type.TEXT, description="Model that predicted", required=True),
        Column(
            "in_training",
            Type.BOOL,
            description="Whether the model has seen this card's label",
            required=True,
        ),
    ),
    Kind.SERIES,
    "Predicted class of each usable card.",
    time_column="Date",
    indexes=(("Date",),),
)

LABEL_QUEUE = Table(
    "clean",
    "label_queue",
    ("NodeID", "Date"),
    (
        NODE,
        DATE,
        Column("rank", Type.INT, description="Place in the queue, 1 = label this first", required=True),
        Column("score", Type.FLOAT, description="Uncertainty x novelty x weight of the well", required=True),
        Column("uncertainty_bits", Type.FLOAT, "bit", "Entropy of the classes' probabilities", required=True),
        Column(
            "distance",
            Type.FLOAT,
            description="To the nearest labelled or earlier card, in standard deviations; null if there is none",
        ),
        Column("well_labels", Type.INT, description="Labelled cards of the well", required=True),
        Column("Label1", Type.TEXT, description="What the model says, as a suggestion", required=True),
        Column("Prob1", Type.FLOAT, "%", "Its probability", required=True),
        Column("Label2", Type.TEXT, description="What else the model says"),
        Column("ModelVersion", Type.TEXT, description="Model that was asked", required=True),
    ),
    Kind.STATE,
    "Unlabelled cards, the most informative first.",
)

LABEL_SUSPECT = Table(
    "clean",
    "label_suspect",
    ("NodeID", "Date"),
    (
        NODE,
        DATE,
        Column("TrueLabel1", Type.TEXT, description="The label in force when the model was trained"),
        Column("TrueLabel2", Type.TEXT, description="The other one"),
        Column("doubted", Type.TEXT, description="Which of them is doubted", required=True),
        Column("suggested", Type.TEXT, description="What the card more probably shows", required=True),
        Column(
            "doubt_pct",
            Type.FLOAT,
            "%",
            "Probability of the suggested class less that of the doubted one, the well held out",
            required=True,
        ),
        Column("LabeledBy", Type.TEXT, description="Who labelled; a file's name", required=True),
        Column("LabeledAt", Type.TIME, description="When; a file's stamp", required=True),
        Column("ModelVersion", Type.TEXT, description="Training that doubts", required=True),
    ),
    Kind.STATE,
    "Labels that are probably wrong, by the newest training. Nothing but a new label changes them.",
)

CARDDIAG = Table(
    "clean",
    "carddiag",
    ("NodeID", "Date"),
    (
        NODE,
        DATE,
        Column(
            "fillage_pct",
            Type.FLOAT,
            "%",
            "Share of the plunger's stroke, tubing stretch removed, at which the travelling valve opens",
        ),
        Column(
            "fillage_spread_pct",
            Type.FLOAT,
            "%",
            "Distance between the trusted methods of reading the fillage",
        ),
        Column("fillage_vertical_pct", Type.FLOAT, "%", "Fillage at the steepest unloading"),
        Column("fillage_horizontal_pct", Type.FLOAT, "%", "Fillage where 90 % of the fluid load is gone"),
        Column("fillage_corner_pct", Type.FLOAT, "%", "Fillage at the lower right corner of the pump card"),
        Column(
            "fillage_gas_law_pct", Type.FLOAT, "%", "Fillage by the compression of the gas above the liquid"
        ),
        Column("fillage_area_pct", Type.FLOAT, "%", "Area of the pump card over load range times stroke"),
        Column("gross_stroke_in", Type.FLOAT, "in", "Plunger travel"),
        Column("net_stroke_in", Type.FLOAT, "in", "Plunger travel relative to the barrel times fillage"),
        Column(
            "fluid_load_upper_lbf",
            Type.FLOAT,
            "lbf",
            "Load line of the upstroke at rest, with friction_lbf in it",
        ),
        Column(
            "fluid_load_lower_lbf",
            Type.FLOAT,
            "lbf",
            "Load line of the downstroke at rest, with friction_lbf in it",
        ),
        Column(
            "fluid_load_lbf",
            Type.FLOAT,
            "lbf",
            "Plunger area times (discharge - intake pressure), friction taken out",
        ),
        Column(
            "pump_intake_pressure_psi",
            Type.FLOAT,
            "psi",
            "Pump intake pressure by the fluid load; null, and quality says why, where it can't be told or is impossible",
        ),
        Column(
            "pump_intake_pressure_lower_psi",
            Type.FLOAT,
            "psi",
            "Least intake pressure that friction, damping, gain of the load cell and gravity leave possible",
        ),
        Column(
            "pump_intake_pressure_upper_psi",
            Type.FLOAT,
            "psi",
            "Greatest intake pressure that friction, damping, gain of the load cell and gravity leave possible",
        ),
        Column("pump_discharge_pressure_psi", Type.FLOAT, "psi", "Tubing pressure plus the fluid column"),
        Column(
            "fluid_level_ft", Type.FLOAT, "ft", "Vertical depth of the gas-free fluid level in the annulus"
        ),
        Column("fluid_above_pump_ft", Type.FLOAT, "ft", "Gas-free fluid in the annulus above the pump"),
        Column(
            "friction_lbf",
            Type.FLOAT,
            "lbf",
            "Dry friction beside what the power balance calls drag; both are taken out of the fluid load",
        ),
        Column(
            "card_friction_lbf",
            Type.FLOAT,
            "lbf",
            "Friction that is left in the pump card as it is given: its load lines are apart by the fluid load and twice this",
        ),
        Column("tubing_movement_in", Type.FLOAT, "in", "Travel of the tubing with the load"),
        Column(
            "tv_leak_bpd",
            Type.FLOAT,
            "bbl/d",
            "Leak past travelling valve and plunger at full pressure, by the load pick-up",
        ),
        Column(
            "sv_leak_bpd",
            Type.FLOAT,
            "bbl/d",
            "Leak past the standing valve at full pressure, by the load pick-up",
        ),
        Column(
            "barrel_leak_bpd",
            Type.FLOAT,
            "bbl/d",
            "Leak at full pressure through the most worn part of the barrel, by the sag of the upper load line; 0 = none seen",
        ),
        Column(
            "barrel_wear_in", Type.FLOAT, "in", "Where that part is, above the bottom of the plunger's stroke"
        ),
        Column("slippage_bpd", Type.FLOAT, "bbl/d", "Slippage through the clearance, by Patterson"),
        Column("slippage_arco_hf_bpd", Type.FLOAT, "bbl/d", "Slippage through the clearance, by ARCO-HF"),
        Column(
            "gross_displacement_bpd",
            Type.FLOAT,
            "bbl/d",
            "Displacement of the gross stroke in the day's runtime",
        ),
        Column(
            "net_displacement_bpd", Type.FLOAT, "bbl/d", "Displacement of the net stroke in the day's runtime"
        ),
        Column(
            "inferred_production_bpd", Type.FLOAT, "bbl/d", "Net displacement less what passes the plunger"
        ),
        Column("pump_power_hp", Type.FLOAT, "hp", "Power of the pump card"),
        Column("pprl_lbf", Type.FLOAT, "lbf", "Peak polished-rod load"),
        Column("mprl_lbf", Type.FLOAT, "lbf", "Minimum polished-rod load"),
        Column("polished_rod_power_hp", Type.FLOAT, "hp", "Power of the surface card"),
        Column(
            "peak_gearbox_torque_in_lbf",
            Type.FLOAT,
            "in-lbf",
            "Greatest torque at the crankshaft with the existing counterbalance",
        ),
        Column("gearbox_load_pct", Type.FLOAT, "%", "Greatest torque over the gearbox rating"),
        Column("counterbalance_lbf", Type.FLOAT, "lbf", "Existing counterbalance effect at the polished rod"),
        Column(
            "best_counterbalance_lbf", Type.FLOAT, "lbf", "Counterbalance effect with the least peak torque"
        ),
        Column(
            "best_gearbox_torque_in_lbf", Type.FLOAT, "in-lbf", "Greatest torque with the best counterbalance"
        ),
        Column("structural_load_pct", Type.FLOAT, "%", "Peak polished-rod load over the structural rating"),
        Column("max_rod_load_pct", Type.FLOAT, "%", "Loading of the worst taper by modified Goodman"),
        Column(
            "load_offset_lbf",
            Type.FLOAT,
            "lbf",
            "Zero error of the pump card: load cell and rod weight together",
        ),
        Column(
            "position_phase_deg",
            Type.FLOAT,
            "deg",
            "Delay of the position behind the load, degrees of the stroke; it was taken out before the diagnosis",
        ),
        Column(
            "damping",
            Type.FLOAT,
            "",
            "Dimensionless damping that the pump card is given with, friction left in; null in rows of earlier releases",
        ),
        Column(
            "balance_damping",
            Type.FLOAT,
            "",
            "Dimensionless damping by power balance, as if all that the rods lose were drag; load lines, fillage and leaks are read with it",
        ),
        Column("parted_depth_ft", Type.FLOAT, "ft", "Depth at which the rods look parted"),
        Column(
            "pump_card_source",
            Type.TEXT,
            description="computed from the surface card and the rods, poc (the controller's as it came, whose zero may be true load), or none",
            required=True,
        ),
        Column(
            "quality",
            Type.TEXT,
            description="What was missing, assumed or doubtful, codes joined by '; '; empty where nothing was",
            required=True,
        ),
        Column("report", Type.TEXT, description="The diagnosis in plain English", required=True),
    ),
    Kind.SERIES,
    "Physical diagnosis of each usable card. Quantities that need missing data are null; quality says why.",
    time_column="Date",
    indexes=(("Date",),),
)

RODDIAG = Table(
    "clean",
    "roddiag",
    ("NodeID", "Date", "RodNum"),
    (
        NODE,
        DATE,
        Column("RodNum", Type.INT, description="Taper, 1 = top"),
        Column("grade", Type.TEXT, description="Rod grade"),
        Column("length_ft", Type.FLOAT, "ft", "Length of the taper"),
        Column("diameter_in", Type.FLOAT, "in", "Rod diameter"),
        Column("top_max_stress_psi", Type.FLOAT, "psi", "Greatest stress at the top of the taper"),
        Column("top_min_stress_psi", Type.FLOAT, "psi", "Least stress at the top of the taper"),
        Column("bottom_min_stress_psi", Type.FLOAT, "psi", "Least stress at the bottom of the taper"),
        Column(
            "loading_pct",
            Type.FLOAT,
            "%",
            "Loading by modified Goodman; null where the grade's strength is not known",
        ),
    ),
    Kind.SERIES,
    "Rod stresses of each card whose pump card could be computed, one row a taper.",
    time_column="Date",
    indexes=(("Date",),),
)

XPRED = Table(
    "clean",
    "xpred",
    ("NodeID", "Date", "HorizonDays"),
    (
        NODE,
        DATE,
        Column("HorizonDays", Type.INT, "d", "Length of the window"),
        Column("PredClass", Type.TEXT, description="Most probable class, Normal included", required=True),
        Column("Prob Normal", Type.FLOAT, "%", "Probability of no failure", required=True),
        Column("FailureProb", Type.FLOAT, "%", "100 - Prob Normal", required=True),
        Column("ModelVersion", Type.TEXT, description="Model that predicted", required=True),
    ),
    Kind.SERIES,
    "Probability of each failure class within a window after each day.",
    time_column="Date",
    indexes=(("Date",),),
)

CARDPRED = Table(
    "clean",
    "cardpred",
    ("NodeID", "IssuedAt", "HorizonHours"),
    (
        NODE,
        Column("IssuedAt", Type.TIME, description="Time of the newest card used"),
        Column("HorizonHours", Type.INT, "h", "How long after IssuedAt the card is forecast for"),
        Column(
            "card",
            Type.TEXT,
            description="Which card is forecast, as in dynabounds: pocdowncard, or surfcard for a well without one",
            required=True,
        ),
        Column(
            "position_in",
            Type.POINTS,
            "in",
            "Positions: equally spaced up the stroke, then back",
            required=True,
        ),
        Column("load_lbf", Type.POINTS, "lbf", "Forecast loads at these positions", required=True),
        Column("load_lower_lbf", Type.POINTS, "lbf", "Lower edge of the 90 % band", required=True),
        Column("load_upper_lbf", Type.POINTS, "lbf", "Upper edge of the 90 % band", required=True),
        Column("ModelVersion", Type.TEXT, description="Model; names its cut-off", required=True),
    ),
    Kind.SERIES,
    "Forecast of the next cards of each well, from the newest card of each day on.",
    time_column="IssuedAt",
    indexes=(("IssuedAt",),),
)

CARDANOMALY = Table(
    "clean",
    "cardanomaly",
    ("NodeID", "Date"),
    (
        NODE,
        DATE,
        Column("IssuedAt", Type.TIME, description="Issue of the forecast it is held against", required=True),
        Column("HorizonHours", Type.INT, "h", "Horizon of that forecast", required=True),
        Column(
            "departure",
            Type.FLOAT,
            "",
            "Rms over the points of the distance from the forecast over half of the band",
            required=True,
        ),
        Column(
            "rarity_pct",
            Type.FLOAT,
            "%",
            "Share of ordinary cards of the weeks before the forecast's cut-off that lay nearer to theirs",
            required=True,
        ),
        Column("outside_pct", Type.FLOAT, "%", "Share of the points outside of the band", required=True),
        Column("rmse_lbf", Type.FLOAT, "lbf", "Rms distance from the forecast", required=True),
        Column("is_anomaly", Type.BOOL, description="Whether rarity_pct is 99.5 or more", required=True),
        Column(
            "reason",
            Type.TEXT,
            description="What departs most, in words; empty for no anomaly",
            required=True,
        ),
        Column("ModelVersion", Type.TEXT, description="Model of the forecast", required=True),
    ),
    Kind.SERIES,
    "Each card held against the newest forecast made for its time by an earlier day.",
    time_column="Date",
    indexes=(("Date",),),
)

TREND = Table(
    "clean",
    "trend",
    ("NodeID", "IssuedAt", "Quantity", "HorizonDays"),
    (
        NODE,
        Column("IssuedAt", Type.TIME, description="Time of the newest value used"),
        Column(
            "Quantity",
            Type.TEXT,
            description="Column of clean.xspoc or clean.carddiag: Fillage (fillage_pct where the controller gives none), "
            "SPM, inferred_production_bpd (GrossProd where it could not be had)",
        ),
        Column("HorizonDays", Type.INT, "d", "How many days ahead"),
        Column(
            "value",
            Type.FLOAT,
            "",
            "Forecast of the day's median, in the unit of the quantity",
            required=True,
        ),
        Column("lower", Type.FLOAT, "", "Lower edge of the 90 % band", required=True),
        Column("upper", Type.FLOAT, "", "Upper edge of the 90 % band", required=True),
    ),
    Kind.SERIES,
    "Daily forecast of fillage, speed and production of each well.",
    time_column="IssuedAt",
    indexes=(("IssuedAt",),),
)

FORECASTER = Table(
    "analysis",
    "forecaster",
    ("name",),
    (
        Column("name", Type.TEXT, description="forecaster"),
        Column("settings", Type.DOCUMENT, description="Class and parameters in force", required=True),
    ),
    Kind.STATE,
    "Forecaster of clean.trend that models.toml names; without a row, the platform's own.",
)

RUNLIFE = Table(
    "clean",
    "runlife",
    ("NodeID", "Date", "Component"),
    (
        NODE,
        DATE,
        Column("Component", Type.TEXT, description="Tubing, Pump or Rod"),
        Column("age_days", Type.FLOAT, "d", "Since it was last replaced, or since the well's first data"),
        Column(
            "age_known",
            Type.BOOL,
            description="Whether its replacement was seen; else it is at least so old",
            required=True,
        ),
        Column("median_days", Type.FLOAT, "d", "Remaining life that half of them reach", required=True),
        Column("lower_days", Type.FLOAT, "d", "Lower edge of the 90 % interval", required=True),
        Column("upper_days", Type.FLOAT, "d", "Upper edge of the 90 % interval", required=True),
        Column("ModelVersion", Type.TEXT, description="Model that forecast", required=True),
    ),
    Kind.SERIES,
    "Remaining life of each component of each well, day by day.",
    time_column="Date",
    indexes=(("Date",),),
)

ALARM = Table(
    "clean",
    "alarm",
    ("AlarmID",),
    (
        Column("AlarmID", Type.TEXT, description="Well and moment at which it was first raised"),
        Column("NodeID", Type.TEXT, description="Well", required=True),
        Column("RaisedAt", Type.TIME, description="Row that raised it", required=True),
        Column(
            "Class",
            Type.TEXT,
            description="Most probable class of failure on the alarm's worst day so far",
            required=True,
        ),
        Column("Prob", Type.FLOAT, "%", "Probability of a failure within 15 days when raised", required=True),
        Column("Reason", Type.TEXT, description="What moved, in words", required=True),
        Column(
            "State",
            Type.TEXT,
            description="open, acknowledged, dismissed or closed; what a person said stays",
            required=True,
        ),
        Column("ClosedAt", Type.TIME, description="Row that ended it; empty while it stands"),
        Column("threshold", Type.FLOAT, "%", "Threshold in force when raised", required=True),
        Column("ModelVersion", Type.TEXT, description="Model that raised it", required=True),
        Column("decided_by", Type.TEXT, description="Who acknowledged or dismissed it"),
        Column("decided_at", Type.UTC, description="When"),
        Column("note", Type.TEXT, description="What that person wrote"),
    ),
    Kind.STATE,
    "Alarms of failures to come: one an event.",
    indexes=(("NodeID", "RaisedAt"),),
)

ALARM_DECISION = Table(
    "analysis",
    "alarm_decision",
    ("AlarmID", "decided_at"),
    (
        *(
            ALARM.by_name[name]
            for name in (
                "AlarmID",
                "NodeID",
                "RaisedAt",
                "Class",
                "Prob",
                "Reason",
                "threshold",
                "ModelVersion",
            )
        ),
        Column("decision", Type.TEXT, description="acknowledged or dismissed", required=True),
        Column("decided_by", Type.TEXT, description="Who said it", required=True),
        Column("decided_at", Type.UTC, description="When"),
        Column("note", Type.TEXT, description="Why, or what is done about it"),
    ),
    Kind.SYSTEM,
    "What people said of alarms, each beside the alarm as it stood then: the source of the state in clean.alarm.",
    indexes=(("NodeID", "RaisedAt"),),
)

OPINION_REQUEST = Table(
    "analysis",
    "opinion_request",
    ("NodeID", "Date", "asked_by"),
    (
        NODE,
        DATE,
        Column("asked_by", Type.TEXT, description="Who asked for a second opinion"),
        Column("asked_at", Type.TIME, description="When, in the field's local time", required=True),
    ),
    Kind.SYSTEM,
    "Cards for which a person asks for a second opinion; answered by the next label from another person.",
)

CLEAN_TABLES: tuple[Table, ...] = (
    FAILURE_INFO,
    WELL_GROUP,
    DYNALABEL,
    DYNALABEL_HISTORY,
    XSPOC,
    DYNABOUNDS,
    DYNAPRED,
    LABEL_QUEUE,
    LABEL_SUSPECT,
    CARDDIAG,
    RODDIAG,
    XPRED,
    CARDPRED,
    CARDANOMALY,
    TREND,
    FORECASTER,
    RUNLIFE,
    ALARM,
    ALARM_DECISION,
    OPINION_REQUEST,
)
