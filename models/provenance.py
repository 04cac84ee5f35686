"""What a model of the package was made with: the part of its manifest that all of them share."""

from __future__ import annotations

import hashlib
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from oasis_pipeline import __version__
from oasis_pipeline.learning.features import FEATURE_VERSION
from oasis_pipeline.simulation.cards import FIELD_VERSION

LIBRARIES = ("numpy", "scikit-learn")


def provenance(*rests_on: Path) -> dict[str, Any]:
    """Say which release, libraries, simulator and features make a model, and which files it rests on.

    Parameters
    ----------
    *rests_on : Path
        Files of other models that this one is made with.

    Returns
    -------
    dict
        Entries of the manifest.
    """
    return {
        "release": __version__,
        "libraries": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in LIBRARIES},
        },
        "simulator": FIELD_VERSION,
        "feature_version": FEATURE_VERSION,
        "rests_on": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in rests_on},
    }
