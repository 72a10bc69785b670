"""The seam between cameras and the engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pipeline.types import Frame, SourceInfo


class Source(Protocol):
    """An open camera or recording: iterate it for frames in capture order."""

    info: SourceInfo
    warnings: list[str]
    """What went wrong without ending the source, e.g. the undecodable tail of a truncated file."""

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...
