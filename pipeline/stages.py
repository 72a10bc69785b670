"""Stages in threads: an iterator that runs ahead of its consumer by a bounded number of items."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar, cast

Item = TypeVar("Item")

_POLL = 0.1


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def marking_last(items: Iterable[Item]) -> Iterator[tuple[Item, bool]]:
    """Each item with whether it is the last one; an item is held back until the next is there."""
    for item, following in itertools.pairwise(itertools.chain(items, [_END])):
        yield cast(Item, item), following is _END


class Ahead(Generic[Item]):
    """Iterates `items` in a thread of its own, at most `depth` items ahead (policy: block).

    An error in the thread is raised again where the items are consumed. `close` ends the thread, and
    returns once it has left `items`; leaving a `with` block closes.
    """

    def __init__(self, items: Iterable[Item], depth: int, name: str) -> None:
        self._items = items
        self._queue: queue.Queue[object] = queue.Queue(maxsize=depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
            self._put(_END)
        except BaseException as error:
            self._put(_Failure(error))

    def _put(self, item: object) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self._queue.get()
            if item is _END:
                return
            if isinstance(item, _Failure):
                raise item.error
            yield cast(Item, item)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def __enter__(self) -> Ahead[Item]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
