"""Output folders and files: earlier results are not overwritten unasked, half-written ones not left looking whole."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.types import SidewalkError

PARTIAL = ".partial"
STAMP = "%Y%m%dT%H%M%SZ"
"""A moment, in UTC, as it stands in file names."""

RECORDED = ("overlay.mp4", "frames.jsonl", "tracks.jsonl", "tracks.csv", "mot.txt")
"""What a run over a recording writes."""
SEGMENTS = ("overlay-[0-9]*.mp4", "frames-[0-9]*.jsonl", "tracks-[0-9]*.jsonl", "mot-[0-9]*.txt", "events.jsonl*")
"""Files of live runs, one a stretch of time, and their log."""
RECORDS = ("run.json", "run-[0-9]*.json")
"""What ran last, and what ran live before."""


def prepare_output(folder: Path) -> None:
    """Make sure that files can be written into the folder; it is made if need be. Raises SidewalkError."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def refuse_earlier(folder: Path, patterns: Sequence[str] = (*RECORDED, *SEGMENTS, *RECORDS)) -> None:
    """Raises SidewalkError where the folder holds such results of an earlier run."""
    earlier = earlier_results(folder, patterns)
    if earlier:
        names = ", ".join(path.name for path in earlier[:3]) + (", ..." if len(earlier) > 3 else "")
        raise SidewalkError(
            f"{folder}: holds the results of an earlier run ({names}); give --overwrite or another --out"
        )


def remove_earlier(folder: Path) -> None:
    """Remove what an earlier run left in the folder; nothing else is touched."""
    with writing(folder):
        for path in earlier_results(folder):
            path.unlink()


def earlier_results(folder: Path, patterns: Sequence[str] = (*RECORDED, *SEGMENTS, *RECORDS)) -> list[Path]:
    """Files in the folder that a run of Sidewalk wrote, whole or partial."""
    found = {path for name in patterns for end in ("", PARTIAL) for path in folder.glob(name + end)}
    return sorted(path for path in found if path.is_file())


def set_aside(path: Path) -> None:
    """Move an earlier run's file, if there is one, to a name with the time it was written at."""
    with writing(path):
        if path.exists():
            stamp = time.strftime(STAMP, time.gmtime(path.stat().st_mtime))
            path.rename(path.with_name(f"{path.stem}-{stamp}{path.suffix}"))


def partial(path: Path) -> Path:
    """The name a file bears while it is written."""
    return path.with_name(path.name + PARTIAL)


def finish(path: Path, completed: bool) -> None:
    """Give a written file its final name, unless it is incomplete."""
    if completed:
        with writing(path):
            os.replace(partial(path), path)


class TextFile:
    """Lines of text that reach the disk as they are written, under the partial name until `close`.

    Raises SidewalkError wherever the file system refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path):
            self._file = partial(path).open("w", encoding="utf-8", newline="\n", buffering=1)

    @property
    def closed(self) -> bool:
        return self._file.closed

    def write(self, *lines: str) -> None:
        """lines: each with its line end."""
        with writing(self.path):
            self._file.writelines(lines)

    def close(self, completed: bool = True) -> None:
        """Give the file its final name, unless it is incomplete. Doing so again changes nothing."""
        if not self._file.closed:
            with writing(self.path):
                self._file.close()
            finish(self.path, completed)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Failures of the file system become one-line errors that name the path and the remedy."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SidewalkError(
            f"{path}: cannot be written ({reason}); check permissions and free space, or choose another --out"
        ) from error
