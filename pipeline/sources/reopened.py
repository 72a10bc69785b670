"""Recordings that wait for their turn without being held open."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.sources.base import Source
from pipeline.types import Frame


class Reopened:
    """A recording that was looked at, closed, and is opened again to be read: a hundred cost no more than one.

    opening: opens it. Raises, here and when it is read, what that raises.
    """

    def __init__(self, opening: Callable[[], Source]) -> None:
        probe = opening()
        self.info = probe.info
        probe.close()
        self.warnings: list[str] = []
        self._open = opening
        self._source: Source | None = None

    def __iter__(self) -> Iterator[Frame]:
        source = self._source = self._open()
        try:
            yield from source
        finally:
            self.warnings.extend(source.warnings)

    def close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()
