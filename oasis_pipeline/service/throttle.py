"""How often somebody may ask, and how often guess: counts that all processes of the service share.

Here: token buckets of requests and counts of failed log-ins, in files that are mapped into memory and stay when the service is started
again. Not here: who is limited to how much (``access``, ``login``).

Whoever asks is hashed to a slot; two who share a slot share its allowance, which with that many slots is rare and harms nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import mmap
import os
import struct
import threading
import time
from functools import lru_cache
from pathlib import Path

_BUCKET = struct.Struct("<dd")
_BURST = 6.0
_KEPT = 100
"""Longest text of which a result is remembered."""
_MARK = struct.Struct("<Qd")
_MINUTE = 60.0


def network_of(address: str) -> str:
    """Whose address it is: of IPv6 the /64, in which one machine may take as many as it likes."""
    return _kept_network(address) if len(address) <= _KEPT else _kept_network.__wrapped__(address)


@lru_cache(maxsize=4096)
def _kept_network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def _number(who: str) -> int:
    # names come from strangers: long ones are not kept
    return _kept_number(who) if len(who) <= _KEPT else _kept_number.__wrapped__(who)


@lru_cache(maxsize=16_384)
def _kept_number(who: str) -> int:
    return int.from_bytes(hashlib.blake2b(who.encode(), digest_size=8).digest(), "little")


class _Held:
    """A slot that nobody else has for the length of a block; entered for each request."""

    __slots__ = ("_at", "_file", "_guard", "_size")

    def __init__(self, guard: threading.Lock, file: int, size: int, at: int) -> None:
        self._guard = guard
        self._file = file
        self._size = size
        self._at = at

    def __enter__(self) -> None:
        # lockf is the process's, the guard its threads'
        self._guard.acquire()
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX, self._size, self._at)
        except BaseException:
            self._guard.release()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_UN, self._size, self._at)
        finally:
            self._guard.release()


class _Slots:
    """Slots of one size in a file, made if absent, for the owner alone."""

    def __init__(self, path: Path, size: int, count: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        self._size, self._count = size, count
        if os.fstat(self._file.fileno()).st_size < size * count:
            os.ftruncate(self._file.fileno(), size * count)
        self.memory = mmap.mmap(self._file.fileno(), size * count)
        self._guard = threading.Lock()

    def at(self, who: str) -> int:
        """Where somebody's slot begins."""
        return _number(who) % self._count * self._size

    def held(self, at: int) -> _Held:
        """Keep all others from a slot for the length of a block."""
        return _Held(self._guard, self._file.fileno(), self._size, at)

    def close(self) -> None:
        """Let go of the file."""
        self.memory.close()
        self._file.close()


class Throttle:
    """Token buckets in a file.

    A bucket holds a minute's allowance divided by six and fills at the rate of the allowance, so that a burst of ten seconds' worth is
    fine and the rate over a minute is kept.

    Parameters
    ----------
    path : Path
        Made if absent, for the owner alone. It holds nothing that matters after a restart of the machine.
    """

    def __init__(self, path: Path) -> None:
        self._slots = _Slots(path, _BUCKET.size, 65_536)

    def take(self, who: str, per_minute: int, now: float | None = None) -> float:
        """Take one from somebody's bucket.

        Parameters
        ----------
        who : str
            Whose.
        per_minute : int
            Allowance.
        now : float, optional
            Seconds since 1970; the clock by default.

        Returns
        -------
        float
            0 if there was enough, else the seconds until there will be; then nothing is taken.
        """
        if per_minute <= 0:
            return _MINUTE
        full, rate = max(per_minute / _BURST, 1.0), per_minute / _MINUTE
        moment = time.time() if now is None else now
        at = self._slots.at(who)
        with self._slots.held(at):
            used: float
            since: float
            used, since = _BUCKET.unpack_from(self._slots.memory, at)
            # a clock set back begins anew
            idle = moment - since if 0 <= moment - since < 3600 else 3600.0
            used = min(max(used - idle * rate, 0.0), full)
            if used + 1.0 > full + 1e-9:
                return max((used + 1.0 - full) / rate, 0.001)
            _BUCKET.pack_into(self._slots.memory, at, used + 1.0, moment)
            return 0.0

    def close(self) -> None:
        """Let go of the file."""
        self._slots.close()


class MinuteCount:
    """At most so many events of somebody in any 60 seconds, counted exactly: the moments of the last ones are kept.

    Parameters
    ----------
    path : Path
        Made if absent, for the owner alone.
    most : int
        Events in any minute.
    """

    def __init__(self, path: Path, most: int) -> None:
        self.most = most
        self._moments = struct.Struct(f"<{most}d")
        self._slots = _Slots(path, self._moments.size, 16_384)

    def add(self, who: str, now: float) -> float:
        """Count an event.

        Parameters
        ----------
        who : str
            Whose.
        now : float
            Seconds since 1970; `take_back` wants the same number.

        Returns
        -------
        float
            0 if it was counted, else the seconds until one may be; then nothing is counted.
        """
        at = self._slots.at(who)
        with self._slots.held(at):
            kept = self._recent(at, now)
            if len(kept) == self.most:
                return self._wait(kept, now)
            moments = [*kept, now, *[0.0] * (self.most - 1 - len(kept))]
            self._moments.pack_into(self._slots.memory, at, *moments)
            return 0.0

    def wait(self, who: str, now: float) -> float:
        """Seconds until an event of somebody's may be counted; nothing is counted."""
        kept = self._recent(self._slots.at(who), now)
        return self._wait(kept, now) if len(kept) == self.most else 0.0

    def take_back(self, who: str, moment: float) -> None:
        """Count an event no longer."""
        at = self._slots.at(who)
        with self._slots.held(at):
            kept = list(self._moments.unpack_from(self._slots.memory, at))
            if moment in kept:
                kept[kept.index(moment)] = 0.0
                self._moments.pack_into(self._slots.memory, at, *kept)

    def _recent(self, at: int, now: float) -> list[float]:
        # who looked at the clock later may come first; what lies far ahead was counted before the clock was set back
        moments: tuple[float, ...] = self._moments.unpack_from(self._slots.memory, at)
        return [moment for moment in moments if abs(now - moment) < _MINUTE]

    def _wait(self, kept: list[float], now: float) -> float:
        return max(_MINUTE - (now - min(kept)), 0.001)

    def close(self) -> None:
        """Let go of the file."""
        self._slots.close()


class Known:
    """Who was seen within some time: the last one of each slot, told apart from others of it by 64 bits.

    Parameters
    ----------
    path : Path
        Made if absent, for the owner alone.
    seconds : float
        How long somebody is known.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._seconds = seconds
        self._slots = _Slots(path, _MARK.size, 65_536)

    def has(self, who: str, now: float) -> bool:
        """Whether somebody is known."""
        return 0.0 <= self._age(who, now) < self._seconds

    def note(self, who: str, now: float) -> None:
        """Know somebody from now on; written once an hour at most."""
        if not 0.0 <= self._age(who, now) < 3600.0:
            at = self._slots.at(who)
            with self._slots.held(at):
                _MARK.pack_into(self._slots.memory, at, _number(who), now)

    def _age(self, who: str, now: float) -> float:
        mark, moment = _MARK.unpack_from(self._slots.memory, self._slots.at(who))
        return now - moment if mark == _number(who) else -1.0

    def close(self) -> None:
        """Let go of the file."""
        self._slots.close()
