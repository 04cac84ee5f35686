"""What people have said about cards: who, when, and where they disagree; and what to ask them next.

Here: the queries behind ``oasis labels`` and the page of labels. Not here: how the queue is made (``labelling``), and how labels come in
(``intake``).
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from oasis_pipeline.storage.postgres import Warehouse


def queue(warehouse: Warehouse, limit: int) -> list[dict[str, Any]]:
    """Read the head of the queue.

    Parameters
    ----------
    warehouse : Warehouse
    limit : int
        Cards at most.

    Returns
    -------
    list of dict
        Rows of ``clean.label_queue`` by rank; cards that have got a label since it was made are left out.
    """
    rows: list[dict[str, Any]] = warehouse.query(
        "select q.* from clean.label_queue q where not exists "
        '(select from clean.dynalabel d where d."NodeID" = q."NodeID" and d."Date" = q."Date") '
        "order by q.rank limit $1::int",
        (limit,),
    ).to_pylist()
    return rows


_PEOPLE = 'coalesce(s.person, h."LabeledBy")'
_SOURCES = 'left join oasis.label_source as s on s.source_file = h."LabeledBy"'


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


def disagreements(warehouse: Warehouse) -> list[dict[str, Any]]:
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
        with each as (
            select distinct on (h."NodeID", h."Date", {_PEOPLE})
                h."NodeID", h."Date", {_PEOPLE} as person, h."LabeledBy", h."LabeledAt",
                array(
                    select t from unnest(array[h."TrueLabel1", h."TrueLabel2"]) as t where t is not null order by t
                ) as texts
            from clean.dynalabel_history as h {_SOURCES}
            order by h."NodeID", h."Date", {_PEOPLE}, h."LabeledAt" desc
        ),
        said as (select * from each where cardinality(texts) > 0),
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
