"""``oasis models``: which models there are, which one predicts, and old days predicted again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from oasis_pipeline.commands.common import (
    home_option,
    json_option,
    print_json,
    print_table,
    progress,
    settings_of,
)
from oasis_pipeline.storage.installation import existing_warehouse, require_installation


@click.group()
def models() -> None:
    """List the models, choose the one that predicts, and predict old days again.

    Each subcommand takes --home and --json.
    """


@models.command("list")
@click.option("--name", default=None, help="Models of this name only, for example dyna_classifier.")
@home_option
@json_option
def list_models(name: str | None, home: Path | None, as_json: bool) -> None:
    """List the models of the registry, the newest first."""
    from oasis_pipeline.operations.registry import models_of

    with existing_warehouse(settings_of(home)) as warehouse:
        rows = [_entry(row) for row in models_of(warehouse, name)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("there are no models yet: run `oasis run`")
        return
    cells = [
        [
            row["name"],
            row["version"],
            f"{row['created_at']:%Y-%m-%d %H:%M}",
            "in use" if row["in_use"] else "",
            "simulated" if row["simulated"] else _number(row["cards"]),
            _number(row["wells"]),
            "" if row["macro_f1"] is None else f"{row['macro_f1']:.3f}",
        ]
        for row in rows
    ]
    headers = ["name", "version", "trained (UTC)", "", "cards", "wells", "macro F1"]
    print_table("Models", headers, cells, right=(4, 5, 6))
    for row in rows:
        if row["refused"]:
            click.echo(f"{row['version']} was not promoted: {row['refused']}")


@models.command()
@click.argument("version")
@click.option("--name", default=None, help="Needed only where models of several names have this version.")
@home_option
@json_option
def use(version: str, name: str | None, home: Path | None, as_json: bool) -> None:
    """Let VERSION predict from now on.

    Days already predicted stay as they are; `oasis models repredict` makes them again. The next training is compared with this
    version, and takes its place unless it is worse.
    """
    from oasis_pipeline.operations.drift import CLASSIFIER
    from oasis_pipeline.operations.predictions import check_fits
    from oasis_pipeline.operations.registry import find_model, use_model

    with existing_warehouse(settings_of(home)) as warehouse, _one_line():
        row = find_model(warehouse, version, name)
        if row["name"] == CLASSIFIER:
            check_fits(row)
        use_model(warehouse, row["name"], version)
    if as_json:
        print_json(_entry({**row, "in_use": True}))
    else:
        click.echo(f"{row['name']}: {version} is now in use")


@models.command()
@click.argument("version")
@click.option(
    "--from", "first", type=click.DateTime(["%Y-%m-%d"]), default=None, help="First day; all by default."
)
@click.option(
    "--to", "last", type=click.DateTime(["%Y-%m-%d"]), default=None, help="Last day; all by default."
)
@home_option
@json_option
def repredict(
    version: str, first: datetime | None, last: datetime | None, home: Path | None, as_json: bool
) -> None:
    """Predict days again with the classifier VERSION, or with `in-use`, the one that predicts now.

    The days keep a chosen VERSION, also when late rows make them again, until another one is asked for; `in-use` ends that.
    """
    from oasis_pipeline.automation.materialize import predict_again

    if first is not None and last is not None and first > last:
        raise click.BadParameter("--from lies after --to")
    settings = settings_of(home)
    require_installation(settings)
    with progress(not as_json) as advance, _one_line():
        summary = predict_again(
            settings, version, first and first.date(), last and last.date(), advance=advance
        )
    if as_json:
        print_json({"runs": summary.runs, "seconds": summary.seconds, "notes": summary.notes})
        return
    for note in summary.notes:
        click.echo(f"note: {note}")
    if not summary.runs:
        click.echo("there are no cards on these days")
    for made in summary.runs:
        click.echo(f"predicted {' to '.join(dict.fromkeys(made['days']))} again with {version}")


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    """What a registry row says of a model, for people and programs."""
    manifest = row["manifest"]
    scores = (manifest.get("metrics") or {}).get("models") or []
    promotion = manifest.get("promotion") or {}
    return {
        "name": row["name"],
        "version": row["version"],
        "created_at": row["created_at"],
        "in_use": row["in_use"],
        "simulated": row["is_base"],
        "cards": manifest.get("cards"),
        "wells": manifest.get("wells"),
        "macro_f1": scores[0].get("macro_f1") if scores else None,
        "refused": promotion.get("reason") if promotion.get("promoted") is False else None,
    }


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


class _one_line:  # noqa: N801 - reads like the context manager that it is
    """Turn a ValueError of the registry into the one line that a person sees."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError):
            raise click.ClickException(str(error)) from error
