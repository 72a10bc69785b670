"""HOTA, MOTA and IDF1 of tracking results by TrackEval's metrics, with MOTChallenge's rules for distractors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from trackers.association import iou
from trackers.base import Tracker
from trackers.mot import CLASS, FRAME, HEIGHT, ID, LEFT, SCORE, TOP, WIDTH, corners, pixel_corners, read_mot

Boxes = Path | str | np.ndarray | Mapping[int, tuple[np.ndarray, np.ndarray]]
"""A MOT file, its rows (R, 8), or for each frame the ids (N,) and boxes (N, 4) as x1 y1 x2 y2."""

PEDESTRIAN = 1
DISTRACTORS = (2, 7, 8, 12)
"""MOTChallenge's classes that are neither hit nor miss: on a vehicle, static, distractor, reflection."""


def score(truth: Boxes, result: Boxes) -> dict[str, float]:
    """Scores of one clip: HOTA, DetA, AssA, LocA, MOTA, IDF1 in percent, IDSW (switches), Frag, FP, FN as counts.

    Frames that appear in neither are not counted, so a shortened result wants a shortened truth.
    """
    return score_all({"clip": (truth, result)})["clip"]


def score_all(clips: Mapping[str, tuple[Boxes, Boxes]]) -> dict[str, dict[str, float]]:
    """Scores as in `score` of each clip (truth, result) by name, and of all together under `pooled`.

    Raises ValueError where TrackEval is not installed.
    """
    CLEAR, HOTA, Identity = trackeval_metrics()
    metrics = [HOTA(), CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False})]
    raw: dict[str, list[dict[str, Any]]] = {}
    for name, (truth, result) in clips.items():
        data = prepare(as_rows(truth), as_rows(result))
        raw[name] = [metric.eval_sequence(data) for metric in metrics]
    scores = {name: _summary(*parts) for name, parts in raw.items()}
    pooled = [
        metric.combine_sequences({name: parts[i] for name, parts in raw.items()}) for i, metric in enumerate(metrics)
    ]
    scores["pooled"] = _summary(*pooled)
    return scores


def trackeval_metrics() -> tuple[Any, Any, Any]:
    """TrackEval's CLEAR, HOTA and Identity; raises ValueError where it is not installed."""
    try:
        from trackeval.metrics import CLEAR, HOTA, Identity
    except ImportError as error:
        raise ValueError(
            "tracking is scored by TrackEval, which is not installed; pip install '.[eval]' in Sidewalk's folder"
        ) from error
    return CLEAR, HOTA, Identity


def _summary(hota: dict[str, Any], clear: dict[str, Any], identity: dict[str, Any]) -> dict[str, float]:
    percent = {name: 100 * float(np.mean(hota[name])) for name in ("HOTA", "DetA", "AssA", "LocA")}
    percent |= {"MOTA": 100 * float(clear["MOTA"]), "IDF1": 100 * float(identity["IDF1"])}
    counts = {"IDSW": "IDSW", "Frag": "Frag", "FP": "CLR_FP", "FN": "CLR_FN"}
    return percent | {name: float(clear[key]) for name, key in counts.items()}


def as_rows(boxes: Boxes) -> np.ndarray:
    """Any form of `Boxes` as MOT rows (R, 8) sorted by frame."""
    if isinstance(boxes, np.ndarray):
        return boxes[np.argsort(boxes[:, FRAME], kind="stable")]
    if isinstance(boxes, Path | str):
        return read_mot(boxes)
    rows = [np.zeros((0, CLASS + 1))]
    for frame in sorted(boxes):
        ids, xyxy = boxes[frame]
        part = np.ones((len(ids), CLASS + 1))
        part[:, FRAME], part[:, ID] = frame, ids
        part[:, LEFT : HEIGHT + 1] = xyxy
        part[:, WIDTH : HEIGHT + 1] -= part[:, LEFT : TOP + 1]
        rows.append(part)
    return np.concatenate(rows)


