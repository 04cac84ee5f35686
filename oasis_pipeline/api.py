"""The public Python API: an installation's wells, cards and readings for notebooks and scripts, read-only.

    import oasis_pipeline

    with oasis_pipeline.open(".oasis") as field:
        cards = field.cards("Well 1", "2025-03-01", "2025-03-08")
        cards[0].plot()

Here: what ``docs/python-api.md`` lists, thin over the rooms that compute. Not here: anything that writes. ``oasis_pipeline`` loads this
module at the first use of one of its names, so that ``import oasis_pipeline`` costs nothing.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.cards.canonical import TimeForm, time_form_column
from oasis_pipeline.cards.codec import BlobFault, decode_blobs, decode_hex, pack_bytes
from oasis_pipeline.cards.column import CardColumn
from oasis_pipeline.cards.misfit import misfit_text
from oasis_pipeline.cards.timed import time_curves
from oasis_pipeline.physics.diagnosis import CardDiagnosis, Well, diagnose_card

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oasis_pipeline.learning.artifact import Model
    from oasis_pipeline.learning.inputs import CardInputs
    from oasis_pipeline.storage.postgres import Warehouse

__all__ = ["Card", "CardSeries", "Classification", "Field", "Well", "decode_card", "open"]

Points = tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]
"""Position (in) and load (lbf) of the points of one stroke, each of shape (n,)."""

Moment = str | date | datetime | None
"""A time of the field, without a zone; a date means its midnight."""

_NOTHING: Points = (np.empty(0), np.empty(0))


@dataclass(frozen=True)
class Classification:
    """What a classifier says of a card.

    Attributes
    ----------
    Label1, Label2 : str or None
        The two most probable classes, as in ``clean.dynapred``: ``Unknown`` where the model abstains, None without a second one.
    Prob1, Prob2 : float or None
        Their calibrated probabilities, %.
    probabilities : dict of str to float
        Probability of each class to be among the card's labels, %, the most probable first; empty for models that give none.
    ModelVersion : str
    """

    Label1: str
    Prob1: float
    Label2: str | None
    Prob2: float | None
    probabilities: dict[str, float]
    ModelVersion: str


@dataclass(frozen=True, eq=False)
class Card:
    """One stroke of one well: surface card, pump card, or both, with what is known of the moment.

    Attributes
    ----------
    surface, pump : tuple of ndarray, shape (n,)
        Position (in) and load (lbf) of the points as they arrived; ``pump`` is the controller's. Empty where there is none, and where
        the platform found that it can't be used.
    spm : float
        Strokes per minute, NaN where unknown.
    fillage_pct : float
        Pump fillage by the controller, %, NaN where unknown.
    runtime_h_per_d : float
        Running time of the card's day, h/d, NaN where unknown.
    well : Well
        Equipment at the card's time; an empty ``Well()`` where nothing is known.
    node : str
        NodeID; empty for a card that came from nowhere.
    when : datetime or None
        ``Date`` of the card.
    """

    surface: Points = _NOTHING
    pump: Points = _NOTHING
    spm: float = math.nan
    fillage_pct: float = math.nan
    runtime_h_per_d: float = math.nan
    well: Well = field(default_factory=Well)
    node: str = ""
    when: datetime | None = None
    _field: Field | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Take lists as well as arrays, and check their shapes."""
        for name in ("surface", "pump"):
            points = getattr(self, name)
            object.__setattr__(self, name, _points(points if points is not None else _NOTHING, name))

    def __repr__(self) -> str:
        """Name the card by its well and time."""
        name = f"{self.node} {self.when:%Y-%m-%d %H:%M:%S}, " if self.node and self.when is not None else ""
        return f"<Card {name}{len(self.surface[0])} surface points, {len(self.pump[0])} pump points>"

    def diagnose(self) -> CardDiagnosis:
        """Diagnose the card with the equipment of its time.

        Returns
        -------
        CardDiagnosis
            ``findings`` under the names of ``clean.carddiag``, pump cards, ``report``, and what was ``missing``.

        Raises
        ------
        ValueError
            If neither of its cards is usable.
        """
        surface, pump = self._time_form("surface"), self._time_form("pump")
        if surface.unusable[0] and pump.unusable[0]:
            form, (position, load) = (surface, self.surface) if len(self.surface[0]) else (pump, self.pump)
            reason = misfit_text(position, load, int(form.unusable[0]), pump=form is pump)
            raise ValueError(f"the card can't be used: {reason}")
        return diagnose_card(
            _first(surface),
            self.well,
            # half strokes have neither load lines nor filling
            pump=(np.empty(0), np.empty(0)) if pump.is_open[0] else _first(pump),
            spm=self.spm,
            runtime_h_per_d=self.runtime_h_per_d,
            is_open=bool(surface.is_open[0]),
            reversed_=bool(surface.direction_reversed[0]),
        )

    def features(self) -> dict[str, float]:
        """Compute the features that the classifiers learn from.

        Returns
        -------
        dict of str to float
            In the order of ``clean/card_features``, NaN where something is not known. Of a card of a field the well's bounds and
            its days before count; of any other card they are unknown.
        """
        from oasis_pipeline.learning.seed_method import seed_feature_names

        inputs = self._inputs
        columns = {name: float(values[0]) for name, values in inputs.features().items()}
        return columns | dict(zip(seed_feature_names(), inputs.seed_features()[0].tolist(), strict=True))

    def classify(self, version: str | None = None) -> Classification:
        """Classify the card by a model of its field.

        Parameters
        ----------
        version : str, optional
            A version of ``oasis models list``; the model in use by default.

        Raises
        ------
        ValueError
            If the card belongs to no field (give ``field=`` to `decode_card`), or the field has no such model.
        """
        if self._field is None:
            raise ValueError(
                "classifying needs the model of a field: decode_card(..., field=oasis_pipeline.open(home))"
            )
        return self._field._classify(self.features(), version)

    def plot(self, *, diagnosed: bool = True) -> Figure:
        """Draw the card.

        Parameters
        ----------
        diagnosed : bool
            With pump card, main figures and report; otherwise the points alone.

        Returns
        -------
        matplotlib.figure.Figure
            A notebook shows it; ``savefig`` writes it to a file.
        """
        from oasis_pipeline.plotting.cards import Picture, cards_grid
        from oasis_pipeline.plotting.diagnosis import DiagnosedCard, diagnosis_figure

        title = f"{self.node} {self.when:%Y-%m-%d %H:%M}" if self.node and self.when is not None else "Card"
        if not diagnosed:
            surface, pump = (points if len(points[0]) else None for points in (self.surface, self.pump))
            return cards_grid([Picture(title, surface, pump)], columns=1)
        found = self.diagnose()
        return diagnosis_figure(DiagnosedCard.of(found, self.well, title=title))

    def _time_form(self, name: str) -> TimeForm:
        points: Points = getattr(self, name)
        return time_form_column(CardColumn.from_rows([points if len(points[0]) else None]))

    @cached_property
    def _inputs(self) -> CardInputs:
        """What the features are computed from: the warehouse's rows of a stored card, a fresh diagnosis of any other."""
        from oasis_pipeline.learning.inputs import CardInputs, Findings
        from oasis_pipeline.learning.pump_features import DIAGNOSED
        from oasis_pipeline.physics.diagnosis.well import columns_of

        if self._field is not None and self.when is not None:
            return self._field._inputs_of(self.node, self.when)
        found = self.diagnose().findings
        diagnosed = {name: np.array([found.get(name, math.nan)]) for name in DIAGNOSED}
        spm = self.spm if not math.isnan(self.spm) else self.well.spm
        return CardInputs.of(
            self._time_form("surface"),
            self._time_form("pump"),
            np.array([spm]),
            np.array([self.fillage_pct]),
            findings=Findings(diagnosed, columns_of([self.well]), np.zeros(1, np.intp)),
        )


