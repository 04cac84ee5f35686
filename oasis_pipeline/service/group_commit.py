"""Posts that wait are stored together: one statement and one wait for the disk for all of them.

Here: the queue of a process and the thread that empties it. Not here: how posts are stored (``storage.posts``), and what becomes of one
that can't be stored with others (``store``).

Nobody waits for company: the thread takes what is there, and while it waits for the disk the next ones gather.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from functools import lru_cache

from oasis_pipeline.service import limits
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.warehouse import warehouse
from oasis_pipeline.storage.errors import StorageError, is_passing
from oasis_pipeline.storage.posts import Post, PostResult, PostWriter

_OTHERS_IN_THE_WAY = ("55P03", "40001", "40P01")


class GroupCommit:
    """A queue of posts and the thread that stores them.

    Parameters
    ----------
    writer : PostWriter
        Used by that thread alone.
    """

    def __init__(self, writer: PostWriter) -> None:
        self._writer = writer
        self._queue: deque[tuple[Post, Future[PostResult]]] = deque()
        self._arrived = threading.Condition()
        self._thread: threading.Thread | None = None

    def submit(self, post: Post) -> Future[PostResult]:
        """Put a post into the queue.

        Parameters
        ----------
        post : Post

        Returns
        -------
        Future of PostResult
            Durable when it is there. A `StorageError` is the database's; one that is ``busy`` is to be stored alone.

        Raises
        ------
        ApiError
            503 if too many wait.
        """
        future: Future[PostResult] = Future()
        with self._arrived:
            if len(self._queue) >= 4 * limits.POSTS:
                raise ApiError(
                    503, "the service is busy: try again in a few seconds", headers={"Retry-After": "2"}
                )
            self._queue.append((post, future))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="group-commit")
                self._thread.start()
            self._arrived.notify()
        return future

    def _run(self) -> None:
        while True:
            with self._arrived:
                while not self._queue:
                    self._arrived.wait()
                group = self._take()
            if group:
                self._store(group)

    def _take(self) -> list[tuple[Post, Future[PostResult]]]:
        group: list[tuple[Post, Future[PostResult]]] = []
        readings = 0
        while self._queue and readings < limits.GROUP_READINGS:
            post, future = self._queue.popleft()
            # from now on nobody can cancel it; whoever has done so before has gone
            if future.set_running_or_notify_cancel():
                group.append((post, future))
                readings += len(post.modules)
        return group

    def _store(self, group: list[tuple[Post, Future[PostResult]]]) -> None:
        try:
            results = self._writer.store([post for post, _ in group])
        except StorageError as error:
            if is_passing(error) and error.sqlstate not in _OTHERS_IN_THE_WAY:
                for _, future in group:
                    future.set_exception(error)
                return
            # whose fault it is, or for whom somebody else has to be waited, each finds out alone
            results = [PostResult(busy=True) for _ in group]
        except BaseException as error:
            for _, future in group:
                future.set_exception(error)
            return
        for (_, future), result in zip(group, results, strict=True):
            future.set_result(result)


@lru_cache(maxsize=1)
def group_commit() -> GroupCommit:
    """The queue of this process."""
    return GroupCommit(PostWriter(warehouse()))
