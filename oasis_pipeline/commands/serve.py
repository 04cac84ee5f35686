"""``oasis serve``: the data service alone.

Here: options. Not here: what is served (``service``).
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oasis_pipeline.commands.common import answers, home_option, reachable, require_free_port, settings_of

if TYPE_CHECKING:
    from oasis_pipeline.service.server import Listening

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@home_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to listen on."
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=None,
    help="Processes; one a core by default, four at most.",
)
@click.option("--certificate", type=_FILE, default=None, help="TLS certificate (PEM); then --key too.")
@click.option("--key", type=_FILE, default=None, help="TLS key (PEM, PKCS#8).")
def serve(
    home: Path | None, host: str, port: int, workers: int | None, certificate: Path | None, key: Path | None
) -> None:
    """Run the data service: readings in, rows and batches out, by http. Ctrl-C stops it.

    The first user comes from `oasis createsuperuser`; further ones, and tokens, from /admin/.
    """
    from oasis_pipeline.commands.supervision import DatabaseWatch
    from oasis_pipeline.service.server import Listening, default_workers, prepare, serve_until_stopped
    from oasis_pipeline.storage.installation import using_warehouse
    from oasis_pipeline.storage.server import as_service

    if (certificate is None) != (key is None):
        raise click.UsageError("--certificate and --key go together")
    settings = as_service(settings_of(home))
    require_free_port(host, port)
    listening = Listening(host, port, workers or default_workers(), certificate, key)
    with using_warehouse(settings) as warehouse:
        prepare(settings, warehouse, host)
        warehouse.close()
        threading.Thread(target=_tell, args=(listening,), daemon=True).start()
        with DatabaseWatch(settings, lambda text: click.echo(text, err=True)).looking():
            serve_until_stopped(settings, listening)
    click.echo("stopped")


def _tell(listening: Listening) -> None:
    """Say where the service is as soon as it answers."""
    here = replace(listening, host=reachable(listening.host))
    while not answers(f"{here.url}/health"):
        time.sleep(0.1)
    click.echo(f"data service    {listening.url}")
    click.echo(f"what it can do  {listening.url}/api/docs")
    click.echo("Ctrl-C stops it.")
