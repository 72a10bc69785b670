"""tracks.jsonl and tracks.csv: one line a track, written when the person is gone."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.sinks.jsonl import attributes, box, line, seconds
from pipeline.sinks.output import TextFile, finish, partial, writing
from pipeline.types import Frame, FrameResult, TrackSummary

COLUMNS = ("camera", "track", "first_time", "last_time", "frames", "readings")
BEST = ("best_time", "best_x1", "best_y1", "best_x2", "best_y2")


class TrackLinesSink:
    """tracks.jsonl: a line for each person, once they have left."""

    def __init__(self, path: Path) -> None:
        self._file = TextFile(path)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Frames have a file of their own."""

    def end_track(self, summary: TrackSummary) -> None:
        self._file.write(line(track_record(summary)))

    def close(self, completed: bool = True) -> None:
        self._file.close(completed)


class TracksSink(TrackLinesSink):
    """Writes both files into a folder. The table is made from the lines at the end, when its columns are known:
    one for each attribute group and one for its probability, empty where the model abstains; then the best look."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__(Path(folder) / "tracks.jsonl")
        self._table = Path(folder) / "tracks.csv"

    def close(self, completed: bool = True) -> None:
        if self._file.closed:
            return
        self._file.close(completed=False)  # the lines take their name last, beside a table that is there
        if completed:
            with writing(self._table):
                self._write_table()
            finish(self._table, completed)
            finish(self._file.path, completed)

    def _write_table(self) -> None:
        groups = list(dict.fromkeys(group for record in self._records() for group in record["attributes"]))
        with partial(self._table).open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow([*COLUMNS, *(name for group in groups for name in (group, f"{group} probability")), *BEST])
            for record in self._records():
                known = record["attributes"]
                cells = [known.get(group, {}).get(key) for group in groups for key in ("value", "probability")]
                best = [record["best_time"], *(record["best_box"] or [None] * 4)]
                rows.writerow([*(record[column] for column in COLUMNS), *cells, *best])

    def _records(self) -> Iterator[dict[str, Any]]:
        with partial(self._file.path).open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def track_record(summary: TrackSummary) -> dict[str, Any]:
    """A track as it stands in tracks.jsonl."""
    return {
        "camera": summary.camera,
        "track": summary.track,
        "also": list(summary.also),
        "first_time": seconds(summary.first_time),
        "last_time": seconds(summary.last_time),
        "frames": summary.frames,
        "readings": summary.readings,
        "attributes": attributes(summary.attributes),
        "best_box": None if summary.best_box is None else box(summary.best_box),
        "best_time": None if summary.best_time is None else seconds(summary.best_time),
    }
