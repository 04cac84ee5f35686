"""What a pass did, and what it could not do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from oasis_pipeline.automation.alerts import AlertsReport
from oasis_pipeline.intake import PassReport

Advance = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps in all."""


class PassError(RuntimeError):
    """An asset could not be materialized; the message names it and the reason."""


@dataclass(frozen=True)
class Failure:
    """An asset that could not be made, with what was to be made of it.

    Attributes
    ----------
    asset : str
        ``schema/name``, or the step where none can be told.
    days : tuple of str
        First and last day, or one empty text.
    reason : str
    of_step : bool
        Whether the step failed, so that some of its days may be at fault for all; a check that failed names its days.
    """

    asset: str
    days: tuple[str, ...]
    reason: str
    of_step: bool = False

    def __str__(self) -> str:
        span = " to ".join(dict.fromkeys(self.days))
        return f"{self.asset}{f' of {span}' if span else ''}: {self.reason}"


@dataclass
class PassSummary:
    """What a pass did.

    Attributes
    ----------
    intake : PassReport
        Files taken in.
    runs : list of dict
        Dagster runs: assets, days, seconds.
    seconds : dict of str to float
        Time spent in intake and in materializing.
    notes : list of str
        What a person should know: checks that warned, assets with nothing to learn from yet.
    failures : list of Failure
        What could not be made.
    waiting : dict of str to str
        Asset -> why it, or some of its days, wait although they are stale.
    faulty_files : list of str
        What is wrong with files of the home folder; part of the notes.
    alerts : AlertsReport
        What is to be told to people, as of the end of the pass.
    """

    intake: PassReport
    runs: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    faulty_files: list[str] = field(default_factory=list)
    alerts: AlertsReport = field(default_factory=AlertsReport)

    def raise_failures(self) -> None:
        """Raise `PassError` if something could not be made."""
        if self.failures:
            texts = list(dict.fromkeys(str(failure) for failure in self.failures))
            raise PassError(
                f"could not materialize {'; '.join(texts)}. `oasis status` shows what is materialized and what is waiting"
            )