class CardSeries(Sequence[Card]):
    """The cards of a well over some time, oldest first: a sequence of `Card`, a DataFrame, or arrays.

    Parameters
    ----------
    rows : pyarrow.Table
        One row a card.
    cards : sequence of Card
    """

    def __init__(self, rows: pa.Table, cards: Sequence[Card]) -> None:
        self._rows, self._cards = rows, tuple(cards)

    def __len__(self) -> int:
        """Count the cards."""
        return len(self._cards)

    @overload
    def __getitem__(self, index: int) -> Card: ...
    @overload
    def __getitem__(self, index: slice) -> CardSeries: ...
    def __getitem__(self, index: int | slice) -> Card | CardSeries:
        """Return a card, or some of them."""
        if isinstance(index, slice):
            chosen = range(len(self))[index]
            return CardSeries(self._rows.take(list(chosen)), self._cards[index])
        return self._cards[index]

    def __repr__(self) -> str:
        """Say how many there are."""
        return f"<CardSeries of {len(self)} cards>"

    def to_frame(self) -> pd.DataFrame:
        """Return one row a card, by ``NodeID`` and ``Date``.

        Returns
        -------
        pandas.DataFrame
            SPM, StrokeLength, Runtime and Fillage as they arrived; the columns of ``clean.carddiag`` (diagnosis) and ``clean.dynapred``
            (class), empty where the platform has not computed them; why a card can't be used (``surfcard_fault``,
            ``pocdowncard_fault``).
        """
        frame: pd.DataFrame = self._rows.to_pandas()
        return frame.set_index(["NodeID", "Date"])

    def to_arrays(self, card: str = "surface", points: int = 200) -> Points:
        """Return all cards at equally many points in time, one stroke each, from the bottom of the stroke.

        Parameters
        ----------
        card : {"surface", "pump"}
        points : int

        Returns
        -------
        position_in, load_lbf : ndarray, shape (cards, points)
            Rows of NaN where a card is missing or not usable.

        Raises
        ------
        ValueError
            If there is no such card.
        """
        if card not in ("surface", "pump"):
            raise ValueError(f"card must be 'surface' or 'pump', not {card!r}")
        own: list[Points] = [getattr(each, card) for each in self._cards]
        column = CardColumn.from_rows([each if len(each[0]) else None for each in own])
        return time_curves(time_form_column(column), points)


