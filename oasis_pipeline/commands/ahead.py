"""What a first pass needs and no data decides: dbt's manifest and machine code, made in a process of their own while a field is simulated.

Here: what is made ahead, and the process. Not here: the pass, which makes what is not there when it needs it.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CARDS, POINTS, PUMP_POINTS = 4, 200, 100


@contextmanager
def preparing(home: Path) -> Iterator[None]:
    """Prepare on another core; what is not ready when the block ends is dropped.

    Parameters
    ----------
    home : Path
        Home folder, which exists.
    """
    process = multiprocessing.get_context("spawn").Process(target=_prepare, args=(home,), daemon=True)
    process.start()
    try:
        yield
    finally:
        if process.is_alive():
            process.terminate()
        process.join()


def _prepare(home: Path) -> None:
    # what goes wrong here goes wrong again where it is needed, and is told there
    with suppress(Exception, KeyboardInterrupt):
        from oasis_pipeline.assets.dbt import prepare
        from oasis_pipeline.settings import load_settings

        prepare(load_settings(home))
    with suppress(Exception, KeyboardInterrupt):
        compile_card_steps()


def compile_card_steps() -> None:
    """Diagnose a few drawn cards and take their features, so that Numba keeps the machine code of both beside the sources."""
    import numpy as np

    from oasis_pipeline.learning.base import simulated_training_set
    from oasis_pipeline.simulation import conditions
    from oasis_pipeline.simulation.cards import CardBatch
    from oasis_pipeline.simulation.equipment import make_wells

    wells = make_wells(CARDS, np.random.default_rng(0))
    low = wells.rods.buoyant_weight_lbf(wells.fluid_gravity)[:, None]

    def card(points: int, below: float) -> tuple[np.ndarray, np.ndarray]:
        turn = np.linspace(0.0, 2.0 * np.pi, points, endpoint=False)
        height = wells.stroke_in[:, None] * 0.5 * (1.0 - np.cos(turn))
        return height, low * below + wells.fluid_load_lbf[:, None] * (np.sin(turn) > 0.0)

    severity = np.zeros((CARDS, len(conditions.LABELS)))
    severity[:, conditions.FULL] = 1.0
    surface, pump = card(POINTS, 1.0), card(PUMP_POINTS, 0.0)
    simulated_training_set(
        CardBatch(
            np.arange(CARDS),
            wells,
            severity,
            conditions.name_cards(severity),
            *surface,
            *pump,
            *pump,
            np.full(CARDS, 100.0),
            {},
            np.ones(CARDS, np.bool_),
            np.ones(CARDS, np.bool_),
            wells,
        )
    )
