"""Labels: what an expert saw in a card.

Here: how a Labels file enters the labels in force and their history, and the one spelling of each label's text. Not here: what is
learned from labels.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.intake.marks import Marks
from oasis_pipeline.schema import table
from oasis_pipeline.storage.postgres import Transaction
from oasis_pipeline.storage.upsert import Upserted

DYNALABEL = table("clean", "dynalabel")
DYNALABEL_HISTORY = table("clean", "dynalabel_history")


def load_labels(tx: Transaction, rows: pa.Table, source_file: str, stamp: datetime, marks: Marks) -> Upserted:
    """Load the label rows of one file; labels of cards that are not here yet wait in the same table.

    Parameters
    ----------
    tx : Transaction
    rows : pyarrow.Table
        One row a card, in file order: NodeID in the shown spelling, Date, TrueLabel1, TrueLabel2 (trimmed).
    source_file : str
        Becomes LabeledBy.
    stamp : datetime
        Becomes LabeledAt.
    marks : Marks
        Gets ``clean/dynalabel``, if a label in force changed.

    Returns
    -------
    Upserted
    """
    if rows.num_rows == 0:
        return Upserted()
    spelled = spell_labels(tx, rows)
    spelled = spelled.append_column("LabeledBy", pa.repeat(source_file, rows.num_rows))
    spelled = spelled.append_column(
        "LabeledAt", pa.repeat(pa.scalar(stamp, pa.timestamp("ms")), rows.num_rows)
    )
    before = _in_force(tx)
    tx.upsert(DYNALABEL_HISTORY, spelled)
    done = tx.upsert(DYNALABEL, spelled, newest_by="LabeledAt")
    if _in_force(tx) != before:
        marks.whole(DYNALABEL, done.changed)
    return done


def spell_labels(tx: Transaction, rows: pa.Table) -> pa.Table:
    """Give each label the spelling in which it was first seen.

    Parameters
    ----------
    tx : Transaction
    rows : pyarrow.Table
        With TrueLabel1 and TrueLabel2, trimmed.

    Returns
    -------
    pyarrow.Table
        The same rows.
    """
    stored = tx.query(
        f'SELECT DISTINCT l.label FROM {DYNALABEL_HISTORY.full_name}, unnest(ARRAY["TrueLabel1", "TrueLabel2"]) AS l(label) '
        "WHERE l.label IS NOT NULL"
    )
    shown = {label.casefold(): label for label in stored["label"].to_pylist()}
    names = ("TrueLabel1", "TrueLabel2")
    coded = [pc.dictionary_encode(rows[name].combine_chunks()) for name in names]
    # In file order, the first label before the second: row by row the first spelling is the one that stays.
    seen: list[tuple[int, int, str]] = []
    for which, column in enumerate(coded):
        codes = column.indices.to_pylist()
        places = {code: row for row, code in reversed(list(enumerate(codes))) if code is not None}
        seen += [(places[code], which, text) for code, text in enumerate(column.dictionary.to_pylist())]
    for _, _, text in sorted(seen):
        shown.setdefault(text.casefold(), text)
    for name, column in zip(names, coded, strict=True):
        texts = pa.array([shown[text.casefold()] for text in column.dictionary.to_pylist()], pa.string())
        rows = rows.set_column(rows.schema.get_field_index(name), name, texts.take(column.indices))
    return rows


def _in_force(tx: Transaction) -> str | None:
    """Digest of all labels in force, without who gave them and when: only another label is a reason to learn again."""
    found = tx.query(
        'SELECT md5(string_agg(ROW("NodeID", "Date", "TrueLabel1", "TrueLabel2")::text, chr(10) ORDER BY "NodeID", "Date")) '
        f"AS state FROM {DYNALABEL.full_name}"
    )
    state: str | None = found["state"][0].as_py()
    return state
