"""A copy of an installation: database, object store and configuration, each checked, and the way back.

Here: what belongs into a copy, and that it is whole. Not here: what is printed (``commands``).

The database is dumped by the ``pg_dump`` of the wheel from one snapshot; rows are counted and hashed in that same snapshot, so the copy can be made while
the platform runs. The store is copied after the dump: what the database of the snapshot names is there by then, because an object is written before
the row that names it. What was made anew in between may be newer in the store than in the dump; the copy names those partitions, and a
restore marks them stale.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from oasis_pipeline.home import make_home
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.binaries import binaries
from oasis_pipeline.storage.copies import Copy, CopyError, open_copy
from oasis_pipeline.storage.errors import StorageError, one_line
from oasis_pipeline.storage.installation import using_warehouse
from oasis_pipeline.storage.migrate import is_prepared
from oasis_pipeline.storage.objects import ObjectStore, open_store
from oasis_pipeline.storage.server import address_of

MANIFEST, DUMP = "manifest.json", "database.dump"
FORM = 1
"""Version of the copy's own form."""

LEFT_OUT = ("compute_logs/", "doctor/")
"""Objects that are no data."""

_NOT_COPIED = ("running.json", "report.html")

Advance = Callable[[str, int, int], None]


class BackupError(CopyError):
    """A copy can't be made, or isn't what it should be; the message says what to do."""


def back_up(
    settings: Settings, to: Path | str, advance: Advance = lambda what, done, total: None
) -> dict[str, Any]:
    """Copy an installation into a new folder or a bucket; it may be at work meanwhile.

    Parameters
    ----------
    settings : Settings
    to : Path or str
        A folder, which is made, closed to others, and may be there already if it is empty; or ``s3://bucket/prefix`` without objects.
    advance : callable
        Told what is being done, steps done and steps in all.

    Returns
    -------
    dict
        The manifest: ``tables`` with rows and hash, ``objects`` and ``files`` with sizes and SHA-256.

    Raises
    ------
    CopyError, StorageError
        Then there is no manifest, and it is no copy.
    """
    from oasis_pipeline import __version__

    copy = open_copy(to, settings)
    copy.begin()
    manifest: dict[str, Any] = {
        "form": FORM,
        "release": __version__,
        "made_at": datetime.now(UTC).isoformat(),
    }
    with using_warehouse(settings) as warehouse:
        advance("dumping the database", 0, 1)
        with copy.writing(DUMP) as path:
            manifest |= _dump(warehouse.address, path)
        manifest["files"] = {}
        for path in _files_of(settings.home):
            with copy.writing(f"home/{path.name}") as target:
                shutil.copyfile(path, target)
            manifest["files"][path.name] = copy.said(f"home/{path.name}")
        store = open_store(settings)
        names = [name for name in store.list() if not name.startswith(LEFT_OUT)]
        manifest["objects"] = {}
        for number, name in enumerate(names):
            advance("copying the store", number, len(names))
            if (copied := _copy_object(store, name, copy)) is not None:
                manifest["objects"][name] = copied
        advance("copying the store", len(names), len(names))
        rows = warehouse.query(
            "SELECT asset, partition FROM oasis.asset_state WHERE greatest(changed_tick, made_tick) > $1::bigint",
            (manifest["tick"],),
        )
        manifest["changed_meanwhile"] = [[row["asset"], row["partition"]] for row in rows.to_pylist()]
    manifest["dump"] = copy.said(DUMP)
    with copy.writing(MANIFEST) as path:
        path.write_bytes(json.dumps(manifest, indent=1).encode())
    return manifest


