"""Models: which one predicts, how good it is beside the baselines, what it confuses, and those before it; administrators choose.

Here: the page. Not here: the registry (``operations.registry``), and how a model comes into use by itself (``operations.training``).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect

from oasis_pipeline.learning.scores import confusion
from oasis_pipeline.operations.registry import find_model, models_of, use_model
from oasis_pipeline.service.access import Remembered, asking
from oasis_pipeline.service.middleware import note
from oasis_pipeline.service.pages.shared import PageError, page, render_page
from oasis_pipeline.service.roles import allowed
from oasis_pipeline.service.warehouse import installation, reading, warehouse, writing
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.objects import open_store

CLASSIFIER = "dyna_classifier"
WORDS = {
    CLASSIFIER: ("Classes of cards", "says what each card shows"),
    "card_forecaster": (
        "Next cards",
        "forecasts the next cards with a band; learned anew for each Monday, and each keeps its weeks",
    ),
    "failure_forecaster": (
        "Failures",
        "forecasts failures within 3 to 30 days; learned at cut-offs, and each keeps its days",
    ),
    "run_life": (
        "Run life",
        "forecasts how long components last; learned at cut-offs, and each keeps its days",
    ),
}
SHOWN_VERSIONS = 12
"""Of each name, the newest ones; all on request."""

DRIFT_DAYS = 7
"""Days whose drift is measured; it takes seconds, so that it is done on request and remembered for a while."""
_drifts: Remembered[list[dict[str, Any]]] = Remembered(300.0)

_PREDICTED_BY = """
select 'Classes of cards' as what, "ModelVersion" as version, max("Date") as until, count(*) as rows from clean.dynapred
    where "Date" > (select max("Date") - interval '7 days' from clean.dynapred) group by 2
union all select 'Next cards', "ModelVersion", max("IssuedAt"), count(*) from clean.cardpred
    where "IssuedAt" > (select max("IssuedAt") - interval '7 days' from clean.cardpred) group by 2
union all select 'Failures', "ModelVersion", max("Date"), count(*) from clean.xpred
    where "Date" > (select max("Date") - interval '7 days' from clean.xpred) group by 2
union all select 'Run life', "ModelVersion", max("Date"), count(*) from clean.runlife
    where "Date" > (select max("Date") - interval '7 days' from clean.runlife) group by 2
