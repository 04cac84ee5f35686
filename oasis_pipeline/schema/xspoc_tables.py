"""Tables whose rows come from the SCADA system, under the vendor's column names.

Here: the ``xspoc`` schema. Lower-case columns are the platform's own and are filled by intake.
"""

from __future__ import annotations

from dataclasses import replace

from oasis_pipeline.schema.model import Column, Kind, Table, Type

NODE = Column("NodeID", Type.TEXT, description="Well, in the spelling of WellDetails")
DATE = Column("Date", Type.TIME, description="Field's local time")
STAMP = Column(
    "file_stamp",
    Type.TIME,
    description="When the file that brought this row was written; the newer stamp wins",
    required=True,
)

CARD_BLOBS: dict[str, str] = {
    "SurfaceCardB": "surfcard",
    "DownholeCardB": "downcard",
    "POCDownholeCardB": "pocdowncard",
    "PredictedCardB": "predictedcard",
    "TorquePlotMinEnergyB": "torqueplotminenergy",
    "TorquePlotMinTorqueB": "torqueplotmintorque",
    "TorquePlotCurrentB": "torqueplotcurrent",
    "PermissibleLoadUpB": "permissibleloadup",
    "PermissibleLoadDownB": "permissibleloaddown",
}
"""Vendor's blob column -> prefix of its columns in the warehouse."""

CARDS_WITH_FAULT = ("surfcard", "downcard", "pocdowncard")
"""Cards that later steps use; why one of them can't be used stands in ``<card>_fault``."""


def card_columns(prefix: str) -> tuple[Column, Column]:
    """Position and load columns of a card.

    Parameters
    ----------
    prefix : str
        For example ``surfcard``.

    Returns
    -------
    tuple of Column
        ``<prefix>_position`` (in) and ``<prefix>_load`` (lbf).
    """
    return (
        Column(
            f"{prefix}_position", Type.POINTS, "in", f"Positions of the points of {prefix}, as they arrived"
        ),
        Column(f"{prefix}_load", Type.POINTS, "lbf", f"Loads of the points of {prefix}, as they arrived"),
    )


CARDS_WITH_BOUNDS = ("surfcard", "pocdowncard")
"""Cards whose extremes are kept beside them, so that bounds over months need no points."""


def card_bound_columns(prefix: str) -> tuple[Column, Column, Column, Column]:
    """Columns with the extremes of a card's usable points.

    Parameters
    ----------
    prefix : str
        ``surfcard`` or ``pocdowncard``.

    Returns
    -------
    tuple of Column
        ``<prefix>_pos_min_in``, ``_pos_max_in``, ``_load_min_lbf``, ``_load_max_lbf``; null for an unusable card.
    """
    of = f"of the usable points of {prefix}"
    return (
        Column(f"{prefix}_pos_min_in", Type.FLOAT, "in", f"Least position {of}"),
        Column(f"{prefix}_pos_max_in", Type.FLOAT, "in", f"Greatest position {of}"),
        Column(f"{prefix}_load_min_lbf", Type.FLOAT, "lbf", f"Least load {of}"),
        Column(f"{prefix}_load_max_lbf", Type.FLOAT, "lbf", f"Greatest load {of}"),
    )


def _numbers(unit: str, *names: str, description: str = "") -> tuple[Column, ...]:
    return tuple(Column(name, Type.FLOAT, unit, description) for name in names)


def _texts(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Type.TEXT) for name in names)


CARD = Table(
    "xspoc",
    "card",
    ("NodeID", "Date"),
    (
        NODE,
        DATE,
        Column("CardType", Type.TEXT, description="Vendor's card type letter"),
        Column("SPM", Type.FLOAT, "1/min", "Strokes per minute"),
        Column("StrokeLength", Type.FLOAT, "in", "Stroke length of the polished rod"),
        Column("Runtime", Type.FLOAT, "h/d", "Running time of the day"),
        Column("LoadLimit", Type.FLOAT, "%", "Pump-off set point, load, per cent of the card's range"),
        Column("HiLoadLimit", Type.FLOAT, "lbf", "High load limit"),
        Column("LoLoadLimit", Type.FLOAT, "lbf", "Low load limit"),
        Column("Fillage", Type.FLOAT, "%", "Pump fillage by the controller"),
        Column("FillBasePct", Type.FLOAT, "%", "Load line at which the controller reads fillage"),
        Column("SecondaryPumpFillage", Type.FLOAT, "%", "Second fillage set point"),
        Column("CauseID", Type.INT, description="Vendor's code of why the card was taken"),
        Column("AnalysisDate", Type.TIME, description="When the vendor analysed the card"),
        Column("Area", Type.FLOAT, description="Vendor's control mode code"),
        Column("AreaLimit", Type.FLOAT, "%", "Fillage set point, per cent of the card's range"),
        Column(
            "PositionLimit", Type.FLOAT, "%", "Pump-off set point, position, per cent of the card's range"
        ),
        Column("MalPositionLimit", Type.FLOAT, "%", "Malfunction set point, position"),
        Column("MalLoadLimit", Type.FLOAT, "%", "Malfunction set point, load"),
        *(column for prefix in CARD_BLOBS.values() for column in card_columns(prefix)),
        *(
            Column(
                f"{prefix}_fault",
                Type.TEXT,
                description=f"Why {prefix} can't be used; null for a usable card",
            )
            for prefix in CARDS_WITH_FAULT
        ),
        *(column for prefix in CARDS_WITH_BOUNDS for column in card_bound_columns(prefix)),
        STAMP,
    ),
    Kind.SERIES,
    "Dynamometer cards as the controllers sent them, one row a card.",
    time_column="Date",
    indexes=(("Date",),),
)

