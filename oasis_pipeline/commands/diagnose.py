"""``oasis diagnose``: one surface card to pump card, diagnosis and picture, without a database unless one is asked for."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.cards.misfit import odd_for
from oasis_pipeline.commands.card_file import InputError, read_card_file, read_well
from oasis_pipeline.commands.common import home_option, json_option, print_json, print_table, settings_of
from oasis_pipeline.physics.diagnosis import CardDiagnosis, Well, diagnose_card, expected_of
from oasis_pipeline.physics.diagnosis.well import columns_of
from oasis_pipeline.plotting.diagnosis import LISTED, DiagnosedCard, diagnosis_figure, figure_text
from oasis_pipeline.plotting.style import png
from oasis_pipeline.settings import load_settings
from oasis_pipeline.storage.installation import NoInstallationError, existing_warehouse


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--well", metavar="NODEID", help="Take the newest equipment of this well from the warehouse.")
@click.option(
    "--well-file", type=click.Path(path_type=Path), help="JSON with the well's rods, pump, fluid and unit."
)
@click.option(
    "--spm",
    type=float,
    help="Speed at which the card was taken; else the file's, if it is .dyn, or the well's.",
)
@click.option(
    "--damping",
    type=click.FloatRange(0.0, 5.0),
    help="Dimensionless damping that the pump card is given with, such as a vendor's; default $OASIS_DAMPING, else 0.01.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write a picture (PNG).")
@home_option
@json_option
def diagnose(
    file: Path,
    well: str | None,
    well_file: Path | None,
    spm: float | None,
    damping: float | None,
    out: Path | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Diagnose one surface card: pump card, fillage, loads, pressures, torque and a report in words.

    FILE is csv with the columns position_in and load_lbf, or a dynamometer file in the .dyn form of XDIAG: one stroke, points
    equally spaced in time, from any start, in either direction. Without --well and --well-file only what the surface card
    alone tells is answered.
    """
    if well is not None and well_file is not None:
        raise click.ClickException("--well and --well-file cannot be used together")
    if spm is not None and not 0.0 < spm <= 60.0:
        raise click.ClickException("--spm must be above 0 and at most 60")
    # what may be misspelled first: a well that is named wrong needs no card to be told
    known = Well()
    if well_file is not None:
        known = read_well(well_file)
    elif well is not None:
        well, known = _well_of_installation(home, well)
    if out is not None and not out.absolute().parent.is_dir():
        raise InputError(f"can't write the picture {out}: there is no folder {out.absolute().parent}")
    card = read_card_file(file)
    form = card.form
    speed = spm if spm is not None else card.spm
    if not math.isnan(speed):
        known = replace(known, spm=speed)
    convention = load_settings(home).card_damping if damping is None else damping
    known = replace(known, card_damping=convention)
    position, load = (np.asarray(values, dtype=np.float64) for values in form.column.row(0))
    if not form.is_open[0] and (reason := reason_of_another_well(position, load, known)):
        raise InputError(f"{file}: {reason}; check the units (in, lbf) and the well")
    answer = diagnose_card(
        (position, load), known, is_open=bool(form.is_open[0]), reversed_=bool(form.direction_reversed[0])
    )
    if out is not None:
        picture = DiagnosedCard.of(answer, known, title=well or file.stem, note=file.name if well else "")
        try:
            out.write_bytes(png(diagnosis_figure(picture), dpi=110))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no such name"
            raise InputError(f"can't write the picture {out}: {reason}") from None
    if as_json:
        print_json(answer.to_dict())
    else:
        _print(answer, file, out)


def reason_of_another_well(
    position: NDArray[np.float64], load: NDArray[np.float64], well: Well
) -> str | None:
    """Say why a surface card can't be of a well, None where it can.

    Parameters
    ----------
    position, load : ndarray, shape (n,)
    well : Well

    Returns
    -------
    str or None
        One clause, with the unit that the values look like.
    """
    return odd_for(position, load, expected_of(columns_of([well]), np.zeros(1, dtype=np.intp)).of(0))


def _well_of_installation(home: Path | None, name: str) -> tuple[str, Well]:
    """Read a well as `newest_well` does; an `InputError` says what to do where there is no installation or no such well."""
    from oasis_pipeline.operations.wells import UnknownWellError, newest_well

    settings = settings_of(home)
    try:
        with existing_warehouse(settings) as warehouse:
            return newest_well(warehouse, name)
    except NoInstallationError as error:
        raise InputError(f"{error}; or describe the well with --well-file") from None
    except UnknownWellError as error:
        raise InputError(str(error)) from None


def _print(answer: CardDiagnosis, file: Path, out: Path | None) -> None:
    click.echo(answer.report)
    click.echo()
    rows = [
        [says, figure_text(name, answer.findings[name]), unit]
        for name, says, unit in LISTED
        if name in answer.findings
    ]
    print_table(str(file), ["", "value", "unit"], rows, right=(1,))
    if answer.direction_reversed:
        click.echo("note: the points were in reverse order of time and have been turned round")
    for line in answer.missing:
        click.echo(f"note: {_short(line)}")
    if out is not None:
        click.echo(f"picture: {out}")


def _short(line: str) -> str:
    """Leave out names beyond the first few, which say nothing more to a person."""
    names = line.split(", ")
    return (
        line
        if len(names) <= 6
        else f"{', '.join(names[:4])} and {len(names) - 4} more (--json names them all)"
    )
