"""``oasis restore``: an installation made of a copy."""

from __future__ import annotations

from pathlib import Path

import click

from oasis_pipeline.commands.backup import print_copy
from oasis_pipeline.commands.common import home_option, json_option, progress, settings_of


@click.command()
@click.argument("source", metavar="FROM")
@home_option
@json_option
def restore(source: str, home: Path | None, as_json: bool) -> None:
    """Make an installation in a new home folder of what `oasis backup` has copied to FROM, a folder or s3://BUCKET/PREFIX, and compare every row.

    Nothing is ever laid over an installation that is there.
    """
    settings = settings_of(home)
    from oasis_pipeline.storage.backup import restore as restore_copy

    with progress(not as_json) as advance:
        _, manifest = restore_copy(settings, source, advance)
    print_copy(manifest, f"restored {source} to {settings.home}", as_json)
