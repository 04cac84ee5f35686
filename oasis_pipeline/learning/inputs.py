"""From cards, wells and findings to what the features are computed from: one way for stored cards and for simulated ones.

Belongs here: which pump card a row gets, and what is known of its pump. Does not belong here: reading a warehouse (``assets``), the
features (``features``), the diagnosis (``physics``).

The pump card is computed from the surface card where the rods are known. It is not diagnosed a second time: damping and phase come from
the findings (``clean.carddiag``), and one run of the solver with them gives the card that the diagnosis read: by ``balance_damping``, whatever
damping pump cards are given with, for the packaged models were taught on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.cards.canonical import TimeForm, shape_form, shape_form_column
from oasis_pipeline.cards.timed import time_curves
from oasis_pipeline.learning.features import (
    SHAPE_POINTS,
    TIME_POINTS,
    CardContext,
    CardShapes,
    Columns,
    History,
    WellBounds,
    card_features,
    card_signatures,
)
from oasis_pipeline.learning.pump_features import DIAGNOSED, READINGS, PumpKnowledge
from oasis_pipeline.learning.seed_method import seed_features
from oasis_pipeline.physics.diagnosis.again import pump_cards_again
from oasis_pipeline.physics.diagnosis.pump_cards import HARMONICS, discharge_psi, read
from oasis_pipeline.physics.diagnosis.well import WellColumns
from oasis_pipeline.physics.fluids import plunger_area_in2

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Findings:
    """What the diagnosis found of n cards, and the wells that it was told.

    Attributes
    ----------
    diagnosed : mapping of str to ndarray, shape (n,)
        `pump_features.DIAGNOSED` columns, NaN where there is nothing.
    wells : WellColumns
    well : ndarray of int, shape (n,)
        Which of them each card belongs to.
    """

    diagnosed: Mapping[str, NDArray[np.floating]]
    wells: WellColumns
    well: NDArray[np.intp]


@dataclass(frozen=True)
class CardInputs:
    """What the features of some cards are computed from.

    Attributes
    ----------
    surface, pump : CardShapes or None
        None where none of the rows has that card; the pump card computed where it can be, else the controller's.
    controller : CardShapes or None
        The controller's pump cards.
    context : CardContext
    """

    surface: CardShapes | None
    pump: CardShapes | None
    controller: CardShapes | None
    context: CardContext

    @classmethod
    def of(
        cls,
        surface: TimeForm,
        pump: TimeForm,
        spm: NDArray[np.floating],
        fillage_pct: NDArray[np.floating],
        *,
        bounds: WellBounds | None = None,
        findings: Findings | None = None,
        history: History | None = None,
        usual: Mapping[str, NDArray[np.floating]] | None = None,
    ) -> CardInputs:
        """Gather them.

        Parameters
        ----------
        surface, pump : TimeForm
            Surface cards and the controller's pump cards of the same n rows; no points where a card is missing.
        spm, fillage_pct : ndarray, shape (n,)
        bounds : WellBounds, optional
        findings : Findings, optional
        history : History, optional
        usual : mapping of str to ndarray, optional
            What the rows' wells usually show (`usual.usual_columns`).
        """
        own, controller = _shapes(surface), _shapes(pump)
        known, computed = None, None
        if findings is not None:
            x, f = _computed(own, surface.is_open, findings, np.asarray(spm, np.float64))
            computed = np.asarray(np.isfinite(f).all(axis=1))
            known = _knowledge(findings, x, f, computed, controller, np.asarray(spm, np.float64))
        best = controller
        if known is not None and computed is not None and computed.any():
            best = _joined(known, computed, controller)
        context = CardContext(
            spm=spm,
            fillage_pct=fillage_pct,
            bounds=bounds,
            physics=known,
            history=history,
            controller=_missing(len(spm)) if controller is None and best is not None else controller,
            usual=usual,
        )
        return cls(own, best, controller, context)

    def features(self, answered: bool = True) -> Columns:
        """Compute the features of the rows, the networks' answers too or not."""
        return card_features(self.surface, self.pump, self.context, answered)

    def signatures(self) -> NDArray[np.float32]:
        """Return one normalised curve a row, by which doubles are found."""
        return card_signatures(self.surface, self.pump)

    def load_curves(self) -> NDArray[np.float32]:
        """Return the loads of the surface card and of the pump card as shares of their ranges, shape (n, 2, SHAPE_POINTS); NaN where a card is missing."""
        cards = [
            None if shapes is None else card_signatures(shapes, None) for shapes in (self.surface, self.pump)
        ]
        given = next(curves for curves in cards if curves is not None)
        return np.stack(
            [np.full_like(given, np.nan) if curves is None else curves for curves in cards], axis=1
        )

    def seed_features(self) -> NDArray[np.float32]:
        """Compute the earlier platform's features, which knew the controller's pump card only."""
        return seed_features(self.surface, self.controller, self.context.bounds)