_CARD_ROWS = """
select c."NodeID", c."Date", c."SPM", c."StrokeLength", c."Runtime", c."Fillage", {diagnosed}, {classed},
    c.surfcard_fault, c.pocdowncard_fault, {points}
from xspoc.card as c
left join clean.carddiag as d using ("NodeID", "Date")
left join clean.dynapred as p using ("NodeID", "Date")
where c."NodeID" = $1 and c."Date" >= $2::timestamp and c."Date" < $3::timestamp
order by c."Date"
"""
_POINTS = ("surface_position", "surface_load", "pump_position", "pump_load")

_WELLS = """
select n."NodeID", w."POCType", w."PumpDepth", w."PlungerDiam", w."StrokeLength", w."SPM",
    c.first_card_at, c.last_card_at, coalesce(c.n_cards, 0) as n_cards
from xspoc.node as n
left join xspoc.welldetails as w using ("NodeID")
left join (
    select "NodeID", min("Date") as first_card_at, max("Date") as last_card_at, count(*) as n_cards from xspoc.card group by "NodeID"
) as c using ("NodeID")
order by n."NodeID"
"""

_READINGS = """
select timestamp, measures::text as measures, temperature, voltage, description from iot.rawdata
where module_num = $1 and timestamp >= $2::timestamptz and timestamp < $3::timestamptz
order by timestamp
"""


