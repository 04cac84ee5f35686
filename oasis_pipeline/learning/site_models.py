"""Forecasters and classifiers of sktime that a site names in ``models.toml``, checked when the file is read.

Belongs here: the file, and how a named estimator answers for a field. Does not belong here: who asks (``operations``).

Any forecaster or classifier with sktime's interface may be named by the path of its class, also one of the site's own. It sees one well and
one series at a time, so it is as slow as it is: the platform's own methods work on whole fields.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.splits import Scorer, Train
from oasis_pipeline.learning.trends import HORIZONS_DAYS, Forecaster

MODELS_FILE = "models.toml"

LEAST_VALUES = 8
"""A named forecaster is asked about windows with so many values; fewer are left to the platform's own."""


class SiteModelError(ValueError):
    """A file that can't be used; the message names the entry and what is wrong with it."""


class TrendChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who forecasts ``clean.trend``.

    Attributes
    ----------
    forecaster : str
        Path of a class with sktime's interface of forecasters; empty for the platform's own.
    parameters : dict
        Arguments of the class.
    """

    forecaster: str = ""
    parameters: dict[str, Any] = {}


class ComparisonChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is judged beside the card classifier.

    Attributes
    ----------
    classifier : str
        Path of a class with sktime's interface of classifiers; empty for none.
    parameters : dict
        Arguments of the class.
    """

    classifier: str = ""
    parameters: dict[str, Any] = {}


class SiteModels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``models.toml`` says.

    Attributes
    ----------
    trend : TrendChoice
    comparison : ComparisonChoice
    """

    trend: TrendChoice = TrendChoice()
    comparison: ComparisonChoice = ComparisonChoice()


def read_site_models(home: Path) -> SiteModels:
    """Read ``models.toml`` of a home folder.

    Parameters
    ----------
    home : Path
        Without the file nothing is named.

    Returns
    -------
    SiteModels

    Raises
    ------
    SiteModelError
        If the file can't be read, has an unknown key, or names something that can't be made.
    """
    path = home / MODELS_FILE
    try:
        text = path.read_text(encoding="utf-8-sig") if path.exists() else ""
        return parse_site_models(text)
    except (OSError, UnicodeDecodeError, SiteModelError) as error:
        raise SiteModelError(f"{path}: {error}") from error


def parse_site_models(text: str) -> SiteModels:
    """Read the text of ``models.toml``, and make what it names once to see that it can be made.

    Raises
    ------
    SiteModelError
        If that is not so.
    """
    try:
        found = msgspec.toml.decode(text, type=SiteModels)
    except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
        raise SiteModelError(str(error)) from error
    if found.trend.forecaster:
        make_estimator("forecaster", found.trend.forecaster, found.trend.parameters)
    if found.comparison.classifier:
        make_estimator("classifier", found.comparison.classifier, found.comparison.parameters)
    return found


def make_estimator(kind: str, path: str, parameters: Mapping[str, Any]) -> Any:
    """Make an estimator from the path of its class.

    Parameters
    ----------
    kind : {"forecaster", "classifier"}
        What it has to be.
    path : str
        Such as ``sktime.forecasting.theta.ThetaForecaster``.
    parameters : mapping
        Its arguments.

    Returns
    -------
    sktime estimator

    Raises
    ------
    SiteModelError
        If there is no such class, it is of another kind, a package that it needs is missing, or it does not take the parameters.
    """
    from sktime.classification.base import BaseClassifier
    from sktime.forecasting.base import BaseForecaster

    base = {"forecaster": BaseForecaster, "classifier": BaseClassifier}[kind]
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SiteModelError(f"{kind}: there is no class {path} here ({error})") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise SiteModelError(f"{kind}: {path} is not a {kind} with sktime's interface")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return found(**parameters)
    # a class of somebody else may raise anything over its arguments
    except Exception as error:
        text = " ".join(str(error).split())
        raise SiteModelError(f"{kind}: {path} can't be made with {dict(parameters)}: {text}") from error


def forecaster_of(choice: TrendChoice, note: Callable[[str], None] = lambda fault: None) -> Forecaster:
    """Make the function that asks a named forecaster about windows of daily values.

    Parameters
    ----------
    choice : TrendChoice
        With a forecaster.
    note : callable
        Told what went wrong with a window; the window gets no answer.

    Returns
    -------
    callable
        See `trends.Forecaster`. Gaps inside of a window are filled on the straight line between their neighbours where the forecaster can't
        take them.
    """
    import pandas as pd

    model = make_estimator("forecaster", choice.forecaster, choice.parameters)
    gaps = bool(model.get_tag("capability:missing_values", False, raise_error=False))

    def forecast(windows: NDArray[np.float64], days: NDArray[np.int64]) -> NDArray[np.float64]:
        found = np.full((len(windows), len(HORIZONS_DAYS)), np.nan)
        for row, (window, day) in enumerate(zip(windows, days, strict=True)):
            known = np.flatnonzero(np.isfinite(window))
            if len(known) < LEAST_VALUES:
                continue
            values = window[known[0] :]
            if not gaps:
                values = np.interp(np.arange(known[0], len(window)), known, window[known])
            index = pd.period_range(end=pd.Period(ordinal=int(day), freq="D"), periods=len(values))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    fitted = model.clone().fit(pd.Series(values, index), fh=list(HORIZONS_DAYS))
                    found[row] = np.asarray(fitted.predict(), np.float64).ravel()
            # one window that a forecaster stumbles over must not stop the field
            except Exception as error:
                note(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
        return found

    return forecast


def train_of(
    choice: ComparisonChoice, channels: int, note: Callable[[str], None] = lambda fault: None
) -> Train:
    """Make the training of a named classifier for `evaluation.Candidate`.

    Parameters
    ----------
    choice : ComparisonChoice
        With a classifier.
    channels : int
        Curves of a card; the features are these one behind the other, NaN for a card that is missing.
    note : callable
        Told where it could not learn; its answers are NaN then.

    Returns
    -------
    callable
        See `splits.Train`. A card with two labels is learned from twice, once with each; the scores are the classifier's probabilities.
    """

    def panel(table: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.nan_to_num(table.astype(np.float64)).reshape(len(table), channels, -1)

    def train(features: NDArray[np.float32], multi_hot: NDArray[np.bool_], seed: int) -> Scorer:
        card, label = np.nonzero(multi_hot)
        model = make_estimator("classifier", choice.classifier, choice.parameters)
        if "random_state" in model.get_params() and "random_state" not in choice.parameters:
            model.set_params(random_state=seed)

        def score(table: NDArray[np.float32]) -> NDArray[np.float32]:
            found = np.zeros((len(table), multi_hot.shape[1]), np.float32)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    if not model.is_fitted:
                        model.fit(panel(features[card]), label)
                    found[:, np.asarray(model.classes_, np.int64)] = model.predict_proba(panel(table))
            # a model that is only compared must not stop the training
            except Exception as error:
                note(f"{choice.classifier}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
                found[:] = np.nan
            return found

        return score

    return train
