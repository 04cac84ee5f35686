"""Spelling of wells: one shown spelling for each well, the same in every table.

Here: looking up and registering spellings, and renaming a well everywhere when WellDetails brings its own spelling.
Not here: cleaning of a NodeID (``values``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.intake.marks import Marks
from oasis_pipeline.intake.values import node_key
from oasis_pipeline.schema import TABLES, Kind, quote, table
from oasis_pipeline.schema.xspoc_tables import NODE_TABLE
from oasis_pipeline.storage.postgres import Transaction

WELLDETAILS = table("xspoc", "welldetails")


class Spellings:
    """Shown spellings of the wells of one file, looked up as they come.

    Parameters
    ----------
    tx : Transaction
        The file's transaction; it has to hold the intake lock.
    """

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._shown: dict[str, str] = {}
        self._from_details: dict[str, bool] = {}

    def __len__(self) -> int:
        """Return the number of wells looked up so far."""
        return len(self._shown)

    def show(self, nodes: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Replace cleaned NodeIDs by their shown spelling; wells never seen are registered as they stand.

        Parameters
        ----------
        nodes : pyarrow.StringArray, shape (n,)
            Cleaned; nulls stay.

        Returns
        -------
        pyarrow.StringArray, shape (n,)
        """
        whole = nodes.combine_chunks() if isinstance(nodes, pa.ChunkedArray) else nodes
        coded = pc.dictionary_encode(whole)
        texts: list[str] = coded.dictionary.to_pylist()
        self._look_up(texts)
        shown = pa.array([self._shown[node_key(text)] for text in texts], pa.string())
        return shown.take(coded.indices)

    def _look_up(self, texts: Iterable[str]) -> None:
        unknown = [text for text in texts if node_key(text) not in self._shown]
        if not unknown:
            return
        keys = sorted({node_key(text) for text in unknown})
        stored = self._tx.query(
            f'SELECT node_key, "NodeID", from_welldetails FROM {NODE_TABLE.full_name} '
            "WHERE node_key = ANY($1::text[])",
            (keys,),
        ).to_pylist()
        for row in stored:
            self._shown[row["node_key"]] = row["NodeID"]
            self._from_details[row["node_key"]] = row["from_welldetails"]
        first: dict[str, str] = {}
        for text in unknown:
            if node_key(text) not in self._shown:
                first.setdefault(node_key(text), text)
        self._register(first, from_details=False)

    def _register(self, spellings: dict[str, str], *, from_details: bool) -> None:
        if not spellings:
            return
        self._tx.upsert(
            NODE_TABLE,
            pa.table(
                {
                    "node_key": pa.array(list(spellings), pa.string()),
                    "NodeID": pa.array(list(spellings.values()), pa.string()),
                    "from_welldetails": pa.array([from_details] * len(spellings)),
                }
            ),
        )
        self._shown |= spellings
        self._from_details |= dict.fromkeys(spellings, from_details)

    def take_from_details(self, nodes: Iterable[str], stamp: datetime, marks: Marks) -> None:
        """Make the spellings of a WellDetails file the shown ones, and rename the wells that stood otherwise.

        Parameters
        ----------
        nodes : iterable of str
            Cleaned, in file order; of two spellings of one well the last one counts.
        stamp : datetime
            The file's. A spelling that came with a newer file stays.
        marks : Marks
            Gets what the renaming changed.
        """
        wanted = {node_key(text): text for text in nodes}
        if not wanted:
            return
        self._look_up(wanted.values())
        newer = self._tx.query(
            f'SELECT "NodeID" FROM {WELLDETAILS.full_name} WHERE file_stamp > $1::timestamp AND "NodeID" = ANY($2::text[])',
            (stamp, [self._shown[key] for key in wanted]),
        )["NodeID"].to_pylist()
        keep = {node_key(text) for text in newer}
        changed = {
            key: text
            for key, text in wanted.items()
            if key not in keep and (self._shown[key] != text or not self._from_details[key])
        }
        renamed = {self._shown[key]: text for key, text in changed.items() if self._shown[key] != text}
        self._register(changed, from_details=True)
        if renamed:
            _rename(self._tx, renamed, marks)


def _rename(tx: Transaction, renamed: dict[str, str], marks: Marks) -> None:
    """Rename wells in every table; the days that hold them are marked, so that derived files are made again."""
    old, new = list(renamed), list(renamed.values())
    for each in TABLES:
        if "NodeID" not in each.by_name or each is NODE_TABLE:
            continue
        source = each.schema == "xspoc" and each.kind is Kind.SERIES and each.time_column
        if source:
            days = tx.query(
                f"SELECT DISTINCT ({quote(each.time_column or '')}::date)::text AS day FROM {each.full_name} "
                'WHERE "NodeID" = ANY($1::text[])',
                (old,),
            )["day"].to_pylist()
            marks.days(each, days)
        count = tx.execute(
            f'UPDATE {each.full_name} AS t SET "NodeID" = m.new FROM unnest($1::text[], $2::text[]) AS m(old, new) '
            'WHERE t."NodeID" = m.old',
            (old, new),
        )
        if count and each.kind is Kind.STATE and not each.name.endswith("_history"):
            marks.whole(each)