class Field:
    """An installation, opened to read; made by `open`, ended by `close` or the end of a ``with`` block.

    An embedded database that does not run is started, and stopped again by the last one who used it.
    """

    def __init__(self, home: Path | str | None = None) -> None:
        from oasis_pipeline.settings import load_settings
        from oasis_pipeline.storage.installation import existing_warehouse
        from oasis_pipeline.storage.objects import open_store

        self._settings = load_settings(home)
        self._open = ExitStack()
        self._warehouse: Warehouse = self._open.enter_context(existing_warehouse(self._settings))
        self._store = open_store(self._settings)
        self._end = weakref.finalize(self, self._open.close)

    def __enter__(self) -> Field:
        """Return the field itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Name the installation, never a password."""
        return f"<Field {self._settings.home}>"

    def close(self) -> None:
        """Give the database back; closing twice does nothing."""
        self._end()

    def query(self, sql: str, params: Sequence[Any] = ()) -> pd.DataFrame:
        """Run one SQL query in a read-only transaction.

        Parameters
        ----------
        sql : str
            One statement, with ``$1``, ``$2`` ... for parameters; tables and columns stand in ``docs/tables.md``.
        params : sequence
            Values of the parameters.

        Raises
        ------
        StorageError
            If the database refuses the statement, as it does whatever would write.
        """
        frame: pd.DataFrame = self._read(sql, params).to_pandas()
        return frame

    def wells(self) -> pd.DataFrame:
        """Return one row a well, by ``NodeID``: main equipment, first and newest card, number of cards."""
        return self.query(_WELLS).set_index("NodeID")

    def cards(self, well: str, start: Moment = None, end: Moment = None) -> CardSeries:
        """Read the cards of a well.

        Parameters
        ----------
        well : str
            NodeID in any spelling.
        start, end : str, date or datetime, optional
            From ``start`` up to, not including, ``end``, in the field's local time; everything by default.

        Raises
        ------
        UnknownWellError
            If there is no such well; the message names those that come close.
        ValueError
            If a time can't be read.
        """
        from oasis_pipeline.operations.wells import EquipmentStates, find_node
        from oasis_pipeline.schema import quote, table
        from oasis_pipeline.storage.card_points import USABLE_POINTS

        since, until = _moment(start, datetime(1, 1, 1)), _moment(end, datetime(9999, 12, 31))
        columns = {
            letter: ", ".join(
                f"{letter}.{quote(name)}"
                for name in table("clean", of).column_names
                if name not in ("NodeID", "Date")
            )
            for letter, of in (("d", "carddiag"), ("p", "dynapred"))
        }
        node = find_node(self._warehouse, well)
        rows = self._read(
            _CARD_ROWS.format(diagnosed=columns["d"], classed=columns["p"], points=USABLE_POINTS),
            (node, since, until),
        )
        plain = rows.drop_columns(list(_POINTS))
        if rows.num_rows == 0:
            return CardSeries(plain, [])
        moments: list[datetime] = rows["Date"].to_pylist()
        states = EquipmentStates.of_rows(self._warehouse, rows)
        spm, runtime, fillage = (_floats(rows[name]) for name in ("SPM", "Runtime", "Fillage"))
        points = {name: rows[name] for name in _POINTS}
        return CardSeries(
            plain,
            [
                Card(
                    surface=_stored(points["surface_position"][i], points["surface_load"][i]),
                    pump=_stored(points["pump_position"][i], points["pump_load"][i]),
                    spm=spm[i],
                    fillage_pct=fillage[i],
                    runtime_h_per_d=runtime[i],
                    well=self._by_convention(states.found[states.index(node, when)].well),
                    node=node,
                    when=when,
                    _field=self,
                )
                for i, when in enumerate(moments)
            ],
        )

    def well(self, well: str) -> Well:
        """Read the newest equipment of a well, as `decode_card` and `Card` take it.

        Parameters
        ----------
        well : str
            NodeID in any spelling.

        Raises
        ------
        UnknownWellError
            If there is no such well.
        """
        from oasis_pipeline.operations.wells import newest_well

        return self._by_convention(newest_well(self._warehouse, well)[1])

    def _by_convention(self, well: Well) -> Well:
        """Let pump cards of a well be given with the damping of the settings."""
        return replace(well, card_damping=self._settings.card_damping)

    def readings(self, module: str, start: Moment = None, end: Moment = None) -> pd.DataFrame:
        """Read the readings of a sensor module.

        Parameters
        ----------
        module : str
            ``module_num``.
        start, end : str, date or datetime, optional
            From ``start`` up to, not including, ``end``; UTC where they have no zone; everything by default.

        Returns
        -------
        pandas.DataFrame
            By ``timestamp`` (UTC): one column a measure, in alphabetical order, then temperature, voltage, description.

        Raises
        ------
        LookupError
            If no such module is registered.
        ValueError
            If a time can't be read.
        """
        import json

        known = self._read("select module_num from iot.module order by 1", ())["module_num"].to_pylist()
        if module not in known:
            shown = ", ".join(known[:5]) + (" ..." if len(known) > 5 else "")
            raise LookupError(f"there is no module {module!r}; registered are {shown or 'none'}")
        limits = (
            _moment(start, datetime(1, 1, 2), UTC),
            _moment(end, datetime(9999, 12, 30), UTC),
        )
        rows = self._read(_READINGS, (module, *limits))
        measures = pd.DataFrame([json.loads(text) for text in rows["measures"].to_pylist()], dtype="float64")
        rest = rows.drop_columns(["measures"]).to_pandas()
        frame: pd.DataFrame = pd.concat(
            [rest[["timestamp"]], measures.sort_index(axis=1), rest.drop(columns="timestamp")], axis=1
        )
        return frame.set_index("timestamp")

    def _read(self, sql: str, params: Sequence[Any]) -> pa.Table:
        if not self._end.alive:
            raise ValueError("the field is closed: open it again with oasis_pipeline.open(home)")
        with self._warehouse.transaction() as tx:
            tx.execute("set transaction read only")
            return tx.query(sql, params)

    def _inputs_of(self, node: str, when: datetime) -> CardInputs:
        from oasis_pipeline.operations.features import (
            CARD_INPUT_COLUMNS,
            CARD_INPUT_JOINS,
            card_inputs,
            usual_rows,
        )
        from oasis_pipeline.operations.wells import EquipmentStates

        rows = self._read(
            f"select {CARD_INPUT_COLUMNS} from xspoc.card as c {CARD_INPUT_JOINS} "
            'where c."NodeID" = $1 and c."Date" = $2::timestamp',
            (node, when),
        )
        with self._warehouse.transaction() as tx:
            tx.execute("set transaction read only")
            earlier = usual_rows(tx, 'select $1::text as "NodeID", $2::timestamp::date as day', (node, when))
        return card_inputs(rows, EquipmentStates.of_rows(self._warehouse, rows, earlier), earlier)

    def _classify(self, features: Mapping[str, float], version: str | None) -> Classification:
        from oasis_pipeline.learning.classifier import ClassifierModel
        from oasis_pipeline.operations.drift import CLASSIFIER
        from oasis_pipeline.operations.predictions import load_classifier, matrix_for
        from oasis_pipeline.operations.registry import model_row

        row = model_row(self._warehouse, CLASSIFIER, version)
        if row is None:
            raise ValueError("there is no classifier yet: run `oasis run` first")
        model: Model = load_classifier(self._store, row)
        matrix = matrix_for(model, np.array([[*features.values()]], np.float32))
        shown = {name: values[0] for name, values in model.predict(matrix).items()}
        chances: dict[str, float] = {}
        if isinstance(model, ClassifierModel):
            pairs = zip(model.classes, model.predict_proba(matrix)[0].tolist(), strict=True)
            chances = {
                name: round(100.0 * share, 2) for name, share in sorted(pairs, key=lambda pair: -pair[1])
            }
        second = shown["Label2"]
        return Classification(
            str(shown["Label1"]),
            float(shown["Prob1"]),
            None if second is None else str(second),
            None if second is None else float(shown["Prob2"]),
            chances,
            str(row["version"]),
        )


