"""A rod-pumped field made by other physics and other habits than the packaged simulator's, to judge the platform on.

    python -m benchmarks.foreign FOLDER --seed N [--wells 40] [--days 120]

writes ``FOLDER/drop`` (what the platform takes in) and ``FOLDER/truth`` (what it never sees). docs/foreign-world.md says which
choices were made. Choices of the platform are made on `DEVELOPMENT_SEEDS`; `JUDGED_SEEDS` are for the figures that are told, and for
nothing else. No packaged model is taught by this field, by either kind of seed.

Belongs here: everything of that field. Does not belong here: an import of ``oasis_pipeline.simulation`` or of the predictive model in
``oasis_pipeline.physics``; a test sees to it.
"""

from __future__ import annotations

DEVELOPMENT_SEEDS = (7101, 7102, 7103)
JUDGED_SEEDS = (8807, 8808, 8809)
ASKED_SEEDS = (8801, 8802, 8803, 8804, 8805, 8806)
"""Judged seeds that classes have been asked of once: their figures have been told, so they judge no later choice."""
