"""Labels: what an expert saw in a card.

Here: how a Labels file enters the labels in force and their history, and the one spelling of each label's text. Not here: what is
learned from labels.

A label belongs to the card of its time. A spreadsheet that shows minutes writes them without the seconds, one that shows seconds without
the milliseconds: such a label goes to the only card of that minute or second. Where there is none, or more than one, it waits in the table
of labels under the time it came with; cards that come later are looked through for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.intake.marks import Marks
from oasis_pipeline.intake.rules import last_of_each
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage.postgres import Transaction, Warehouse
from oasis_pipeline.storage.upsert import Upserted

CARD = table("xspoc", "card")
DYNALABEL = table("clean", "dynalabel")
DYNALABEL_HISTORY = table("clean", "dynalabel_history")

_SPAN = "l.\"Date\" + CASE WHEN l.\"Date\" = date_trunc('minute', l.\"Date\") THEN interval '1 minute' ELSE interval '1 second' END"
"""End of the time in which the card of a label without seconds, or without milliseconds, has to lie."""
_COARSE = 'l."Date" = date_trunc(\'second\', l."Date")'
_WITHOUT_CARD = (
    f'NOT EXISTS (SELECT FROM {CARD.full_name} AS c WHERE c."NodeID" = l."NodeID" AND c."Date" = l."Date")'
)


_COLUMNS = ", ".join(f'"{name}"' for name in DYNALABEL.column_names)
IN_FORCE = f"""
SELECT DISTINCT ON ("NodeID", "Date") {_COLUMNS} FROM (
    SELECT DISTINCT ON ("NodeID", "Date", "LabeledBy") {_COLUMNS} FROM {DYNALABEL_HISTORY.full_name}
    WHERE $1::text IS NULL OR ("NodeID" = $1 AND "Date" = $2::timestamp)
    ORDER BY "NodeID", "Date", "LabeledBy", "LabeledAt" DESC
) AS said WHERE "TrueLabel1" IS NOT NULL ORDER BY "NodeID", "Date", "LabeledAt" DESC
"""
"""Labels in force by the history, of one card (NodeID, Date) or all (null, null): of what each said last, the newest. A row without labels is one
that was taken back."""


@dataclass(frozen=True)
class WaitingLabel:
    """A label in force without a card.

    Attributes
    ----------
    node : str
    time : datetime
        As it came.
    cards : int
        Cards in the minute (or second) that the time names; 0 or more than 1.
    """

    node: str
    time: datetime
    cards: int


def to_cards(tx: Transaction, rows: pa.Table) -> tuple[pa.Table, int]:
    """Give labels whose time lost its seconds or milliseconds the time of the one card that can be meant.

    Parameters
    ----------
    tx : Transaction
    rows : pyarrow.Table
        One row a key: NodeID in the shown spelling, Date and the labels.

    Returns
    -------
    rows : pyarrow.Table
        One row a key again; of two labels that came to the same card the later one.
    moved : int
        Labels that were given another time.
    """
    found = tx.query(
        'WITH l AS (SELECT * FROM unnest($1::text[], $2::timestamp[]) WITH ORDINALITY AS g("NodeID", "Date", n)) '
        f'SELECT l.n - 1 AS row, min(c."Date") AS card FROM l JOIN {CARD.full_name} AS c ON c."NodeID" = l."NodeID" '
        f'AND c."Date" >= l."Date" AND c."Date" < {_SPAN} WHERE {_COARSE} GROUP BY l.n, l."Date" '
        'HAVING count(*) = 1 AND min(c."Date") <> l."Date"',
        (rows["NodeID"].to_pylist(), rows["Date"].to_pylist()),
    )
    if not found.num_rows:
        return rows, 0
    times = rows["Date"].to_pylist()
    for row, card in zip(found["row"].to_pylist(), found["card"].to_pylist(), strict=True):
        times[row] = card
    at = rows.schema.get_field_index("Date")
    moved = rows.set_column(at, rows.schema.field(at), pa.array(times, rows.schema.field(at).type))
    return last_of_each(moved, DYNALABEL.key), found.num_rows


def give_waiting_labels(tx: Transaction, first: date, last: date, marks: Marks) -> int:
    """Give labels that wait for a card without their seconds or milliseconds to cards that have come.

    Parameters
    ----------
    tx : Transaction
    first, last : date
        Days of the cards that came.
    marks : Marks
        Gets ``clean/dynalabel``, if a label found its card.

    Returns
    -------
    int
        Labels that found one.
    """
    found = tx.query(
        f'SELECT l."NodeID" AS node, l."Date" AS time, min(c."Date") AS card FROM {DYNALABEL.full_name} AS l '
        f'JOIN {CARD.full_name} AS c ON c."NodeID" = l."NodeID" AND c."Date" >= l."Date" AND c."Date" < {_SPAN} '
        f'WHERE l."Date" >= $1::date AND l."Date" < $2::date + 1 AND {_COARSE} AND {_WITHOUT_CARD} '
        'GROUP BY l."NodeID", l."Date" HAVING count(*) = 1',
        (first, last),
    )
    if not found.num_rows:
        return 0
    moves = (found["node"].to_pylist(), found["time"].to_pylist(), found["card"].to_pylist())
    names = [name for name in DYNALABEL.column_names if name != "Date"]
    columns = ", ".join(f'l."{name}"' for name in names)
    given = "unnest($1::text[], $2::timestamp[], $3::timestamp[]) AS m(node, time, card)"
    for each in (DYNALABEL_HISTORY, DYNALABEL):
        moved = tx.query(
            f'SELECT {columns}, m.card AS "Date" FROM {each.full_name} AS l JOIN {given} ON l."NodeID" = m.node AND l."Date" = m.time',
            moves,
        )
        tx.upsert(each, moved, newest_by="LabeledAt" if each is DYNALABEL else None)
        tx.execute(
            f"DELETE FROM {each.full_name} AS l USING unnest($1::text[], $2::timestamp[]) AS m(node, time) "
            'WHERE l."NodeID" = m.node AND l."Date" = m.time',
            moves[:2],
        )
    marks.whole(DYNALABEL, found.num_rows)
    return int(found.num_rows)


def waiting_labels(source: Warehouse | Transaction) -> list[WaitingLabel]:
    """List the labels in force that have no card.

    Parameters
    ----------
    source : Warehouse or Transaction

    Returns
    -------
    list of WaitingLabel
        By well and time.
    """
    found = source.query(
        f'SELECT l."NodeID" AS node, l."Date" AS time, (SELECT count(*) FROM {CARD.full_name} AS c WHERE {_COARSE} '
        f'AND c."NodeID" = l."NodeID" AND c."Date" >= l."Date" AND c."Date" < {_SPAN}) AS cards '
        f"FROM {DYNALABEL.full_name} AS l WHERE {_WITHOUT_CARD} ORDER BY 1, 2"
    )
    return [WaitingLabel(row["node"], row["time"], row["cards"]) for row in found.to_pylist()]


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


def take_back_label(
    tx: Transaction, node: str, time: datetime, by: str, stamp: datetime, marks: Marks
) -> bool:
    """Take back what somebody said of a card: what others said of it comes into force again, and the history keeps both.

    Parameters
    ----------
    tx : Transaction
    node : str
        Well in the shown spelling.
    time : datetime
        The card's.
    by : str
        Who takes back; only what he said himself.
    stamp : datetime
        When, in the field's local time.
    marks : Marks
        Gets ``clean/dynalabel``.

    Returns
    -------
    bool
        False where he has said nothing of this card, or taken it back already.
    """
    last = tx.query(
        f'SELECT "TrueLabel1", "LabeledAt" FROM {DYNALABEL_HISTORY.full_name} WHERE "NodeID" = $1 AND "Date" = $2::timestamp '
        'AND "LabeledBy" = $3 ORDER BY "LabeledAt" DESC LIMIT 1',
        (node, time, by),
    ).to_pylist()
    if not last or last[0]["TrueLabel1"] is None:
        return False
    # later than what it takes back, also within the same millisecond
    stamp = max(stamp, last[0]["LabeledAt"] + timedelta(milliseconds=1))
    row = dict.fromkeys(DYNALABEL.column_names) | {
        "NodeID": node,
        "Date": time,
        "LabeledBy": by,
        "LabeledAt": stamp,
    }
    tx.upsert(DYNALABEL_HISTORY, pa.Table.from_pylist([row], schema=arrow_schema(DYNALABEL_HISTORY)))
    tx.execute(
        f'DELETE FROM {DYNALABEL.full_name} WHERE "NodeID" = $1 AND "Date" = $2::timestamp', (node, time)
    )
    tx.upsert(DYNALABEL, tx.query(IN_FORCE, (node, time)))
    marks.whole(DYNALABEL, 1)
    return True


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
