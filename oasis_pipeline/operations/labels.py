"""What people have said about cards: who, when, and where they disagree; and what to ask them next.

Here: the queries behind ``oasis labels`` and the page of labels. Not here: how the queue is made (``label_queue``), and how labels come in
(``intake``).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pyarrow as pa

from oasis_pipeline.storage.postgres import Transaction, Warehouse

_PEOPLE = 'coalesce(s.person, h."LabeledBy")'
_SOURCES = 'left join oasis.label_source as s on s.source_file = h."LabeledBy"'
_SAID = f"""
several as (
    select "NodeID", "Date" from clean.dynalabel_history group by 1, 2 having min("LabeledBy") <> max("LabeledBy")
),
each as (
    select distinct on (h."NodeID", h."Date", {_PEOPLE})
        h."NodeID", h."Date", {_PEOPLE} as person, h."LabeledBy", h."LabeledAt",
        array_remove(
            case when h."TrueLabel2" < h."TrueLabel1" then array[h."TrueLabel2", h."TrueLabel1"]
                else array[h."TrueLabel1", h."TrueLabel2"] end, null
        ) as texts
    from several join clean.dynalabel_history as h using ("NodeID", "Date") {_SOURCES}
    order by h."NodeID", h."Date", {_PEOPLE}, h."LabeledAt" desc
),
said as (select * from each where cardinality(texts) > 0)
"""
"""Of cards of which more than one has said something: what each person said last and did not take back."""


def queue(source: Warehouse | Transaction, limit: int, after: int = 0) -> list[dict[str, Any]]:
    """Read the head of the queue.

    Parameters
    ----------
    source : Warehouse or Transaction
    limit : int
        Cards at most.
    after : int
        Rank of the last card that has been shown already.

    Returns
    -------
    list of dict
        Rows of ``clean.label_queue`` by rank; cards that have got a label since it was made are left out.
    """
    rows: list[dict[str, Any]] = source.query(
        "select q.* from clean.label_queue q where q.rank > $2::int and not exists "
        '(select from clean.dynalabel d where d."NodeID" = q."NodeID" and d."Date" = q."Date") '
        "order by q.rank limit $1::int",
        (limit, after),
    ).to_pylist()
    return rows


_AGAIN = """
with own as (
    select distinct on ("NodeID", "Date") "NodeID", "Date", "TrueLabel1" from clean.dynalabel_history
    where "LabeledBy" = $1 order by "NodeID", "Date", "LabeledAt" desc
),
asked as (
    select distinct r."NodeID", r."Date" from analysis.opinion_request as r where r.asked_by <> $1 and not exists (
        select from clean.dynalabel_history as h where h."NodeID" = r."NodeID" and h."Date" = r."Date"
        and h."LabeledBy" <> r.asked_by and h."LabeledAt" >= r.asked_at and h."TrueLabel1" is not null
    )
),
every as (
    select d."NodeID", d."Date", case
        when a."NodeID" is not null then 0
        when (d."TrueLabel1", d."TrueLabel2") is not distinct from (s."TrueLabel1", s."TrueLabel2") then 1
        else 2
    end as kind
    from clean.dynalabel as d left join asked as a using ("NodeID", "Date") left join clean.label_suspect as s using ("NodeID", "Date")
    where d."LabeledBy" <> $1
    union all
    select a."NodeID", a."Date", 0 from asked as a
    where not exists (select from clean.dynalabel as d where d."NodeID" = a."NodeID" and d."Date" = a."Date" and d."LabeledBy" <> $1)
),
placed as (
    select e."NodeID", e."Date", e.kind,
        e.kind || lpad(to_hex(hashtextextended(e."NodeID", extract(epoch from e."Date")::bigint)), 16, '0') as place
    from every as e left join own as o using ("NodeID", "Date") where o."TrueLabel1" is null
)
select * from placed where place > $3 order by place limit $2::int
"""


def to_see_again(
    source: Warehouse | Transaction, person: str, limit: int, after: str = ""
) -> list[dict[str, Any]]:
    """Choose cards of which a person could give a second opinion.

    Parameters
    ----------
    source : Warehouse or Transaction
    person : str
        Who will be asked; cards that he has labelled himself are left out.
    limit : int
        Cards at most.
    after : str
        ``place`` of the last card that has been shown already.

    Returns
    -------
    list of dict
        ``NodeID``, ``Date``, ``kind`` (0 somebody asks for it, 1 the newest training doubts the label, 2 any other labelled card) and ``place``, in this
        order and by chance within each kind; what others have said is not told.
    """
    rows: list[dict[str, Any]] = source.query(_AGAIN, (person, limit, after)).to_pylist()
    return rows


def ask_opinion(tx: Transaction, node: str, time: datetime, person: str, now: datetime) -> None:
    """Note that a person would like to know what somebody else sees on a card; asked again, the time is the newer one."""
    tx.execute(
        'insert into analysis.opinion_request ("NodeID", "Date", asked_by, asked_at) values ($1, $2::timestamp, $3, $4::timestamp) '
        'on conflict ("NodeID", "Date", asked_by) do update set asked_at = excluded.asked_at',
        (node, time, person, now),
    )


def progress(source: Warehouse | Transaction, person: str, today: date) -> dict[str, Any]:
    """Tell how far the labelling is.

    Parameters
    ----------
    source : Warehouse or Transaction
    person : str
        Whose share is told too.
    today : date
        In the field's local time.

    Returns
    -------
    dict
        ``cards`` and ``wells`` with a label, ``mine``, ``mine_today``, and ``waiting`` in the queue.
    """
    row: dict[str, Any] = source.query(
        'select count(*) as cards, count(distinct d."NodeID") as wells, count(*) filter (where d."LabeledBy" = $1) as mine, '
        'count(*) filter (where d."LabeledBy" = $1 and d."LabeledAt" >= $2::date) as mine_today, '
        "(select count(*) from clean.label_queue as q where not exists (select from clean.dynalabel as l "
        'where l."NodeID" = q."NodeID" and l."Date" = q."Date")) as waiting from clean.dynalabel as d',
        (person, today),
    ).to_pylist()[0]
    return row


def counts_of_labels(source: Warehouse | Transaction) -> dict[str, int]:
    """Count the cards of each label in force, the most frequent first."""
    rows = source.query(
        'select l.label, count(*) as cards from clean.dynalabel, unnest(array["TrueLabel1", "TrueLabel2"]) as l(label) '
        "where l.label is not null group by 1 order by 2 desc, 1"
    )
    return dict(zip(rows["label"].to_pylist(), rows["cards"].to_pylist(), strict=True))


def newest_labels(source: Warehouse | Transaction, person: str, limit: int) -> list[dict[str, Any]]:
    """Read what a person has said last, taken back or not, the newest first."""
    rows: list[dict[str, Any]] = source.query(
        'select * from clean.dynalabel_history where "LabeledBy" = $1 order by "LabeledAt" desc limit $2::int',
        (person, limit),
    ).to_pylist()
    return rows


def pairs_of_opinions(source: Warehouse | Transaction) -> list[tuple[frozenset[str], frozenset[str], int]]:
    """Read what each two people said last of the same card: both sets of labels, and of how many cards they said so."""
    rows = source.query(
        f"""
        with {_SAID}
        select a.texts as one, b.texts as other, count(*) as cards from said as a join said as b using ("NodeID", "Date")
        where a.person < b.person group by 1, 2
        """
    ).to_pylist()
    return [(frozenset(row["one"]), frozenset(row["other"]), row["cards"]) for row in rows]


def labels_in_force(warehouse: Warehouse, *, history: bool = False) -> pa.Table:
    """Read labels with who gave them and when.

    Parameters
    ----------
    warehouse : Warehouse
    history : bool
        Every label ever given, instead of those in force.

    Returns
    -------
    pyarrow.Table
        NodeID, Date, TrueLabel1, TrueLabel2, LabeledBy (the person where one was named, else the file), LabeledAt; by well, time and age.
    """
    source = "clean.dynalabel_history" if history else "clean.dynalabel"
    return warehouse.query(
        f'select h."NodeID", h."Date", h."TrueLabel1", h."TrueLabel2", {_PEOPLE} as "LabeledBy", h."LabeledAt" '
        f'from {source} as h {_SOURCES} order by h."NodeID", h."Date", h."LabeledAt", 5'
    )


def disagreements(warehouse: Warehouse | Transaction) -> list[dict[str, Any]]:
    """Find cards that people have labelled differently.

    Parameters
    ----------
    warehouse : Warehouse

    Returns
    -------
    list of dict
        ``NodeID``, ``Date``, and ``labels``: the newest label of each person (or file, where no person was named), oldest first, each
        with ``labels``, ``by``, ``at`` and ``in_force``. The order of two labels is no difference, and a label that was taken back says nothing.
    """
    rows = warehouse.query(
        f"""
        with {_SAID},
        differing as (
            select "NodeID", "Date" from said group by "NodeID", "Date" having count(distinct texts) > 1
        )
        select e."NodeID", e."Date", e.person, e."LabeledAt", e.texts,
            (d."LabeledBy" = e."LabeledBy" and d."LabeledAt" = e."LabeledAt") as in_force
        from said as e
        join differing using ("NodeID", "Date")
        join clean.dynalabel as d using ("NodeID", "Date")
        order by e."NodeID", e."Date", e."LabeledAt", e.person
        """
    ).to_pylist()
    found: dict[tuple[str, Any], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["NodeID"], row["Date"]), []).append(
            {"labels": row["texts"], "by": row["person"], "at": row["LabeledAt"], "in_force": row["in_force"]}
        )
    return [{"NodeID": node, "Date": when, "labels": labels} for (node, when), labels in found.items()]


def suspects(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Read the labels that the newest training doubts, the surest first; those changed since are left out.

    Parameters
    ----------
    warehouse : Warehouse

    Returns
    -------
    list of dict
        Rows of ``clean.label_suspect``, LabeledBy the person where one was named.
    """
    rows: list[dict[str, Any]] = warehouse.query(
        f"""
        select h."NodeID", h."Date", h."TrueLabel1", h."TrueLabel2", h.doubted, h.suggested, h.doubt_pct,
            {_PEOPLE} as "LabeledBy", h."LabeledAt", h."ModelVersion"
        from clean.label_suspect as h {_SOURCES}
        join clean.dynalabel as d using ("NodeID", "Date")
        where (d."TrueLabel1", d."TrueLabel2") is not distinct from (h."TrueLabel1", h."TrueLabel2")
        order by h.doubt_pct desc, h."NodeID", h."Date"
        """
    ).to_pylist()
    return rows


def name_person(warehouse: Warehouse, source_file: str, person: str) -> None:
    """Keep who labelled the cards of a file."""
    with warehouse.transaction() as tx:
        tx.execute(
            "insert into oasis.label_source (source_file, person) values ($1, $2) "
            "on conflict (source_file) do update set person = excluded.person",
            (source_file, person),
        )
