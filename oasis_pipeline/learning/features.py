"""The one feature set of the card classifiers.

Belongs here: numbers that describe a card, computed for many cards at once from their shape form and from what is
known about the moment they were recorded. The same function feeds training and prediction. Does not belong here:
reading or mending cards (``cards``), and what a model does with a missing value (``classifier``).

Each card that a row may have (surface, pump) gives one block of descriptors and one of curves with the same columns; both are NaN
where the card is missing. Three more blocks are NaN where nothing is known: the well's bounds, what the physics says (`pump_features`:
loads relative to rod weight and fluid load lines), and the change since the well's days before. The pump card is the one
computed from the surface card where the rods are known, else the controller's; what does not change with a well's size of the controller's own
is a further block.

A last block is what a network that was taught by simulated cards makes of the others (`severities`), once for each view: from that
view's cards alone, so that a model of one view never learns from a card that it will not see. After it comes what a second network makes of
the same beside what the well usually shows (`usual`), NaN where nothing is known of that.

The descriptors are for trees; the curves, samples of load and position in time, of load by position and of loads in ascending order, are
for models that compare whole cards (`kernel`).

Left out on purpose: the number of points and the share of zero loads. They tell which recorder made the file, not what the
pump does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.cards.descriptors import elliptic_fourier
from oasis_pipeline.learning.pump_features import PumpKnowledge, physics_block, physics_names
from oasis_pipeline.learning.severities import CHANGES_FILE, SeverityNetwork, answer_names, package_network

Float32 = NDArray[np.float32]
Columns = dict[str, Float32]

FEATURE_VERSION = "card-10"
"""Changes whenever a column is added, removed, reordered or computed differently."""

INPUTS_VERSION = "card-9"
"""The feature version in which a column that the networks look at was last added, removed or computed differently."""

CARDS = ("surface", "pump")
VIEWS = ("both", *CARDS)
"""What a row may offer, richest first: both cards, or one of them."""

SHAPE_POINTS = 100
"""Points of the shape form that the features are made from, half of them on each half stroke."""

TIME_POINTS = 200
"""Points of a card in time, equally spaced over one stroke, that the features are made from."""

_ZONES = 10
_HARMONICS = 5
_RATIO_LIMIT = 50.0
_CHUNK_CARDS = 2048

_SIDES = ("up", "down")
_SIZE_NAMES = ("stroke_in", "mprl_lbf", "pprl_lbf", "mean_load_lbf", "load_range_lbf")
_RATIO_NAMES = (
    "range_to_mean",
    "mprl_to_pprl",
    "up_to_down_mean",
    "area_share",
    "area_in_lbf",
    "up_minus_down_lbf",
    "range_per_stroke_lbf_in",
    "mean_per_stroke_lbf_in",
    "up_mean_lbf",
    "down_mean_lbf",
    "up_minus_down_to_mean",
)
_ROUGH_NAMES = ("up_bend_lbf", "down_bend_lbf", "up_path_share", "down_path_share")
_BOUNDS_NAMES = ("pos_min", "pos_max", "load_min", "load_max", "up_mean", "down_mean", "area")
_CONTEXT_NAMES = ("spm", "fillage_pct")
_HISTORY = (
    "pprl_lbf",
    "mprl_lbf",
    "polished_rod_power_hp",
    "fillage_pct",
    "fluid_load_lbf",
    "gross_stroke_in",
)
_SPANS = ("day", "week")
_TIME_LOADS, _TIME_POSITIONS, _SHAPE_LOADS, _ORDERED_LOADS = 50, 25, 50, 25
_CURVE_SIZES = (
    "log_stroke",
    "log_pprl",
    "mprl",
    "log_range",
    "log_mean",
    "mprl_to_pprl",
    "range_per_stroke",
    "mean_per_stroke",
)
_LEAST_SPREAD = 0.05  # of the load range: a card that is flat but for one spike is not blown up


@dataclass(frozen=True)
class CardShapes:
    """Cards in shape form, many at once.

    Attributes
    ----------
    position_in, load_lbf : ndarray, shape (n, SHAPE_POINTS)
        As `cards.canonical.shape_form` makes them: the upstroke from bottom to top, then the downstroke back. A row
        of NaN is a missing card.
    time_position_in, time_load_lbf : ndarray, optional, shape (n, TIME_POINTS)
        The same cards in time (`cards.timed.time_curves`); without them there are no curves to compare.
    """

    position_in: NDArray[np.floating]
    load_lbf: NDArray[np.floating]
    time_position_in: NDArray[np.floating] | None = None
    time_load_lbf: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        """Check the shapes once, so that no block has to."""
        if self.position_in.shape != self.load_lbf.shape or self.position_in.ndim != 2:
            raise ValueError(
                f"positions {self.position_in.shape} and loads {self.load_lbf.shape} differ or are not 2-D"
            )
        if self.position_in.shape[1] != SHAPE_POINTS:
            raise ValueError(
                f"the features take {SHAPE_POINTS} points a card, not {self.position_in.shape[1]}"
            )
        for curve in (self.time_position_in, self.time_load_lbf):
            if curve is not None and curve.shape != (len(self.position_in), TIME_POINTS):
                raise ValueError(f"curves in time have shape {curve.shape}, not (cards, {TIME_POINTS})")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.position_in)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which rows have a card, shape (n,)."""
        return np.asarray(np.isfinite(self.load_lbf).all(axis=1) & np.isfinite(self.position_in).all(axis=1))


