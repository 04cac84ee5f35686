"""``oasis source``: the live source of a field, looked at, read once, or read back into the past."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oasis_pipeline.commands.common import (
    home_option,
    json_option,
    print_json,
    print_table,
    progress,
    settings_of,
)
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.installation import existing_warehouse

if TYPE_CHECKING:
    from oasis_pipeline.intake.sources import SourceReport
    from oasis_pipeline.intake.sources.database import DatabaseSource
    from oasis_pipeline.intake.sources.remote import RemoteDrop

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def source() -> None:
    """Look at the live sources (OASIS_SOURCE_URL, OASIS_REMOTE_DROP), bring what is new, or the database's history.

    Each subcommand takes --home and --json. What comes is made by `oasis run`, or by `oasis up` by itself.
    """


@source.command("check")
@home_option
@json_option
def check(home: Path | None, as_json: bool) -> None:
    """Say what is there, what is mapped and what is missing; of a database, clocks and a card too.

    Reads only, but for a probe that it removes. Ends with 1 if something has to be done.
    """
    settings = settings_of(home)
    _require(settings)
    with existing_warehouse(settings) as warehouse, _opened(settings, warehouse) as sources:
        found = [source.check() for source in sources]
    if as_json:
        print_json({"sources": found})
    else:
        for each in found:
            if "tables" in each:
                _print_check(each)
            else:
                _print_files(each)
    if any(each["findings"] for each in found):
        raise click.exceptions.Exit(1)


@source.command("run")
@home_option
@json_option
def run(home: Path | None, as_json: bool) -> None:
    """Bring what is new or corrected since the last time: one increment."""
    settings = settings_of(home)
    _require(settings)
    from oasis_pipeline.intake.sources import SourceError
    from oasis_pipeline.storage.installation import using_warehouse

    reports, faults = {}, {}
    with using_warehouse(settings) as warehouse, _opened(settings, warehouse) as sources:
        for source in sources:
            try:
                reports[source.name] = source.run()
            except SourceError as error:
                faults[source.name] = str(error)
                continue
            _record(settings, warehouse, reports[source.name])
    if as_json:
        print_json({"sources": {name: _said(report) for name, report in reports.items()}, "faults": faults})
    else:
        for name, report in reports.items():
            if len(reports) + len(faults) > 1:
                click.echo(f"{name}:")
            _print_report(report)
        for fault in faults.values():
            click.echo(f"oasis: {fault}", err=True)
    if faults:
        raise click.exceptions.Exit(1)


@source.command("backfill")
@click.option("--from", "first", type=_DAY, required=True, help="First day, in the source's time.")
@click.option("--to", "last", type=_DAY, required=True, help="Last day, included.")
@home_option
@json_option
def backfill(first: datetime, last: datetime, home: Path | None, as_json: bool) -> None:
    """Bring the history of a range of days out of the database, beside the increments.

    Cut off, it goes on where it was when it is said again for the same range.
    """
    if last < first:
        raise click.BadParameter("lies before --from", param_hint="--to")
    settings = settings_of(home)
    from oasis_pipeline.intake.sources import open_source, require_source
    from oasis_pipeline.storage.installation import using_warehouse
    from oasis_pipeline.storage.objects import open_store

    require_source(settings)
    with (
        using_warehouse(settings) as warehouse,
        closing(open_source(settings, warehouse, open_store(settings))) as opened,
    ):
        with progress(not as_json) as advance:
            report = opened.backfill(first.date(), last.date(), advance)
        _record(settings, warehouse, report)
    if as_json:
        print_json(_said(report))
    else:
        _print_report(report)


def _require(settings: Settings) -> None:
    """Refuse before a server is started where there is no source."""
    from oasis_pipeline.intake.sources import require_sources

    require_sources(settings)


@contextmanager
def _opened(settings: Settings, warehouse: Any) -> Iterator[list[DatabaseSource | RemoteDrop]]:
    from oasis_pipeline.intake.sources import open_sources
    from oasis_pipeline.storage.objects import open_store

    with ExitStack() as stack:
        sources = open_sources(settings, warehouse, open_store(settings))
        for source in sources:
            stack.enter_context(closing(source))
        yield sources


def _record(settings: Settings, warehouse: Any, report: SourceReport) -> None:
    """Tell Dagster which days got rows."""
    if any(done.changed for done in report.passes):
        from oasis_pipeline.automation.instance import open_instance
        from oasis_pipeline.automation.recording import record_source

        with open_instance(settings, warehouse.address) as instance:
            record_source(instance, warehouse, report)


def _said(report: SourceReport) -> dict[str, Any]:
    files = [file for done in report.passes for file in done.files]
    return {
        "rows": report.rows,
        "looked_at": report.looked_at,
        "stored": sum(file.stored for file in files),
        "rejected": sum(file.rejected for file in files),
        "files": [file.source_file for file in files],
        "sweep": report.sweep,
        "notes": report.notes,
    }


def _print_report(report: SourceReport) -> None:
    rejected = _said(report)["rejected"]
    if report.rows:
        print_table(
            "Taken in", ["kind", "rows"], [[kind, f"{n:,}"] for kind, n in report.rows.items()], right=(1,)
        )
    else:
        click.echo("nothing is new")
    if rejected:
        click.echo(f"{rejected:,} rows were rejected; they stand in xspoc.rejected with their reasons")
    for note in report.notes:
        click.echo(f"note: {note}")


def _print_files(found: dict[str, Any]) -> None:
    click.echo(found["source"])
    cells = [
        [kind, f"{entry['files']:,}", f"{entry['bytes']:,}", _shown(entry["oldest"]), _shown(entry["newest"])]
        for kind, entry in sorted(found["kinds"].items())
    ]
    if cells:
        print_table("Files", ["kind", "files", "bytes", "oldest", "newest"], cells, right=(1, 2))
    else:
        click.echo("no drop file lies there")
    for finding in found["findings"]:
        click.echo(f"to do: {finding}")


def _print_check(found: dict[str, Any]) -> None:
    clock = found["clock"]
    click.echo(f"{found['source']} (as {found['mapping']})")
    click.echo(
        f"clock: {clock['skew_s']:+} s from this machine's, {clock['server_utc_offset_h']:+g} h from UTC; times are read as"
        f" {clock['timezone']}, and stored as {clock['field_timezone']}"
    )
    cells = []
    for entry in found["tables"]:
        columns = entry.get("columns", {})
        cells.append(
            [
                entry["kind"],
                entry["table"],
                "" if not entry["found"] else f"{len(columns)} of {len(columns) + len(entry['missing'])}",
                _shown(entry.get("rows")),
                _shown(entry.get("rows_of_last_day")),
                _shown(entry.get("newest")),
            ]
        )
    print_table(
        "Tables", ["kind", "table", "columns", "rows", "rows of a day", "newest"], cells, right=(2, 3, 4)
    )
    for entry in found["tables"]:
        if entry.get("missing"):
            click.echo(f"{entry['table']} lacks {', '.join(entry['missing'])}: they stay empty")
        if entry.get("not_counted"):
            click.echo(f"{entry['table']} was not counted: {entry['not_counted']}")
    _print_card(found["sample_card"])
    for finding in found["findings"]:
        click.echo(f"to do: {finding}")


def _print_card(card: dict[str, Any] | None) -> None:
    """Draw the sample card."""
    if card is None or "points" not in card:
        return
    import numpy as np

    from oasis_pipeline.plotting.terminal import draw_loop

    position, load = (np.array(card[name], np.float64) for name in ("position_in", "load_lbf"))
    click.echo(f"\n{card['column']} of {card['NodeID']} at {card['Date']}, {card['points']} points")
    for line in draw_loop(position, load):
        click.echo(f"  {line}")
    if np.isfinite(position).any() and np.isfinite(load).any():
        click.echo(
            f"  position {np.nanmin(position):,.4g} to {np.nanmax(position):,.4g} in, load {np.nanmin(load):,.6g} to {np.nanmax(load):,.6g} lbf\n"
        )


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else f"{value:,}"
