"""Everything that is remembered of one camera: where people are, what they looked like, what we believe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.attributes import AttributeState
from pipeline.config import RecognitionConfig
from pipeline.ignore import NOTHING_IGNORED, IgnoredAreas
from pipeline.recognition import Reading, Request
from pipeline.tracklets import TrackletBuffer
from pipeline.types import Box, Frame, FrameResult, Label, Person, TrackSummary

if TYPE_CHECKING:
    import supervision as sv

    from trackers.base import Tracker
    from trackers.identities import Identities


VELOCITY_SETTLES = 0.3
"""Seconds after which half of what is known of a velocity is new."""
LOST_SPREAD = 0.15
"""By how much, in heights a second, it grows uncertain where somebody is who is not found."""
ROUND_SECONDS = 2.0
"""What a reading that was asked for may take."""
LEFT_SECONDS = 0.8
"""Out of view for longer, somebody has probably left. Less than trackers wait until they let go of them."""


@dataclass(slots=True)
class Presence:
    """When and how often somebody was seen, and read.

    gone: whether the tracker has let go of them; awaited: whether their end was put off once, to read them; box: where
    they were last; velocity: of its middle, in pixels a second; also: other numbers they bore.
    """

    first_time: float
    last_time: float
    frames: int = 0
    readings: int = 0
    last_reading: float = float("-inf")
    gone: bool = False
    awaited: bool = False
    box: Box = (0.0, 0.0, 0.0, 0.0)
    velocity: tuple[float, float] = (0.0, 0.0)
    also: tuple[int, ...] = ()

    def see(self, time: float, box: Box) -> None:
        """They are at `box` now."""
        elapsed = time - self.last_time
        if self.frames and elapsed > 0:
            weight = 1.0 if self.frames == 1 else 1 - 0.5 ** (elapsed / VELOCITY_SETTLES)
            moved = [(box[i] + box[i + 2] - self.box[i] - self.box[i + 2]) / 2 / elapsed for i in (0, 1)]
            vx, vy = (old + weight * (new - old) for old, new in zip(self.velocity, moved))
            self.velocity = vx, vy
        self.last_time, self.box, self.gone = time, box, False
        self.frames += 1

    def joined(self, other: Presence) -> Presence:
        """Both of one person as one, where the later of them is."""
        return replace(
            max(self, other, key=lambda one: one.last_time),
            first_time=min(self.first_time, other.first_time),
            frames=self.frames + other.frames,
            readings=self.readings + other.readings,
            last_reading=max(self.last_reading, other.last_reading),
            also=other.also + self.also,
        )

    def whereabouts(self, time: float) -> Box:
        """What holds the place where they were last, the one where they then should be, and all between."""
        elapsed = time - self.last_time
        x1, y1, x2, y2 = self.box
        dx, dy = (speed * elapsed for speed in self.velocity)
        aside = LOST_SPREAD * elapsed * (y2 - y1)
        return (
            x1 + min(dx, 0.0) - aside, y1 + min(dy, 0.0) - aside, x2 + max(dx, 0.0) + aside, y2 + max(dy, 0.0) + aside,
        )  # fmt: skip


class CameraPipeline:
    """Turns the detections of one camera into labelled people over time.

    A frame goes through `observe`; `due` then names the tracklets worth a reading, `apply` takes the
    readings whenever they arrive, and `result` says what is known of the frame's people. `ended` hands out
    the people who are over, `finish` those who are not. Nothing here is shared with another camera.

    Everything is kept under the id that people see: whoever comes back within `memory` seconds, and is
    recognised by `identities`, goes on under the id they had, with what was known of them. Nobody is followed in
    ignored `areas`.
    """

    def __init__(
        self,
        camera: str,
        tracker: Tracker,
        buffer: TrackletBuffer,
        beliefs: AttributeState | None,
        policy: RecognitionConfig,
        window: int = 6,
        identities: Callable[[], Identities] | None = None,
        memory: float = 0.0,
        areas: IgnoredAreas = NOTHING_IGNORED,
    ) -> None:
        self.camera = camera
        self.tracker = tracker
        self.buffer = buffer
        self.beliefs = beliefs
        self.policy = policy
        self.window = window
        self.memory = memory if identities else 0.0
        self.areas = areas
        self._make_identities = identities
        self._identities = identities() if identities else None
        self._looks: dict[int, np.ndarray] = {}
        self._presences: dict[int, Presence] = {}
        self._visible: sv.Detections | None = None
        self._found = np.zeros((0, 4), np.float32)
        self._ended: list[TrackSummary] = []

    def observe(self, frame: Frame, detections: sv.Detections) -> sv.Detections:
        """Track one frame's people and keep the good looks at them.

        detections: xyxy (N, 4) pixels and confidence (N,). Returns the visible people with tracker_id, the id
        to show, and the part of their boxes inside the picture.
        """
        height, width = frame.image.shape[:2]
        people = self.tracker.update(self.areas.filter(detections, width, height), frame.time, frame.image)
        self._recognise_returning(frame.time, people)
        people.xyxy = inside(people.xyxy, width, height)
        self._visible = people
        self._found = inside(detections.xyxy, width, height)
        for track, box in zip(_ids(people), people.xyxy.tolist()):
            self._presences.setdefault(track, Presence(frame.time, frame.time)).see(frame.time, tuple(box))
        self._keep_looks(frame, people)
        for track, presence in list(self._presences.items()):
            over = presence.gone and frame.time - presence.last_time > self.memory
            if over and not self._may_be_read(track, frame.time):
                self._ended.append(self._end(track))
        return people

    def _recognise_returning(self, time: float, people: sv.Detections) -> None:
        """Give `people` the ids to show, and those who came back what was known of them."""
        identities, ended = self._identities, self.tracker.ended
        shown: Callable[[int], int] = identities.display if identities else int
        merged = {a: b for a, b in self.tracker.merged.items() if not self._met(shown(a), shown(b))}
        for track, other in merged.items():
            self._join(shown(track), shown(other))
        self._let_go(shown(track) for track in ended)
        if identities is None:
            return
        tracks = np.array(_ids(people), dtype=int)
        looks, self._looks = self._looks, {}
        beliefs = None
        if self.beliefs is not None:
            beliefs = {person: self.beliefs.distribution(person) for person in looks}
        found = identities.update(time, tracks, people.xyxy, ended, looks, beliefs, merged)
        for track, display in found.items():
            self._join(track, display)
        if len(tracks):
            people.tracker_id = np.array([identities.display(track) for track in tracks.tolist()], dtype=int)

    def _met(self, one: int, other: int) -> bool:
        """Whether two numbers were in view together, so that they cannot be one person whatever their tracks say."""
        a, b = self._presences.get(one), self._presences.get(other)
        return a is not None and b is not None and a.first_time <= b.last_time and b.first_time <= a.last_time

    def _keep_looks(self, frame: Frame, people: sv.Detections) -> None:
        if self.beliefs is None and self._identities is None:
            return
        kept = self.buffer.add(frame, people)
        if self.beliefs is None:
            # Without the attribute model, people are recognised again by the colours of their clothes.
            from trackers.appearance import colour_appearance

            self._looks.update({track: colour_appearance(crop.image) for track, crop in kept.items()})

    def _let_go(self, tracks: Iterable[int]) -> None:
        for track in tracks:
            if track in self._presences:
                self._presences[track].gone = True

    def _join(self, track: int, display: int) -> None:
        """`track` turned out to be `display`, whom we knew: one person, one record."""
        presence, known = self._presences.pop(track, None), self._presences.get(display)
        if presence is not None:
            presence.also = (track, *presence.also)
            self._presences[display] = presence if known is None else presence.joined(known)
        self.buffer.join(track, display)
        if self.beliefs is not None:
            self.beliefs.merge(track, display)

    def due(self, time: float, last: bool = False) -> list[Request]:
        """Requests for the tracklets worth a reading at `time` in seconds.

        They are those in view that hold enough new, good crops; and whoever was never read, however little was seen
        of them, once they have been out of view for a moment or, with `last`, because the recording ends.
        """
        if self.beliefs is None:
            return []
        visible = dict.fromkeys([] if self._visible is None else _ids(self._visible))
        requests = []
        for track in visible | dict.fromkeys(self._presences):
            tracklet, presence = self.buffer.tracklets.get(track), self._presences[track]
            if tracklet is None or tracklet.fresh == 0:
                continue
            new = presence.readings == 0
            parting = new and (last or presence.gone or time - presence.last_time > LEFT_SECONDS)
            if not parting and (track not in visible or tracklet.fresh < self.policy.new_crops):
                continue
            settled = not new and self.beliefs.settled(track)
            wait = self.policy.settled_interval if settled else self.policy.interval
            if not parting and time - presence.last_reading < wait:
                continue
            newness = 2.0 if new else 0.0 if settled else 1.0
            requests.append(
                Request(
                    camera=self.camera,
                    track=track,
                    crops=tracklet.window(self.window),
                    time=time,
                    quality=tracklet.quality,
                    fresh=min(tracklet.fresh / len(tracklet.crops), 1.0),
                    priority=newness + tracklet.quality,
                )
            )
        return requests

    def _may_be_read(self, track: int, time: float) -> bool:
        """Whether somebody who left, and was never read, can be so still: now, or by a round that is under way."""
        tracklet, presence = self.buffer.tracklets.get(track), self._presences[track]
        if self.beliefs is None or presence.readings:
            return False
        if time - presence.last_reading < ROUND_SECONDS:
            return True
        # Where pictures are rarer than memory is long, this is the first chance.
        first, presence.awaited = not presence.awaited, True
        return first and tracklet is not None and tracklet.fresh > 0

    def claim(self, requests: Sequence[Request]) -> None:
        """Mark requests as taken, so that their tracklets are not due again before new crops arrive."""
        for request in requests:
            if request.track in self.buffer.tracklets:
                self.buffer.tracklets[request.track].fresh = 0
                self._presences[request.track].last_reading = request.time

    def apply(self, reading: Reading) -> None:
        """Add a reading to what is believed of its person; one that comes after their end is dropped."""
        # It may have been asked for under a number that its person has given up.
        bore = (person for person, presence in self._presences.items() if reading.track in presence.also)
        track = reading.track if reading.track in self._presences else next(bore, reading.track)
        presence = self._presences.get(track)
        if presence is None or self.beliefs is None:
            return
        presence.readings += 1
        self.beliefs.update(track, reading)
        if reading.appearance is not None and self._identities is not None:
            self._looks[track] = reading.appearance

    def result(self, frame: Frame) -> FrameResult:
        """The people of the frame last observed, with their labels at its time."""
        people = []
        visible = self._visible
        if visible is not None and len(visible):
            scores = visible.confidence if visible.confidence is not None else np.ones(len(visible))
            for track, box, score in zip(_ids(visible), visible.xyxy.tolist(), scores.tolist()):
                people.append(Person(track, tuple(box), score, self._labels(track, frame.time)))
        others = tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in self._found.tolist())
        return FrameResult(frame.camera, frame.index, frame.time, tuple(people), others, self._missed(frame.time))

    def _missed(self, time: float) -> tuple[Box, ...]:
        there = (one for one in self._presences.values() if not one.gone and one.last_time < time)
        return tuple(one.whereabouts(time) for one in there)

    def ended(self) -> list[TrackSummary]:
        """People who ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def finish(self) -> list[TrackSummary]:
        """End everybody: the camera or the recording is over, or nothing is as it was."""
        summaries = self.ended() + [self._end(track) for track in sorted(self._presences)]
        self.tracker.reset()
        self._identities = self._make_identities() if self._make_identities else None
        self._looks.clear()
        self._visible = None
        return summaries

    def _labels(self, track: int, time: float | None) -> dict[str, Label]:
        return self.beliefs.labels(track, time) if self.beliefs is not None else {}

    def _end(self, track: int) -> TrackSummary:
        presence = self._presences.pop(track)
        tracklet = self.buffer.pop(track)
        summary = TrackSummary(
            camera=self.camera,
            track=track,
            first_time=presence.first_time,
            last_time=presence.last_time,
            frames=presence.frames,
            attributes=self._labels(track, None),
            readings=presence.readings,
            best_box=tracklet.best_box if tracklet else None,
            best_time=tracklet.best_time if tracklet else None,
            also=presence.also,
        )
        if self.beliefs is not None:
            self.beliefs.forget(track)
        return summary


def inside(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """The part of each box inside the picture, at least a pixel; boxes: (N, 4) xyxy in pixels."""
    limits = np.array([width, height], dtype=boxes.dtype)
    low = boxes[:, :2].clip(0, limits - 1)
    return np.hstack([low, np.maximum(boxes[:, 2:].clip(0, limits), low + 1)])


def _ids(people: sv.Detections) -> list[int]:
    return [] if people.tracker_id is None else [int(track) for track in people.tracker_id]