@dataclass(frozen=True)
class WellBounds:
    """Bounds of each row's well as known when its card was recorded; NaN where there are none.

    Attributes
    ----------
    of_pump_card : ndarray of bool, shape (n,)
        Whether the row's bounds are those of the well's pump cards (else of its surface cards).
    pos_min_in, pos_max_in, load_min_lbf, load_max_lbf : ndarray, shape (n,)
    """

    of_pump_card: NDArray[np.bool_]
    pos_min_in: NDArray[np.floating]
    pos_max_in: NDArray[np.floating]
    load_min_lbf: NDArray[np.floating]
    load_max_lbf: NDArray[np.floating]


@dataclass(frozen=True)
class History:
    """What a well was like on the days before each row's day; never on that day itself. Every array has shape (n,).

    Attributes
    ----------
    now, day, week : mapping of str to ndarray
        Quantities of the diagnosis (`HISTORY_COLUMNS`): of the card, median of the day before, median of the seven days before; NaN
        where there are none.
    """

    now: Mapping[str, NDArray[np.floating]]
    day: Mapping[str, NDArray[np.floating]]
    week: Mapping[str, NDArray[np.floating]]


HISTORY_COLUMNS = _HISTORY
"""Columns of the diagnosis whose change is looked at."""


@dataclass(frozen=True)
class CardContext:
    """What is known beside the cards; each entry has shape (n,), NaN or None where unknown.

    Attributes
    ----------
    spm : ndarray or None
        Strokes per minute.
    fillage_pct : ndarray or None
        Pump fillage that came with the card, percent.
    bounds : WellBounds or None
    physics : PumpKnowledge or None
        What the diagnosis and the rods say.
    history : History or None
        What the well's days before were like.
    controller : CardShapes or None
        The controller's pump cards, of which bounds are made too, where those are not the pump cards of the rows.
    usual : mapping of str to ndarray, or None
        What the row's well usually shows (`usual.usual_columns`).
    """

    spm: NDArray[np.floating] | None = None
    fillage_pct: NDArray[np.floating] | None = None
    bounds: WellBounds | None = None
    physics: PumpKnowledge | None = None
    history: History | None = None
    controller: CardShapes | None = None
    usual: Mapping[str, NDArray[np.floating]] | None = None


def block_names(card: str) -> list[str]:
    """Return the columns that are NaN where this card ('surface' or 'pump') is missing."""
    names = [*_SIZE_NAMES, *_RATIO_NAMES]
    for unit in ("lbf", "share"):
        for kind in ("load", "spread"):
            names += [f"{kind}_{side}_zone{zone}_{unit}" for side in _SIDES for zone in range(_ZONES)]
    names += [f"slope_{side}_zone{zone}" for side in _SIDES for zone in range(_ZONES - 1)]
    names += _ROUGH_NAMES
    names += [f"efd_{letter}{order + 1}" for order in range(_HARMONICS) for letter in "abcd"]
    names += [f"to_bounds_{name}" for name in _BOUNDS_NAMES]
    return [f"{card}_{name}" for name in names]