_XDIAG_TIME = (Column("AnalysisDate", Type.TIME, description="When the vendor analysed the card"),)

XDIAGRESULTS = Table(
    "xspoc",
    "xdiagresults",
    ("NodeID", "Date"),
    (
        NODE,
        DATE,
        *_texts(
            "PumpCond1", "PumpCond2", "MonthlyElecCost", "MinEnergyElecBO", "MinTorqueElecBO", "CurrentElecBO",
            "DownholeAnalysis", "RodAnalysis", "SurfaceAnalysis", "InputAnalysis", "AvgDHDSLoad", "AvgDHUSLoad",
            "AvgDHDSPOLoad", "AvgDHUSPOLoad", "CardType", "DownholeAnalysisLocale", "RodAnalysisLocale",
            "SurfaceAnalysisLocale", "InputAnalysisLocale", "PumpCondition", "AdditionalUplift",
            "UpliftCalculationMissingRequirements", "AdditionalUpliftGross",
        ),
        *_XDIAG_TIME,
        *(Column(name, Type.BOOL) for name in ("BalanceUnit", "TubingLeak", "BadSG")),
        *_numbers("%", "FillagePct", "PumpEffPct"),
        *_numbers("in", "PumpStroke"),
        *_numbers("%", "GearBoxLoadPct", "MinTorqueGBLoadPct"),
        *_numbers("psi", "TubingPressure", "CasingPressure"),
        *_numbers("bbl/d", "GrossProd"),
        *_numbers("%", "WaterCutPct"),
        *_numbers("hp", "MinHP"),
        *_numbers("in-lbf", "PeakGBTorque", "MinGBTorque"),
        *_numbers("bbl/d", "AddOilProduction"),
        *_numbers("in-lbf", "GearboxTorqueRating"),
        *_numbers("bbl/d", "NetProd"),
        *_numbers("ft", "FluidLevelXDiag"),
        *_numbers("", "ElecCostPerBO", "ElecCostMinTorquePerBO", "ElectCostMinEnergyPerBO"),
        *_numbers("%", "SystemEffPct", "MinEnergyGBLoadPct"),
        *_numbers("in-lbf", "MinEnerGBTorque"),
        *_numbers("", "MinMonthlyElecCost", "ElecCostPerBG", "MinElecCostPerBG"),
        *_numbers("in", "PumpSize"),
        *_numbers("lbf", "PPRL", "MPRL", "BouyRodWeight"),
        *_numbers("hp", "PolRodHP"),
        *_numbers("%", "UnitStructLoad", "MaxRodLoad"),
        *_numbers("", "MinEnergyCLF", "MinTorqueCLF", "CurrentCLF"),
        *_numbers("in-lbf", "MinEnergyMCB", "MinTorqueMCB", "CurrentMCB"),
        *_numbers("lbf", "MinEnergyCBE", "MinTorqueCBE", "CurrentCBE"),
        *_numbers("kWh", "MinEnergyKWH", "MinTorqueKWH", "CurrentKWH"),
        *_numbers(
            "", "MinEnergyMonthlyElec", "MinTorqueMonthlyElec", "CurrentMonthlyElec", "MinEnergyElecBG",
            "MinTorqueElecBG", "CurrentElecBG",
        ),
        *_numbers("in", "TubingMovement"),
        *_numbers("lbf", "FluidLoadonPump"),
        *_numbers("psi", "PumpIntakePressure"),
        *_numbers("lbf", "LoadShift"),
        *_numbers("", "WaterSG"),
        *_numbers("deg API", "OilAPIGravity"),
        *_numbers("", "FluidSG"),
        *_numbers("in", "GrossPumpStroke"),
        *_numbers("bbl/d", "GrossPumpDisplacement"),
        *_numbers("in", "NetStrokeApparent"),
        *_numbers("lbf", "DryRodWeight", "PumpFriction", "POFluidLoad"),
        *_numbers("%", "PumpEfficiency"),
        *_numbers("", "ElecCostMonthly"),
        *_numbers("lbf", "Friction"),
        *_numbers("%", "MotorLoad"),
        *_numbers("bbl/d", "DownholeCapacity24", "DownholeCapacityRuntime", "DownholeCapacityRuntimeFillage"),
        STAMP,
    ),
    Kind.SERIES,
    "Results of the vendor's own diagnosis, one row a card.",
    time_column="Date",
    indexes=(("Date",),),
)  # fmt: skip

