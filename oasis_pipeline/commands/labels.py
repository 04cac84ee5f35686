"""``oasis labels``: what to label next, labels in and out, and what to look at again."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from oasis_pipeline.commands.common import home_option, json_option, print_json, print_table, settings_of
from oasis_pipeline.home import make_home
from oasis_pipeline.storage.installation import existing_warehouse

LABEL_COLUMNS = ("NodeID", "Date", "TrueLabel1", "TrueLabel2")
"""What a file of labels must have; further columns tell the person who fills it in something."""


@click.group()
def labels() -> None:
    """What to label next, labels in and out, disagreements, and labels that may be wrong.

    Each subcommand takes --home; those that show something take --json.
    """


@labels.command()
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Cards at most.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=None, help="csv to be filled in."
)
@click.option(
    "--sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="html page with a picture of each card, in the order of the queue.",
)
@home_option
@json_option
def queue(limit: int, out: Path | None, sheet: Path | None, home: Path | None, as_json: bool) -> None:
    """Show the cards whose labels would teach most, the best first.

    Fill in TrueLabel1 (and TrueLabel2) of the csv and give it to `oasis labels import`.
    """
    from oasis_pipeline.operations.labels import queue as read_queue

    with existing_warehouse(settings_of(home)) as warehouse:
        rows = read_queue(warehouse, limit)
        if sheet is not None and rows:
            from oasis_pipeline.commands.label_sheet import write_sheet

            write_sheet(warehouse, rows, sheet)
    if out is not None:
        suggested = ("rank", "Label1", "Prob1", "Label2")
        _write_csv(
            out,
            (*LABEL_COLUMNS, *suggested),
            ([row["NodeID"], row["Date"], None, None, *(row[name] for name in suggested)] for row in rows),
        )
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(
            "the queue is empty: there are no predictions yet (run `oasis run`), or every card has a label"
        )
        return
    cells = [
        [
            f"{row['rank']:,}",
            row["NodeID"],
            _time(row["Date"]),
            f"{row['Label1']} ({row['Prob1']:.0f} %)",
            f"{row['uncertainty_bits']:.2f}",
            f"{row['well_labels']:,}",
        ]
        for row in rows
    ]
    if out is None:
        headers = ["rank", "well", "card", "the model says", "bits unsure", "labels of the well"]
        print_table("Cards to label", headers, cells, right=(0, 4, 5))
    for path in (out, sheet):
        if path is not None:
            click.echo(f"{path}: {len(rows):,} cards")


@labels.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--by", "person", default=None, help="Who labelled; shown instead of the file's name.")
@click.option(
    "--stamp",
    type=click.DateTime(["%Y%m%d.%H%M"]),
    default=None,
    help="When the labels were given, field's local time, as in a drop file's name; now by default.",
)
@home_option
@json_option
def take(file: Path, person: str | None, stamp: datetime | None, home: Path | None, as_json: bool) -> None:
    """Take in a FILE of labels, as if it had come by the drop folder.

    Columns NodeID, Date, TrueLabel1, TrueLabel2 (csv, csv.gz or parquet); others are ignored. Rows of a
    `oasis labels queue --out` file that were not filled in are left out. A file without a drop file's name gets one. The newest label of a card is the one in force, and all are kept. The classifier
    learns from them at the next `oasis run`.
    """
    from oasis_pipeline.automation.instance import open_instance
    from oasis_pipeline.intake import take_in
    from oasis_pipeline.operations.labels import name_person
    from oasis_pipeline.storage.installation import using_warehouse
    from oasis_pipeline.storage.objects import open_store

    settings = settings_of(home)
    name = _drop_name(file, stamp, settings.field_now())
    make_home(settings.home)
    with (
        tempfile.TemporaryDirectory(prefix="labels-", dir=settings.home) as folder,
        using_warehouse(settings) as warehouse,
    ):
        drop = Path(folder) / "drop"
        drop.mkdir()
        left_out = _copy_labels(file, drop / name)
        report = take_in(warehouse, open_store(settings), settings_of(home, data_path=drop, settle_seconds=0))
        if report.rejected_files:
            raise click.ClickException(f"{file}: {report.rejected_files[0][1]}")
        if not report.files:
            raise click.ClickException(f"{file}: {'; '.join(report.warnings) or 'nothing was loaded'}")
        done = report.files[0]
        if person and person.strip():
            name_person(warehouse, done.source_file, " ".join(person.split()))
        rejected = warehouse.query(
            'select "RowNumber", "NodeID", "Date", "Reason" from xspoc.rejected where "SourceFile" = $1 '
            'order by "RowNumber" limit 20',
            (done.source_file,),
        ).to_pylist()
        if report.changed:
            from oasis_pipeline.automation.recording import record_intake

            instance = open_instance(settings, warehouse.address)
            try:
                record_intake(instance, warehouse, report)
            finally:
                instance.dispose()
    facts = {
        "file": done.source_file,
        "rows": done.rows,
        "stored": done.stored,
        "superseded": done.superseded,
        "rejected": done.rejected,
        "without_label": left_out,
        "already_loaded": done.already_loaded,
        "ignored_columns": done.ignored_columns,
        "rejected_rows": rejected,
    }
    if as_json:
        print_json(facts)
        return
    if done.already_loaded:
        click.echo(f"{file} was already loaded as {done.source_file}: nothing changed")
        return
    click.echo(
        f"{done.source_file}: {done.stored:,} labels stored, {done.superseded:,} superseded by newer ones, "
        f"{done.rejected:,} rejected, {left_out:,} rows without a label left out"
    )
    for row in rejected:
        click.echo(f"row {row['RowNumber']} ({row['NodeID']}): {row['Reason']}")
    if report.changed:
        click.echo("the next `oasis run` trains the classifier on them")


@labels.command()
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=None, help="File; stdout by default."
)
@click.option("--history", is_flag=True, help="Every label ever given, instead of those in force.")
@home_option
@json_option
def export(out: Path | None, history: bool, home: Path | None, as_json: bool) -> None:
    """Write the labels as csv, with who gave them and when.

    The csv can be imported again.
    """
    from oasis_pipeline.operations.labels import labels_in_force

    with existing_warehouse(settings_of(home)) as warehouse:
        rows = labels_in_force(warehouse, history=history)
    if as_json:
        print_json(rows.to_pylist())
        return
    values = ([row[name] for name in rows.column_names] for row in rows.to_pylist())
    _write_csv(out, rows.column_names, values)
    if out is not None:
        click.echo(f"{out}: {rows.num_rows:,} labels")


@labels.command()
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Cards at most.")
@home_option
@json_option
def disagreements(limit: int, home: Path | None, as_json: bool) -> None:
    """Show the cards that people have labelled differently, with what each of them said last."""
    from oasis_pipeline.operations.labels import disagreements as find

    with existing_warehouse(settings_of(home)) as warehouse:
        cards = find(warehouse)
    if as_json:
        print_json(cards[:limit])
        return
    if not cards:
        click.echo("no disagreements")
        return
    cells = [
        [
            card["NodeID"],
            _time(card["Date"]),
            " + ".join(said["labels"]) or "(none)",
            said["by"],
            _time(said["at"]),
            "in force" if said["in_force"] else "",
        ]
        for card in cards[:limit]
        for said in card["labels"]
    ]
    title = f"{len(cards):,} cards that people disagree on"
    print_table(title, ["well", "card", "label", "by", "when", ""], cells)


@labels.command()
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Labels at most.")
@home_option
@json_option
def suspects(limit: int, home: Path | None, as_json: bool) -> None:
    """Show the labels that are probably wrong: models that had not seen the well say something else, and are sure of it."""
    from oasis_pipeline.operations.labels import suspects as find

    with existing_warehouse(settings_of(home)) as warehouse:
        rows = find(warehouse)
    if as_json:
        print_json(rows[:limit])
        return
    if not rows:
        click.echo("no suspected labels; they are searched for again at the next training")
        return
    cells = [
        [
            row["NodeID"],
            _time(row["Date"]),
            " + ".join(text for text in (row["TrueLabel1"], row["TrueLabel2"]) if text),
            row["doubted"],
            row["suggested"],
            f"{row['doubt_pct']:.0f}",
            row["LabeledBy"],
        ]
        for row in rows[:limit]
    ]
    headers = ["well", "card", "labels", "doubted", "rather", "by %", "labelled by"]
    print_table(f"{len(rows):,} labels that are probably wrong", headers, cells, right=(5,))


def _drop_name(file: Path, stamp: datetime | None, now: datetime) -> str:
    """Name of a drop file: the file's own where it is one and no stamp was given."""
    from oasis_pipeline.intake.files import parse_name
    from oasis_pipeline.schema import drop_kind

    named = parse_name(file.name)
    if named is not None and named.kind.name != "Labels":
        raise click.ClickException(f"{file.name} is a file of {named.kind.name}, not of labels")
    if named is not None and stamp is None:
        return file.name
    kind = drop_kind("Labels")
    suffixes = kind.suffixes if kind is not None else ()
    suffix = next(
        (end for end in sorted(suffixes, key=len, reverse=True) if file.name.lower().endswith(end)), None
    )
    if suffix is None:
        raise click.ClickException(f"{file.name} is not a file of labels: {', '.join(suffixes)} can be read")
    return f"Labels.E2E.{stamp or now:%Y%m%d.%H%M}{suffix}"