@lru_cache(maxsize=1)
def _controller_names() -> tuple[str, ...]:
    names, free = block_names("controller"), _free_of_size(block_names("controller"))
    return tuple(name for name, yes in zip(names, free, strict=True) if yes and "_to_bounds_" not in name)


def controller_names() -> list[str]:
    """Return the columns that tell of the controller's own pump card, NaN where it is missing.

    Those of `block_names` that do not change with the size of a well. The computed pump card is cleaner; the controller's, which damps
    and smooths less, shows what shakes.
    """
    return list(_controller_names())


def curve_names(card: str) -> list[str]:
    """Return the columns of a card ('surface' or 'pump') that are for comparing whole cards, NaN where it is missing."""
    return [
        *(f"{card}_time_load{point:02}" for point in range(_TIME_LOADS)),
        *(f"{card}_time_position{point:02}" for point in range(_TIME_POSITIONS)),
        *(f"{card}_shape_load{point:02}" for point in range(_SHAPE_LOADS)),
        *(f"{card}_ordered_load{point:02}" for point in range(_ORDERED_LOADS)),
        *(f"{card}_size_{name}" for name in _CURVE_SIZES),
    ]


def history_names() -> list[str]:
    """Return the columns that tell of a change since the days before, NaN without them."""
    return [f"history_{span}_{name}_change" for span in _SPANS for name in _HISTORY]


def change_names(view: str) -> list[str]:
    """Return the columns of a network's answers for a view beside what the well usually shows, NaN where nothing is known of that."""
    return [f"history_{name}" for name in answer_names(view)]


def feature_names() -> list[str]:
    """Return all columns in the order in which models take them."""
    return list(_all_names())


@lru_cache(maxsize=1)
def _all_names() -> tuple[str, ...]:
    blocks = [name for card in CARDS for name in block_names(card)]
    curves = [name for card in CARDS for name in curve_names(card)]
    answers = [name for view in VIEWS for name in answer_names(view)]
    return (
        *_CONTEXT_NAMES,
        *blocks,
        *controller_names(),
        *physics_names(),
        *history_names(),
        *curves,
        *answers,
        *(f"history_{name}" for name in answers),
    )


def view_columns(view: str) -> NDArray[np.intp]:
    """Return which descriptors belong to a view: context, history, the blocks of its cards, physics and the controller's card with the pump card, the network's answers."""
    apart = _places((*_CONTEXT_NAMES, *history_names()))
    return np.concatenate([apart, controller_columns(view), _seen(view), answer_columns(view)])


def controller_columns(view: str) -> NDArray[np.intp]:
    """Return which columns tell of the controller's own pump card, none for a view without pump cards."""
    return _places(controller_names() if "pump" in _cards_of(view) else [])


def answer_columns(view: str) -> NDArray[np.intp]:
    """Return which columns are the network's answers for a view (`severities`)."""
    return _places(answer_names(view))


def change_columns(view: str) -> NDArray[np.intp]:
    """Return which columns are the answers for a view beside what the well usually shows, in the order of `answer_columns`."""
    return _places(change_names(view))


def _seen(view: str) -> NDArray[np.intp]:
    """Return the descriptors that tell of a view's cards and of nothing else."""
    names = [name for card in _cards_of(view) for name in block_names(card)]
    return _places((*names, *(physics_names() if "pump" in _cards_of(view) else [])))


def curve_columns(view: str) -> NDArray[np.intp]:
    """Return which curves belong to a view: those of its cards, card by card as `curve_names` has them."""
    return _places([name for card in _cards_of(view) for name in curve_names(card)])


