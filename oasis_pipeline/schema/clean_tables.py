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

CLEAN_TABLES: tuple[Table, ...] = (
    FAILURE_INFO,
    DYNALABEL,
    DYNALABEL_HISTORY,
    XSPOC,
    DYNABOUNDS,
    DYNAPRED,
    XPRED,
)
