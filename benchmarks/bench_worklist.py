"""The worklist against the truth of simulated fields: how much of the oil that is truly lost stands in its first rows.

Each field gets what a real one has: wells that stop sending although they pump, a vendor whose rates are off for good, tests that were
not approved, come late, or were taken while the well was down. The platform itself makes the list (`oasis run` on a home of its own); what a
vendor and radios do wrong over the weeks is put into the finished summaries of the days, and status and list are made again from them.

With ``WORKLIST_HOMES`` set to a folder the homes stay there and are used again.

Here: fields, truth, and what the list is compared with. Not here: how a list is made.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SEEDS = tuple(int(seed) for seed in os.environ.get("WORKLIST_SEEDS", "501,502,503").split(","))
WELLS, DAYS = (int(size) for size in os.environ.get("WORKLIST_FIELD", "24,40").split(","))
CARDS_PER_DAY = 2
LOOKED_AT = 10
"""Last days of each field on which the list is judged."""

FIRST_DAY = date(2025, 1, 1)
PAST_DAYS, UPPER_LEVEL = 90, 0.8
VENDOR_OFF = 0.25
"""Standard deviation of the error for good of the vendor's rate, from well to well (logarithm)."""


def disturb(home: Path, rng: np.random.Generator) -> None:
    """Spoil a simulated drop folder as real fields do: two wells fall silent for good, and there are tests that are worth nothing."""
    drop = home / "drop"
    details = [pd.read_csv(path, dtype=str) for path in sorted(drop.glob("WellDetails.*.csv"))]
    nodes = sorted(set(pd.concat(details)["NodeID"]))
    silent = rng.choice(nodes, 2, replace=False).tolist()
    since = datetime.combine(FIRST_DAY, datetime.min.time()) + timedelta(days=DAYS - 6)
    for path in sorted(drop.glob("*.csv")):
        if path.name.split(".")[0] not in ("CardData", "XDiagResults", "XDiagRodResults"):
            continue
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        name = rows["NodeID"].str.replace("#", "").str.split().str.join(" ").str.lower()
        gone = name.isin([node.lower() for node in silent]) & (
            pd.to_datetime(rows["Date"], errors="coerce") >= since
        )
        if gone.any():
            rows[~gone].to_csv(path, index=False)
    failures = pd.read_csv(home / "failures.csv", parse_dates=["Start", "End"])
    tests: list[tuple[datetime, list[Any]]] = [
        (row.Start + timedelta(days=1), [row.NodeID, True, 24, 0.3, 0.4])
        for row in failures.itertuples()
        if (row.End - row.Start) > timedelta(days=2)
    ]
    for node in rng.choice(nodes, 6, replace=False).tolist():
        day = int(rng.integers(5, DAYS - 1))
        moment = datetime.combine(FIRST_DAY + timedelta(days=day), datetime.min.time()) + timedelta(hours=7)
        tests.append((moment, [node, False, 24, float(rng.uniform(0, 200)), float(rng.uniform(0, 400))]))
    for number, (moment, values) in enumerate(tests):
        written = min(
            moment + timedelta(days=2),
            datetime.combine(FIRST_DAY, datetime.min.time()) + timedelta(days=DAYS),
        )
        path = drop / f"WellTests.E2E.{written:%Y%m%d}.{400 + number:04d}.csv"
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["NodeID", "TestDate", "Approved", "Duration", "OilRate", "WaterRate"])
            writer.writerow([values[0], f"{moment:%Y-%m-%d %H:%M:%S}", *values[1:]])


