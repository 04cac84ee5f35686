"""What clients of the data service sent and got, and whether the database agrees.

Here: clients that keep their history, and the check of it. Not here: what is done to the service meanwhile.

A reading is known by one number in its measures. It was *acknowledged* (the answer said that it is stored), *refused* (the answer
said that it is not), or its end is *unknown* (no answer, or one of a server in trouble). Acknowledged ones have to be there
exactly once, unknown ones once at most, refused ones not at all.
"""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"

_numbers = itertools.count(1)


@dataclass
class History:
    """What became of readings, by their numbers."""

    fate: dict[int, str] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)

    def note(self, numbers: Iterable[int], fate: str) -> None:
        """Note the last word on readings."""
        for number in numbers:
            # once acknowledged is acknowledged: a second sending that fails takes nothing back
            if self.fate.get(number) != ACKNOWLEDGED:
                self.fate[number] = fate


@dataclass(frozen=True)
class Verdict:
    """What a history and a database say of each other."""

    lost: int
    doubled: int
    acknowledged: int
    unknown: int


def check(history: History, stored: Mapping[int, int]) -> Verdict:
    """Compare a history with what is stored.

    Parameters
    ----------
    history : History
    stored : mapping of int to int
        Number of a reading -> how often it stands in the database.

    Returns
    -------
    Verdict
    """
    lost = doubled = 0
    for number, fate in history.fate.items():
        there = stored.get(number, 0)
        lost += fate == ACKNOWLEDGED and there == 0
        doubled += max(0, there - 1)
        # a refused reading that is stored was stored against the answer
        doubled += fate == REFUSED and there > 0
    doubled += sum(count for number, count in stored.items() if number not in history.fate)
    fates = Counter(history.fate.values())
    return Verdict(lost, doubled, fates[ACKNOWLEDGED], fates[UNKNOWN])


class Gateway(threading.Thread):
    """A client that posts readings of one module until it is told to stop, and sends again what it got no answer to.

    Parameters
    ----------
    port : int
    module, token : str
    seed : int
    """

    def __init__(self, port: int, module: str, token: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.module = module
        self.rng = random.Random(seed)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.history = History()
        self.stopping = threading.Event()
        self.connection: http.client.HTTPConnection | None = None
        self.moment = datetime(2025, 3, 1, tzinfo=UTC) + timedelta(seconds=self.rng.randrange(86_400))

    def run(self) -> None:
        """Post."""
        while not self.stopping.is_set():
            body, numbers = self._batch(self.rng.choice((1, 1, 1, 5, 60)))
            stamped = "timestamp" in body[0]
            while self.post(body, numbers) == UNKNOWN and stamped and not self.stopping.is_set():
                # a reading with its time may be sent again: it is the same one
                time.sleep(0.05)
        self.hang_up()

    def _batch(self, size: int) -> tuple[list[dict[str, object]], list[int]]:
        numbers = [next(_numbers) for _ in range(size)]
        body: list[dict[str, object]] = [
            {"module_num": self.module, "measures": [{"name": "n", "value": float(number)}]}
            for number in numbers
        ]
        if self.rng.random() < 0.8:
            for item in body:
                self.moment += timedelta(milliseconds=self.rng.randrange(1, 900_000))
                item["timestamp"] = self.moment.isoformat()
        if self.rng.random() < 0.05:
            body[-1]["voltage"] = "no number"
        return body, numbers

    def post(self, body: list[dict[str, object]], numbers: list[int]) -> str:
        """Post readings, and note what the answer says."""
        self.history.note(numbers, UNKNOWN)
        fate = UNKNOWN
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            self.connection.request("POST", "/api/rawdata/", json.dumps(body), self.headers)
            answer = self.connection.getresponse()
            answer.read()
            self.history.statuses[str(answer.status)] += 1
            if answer.status in (200, 201):
                fate = ACKNOWLEDGED
            elif answer.status in (400, 413, 422):
                fate = REFUSED
            else:
                time.sleep(0.05)
        except TimeoutError:
            self.history.statuses["no answer in 60 s"] += 1
            self.hang_up()
        except (OSError, http.client.HTTPException):
            self.history.statuses["no answer"] += 1
            self.hang_up()
            time.sleep(0.05)
        self.history.note(numbers, fate)
        return fate

    def hang_up(self) -> None:
        """Close the connection."""
        if self.connection is not None:
            with suppress(OSError):
                self.connection.close()
            self.connection = None
