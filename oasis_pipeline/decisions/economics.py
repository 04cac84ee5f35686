"""Prices and costs that turn barrels and probabilities into money.

Here: the settings of ``economics.toml``, their defaults and their checks. Not here: where the file lies.

The defaults are round figures for a small onshore field, not a survey: a site sets its own.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

MOST = 1e12
"""Greatest amount of money: sums over wells and days stay finite."""

Amount = Annotated[float, msgspec.Meta(ge=0.0, le=MOST)]
Percent = Annotated[float, msgspec.Meta(ge=0.0, le=100.0)]


class EconomicsError(ValueError):
    """A file of settings that can't be used; the message names the key and what is wrong."""


class Jobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cost of a job by what is pulled or mended, in the currency.

    Attributes
    ----------
    pump, rod, tubing, bha, gearbox, other : float
        A workover of that component; `other` for a failure of any other class.
    visit : float
        One visit of a pumper.
    """

    pump: Amount = 25_000.0
    rod: Amount = 15_000.0
    tubing: Amount = 40_000.0
    bha: Amount = 45_000.0
    gearbox: Amount = 60_000.0
    other: Amount = 30_000.0
    visit: Amount = 150.0


class Economics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a barrel earns and what work costs.

    Attributes
    ----------
    currency : str
        Name of the money, shown beside every amount.
    oil_price_per_bbl : float
        What a barrel of oil earns net of royalty, tax and transport.
    horizon_days : float
        Time over which lost oil and risk are counted: until somebody would act anyhow.
    energy_price_per_kwh : float
        Electric energy.
    wear_per_1000_strokes : float
        What a thousand strokes wear off pump, rods and tubing: cost of their jobs over the strokes between jobs.
    job_days : float
        How long a well is down for a workover, waiting for the rig included.
    overload_failure_pct : float
        Added probability of a failure within `horizon_days` for each 10 % of load above a rating, percent.
    down_first_bpd : float
        A down well that loses at least this much oil (bbl/d) comes before every well that is not down.
    job_cost : Jobs
        Costs of jobs.
    """

    currency: str = "USD"
    oil_price_per_bbl: Amount = 60.0
    horizon_days: Annotated[float, msgspec.Meta(ge=1.0, le=365.0)] = 30.0
    energy_price_per_kwh: Amount = 0.10
    wear_per_1000_strokes: Amount = 2.0
    job_days: Annotated[float, msgspec.Meta(ge=0.0, le=365.0)] = 7.0
    overload_failure_pct: Percent = 2.0
    down_first_bpd: Amount = 1.0
    job_cost: Jobs = msgspec.field(default_factory=Jobs)

    def cost_of(self, failure_class: str) -> float:
        """Cost of the job after a failure of a class; unknown classes cost `Jobs.other`."""
        return {
            "Pump": self.job_cost.pump,
            "Rod": self.job_cost.rod,
            "Tubing": self.job_cost.tubing,
            "BHA": self.job_cost.bha,
        }.get(failure_class, self.job_cost.other)


def parse_economics(text: str) -> Economics:
    """Read settings from TOML.

    Parameters
    ----------
    text : str
        Content of ``economics.toml``; keys that are absent keep their defaults.

    Returns
    -------
    Economics

    Raises
    ------
    EconomicsError
        If the text is not TOML, a key is unknown, or a value is of the wrong type or out of range.
    """
    try:
        return msgspec.toml.decode(text, type=Economics)
    except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
        raise EconomicsError(f"economics.toml can't be used: {error}") from error
