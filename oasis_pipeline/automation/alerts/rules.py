"""Who wants to know what, and when: ``alerts.toml`` of the home folder.

Here: the file's form and checks, and when something may be sent. Not here: what is looked for (``signals``), and sending (``sending``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

ALERTS_FILE = "alerts.toml"

KINDS = {
    "run_failed": "failure",
    "source_silent": "failure",
    "disk": "failure",
    "stale": "warning",
    "rejected_share": "warning",
    "model_not_promoted": "warning",
    "well_down": "warning",
    "failure_alarm": "warning",
    "worklist_first": "info",
}
"""What there are alerts of, and how grave it is."""

NO_END = frozenset({"worklist_first", "model_not_promoted"})
"""Of these nobody is told that they are over: another well, or model, took the place."""

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")

Hours = Annotated[float, msgspec.Meta(gt=0.0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Names = Annotated[list[str], msgspec.Meta(min_length=1)]


class AlertError(RuntimeError):
    """Alerts can't be told as things stand; the message says what to do, and holds no address, for addresses hold secrets."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From when on something is worth an alert.

    Attributes
    ----------
    stale_hours : float
        An asset is stale, and nothing of it was made, for so long.
    silent_hours : float
        No file and no row has come for so long.
    rejected_percent : float
        Share of the rows of a kind that were rejected within a day.
    rejected_rows : int
        Fewer rejected rows than that are none.
    free_gib : float
        Free space of a disk that is written to.
    database_gib : float or None
        Size of the database.
    worklist_places : int
        So many wells are first on the worklist.
    new_days : float
        A well that is down, or an alarm, is new for so long.
    """

    stale_hours: Hours = 6.0
    silent_hours: Hours = 24.0
    rejected_percent: Annotated[float, msgspec.Meta(gt=0.0, le=100.0)] = 5.0
    rejected_rows: Count = 20
    free_gib: Hours = 5.0
    database_gib: Hours | None = None
    worklist_places: Count = 1
    new_days: Hours = 2.0


class Receiver(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody, or some program, that is told.

    Attributes
    ----------
    url : str
        As `apprise` spells it, or ``env:NAME`` of a variable that holds it.
    quiet : list of str
        Spans of the day such as ``22:00-06:00`` in which only what is urgent is sent; the rest waits for their end.
    digest : list of str
        Times of day at which all that has come since is sent in one message; empty: at once.
    """

    url: Annotated[str, msgspec.Meta(min_length=1)]
    quiet: list[str] = []
    digest: list[str] = []

    def address(self) -> str:
        """Where to send to.

        Raises
        ------
        AlertError
            If the variable that should hold it is not set.
        """
        if not self.url.startswith("env:"):
            return self.url
        found = os.environ.get(self.url[4:], "")
        if not found:
            raise AlertError(f"the variable {self.url[4:]}, which holds the address, is not set")
        return found

    def due(self, now: datetime, *, urgent: bool = False) -> datetime:
        """When something that is to be told now may be sent.

        Parameters
        ----------
        now : datetime
            In the zone of the file.
        urgent : bool
            Neither digest nor quiet hours hold it back.

        Returns
        -------
        datetime
        """
        if urgent:
            return now
        at = min((_next(now, text) for text in self.digest), default=now)
        for _ in self.quiet:
            # spans may follow each other
            for text in self.quiet:
                at = _after(at, text)
        return at


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is told to whom.

    Attributes
    ----------
    what : list of str
        Of `KINDS`; with ``*`` for any text.
    to : list of str
        Receivers.
    wells : list of str
        Only alerts of these wells, with ``*`` for any text; all by default, and those of no well.
    after_minutes : float
        Only what lasts so long.
    remind_hours : float or None
        Told again after so long, as long as it lasts.
    urgent : bool
        Told at once, also in quiet hours.
    """

    what: Names
    to: Names
    wells: list[str] = []
    after_minutes: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0
    remind_hours: Hours | None = None
    urgent: bool = False

    def fits(self, kind: str, well: str | None) -> bool:
        """Whether it is of an alert."""
        if not any(fnmatchcase(kind, pattern) for pattern in self.what):
            return False
        return not self.wells or (
            well is not None
            and any(fnmatchcase(well.casefold(), pattern.casefold()) for pattern in self.wells)
        )


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; without one nobody is told, and the limits are the defaults.

    Attributes
    ----------
    timezone : str or None
        Of quiet hours and digests; the field's by default.
    limits : Limits
    to : dict of str to Receiver
    rule : list of Rule
    """

    timezone: str | None = None
    limits: Limits = Limits()
    to: dict[str, Receiver] = {}
    rule: list[Rule] = []

    def of(self, kind: str, well: str | None) -> Iterator[tuple[Rule, str]]:
        """Rules of an alert with the receivers of each; a receiver only once, by the first rule that names it."""
        met: set[str] = set()
        for rule in self.rule:
            if rule.fits(kind, well):
                for name in rule.to:
                    if name not in met:
                        met.add(name)
                        yield rule, name

    def zone(self, field: ZoneInfo) -> ZoneInfo:
        """Zone of quiet hours and digests."""
        return ZoneInfo(self.timezone) if self.timezone else field


