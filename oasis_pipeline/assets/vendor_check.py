"""Our diagnosis beside the vendor's: an asset check that shows differences and warns, and never blocks.

Here: the check. Not here: which columns say the same thing (``vendor_pairs``), the other checks (``checks``).
"""

from __future__ import annotations

import dagster as dg

from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.vendor_pairs import PAIRS, Pair
from oasis_pipeline.schema import quote
from oasis_pipeline.storage.postgres import Warehouse

NAME = "like_the_vendors"


def _columns(pair: Pair) -> str:
    ours, theirs = f"d.{quote(pair.ours)}", f"x.{quote(pair.theirs)}"
    middle = "percentile_cont({}) within group (order by {})"
    return (
        f"count(abs({ours} - {theirs})) as {quote('n_' + pair.ours)}, "
        f"{middle.format(0.5, f'{ours} - {theirs}')} as {quote('bias_' + pair.ours)}, "
        f"{middle.format(0.5, f'abs({ours} - {theirs})')} as {quote('median_' + pair.ours)}, "
        f"{middle.format(0.95, f'abs({ours} - {theirs})')} as {quote('p95_' + pair.ours)}, "
        f"{middle.format(0.5, f'abs({theirs})')} filter (where {ours} is not null) as {quote('size_' + pair.ours)}"
    )


_QUERY = (
    f"select {', '.join(_columns(pair) for pair in PAIRS)} "
    'from clean.carddiag as d join xspoc.xdiagresults as x using ("NodeID", "Date") '
    'where d."Date" >= $1 and d."Date" < $2'
)


def compare_with_vendor(warehouse: Warehouse, span: Days) -> dg.AssetCheckResult:
    """Compare the diagnosis of some days with the vendor's results of the same cards.

    Parameters
    ----------
    warehouse : Warehouse
    span : Days

    Returns
    -------
    AssetCheckResult
        Passed where no median difference is above what its `Pair` allows, and where there is nothing to compare.
        Differences in the metadata: median of ours - theirs, median and 95th percentile of its size.
    """
    row = warehouse.query(_QUERY, (span.begin, span.end)).to_pylist()[0]
    far, lines = [], []
    for pair in PAIRS:
        count, bias, median, p95, size = (
            row[f"{what}_{pair.ours}"] for what in ("n", "bias", "median", "p95", "size")
        )
        if not count:
            continue
        allowed = max(pair.least, pair.share * (size or 0.0))
        if median > allowed:
            far.append(f"{pair.ours} by {median:,.1f} {pair.unit}")
        lines.append(
            f"| {pair.ours} | {pair.theirs} | {pair.unit} | {count:,} | {bias:,.1f} | {median:,.1f} | {p95:,.1f} | {allowed:,.1f} |"
        )
    heading = [
        "| ours | vendor's | unit | cards | median of ours - theirs | median size | p95 size | allowed median |"
    ]
    return dg.AssetCheckResult(
        check_name=NAME,
        passed=not far,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"median differs from the vendor's diagnosis: {', '.join(far)}" if far else None,
        metadata={
            "differences": dg.MetadataValue.md(
                "\n".join([*heading, "|---|---|---|---:|---:|---:|---:|---:|", *lines])
                if lines
                else "the vendor has no result for these cards"
            ),
            "days": f"{span.first} to {span.last}",
        },
    )
