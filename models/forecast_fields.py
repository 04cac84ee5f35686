"""Simulated fields that forecasts of cards and trends are tuned and tested on, with their seeds in one place.

Seeds were fixed before anything was tuned. Settings are chosen on `TUNING`; `TEST` is for the figures of the documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.cards.canonical import shape_form
from oasis_pipeline.simulation.episodes import FieldKind
from oasis_pipeline.simulation.field import make_field

WELLS, DAYS, CARDS_PER_DAY = 40, 120, 2
"""Size of a field; two cards a day keep the simulation short."""

TUNING: tuple[tuple[FieldKind, int], ...] = (
    (FieldKind.DEMONSTRATION, 501),
    (FieldKind.DEMONSTRATION, 502),
    (FieldKind.GROWING, 511),
    (FieldKind.GROWING, 512),
    (FieldKind.DECOYS, 521),
    (FieldKind.DECOYS, 522),
)
TEST: tuple[tuple[FieldKind, int], ...] = (
    (FieldKind.GROWING, 611),
    (FieldKind.GROWING, 612),
    (FieldKind.GROWING, 613),
    (FieldKind.DECOYS, 621),
    (FieldKind.DECOYS, 622),
    (FieldKind.DECOYS, 623),
    (FieldKind.DEMONSTRATION, 601),
)


@dataclass(frozen=True)
class CardField:
    """Pump cards of a simulated field in shape form, ordered by well, then time.

    Attributes
    ----------
    well : ndarray of int, shape (n,)
    day : ndarray, shape (n,)
        Days since the start of the field.
    position_in, load_lbf : ndarray of float32, shape (n, 100)
        Shape form of the controller's pump card.
    severity : ndarray, shape (n, 12)
        True severities.
    workovers : ndarray of int, shape (n,)
        How often the well had been worked over by then.
    quantities : dict of str to ndarray
        What trends are made of: fillage by the controller, strokes per minute, true production.
    """

    well: NDArray[np.int64]
    day: NDArray[np.float64]
    position_in: NDArray[np.float32]
    load_lbf: NDArray[np.float32]
    severity: NDArray[np.float64]
    workovers: NDArray[np.int64]
    quantities: dict[str, NDArray[np.float64]]


_PLAIN = ("well", "day", "position_in", "load_lbf", "severity", "workovers")


def card_field(kind: FieldKind, seed: int, cache: Path) -> CardField:
    """Simulate a field, or read it again from the cache folder.

    Parameters
    ----------
    kind : FieldKind
    seed : int
    cache : Path
        Folder for what was simulated before; made where it does not exist.

    Returns
    -------
    CardField
    """
    path = cache / f"{kind}_{seed}_{WELLS}x{DAYS}x{CARDS_PER_DAY}.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        field = make_field(WELLS, DAYS, seed, cards_per_day=CARDS_PER_DAY, kind=kind)
        batch, times = field.batch, field.times
        order = np.lexsort((times.day, times.well))
        position, load = shape_form(batch.pump_position_in[order], batch.pump_load_lbf[order])
        part = path.with_suffix(".part.npz")
        np.savez_compressed(
            part,
            well=times.well[order],
            day=times.day[order],
            position_in=position.astype(np.float32),
            load_lbf=load.astype(np.float32),
            severity=times.severity[order],
            workovers=times.workovers[order],
            quantity_fillage_pct=batch.fillage_pct[order],
            quantity_spm=batch.wells.spm[order],
            quantity_production_bpd=batch.truth["inferred_production_bpd"][order],
        )
        part.rename(path)
    with np.load(path) as found:
        plain = {name: found[name] for name in _PLAIN}
        prefix = "quantity_"
        return CardField(
            **plain,
            quantities={name.removeprefix(prefix): found[name] for name in found if name.startswith(prefix)},
        )


def main() -> None:
    """Simulate every field into a folder: ``python -m models.forecast_fields FOLDER``."""
    import sys
    import time

    for kind, seed in (*TUNING, *TEST):
        begin = time.perf_counter()
        field = card_field(kind, seed, Path(sys.argv[1]))
        print(kind, seed, len(field.day), "cards", round(time.perf_counter() - begin), "s", flush=True)


if __name__ == "__main__":
    main()
