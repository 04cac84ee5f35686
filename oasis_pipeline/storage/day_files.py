"""Arrow tables of assets as Parquet files in the object store.

Here: where the file of an asset or of one of its days lies, and reading and writing them. Not here: what the tables hold, and
Dagster's IO manager over them (``assets.resources``).

An asset ``[schema, table]`` without partitions is ``schema/table.parquet``; with day partitions each day that has rows is
``schema/table/YYYY-MM-DD.parquet``, and a day without rows has no file. An asset whose days are kept in groups has
``schema/table/YYYY-MM-DD/GROUP.parquet``, one file for each group that has rows.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.versions import VERSION_KEY, check_version

__all__ = [
    "day_path",
    "read_day",
    "read_days",
    "stamped",
    "table_path",
    "write_days",
]

_SUFFIX = ".parquet"


def table_path(asset: str) -> str:
    """Path of an asset without partitions; ``asset`` is ``schema/table``."""
    return f"{asset}{_SUFFIX}"


def day_path(asset: str, day: date, group: str | None = None) -> str:
    """Path of one day of an asset, or of one group of that day; ``asset`` is ``schema/table``."""
    return f"{asset}/{day.isoformat()}{'' if group is None else f'/{group}'}{_SUFFIX}"


def group_name(text: str | None) -> str:
    """Name of a group as a part of a path: small letters and digits of the text, ``-`` between them."""
    return re.sub("[^a-z0-9]+", "-", (text or "").lower()).strip("-")[:80] or "other"


def stored_days(store: ObjectStore, asset: str) -> list[date]:
    """Days of an asset that have a file, in order."""
    return sorted(_files(store, asset))


def _files(store: ObjectStore, asset: str, day: date | None = None) -> dict[date, list[str]]:
    """Files of the days of an asset, or of one day."""
    found: dict[date, list[str]] = {}
    for path in store.list(f"{asset}/{'' if day is None else day.isoformat()}"):
        name = path.removeprefix(f"{asset}/").removesuffix(_SUFFIX)
        try:
            found.setdefault(date.fromisoformat(name.split("/")[0]), []).append(path)
        except ValueError:
            continue
    return found


def split_by_day(rows: pa.Table, column: str) -> Iterator[tuple[date, pa.Table]]:
    """Split rows by the day of a column.

    Parameters
    ----------
    rows : pyarrow.Table
        Any rows.
    column : str
        Timestamp or date, without nulls.

    Yields
    ------
    tuple of (date, pyarrow.Table)
        In order of the days; rows of a day keep their order.

    Raises
    ------
    StorageError
        If there is no such column, or it holds a null.
    """
    if column not in rows.column_names:
        raise StorageError(
            f"no column {column} to split the rows by day; name it in the metadata 'partition_column'"
        )
    days = rows.column(column).cast(pa.date32(), safe=False)
    if days.null_count:
        raise StorageError(f"{days.null_count} rows without a {column}")
    for day in sorted(pc.unique(days).to_pylist()):
        yield day, rows.filter(pc.equal(days, pa.scalar(day, pa.date32())))


def write_days(
    store: ObjectStore,
    asset: str,
    tables: Iterable[pa.Table],
    days: Sequence[date],
    column: str = "Date",
    group_by: str | None = None,
) -> dict[date, tuple[int, int]]:
    """Make the files of some days hold exactly these rows.

    Parameters
    ----------
    store : ObjectStore
        Where to.
    asset : str
        ``schema/table``.
    tables : iterable of pyarrow.Table
        The rows. They may come in several tables, so that a long range needs not fit into memory, as long as the rows of
        one day come in one of them.
    days : sequence of date
        The days. Those without rows lose their file.
    column : str
        Column whose day decides.
    group_by : str, optional
        Column of texts whose `group_name` decides in which of a day's files a row goes; one file a day by default.

    Returns
    -------
    dict of date to (int, int)
        Rows and bytes written of each day.

    Raises
    ------
    StorageError
        If a row lies on another day, or a day comes twice.
    """
    wanted = set(days)
    written: dict[date, tuple[int, int]] = {}
    for table in tables:
        for day, rows in split_by_day(table, column):
            if day not in wanted:
                raise StorageError(
                    f"{asset}: {rows.num_rows} rows of {day}, which is not one of the days of this run"
                )
            if day in written:
                raise StorageError(f"{asset}: rows of {day} came in two tables: return each day in one table")
            groups: dict[str | None, pa.Table] = {None: rows}
            if group_by is not None:
                groups = dict(split_by_group(rows, group_by))
            sizes = {path: store.write_table(path, part) for path, part in _placed(asset, day, groups)}
            written[day] = (rows.num_rows, sum(sizes.values()))
            for path in set(_files(store, asset, day).get(day, [])) - sizes.keys():
                store.delete(path)
    for day in sorted(wanted - written.keys()):
        for path in _files(store, asset, day).get(day, []):
            store.delete(path)
    return written


def _placed(asset: str, day: date, groups: Mapping[str | None, pa.Table]) -> Iterator[tuple[str, pa.Table]]:
    for group, rows in groups.items():
        yield day_path(asset, day, group), rows


def split_by_group(rows: pa.Table, column: str) -> Iterator[tuple[str, pa.Table]]:
    """Split rows by the `group_name` of a column of texts, in order of the names; rows of a group keep their order."""
    coded = rows.column(column).combine_chunks().dictionary_encode()
    names = [group_name(text) for text in coded.dictionary.to_pylist()]
    codes = pc.fill_null(coded.indices, len(names)).to_numpy()
    groups = np.array([*names, group_name(None)], object)[codes]
    for name in sorted(set(groups.tolist())):
        yield name, rows.filter(pa.array(groups == name))


def stamped(rows: pa.Table, code_version: str) -> pa.Table:
    """Note in the schema of some rows which code version has made them; `read_days` asks for it."""
    return rows.replace_schema_metadata({**(rows.schema.metadata or {}), VERSION_KEY: code_version})


def read_days(
    store: ObjectStore,
    asset: str,
    days: Sequence[date] | None = None,
    columns: Sequence[str] | None = None,
    *,
    version: str | None,
) -> pa.Table:
    """Read the rows of some days.

    Parameters
    ----------
    store : ObjectStore
        Where from.
    asset : str
        ``schema/table``.
    days : sequence of date, optional
        Which; all that have a file by default. A day without a file is a day without rows.
    columns : sequence of str, optional
        Which columns; all by default. Every file must have them.
    version : str or None
        Code version that this release makes the asset with; None takes any.

    Returns
    -------
    pyarrow.Table
        In order of the days. Without any rows it has the columns of another day of this version, and none if there is no such day.

    Raises
    ------
    OtherVersionError
        If a file of these days was made by another code version.
    """
    there = _files(store, asset)
    chosen = sorted(there if days is None else set(days) & there.keys())
    if not chosen and there:
        rows = store.read_table(there[max(there)][0]).slice(0, 0)
        if version is not None and _version(rows) != version:
            return pa.table({})
        return rows if columns is None else rows.select(list(columns))
    tables = []
    for day in chosen:
        tables += [_read(store, path, columns, version) for path in sorted(there[day])]
    return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})


def read_day(
    store: ObjectStore, asset: str, day: date, columns: Sequence[str] | None = None, *, version: str | None
) -> pa.Table | None:
    """Read the rows of one day as `read_days` does; None where it has no file."""
    tables = [_read(store, path, columns, version) for path in sorted(_files(store, asset, day).get(day, ()))]
    return pa.concat_tables(tables, promote_options="default") if tables else None


def _read(store: ObjectStore, path: str, columns: Sequence[str] | None, version: str | None) -> pa.Table:
    if version is None:
        return store.read_table(path, columns)
    try:
        rows = store.read_table(path, columns)
    except StorageError:
        # columns that the file lacks: of another version, most likely, which says more
        check_version(path, _version(store.read_table(path)), version)
        raise
    check_version(path, _version(rows), version)
    return rows


def _version(rows: pa.Table) -> str | None:
    found = (rows.schema.metadata or {}).get(VERSION_KEY.encode())
    return None if found is None else found.decode()