order by 1, 3 desc, 2
"""


@page("models")
def show(request: HttpRequest) -> HttpResponseBase:
    """Show the models, one of them closely."""
    version, name = request.GET.get("version"), request.GET.get("name")
    if "\x00" in (version or "") + (name or ""):
        raise PageError(400, "That can't be shown", "a version has no NUL")
    with reading() as tx:
        every = models_of(tx)
        predicted = tx.query(_PREDICTED_BY).to_pylist()
    chosen = _chosen(every, version, name)
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in every:
        groups.setdefault(row["name"], []).append(row)
    whole = request.GET.get("all") == "1"
    return render_page(
        request,
        "pages/models.html",
        {
            "title": "Models",
            "predicted": predicted,
            "chosen": _closely(chosen) if chosen else None,
            "groups": [_group(key, groups[key], whole) for key in sorted(groups, key=_place)],
            "may_choose": allowed(asking(request).roles, "models", "POST"),
            "classifier": CLASSIFIER,
        },
    )


def _place(name: str) -> tuple[int, str]:
    known = list(WORDS)
    return (known.index(name) if name in known else len(known), name)


def _chosen(every: list[dict[str, Any]], version: str | None, name: str | None) -> dict[str, Any] | None:
    if version is None:
        return next((row for row in every if row["name"] == CLASSIFIER and row["in_use"]), None)
    found = [row for row in every if row["version"] == version and name in (None, row["name"])]
    if not found:
        raise PageError(404, "No such model", f"the registry has no model {version[:100]}")
    return found[0]


def _group(name: str, rows: list[dict[str, Any]], whole: bool) -> dict[str, Any]:
    shown = rows if whole else rows[:SHOWN_VERSIONS] + [row for row in rows[SHOWN_VERSIONS:] if row["in_use"]]
    used = next((row for row in rows if row["in_use"]), None)
    title, does = WORDS.get(name, (name, ""))
    return {
        "name": name,
        "title": title,
        "does": does,
        "can_choose": name == CLASSIFIER,
        "left_out": len(rows) - len(shown),
        "rows": [_entry(row, used) for row in shown],
    }


def _entry(row: dict[str, Any], used: dict[str, Any] | None) -> dict[str, Any]:
    """A line of the history."""
    manifest = row["manifest"]
    promotion = manifest.get("promotion") or {}
    best = _scores(manifest)
    return {
        "name": row["name"],
        "version": row["version"],
        "created_at": row["created_at"],
        "in_use": row["in_use"],
        "is_base": row["is_base"],
        "cards": manifest.get("cards"),
        "wells": manifest.get("wells"),
        "macro_f1": best[0].get("macro_f1") if best else None,
        "refused": promotion.get("reason") if promotion.get("promoted") is False else None,
        "older": used is not None and row["created_at"] < used["created_at"],
    }


def _scores(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (manifest.get("metrics") or {}).get("models") or []
    return found


def _closely(row: dict[str, Any]) -> dict[str, Any]:
    """Everything that is shown of one model."""
    manifest = row["manifest"]
    metrics = manifest.get("metrics") or {}
    scored = _scores(manifest)
    best = scored[0] if scored else {}
    classes = sorted((best.get("per_class") or {}).items(), key=lambda pair: -pair[1].get("cards", 0))
    promotion = manifest.get("promotion") or {}
    return {
        "name": row["name"],
        "title": WORDS.get(row["name"], (row["name"], ""))[0],
        "version": row["version"],
        "created_at": row["created_at"],
        "in_use": row["in_use"],
        "is_base": row["is_base"],
        "cards": manifest.get("cards"),
        "wells": manifest.get("wells"),
        "scheme": metrics.get("scheme"),
        "folds": metrics.get("folds"),
        "scores": scored,
        "best": best,
        "classes": [{"label": label, **figures} for label, figures in classes],
        "unlearned": sorted((manifest.get("unlearned") or {}).items()),
        "risk": _risk_svg(best.get("risk_coverage") or []),
        "reliability": _reliability_svg(best.get("reliability") or []),
        "confusion": _confusion(row) if row["name"] == CLASSIFIER and classes else None,
        "promotion": promotion.get("reason"),
        "facts": _facts(manifest) if not scored else [],
    }


_LEFT_OUT = ("version", "created", "kind", "format", "name")


def _facts(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """What the manifest of a model without such scores says in single words and figures."""
    flat: list[tuple[str, str]] = []
    for name, value in manifest.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for key, single in inner:
            if isinstance(single, (str, int, float)) and name not in _LEFT_OUT:
                text = f"{single:.4g}" if isinstance(single, float) else str(single)
                flat.append((f"{name} {key}".strip().replace("_", " "), text))
    return flat[:40]


def _risk_svg(points: list[list[float]], width: int = 380, height: int = 130) -> str:
    """Draw the share of wrong first classes among the surest cards over their share; empty without points."""
    known = [(float(share), float(risk)) for share, risk in points]
    if len(known) < 2:
        return ""
    most = max(0.05, *(risk for _, risk in known))
    line = "L".join(
        f"{46 + share * (width - 54):.1f} {height - 18 - risk / most * (height - 30):.1f}"
        for share, risk in known
    )
    return (
        f'<svg class="curve" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="Share of wrong classes among the surest cards: {100 * known[0][1]:.0f} % of the surest {100 * known[0][0]:.0f} %, {100 * known[-1][1]:.0f} % of all">'
        f'<path d="M46 {height - 18}H{width - 8}M46 8V{height - 18}" stroke="var(--strong-line)" fill="none"/>'
        f'<path d="M{line}" stroke="var(--risk)" stroke-width="1.8" fill="none"/>'
        f'<text x="42" y="14" class="tick" text-anchor="end">{100 * most:.0f} %</text><text x="42" y="{height - 16}" class="tick" text-anchor="end">0</text>'
        f'<text x="{width - 8}" y="{height - 4}" class="tick" text-anchor="end">all cards</text><text x="46" y="{height - 4}" class="tick">surest</text></svg>'
    )


def _reliability_svg(bins: list[list[float]], size: int = 240) -> str:
    """Draw the share of right first classes over the probability that was stated; the size of a point is its share of the cards."""
    if not bins:
        return ""
    left, low = 46.0, size - 22.0
    width = size - left - 8.0

    def place(stated: float, reached: float) -> tuple[float, float]:
        return left + stated * width, low - reached * (low - 8.0)

    cards = sum(count for _, _, count in bins)
    points = [
        (
            *place(stated, reached),
            2.0 + 7.0 * (count / cards) ** 0.5,
            f"{100 * stated:.0f} % stated, {100 * reached:.0f} % right, {count:,.0f} cards",
        )
        for stated, reached, count in bins
    ]
    (x0, y0), (x1, y1) = place(0.0, 0.0), place(1.0, 1.0)
    return (
        f'<svg class="curve" viewBox="0 0 {size} {size}" width="{size}" height="{size}" role="img" '
        f'aria-label="Right first classes over the probability that was stated: {"; ".join(point[3] for point in points)}">'
        f'<path d="M{x0} {y0}H{x1}M{x0} {y1}V{y0}" stroke="var(--strong-line)" fill="none"/>'
        f'<path d="M{x0} {y0}L{x1} {y1}" stroke="var(--line)" stroke-dasharray="3 3"/>'
        + "".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="var(--surface)"><title>{text}</title></circle>'
            for x, y, radius, text in points
        )
        + f'<text x="42" y="14" class="tick" text-anchor="end">100 %</text><text x="42" y="{y0 + 4}" class="tick" text-anchor="end">0</text>'
        f'<text x="{x1}" y="{size - 6}" class="tick" text-anchor="end">stated: 100 %</text></svg>'
    )


def _confusion(row: dict[str, Any]) -> dict[str, Any] | None:
    """What the held-out folds of its training said of labelled cards; None where that was not kept or can't be read."""
    path = f"models/{CLASSIFIER}/{row['version']}.cards.parquet"
    try:
        taught = open_store(installation()).read_table(path)
    except StorageError:
        return None
    if "shown" not in taught.column_names:
        return None
    classes = list(row["manifest"].get("classes") or [])
    pairs = zip(taught["TrueLabel1"].to_pylist(), taught["TrueLabel2"].to_pylist(), strict=True)
    truth = np.array([[name in pair for name in classes] for pair in pairs], bool).reshape(-1, len(classes))
    said = [shown or [] for shown in taught["shown"].to_pylist()]
    table = confusion(
        truth,
        np.array([[name in shown for name in classes] for shown in said], bool).reshape(-1, len(classes)),
    )
    lines = []
    for place, label in enumerate(classes):
        cards = int(truth[:, place].sum())
        cells = [
            {
                "cards": float(count),
                "right": other == place,
                "share": round(100 * float(count) / max(cards, 1)),
            }
            for other, count in enumerate(table[place])
        ]
        lines.append({"label": label, "cells": cells, "cards": cards})
    return {"classes": classes, "lines": lines}