XDIAGRODRESULTS = Table(
    "xspoc",
    "xdiagrodresults",
    ("NodeID", "Date", "RodNum"),
    (
        NODE,
        DATE,
        Column("RodNum", Type.INT, description="Taper, 1 = top"),
        Column("Grade", Type.TEXT, description="Rod grade"),
        Column("Length", Type.FLOAT, "ft", "Length of the taper"),
        Column("Diameter", Type.FLOAT, "in", "Rod diameter"),
        Column("Loading", Type.FLOAT, "%", "Load of the taper by modified Goodman"),
        Column("BottomMinStress", Type.FLOAT, "psi", "Least stress at the bottom of the taper"),
        Column("TopMinStress", Type.FLOAT, "psi", "Least stress at the top of the taper"),
        Column("TopMaxStress", Type.FLOAT, "psi", "Greatest stress at the top of the taper"),
        STAMP,
    ),
    Kind.SERIES,
    "Rod loads of the vendor's diagnosis, one row a taper.",
    time_column="Date",
    indexes=(("Date",),),
)

WELLTEST = Table(
    "xspoc",
    "welltest",
    ("NodeID", "TestDate"),
    (
        NODE,
        Column("TestDate", Type.TIME, description="Time of the test"),
        Column("Approved", Type.BOOL, description="Whether a person approved the test"),
        Column("Duration", Type.FLOAT, "h", "Length of the test"),
        Column("OilRate", Type.FLOAT, "bbl/d", "Oil"),
        Column("WaterRate", Type.FLOAT, "bbl/d", "Water"),
        Column("GasRate", Type.FLOAT, "Mscf/d", "Gas"),
        Column("FluidAbovePump", Type.FLOAT, "ft", "Fluid level above the pump"),
        STAMP,
    ),
    Kind.SERIES,
    "Well tests.",
    time_column="TestDate",
    indexes=(("TestDate",),),
)

WELLDETAILS = Table(
    "xspoc",
    "welldetails",
    ("NodeID",),
    (
        NODE,
        Column("POCType", Type.INT, description="Vendor's code of the controller"),
        Column("PumpDepth", Type.FLOAT, "ft", "Measured depth of the pump"),
        Column("TubingPressure", Type.FLOAT, "psi", "Tubing-head pressure"),
        Column("CasingPressure", Type.FLOAT, "psi", "Casing-head pressure"),
        Column("WaterCut", Type.FLOAT, "%", "Water cut"),
        Column("WaterSG", Type.FLOAT, "", "Specific gravity of the water"),
        Column("OilAPIGravity", Type.FLOAT, "deg API", "Gravity of the oil"),
        Column("FluidSpecificGravity", Type.FLOAT, "", "Specific gravity of the produced fluid"),
        Column("SPM", Type.FLOAT, "1/min", "Design strokes per minute"),
        Column("StrokeLength", Type.FLOAT, "in", "Stroke length of the polished rod"),
        Column("TubingOD", Type.FLOAT, "in", "Tubing outer diameter"),
        Column("TubingID", Type.FLOAT, "in", "Tubing inner diameter"),
        Column("TubingAnchorDepth", Type.FLOAT, "ft", "Depth of the tubing anchor"),
        Column("TubingAnchored", Type.BOOL, description="Whether the tubing is anchored"),
        Column("PlungerDiam", Type.FLOAT, "in", "Plunger diameter"),
        Column("Clearance", Type.FLOAT, "in", "Diametral clearance of plunger and barrel"),
        Column("Viscosity", Type.FLOAT, "cP", "Viscosity of the produced fluid"),
        Column("MotorHP", Type.FLOAT, "hp", "Rated motor power"),
        STAMP,
    ),
    Kind.STATE,
    "Newest known completion data of each well.",
)