def restore(
    settings: Settings, source: Path | str, advance: Advance = lambda what, done, total: None
) -> tuple[Settings, dict[str, Any]]:
    """Make an installation of a copy, and compare it row by row.

    Parameters
    ----------
    settings : Settings
        Its home has to be new or empty, and its database without the platform's tables.
    source : Path or str
        What `back_up` has made: a folder, or ``s3://bucket/prefix``.
    advance : callable
        Told what is being done, steps done and steps in all.

    Returns
    -------
    settings : Settings
        Read anew, with the configuration that came with the copy.
    manifest : dict

    Raises
    ------
    CopyError, StorageError
        Before anything is made if the copy is damaged or the home is in use.
    """
    home = settings.home
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise BackupError(
            f"{home} is not empty: use --home with a new folder; a copy never overwrites an installation"
        )
    copy = open_copy(source, settings)
    manifest = read_manifest(copy)
    _check(copy, manifest, advance)
    make_home(home)
    for name in manifest["files"]:
        with copy.reading(f"home/{name}") as path:
            _copy_file(path, home / name)
    settings = load_settings(home)
    try:
        with copy.reading(DUMP) as dump:
            _restore_database(settings, dump, manifest, advance)
        store = open_store(settings)
        for number, (name, said) in enumerate(manifest["objects"].items()):
            advance("filling the store", number, len(manifest["objects"]))
            there = store.size(name)
            if there is None:
                with copy.reading(f"store/{name}") as path:
                    store.put_file(name, path)
            if store.size(name) != said["bytes"] or (
                there is not None and store.sha256(name) != said["sha256"]
            ):
                raise BackupError(
                    f"{store.url} holds another {name}: name another OASIS_S3_PREFIX, or empty it"
                )
        with using_warehouse(settings) as warehouse, warehouse.transaction() as tx:
            # opened, so its tables are those of this release by now
            for asset, partition in manifest["changed_meanwhile"]:
                tx.execute(
                    "UPDATE oasis.asset_state SET made_tick = 0 WHERE asset = $1 AND partition = $2",
                    (asset, partition),
                )
    except BaseException as error:
        raise BackupError(
            f"{error}. {home} is not whole: remove it, and the database if it is one of your own, and try again"
        ) from error
    return settings, manifest


def read_manifest(copy: Copy) -> dict[str, Any]:
    """Read what a copy says of itself.

    Raises
    ------
    BackupError
        If it is none, or of a newer form.
    """
    try:
        manifest = json.loads(copy.read(MANIFEST))
        form = manifest["form"]
    except (OSError, ValueError, KeyError, TypeError):
        raise BackupError(
            f"{copy.where} is not a copy: it has no {MANIFEST}, which is written last. Give what `oasis backup` has made"
        ) from None
    if form != FORM:
        raise BackupError(
            f"{copy.where} is a copy of form {form}, which this release does not read: use release {manifest.get('release')} or newer"
        )
    return dict(manifest)


def _check(copy: Copy, manifest: dict[str, Any], advance: Advance) -> None:
    wanted = {DUMP: manifest["dump"]}
    wanted |= {f"home/{name}": said for name, said in manifest["files"].items()}
    wanted |= {f"store/{name}": said for name, said in manifest["objects"].items()}
    for number, (name, said) in enumerate(wanted.items()):
        advance("checking the copy", number, len(wanted))
        try:
            same = copy.said(name) == said
        except FileNotFoundError:
            raise BackupError(
                f"the copy is not whole: {copy.name_of(name)} is gone. Use another copy"
            ) from None
        if not same:
            raise BackupError(
                f"the copy is damaged: {copy.name_of(name)} is not what was written. Use another copy"
            )


# the database


def _dump(address: Address, to: Path) -> dict[str, Any]:
    """Dump, and count and hash the rows, of one snapshot."""
    with closing(_connect(address)) as connection, connection.cursor() as cursor:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursor.execute("SELECT pg_export_snapshot()")
        (snapshot,) = cursor.fetchone() or ("",)
        cursor.execute("SELECT coalesce(max(greatest(changed_tick, made_tick)), 0) FROM oasis.asset_state")
        (tick,) = cursor.fetchone() or (0,)
        _run(
            address,
            "pg_dump",
            "--format=custom",
            f"--snapshot={snapshot}",
            "--no-owner",
            "--no-privileges",
            f"--file={to}",
        )
        tables = hash_tables(cursor)
        cursor.execute("SHOW server_version")
        (version,) = cursor.fetchone() or ("",)
        connection.rollback()
    return {"tick": int(tick), "tables": tables, "server_version": version}


