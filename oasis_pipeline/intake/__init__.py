"""Drop files into the warehouse: read, validated, loaded, archived, deleted.

Here: everything between the drop folder and the tables it feeds. Not here: what is derived from these tables.

``files`` knows names and has bytes read (``readers``) into columns of text (``chunks``), ``values`` turns columns of text into values, ``blobs`` into
cards, ``rules`` tells rows that can be used from those that can't, ``nodes`` spells wells, ``load`` (with ``equipment``,
``labels`` and ``failures``) is the one transaction of a file, ``drop_folder``, ``archive`` and ``intake`` are its life around it,
``reload`` is the way back from the archive.
"""

from oasis_pipeline.intake.archive import ArchiveError
from oasis_pipeline.intake.intake import PassReport, left_files, take_in
from oasis_pipeline.intake.load import FileReport
from oasis_pipeline.intake.reload import reload_days

__all__ = [
    "ArchiveError",
    "FileReport",
    "PassReport",
    "left_files",
    "reload_days",
    "take_in",
]