@page("models")
def show_drift(request: HttpRequest) -> HttpResponseBase:
    """Show whether the cards of the newest days still look like those that the classifier in use has learned."""
    # brings Dagster along, which most other pages do not need
    from oasis_pipeline.learning.drift import LEAST_WELLS
    from oasis_pipeline.operations.days import Days
    from oasis_pipeline.operations.drift import drift_of_days, load_reference

    with reading() as tx:
        used = next((row for row in models_of(tx, CLASSIFIER) if row["in_use"]), None)
        newest = tx.query('select max("Date")::date as day from clean.dynapred')["day"][0].as_py()
    store = open_store(installation())
    reference = load_reference(store, used["version"]) if used is not None else None
    days: list[dict[str, Any]] = []
    if used is not None and reference is not None and newest is not None:
        span = Days(newest - timedelta(days=DRIFT_DAYS - 1), newest)
        days = _drifts.get(
            (used["version"], newest), lambda: [_day(each) for each in drift_of_days(store, reference, span)]
        )
    groups = next((list(day["index"]) for day in days if day["index"]), [])
    context = {
        "title": "Drift",
        "here": "/models",
        "used": used,
        "has_reference": reference is not None,
        "groups": groups,
        "days": [{**day, "cells": [day["index"].get(group) for group in groups]} for day in days],
        "least_wells": LEAST_WELLS,
        "days_looked_at": DRIFT_DAYS,
    }
    return render_page(request, "pages/models_drift.html", context)


def _day(found: Any) -> dict[str, Any]:
    """Drift of one day: by group of features the index as a share of its limit, and what moved most."""
    drift = found.drift
    if drift is None:
        return {"day": found.day, "cards": None, "wells": None, "index": {}}
    return {
        "day": found.day,
        "cards": drift.cards,
        "wells": drift.wells,
        "index": {
            group: {
                "value": value,
                "limit": drift.limit[group],
                "share": round(100.0 * value / drift.limit[group]) if drift.limit[group] else 0,
                "moved": drift.feature[group].replace("_", " "),
                "beyond": group in drift.drifted,
            }
            for group, value in drift.index.items()
        },
    }


@page("models")
def use(request: HttpRequest) -> HttpResponseBase:
    """Let a version predict from now on, as ``oasis models use`` does."""
    if request.method != "POST":
        raise PageError(405, "Not by a link", "a model is chosen by the button of its line")
    name, version = request.POST.get("name", ""), request.POST.get("version", "")
    # brings Dagster along, which no other page needs
    from oasis_pipeline.operations.predictions import check_fits

    if name != CLASSIFIER or "\x00" in version:
        raise PageError(
            400,
            "That can't be chosen",
            "only classifiers are chosen by hand; every other model keeps the days it was learned for",
        )
    try:
        row = find_model(warehouse(), version, name)
        check_fits(row)
    except ValueError as error:
        raise PageError(409, "That model can't predict", str(error)) from None
    with writing():
        use_model(warehouse(), name, version)
    note(request, model=version)
    return HttpResponseRedirect("/models", status=303)
