"""Learn the classifier of fields without labels from simulated cards, and put it into the package; a minute or two."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from models.provenance import provenance
from oasis_pipeline.learning.base import BASE_FILE, pack_base_model
from oasis_pipeline.learning.severities import NETWORK_FILE


def write_base(_: Path) -> None:
    """Learn the base classifier, and write it into the package."""
    data, sha256 = pack_base_model(
        datetime.now(UTC).isoformat(timespec="seconds"),
        **{name: value for name, value in provenance(NETWORK_FILE).items() if name != "feature_version"},
    )
    BASE_FILE.write_bytes(data)
    print(f"{BASE_FILE.name}: {len(data)} bytes, sha256 {sha256}")