RODS = Table(
    "xspoc",
    "rods",
    ("NodeID", "RodNum"),
    (
        NODE,
        Column("RodNum", Type.INT, description="Taper, 1 = top"),
        Column("Grade", Type.TEXT, description="Rod grade"),
        Column("Length", Type.FLOAT, "ft", "Length of the taper"),
        Column("Diameter", Type.FLOAT, "in", "Rod diameter"),
        STAMP,
    ),
    Kind.STATE,
    "Newest known rod string of each well, one row a taper.",
)

DEVIATIONS = Table(
    "xspoc",
    "deviations",
    ("NodeID", "MD"),
    (
        NODE,
        Column("MD", Type.FLOAT, "ft", "Measured depth"),
        Column("Inclination", Type.FLOAT, "deg", "Angle from the vertical"),
        Column("Azimuth", Type.FLOAT, "deg", "Direction, clockwise from north"),
        STAMP,
    ),
    Kind.STATE,
    "Newest known directional survey of each well, one row a station.",
)

PUMPINGUNITS = Table(
    "xspoc",
    "pumpingunits",
    ("NodeID",),
    (
        NODE,
        Column("UnitType", Type.TEXT, description="Conventional, Mark II, air balanced, ..."),
        Column("Rotation", Type.TEXT, description="CW or CCW, seen with the well to the right"),
        *(
            Column(name, Type.FLOAT, "in", f"Linkage dimension {name} of API 11E")
            for name in ("A", "C", "I", "K", "P", "R")
        ),
        Column("GearboxRating", Type.FLOAT, "in-lbf", "Rated torque of the gear reducer"),
        Column("StructuralRating", Type.FLOAT, "lbf", "Rated polished-rod load of the structure"),
        Column("CounterbalanceMoment", Type.FLOAT, "in-lbf", "Existing counterbalance moment"),
        Column("CrankOffset", Type.FLOAT, "deg", "Offset angle of the crank counterweight"),
        STAMP,
    ),
    Kind.STATE,
    "Newest known pumping unit of each well.",
)

VALID_FROM = Column(
    "ValidFrom",
    Type.TIME,
    description="This state holds from here on; a well's first state for all time before",
)


def history_of(current: Table) -> Table:
    """Make the table that keeps every state of an equipment table.

    Parameters
    ----------
    current : Table
        Equipment table, keyed by well (and part).

    Returns
    -------
    Table
        ``<name>_history`` with ``ValidFrom`` (the file's stamp) in the key.
    """
    columns = tuple(VALID_FROM if column is STAMP else column for column in current.columns)
    return replace(
        current,
        name=f"{current.name}_history",
        key=(*current.key, "ValidFrom"),
        columns=columns,
        description=f"Every known state of {current.schema}.{current.name}.",
    )


_EQUIPMENT = (WELLDETAILS, RODS, DEVIATIONS, PUMPINGUNITS)

NODE_TABLE = Table(
    "xspoc",
    "node",
    ("node_key",),
    (
        Column("node_key", Type.TEXT, description="NodeID cleaned and in lower case"),
        Column("NodeID", Type.TEXT, description="Spelling shown everywhere", required=True),
        Column(
            "from_welldetails", Type.BOOL, description="Whether WellDetails set the spelling", required=True
        ),
    ),
    Kind.SYSTEM,
    "Spelling of every well.",
)

REJECTED = Table(
    "xspoc",
    "rejected",
    ("SourceFile", "RowNumber"),
    (
        Column("Kind", Type.TEXT, description="Kind of the file", required=True),
        Column("SourceFile", Type.TEXT, description="File, under its name in the archive"),
        Column("RowNumber", Type.INT, description="1 = first row after the header"),
        Column("NodeID", Type.TEXT, description="Well, as far as it could be read"),
        Column("Date", Type.TIME, description="Time, as far as it could be read"),
        Column("Reason", Type.TEXT, description="What is wrong and with which column", required=True),
        Column("Raw", Type.DOCUMENT, description="The row as it came, column by column"),
        Column("RejectedAt", Type.UTC, description="When intake refused the row", required=True),
    ),
    Kind.SYSTEM,
    "Rows of drop files that could not be used, with the reason.",
    indexes=(("RejectedAt",),),
)

XSPOC_TABLES: tuple[Table, ...] = (
    NODE_TABLE,
    CARD,
    XDIAGRESULTS,
    XDIAGRODRESULTS,
    WELLTEST,
    *_EQUIPMENT,
    *(history_of(table) for table in _EQUIPMENT),
    REJECTED,
)
