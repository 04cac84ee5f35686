"""The reference of all tables, made from the schema source so that it can't drift from it.

Here: Markdown. Not here: what the tables are.
"""

from __future__ import annotations

import textwrap

from oasis_pipeline.schema.model import Table, Type
from oasis_pipeline.schema.tables import DROP_KINDS, TABLES

_HEAD = """# Tables

For everybody who queries the database or the API: every table, column, unit and key. Made from the
schema source by `make reference`; the suite checks that it is current. Columns taken over from the
vendor keep their names and must be quoted in SQL; the platform's own are in lower case. Types are
PostgreSQL's. A time without a zone is the field's local time.

The views `xspoc.card_xdiag`, `xspoc.merged` and `clean.winpred` stand in `dbt_sql/`.
"""


def tables_markdown() -> str:
    """Describe every table.

    Returns
    -------
    str
        One section a schema, one table a table; the two columns of points of a card are one line.
    """
    feeds = {kind.table.asset: kind.name for kind in DROP_KINDS.values()}
    parts = [_HEAD]
    for schema in sorted({table.schema for table in TABLES}):
        parts.append(f"\n## Schema `{schema}`\n")
        parts.extend(_section(table, feeds.get(table.asset)) for table in TABLES if table.schema == schema)
    return "".join(parts)


def _section(table: Table, kind: str | None) -> str:
    key = ", ".join(f"`{name}`" for name in table.key)
    fed = f" From `{kind}` files." if kind else ""
    if table.partition_by_day:
        fed += f" Partitioned by range of `{table.time_column}`."
    if table.name.endswith("_history") and "ValidFrom" in table.key:
        current = table.name.removesuffix("_history")
        text = _wrapped(f"{table.description} Columns of `{current}`, and `ValidFrom`. Key: {key}.")
        return f"\n### `{table.schema}.{table.name}`\n\n{text}\n"
    text = _wrapped(f"{table.description}{fed} Key: {key}.")
    lines = [
        f"\n### `{table.schema}.{table.name}`\n\n{text}\n\n| column | type | unit | |\n|---|---|---|---|\n"
    ]
    for column in table.columns:
        if column.type is Type.POINTS and column.name.endswith("_load"):
            continue
        name, unit = f"`{column.name}`", column.unit
        if column.type is Type.POINTS:
            name, unit = f"{name}, `{column.name.removesuffix('_position')}_load`", "in, lbf"
        required = " not null" if column.required or column.name in table.key else ""
        lines.append(f"| {name} | {column.type.sql}{required} | {unit} | {column.description} |\n")
    return "".join(lines)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)