def curve_scales() -> NDArray[np.float32]:
    """Return what one step in each curve column of a card counts, shape (columns of a card,).

    Curves count by their mean difference, whatever the number of their points; positions half, because only their timing differs, and
    load by position half, because it says the same as load in time once more. Loads in ascending order do not ask when in the stroke
    a load was reached, so that a late valve or a shifted sensor costs nothing there.
    """
    parts = (
        (_TIME_LOADS, 1.0),
        (_TIME_POSITIONS, 0.5),
        (_SHAPE_LOADS, 0.5),
        (_ORDERED_LOADS, 1.0),
        (len(_CURVE_SIZES), 1.0),
    )
    return np.concatenate([np.full(count, weight / count, np.float32) for count, weight in parts])


def curve_groups() -> NDArray[np.int64]:
    """Return which curve each curve column of a card belongs to; every size is one of its own, shape (columns of a card,)."""
    counts = (_TIME_LOADS, _TIME_POSITIONS, _SHAPE_LOADS, _ORDERED_LOADS, *([1] * len(_CURVE_SIZES)))
    return np.repeat(np.arange(len(counts)), counts)


def _places(names: Sequence[str]) -> NDArray[np.intp]:
    index = {name: column for column, name in enumerate(_all_names())}
    return np.array([index[name] for name in names], np.intp)


def scale_free() -> NDArray[np.bool_]:
    """Tell which features do not change with the size of a well, shape (features,).

    These are the ones that carry over from simulated wells to a field of other depths and strokes. On unseen simulated wells
    they alone do about as well as all (1,200 training cards, both cards given: macro F1 0.77 with either).
    """
    apart = {*_CONTEXT_NAMES, *history_names(), *(name for card in CARDS for name in curve_names(card))}
    names = feature_names()
    return np.array(
        [
            not name.endswith("_in") if name.startswith("physics_") else name not in apart and free
            for name, free in zip(names, _free_of_size(names), strict=True)
        ]
    )


def _free_of_size(names: Sequence[str]) -> list[bool]:
    """Tell which descriptors of a card do not change with the size of a well."""
    sized = (*_SIZE_NAMES, *(name for name in _RATIO_NAMES if name != "area_share"), *_ROUGH_NAMES[:2])
    ends = (*(f"_{name}" for name in sized), "_lbf")
    return [not name.endswith(ends) for name in names]


def rows_with(features: Float32, view: str) -> NDArray[np.bool_]:
    """Tell which rows of a feature matrix have all cards of a view, shape (n,); ValueError for another matrix."""
    names = feature_names()
    if features.ndim != 2 or features.shape[1] != len(names):
        raise ValueError(f"a feature matrix has {len(names)} columns, this array has shape {features.shape}")
    first = [names.index(block_names(card)[0]) for card in _cards_of(view)]
    return np.asarray(np.isfinite(features[:, first]).all(axis=1))


def rows_with_controller(features: Float32) -> NDArray[np.bool_]:
    """Tell which rows of a feature matrix have the controller's pump card, shape (n,)."""
    return np.asarray(np.isfinite(features[:, feature_names().index(controller_names()[0])]))


def card_features(
    surface: CardShapes | None,
    pump: CardShapes | None,
    context: CardContext | None = None,
    answered: bool = True,
) -> Columns:
    """Compute the features of many cards.

    Parameters
    ----------
    surface, pump : CardShapes or None
        The two cards of each row; None when no row has that card. At least one is given.
    context : CardContext, optional
        What is known beside the cards.
    answered : bool
        Whether the networks are asked; without it their columns are left out.

    Returns
    -------
    dict of str to ndarray of float32, shape (n,)
        One column a feature, named and ordered as `feature_names`; ready for ``pyarrow.table``.

    Raises
    ------
    ValueError
        If no card is given or the numbers of rows differ.

    Notes
    -----
    Loads are described three times: in lbf, as shares of the card's own range, and relative to the well's bounds. The
    absolute ones carry what normalising throws away; the shares carry over to wells never seen.
    """
    given = [shapes for shapes in (surface, pump) if shapes is not None]
    if not given:
        raise ValueError("features need surface cards, pump cards, or both")
    rows = len(given[0])
    if any(len(shapes) != rows for shapes in given):
        raise ValueError("surface and pump cards must have the same rows")
    context = context or CardContext()
    columns: Columns = {}
    for name, values in (("spm", context.spm), ("fillage_pct", context.fillage_pct)):
        columns[name] = np.full(rows, np.nan, np.float32) if values is None else _column(values, rows, name)
    controller = pump if context.controller is None else context.controller
    for card, shapes in zip(CARDS, (surface, pump), strict=True):
        of_bounds = controller if card == "pump" else shapes
        block = _block(shapes, context.bounds, card == "pump", rows, of_bounds)
        columns.update(zip(block_names(card), np.ascontiguousarray(block.T), strict=True))
    columns.update(_by_name(controller_names(), _controller(controller, rows)))
    columns.update(_by_name(physics_names(), _physics(surface, context, rows)))
    columns.update(_by_name(history_names(), _changes(context.history, rows)))
    for card, shapes in zip(CARDS, (surface, pump), strict=True):
        columns.update(_by_name(curve_names(card), _curves(shapes, rows)))
    if not answered:
        return columns
    for view in VIEWS:
        columns.update(_by_name(answer_names(view), _answers(columns, view, rows)))
    for view in VIEWS:
        columns.update(_by_name(change_names(view), _since_usual(columns, context.usual, view, rows)))
    return columns