def load_rules(home: Path) -> Rules:
    """Read ``alerts.toml`` of a home folder; the defaults if there is none.

    Raises
    ------
    AlertError
        If it can't be used.
    """
    try:
        text = (home / ALERTS_FILE).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return Rules()
    except (OSError, UnicodeDecodeError) as error:
        raise AlertError(f"{ALERTS_FILE} can't be read: {error}") from None
    return parse_rules(text)


def parse_rules(text: str) -> Rules:
    """Read and check rules.

    Parameters
    ----------
    text : str
        Content of ``alerts.toml``.

    Returns
    -------
    Rules

    Raises
    ------
    AlertError
        If the text is not TOML, or a key, kind, receiver, time or zone can't be meant.
    """
    try:
        rules = msgspec.toml.decode(text, type=Rules)
    except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
        raise AlertError(f"{ALERTS_FILE} can't be used: {error}") from None
    if rules.timezone is not None:
        try:
            ZoneInfo(rules.timezone)
        except (OSError, ValueError, KeyError):
            raise _wrong(
                "timezone", f"{rules.timezone!r} is not a time zone: use one such as America/Chicago or UTC"
            ) from None
    for name, receiver in rules.to.items():
        for span in receiver.quiet:
            if not _SPAN.fullmatch(span) or span[:5] == span[6:]:
                raise _wrong(f"to.{name}.quiet", f"{span!r} is not a span of a day such as 22:00-06:00")
        for at in receiver.digest:
            if not _TIME.fullmatch(at):
                raise _wrong(f"to.{name}.digest", f"{at!r} is not a time of day such as 07:00")
        if not receiver.url.startswith("env:") and not re.match(r"[A-Za-z][A-Za-z0-9+]*://", receiver.url):
            raise _wrong(f"to.{name}.url", "is not an address such as mailto://..., slack://..., or env:NAME")
    for number, rule in enumerate(rules.rule, 1):
        for pattern in rule.what:
            if not any(fnmatchcase(kind, pattern) for kind in KINDS):
                raise _wrong(f"rule {number}: what", f"{pattern!r} is none of {', '.join(KINDS)}")
        for name in rule.to:
            if name not in rules.to:
                known = ", ".join(rules.to) or "none is there"
                raise _wrong(
                    f"rule {number}: to", f"there is no receiver {name!r} under [to.{name}]: {known}"
                )
    return rules


def _wrong(place: str, what: str) -> AlertError:
    return AlertError(f"{ALERTS_FILE} can't be used: {place}: {what}")


def _next(now: datetime, text: str) -> datetime:
    """The next time that the clock shows this."""
    at = datetime.combine(now.date(), time.fromisoformat(text), now.tzinfo)
    return at if at > now else datetime.combine(now.date() + timedelta(days=1), at.time(), now.tzinfo)


def _after(at: datetime, span: str) -> datetime:
    """A moment, or the end of the span that holds it."""
    begin, end = time.fromisoformat(span[:5]), time.fromisoformat(span[6:])
    clock = at.time()
    inside = begin <= clock < end if begin < end else clock >= begin or clock < end
    return _next(at, span[6:]) if inside else at
