"""Posts that wait are stored together: one statement and one wait for the disk for all of them.

Here: the queue of a process and the thread that empties it. Not here: how posts are stored (``storage.posts``), and what becomes of one
that can't be stored with others (``store``).

Whatever the size of a group, its statement and its wait cost the same, ten times what one more reading adds. While the thread waits for the
disk the next posts gather. Who posted before has been answered by then and is about to post again: as many as came the last time are waited for, a
few milliseconds at most. So a post that comes alone waits for nobody.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache

from oasis_pipeline.service import limits
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.warehouse import warehouse
from oasis_pipeline.storage.errors import StorageError, is_passing
from oasis_pipeline.storage.posts import Post, PostResult, PostWriter

Outcome = PostResult | BaseException
"""Of a post: durable when it is there. A `StorageError` is the database's; a result that is ``busy`` is to be stored alone."""

Tell = Callable[[Outcome], None]

_OTHERS_IN_THE_WAY = ("55P03", "40001", "40P01")
_log = logging.getLogger("oasis.service")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A post, and who is to be told what became of it, on which loop."""

    post: Post
    tell: Tell
    loop: asyncio.AbstractEventLoop | None


class GroupCommit:
    """A queue of posts and the thread that stores them.

    Parameters
    ----------
    writer : PostWriter
        Used by that thread alone.
    """

    def __init__(self, writer: PostWriter) -> None:
        self._writer = writer
        self._queue: deque[_Waiting] = deque()
        self._arrived = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wanted = 1
        self._last = 1

    def __len__(self) -> int:
        """Number of posts that wait."""
        return len(self._queue)

    def submit(self, post: Post) -> Future[PostResult]:
        """Put a post into the queue.

        Parameters
        ----------
        post : Post

        Returns
        -------
        Future of PostResult
            Its exception, or result, is an `Outcome`.

        Raises
        ------
        ApiError
            503 if too many wait.
        """
        future: Future[PostResult] = Future()

        def tell(outcome: Outcome) -> None:
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        # whoever has given up by then has gone, and is not told; what he posted is stored
        self._put(_Waiting(post, lambda o: tell(o) if future.set_running_or_notify_cancel() else None, None))
        return future

    def submit_and_tell(self, post: Post, tell: Tell) -> None:
        """Put a post into the queue, from a loop.

        Parameters
        ----------
        post : Post
        tell : callable
            Called with the `Outcome`, on the loop that runs now: once for all of a group, for it takes long to wake a loop.

        Raises
        ------
        ApiError
            503 if too many wait.
        """
        self._put(_Waiting(post, tell, asyncio.get_running_loop()))

    def _put(self, waiting: _Waiting) -> None:
        with self._arrived:
            if len(self._queue) >= 4 * limits.POSTS:
                raise ApiError(
                    503, "the service is busy: try again in a few seconds", headers={"Retry-After": "2"}
                )
            self._queue.append(waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="group-commit")
                self._thread.start()
            if len(self._queue) >= self._wanted:
                self._arrived.notify()

    def _run(self) -> None:
        while True:
            with self._arrived:
                self._gather()
                group = self._take()
            self._last = len(group)
            outcomes = self._store([waiting.post for waiting in group])
            try:
                _tell(group, outcomes)
            except Exception:  # a loop that has ended: whoever waited on it has gone
                _log.exception("who posted can't be told")

    def _gather(self) -> None:
        """Wait for a post, and for a moment for as many as came the last time."""
        self._wanted = 1
        while not self._queue:
            self._arrived.wait()
        end = time.monotonic() + limits.GATHER_SECONDS
        self._wanted = self._last
        while len(self._queue) < self._wanted and (left := end - time.monotonic()) > 0:
            self._arrived.wait(left)

    def _take(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        readings = 0
        while self._queue and readings < limits.GROUP_READINGS:
            group.append(self._queue.popleft())
            readings += len(group[-1].post.modules)
        return group

    def _store(self, posts: list[Post]) -> Sequence[Outcome]:
        try:
            return self._writer.store(posts)
        except StorageError as error:
            if is_passing(error) and error.sqlstate not in _OTHERS_IN_THE_WAY:
                return [error] * len(posts)
            # whose fault it is, or for whom somebody else has to be waited, each finds out alone
            return [PostResult(busy=True) for _ in posts]
        except BaseException as error:
            return [error] * len(posts)


def _tell(group: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    of_loops: dict[asyncio.AbstractEventLoop, list[tuple[Tell, Outcome]]] = {}
    for waiting, outcome in zip(group, outcomes, strict=True):
        if waiting.loop is None:
            waiting.tell(outcome)
        else:
            of_loops.setdefault(waiting.loop, []).append((waiting.tell, outcome))
    for loop, told in of_loops.items():
        loop.call_soon_threadsafe(_tell_all, told)


def _tell_all(told: Sequence[tuple[Tell, Outcome]]) -> None:
    for tell, outcome in told:
        try:
            tell(outcome)
        except Exception:  # one's fault is not the others'
            _log.exception("who posted can't be told")


@lru_cache(maxsize=1)
def group_commit() -> GroupCommit:
    """The queue of this process."""
    return GroupCommit(PostWriter(warehouse()))