def hash_tables(cursor: Any) -> dict[str, list[Any]]:
    """Count and hash the rows of every table, whatever their order.

    Parameters
    ----------
    cursor : psycopg2 cursor

    Returns
    -------
    dict of str to [int, str]
        Table -> rows, and the sum of the hashes of its rows as texts.
    """
    cursor.execute(
        "SET LOCAL datestyle = 'ISO, MDY'; SET LOCAL timezone = 'UTC'; SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'"
    )
    cursor.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
        " AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2"
    )
    found: dict[str, list[Any]] = {}
    for schema, name in cursor.fetchall():
        query = sql.SQL(
            "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM {} AS t"
        )
        cursor.execute(query.format(sql.Identifier(schema, name)))
        found[f"{schema}.{name}"] = list(cursor.fetchone())
    return found


def _restore_database(settings: Settings, dump: Path, manifest: dict[str, Any], advance: Advance) -> None:
    advance("restoring the database", 0, 1)
    with ExitStack() as stack:
        if settings.embedded:
            stack.enter_context(embedded.lease(settings.postgres_data, listen=settings.embedded_listen))
        address = address_of(settings)
        if is_prepared(address):
            raise BackupError(
                f"{address.public()} holds an installation already: name another OASIS_DB, or remove it"
            )
        _make_database(address)
        _run(
            address,
            "pg_restore",
            "--exit-on-error",
            "--single-transaction",
            "--no-owner",
            "--no-privileges",
            str(dump),
        )
        advance("comparing rows", 0, 1)
        with closing(_connect(address)) as connection, connection.cursor() as cursor:
            tables = hash_tables(cursor)
    names = {*tables, *manifest["tables"]}
    if wrong := sorted(name for name in names if tables.get(name) != manifest["tables"].get(name)):
        raise BackupError(f"the database is not what was copied: {', '.join(wrong[:5])} differ")


def _make_database(address: Address) -> None:
    with closing(_connect(replace(address, db="postgres"))) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (address.db,))
        if cursor.fetchone() is None:
            cursor.execute(
                sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(
                    sql.Identifier(address.db)
                )
            )


def _connect(address: Address) -> Any:
    try:
        return psycopg2.connect(address.uri())
    except psycopg2.OperationalError as error:
        raise StorageError(
            f"PostgreSQL at {address.public()} does not answer: {one_line(error, secret=address.password)}"
        ) from None


def _run(address: Address, program: str, *arguments: str) -> None:
    """Run a program of the wheel on a database; the password goes by the environment, where no list of processes shows it."""
    environment = {**os.environ, "LC_ALL": "C"}
    if address.password is not None:
        environment["PGPASSWORD"] = address.password
    command = [str(binaries() / program), f"--dbname={address.public()}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        said = one_line(done.stderr, secret=address.password)
        newer = (
            " (the server is newer than the platform's own programs: use its own pg_dump and pg_restore)"
            if "version mismatch" in said
            else ""
        )
        raise BackupError(f"{program} failed: {said}{newer}")


# files


def _files_of(home: Path) -> list[Path]:
    """Configuration and notes: the regular files that lie in the home folder itself."""
    left_out = (".lock", ".users", ".leased")
    return sorted(
        path
        for path in home.iterdir()
        if path.is_file()
        and not path.is_symlink()
        and not path.name.endswith(left_out)
        and path.name not in _NOT_COPIED
    )


def _copy_file(source: Path, to: Path) -> None:
    shutil.copyfile(source, to)
    # secrets among them, and the service refuses a key that others may read
    to.chmod(0o600)
    with to.open("rb") as file:
        os.fsync(file.fileno())


def _copy_object(store: ObjectStore, name: str, copy: Copy) -> dict[str, Any] | None:
    """Copy an object; None if it has been removed meanwhile."""
    try:
        with copy.writing(f"store/{name}") as target, target.open("xb") as file:
            sha256 = store.copy_to(name, file.write)
    except StorageError:
        if store.exists(name):
            raise
        return None
    said = copy.said(f"store/{name}")
    if said["sha256"] != sha256:
        raise BackupError(f"{copy.name_of(f'store/{name}')} is not what was written: look at what holds it")
    return said
