"""The platform's own book-keeping: schema version, files taken in, what is up to date, and models.

Here: schema ``oasis``. Not here: Dagster's tables, which Dagster makes.
"""

from __future__ import annotations

from oasis_pipeline.schema.model import Column, Kind, Table, Type

SCHEMA_VERSION = Table(
    "oasis",
    "schema_version",
    ("version",),
    (
        Column("version", Type.INT, description="Number of the step"),
        Column("description", Type.TEXT, description="What the step did", required=True),
        Column("applied_at", Type.UTC, description="When", required=True),
    ),
    Kind.SYSTEM,
    "Migration steps applied to this warehouse.",
)

FILE = Table(
    "oasis",
    "file",
    ("source_file",),
    (
        Column(
            "source_file",
            Type.TEXT,
            description="Name in the archive (the file's own, or with part of its hash where that name was taken)",
        ),
        Column("kind", Type.TEXT, description="Kind of the file", required=True),
        Column("stamp", Type.TIME, description="When it was written", required=True),
        Column("sha256", Type.TEXT, description="Hash of its bytes", required=True),
        Column("arrival", Type.INT, description="Order in which files were loaded", required=True),
        Column("rows", Type.INT, description="Rows after the header", required=True),
        Column("stored", Type.INT, description="Rows that stand in the table after the load", required=True),
        Column(
            "superseded", Type.INT, description="Rows that lost to another row of the same key", required=True
        ),
        Column("rejected", Type.INT, description="Rows refused", required=True),
        Column(
            "rejects_kept",
            Type.INT,
            description="Of these, rows that stand in xspoc.rejected; of each reason a thousand are kept and the rest is counted",
        ),
        Column(
            "rejected_reasons",
            Type.JSON,
            description="Rows refused for each reason, without the texts that were wrong; a row may have several",
        ),
        Column("earliest_day", Type.DAY, description="First day that was accepted when it was loaded"),
        Column("first_day", Type.DAY, description="Earliest day of its stored or superseded rows"),
        Column("last_day", Type.DAY, description="Latest day of its stored or superseded rows"),
        Column(
            "ignored_columns", Type.TEXT, description="Columns that the kind does not know, comma-separated"
        ),
        Column("loaded_at", Type.UTC, description="When it was loaded", required=True),
        Column("archived", Type.BOOL, description="Whether the archive holds it", required=True),
        Column(
            "claim",
            Type.TEXT,
            description="Which arrival brought it: part of the name that it had while it was taken in",
        ),
    ),
    Kind.SYSTEM,
    "Every drop file taken in, with its counts.",
    indexes=(("sha256",), ("kind", "first_day"), ("kind", "stamp"), ("arrival",)),
)

LEFT_FILE = Table(
    "oasis",
    "left_file",
    ("folder", "name"),
    (
        Column("folder", Type.TEXT, description="The drop folder"),
        Column("name", Type.TEXT, description="Name of the file"),
        Column("reason", Type.TEXT, description="Why it was left where it is", required=True),
        Column("fingerprint", Type.TEXT, description="Tells whether it is still the same file, untouched"),
        Column("left_at", Type.UTC, description="When", required=True),
    ),
    Kind.SYSTEM,
    "Files of a known kind that the last pass left in the drop folder, with the reason.",
)

ASSET_STATE = Table(
    "oasis",
    "asset_state",
    ("asset", "partition"),
    (
        Column("asset", Type.TEXT, description="schema/table"),
        Column(
            "partition", Type.TEXT, description="Day (YYYY-MM-DD), or empty for an asset without partitions"
        ),
        Column(
            "changed_tick",
            Type.INT,
            description="Data version: tick at which its rows last changed",
            required=True,
        ),
        Column(
            "made_tick",
            Type.INT,
            description="Tick at which its last materialization began; 0 = never",
            required=True,
        ),
        Column("changed_at", Type.UTC, description="Wall clock of changed_tick"),
        Column("made_at", Type.UTC, description="Time at which the last materialization ended"),
        Column("rows", Type.INT, description="Rows it holds"),
        Column("error", Type.TEXT, description="Why the last materialization failed; null if it did not"),
        Column(
            "stray",
            Type.BOOL,
            description="Whether the day stays out of the calendar: few rows, more than a year before all others",
        ),
        Column(
            "code_version",
            Type.TEXT,
            description="Version of the code that made it; another version than the program's is stale",
        ),
        Column(
            "data_version",
            Type.INT,
            description="Data version shown by Dagster: tick of the materialization, or of the arrival, in which its rows last changed",
        ),
        Column("failed_tick", Type.INT, description="Tick at which the failed materialization began"),
        Column("failed_at", Type.UTC, description="Wall clock of the failure"),
        Column("failures", Type.INT, description="Materializations that failed in a row"),
    ),
    Kind.SYSTEM,
    "Ledger of materializations: a partition is stale when an upstream asset changed after its last materialization began.",
)

MODEL = Table(
    "oasis",
    "model",
    ("name", "version"),
    (
        Column("name", Type.TEXT, description="For example dyna_classifier"),
        Column("version", Type.TEXT, description="As in ModelVersion columns"),
        Column("sha256", Type.TEXT, description="Hash of the artifact, checked at load", required=True),
        Column("path", Type.TEXT, description="Artifact in the object store", required=True),
        Column("manifest", Type.JSON, description="What it was trained on and how it did", required=True),
        Column("is_base", Type.BOOL, description="Learned on simulated cards only", required=True),
        Column("in_use", Type.BOOL, description="Predicts new rows", required=True),
        Column("created_at", Type.UTC, description="When it was trained", required=True),
    ),
    Kind.SYSTEM,
    "Model registry.",
)