def _copy_labels(file: Path, target: Path) -> int:
    """Copy a file of labels; rows of a queue's csv in which nobody has filled in a label are left out, and counted.

    In any other file a row without a label takes the card's label away, as it does in a drop file.
    """
    if not target.name.endswith(".csv"):
        shutil.copyfile(file, target)
        return 0
    from oasis_pipeline.service.output import fused

    try:
        text = file.read_text("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        rows = []
    head = [name.strip() for name in rows[0]] if rows else []
    places = [head.index(name) for name in ("TrueLabel1", "TrueLabel2") if name in head]
    if not places or any(len(row) not in (0, len(head)) for row in rows):
        shutil.copyfile(file, target)  # intake says what is wrong with it
        return 0
    given = [row for row in rows[1:] if row]
    # an apostrophe that kept a spreadsheet from running a text goes again
    kept = [[fused(cell) for cell in row] for row in given]
    if "rank" in head:
        kept = [row for row in kept if any(row[place].strip() for place in places)]
    if kept == given:
        shutil.copyfile(file, target)
    else:
        _write_csv(target, rows[0], kept, for_people=False)
    return len(given) - len(kept)


def _write_csv(
    out: Path | None, head: Sequence[str], rows: Iterable[Sequence[Any]], *, for_people: bool = True
) -> None:
    """Write a csv; one for people holds no text that a spreadsheet would run."""
    from oasis_pipeline.service.output import defused

    def cell(value: Any) -> Any:
        if isinstance(value, datetime):
            return _time(value)
        return defused(value) if for_people and isinstance(value, str) else value

    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([cell(value) for value in row] for row in rows)
    if out is None:
        click.echo(text.getvalue(), nl=False)
    else:
        out.write_text(text.getvalue(), "utf-8")


def _time(moment: datetime) -> str:
    """Time as intake reads it, milliseconds only where there are any."""
    return moment.isoformat(" ", "milliseconds" if moment.microsecond else "seconds")