def spoil_days(home: Path, seed: int) -> None:
    """Put an error of its own on the vendor's rate of each well, and take days without data out of half of the wells, once.

    The wells go on pumping on such days, so that a silence of the past was a failure or was none.
    """
    from oasis_pipeline.settings import load_settings
    from oasis_pipeline.storage.installation import using_warehouse

    mark = home / "spoilt"
    if mark.exists():
        return
    rng = np.random.default_rng([seed, 6])
    with using_warehouse(load_settings(home)) as warehouse, warehouse.transaction() as tx:
        nodes = sorted(set(tx.query('select "NodeID" from clean.wellsummary')["NodeID"].to_pylist()))
        for node, off in zip(
            nodes, np.exp(VENDOR_OFF * rng.standard_normal(len(nodes))).tolist(), strict=True
        ):
            tx.execute(
                'update clean.wellsummary set vendor_production_bpd = vendor_production_bpd * $2 where "NodeID" = $1',
                (node, off),
            )
        for node in rng.choice(nodes, len(nodes) // 2, replace=False).tolist():
            first = FIRST_DAY + timedelta(days=int(rng.integers(6, DAYS - 12)))
            last = first + timedelta(days=int(rng.integers(1, 5)))
            tx.execute(
                'delete from clean.wellsummary where "NodeID" = $1 and "Date" between $2::date and $3::date',
                (node, first, last),
            )
    mark.touch()


def list_again(home: Path) -> None:
    """Make status and list of all days from the summaries of the days as they are."""
    from oasis_pipeline.decisions import Economics
    from oasis_pipeline.operations.days import Days, store_days
    from oasis_pipeline.operations.well_status import status_rows
    from oasis_pipeline.operations.worklist import worklist_rows
    from oasis_pipeline.schema import table
    from oasis_pipeline.settings import load_settings
    from oasis_pipeline.storage.installation import using_warehouse

    days = Days(FIRST_DAY, FIRST_DAY + timedelta(days=DAYS - 1))
    with using_warehouse(load_settings(home)) as warehouse:
        store_days(warehouse, table("clean", "wellstatus"), status_rows(warehouse, days), days)
        store_days(warehouse, table("clean", "worklist"), worklist_rows(warehouse, days, Economics()), days)


def true_loss(home: Path) -> pd.DataFrame:
    """Oil that each well truly makes, could make and loses, by day; whether it is down. Index (well, day)."""
    details = pd.concat(
        [pd.read_csv(path) for path in sorted((home / "drop_kept").glob("WellDetails.*.csv"))]
    )
    cut = details.groupby("NodeID")["WaterCut"].last() / 100.0
    truth = pd.read_csv(home / "truth.csv", parse_dates=["Date"])
    truth["day"] = truth["Date"].dt.date
    days = [FIRST_DAY + timedelta(days=number) for number in range(DAYS)]
    # a well that leaks more than it lifts makes nothing; one that sends nothing makes what it made
    made = truth.pivot_table(index="NodeID", columns="day", values="inferred_production_bpd").clip(lower=0.0)
    made = made.reindex(columns=days).ffill(axis=1)
    failures = pd.read_csv(home / "failures.csv", parse_dates=["Start", "End"])
    rows = []
    for well, rate in made.iterrows():
        oil = rate.to_numpy(dtype=float) * (1.0 - cut[well])
        mine = failures[failures["NodeID"] == well]
        for number, day in enumerate(days):
            end = datetime.combine(day, datetime.min.time()) + timedelta(days=1)
            down = bool(((mine["Start"] < end) & (mine["End"] > end)).any())
            ended = mine.loc[mine["End"] < end, "End"]
            begin = 0 if ended.empty else (ended.max().date() - FIRST_DAY).days + 1
            past = oil[max(begin, number - PAST_DAYS + 1) : number + 1]
            past = past[np.isfinite(past)]
            if not len(past):
                past = oil[: number + 1][np.isfinite(oil[: number + 1])]
            best = float(np.quantile(past, UPPER_LEVEL)) if len(past) else 0.0
            now = 0.0 if down else (oil[number] if np.isfinite(oil[number]) else best)
            rows.append((well, day, now, best, max(best - now, 0.0), down, rate.iloc[number]))
    return pd.DataFrame(
        rows, columns=["NodeID", "Date", "oil", "attainable", "lost", "down", "liquid"]
    ).set_index(["NodeID", "Date"])


def make_home(seed: int, home: Path) -> None:
    """Simulate, spoil and run one field; in those of an even seed most faults that grow end without a failure."""
    import shutil

    from oasis_pipeline.automation.passes import run_pass
    from oasis_pipeline.settings import load_settings
    from oasis_pipeline.simulation.episodes import FieldKind
    from oasis_pipeline.simulation.field import simulate_field

    kind = FieldKind.DEMONSTRATION if seed % 2 else FieldKind.DECOYS
    simulate_field(home, WELLS, DAYS, seed, cards_per_day=CARDS_PER_DAY, start=FIRST_DAY, kind=kind)
    disturb(home, np.random.default_rng([seed, 5]))
    shutil.copytree(home / "drop", home / "drop_kept")
    run_pass(load_settings(home)).raise_failures()
    (home / "finished").touch()


def orders(warehouse: Any, day: date) -> dict[str, list[str]]:
    """Wells in the order of each way to list them, as known at the end of a day."""
    listed = warehouse.query(
        'select "NodeID" from clean.worklist where "Date" = $1::date order by rank', (day,)
    )["NodeID"].to_pylist()
    end = datetime.combine(day + timedelta(days=1), datetime.min.time())
    newest = warehouse.query(
        'select distinct on ("NodeID") "NodeID", "Label1", "Prob1" from clean.dynapred where "Date" < $1 '
        'order by "NodeID", "Date" desc',
        (end,),
    ).to_pylist()
    troubled = sorted(
        (row for row in newest if row["Label1"] not in ("Full Pump", "Unknown")),
        key=lambda row: (-row["Prob1"], row["NodeID"]),
    )
    tests = warehouse.query(
        'select "NodeID", max("OilRate") - (array_agg("OilRate" order by "TestDate" desc))[1] as drop from xspoc.welltest '
        'where "Approved" and "TestDate" < $1 group by 1 order by 2 desc, 1',
        (end,),
    )["NodeID"].to_pylist()
    return {
        "worklist": listed,
        "newest card, surest trouble first": [row["NodeID"] for row in troubled],
        "best test less newest test": tests,
    }


def share(order: Iterable[str], lost: Mapping[str, float], rows: int) -> float:
    """Share of the truly lost oil in the first rows of an order."""
    total = sum(lost.values())
    return sum(lost.get(node, 0.0) for node in list(order)[:rows]) / total if total else 1.0


def judge(home: Path) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Compare a finished home with the truth, day by day; gives shares, and trusted against true rates."""
    from oasis_pipeline.settings import load_settings
    from oasis_pipeline.storage.installation import using_warehouse

    truth = true_loss(home)
    found = []
    with using_warehouse(load_settings(home)) as warehouse:
        for number in range(DAYS - LOOKED_AT, DAYS):
            day = FIRST_DAY + timedelta(days=number)
            of_day = truth.xs(day, level="Date")
            lost = of_day["lost"].to_dict()
            ways = orders(warehouse, day)
            ways["oracle of the truth"] = sorted(lost, key=lambda node: (-lost[node], node))
            for name, order in ways.items():
                found.append(
                    {"day": day, "way": name, **{f"first {n}": share(order, lost, n) for n in (5, 10)}}
                )
            state = {
                row["NodeID"]: (row["state"], row["rank"], row["action"])
                for row in warehouse.query(
                    'select s."NodeID", s.state, w.rank, w.action from clean.wellstatus s join clean.worklist w '
                    'using ("NodeID", "Date") where s."Date" = $1::date',
                    (day,),
                ).to_pylist()
            }
            for node in of_day.index[of_day["down"]]:
                known = state.get(node)
                found.append(
                    {"day": day, "way": "down", "well": node, "listed": known is not None, "known": known}
                )
        rates = warehouse.query(
            'select s."NodeID", s."Date", s."Label1", s.production_bpd, s.production_lower_bpd, s.production_upper_bpd, '
            "s.production_source, s.inferred_production_bpd, cardinality(s.disagreements) as said, s.state from clean.wellstatus s"
        ).to_pandas()
    rates["Date"] = pd.to_datetime(rates["Date"]).dt.date
    rates = rates.join(truth, on=["NodeID", "Date"])
    return found, rates


def rows() -> list[dict[str, Any]]:
    """Table of the benchmark."""
    kept = os.environ.get("WORKLIST_HOMES")
    shares: list[dict[str, Any]] = []
    rates: list[pd.DataFrame] = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory(prefix="oasis-") as folder:
            home = Path(kept or folder) / str(seed) / "home"
            if not (home / "finished").exists():
                make_home(seed, home)
            spoil_days(home, seed)
            list_again(home)
            found, of_field = judge(home)
            shares += [{**row, "seed": seed} for row in found]
            rates.append(of_field)
    table = pd.DataFrame([row for row in shares if row["way"] != "down"])
    down = pd.DataFrame([row for row in shares if row["way"] == "down"])
    out = []
    for way, part in table.groupby("way", sort=False):
        for rows_shown in (5, 10):
            column = part[f"first {rows_shown}"]
            out.append(
                {
                    "name": f"{way}: share of the lost oil in the first {rows_shown} rows",
                    "figure": float(column.mean()),
                    "unit": "",
                    "note": f"{column.quantile(0.1):.2f} on the worst tenth of {len(column)} days",
                }
            )
    if len(down):
        out.append(
            {
                "name": "down wells that are on the list",
                "figure": float(down["listed"].mean()),
                "unit": "",
                "note": f"{len(down)} well days",
            }
        )
    out += production_rows(pd.concat(rates))
    return out


def production_rows(rates: pd.DataFrame) -> list[dict[str, Any]]:
    """Trusted and inferred production against the truth, by class."""
    rates = rates[(rates["state"] == "pumping") & rates["liquid"].notna() & rates["production_bpd"].notna()]
    out: list[dict[str, Any]] = []

    def add(name: str, part: pd.DataFrame) -> None:
        truth = np.maximum(part["liquid"].to_numpy(float), 5.0)
        for column, word in (("inferred_production_bpd", "inferred"), ("production_bpd", "trusted")):
            wrong = 100.0 * np.abs(part[column].to_numpy(float) - part["liquid"].to_numpy(float)) / truth
            wrong = wrong[np.isfinite(wrong)]
            if len(wrong):
                out.append(
                    {"name": f"{name}: {word} production, median error", "figure": float(np.median(wrong)), "unit": "%",
                     "note": f"{np.quantile(wrong, 0.95):.0f} % at the 95th percentile, {len(wrong)} well days"}
                )  # fmt: skip

    add("all", rates)
    for label, part in rates.groupby("Label1"):
        if len(part) >= 20:
            add(str(label), part)
    inside = (rates["liquid"] >= rates["production_lower_bpd"] - 0.5) & (
        rates["liquid"] <= rates["production_upper_bpd"] + 0.5
    )
    out.append(
        {"name": "true rate inside the 90 % interval", "figure": float(100.0 * inside.mean()), "unit": "%"}
    )
    truth = np.maximum(rates["liquid"], 5.0)
    bad = (np.abs(rates["production_bpd"] - rates["liquid"]) / truth) > 0.5
    out.append(
        {"name": "errors over 50 % without a sentence", "figure": float((bad & (rates["said"] == 0)).sum()), "unit": "well days",
         "note": f"of {int(bad.sum())} errors over 50 %, {len(rates)} well days"}
    )  # fmt: skip
    return out
