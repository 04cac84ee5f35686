"""The archive of drop files: into it after the load, and out of it when a day is made again.

Here: archiving with proof, and `reload_days`. Not here: the rest of a file's life (``intake``).
"""

from __future__ import annotations

import tempfile
from datetime import date, datetime
from pathlib import Path
from shutil import copyfileobj

import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.intake.files import DropName, archive_path, parse_name, read_chunks
from oasis_pipeline.intake.nodes import Spellings
from oasis_pipeline.intake.rules import check, last_of_each
from oasis_pipeline.schema import DROP_KINDS, DropKind, Kind, Table
from oasis_pipeline.schema.system_tables import FILE
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Transaction, Warehouse
from oasis_pipeline.storage.upsert import Upserted


class ArchiveError(RuntimeError):
    """The archive does not hold what it has to; the message says which file."""


def archive_file(store: ObjectStore, kind: DropKind, source_file: str, local: Path, sha256: str) -> None:
    """Copy a file to the archive and read it back.

    Parameters
    ----------
    store : ObjectStore
    kind : DropKind
    source_file : str
        Name in the archive.
    local : Path
        The drop file.
    sha256 : str
        Hash of the bytes that were loaded.

    Raises
    ------
    ArchiveError
        If what can be read back is not what was loaded; the wrong object is removed.
    StorageError
        If the store refuses.
    """
    path = archive_path(kind, source_file)
    if store.exists(path) and store.sha256(path) == sha256:
        return
    store.put_file(path, local)
    if store.sha256(path) != sha256:
        store.delete(path)
        raise ArchiveError(
            f"{local.name} changed between load and archive; it is loaded again in the next pass"
        )


def reload_days(
    warehouse: Warehouse, store: ObjectStore, table: Table, first_day: date, last_day: date
) -> Upserted:
    """Make days of a table again from the archive.

    Parameters
    ----------
    warehouse : Warehouse
    store : ObjectStore
    table : Table
        One that is fed by drop files and kept by day.
    first_day, last_day : date
        Range, both included.

    Returns
    -------
    Upserted
        Rows that are the same as stored are untouched; rows that no file brings go away.

    Raises
    ------
    ArchiveError
        If a file of these days is not in the archive (yet), or not as it was loaded. Nothing is changed then.
    ValueError
        If the table is not fed by drop files by day.
    """
    kind = next((each for each in DROP_KINDS.values() if each.table.asset == table.asset), None)
    if kind is None or table.kind is not Kind.SERIES:
        raise ValueError(f"{table.asset} is not made by day from drop files")
    with warehouse.transaction() as tx:
        tx.lock("intake")
        files = tx.query(
            f"SELECT source_file, stamp, sha256, archived FROM {FILE.full_name} WHERE kind = $1 "
            "AND first_day <= $3::date AND last_day >= $2::date ORDER BY stamp, arrival",
            (kind.name, first_day, last_day),
        ).to_pylist()
        waiting = [row["source_file"] for row in files if not row["archived"]]
        if waiting:
            raise ArchiveError(f"not archived yet: {', '.join(waiting)}; run the intake first")
        # Ascending by stamp, then arrival: of each key the last row is the one in force.
        rows: pa.Table | None = None
        for row in files:
            found = _read_days(tx, store, kind, row, first_day, last_day)
            rows = last_of_each(found if rows is None else pa.concat_tables([rows, found]), table.key)
        empty = pa.table({column.name: pa.array([], column.type.arrow) for column in table.columns})
        return tx.replace_days(table, empty if rows is None else rows, first_day, last_day)


def _read_days(
    tx: Transaction,
    store: ObjectStore,
    kind: DropKind,
    row: dict[str, object],
    first_day: date,
    last_day: date,
) -> pa.Table:
    """Rows of some days of an archived file, spelled and stamped."""
    source_file, stamp = str(row["source_file"]), row["stamp"]
    drop = archived_name(source_file, kind)
    path = archive_path(kind, source_file)
    spellings, time = Spellings(tx), kind.table.time_column
    found: list[pa.Table] = []
    with tempfile.NamedTemporaryFile(suffix=drop.suffix) as local:
        try:
            if store.sha256(path) != row["sha256"]:
                raise ArchiveError(
                    f"{store.where(path)} is not the file that was loaded; its days are left as they are"
                )
            with store.open_read(path) as stream:
                copyfileobj(stream, local)
        except StorageError as error:
            raise ArchiveError(f"{error}; its days are left as they are") from error
        local.flush()
        for chunk in read_chunks(Path(local.name), drop.suffix, kind):
            rows = check(chunk, drop, first_day).rows
            days = pc.cast(rows[time], pa.date32(), safe=False)
            rows = rows.filter(pc.less_equal(days, pa.scalar(last_day)))
            at = rows.schema.get_field_index("NodeID")
            rows = rows.set_column(at, "NodeID", spellings.show(rows["NodeID"]))
            stamps = pa.repeat(pa.scalar(stamp, pa.timestamp("ms")), rows.num_rows)
            found.append(last_of_each(rows.append_column("file_stamp", stamps), kind.table.key))
    return pa.concat_tables(found)


def archive_name(name: str, suffix: str, sha256: str) -> str:
    """Name in the archive of a file whose own name is taken: part of its hash goes before the ending."""
    return f"{name.removesuffix(suffix)}.{sha256[:12]}{suffix}"


def archived_name(source_file: str, kind: DropKind) -> DropName:
    """Read the name of an archived file, with or without a part of its hash.

    Parameters
    ----------
    source_file : str
    kind : DropKind

    Returns
    -------
    DropName
    """
    suffix = max((each for each in kind.suffixes if source_file.endswith(each)), key=len, default="")
    parts = source_file.removesuffix(suffix).split(".")
    drop = parse_name(".".join(parts[:4]) + suffix)
    if drop is None:
        raise ArchiveError(f"{source_file} is no name of a drop file")
    return drop


def first_day_seen(warehouse: Warehouse) -> date | None:
    """First day of any row that is kept by day; None before the first file."""
    kinds = [kind.name for kind in DROP_KINDS.values() if kind.table.kind is Kind.SERIES]
    found = warehouse.query(
        f"SELECT min(first_day) AS day FROM {FILE.full_name} WHERE kind = ANY($1::text[])", (kinds,)
    )
    day: date | datetime | None = found["day"][0].as_py()
    return day