PREDICTION_REQUEST = Table(
    "oasis",
    "prediction_request",
    ("day",),
    (
        Column("day", Type.DAY, description="Day whose predictions were asked for with a certain model"),
        Column("version", Type.TEXT, description="That model; the day keeps it", required=True),
        Column("asked_at", Type.UTC, description="When", required=True),
    ),
    Kind.SYSTEM,
    "Days of clean.dynapred that keep a model chosen by a person, until another is asked for.",
)

LABEL_SOURCE = Table(
    "oasis",
    "label_source",
    ("source_file",),
    (
        Column("source_file", Type.TEXT, description="As in LabeledBy"),
        Column("person", Type.TEXT, description="Who labelled the cards of this file", required=True),
    ),
    Kind.SYSTEM,
    "People behind files of labels, where they were named at the import.",
)

_SOURCE = Column("source", Type.TEXT, description="Name of the live source, as in source.toml")

SOURCE_WATERMARK = Table(
    "oasis",
    "source_watermark",
    ("source", "kind", "well"),
    (
        _SOURCE,
        Column("kind", Type.TEXT, description="Kind of drop file that its rows become"),
        Column("well", Type.TEXT, description="Well, as the source spells it"),
        Column("newest", Type.TIME, description="Newest row taken in, in the source's time", required=True),
        Column("noted_at", Type.UTC, description="When", required=True),
    ),
    Kind.SYSTEM,
    "How far the live source has been read, for each well and kind.",
)

SOURCE_ROW = Table(
    "oasis",
    "source_row",
    ("source", "kind", "row_key"),
    (
        _SOURCE,
        Column("kind", Type.TEXT, description="Kind of drop file that its rows become"),
        Column("row_key", Type.TEXT, description="Key of the row; of equipment the well"),
        Column("well", Type.TEXT, description="Well, as the source spells it", required=True),
        Column("row_time", Type.TIME, description="Its time, in the source's time; null for equipment"),
        Column("digest", Type.TEXT, description="Hash of what was sent", required=True),
    ),
    Kind.SYSTEM,
    "Rows of the live source taken in lately, by hash: what has not changed since is not taken in again.",
    indexes=(("source", "kind", "well", "row_time"),),
)

SOURCE_TASK = Table(
    "oasis",
    "source_task",
    ("source", "task"),
    (
        _SOURCE,
        Column("task", Type.TEXT, description="sweep, stamp, or a backfill with its range"),
        Column("stamp", Type.TIME, description="Newest stamp given to its files"),
        Column("position", Type.TEXT, description="How far a backfill is; null when it is done"),
        Column("at", Type.UTC, description="When", required=True),
    ),
    Kind.SYSTEM,
    "What the live source has done last, and how far its backfills are.",
)

ALERT = Table(
    "oasis",
    "alert",
    ("alert_id",),
    (
        Column(
            "alert_id", Type.TEXT, description="Part of a hash of kind, subject and when it was first seen"
        ),
        Column(
            "kind", Type.TEXT, description="What it is of: run_failed, stale, well_down ...", required=True
        ),
        Column("subject", Type.TEXT, description="Which asset, job, disk, well or alarm", required=True),
        Column("well", Type.TEXT, description="Well, if it is of one"),
        Column("level", Type.TEXT, description="failure, warning or info", required=True),
        Column("title", Type.TEXT, description="What is the matter, in a few words", required=True),
        Column("body", Type.TEXT, description="More of it, and what to do", required=True),
        Column("facts", Type.DOCUMENT, description="What was found", required=True),
        Column(
            "state",
            Type.TEXT,
            description="pending (it has to last before it counts), open or resolved",
            required=True,
        ),
        Column("first_seen_at", Type.UTC, description="When it was first seen", required=True),
        Column("opened_at", Type.UTC, description="When it began to count"),
        Column("resolved_at", Type.UTC, description="When it was over"),
    ),
    Kind.SYSTEM,
    "Alerts: what is wrong, or newly wrong with a well, and what was.",
    indexes=(("state", "resolved_at"),),
)

ALERT_DELIVERY = Table(
    "oasis",
    "alert_delivery",
    ("alert_id", "receiver", "event"),
    (
        Column("alert_id", Type.TEXT, description="The alert"),
        Column("receiver", Type.TEXT, description="Name in alerts.toml"),
        Column("event", Type.TEXT, description="opened, reminder with its number, or resolved"),
        Column("made_at", Type.UTC, description="When it was owed", required=True),
        Column("due_at", Type.UTC, description="Not to be sent, or tried again, before", required=True),
        Column("sent_at", Type.UTC, description="When the receiver's server took it; null while it is owed"),
        Column("tries", Type.INT, description="How often it was tried", required=True),
        Column("error", Type.TEXT, description="Why it could not be sent the last time"),
    ),
    Kind.SYSTEM,
    "What was told of alerts, or is still to be told, to whom.",
    indexes=(("sent_at", "due_at"),),
)

FIGURE = Table(
    "oasis",
    "figure",
    ("name", "label"),
    (
        Column("name", Type.TEXT, description="Which figure"),
        Column("label", Type.TEXT, description="Of which asset; empty for all of them"),
        Column("value", Type.FLOAT, description="The figure", required=True),
        Column("at", Type.UTC, description="When it was worked out", required=True),
    ),
    Kind.SYSTEM,
    "Figures of the pipeline that take too long to be worked out whenever /metrics is asked; written with the alerts.",
)

SYSTEM_TABLES: tuple[Table, ...] = (
    SCHEMA_VERSION,
    FILE,
    LEFT_FILE,
    ASSET_STATE,
    MODEL,
    PREDICTION_REQUEST,
    LABEL_SOURCE,
    SOURCE_WATERMARK,
    SOURCE_ROW,
    SOURCE_TASK,
    ALERT,
    ALERT_DELIVERY,
    FIGURE,
)
