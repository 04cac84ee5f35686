"""How often somebody may ask: token buckets that all processes of the service share.

Here: the buckets, in a file that is mapped into memory. Not here: who is limited to how much (``access``, ``login``).

A bucket holds a minute's allowance divided by six and fills at the rate of the allowance, so that a burst of ten seconds' worth
is fine and the rate over a minute is kept. Who asks is hashed to a slot; two who share a slot share its allowance, which
with 65,536 slots is rare and harms nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import threading
import time
from pathlib import Path

_SLOTS = 65_536
_SLOT = struct.Struct("<dd")
_BURST = 6.0


class Throttle:
    """Token buckets in a file.

    Parameters
    ----------
    path : Path
        Made if absent, for the owner alone. It holds nothing that matters after a restart of the machine.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        size = _SLOTS * _SLOT.size
        if os.fstat(self._file.fileno()).st_size < size:
            os.ftruncate(self._file.fileno(), size)
        self._memory = mmap.mmap(self._file.fileno(), size)
        self._guard = threading.Lock()

    def take(self, who: str, per_minute: int, now: float | None = None, *, cost: float = 1.0) -> float:
        """Take from somebody's bucket.

        Parameters
        ----------
        who : str
            Whose.
        per_minute : int
            Allowance.
        now : float, optional
            Seconds since 1970; the clock by default.
        cost : float
            What to take; 0 only looks.

        Returns
        -------
        float
            0 if there was enough, else the seconds until there will be; then nothing is taken.
        """
        if per_minute <= 0:
            return 60.0
        at = (
            int.from_bytes(hashlib.blake2b(who.encode(), digest_size=8).digest(), "little")
            % _SLOTS
            * _SLOT.size
        )
        full, rate = max(per_minute / _BURST, 1.0), per_minute / 60.0
        moment = time.time() if now is None else now
        # lockf is the process's, the guard its threads'
        with self._guard:
            fcntl.lockf(self._file, fcntl.LOCK_EX, _SLOT.size, at)
            try:
                used: float
                since: float
                used, since = _SLOT.unpack_from(self._memory, at)
                # a clock set back begins anew
                idle = moment - since if 0 <= moment - since < 3600 else 3600.0
                used = min(max(used - idle * rate, 0.0), full)
                need = max(cost, 1.0)
                if used + need > full + 1e-9:
                    return max((used + need - full) / rate, 0.001)
                _SLOT.pack_into(self._memory, at, used + cost, moment)
                return 0.0
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, _SLOT.size, at)

    def close(self) -> None:
        """Let go of the file."""
        self._memory.close()
        self._file.close()
