"""The forecasters of trends and of cards as forecasters of sktime: to be tuned, chained and compared with its own.

Belongs here: series of sktime to the grids that `trends` and `card_forecast` work on, and back. Does not belong here: any method.

Both learn from a whole field: a panel of wells (rows indexed by well and day) is forecast at once, and what did best on all wells is used
for each. A series of one well is taken too, with less to learn from.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from oasis_pipeline.learning.card_forecast.candidates import candidates_of
from oasis_pipeline.learning.card_forecast.history import POINTS, CardDays
from oasis_pipeline.learning.card_forecast.learn import evidence_of, learn
from oasis_pipeline.learning.card_forecast.model import HORIZONS_HOURS, base_forecaster, forecast_states
from oasis_pipeline.learning.trends import NOMINAL_PCT, Trends, forecast_trends

_TAGS = {
    "authors": "OASIS Pipeline",
    "maintainers": "OASIS Pipeline",
    "capability:exogenous": False,
    "capability:insample": False,
    "capability:pred_int:insample": False,
    "capability:missing_values": True,
    "capability:update": True,
    "requires-fh-in-fit": False,
    "y_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
}


@dataclass(frozen=True)
class _Panel:
    """Series of one or more wells on one grid of steps.

    Attributes
    ----------
    wells : list
        Index entries of the wells, without the time; empty for a single series.
    values : ndarray, shape (wells, steps, columns)
        NaN where a well has no value.
    """

    wells: list[Any]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, y: pd.DataFrame) -> _Panel:
        """Lay the rows of a series, panel or hierarchy out."""
        moments = y.index.get_level_values(-1)
        steps = _steps(moments)
        steps = steps - steps.min()
        if y.index.nlevels == 1:
            wells, place = [], np.zeros(len(y), np.int64)
        else:
            found = cast(pd.MultiIndex, y.index).droplevel(-1)
            wells = list(found.unique())
            place = found.unique().get_indexer(found)
        values = np.full((max(len(wells), 1), int(steps.max()) + 1, y.shape[1]), np.nan)
        values[place, steps] = y.to_numpy(np.float64)
        return cls(wells, values)

    def index(self, moments: pd.Index, names: Any) -> pd.Index:
        """Index of forecasts at some moments, the wells before them."""
        if not self.wells:
            return moments
        keys = [
            (*(well if isinstance(well, tuple) else (well,)), at) for well in self.wells for at in moments
        ]
        return pd.MultiIndex.from_tuples(keys, names=names)


def _steps(moments: pd.Index) -> NDArray[np.int64]:
    """Number of the step of each moment."""
    if isinstance(moments, pd.DatetimeIndex):
        unique = pd.DatetimeIndex(moments.unique()).sort_values()
        freq = moments.freq or (pd.infer_freq(unique) if len(unique) > 2 else None) or "D"
        moments = moments.to_period(pd.tseries.frequencies.to_offset(freq).name.split("-")[0])
    if isinstance(moments, pd.PeriodIndex):
        return np.array([moment.ordinal for moment in moments], np.int64)
    return np.asarray(moments, np.int64)


class _FieldForecaster(BaseForecaster):  # type: ignore[misc]
    """What both have in common: the field is kept, and forecasts get sktime's index."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # of a default that changes with sktime 1.3; both ways an update looks at the whole series
            warnings.simplefilter("ignore", FutureWarning)
            super().__init__()

    def _fit(self, y: pd.DataFrame, X: Any = None, fh: Any = None) -> _FieldForecaster:
        self._seen = y
        self._panel = _Panel.of(y)
        return self

    def _update(self, y: pd.DataFrame, X: Any = None, update_params: bool = True) -> _FieldForecaster:
        return self._fit(y.combine_first(self._seen)[self._seen.columns])

    def _ahead(self, fh: ForecastingHorizon) -> tuple[list[int], pd.Index]:
        """Steps ahead, and the moments they lead to."""
        return [int(step) for step in fh.to_relative(self.cutoff)], fh.to_absolute_index(self.cutoff)

    def _frame(self, values: NDArray[np.float64], moments: pd.Index, columns: pd.Index) -> pd.DataFrame:
        """Forecasts of shape (wells, steps, columns) as sktime wants them."""
        index = self._panel.index(moments, self._seen.index.names)
        return pd.DataFrame(values.reshape(len(index), -1), index=index, columns=columns)


