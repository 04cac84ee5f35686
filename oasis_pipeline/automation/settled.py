"""Whether a pass has nothing to do, told without loading the graph.

A pass that leaves nothing stale, failed or waiting notes what it rests on: the ledger, the models, the code, and the files of the home folder.
While all of it is as it was, the next pass would find the same. Who deletes the note costs a pass some seconds, nothing else.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import oasis_pipeline
from oasis_pipeline.operations.dbt_project import project_digest, views_current
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.postgres import Warehouse

SETTLED_FILE = "settled"
_STATES = """
select concat_ws('/',
    (select md5(string_agg(s::text, '|' order by s.asset, s.partition)) from oasis.asset_state as s),
    (select md5(string_agg(m::text, '|' order by m::text)) from
        (select name, version, in_use, is_base from oasis.model) as m),
    (select md5(string_agg(r::text, '|' order by r::text)) from oasis.prediction_request as r)
) as digest
"""


def is_settled(warehouse: Warehouse, settings: Settings) -> bool:
    """Say whether all is as the last pass left it, which left nothing to do."""
    try:
        noted = (settings.home / SETTLED_FILE).read_text("utf-8")
    except OSError:
        return False
    return views_current(warehouse) and noted == _digest(warehouse, settings)


def note_settled(warehouse: Warehouse, settings: Settings) -> None:
    """Note that nothing is left to do."""
    with suppress(OSError):
        (settings.home / SETTLED_FILE).write_text(_digest(warehouse, settings), "utf-8")


def forget_settled(settings: Settings) -> None:
    """Have the next pass look for itself."""
    (settings.home / SETTLED_FILE).unlink(missing_ok=True)


def _digest(warehouse: Warehouse, settings: Settings) -> str:
    told = hashlib.sha256(warehouse.query(_STATES)["digest"][0].as_py().encode())
    told.update(project_digest().encode())
    for path in sorted(settings.home.glob("*.toml")):
        told.update(path.name.encode() + b"\0" + path.read_bytes())
    root = Path(oasis_pipeline.__file__).parent
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            found = path.stat()
            told.update(f"{path.relative_to(root)} {found.st_size} {found.st_mtime_ns}\n".encode())
    return told.hexdigest()
