"""``oasis simulate``: a field to try the platform on."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import click

from oasis_pipeline.commands.common import json_option, print_json, progress, require_writable

SENSOR_MODULES = 3
"""Of a simulated field: one of each type."""


def field_options(command: click.decorators.FC) -> click.decorators.FC:
    """Add the options that describe a simulated field."""
    for option in reversed(
        (
            click.option(
                "--wells", type=click.IntRange(1, 5000), default=20, show_default=True, help="Wells."
            ),
            click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="Days."),
            click.option(
                "--seed",
                type=click.IntRange(0),
                default=9,
                show_default=True,
                help="Seed; the same seed, the same field.",
            ),
        )
    ):
        command = option(command)
    return command


FIRST_DAY = date(2025, 1, 1)
"""First day of a simulated field unless another is asked for: the same seed is to give the same files for ever."""

KINDS = ("demonstration", "growing", "decoys")
"""As `oasis_pipeline.simulation.episodes.FieldKind` has them; the simulator is imported only when it runs."""


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder to write drop/ and truth.csv into.",
)
@field_options
@click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%d"]),
    default=FIRST_DAY.isoformat(),
    show_default=True,
    help="First day.",
)
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default=KINDS[0],
    show_default=True,
    help="What faults come to: the demonstration's habits; growing, where each fault that grows ends in a failure; "
    "decoys, where most end without one.",
)
@json_option
def simulate(out: Path, wells: int, days: int, seed: int, start: datetime, kind: str, as_json: bool) -> None:
    """Write a simulated field: DIR/drop/ as a field's SCADA system would, and the truth in DIR/truth.csv."""
    require_writable(out)
    from oasis_pipeline.simulation.episodes import FieldKind
    from oasis_pipeline.simulation.field import simulate_field

    with progress(not as_json) as advance:
        summary = simulate_field(
            out,
            wells=wells,
            days=days,
            seed=seed,
            start=start.date(),
            kind=FieldKind(kind),
            modules=SENSOR_MODULES,
            progress=lambda done, total: advance("simulating", done, total),
        )
    if as_json:
        print_json({"out": str(out), **summary})
    else:
        click.echo(f"{out / 'drop'}: {wells} wells, {days} days, seed {seed}")
        click.echo(
            "  ".join(f"{name}: {value:,}" for name, value in summary.items() if isinstance(value, int))
        )
        click.echo(
            f"next: oasis run --drop {out / 'drop'}   (files that were taken in are archived and then removed from it)"
        )