def open(home: Path | str | None = None) -> Field:  # noqa: A001
    """Open an installation to read.

    Parameters
    ----------
    home : path, optional
        Home folder; ``$OASIS_HOME``, then ``./.oasis`` by default. Its ``.env`` and the environment say where the database is.

    Returns
    -------
    Field

    Raises
    ------
    NoInstallationError
        If there is no installation; none is made.
    SettingsError, StorageError
        If the configuration can't be used, or the database does not answer.
    """
    return Field(home)


def decode_card(
    data: bytes | str,
    *,
    pump_card: bool = False,
    spm: float = math.nan,
    well: Well | None = None,
    field: Field | None = None,
) -> Card:
    r"""Decode a card blob as it stands in ``CardData`` files.

    Parameters
    ----------
    data : bytes or str
        float32 little-endian, first half loads (lbf), second half positions (in); as text its hex form, which may begin with ``0x``
        or ``\x``.
    pump_card : bool
        Whether it is a pump card (``DownholeCardB``, ``POCDownholeCardB``) rather than a surface card.
    spm : float
        Strokes per minute; the well's by default.
    well : Well, optional
        Equipment, for example ``field.well("Well 1")``; without it only what the card alone tells can be had.
    field : Field, optional
        The field whose models classify it.

    Returns
    -------
    Card

    Raises
    ------
    ValueError
        If the blob is empty or can't be read; the message says why.
    """
    if isinstance(data, str):
        text = data.strip()
        column, faults = decode_hex(*pack_bytes([text[2:] if text[:2].lower() in ("0x", "\\x") else text]))
    else:
        column, faults = decode_blobs(*pack_bytes([bytes(data)]))
    if faults[0] != BlobFault.OK:
        raise ValueError(f"the blob {BlobFault(int(faults[0])).text}")
    if not len(column.position):
        raise ValueError("the blob is empty: there is no card in it")
    points = column.row(0)
    card = Card(pump=points) if pump_card else Card(surface=points)
    return replace(card, spm=spm, well=well or Well(), _field=field)


