"""``oasis doctor``: the state of an installation, and what to do about each finding.

Here: the looks. They change nothing but a probe that they write to the object store and remove. Not here: what is made, missing and failed in
each asset (``status``).
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oasis_pipeline.commands.common import explain, home_option, json_option, print_json, settings_of
from oasis_pipeline.schema import quote
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.installation import NoInstallationError, existing_warehouse

if TYPE_CHECKING:
    from oasis_pipeline.intake.sources.database import DatabaseSource
    from oasis_pipeline.intake.sources.remote import RemoteDrop
    from oasis_pipeline.storage.postgres import Warehouse

OK, WARN, FAIL = "ok", "warning", "failure"

LITTLE_BYTES, SOME_BYTES = 1 << 30, 5 << 30
"""Free space at which work will soon end, and at which somebody should look."""

HEARTBEAT_S = 300.0
"""A daemon of Dagster beats every 30 s; one that was silent for so long is stuck or gone."""

SILENT = timedelta(days=2)
CLOCK_S = 60.0
_MANY_DEAD = 200_000


@dataclass(frozen=True)
class Finding:
    """What one look found.

    Attributes
    ----------
    area : str
    state : str
        ``ok``, ``warning`` or ``failure``.
    says : str
    todo : str
        What to do about it; empty if nothing.
    """

    area: str
    state: str
    says: str
    todo: str = ""


@click.command()
@home_option
@json_option
def doctor(home: Path | None, as_json: bool) -> None:
    """Look at the installation: database, store, folders, schedules, sensors, clocks, source and secrets.

    Ends with 1 if something is broken; a warning alone ends with 0.
    """
    settings = settings_of(home)
    if settings.home.exists() and not settings.home.is_dir():
        raise NoInstallationError(
            f"{settings.home} is not a folder; use --home with the folder of an installation"
        )
    found = examine(settings)
    failures = sum(each.state == FAIL for each in found)
    warnings = sum(each.state == WARN for each in found)
    if as_json:
        findings = [asdict(each) for each in found]
        print_json({"home": settings.home, "failures": failures, "warnings": warnings, "findings": findings})
    else:
        for each in found:
            click.echo(f"{each.state:8} {each.area}: {each.says}")
            if each.todo:
                click.echo(f"{'':8}   {each.todo}")
        click.echo(f"{failures} failures, {warnings} warnings")
    if failures:
        raise click.exceptions.Exit(1)


def examine(settings: Settings) -> list[Finding]:
    """Look at everything.

    Parameters
    ----------
    settings : Settings
        The installation; none is made.

    Returns
    -------
    list of Finding
        A look that fails is a finding of its own, and the others go on.
    """
    found: list[Finding] = []
    for area, look in (
        ("versions", look_at_versions),
        ("secrets", look_at_secrets),
        ("disk", look_at_disks),
        ("drop folder", look_at_drop),
        ("settings files", look_at_home_files),
    ):
        found += _try(area, partial(look, settings))
    found += _try("processes", partial(look_at_processes, settings))

    def with_warehouse() -> Iterator[Finding]:
        with existing_warehouse(settings) as warehouse:
            for area, look in (
                ("database", look_at_database),
                ("clock", look_at_clock),
                ("data", look_at_data),
                ("automation", look_at_automation),
                ("source", look_at_source),
                ("alerts", look_at_alerts),
            ):
                yield from _try(area, partial(look, settings, warehouse))

    found += _try("database", with_warehouse)
    # a store is made by the first thing that is put there
    if settings.s3_bucket is not None or settings.store.is_dir():
        found += _try("store", partial(look_at_store, settings))
    return found


def _try(area: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(look())
    except Exception as error:  # the other looks go on
        found.append(Finding(area, FAIL, explain(error)))
    return found


def look_at_versions(settings: Settings) -> Iterator[Finding]:
    """Python, the platform and what it stands on."""
    from oasis_pipeline import __version__

    parts = ", ".join(
        f"{name} {version(name)}" for name in ("dagster", "pyarrow", "django", "adbc-driver-postgresql")
    )
    yield Finding("versions", OK, f"oasis {__version__}, Python {platform.python_version()}, {parts}")


def look_at_secrets(settings: Settings) -> Iterator[Finding]:
    """Files with passwords and keys, and the home folder, closed to others."""
    if not settings.home.is_dir():
        return
    opened = 0
    for name in (".env", "secret_key", "reader_password", "source.toml", "alerts.toml", "sftp_key"):
        path = settings.home / name
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            continue
        loose = 0o022 if name == "source.toml" else 0o077
        if mode & loose:
            opened += 1
            what = "written" if name == "source.toml" else "read"
            yield Finding(
                "secrets",
                FAIL,
                f"{path} can be {what} by others (mode {mode:o})",
                f"chmod {'go-w' if what == 'written' else '600'} {path}",
            )
    mode = stat.S_IMODE(settings.home.stat().st_mode)
    if mode & stat.S_IRWXO:
        opened += 1
        yield Finding(
            "secrets",
            WARN,
            f"{settings.home} is open to all users (mode {mode:o})",
            f"chmod o-rwx {settings.home}",
        )
    if not opened:
        yield Finding("secrets", OK, "home folder, passwords and keys are closed to others")


def look_at_disks(settings: Settings) -> Iterator[Finding]:
    """Free space of every disk that is written to."""
    from oasis_pipeline.automation.alerts.signals import written_disks

    for place in written_disks(settings):
        free, total = shutil.disk_usage(place).free, shutil.disk_usage(place).total
        says = f"{free / 2**30:.1f} of {total / 2**30:.0f} GiB free at {place}"
        if free < LITTLE_BYTES:
            yield Finding(
                "disk",
                FAIL,
                says,
                "free some space, or move the home folder: intake and database stop when it is full",
            )
        elif free < SOME_BYTES:
            yield Finding("disk", WARN, says, "free some space before it is full")
        else:
            yield Finding("disk", OK, says)


def look_at_drop(settings: Settings) -> Iterator[Finding]:
    """The drop folder can be read, and files in it renamed and removed."""
    folder = settings.drop
    if not folder.is_dir():
        if settings.data_path is not None:
            yield Finding(
                "drop folder", FAIL, f"there is no folder {folder}", "make it, or correct OASIS_DATA_PATH"
            )
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            "drop folder",
            FAIL,
            f"{folder} can't be read and written to",
            "give it to the user that runs the platform (chown), for files are renamed and removed",
        )
        return
    yield Finding("drop folder", OK, f"{folder} can be read and written to")


def look_at_home_files(settings: Settings) -> Iterator[Finding]:
    """Prices, models and classes of failures that the home folder sets can be read; `oasis up` goes on without them."""
    from oasis_pipeline.decisions import EconomicsError
    from oasis_pipeline.intake.failures import RULE_FILE, RuleFileError, read_rules
    from oasis_pipeline.learning.site_models import MODELS_FILE, SiteModelError, read_site_models
    from oasis_pipeline.operations.home_files import ECONOMICS_FILE, read_economics

    for name, state, read, refusal in (
        (ECONOMICS_FILE, WARN, read_economics, EconomicsError),
        (MODELS_FILE, WARN, read_site_models, SiteModelError),
        (RULE_FILE, FAIL, read_rules, RuleFileError),
    ):
        if not (settings.home / name).exists():
            continue
        try:
            read(settings.home)
        except refusal as error:
            todo = "correct it" if state == FAIL else "correct it; until then what was in force stays"
            yield Finding("settings files", state, str(error), todo)
        else:
            yield Finding("settings files", OK, f"{name} can be used")


def look_at_processes(settings: Settings) -> Iterator[Finding]:
    """What `oasis up` started for this home."""
    from oasis_pipeline.commands.supervision import running_lines, supervisor_of
    from oasis_pipeline.home import read_record

    if not settings.home.is_dir():
        return
    lines = running_lines(settings.home)
    if not lines:
        yield Finding(
            "processes",
            WARN,
            "oasis up does not run: no schedule or sensor works",
            "start it (oasis up), unless containers or cron do its work",
        )
    elif supervisor_of(settings.home) is None:
        yield Finding("processes", FAIL, lines[0], "say oasis down, then oasis up")
    else:
        dead = [one for one in read_record(settings.home) if not one.alive()]
        says = "; ".join(line.strip() for line in lines)
        yield Finding(
            "processes", FAIL if dead else OK, says, f"look into {settings.home / 'logs'}" if dead else ""
        )


def look_at_database(settings: Settings, warehouse: Warehouse) -> Iterator[Finding]:
    """Version, settings that guard the data, connections, bloat and size."""
    names = (
        "server_version",
        "fsync",
        "full_page_writes",
        "data_checksums",
        "max_connections",
        "server_encoding",
    )
    (row,) = warehouse.query(
        "SELECT "
        + ", ".join(f"current_setting('{name}') AS {name}" for name in names)
        + ", pg_database_size(current_database()) AS bytes, current_user::text AS role, rolsuper AS super, oid = 10 AS first, (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS clients"
        " FROM pg_roles WHERE rolname = current_user"
    ).to_pylist()
    kind = "embedded" if settings.embedded else "own server"
    yield Finding(
        "database",
        OK,
        f"PostgreSQL {row['server_version']} ({kind}), {row['bytes'] / 2**20:,.0f} MiB, {row['clients']} of {row['max_connections']} connections",
    )
    if row["super"] and not settings.embedded:
        yield Finding(
            "database",
            WARN,
            f"the platform's role {row['role']} is a superuser, and may read and change everything on this server",
            # the role that a server is made with stays one
            "oasis backup; then oasis restore with an OASIS_USER that is none and an empty OASIS_DB that it owns; then oasis roles"
            if row["first"]
            else f"ALTER ROLE {quote(row['role'])} NOSUPERUSER, then oasis roles, which gives each part the rights that it needs",
        )
    for name in ("fsync", "full_page_writes"):
        if row[name] != "on":
            yield Finding(
                "database",
                FAIL,
                f"{name} is off: a power cut may destroy the database",
                f"set {name} = on and restart PostgreSQL",
            )
    if row["clients"] > 0.8 * int(row["max_connections"]):
        yield Finding(
            "database",
            WARN,
            "nearly all connections are taken",
            "raise max_connections, or end what holds them (pg_stat_activity)",
        )
    dead = warehouse.query(
        "SELECT schemaname || '.' || relname AS name, n_dead_tup AS dead FROM pg_stat_user_tables"
        " WHERE n_dead_tup > $1::bigint AND n_dead_tup > n_live_tup ORDER BY 2 DESC LIMIT 5",
        (_MANY_DEAD,),
    ).to_pylist()
    for each in dead:
        yield Finding(
            "database",
            WARN,
            f"{each['name']} holds {each['dead']:,} dead rows, more than live ones",
            f"VACUUM {each['name']}; see why autovacuum does not",
        )
    failed = warehouse.query(
        "SELECT asset, min(error) AS error FROM oasis.asset_state WHERE error IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).to_pylist()
    for each in failed:
        yield Finding(
            "assets",
            FAIL,
            f"{each['asset']} could not be made: {each['error']}",
            "oasis status shows which days; it is tried again by itself",
        )


def look_at_clock(settings: Settings, warehouse: Warehouse) -> Iterator[Finding]:
    """Clocks of this machine and the database, and the time zone of the field."""
    (row,) = warehouse.query(
        'SELECT clock_timestamp() AS now, (SELECT max("Date") FROM xspoc.card) AS newest'
    ).to_pylist()
    skew = (row["now"] - datetime.now(UTC)).total_seconds()
    now = settings.field_now()
    says = f"{now:%Y-%m-%d %H:%M} in {settings.timezone}"
    if abs(skew) > CLOCK_S:
        yield Finding(
            "clock",
            FAIL,
            f"the database's clock is {skew:+.0f} s from this machine's",
            "let both be set by the network (NTP)",
        )
    elif row["newest"] is not None and row["newest"] > now + timedelta(minutes=10):
        yield Finding(
            "clock",
            WARN,
            f"{says}, but the newest card is of {row['newest']}",
            "correct OASIS_TIMEZONE, or the clock that stamps the cards",
        )
    else:
        yield Finding("clock", OK, f"{says}, {skew:+.1f} s from the database's")


def look_at_data(settings: Settings, warehouse: Warehouse) -> Iterator[Finding]:
    """Last success of intake, and what it left."""
    from oasis_pipeline.intake import left_files

    (row,) = warehouse.query(
        "SELECT max(loaded_at) AS at, count(*) AS n, count(*) FILTER (WHERE NOT archived) AS loose FROM oasis.file"
    ).to_pylist()
    if row["at"] is None:
        yield Finding(
            "data",
            WARN,
            "nothing has been taken in yet",
            "put files into the drop folder, or configure a live source",
        )
    else:
        old = datetime.now(UTC) - row["at"] > SILENT
        says = f"intake took in its last file at {row['at']:%Y-%m-%d %H:%M} UTC, {row['n']:,} in all"
        yield Finding("data", WARN if old else OK, says, "look whether files still come" if old else "")
    if row["loose"]:
        yield Finding(
            "data",
            FAIL,
            f"{row['loose']} files are loaded but not in the archive",
            "oasis run archives them if they still lie in the drop folder",
        )
    for folder in (settings.drop, *settings.fetched_drops()):
        for left in left_files(warehouse, folder)[:5]:
            yield Finding(
                "data",
                WARN,
                f"left in {folder}: {left['name']} {left['reason']}",
                "see docs/how-to.md, run it on my own files",
            )


def look_at_automation(settings: Settings, warehouse: Warehouse) -> Iterator[Finding]:
    """Daemons, schedules and sensors of Dagster: running, last tick, last success."""
    if not (settings.dagster_home / "dagster.yaml").exists():
        yield Finding("automation", WARN, "Dagster has not run here yet", "start oasis up")
        return
    import dagster as dg
    from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus

    from oasis_pipeline.automation.instance import open_instance
    from oasis_pipeline.automation.jobs import build_jobs
    from oasis_pipeline.automation.schedules import build_schedules
    from oasis_pipeline.automation.sensors import build_sensors
    from oasis_pipeline.commands.supervision import supervisor_of

    jobs = build_jobs()
    wanted = [sensor.name for sensor in build_sensors(jobs)]
    wanted += [schedule.name for schedule in build_schedules(jobs, settings.timezone)]
    runs_here = supervisor_of(settings.home) is not None
    with open_instance(settings, warehouse.address) as instance:
        beats = {name: beat.timestamp for name, beat in instance.get_daemon_heartbeats().items()}
        now = datetime.now(UTC).timestamp()
        daemons: tuple[str, ...] = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR")
        if not beats and not runs_here:
            yield Finding("automation", WARN, "Dagster's daemons have never run here", "start oasis up")
            daemons = ()
        for name in daemons:
            age = now - beats[name] if name in beats else None
            if age is None or age > HEARTBEAT_S:
                says = f"daemon {name} " + (
                    "never ran" if age is None else f"was last seen {age / 60:.0f} minutes ago"
                )
                yield Finding(
                    "automation",
                    FAIL if runs_here else WARN,
                    says,
                    f"{'re' if runs_here else ''}start oasis up, and look into its logs",
                )
        states = {state.instigator_name: state for state in instance.all_instigator_state()}
        for name in wanted:
            state = states.get(name)
            if state is None:
                if beats:
                    yield Finding(
                        "automation", WARN, f"{name} has never ticked", "let oasis up run for a minute"
                    )
                continue
            if state.status == InstigatorStatus.STOPPED:
                yield Finding(
                    "automation",
                    FAIL,
                    f"{name} is switched off",
                    "switch it on in Dagster's pages (Automation)",
                )
                continue
            ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
            if ticks and ticks[0].status == TickStatus.FAILURE:
                error = ticks[0].error.message if ticks[0].error else ""
                yield Finding(
                    "automation",
                    FAIL,
                    f"the last tick of {name} failed: {' '.join(error.split())[:300]}",
                    "look at it in Dagster's pages (Automation)",
                )
                continue
            tag = (
                {"dagster/sensor_name": name}
                if "sensor" in str(state.instigator_type).lower()
                else {"dagster/schedule_name": name}
            )
            good = instance.get_run_records(
                dg.RunsFilter(tags=tag, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=1
            )
            last = instance.get_run_records(dg.RunsFilter(tags=tag), limit=1)
            at = f"{good[0].create_timestamp:%Y-%m-%d %H:%M} UTC" if good else "never yet"
            ticked = (
                f"ticked at {datetime.fromtimestamp(ticks[0].timestamp, UTC):%Y-%m-%d %H:%M} UTC"
                if ticks
                else "has not ticked yet"
            )
            failed = bool(last) and last[0].dagster_run.status == dg.DagsterRunStatus.FAILURE
            todo = "look at the run in Dagster's pages (Runs)" if failed else ""
            yield Finding(
                "automation",
                FAIL if failed else OK,
                f"{name} {ticked}; last run that succeeded: {at}{', the newest failed' if failed else ''}",
                todo,
            )


def look_at_source(settings: Settings, warehouse: Warehouse) -> Iterator[Finding]:
    """Each live source answers, can be worked on, and was read lately."""
    if settings.source_url is None and settings.remote_drop is None:
        return
    from oasis_pipeline.intake.sources import open_sources, watched_sources
    from oasis_pipeline.storage.objects import open_store

    limits = watched_sources(settings)
    for source in open_sources(settings, warehouse, open_store(settings)):
        yield from _try("source", partial(_look_at, source, warehouse, limits[source.name]))


def _look_at(
    source: DatabaseSource | RemoteDrop, warehouse: Warehouse, limit_minutes: float
) -> Iterator[Finding]:
    from oasis_pipeline.intake.sources.database import DatabaseSource

    with closing(source):
        if isinstance(source, DatabaseSource):
            where = source.connection.where
            yield Finding("source", OK, f"{where} answers; {len(source.tables())} tables are read")
        else:
            files = sum(each["files"] for each in source.check()["kinds"].values())
            yield Finding("source", OK, f"{source.name} answers; {files} files lie there")
            for finding in source.place.look():
                yield Finding("source", FAIL, finding, "give this log-in more rights, or use another server")
    (row,) = warehouse.query(
        "SELECT max(at) AS at FROM oasis.source_task WHERE source = $1 AND task = 'sweep'", (source.name,)
    ).to_pylist()
    if row["at"] is None:
        yield Finding(
            "source",
            WARN,
            f"{source.name} has not been read yet",
            "oasis source check, then oasis source run or oasis up",
        )
    else:
        age = (datetime.now(UTC) - row["at"]).total_seconds() / 60
        late = age > limit_minutes
        yield Finding(
            "source",
            FAIL if late else OK,
            f"last whole look at {source.name} {age:.0f} minutes ago",
            "see why sensor live_source does not run" if late else "",
        )


def look_at_alerts(settings: Settings, warehouse: Warehouse) -> Iterator[Finding]:
    """The rules can be used, somebody is told, and messages go out."""
    from oasis_pipeline.automation.alerts import AlertError, load_rules
    from oasis_pipeline.automation.alerts.book import count_alerts, list_unsent
    from oasis_pipeline.automation.alerts.sending import open_receiver

    rules = load_rules(settings.home)
    for name, receiver in rules.to.items():
        try:
            open_receiver(receiver, {})
        except AlertError as error:
            yield Finding("alerts", FAIL, f"{name} can't be told: {error}", "correct alerts.toml")
    failed = [row for row in list_unsent(warehouse) if row["error"]]
    for name in dict.fromkeys(row["receiver"] for row in failed):
        own = [row for row in failed if row["receiver"] == name]
        yield Finding(
            "alerts",
            FAIL,
            f"{len(own)} message{'s' * (len(own) != 1)} to {name} could not be sent: {own[0]['error']}",
            f"oasis alerts --test {name} tries it at once",
        )
    count, receivers = count_alerts(warehouse), len(rules.to)
    says = f"{count} {'is' if count == 1 else 'are'} open, {receivers} receiver{'s' * (receivers != 1)}"
    if rules.rule:
        yield Finding("alerts", OK, says)
    else:
        yield Finding("alerts", WARN, f"{says}: nobody is told", "write alerts.toml: see docs/alerts.md")


def look_at_store(settings: Settings) -> Iterator[Finding]:
    """The object store takes, gives back and removes a small object."""
    from oasis_pipeline.storage.objects import S3Store, open_store

    store = open_store(settings)
    path, data = f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(64)
    store.put_bytes(path, data)
    same = store.get_bytes(path) == data
    gone = store.delete(path)
    refused = store.check_conditional_write(path) if isinstance(store, S3Store) else None
    if refused is not None:
        yield Finding(
            "store", WARN, refused, "use no bucket of this server as a drop folder (OASIS_REMOTE_DROP)"
        )
    if same and gone:
        yield Finding("store", OK, f"{store.url} takes, gives back and removes objects")
    else:
        yield Finding(
            "store",
            FAIL,
            f"{store.url} gave back something else than was put there",
            "don't go on with this store",
        )
