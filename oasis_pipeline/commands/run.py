"""``oasis run``: one pass over the drop folder and everything that is stale."""

from __future__ import annotations

from contextlib import nullcontext
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

if TYPE_CHECKING:
    from oasis_pipeline.automation.profile import Profile
    from oasis_pipeline.automation.summary import PassSummary

_MOST_ALERTS = 5


@click.command()
@home_option
@click.option(
    "--drop",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Drop folder; overrides $OASIS_DATA_PATH. Files are archived, then removed from it.",
)
@click.option("--profile", "profiled", is_flag=True, help="Show what the time was spent on, asset by asset.")
@json_option
def run(home: Path | None, drop: Path | None, profiled: bool, as_json: bool) -> None:
    """Load every file of the drop folder, then materialize every stale asset and partition, in order.

    Ends with 0 when it did its work: rejected rows and files, and assets that have nothing to learn from yet, are
    counted and explained. An asset that can't be made doesn't stop the pass: what is made from it waits, the rest is made, and the
    command ends with 1.
    """
    from oasis_pipeline.automation.passes import run_pass
    from oasis_pipeline.automation.profile import Profile

    settings = settings_of(home, **({"data_path": drop} if drop else {}))
    if drop is not None and not settings.drop.is_dir():
        raise click.ClickException(
            f"there is no folder {settings.drop}: name the folder that holds the drop files"
        )
    profile = Profile() if profiled else None
    with progress(not as_json) as advance, profile or nullcontext():
        summary = run_pass(settings, advance=advance, profile=profile)
    if as_json:
        print_json(summary_json(summary) | ({"profile": profile.rows()} if profile else {}))
    else:
        print_summary(summary)
        if profile:
            print_profile(profile)
    if summary.failures or summary.waiting:
        raise click.exceptions.Exit(1)


def summary_json(summary: PassSummary) -> dict[str, Any]:
    """What a pass did, for a program."""
    report = summary.intake
    return {
        "files": [
            {
                "file": file.source_file,
                "kind": file.kind,
                "rows": file.rows,
                "stored": file.stored,
                "superseded": file.superseded,
                "rejected": file.rejected,
                "already_loaded": file.already_loaded,
                "ignored_columns": file.ignored_columns,
            }
            for file in report.files
        ],
        "rejected_files": [{"file": name, "reason": reason} for name, reason in report.rejected_files],
        "unknown_files": report.unknown_files,
        "left": report.left,
        "warnings": report.warnings,
        "runs": summary.runs,
        "seconds": {name: round(value, 2) for name, value in summary.seconds.items()},
        "notes": [*report.notes, *summary.notes],
        "failures": [
            {"asset": failure.asset, "days": list(failure.days), "reason": failure.reason}
            for failure in summary.failures
        ],
        "waiting": summary.waiting,
        "alerts": {
            "open": summary.alerts.open,
            "new": summary.alerts.opened,
            "over": summary.alerts.resolved,
            "sent": summary.alerts.sent,
        },
    }


def print_profile(profile: Profile) -> None:
    """Print what the time of a pass was spent on."""
    told = profile.rows()
    names = [name for name in told[0] if name != "part"]
    rows = [[row["part"], *("" if row[name] is None else f"{row[name]:,}" for name in names)] for row in told]
    titles = ["part", *(name.replace("_per_s", "/s").removesuffix("_s").replace("_", " ") for name in names)]
    print_table("Seconds", titles, rows, right=tuple(range(1, len(titles))))


def print_summary(summary: PassSummary) -> None:
    """Print what a pass did, for a person."""
    report = summary.intake
    kinds: dict[str, list[int]] = {}
    for file in report.files:
        counts = kinds.setdefault(file.kind, [0, 0, 0, 0, 0])
        for i, value in enumerate((1, file.rows, file.stored, file.superseded, file.rejected)):
            counts[i] += value
    if kinds:
        rows = [[kind, *(f"{value:,}" for value in counts)] for kind, counts in sorted(kinds.items())]
        print_table(
            "Taken in",
            ["kind", "files", "rows", "stored", "superseded", "rejected"],
            rows,
            right=(1, 2, 3, 4, 5),
        )
    else:
        click.echo("no new files in the drop folder")
    if any(file.rejected for file in report.files):
        click.echo("rejected rows are in xspoc.rejected with their reasons")
    for name, reason in report.rejected_files:
        click.echo(f"rejected file {name}: {reason}")
    for line in (*report.warnings, *report.notes, *summary.notes):
        click.echo(f"note: {line}")
    if summary.runs:
        spans = [
            [", ".join(made["assets"]), " to ".join(dict.fromkeys(made["days"])), f"{made['seconds']:.1f}"]
            for made in summary.runs
        ]
        print_table("Materialized", ["assets", "days", "seconds"], spans, right=(2,))
    elif not summary.waiting:
        click.echo("everything was up to date")
    for failure in summary.failures:
        click.echo(f"failed: {failure}", err=True)
    for asset, reason in summary.waiting.items():
        click.echo(f"not materialized: {asset} ({reason})", err=True)
    for title in summary.alerts.opened[:_MOST_ALERTS]:
        click.echo(f"alert: {title}")
    if len(summary.alerts.opened) > _MOST_ALERTS:
        click.echo(f"... and {len(summary.alerts.opened) - _MOST_ALERTS} more: `oasis alerts` lists them")
    click.echo(f"intake {summary.seconds['intake']:.1f} s, materialization {summary.seconds['making']:.1f} s")
