"""Tracklets: six crops of one generated person walking through a generated street, with MARS labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from par_model.datasets.parts import PART_NAMES, UNKNOWN_PART
from par_model.schema import Schema, load_schema
from par_model.synthesis import people, sampling
from par_model.synthesis.bodies import JOINT_INDEX
from par_model.synthesis.people import Person
from par_model.synthesis.props import build_world
from par_model.synthesis.render import Figure, Renderer, Scene, UploadedMesh
from par_model.synthesis.sensor import Sensor, decode, encode, expose, sample_sensor, shrink
from par_model.synthesis.tailor import Tailor
from par_model.synthesis.visibility import Sight, cells, look, shown, tones
from par_model.synthesis.walks import Walk, sample_spot, sample_walk
from par_model.synthesis.world import Camera, sample_camera, sample_light

FRAME_SIZE = (1152, 648)
TRACKLETS_PER_SCENE = 25
SUPERSAMPLING = 1.4
TARGET, NEIGHBOUR = 1, 2
FRAMES_VISIBLE = 2  # frames in which a thing must show to be labelled
_RENDER_HEIGHTS = np.array([64, 80, 96, 112, 128, 160, 192, 224, 272])


@dataclass(frozen=True)
class Tracklet:
    """A finished tracklet: key, JPEG bytes per frame, part maps (T, *MAP_SIZE) and the label object."""

    key: str
    frames: tuple[bytes, ...]
    parts: np.ndarray
    label: dict[str, object]


class TrackletGenerator:
    """Makes tracklets by number: the same seed and number give the same bytes on the same rasteriser."""

    def __init__(
        self, assets: Path, seed: int, *, size: tuple[int, int] = (96, 192), frames: int = 6,
        backgrounds: Path | None = None,
    ) -> None:  # fmt: skip
        self.seed, self.size, self.frames = seed, size, frames
        self.tailor = Tailor(assets)
        self.renderer = Renderer()
        self.schema: Schema = load_schema("mars")
        self.backgrounds = sorted(backgrounds.glob("*.[jp][pn]g")) if backgrounds else []
        if backgrounds and not self.backgrounds:
            raise ValueError(f"{backgrounds}: no .jpg or .png pictures to use as backgrounds")
        self._scene: tuple[int, Scene] | None = None

    def make(self, index: int) -> Tracklet:
        """Tracklet number `index`."""
        scene = self._scene_of(index // TRACKLETS_PER_SCENE)
        for attempt in range(20):
            rng = np.random.default_rng([self.seed, index, attempt])
            tracklet = self._attempt(rng, scene, f"s{self.seed}-{index:06d}")
            if tracklet is not None:
                return tracklet
        raise RuntimeError(f"tracklet {index} of seed {self.seed}: no visible person in 20 attempts")

    def _scene_of(self, number: int) -> Scene:
        if self._scene is None or self._scene[0] != number:
            if self._scene is not None:
                self._scene[1].release()
            rng = np.random.default_rng([self.seed, 1_000_003, number])
            world = build_world(rng, sample_camera(rng, FRAME_SIZE), sample_light(rng))
            picture = None
            if self.backgrounds and rng.uniform() < 0.5:
                picture = self.backgrounds[rng.integers(len(self.backgrounds))]
            self._scene = number, self.renderer.render_scene(world, picture)
        return self._scene[1]

    def _attempt(self, rng: np.random.Generator, scene: Scene, key: str) -> Tracklet | None:
        step = float(np.exp(rng.uniform(np.log(0.12), np.log(0.6))))
        times = np.arange(self.frames) * step
        spot = sample_spot(rng, scene.world)
        if spot is None:
            return None
        traits = sampling.sample_traits(rng)
        person = self.tailor.make(rng, traits, sampling.sample_motions(rng, traits))
        walk = sample_walk(rng, scene.world.camera, spot, person, times)
        poses = [_pose(person, walk, t) for t in times]
        boxes = [_box(scene.world.camera, person.outline(bones)) for bones, _, _ in poses]
        tall = float(np.mean([b[3] - b[1] for b in boxes]))
        if tall < 34 or not all(_inside(b) for b in boxes):
            return None
        sensor = sample_sensor(rng, tall)
        cropped = _jitter(rng, np.array(boxes))
        uploaded = [self.renderer.upload(person.mesh, person.look)]
        try:
            others = self._neighbours(rng, walk, person, uploaded, times)
            pictures, owners = [], []
            for frame, (bones, _, _) in enumerate(poses):
                figures = [Figure(uploaded[0], bones, person.limbs(bones), TARGET), *others[frame]]
                picture, owner = self._crop(scene, figures, cropped[frame], sensor)
                pictures.append(picture)
                owners.append(owner)
        finally:
            for mesh in uploaded:
                mesh.release()
        if sum((owner[..., 0] == TARGET).mean() > 0.13 for owner in owners) < self.frames - 1:
            return None
        quality, smooth = int(rng.integers(72, 96)), bool(rng.uniform() < 0.3)
        stored = tuple(encode(expose(p, sensor, rng), self.size, quality, smooth) for p in pictures)
        areas = [sensor.height**2 * (x2 - x1) / (y2 - y1) for x1, y1, x2, y2 in cropped]
        seen = [look(decode(jpeg), owner, TARGET, area) for jpeg, owner, area in zip(stored, owners, areas)]
        label = self._label(person, poses, seen, cropped, scene.world.camera, sensor, step)
        return Tracklet(key, stored, np.stack([part_map(owner) for owner in owners]), label)

    def _neighbours(
        self, rng: np.random.Generator, walk: Walk, person: Person, uploaded: list[UploadedMesh],
        times: np.ndarray,
    ) -> list[list[Figure]]:  # fmt: skip
        """Other people near the target, per frame; their meshes join `uploaded`."""
        frames: list[list[Figure]] = [[] for _ in times]
        if rng.uniform() > 0.4:
            return frames
        for number in range(1 if rng.uniform() < 0.8 else 2):
            motion = "staying" if person.styles[0].motion == "staying" or rng.uniform() < 0.2 else "walking"
            other = self.tailor.make(rng, sampling.sample_traits(rng), (motion,))
            uploaded.append(self.renderer.upload(other.mesh, other.look))
            aside = rng.uniform(0.45, 1.3) * rng.choice([-1, 1])
            ahead = rng.normal(0, 0.8)
            heading = walk.heading if rng.uniform() < 0.6 else rng.uniform(-np.pi, np.pi)
            facing = np.array([np.sin(walk.heading), -np.cos(walk.heading), 0])
            across = np.array([np.cos(walk.heading), np.sin(walk.heading), 0])
            beside = Walk(walk.start + aside * across + ahead * facing, heading, 0.0, 0.0, 0.0, 99.0)
            for frame, seconds in enumerate(times):
                bones, _, _ = _pose(other, beside, float(seconds))
                frames[frame].append(Figure(uploaded[-1], bones, other.limbs(bones), NEIGHBOUR + number))
        return frames

    def _crop(
        self, scene: Scene, figures: list[Figure], box: np.ndarray, sensor: Sensor
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """The picture of a box at sensor size, and its owners at drawing size."""
        wanted = min(SUPERSAMPLING * sensor.height, _RENDER_HEIGHTS[-1])
        height = int(_RENDER_HEIGHTS[np.searchsorted(_RENDER_HEIGHTS, wanted)])
        width, full = FRAME_SIZE
        x1, y1, x2, y2 = box
        window = (x1 / width, 1 - y2 / full, (x2 - x1) / width, (y2 - y1) / full)
        picture, owners = self.renderer.draw(scene, figures, window, (height // 2, height))
        tall = min(sensor.height, height)
        wide = max(12, round(tall * (x2 - x1) / (y2 - y1)))
        return shrink(picture, (min(wide, height), tall)), owners

    def _label(
        self, person: Person, poses: list[tuple[np.ndarray, float, str]], seen: list[Sight],
        boxes: np.ndarray, camera: Camera, sensor: Sensor, step: float,
    ) -> dict[str, object]:  # fmt: skip
        angles = np.array([_angle(camera, bones, heading) for bones, heading, _ in poses])
        gaits = [motion for _, _, motion in poses]
        attributes = people.static_attributes(person, shown(seen, FRAMES_VISIBLE), tones(seen), angles, FRAMES_VISIBLE)
        attributes["pose"] = sampling.pose_word(angles)
        attributes["motion"] = gaits[0] if len(set(gaits)) == 1 else sampling.MOTION_VARIES
        middle = poses[len(poses) // 2][0][JOINT_INDEX["pelvis"], :3, 3]
        return {
            "attributes": attributes,
            "vector": vector(self.schema, attributes),
            "worn": person.worn,
            "pixels": [round(sight.pixels) for sight in seen],
            "visible": [{part: round(share, 4) for part, share in sight.shares.items()} for sight in seen],
            "contrast": [{thing: round(value, 1) for thing, value in sight.contrasts.items()} for sight in seen],
            "boxes": np.round(boxes, 1).tolist(),
            "angle": np.round(angles, 1).tolist(),
            "motion": gaits,
            "camera": {
                "size": list(FRAME_SIZE),
                "height": round(float(camera.eye[2]), 2),
                "pitch": round(float(np.degrees(np.arcsin(-camera.axes[2, 2]))), 1),
                "field": round(2 * float(np.degrees(np.arctan(camera.tangent[1]))), 1),
                "distance": round(float(np.linalg.norm(middle - camera.eye)), 1),
            },
            "sensor": sensor.describe(),
            "seconds": round(step, 3),
        }


def vector(schema: Schema, attributes: dict[str, object]) -> list[int]:
    """The schema's columns for attributes by group name: 1, 0, and 2 where the value is None."""
    row = [0] * len(schema.words)
    for name, columns in schema.slices.items():
        value = attributes[name]
        if value is None:
            row[columns] = [2] * (columns.stop - columns.start)
        elif isinstance(value, bool):
            row[columns.start] = int(value)
        else:
            row[schema.words.index(str(value))] = 1
    return row


