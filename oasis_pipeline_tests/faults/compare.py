"""Everything an installation holds, as hashes, and what of it is lost or doubled against an undisturbed run.

Here: which tables and columns are compared, and what is left out with the reason. Not here: how the states came about.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pyarrow as pa

from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.objects import ObjectStore

State = dict[str, Counter[str]]

NOT_COMPARED = {
    "dagster": "Dagster's log of runs: a disturbed pass has more runs",
    "django": "users and sessions",
}
"""Schemas."""

LEFT_OUT = {
    ("oasis.asset_state", "changed_tick"): "a tick of a sequence: a rolled back transaction uses one up",
    ("oasis.asset_state", "made_tick"): "the same",
    ("oasis.asset_state", "data_version"): "the same",
    ("oasis.asset_state", "failed_tick"): "the same",
    ("oasis.asset_state", "failed_at"): "time of a failure",
    ("oasis.asset_state", "changed_at"): "time of the change",
    ("oasis.asset_state", "made_at"): "time of the making",
    ("oasis.file", "loaded_at"): "time of the load",
    ("oasis.file", "arrival"): "a number of a sequence; the order is compared by what won",
    ("oasis.file", "claim"): "a name drawn at random",
    (
        "oasis.file",
        "stored",
    ): "how many rows won at the load: of two files of the same rows the one loaded first; the rows are compared",
    ("oasis.file", "superseded"): "the same",
    ("oasis.left_file", "folder"): "another one for each trial",
    ("oasis.left_file", "fingerprint"): "has the number and the time of the file",
    ("oasis.left_file", "left_at"): "time of the pass",
    ("oasis.model", "created_at"): "time of the training",
    ("oasis.model", "version"): "has the time of the training in it",
    ("oasis.model", "path"): "the same",
    ("oasis.model", "sha256"): "the manifest in the artifact has the time of the training",
    ("oasis.model", "manifest"): "the same",
    ("clean.dynapred", "ModelVersion"): "has the time of the training in it; the predictions are compared",
    ("clean.label_queue", "ModelVersion"): "the same",
    ("oasis.schema_version", "applied_at"): "time of the migration",
    ("xspoc.rejected", "RejectedAt"): "time of the load",
    ("iot.rawdata", "received_at"): "time of arrival",
    ("iot.rawdata", "received_row"): "a number of a sequence",
    ("iot/readings", "received_at"): "time of arrival",
    ("iot/profile", "median_lag_s"): "from the time of arrival",
}
"""(table or folder of objects, column): why it is not compared."""

TOLD = ("oasis.alert", "oasis.alert_delivery", "oasis.figure")
"""Tables of what was told and counted, and when: a kill is a reason for an alert."""

MODELS = "models/"
"""Objects that hold the time of their making. Compared is whether every registered one can be read; one that a killed training
left behind is in nobody's way."""

REPORTS = "analysis/field_report/"
"""Pages that say when they were made: only whether they are there is compared."""

LOGS = "compute_logs/"
"""Of Dagster's runs, in the bucket beside everything else."""


@dataclass
class Difference:
    """What one state has less (lost) and more (doubled) than another.

    Attributes
    ----------
    lost, doubled : int
        Rows, files and objects.
    where : dict of str to (int, int)
        Of each table that differs.
    """

    lost: int = 0
    doubled: int = 0
    where: dict[str, tuple[int, int]] = field(default_factory=dict)


def difference(undisturbed: State, found: State) -> Difference:
    """Compare two states.

    Parameters
    ----------
    undisturbed, found : State
        A changed row is one lost and one doubled.

    Returns
    -------
    Difference
    """
    answer = Difference()
    for name in sorted({*undisturbed, *found}):
        lost = (undisturbed.get(name, Counter()) - found.get(name, Counter())).total()
        doubled = (found.get(name, Counter()) - undisturbed.get(name, Counter())).total()
        if lost or doubled:
            answer.where[name] = (lost, doubled)
            answer.lost += lost
            answer.doubled += doubled
    return answer


def state_of(address: Address, store: ObjectStore, home: Path, drop: Path) -> State:
    """Hash everything.

    Parameters
    ----------
    address : Address
        The warehouse.
    store : ObjectStore
    home, drop : Path
        Home folder and drop folder.

    Returns
    -------
    State
        Hashes of rows, objects and files by table or place.
    """
    return {
        **tables_of(address),
        **objects_of(store),
        **files_of(home, drop),
        "models that can't be read": unreadable_models(address, store),
    }


def unreadable_models(address: Address, store: ObjectStore) -> Counter[str]:
    """Registered models whose artifact is not there or has other bytes than the registry says."""
    with closing(psycopg2.connect(address.uri())) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT name, path, sha256 FROM oasis.model")
        found = cursor.fetchall()
    return Counter(
        name for name, path, sha256 in found if not store.exists(path) or store.sha256(path) != sha256
    )


def tables_of(address: Address) -> State:
    """Hash the rows of all tables."""
    with closing(psycopg2.connect(address.uri())) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_'"
            " AND n.nspname <> 'information_schema' AND n.nspname <> ALL(%s) ORDER BY 1",
            (list(NOT_COMPARED),),
        )
        names = [name for (name,) in cursor.fetchall() if name not in TOLD]
        parts = []
        for name in names:
            left_out = "".join(f" - '{column}'" for table, column in LEFT_OUT if table == name)
            parts.append(f"SELECT '{name}', md5((to_jsonb(t){left_out})::text) FROM {name} AS t")
        cursor.execute(" UNION ALL ".join(parts))
        found: State = {name: Counter() for name in names}
        for name, digest in cursor.fetchall():
            found[name][digest] += 1
    return found


def objects_of(store: ObjectStore) -> State:
    """Hash the objects of the store."""
    found: Counter[str] = Counter()
    for path in store.list():
        if path.startswith((LOGS, MODELS)):
            continue
        if path.startswith(REPORTS):
            digest = "there"
        elif path.endswith(".parquet") and not path.startswith("backup/"):
            digest = _rows_of(path, store)
        else:
            digest = store.sha256(path)
        found[f"{path} {digest}"] += 1
    return {"objects": found}


def _rows_of(path: str, store: ObjectStore) -> str:
    """Hash a Parquet object, all that is compared of it."""
    table = store.read_table(path)
    kept = [
        name
        for name in table.column_names
        if not any(path.startswith(f"{place}/") and column == name for place, column in LEFT_OUT)
    ]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.select(kept).schema) as stream:
        stream.write_table(table.select(kept).combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


def files_of(home: Path, drop: Path) -> State:
    """Hash what lies in the drop folder, in ``rejected/``, and the note of the first day."""
    answer: State = {}
    for name, folder in {"drop folder": drop, "rejected files": drop.parent / "rejected"}.items():
        # a pass that was killed in the middle of writing a reason leaves a temporary file, which is nobody's
        files = (
            [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp"]
            if folder.is_dir()
            else []
        )
        answer[name] = Counter(
            f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files
        )
    first_day = home / "first_day"
    answer["first day"] = Counter([first_day.read_text()] if first_day.exists() else [])
    return answer
