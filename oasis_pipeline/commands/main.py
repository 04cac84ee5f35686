"""Entry point of ``oasis``: finds the subcommand, and turns errors into one clear line.

Subcommands are imported when they are called, so that ``oasis --help`` answers at once.
"""

from __future__ import annotations

import importlib
import sys

import click

from oasis_pipeline import __version__

SUBCOMMANDS = {
    "demo": "Simulate a field, run the pipeline on it, and write a report.",
    "simulate": "Write a simulated field as a drop folder, with the truth beside it.",
    "run": "Load the drop folder and materialize everything that is stale.",
    "source": "Check the live source, load what is new in it, or its history.",
    "wells": "Show which well comes first and why, or everything about one well.",
    "report": "Write the field's report as one HTML file: the worklist first.",
    "alarms": "List failure alarms; acknowledge or dismiss one.",
    "alerts": "List alerts on the platform and its wells; send a test message.",
    "diagnose": "Diagnose one surface card: pump card, figures, picture and report.",
    "labels": "Show which cards to label next; import and export labels.",
    "models": "List models, choose one, predict old days again.",
    "up": "Run the platform: database, web pages, schedules and sensors, data service.",
    "down": "Stop what `oasis up` or `oasis dsn` left running.",
    "serve": "Run the data service alone.",
    "createsuperuser": "Create the data service's first administrator.",
    "status": "Show each asset: partitions done, missing and failed, and their age.",
    "doctor": "Check the installation, and say what to do about each finding.",
    "backup": "Copy the installation into a folder or bucket, also while it runs.",
    "restore": "Restore an installation from such a copy.",
    "dsn": "Print the address of the database in use.",
    "roles": "Make database roles with no more rights than each part needs.",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in SUBCOMMANDS:
            return None
        module = importlib.import_module(f"oasis_pipeline.commands.{name}")
        command: click.Command = getattr(module, name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="oasis")
def cli() -> None:
    """From a rod-pumped field's raw data to decisions.

    State is kept in the home folder: --home, else $OASIS_HOME, else ./.oasis.
    """


def main() -> None:
    """Run the command; every expected error becomes one line on stderr and exit status 1."""
    try:
        # without standalone mode click answers with the status of an `Exit`, and raises nothing
        status = cli.main(prog_name="oasis", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # the reader went away (`oasis status | head`); Python would complain again when it flushes at exit
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        # brings the settings along, which --help does not need
        from oasis_pipeline.commands.common import explain

        click.echo(f"oasis: {explain(error)}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
