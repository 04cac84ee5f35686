"""Where the dbt project lies and which one it is; apart from ``dbt``, so that a look at it imports neither Dagster nor dbt."""

from __future__ import annotations

import hashlib
from pathlib import Path

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
