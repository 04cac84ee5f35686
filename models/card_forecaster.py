"""Learn the base model of card forecasts from the tuning fields and put it into the package.

Here: a simulated field summed up by day, and from there to the artifact. Not here: which fields (``forecast_fields``), and how well it
forecasts (``studies.card_forecast``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.forecast_fields import TUNING, CardField, card_field
from models.provenance import provenance
from oasis_pipeline.learning.card_forecast import learn as learning
from oasis_pipeline.learning.card_forecast import model as models
from oasis_pipeline.learning.card_forecast.candidates import candidates_of
from oasis_pipeline.learning.card_forecast.history import CardDays, card_states, days_of_cards

FIRST_DAY = 20_000
"""Day number of the first day of a simulated field."""


@dataclass(frozen=True)
class Prepared:
    """A field's days with the truth beside."""

    days: CardDays
    begin: NDArray[np.int64]
    severity: NDArray[np.float64]
    field: CardField


def prepare(field: CardField, first_well: int = 0) -> Prepared:
    """Sum a field up by day; a workover is known the day after the first card that follows it."""
    states = card_states(field.position_in, field.load_lbf)
    good = np.isfinite(states).all(axis=1)
    days = days_of_cards(field.well + first_well, field.day + FIRST_DAY, states)
    key = (field.well[good] + first_well) * 10_000_000 + np.floor(field.day[good]).astype(np.int64)
    newest = np.searchsorted(key, days.well * 10_000_000 + days.day - FIRST_DAY, side="right") - 1
    workovers = field.workovers[good][newest]
    begin = np.full(len(days), -(10**9))
    for at in np.flatnonzero(np.r_[False, (np.diff(days.well) == 0) & (np.diff(workovers) > 0)]).tolist():
        later = (days.well == days.well[at]) & (days.day > days.day[at])
        begin[later] = days.day[at]
    return Prepared(days, begin, field.severity[good][newest], field)


def joined(parts: list[Prepared]) -> tuple[CardDays, NDArray[np.int64]]:
    """Fields side by side."""
    names = CardDays.__dataclass_fields__
    days = CardDays(**{name: np.concatenate([getattr(p.days, name) for p in parts]) for name in names})
    return days, np.concatenate([p.begin for p in parts])


def write_base(cache: Path) -> None:
    """Learn the base model from the tuning fields, and write it into the package."""
    days, begin = joined(
        [prepare(card_field(kind, seed, cache), 1000 * at) for at, (kind, seed) in enumerate(TUNING)]
    )
    known = candidates_of(days, None, begin)
    evidence = [learning.evidence_of(days, known, hours) for hours in models.HORIZONS_HOURS]
    model, _ = learning.learn(evidence, days, int(days.day.max()) + 1, None)
    manifest = {
        "state_version": models.STATE_VERSION,
        "simulated": True,
        "fields": [f"{kind} {seed}" for kind, seed in TUNING],
        "pairs": len(evidence[0].issued),
        **provenance(),
    }
    data, sha256 = models.save_forecaster(model, manifest)
    target = Path(models.__file__).parent / "base.model"
    target.write_bytes(data)
    print(f"{target.name}: {len(data)} bytes, sha256 {sha256}")