@lru_cache(maxsize=len(VIEWS))
def network_inputs(view: str) -> NDArray[np.bool_]:
    """Tell which of all columns a network may look at for a view, shape (features,): those of its cards that do not change with a well's size."""
    places = np.concatenate([_seen(view), curve_columns(view), controller_columns(view)])
    names = feature_names()
    curves = {name for card in CARDS for name in curve_names(card) if "_size_" not in name}
    may = scale_free() | np.array([name in curves for name in names])
    bounds = np.array([name.startswith(tuple(f"{card}_to_bounds_" for card in CARDS)) for name in names])
    chosen = np.zeros(len(names), bool)
    chosen[places] = True
    return np.asarray(chosen & may & ~bounds)


def _answers(columns: Columns, view: str, rows: int) -> Float32:
    """Ask the network about the rows that have all cards of a view; NaN for the others."""
    network = package_network()
    result = np.full((rows, len(answer_names(view))), np.nan, np.float32)
    needed = np.stack([columns[block_names(card)[0]] for card in _cards_of(view)])
    here = np.flatnonzero(np.isfinite(needed).all(axis=0))
    if here.size:
        result[here] = network(_seen_by(network, columns, view, here))
    return result


def _since_usual(
    columns: Columns, usual: Mapping[str, NDArray[np.floating]] | None, view: str, rows: int
) -> Float32:
    """Ask the network that compares about the rows that have all cards of a view, now and in what is usual; NaN for the others."""
    result = np.full((rows, len(change_names(view))), np.nan, np.float32)
    if usual is None:
        return result
    here = np.flatnonzero(_has_cards(columns, view) & _has_cards(usual, view))
    if here.size:
        network = package_network(CHANGES_FILE)
        result[here] = network(*(_seen_by(network, each, view, here) for each in (columns, usual)))
    return result


def _has_cards(columns: Mapping[str, NDArray[np.floating]], view: str) -> NDArray[np.bool_]:
    """Tell which rows have all cards of a view, by an input of the networks that each card has."""
    first = np.stack([columns[curve_names(card)[0]] for card in _cards_of(view)])
    return np.asarray(np.isfinite(first).all(axis=0))


def _seen_by(
    network: SeverityNetwork,
    columns: Mapping[str, NDArray[np.floating]],
    view: str,
    rows: NDArray[np.intp],
) -> Float32:
    """Lay a network's inputs side by side for some rows, NaN where a view does not see them."""
    nothing = np.full(rows.size, np.nan, np.float32)
    may = {name for name, allowed in zip(feature_names(), network_inputs(view), strict=True) if allowed}
    table = [columns[name][rows] if name in may else nothing for name in network.inputs]
    return np.ascontiguousarray(np.array(table, np.float32).T)


def compared_with(features: Float32, usual: Mapping[str, NDArray[np.floating]]) -> Float32:
    """Return a feature matrix with what the network that compares says of its rows beside what their wells usually show."""
    columns = dict(zip(feature_names(), features.T, strict=True))
    result = features.copy()
    for view in VIEWS:
        result[:, change_columns(view)] = _since_usual(columns, usual, view, len(features))
    return result