def _pose(person: Person, walk: Walk, seconds: float) -> tuple[np.ndarray, float, str]:
    """Bone matrices, heading and gait at a moment."""
    style = person.styles[0] if seconds < walk.change_at else person.styles[-1]
    speeds = tuple(s.speed for s in person.styles)
    heading = walk.heading_at(seconds)
    position = walk.position_at(seconds, speeds)
    return person.place(seconds, style, position, heading), heading, style.motion


def _angle(camera: Camera, bones: np.ndarray, heading: float) -> float:
    """Degrees between where somebody faces and the camera."""
    towards = camera.eye[:2] - bones[JOINT_INDEX["pelvis"], :2, 3]
    return float(np.degrees((heading - np.arctan2(towards[0], -towards[1]) + np.pi) % (2 * np.pi) - np.pi))


def _box(camera: Camera, points: np.ndarray) -> np.ndarray:
    """(4,) tight x1 y1 x2 y2 around projected points, in frame pixels."""
    pixels, depth = camera.project(points)
    if depth.min() < 0.5:
        return np.array([-1e4, -1e4, 1e4, 1e4])
    return np.concatenate([pixels.min(0), pixels.max(0)])


def _inside(box: np.ndarray) -> bool:
    """Whether at least four fifths of a box lie in the frame and nothing of its height is lost."""
    width, height = FRAME_SIZE
    shown = np.clip(box[[0, 2]], 0, width)
    return bool(shown[1] - shown[0] > 0.8 * (box[2] - box[0]) and box[1] > -0.02 * height and box[3] < 1.04 * height)


