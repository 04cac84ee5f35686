"""Where the dbt project lies and which one it is; apart from ``dbt``, so that a look at it imports neither Dagster nor dbt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from oasis_pipeline.storage.postgres import Warehouse

VIEWS = ("xspoc/merged", "xspoc/card_xdiag", "clean/winpred")
"""Views of the project."""

DAY_MODELS_VERSION = "1"
"""Code version of the models that hold days; raise it when their SQL gives other rows."""

_PACKAGE = Path(__file__).resolve().parents[1]


def project_folder() -> Path:
    """Find ``dbt_sql``: beside the package in a checkout, inside it where the package is installed."""
    beside = _PACKAGE.parent / "dbt_sql"
    return beside if (beside / "dbt_project.yml").exists() else _PACKAGE / "dbt_sql"


def project_digest() -> str:
    """Hash of the project's files: the same digest, the same SQL."""
    folder = project_folder()
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".sql", ".yml") and "target" not in file.parts:
            digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def views_current(warehouse: Warehouse) -> bool:
    """Whether every view is there and was made from the SQL as it is now."""
    marks = warehouse.query(
        "select obj_description(to_regclass(v)) as mark from unnest($1::text[]) as v", (_quoted(VIEWS),)
    )["mark"].to_pylist()
    return bool(marks == [_mark()] * len(VIEWS))


def mark_views(warehouse: Warehouse, views: Sequence[str]) -> None:
    """Note on views which SQL they were made from; dbt makes a view anew without its comment."""
    with warehouse.transaction() as tx:
        for view in _quoted(views):
            tx.execute(f"comment on view {view} is '{_mark()}'")


def _quoted(views: Sequence[str]) -> list[str]:
    return ['"' + view.replace("/", '"."') + '"' for view in views]


def _mark() -> str:
    return f"made from dbt project {project_digest()}"
