"""``oasis backup``: a copy of the installation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from oasis_pipeline.commands.common import home_option, json_option, print_json, progress, settings_of
from oasis_pipeline.storage.installation import require_installation


@click.command()
@click.argument("to")
@home_option
@json_option
def backup(to: str, home: Path | None, as_json: bool) -> None:
    """Copy database, object store and configuration into the new folder TO, or s3://BUCKET/PREFIX, also while the platform runs.

    The copy holds secrets of the home folder. `oasis restore` makes an installation of it.
    """
    settings = settings_of(home)
    require_installation(settings)
    from oasis_pipeline.storage.backup import back_up

    with progress(not as_json) as advance:
        manifest = back_up(settings, to, advance)
    print_copy(manifest, f"copied {settings.home} to {to}", as_json)


def print_copy(manifest: dict[str, Any], what: str, as_json: bool) -> None:
    """Print what a copy holds."""
    rows = sum(count for count, _ in manifest["tables"].values())
    size = manifest["dump"]["bytes"] + sum(each["bytes"] for each in manifest["objects"].values())
    if as_json:
        counts = {
            "tables": len(manifest["tables"]),
            "rows": rows,
            "objects": len(manifest["objects"]),
            "bytes": size,
        }
        print_json({**counts, "release": manifest["release"], "made_at": manifest["made_at"]})
        return
    click.echo(
        f"{what}: {rows:,} rows of {len(manifest['tables'])} tables, {len(manifest['objects']):,} objects of the store,"
        f" {size / 2**20:,.1f} MiB, all compared"
    )
