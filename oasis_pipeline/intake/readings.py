"""Readings of a drop file into ``iot.rawdata``.

Here: counting what became of them, and modules that a file names before anybody registered them. Not here: what a row has to be
(``rules``), and the writing itself (``storage.readings``), which the data service shares.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.intake.marks import Marks
from oasis_pipeline.intake.rules import last_of_each
from oasis_pipeline.intake.unpacking import UnreadableFileError
from oasis_pipeline.storage.postgres import Transaction
from oasis_pipeline.storage.readings import CONFLICT, MODULE, RAWDATA, register_modules, store_readings

MAX_MODULES = 200_000
"""Modules that one file may register."""


class ReadingsOfFile:
    """The readings of one file, stored chunk by chunk.

    Parameters
    ----------
    tx : Transaction
        The file's.
    stamp : datetime
        The file's: a newer stamp wins over what an older file brought; what the data service took in stays.
    source_file : str
        For the warnings.
    marks : Marks
        Gets the days that changed.

    Attributes
    ----------
    stored, superseded : int
        Readings that stand in the table now, and those that lost to another one of the same key.
    """

    def __init__(self, tx: Transaction, stamp: datetime, source_file: str, marks: Marks) -> None:
        self._tx = tx
        self._stamp = stamp
        self._source_file = source_file
        self._marks = marks
        self._received_at = datetime.now(UTC)
        self._rows = 0
        self._new_modules: list[str] = []
        self._kept_of_service = 0
        self.stored = 0
        self.superseded = 0

    def add(self, rows: pa.Table) -> None:
        """Store the usable rows of one chunk.

        Parameters
        ----------
        rows : pyarrow.Table
            In file order.
        """
        if rows.num_rows == 0:
            return
        unique = last_of_each(rows, RAWDATA.key)
        added = register_modules(self._tx, pc.unique(unique["module_num"]).to_pylist())
        if added:
            self._new_modules += added
            if len(self._new_modules) > MAX_MODULES:
                raise UnreadableFileError(
                    f"it names more than {MAX_MODULES:,} unknown modules. Does the column module_num hold modules?"
                )
            self._marks.whole(MODULE, len(added))
        done = store_readings(
            self._tx,
            unique,
            file_stamp=self._stamp,
            received_at=self._received_at,
            first_row=self._rows,
            mark=False,
        )
        self._rows += unique.num_rows
        lost = done.count(CONFLICT)
        # of two rows of a key in one file one is superseded, and the other one was counted when the first came
        self.stored += unique.num_rows - lost - done.again
        self.superseded += rows.num_rows - unique.num_rows + lost + done.again
        self._kept_of_service += done.kept_of_service
        self._marks.counted_days(
            RAWDATA,
            {day.isoformat(): count for day, count in done.changed_days.items()},
            {day.isoformat(): count for day, count in done.days.items()},
        )

    def warnings(self) -> list[str]:
        """Say what a person should know of, one line each."""
        lines = []
        if self._new_modules:
            shown = ", ".join(self._new_modules[:5]) + (" ..." if len(self._new_modules) > 5 else "")
            lines.append(
                f"{self._source_file}: {len(self._new_modules)} modules were registered with type unknown ({shown});"
                " set their type in the administration site of the data service"
            )
        if self._kept_of_service:
            lines.append(
                f"{self._source_file}: {self._kept_of_service} readings differ from those that the data service stored for the same module"
                " and time; the stored ones are kept, the file is in the archive"
            )
        return lines