def answered_again(features: Float32) -> Float32:
    """Return a feature matrix with the network's answers made anew from its other columns: for one in which something was hidden.

    What is usual in a well can't be made anew, so nothing is known of a change any more.
    """
    columns = dict(zip(feature_names(), features.T, strict=True))
    result = features.copy()
    for view in VIEWS:
        result[:, answer_columns(view)] = _answers(columns, view, len(features))
        result[:, change_columns(view)] = np.nan
    return result


def _by_name(names: Sequence[str], block: Float32) -> Columns:
    return dict(zip(names, np.ascontiguousarray(block.T), strict=True))


def _controller(shapes: CardShapes | None, rows: int) -> Float32:
    """Describe the controller's pump cards in the order of `controller_names`."""
    chosen = np.array([name in set(controller_names()) for name in block_names("controller")])
    result = np.full((rows, int(chosen.sum())), np.nan, np.float32)
    if shapes is None:
        return result
    here = np.flatnonzero(shapes.present)
    for first in range(0, here.size, _CHUNK_CARDS):
        part = here[first : first + _CHUNK_CARDS]
        position, load = shapes.position_in[part], shapes.load_lbf[part]
        own = _card_block(position.astype(np.float32), load.astype(np.float32))
        result[part] = own[:, chosen[: own.shape[1]]]
    return result


def _physics(surface: CardShapes | None, context: CardContext, rows: int) -> Float32:
    """Lay the physics block over all rows; NaN where nothing is known."""
    width = len(physics_names())
    if context.physics is None:
        return np.full((rows, width), np.nan, np.float32)
    missing = np.full((rows, TIME_POINTS), np.nan)
    position, load = (
        (missing, missing)
        if surface is None or surface.time_position_in is None or surface.time_load_lbf is None
        else (surface.time_position_in, surface.time_load_lbf)
    )
    spm = np.full(rows, np.nan) if context.spm is None else np.asarray(context.spm, np.float64)
    return physics_block(context.physics, position, load, spm)


def _changes(history: History | None, rows: int) -> Float32:
    """Return how much each quantity changed, as a share of what it was."""
    result = np.full((rows, len(history_names())), np.nan, np.float32)
    if history is None:
        return result
    column = 0
    for before in (history.day, history.week):
        for name in _HISTORY:
            now, then = (np.asarray(values[name], np.float64) for values in (history.now, before))
            with np.errstate(divide="ignore", invalid="ignore"):
                change = (now - then) / np.maximum(np.abs(then), 1.0)
            result[:, column] = np.clip(change, -_RATIO_LIMIT, _RATIO_LIMIT)
            column += 1
    return result


