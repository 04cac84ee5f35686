"""Every table of the platform, written down once.

Here: columns, types, units, keys and descriptions, and what is made from them (DDL, Arrow schemas). Not here: anything
that talks to a server, and any knowledge of how rows come to be.
"""

from oasis_pipeline.schema.model import Column, Kind, Table, Type, arrow_schema, create_table_sql, quote
from oasis_pipeline.schema.tables import (
    CARD_BLOBS,
    DROP_KINDS,
    TABLES,
    DropKind,
    card_columns,
    drop_kind,
    history_of,
    table,
)

__all__ = [
    "CARD_BLOBS",
    "DROP_KINDS",
    "TABLES",
    "Column",
    "DropKind",
    "Kind",
    "Table",
    "Type",
    "arrow_schema",
    "card_columns",
    "create_table_sql",
    "drop_kind",
    "history_of",
    "quote",
    "table",
]