def _shapes(form: TimeForm) -> CardShapes | None:
    if form.column.offsets[-1] == 0:
        return None
    return CardShapes(*shape_form_column(form, SHAPE_POINTS), *time_curves(form, TIME_POINTS))


def _missing(rows: int) -> CardShapes:
    nothing = np.full((rows, SHAPE_POINTS), np.nan, np.float32)
    return CardShapes(nothing, nothing)


def _computed(
    surface: CardShapes | None, is_open: NDArray[np.bool_], findings: Findings, spm: Array
) -> tuple[Array, Array]:
    """Pump cards computed from surface cards, rows of NaN where they can't be."""
    count = len(findings.well)
    x, f = np.full((count, TIME_POINTS), np.nan), np.full((count, TIME_POINTS), np.nan)
    if surface is None or surface.time_position_in is None or surface.time_load_lbf is None:
        return x, f
    damping, phase = (
        np.asarray(findings.diagnosed[name]) for name in ("balance_damping", "position_phase_deg")
    )
    can = surface.present & ~np.asarray(is_open, bool) & findings.wells.has_rods[findings.well]
    rows = np.flatnonzero(can & (spm > 0) & np.isfinite(damping) & np.isfinite(phase))
    if len(rows):
        x[rows], f[rows] = pump_cards_again(
            surface.time_position_in[rows].astype(np.float64),
            surface.time_load_lbf[rows].astype(np.float64),
            findings.wells,
            findings.well[rows],
            spm[rows],
            damping[rows],
            phase[rows],
            HARMONICS,
        )
    return x, f


def _knowledge(
    findings: Findings,
    x: Array,
    f: Array,
    computed: NDArray[np.bool_],
    controller: CardShapes | None,
    spm: Array,
) -> PumpKnowledge:
    wells, well = findings.wells, findings.well
    if (
        controller is not None
        and controller.time_position_in is not None
        and controller.time_load_lbf is not None
    ):
        x = np.where(computed[:, None], x, controller.time_position_in)
        f = np.where(computed[:, None], f, controller.time_load_lbf)
    readings = {name: np.full(len(well), np.nan) for name in READINGS}
    rows = np.flatnonzero(np.isfinite(x).all(axis=1) & np.isfinite(f).all(axis=1) & (spm > 0))
    if len(rows):
        got = read(x[rows], x[rows], f[rows], wells, well[rows], spm[rows])
        for name in READINGS:
            readings[name][rows] = got[name]
    with_rods = np.where(wells.has_rods, 1.0, np.nan)[well]
    area = plunger_area_in2(wells.plain["plunger_diameter_in"])
    impedance = wells.rods.stiffness_lbf[:, 0] / (12.0 * wells.rods.wave_speed_ft_per_s[:, 0])
    return PumpKnowledge(
        {name: findings.diagnosed[name] for name in DIAGNOSED},
        readings,
        with_rods * wells.buoyant_weight_lbf[well],
        (area * discharge_psi(wells))[well],
        with_rods * wells.rods.stretch_in_per_lbf[well],
        with_rods * impedance[well],
        x,
        f,
        computed,
    )


def _joined(known: PumpKnowledge, computed: NDArray[np.bool_], controller: CardShapes | None) -> CardShapes:
    """Shapes of the computed pump cards, and of the controller's where there are none."""
    x, f = (np.asarray(curve, np.float32) for curve in (known.pump_position_in, known.pump_load_lbf))
    position, load = (np.full((len(x), SHAPE_POINTS), np.nan, np.float32) for _ in range(2))
    position[computed], load[computed] = shape_form(x[computed], f[computed], SHAPE_POINTS)
    if controller is not None:
        position = np.where(computed[:, None], position, controller.position_in)
        load = np.where(computed[:, None], load, controller.load_lbf)
    return CardShapes(position, load, x, f)