class TrendForecaster(_FieldForecaster):
    """Forecast daily values of a field's wells as ``clean.trend`` does.

    Of eleven simple forecasters (last value, median of a week, mean, exponential smoothing, theta, damped trend) the one is used that did best
    in the field over the last eight weeks, for each number of days ahead, and its errors there give the band. A well whose newest value is a
    jump is forecast by what did best after jumps. With fewer than 100 errors to choose by, as from one short series, the median of a week
    is used, with a wide band.

    Parameters
    ----------
    least, most : float, optional
        Limits of the quantity.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from oasis_pipeline.learning.sktime_estimators import TrendForecaster
    >>> days = pd.period_range("2026-01-01", periods=90, freq="D")
    >>> fillage = pd.Series(np.linspace(90.0, 60.0, 90), days)
    >>> forecaster = TrendForecaster(least=0.0, most=100.0).fit(fillage)
    >>> forecaster.predict([1, 7]).round(1).tolist()
    [61.0, 61.0]
    """

    _tags: ClassVar = {**_TAGS, "capability:multivariate": False, "capability:pred_int": True}

    def __init__(self, least: float | None = None, most: float | None = None) -> None:
        self.least = least
        self.most = most
        super().__init__()

    def _forecast(self, ahead: list[int], nominal_pct: float) -> Trends:
        grid = self._panel.values[:, :, 0].copy()
        grid[:, -1] = _newest(grid)
        steps = grid.shape[1]
        # the newest step is a cut-off: everything before it counts
        first_day = 4 - (steps - 1) % 7
        return forecast_trends(
            grid, first_day, steps - 1, self.least, self.most, horizons=ahead, nominal_pct=nominal_pct
        )

    def _predict(self, fh: ForecastingHorizon, X: Any = None) -> pd.DataFrame:
        ahead, moments = self._ahead(fh)
        found = self._forecast(ahead, NOMINAL_PCT)
        return self._frame(found.value[:, 0, :, None], moments, self._seen.columns)

    def _predict_interval(self, fh: ForecastingHorizon, X: Any, coverage: Sequence[float]) -> pd.DataFrame:
        ahead, moments = self._ahead(fh)
        sides = []
        for share in coverage:
            found = self._forecast(ahead, 100.0 * share)
            sides += [found.lower[:, 0], found.upper[:, 0]]
        columns = pd.MultiIndex.from_product([self._get_varnames(), coverage, ["lower", "upper"]])
        return self._frame(np.stack(sides, axis=-1), moments, columns)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters that sktime's checks use."""
        return [{}, {"least": 0.0, "most": 1000.0}]


class CardForecaster(_FieldForecaster):
    """Forecast the loads of a well's card as ``clean.cardpred`` does.

    A series has one row a day and one column for each load (lbf) at equal steps of position, up the stroke and back; a day without a card is a
    row of NaN. A forecast is the newest card plus a weighted sum of departures from it: means, a week's median and slopes of the last 28 days.
    The weights depend on how odd the newest card is and on whether the well drifts. `fit` learns them from a field with enough cards of
    100 loads; otherwise they are those of simulated fields that come with the package. They are learned one, three and seven days ahead, and
    taken from these for other days.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from oasis_pipeline.learning.sktime_estimators import CardForecaster
    >>> days = pd.period_range("2026-01-01", periods=20, freq="D")
    >>> loads = 10_000.0 + 3_000.0 * np.sin(np.linspace(0.0, 2.0 * np.pi, 100)) + np.zeros((20, 1))
    >>> CardForecaster().fit(pd.DataFrame(loads, days)).predict([1]).shape
    (1, 100)
    """

    _tags: ClassVar = {**_TAGS, "capability:multivariate": True, "capability:pred_int": False}

    def _fit(self, y: pd.DataFrame, X: Any = None, fh: Any = None) -> CardForecaster:
        super()._fit(y)
        self._days = _card_days(self._panel.values)
        self._model = base_forecaster()
        if y.shape[1] == POINTS and len(self._days):
            known = candidates_of(self._days)
            evidence = [evidence_of(self._days, known, hours) for hours in HORIZONS_HOURS]
            self._model, _ = learn(evidence, self._days, int(self._days.day.max()) + 1, self._model)
        return self

    def _predict(self, fh: ForecastingHorizon, X: Any = None) -> pd.DataFrame:
        ahead, moments = self._ahead(fh)
        wells, steps, loads = self._panel.values.shape
        found = np.full((wells, len(ahead), loads), np.nan)
        newest = np.flatnonzero(np.r_[np.diff(self._days.well) != 0, True][: len(self._days)])
        known = candidates_of(self._days, newest)
        for place, step in enumerate(ahead):
            # of a well without a card today the forecast reaches further
            hours = 24.0 * (step + steps - 1 - self._days.day[newest])
            for each in np.unique(hours):
                rows = np.flatnonzero(hours == each)
                states = forecast_states(self._model, known.take(rows), float(each))
                found[self._days.well[newest[rows]], place] = states[:, 2:]
        return self._frame(found, moments, self._seen.columns)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        """Return parameters that sktime's checks use."""
        return {}


def _newest(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Newest value of each row of (wells, steps), NaN without any."""
    known = np.isfinite(grid)
    last = grid.shape[1] - 1 - np.argmax(known[:, ::-1], axis=1)
    return np.asarray(grid[np.arange(len(grid)), last])


def _card_days(values: NDArray[np.float64]) -> CardDays:
    """Days of cards of (wells, steps, loads); positions are not part of a series and stand still."""
    well, day = np.nonzero(np.isfinite(values).all(axis=2))
    loads = values[well, day].astype(np.float32)
    states = np.concatenate([np.zeros((len(loads), 2), np.float32), loads], axis=1)
    return CardDays(well, day, day.astype(np.float64), np.zeros(len(well), np.int64), states, states)
