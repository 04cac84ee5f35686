"""Tables of sensor modules and their readings.

Here: schema ``iot``. Readings come by the data service and by ``Readings`` files; what is made of them by day lies in the object
store, not in tables.
"""

from __future__ import annotations

from oasis_pipeline.schema.model import Column, Kind, Table, Type

UNKNOWN_MODULE_TYPE = "unknown"
"""Type of a module that a file of readings named before anybody registered it."""

MODULE = Table(
    "iot",
    "module",
    ("module_num",),
    (
        Column(
            "module_num", Type.TEXT, description="The module's number, for example four hex bytes with dots"
        ),
        Column("module_type", Type.TEXT, description="Kind of module; `unknown` until somebody registers it"),
        Column("asset", Type.TEXT, description="What it is mounted on"),
        Column("sensor_type", Type.TEXT, description="What it measures with"),
    ),
    Kind.STATE,
    "Sensor modules.",
)

RAWDATA = Table(
    "iot",
    "rawdata",
    ("module_num", "timestamp"),
    (
        Column("module_num", Type.TEXT, description="Module that measured; it stands in `iot.module`"),
        Column("timestamp", Type.UTC, description="When, by the module's clock"),
        Column("measures", Type.JSON, description="Object of measure name to number", required=True),
        Column("temperature", Type.FLOAT, description="Temperature at the module, in the module's unit"),
        Column("voltage", Type.FLOAT, "V", "Supply voltage of the module"),
        Column("description", Type.TEXT, description="Free text of the sender"),
        Column(
            "file_stamp",
            Type.TIME,
            description="When the file that brought this reading was written; null if the data service took it in",
        ),
        Column(
            "received_at",
            Type.UTC,
            description="When it was taken in, by the platform's clock",
            required=True,
        ),
        Column(
            "received_row",
            Type.INT,
            description="Its place among the readings taken in at that time: the order of arrival",
            required=True,
        ),
    ),
    Kind.SERIES,
    "Readings of sensor modules. One partition of PostgreSQL a UTC day, made when its first reading comes.",
    time_column="timestamp",
    # The key is the only index: one on the time took 20 % of the work of storing a reading, one on the measures 30 %. A question about a time
    # looks at its days only, and which module has a measure is known better than a measure's readings are rare.
    partition_by_day=True,
)

IOT_TABLES: tuple[Table, ...] = (MODULE, RAWDATA)