def _jitter(rng: np.random.Generator, boxes: np.ndarray) -> np.ndarray:
    """(T, 4) boxes as a detector would draw them: a bias for the whole tracklet and noise for every frame."""
    size = np.stack([boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]], 1)
    size[:, 0] = np.maximum(size[:, 0], 0.3 * size[:, 1])
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    grow = np.array([rng.normal(0.07, 0.06), rng.normal(0.045, 0.03)]) + rng.normal(0, 0.025, (len(boxes), 2))
    shift = rng.normal(0, [0.02, 0.01], 2) + rng.normal(0, [0.03, 0.012], (len(boxes), 2))
    size = size * (1 + np.clip(grow, -0.12, 0.4))
    centre = centre + shift * size
    out = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    if rng.uniform() < 0.06:  # the feet are lost, as behind a car or at the frame's edge
        out[:, 3] -= size[:, 1] * rng.uniform(0.08, 0.25)
    width, height = FRAME_SIZE
    out[:, [0, 2]] = np.clip(out[:, [0, 2]], 0, width)
    out[:, [1, 3]] = np.clip(out[:, [1, 3]], 0, height)
    return out


def part_map(owners: np.ndarray) -> np.ndarray:
    """The part map (*MAP_SIZE,) uint8 of a crop's owners (H, W, 2): what the middle of each cell shows."""
    person, material = np.moveaxis(cells(owners), -1, 0)
    somebody_else = len(PART_NAMES) - 1
    mine = np.where(1 + material < somebody_else, 1 + material, UNKNOWN_PART)
    return np.where(person == TARGET, mine, np.where(person == 0, 0, somebody_else)).astype(np.uint8)