def prepare(truth: np.ndarray, result: np.ndarray) -> dict[str, Any]:
    """The rows (R, 8) of a clip in the form TrackEval's metrics take, after MOTChallenge's preprocessing.

    Results that lie on a distractor are taken out; truth that is flagged 0 or no pedestrian is too.
    """
    frames = np.union1d(truth[:, FRAME], result[:, FRAME])
    kept_truth = (truth[:, SCORE] != 0) & (truth[:, CLASS] == PEDESTRIAN)
    kept_result = np.ones(len(result), dtype=bool)
    distracting = np.isin(truth[:, CLASS], DISTRACTORS)
    truth_boxes, result_boxes = corners(truth), corners(result)
    spans = [
        (slice(*np.searchsorted(truth[:, FRAME], [f, f + 1])), slice(*np.searchsorted(result[:, FRAME], [f, f + 1])))
        for f in frames
    ]
    overlaps = [iou(truth_boxes[t], result_boxes[r]) for t, r in spans]
    for (t, r), overlap in zip(spans, overlaps):
        if distracting[t].any() and overlap.size:
            rows, columns = match(overlap)
            kept_result[r.start + columns[distracting[t][rows]]] = False
    truth_ids, truth_names = _dense(truth[:, ID], kept_truth)
    result_ids, result_names = _dense(result[:, ID], kept_result)
    return {
        "frames": frames.astype(int),
        "num_timesteps": len(frames),
        "num_gt_dets": int(kept_truth.sum()),
        "num_tracker_dets": int(kept_result.sum()),
        "num_gt_ids": truth_names,
        "num_tracker_ids": result_names,
        "gt_ids": [truth_ids[t][kept_truth[t]] for t, _ in spans],
        "tracker_ids": [result_ids[r][kept_result[r]] for _, r in spans],
        "similarity_scores": [o[kept_truth[t]][:, kept_result[r]] for (t, r), o in zip(spans, overlaps)],
    }


def match(overlap: np.ndarray, bonus: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the best pairing of boxes that share at least half of their union.

    bonus: added to the overlap of those that do.
    """
    from scipy.optimize import linear_sum_assignment

    close = np.where(overlap < 0.5 - np.finfo(float).eps, 0.0, overlap + bonus)
    rows, columns = linear_sum_assignment(close, maximize=True)
    real = close[rows, columns] > np.finfo(float).eps
    return rows[real], columns[real]


def _dense(ids: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, int]:
    """Ids (R,) renumbered from 0 over the kept rows, and how many there are."""
    names, dense = np.unique(ids[kept], return_inverse=True)
    out = np.zeros(len(ids), dtype=int)
    out[kept] = dense
    return out, len(names)


def follow(
    tracker: Tracker,
    detections: np.ndarray,
    times: Mapping[int, float],
    picture: Callable[[int], np.ndarray | None] = lambda frame: None,
) -> tuple[np.ndarray, float]:
    """Run `tracker` over the detections (R, 8) of one clip.

    times: seconds of each frame to be shown to it, in order; picture: the BGR picture of a frame, where needed.
    Returns the result's MOT rows (K, 8) and the seconds spent inside `update`.
    """
    import supervision as sv

    boxes, scores = pixel_corners(detections).astype(np.float32), detections[:, SCORE].astype(np.float32)
    spent = 0.0
    rows = [np.zeros((0, CLASS + 1))]
    for frame, time in times.items():
        span = slice(*np.searchsorted(detections[:, FRAME], [frame, frame + 1]))
        people = sv.Detections(xyxy=boxes[span], confidence=scores[span])
        image = picture(frame)
        began = perf_counter()
        seen = tracker.update(people, time, image)
        spent += perf_counter() - began
        part = np.ones((len(seen.xyxy), CLASS + 1))
        part[:, FRAME], part[:, ID], part[:, SCORE] = frame, seen.tracker_id, seen.confidence
        part[:, LEFT : HEIGHT + 1] = seen.xyxy + 1.0  # rows count pixels from 1, pictures from 0
        part[:, WIDTH : HEIGHT + 1] -= part[:, LEFT : TOP + 1]
        rows.append(part)
    return np.concatenate(rows), spent


def switches(truth: Boxes, result: Boxes) -> np.ndarray:
    """Frames (K,), one for each time that somebody true goes on under another id; counted as CLEAR MOT does."""
    data = prepare(as_rows(truth), as_rows(result))
    holder: dict[int, int] = {}
    just_now: dict[int, int] = {}
    found = []
    for frame, people, tracks, overlap in zip(
        data["frames"], data["gt_ids"], data["tracker_ids"], data["similarity_scores"]
    ):
        # Whoever was matched in the last frame stays so while the boxes still overlap by half.
        stays = np.array([[just_now.get(person) == track for track in tracks] for person in people])
        rows, columns = match(overlap, 1000.0 * stays.reshape(overlap.shape))
        just_now = dict(zip(people[rows].tolist(), tracks[columns].tolist()))
        found += [frame for person, track in just_now.items() if holder.get(person, track) != track]
        holder |= just_now
    return np.array(found, dtype=int)
