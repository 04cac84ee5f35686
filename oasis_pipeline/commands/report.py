"""The report of a field as one page that can be mailed: ``report.html``.

Here: what is read and how it is put into words. Not here: pictures (``plotting``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from oasis_pipeline.storage.postgres import Warehouse

HEALTHY = "Full Pump"
"""The one class that means no trouble; every other one is listed."""

_NEWEST = """
select distinct on ("NodeID") "NodeID" as well, "Date" as date, "Label1" as label, "Prob1" as prob, "Label2" as second
from clean.dynapred order by "NodeID", "Date" desc
"""

_DAILY = """
select distinct on ("NodeID", day) "NodeID" as well, day::text as day, "Label1" as label
from (
    select "NodeID", "Date"::date as day, "Label1", count(*) as n, max("Date") as latest
    from clean.dynapred group by 1, 2, 3
) as shown
order by "NodeID", day, n desc, latest desc
"""

_KINDS = """
select kind, count(*) as files, sum(rows)::bigint as rows, sum(stored)::bigint as stored,
    sum(superseded)::bigint as superseded, sum(rejected)::bigint as rejected
from oasis.file group by kind order by kind
"""

# Reasons name values; what is the same but for those is one kind of trouble.
_REASONS = """
select "Kind" || ': ' || min("Reason") as reason, count(*) as rows
from xspoc.rejected group by "Kind", regexp_replace("Reason", '[0-9''].*', '') order by 2 desc, 1 limit 20
"""


def field_facts(warehouse: Warehouse) -> dict[str, Any]:
    """Read the figures of a field.

    Parameters
    ----------
    warehouse : Warehouse
        Where to read.

    Returns
    -------
    dict
        ``wells``, ``cards``, ``predicted``, ``rejected``, ``days``, ``counts`` by class, ``kinds``, ``model`` (version and
        evaluation) - plain values, for tables and JSON.
    """
    one = warehouse.query(
        'select count(*) as cards, count(distinct "NodeID") as wells, count(distinct "Date"::date) as days, '
        'min("Date") as first, max("Date") as last from xspoc.card'
    ).to_pylist()[0]
    labels = warehouse.query(
        'select "Label1" as label, count(*) as n from clean.dynapred group by 1'
    ).to_pylist()
    model = warehouse.query(
        "select version, is_base, manifest::text as manifest from oasis.model where name = 'dyna_classifier' and in_use"
    ).to_pylist()
    manifest = json.loads(model[0]["manifest"]) if model else {}
    return {
        **one,
        "rejected": warehouse.query("select count(*) as n from xspoc.rejected")["n"][0].as_py(),
        "counts": {
            row["label"]: row["n"] for row in sorted(labels, key=lambda row: (-row["n"], row["label"]))
        },
        "predicted": sum(row["n"] for row in labels),
        "kinds": warehouse.query(_KINDS).to_pylist(),
        "model": {
            "version": model[0]["version"] if model else None,
            "is_base": model[0]["is_base"] if model else None,
            "evaluation": None if not model or model[0]["is_base"] else manifest["metrics"],
        },
    }


def write_report(warehouse: Warehouse, out: Path, *, title: str, simulated: bool) -> Path:
    """Write the report of a field.

    Parameters
    ----------
    warehouse : Warehouse
        Where to read.
    out : Path
        File to write.
    title : str
        Headline.
    simulated : bool
        Whether to say that the field is simulated.

    Returns
    -------
    Path
        ``out``.
    """
    from jinja2 import Environment, PackageLoader

    page = Environment(loader=PackageLoader("oasis_pipeline.commands", "."), autoescape=True).get_template(
        "report.html"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page.render(**_contents(warehouse, title, simulated)), encoding="utf-8")
    return out


def _contents(warehouse: Warehouse, title: str, simulated: bool) -> dict[str, Any]:
    from datetime import datetime

    from oasis_pipeline.assets.common import Days
    from oasis_pipeline.assets.pictures import BY_LABEL, pictures_of
    from oasis_pipeline.plotting.cards import cards_grid, class_shares, field_by_day
    from oasis_pipeline.plotting.style import class_colours, data_uri, new_figure

    facts = field_facts(warehouse)
    colours = class_colours(facts["counts"])
    daily = warehouse.query(_DAILY).to_pylist()
    newest = warehouse.query(_NEWEST).to_pylist()
    wells = sorted({row["well"] for row in daily})
    days = _calendar(sorted({row["day"] for row in daily}))
    label = np.full((len(wells), len(days)), None, dtype=object)
    for row in daily:
        label[wells.index(row["well"]), days.index(row["day"])] = row["label"]
    span = Days(facts["first"].date(), facts["last"].date()) if facts["cards"] else None
    examples = pictures_of(warehouse.query(BY_LABEL, (span.begin, span.end, 16))) if span else []
    scores = _scores(facts["model"]["evaluation"])
    figures = [
        (f"{facts['wells']:,}", "wells"),
        (f"{facts['cards']:,}", "cards stored"),
        (f"{facts['days']:,}", "days with cards"),
        (f"{facts['predicted']:,}", "cards classified"),
        (f"{facts['rejected']:,}", "rows rejected, with reason"),
    ]
    if scores:
        figures.append((scores[0]["macro_f1"], "macro F1 on wells held out"))
    empty = data_uri(new_figure(1, 0.2))
    return {
        "title": title,
        "subtitle": f"{facts['first']:%-d %B %Y} to {facts['last']:%-d %B %Y}" if span else "no cards yet",
        "figures": figures,
        "troubled": _troubled(newest, label, wells, colours),
        "wells": len(wells),
        "quiet": f"{HEALTHY} or Unknown",
        "field_picture": data_uri(field_by_day(wells, days, label, "", colours), 110) if wells else empty,
        "cards_picture": data_uri(cards_grid(examples), 110) if examples else empty,
        "shares_picture": data_uri(class_shares(facts["counts"], "Cards by first label", colours), 110)
        if wells
        else empty,
        "scores": scores,
        "scheme": (facts["model"]["evaluation"] or {}).get("scheme", ""),
        "simulated": simulated,
        "kinds": [
            {name: f"{v:,}" if isinstance(v, int) else v for name, v in row.items()} for row in facts["kinds"]
        ],
        "reasons": warehouse.query(_REASONS).to_pylist(),
        "footer": f"Model {facts['model']['version']}. Written by OASIS Pipeline, {datetime.now():%Y-%m-%d %H:%M}.",
    }


def _calendar(days: list[str]) -> list[str]:
    """Fill gaps, so that a silent day shows; a field with long gaps keeps only its days."""
    from datetime import date

    from oasis_pipeline.automation.staleness import DayRange

    if not days:
        return []
    every = DayRange(date.fromisoformat(days[0]), date.fromisoformat(days[-1])).keys()
    return every if len(every) <= 2 * len(days) + 7 else days


def _troubled(
    newest: list[dict[str, Any]], label: np.ndarray, wells: list[str], colours: dict[str, str]
) -> list[dict[str, Any]]:
    rows = []
    for row in newest:
        if row["label"] in (HEALTHY, "Unknown"):
            continue
        shown = label[wells.index(row["well"])]
        days = 0
        for value in shown[::-1]:
            if value is not None and value != row["label"]:
                break
            days += value is not None
        rows.append(
            {
                "well": row["well"],
                "date": f"{row['date']:%Y-%m-%d %H:%M}",
                "label": row["label"],
                "prob": f"{row['prob']:.0f}",
                "order": row["prob"],
                "second": row["second"] or "",
                "days": max(int(days), 1),
                "colour": colours[row["label"]],
            }
        )
    return sorted(rows, key=lambda row: (-row["order"], row["well"]))


def _scores(evaluation: dict[str, Any] | None) -> list[dict[str, str]]:
    if not evaluation:
        return []
    return [
        {
            "name": model["name"],
            "macro_f1": f"{model['macro_f1']:.2f}",
            "interval": f"{model['macro_f1_low']:.2f} to {model['macro_f1_high']:.2f}",
            "first": f"{model['first_label_right']:.0%}",
            "coverage": f"{model['coverage']:.0%}",
            "calibration": f"{model['calibration_error']:.3f}",
        }
        for model in evaluation["models"]
    ]