def _curves(shapes: CardShapes | None, rows: int) -> Float32:
    """Sample cards in time and by position, with their sizes, in the order of `curve_names`."""
    width = _TIME_LOADS + _TIME_POSITIONS + _SHAPE_LOADS + _ORDERED_LOADS + len(_CURVE_SIZES)
    result = np.full((rows, width), np.nan, np.float32)
    if shapes is None or shapes.time_position_in is None or shapes.time_load_lbf is None:
        return result
    here = np.flatnonzero(shapes.present & np.isfinite(shapes.time_load_lbf).all(axis=1))
    for first in range(0, here.size, _CHUNK_CARDS):
        chosen = here[first : first + _CHUNK_CARDS]
        position = shapes.time_position_in[chosen].astype(np.float64)
        load = shapes.time_load_lbf[chosen].astype(np.float64)
        by_position = shapes.load_lbf[chosen].astype(np.float64)
        least, most = load.min(axis=1), load.max(axis=1)
        span, stroke = most - least, np.ptp(position, axis=1)
        mean = load.mean(axis=1)
        share = load / _nonzero(span)[:, None]
        share -= share.mean(axis=1, keepdims=True)
        share /= np.maximum(share.std(axis=1, keepdims=True), _LEAST_SPREAD)
        low = by_position.min(axis=1, keepdims=True)
        sizes = [
            np.log(np.maximum(stroke, 1.0)),
            np.log(np.abs(most) + 100.0),
            np.arcsinh(least / 1000.0),
            np.log(span + 10.0),
            np.log(np.abs(mean) + 100.0),
            least / np.maximum(most, 1.0),
            span / np.maximum(stroke, 1.0) / 100.0,
            mean / np.maximum(stroke, 1.0) / 100.0,
        ]
        result[chosen] = np.concatenate(
            [
                share[:, :: TIME_POINTS // _TIME_LOADS],
                ((position - position.min(axis=1, keepdims=True)) / _nonzero(stroke)[:, None])[
                    :, :: TIME_POINTS // _TIME_POSITIONS
                ],
                ((by_position - low) / _nonzero(np.ptp(by_position, axis=1))[:, None])[
                    :, :: SHAPE_POINTS // _SHAPE_LOADS
                ],
                np.sort(share, axis=1)[
                    :, TIME_POINTS // _ORDERED_LOADS // 2 :: TIME_POINTS // _ORDERED_LOADS
                ],
                np.clip(np.stack(sizes, axis=1), -_RATIO_LIMIT, _RATIO_LIMIT),
            ],
            axis=1,
        )
    return result


def feature_matrix(columns: Mapping[str, ArrayLike]) -> Float32:
    """Lay the columns side by side in the order of `feature_names`, shape (n, features).

    Raises
    ------
    ValueError
        If a column is missing: a table of another feature version must never be predicted from.
    """
    names = feature_names()
    missing = [name for name in names if name not in columns]
    if missing:
        raise ValueError(f"{len(missing)} feature columns are missing, the first is {missing[0]!r}")
    # Rows of memory first, then one turn: half the time of writing the columns one by one.
    return np.ascontiguousarray(np.array([np.asarray(columns[name], np.float32) for name in names]).T)


def card_signatures(surface: CardShapes | None, pump: CardShapes | None) -> Float32:
    """Return one normalised curve a row, by which near-identical cards are found, shape (n, SHAPE_POINTS).

    Loads as shares of the card's own range; the surface card, or the pump card where there is no surface card; NaN
    where there is neither.
    """
    given = [shapes for shapes in (surface, pump) if shapes is not None]
    if not given:
        raise ValueError("signatures need surface cards, pump cards, or both")
    result = np.full((len(given[0]), SHAPE_POINTS), np.nan, np.float32)
    for shapes in reversed(given):
        here = shapes.present
        load = shapes.load_lbf[here]
        low = load.min(axis=1, keepdims=True)
        result[here] = (load - low) / _nonzero(load.max(axis=1, keepdims=True) - low)
    return result


def _cards_of(view: str) -> tuple[str, ...]:
    return CARDS if view == VIEWS[0] else (view,)


def _column(values: ArrayLike, rows: int, name: str) -> Float32:
    column = np.asarray(values, np.float32)
    if column.shape != (rows,):
        raise ValueError(f"{name} must have shape ({rows},), not {column.shape}")
    return np.where(np.isfinite(column), column, np.float32(np.nan))


def _block(
    shapes: CardShapes | None,
    bounds: WellBounds | None,
    is_pump: bool,
    rows: int,
    of_bounds: CardShapes | None,
) -> Float32:
    width = len(block_names("x"))
    result = np.full((rows, width), np.nan, np.float32)
    if shapes is None or of_bounds is None:
        return result
    here = np.flatnonzero(shapes.present)
    for first in range(0, here.size, _CHUNK_CARDS):
        chosen = here[first : first + _CHUNK_CARDS]
        position, load = shapes.position_in[chosen], shapes.load_lbf[chosen]
        own = _card_block(position.astype(np.float32), load.astype(np.float32))
        relative = _bounds_block(
            of_bounds.position_in[chosen], of_bounds.load_lbf[chosen], bounds, is_pump, chosen
        )
        result[chosen] = np.concatenate([own, relative], axis=1)
    return result


def _card_block(position: Float32, load: Float32) -> Float32:
    """Describe cards by themselves, in the order of `block_names`."""
    half = SHAPE_POINTS // 2
    # Both halves from bottom to top, so that column j of either lies at the same position.
    sides = np.stack([load[:, :half], load[:, : half - 1 : -1]], axis=1)
    least, most = load.min(axis=1), load.max(axis=1)
    span = _nonzero(most - least)
    stroke = _nonzero(np.ptp(position, axis=1))
    side_mean = sides.mean(axis=2)
    up, down = side_mean[:, 0], side_mean[:, 1]
    mean = 0.5 * (up + down)
    height = _integral_share(sides[:, 0] - sides[:, 1])
    size = [stroke, least, most, mean, most - least]
    ratios = [
        _ratio(span, mean),
        _ratio(least, most),
        _ratio(up, down),
        height / span,
        height * stroke,
        up - down,
        span / stroke,
        mean / stroke,
        up,
        down,
        _ratio(up - down, mean),
    ]
    zones = sides.reshape(len(load), 2, _ZONES, half // _ZONES)
    zone_mean, zone_spread = zones.mean(axis=3), zones.std(axis=3)
    per_span = span[:, None, None]
    shares = (sides - least[:, None, None]) / per_span
    steps = np.diff(sides, axis=2)
    parts = [
        np.stack(size + ratios, axis=1),
        _flat(zone_mean),
        _flat(zone_spread),
        _flat((zone_mean - least[:, None, None]) / per_span),
        _flat(zone_spread / per_span),
        _flat(np.diff(zone_mean, axis=2) / per_span),
        np.abs(np.diff(steps, axis=2)).mean(axis=2),
        np.abs(steps).mean(axis=2) / span[:, None],
        _flat(
            elliptic_fourier(
                (position - position.min(axis=1)[:, None]) / stroke[:, None], _ring(shares), _HARMONICS
            )
        ),
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _bounds_block(
    position: NDArray[np.floating],
    load: NDArray[np.floating],
    bounds: WellBounds | None,
    is_pump: bool,
    rows: NDArray[np.intp],
) -> Float32:
    """Place cards inside the bounds of their well; NaN where the bounds are missing or of the other card."""
    result = np.full((len(rows), len(_BOUNDS_NAMES)), np.nan, np.float32)
    if bounds is None:
        return result
    x0, x1, y0, y1 = (
        np.asarray(edge, np.float64)[rows]
        for edge in (bounds.pos_min_in, bounds.pos_max_in, bounds.load_min_lbf, bounds.load_max_lbf)
    )
    fits = (np.asarray(bounds.of_pump_card, bool)[rows] == is_pump) & (x1 > x0) & (y1 > y0)
    x = (position[fits] - x0[fits, None]) / (x1 - x0)[fits, None]
    y = (load[fits] - y0[fits, None]) / (y1 - y0)[fits, None]
    half = SHAPE_POINTS // 2
    up, down = y[:, :half].mean(axis=1), y[:, half:].mean(axis=1)
    low, high = x.min(axis=1), x.max(axis=1)
    area = _integral_share(y[:, :half] - y[:, : half - 1 : -1]) * (high - low)
    values = [low, high, y.min(axis=1), y.max(axis=1), up, down, area]
    result[fits] = np.clip(np.stack(values, axis=1), -_RATIO_LIMIT, _RATIO_LIMIT)
    return result


def _integral_share(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Integrate over the stroke by the trapezoidal rule, as a share of the stroke."""
    ends = 0.5 * (values[:, 0] + values[:, -1])
    return np.asarray((values.sum(axis=1) - ends) / (values.shape[1] - 1))


def _ring(sides: Float32) -> Float32:
    """Undo the turning of the downstroke: up, then down, as one closed contour."""
    return np.concatenate([sides[:, 0], sides[:, 1, ::-1]], axis=1)


def _flat(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return values.reshape(len(values), -1)


def _nonzero(values: Float32) -> Float32:
    return np.where(values > 0, values, np.float32(1.0)).astype(np.float32)


def _ratio(numerator: Float32, denominator: Float32) -> Float32:
    """Divide; where the denominator is (nearly) nothing the limit stands in, with the sign of the numerator."""
    small = np.abs(denominator) * _RATIO_LIMIT <= np.abs(numerator)
    limit = np.sign(numerator) * np.where(denominator < 0, -1, 1) * _RATIO_LIMIT
    return np.where(small, limit, numerator / np.where(small, 1, denominator)).astype(np.float32)