def _points(given: tuple[ArrayLike, ArrayLike], name: str) -> Points:
    position, load = (
        np.asarray(values, dtype=np.result_type(np.asarray(values).dtype, np.float32)) for values in given
    )
    if position.ndim != 1 or position.shape != load.shape:
        raise ValueError(
            f"{name}: positions {position.shape} and loads {load.shape} must be one-dimensional and of equal length"
        )
    return position, load


def _stored(position: pa.ListScalar, load: pa.ListScalar) -> Points:
    if not position.is_valid or not load.is_valid:
        return _NOTHING
    return position.values.to_numpy(zero_copy_only=False), load.values.to_numpy(zero_copy_only=False)


def _first(form: TimeForm) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    position, load = form.column.row(0)
    return position.astype(np.float64), load.astype(np.float64)


def _floats(column: pa.ChunkedArray) -> list[float]:
    values: list[float] = column.to_numpy().astype(np.float64).tolist()
    return values


def _moment(value: Moment, default: datetime, zone: Any = None) -> datetime:
    """Read a time; without a zone it is of `zone`."""
    if value is None:
        found = default
    elif isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value!r} is not a time: write it as 2025-03-01 or 2025-03-01T06:00") from None
    elif isinstance(value, datetime):
        found = value
    else:
        found = datetime.combine(value, time.min)
    if zone is None:
        if found.tzinfo is not None:
            raise ValueError(f"{value} has a zone: give the field's local time without one")
        return found
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)
