"""``oasis demo``: a simulated field from the drop folder to predictions and a report."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
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
from oasis_pipeline.commands.simulate import SENSOR_MODULES, field_options
from oasis_pipeline.home import make_home
from oasis_pipeline.settings import Settings

if TYPE_CHECKING:
    from oasis_pipeline.storage.postgres import Warehouse


SHOWN = 6
"""Lines of the worklist in the summary."""

CARDS_PER_DAY = 2
"""Of each well: enough for every step, and a third less to wait for than a controller's usual three."""

LABELLED = 0.4
"""Share of the cards of a labelled well: people label fewer still, and the training takes as long as there are labels."""


_ALARMS = """
select a."NodeID", a."RaisedAt", a."Prob", min(f."Failure Start Date") as failed_at, min(f."Failures") as failure
from clean.alarm as a left join analysis.failure_info as f
    on f."NodeID" = a."NodeID" and f."Failure Start Date" <= a."RaisedAt" + interval '30 days'
    and coalesce(f."Failure End Date", 'infinity') > a."RaisedAt"
group by 1, 2, 3 order by 2, 1
"""


class DemoError(RuntimeError):
    """The demo can't be run here; the message says what to do."""


@click.command()
@home_option
@field_options
@json_option
def demo(home: Path | None, wells: int, days: int, seed: int, as_json: bool) -> None:
    """Simulate a field, run the pipeline on it, print what came of it, and write report.html.

    Everything stays in the home folder; `oasis up` shows it in the browser.
    """
    from oasis_pipeline.commands.ahead import preparing
    from oasis_pipeline.storage.installation import using_warehouse

    began = time.monotonic()
    settings = settings_of(home)
    field = {"wells": wells, "days": days, "seed": seed}
    start = claim_home(settings, field)
    if not as_json:
        click.echo(f"A simulated field of {wells} wells over {days} days, in {settings.home}")
    with (
        preparing(settings.home),
        progress(not as_json) as advance,
        using_warehouse(settings) as warehouse,
    ):
        # these imports take seconds, and the other process has begun
        from oasis_pipeline.automation.passes import run_pass
        from oasis_pipeline.commands.report import field_facts, write_report
        from oasis_pipeline.commands.wells import list_day, print_worklist, worklist
        from oasis_pipeline.simulation.field import simulate_field

        simulated_field = simulate_field(
            settings.home,
            wells,
            days,
            seed,
            cards_per_day=CARDS_PER_DAY,
            start=start,
            modules=SENSOR_MODULES,
            labelled=LABELLED,
            progress=lambda done, total: advance("simulating", done, total),
        )
        register_simulated(warehouse, simulated_field["modules"])
        simulated = time.monotonic() - began
        # this process has written the files: they are whole
        summary = run_pass(settings.model_copy(update={"settle_seconds": 0.0}), advance=advance)
        summary.raise_failures()
        facts = field_facts(warehouse)
        day = list_day(warehouse, None)
        first = worklist(warehouse, day)
        alarms = warehouse.query(_ALARMS).to_pylist()
        report = write_report(
            warehouse,
            settings.home / "report.html",
            title=f"A simulated field of {wells} wells",
            simulated=True,
        )
    seconds = {"simulate": simulated, **summary.seconds, "all": time.monotonic() - began}
    if as_json:
        shown = {"worklist": first[:SHOWN], "alarms": alarms, "report": report, "seconds": seconds}
        print_json({"field": field, **facts, **shown})
        return
    print_worklist(first, day, SHOWN)
    for line in alarm_lines(alarms):
        click.echo(line)
    print_facts(facts, seconds)
    click.echo(f"report  {report}")
    where = shlex.quote(str(settings.home))
    click.echo(f"next    oasis createsuperuser --home {where}   (a user for the pages)")
    click.echo(f"        oasis up --home {where}   (pages and graph in the browser)")


def alarm_lines(alarms: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say of each alarm when it was raised and what came after it."""
    lines = []
    for alarm in alarms:
        days = (
            (alarm["failed_at"] - alarm["RaisedAt"]).total_seconds() / 86_400.0 if alarm["failed_at"] else 0.0
        )
        then = f"{alarm['failure']} {days:.1f} days later" if alarm["failed_at"] else "no failure since"
        if days < 0.0:
            then = f"{alarm['failure']} {-days:.1f} days before, which nobody had told yet"
        lines.append(f"alarm   {alarm['NodeID']}, {alarm['RaisedAt']:%-d %B} ({alarm['Prob']:.0f} %): {then}")
    return lines


def register_simulated(warehouse: Warehouse, modules: Mapping[str, str]) -> None:
    """Register the simulated sensor modules, as somebody would in the admin site before they send."""
    import pyarrow as pa

    from oasis_pipeline.schema import table

    rows = pa.table(
        {
            "module_num": pa.array(list(modules), pa.string()),
            "module_type": pa.array(list(modules.values()), pa.string()),
            "asset": pa.repeat(pa.scalar("simulated"), len(modules)),
        }
    )
    with warehouse.transaction() as tx:
        tx.upsert(table("iot", "module"), rows)


def claim_home(settings: Settings, field: dict[str, int]) -> date:
    """Refuse a home that holds anything else than this very field: simulated wells must never mix with real ones.

    Parameters
    ----------
    settings : Settings
        The installation of the demo.
    field : dict
        Wells, days and seed.

    Returns
    -------
    date
        First day of the field: such that it ends yesterday, or, in a home that holds it already, the day it began then.

    Raises
    ------
    DemoError
        If the home is in use for something else.
    """
    mark = settings.home / "demo.json"
    if mark.exists():
        known = json.loads(mark.read_text())
        if known["field"] == field:
            return date.fromisoformat(known["start"])
        raise DemoError(
            f"{settings.home} holds the demo of another field: say --home with another folder, or delete it"
        )
    if settings.home.exists() and any(path.name != ".env" for path in settings.home.iterdir()):
        raise DemoError(f"{settings.home} is in use already: say --home with a new folder for the demo")
    if not settings.embedded or settings.data_path is not None or settings.s3_bucket is not None:
        raise DemoError(
            "the demo uses its own database, drop folder and store: "
            "unset OASIS_HOST, OASIS_DATA_PATH and OASIS_S3_BUCKET for it"
        )
    make_home(settings.home)
    start = date.today() - timedelta(days=field["days"])
    mark.write_text(json.dumps({"field": field, "start": start.isoformat()}))
    return start


def print_facts(facts: dict[str, Any], seconds: dict[str, float]) -> None:
    """Print the figures of the field as a table."""
    rows = [
        ["wells", f"{facts['wells']:,}"],
        ["cards in", f"{facts['cards']:,}"],
        ["rows rejected", f"{facts['rejected']:,}"],
        ["cards classified", f"{facts['predicted']:,}"],
        *([f"  {name}", f"{count:,}"] for name, count in facts["counts"].items()),
    ]
    evaluation = facts["model"]["evaluation"]
    if evaluation:
        for model in evaluation["models"]:
            interval = f"{model['macro_f1_low']:.2f} to {model['macro_f1_high']:.2f}"
            rows.append(
                [f"macro F1 on held-out wells, {model['name']}", f"{model['macro_f1']:.2f} ({interval})"]
            )
    else:
        rows.append(
            ["model", f"{facts['model']['version']}: not enough labels for a model of this field yet"]
        )
    rows.append(["seconds", "  ".join(f"{name} {value:.1f}" for name, value in seconds.items())])
    print_table("The field (simulated)", ["", ""], rows)
