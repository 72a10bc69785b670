"""Street scenes: a fixed camera, people who cross, hide and return, and the truth about all of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from par_model.synthesis import sampling
from par_model.synthesis.colours import TOP_COLOURS
from par_model.synthesis.geometry import Builder, sample_tint
from par_model.synthesis.mesh import superellipsoid, tube
from par_model.synthesis.people import BOXED, Person, static_attributes
from par_model.synthesis.props import add_ground, add_houses, add_post, add_tree
from par_model.synthesis.render import Figure, Renderer, Scene, UploadedMesh
from par_model.synthesis.routes import Track, sample_routes, walk
from par_model.synthesis.sensor import shrink
from par_model.synthesis.tailor import Tailor
from par_model.synthesis.visibility import Sight, look, shown, tones
from par_model.synthesis.world import GLASS, PAINT, POSTER, WOOD, Camera, Light, World, look_at, sample_light

SUPERSAMPLING = 1.5
# Below this share of visible pixels a truth row is marked as not to be considered, MOTChallenge's way.
CONSIDERED = 0.1
BLEND_SECONDS = 0.3
_HIDES = (np.array([-3.2, 3.0]), np.array([4.6, 5.3]))


@dataclass(frozen=True)
class Record:
    """A person in one frame (from 0): degrees between where they face and the camera, gait, and what is seen."""

    frame: int
    angle: float
    motion: str
    sight: Sight


@dataclass(frozen=True)
class Actor:
    """Somebody in a scene: who, where at every frame, and the mesh on the device."""

    person: Person
    track: Track
    mesh: UploadedMesh

    def bones(self, frame: int, fps: float) -> np.ndarray:
        """(BONES, 4, 4) at a frame; gaits blend over a moment where walking starts or stops."""
        seconds = frame / fps
        position = np.array([*self.track.positions[frame], 0.0])
        span = max(1, round(BLEND_SECONDS * fps))
        share = float(self.track.moving[max(0, frame - span) : frame + span].mean())
        heading = float(self.track.headings[frame])
        going, resting = self.person.styles
        if share in (0.0, 1.0):
            return self.person.place(seconds, going if share else resting, position, heading)
        both = [self.person.place(seconds, style, position, heading) for style in (going, resting)]
        blended: np.ndarray = share * both[0] + (1 - share) * both[1]
        return blended


def generate_scene(
    out: Path,
    seed: int,
    seconds: float,
    size: tuple[int, int],
    people: int,
    assets: Path,
    fps: float = 25.0,
    bitrate: int = 2_800_000,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Render a street and write street.mp4 (H.264), street_gt.txt and street_attributes.json to folder `out`.

    size: width and height in pixels, even; people: 1 to 15. The truth file has MOTChallenge's columns: frame from 1,
    person, left, top, width, height of the whole body, considered, class 1, visible share. Raises ValueError naming
    what is missing: packages, OpenGL, assets.
    """
    if not 1 <= people <= 15 or size[0] % 2 or size[1] % 2:
        raise ValueError(f"a scene has 1 to 15 people and an even size; got {people} people at {size[0]}x{size[1]}")
    rng = np.random.default_rng([seed, 42])
    renderer, tailor = Renderer(), Tailor(assets)
    drawn = (round(size[0] * SUPERSAMPLING), round(size[1] * SUPERSAMPLING))
    scene = renderer.render_scene(build_street(rng, drawn))
    frames = round(seconds * fps)
    actors = _cast(rng, renderer, tailor, people, frames, fps)
    out.mkdir(parents=True, exist_ok=True)
    video = out / "street.mp4"
    truth: list[str] = []
    records: list[list[Record]] = [[] for _ in actors]
    noise = np.random.default_rng([seed, 43])
    partial = out / "street.partial.mp4"
    with _VideoWriter(partial, size, fps, bitrate) as writer:
        for frame in range(frames):
            writer.add(_frame(renderer, scene, actors, frame, fps, size, noise, truth, records))
            if progress:
                progress(frame + 1, frames)
    os.replace(partial, video)
    paths = [video, out / "street_gt.txt", out / "street_attributes.json"]
    paths[1].write_text("".join(truth), encoding="utf-8")
    answers = {str(k + 1): _answers(actor.person, records[k]) for k, actor in enumerate(actors)}
    document = {"schema": "mars", "fps": fps, "size": list(size), "frames": frames, "people": answers}
    paths[2].write_text(json.dumps(document, indent=1), encoding="utf-8")
    return paths


def build_street(rng: np.random.Generator, size: tuple[int, int]) -> World:
    """A square with houses behind it, a kiosk and a van to hide behind, an advertising column and trees."""
    eye = np.array([rng.uniform(-0.6, 0.6), -13.2, 4.5])
    half = np.tan(np.radians(15.0))
    camera = Camera(eye, look_at(eye, np.array([0.0, 2.0, 0.7])), (half * size[0] / size[1], half), size)
    light = _daylight(rng)
    b = Builder()
    seed = float(rng.uniform(0, 90))
    add_ground(b, seed)
    add_houses(b, rng, 20.0)
    kiosk, van = sample_tint(rng, 0.15, 0.4, 0.5), np.array([0.62, 0.63, 0.64])
    b.box((-3.2, 1.7), (2.3, 1.3, 2.45), 0.0, PAINT, kiosk, seed)
    b.box((-3.2, 1.02), (1.7, 0.06, 0.9), 0.0, POSTER, np.array([0.5, 0.45, 0.4]), 3.0, 1.1)
    b.box((-3.2, 1.6), (2.7, 1.8, 0.12), 0.0, PAINT, kiosk * 0.6, seed, 2.45)
    _add_van(b, 3.5, 3.9, van)
    column = np.array([[-1.3, -1.45, 0], [-1.3, -1.45, 1.5], [-1.3, -1.45, 2.6]])
    b.add(*tube(column, 0.36, 20), POSTER, np.array([0.6, 0.6, 0.55]), 8.0)
    b.box((-7.2, 1.9), (1.6, 0.45, 0.08), 0.2, WOOD, np.array([0.22, 0.13, 0.07]), seed, 0.42)
    for end in (-0.65, 0.65):
        b.box((-7.2 + end, 1.9), (0.08, 0.4, 0.42), 0.2, PAINT, np.full(3, 0.06), seed)
    for x in (-7.5, 7.4):
        add_tree(b, rng, x, 10.5)
    for x, y in ((-0.8, 6.2), (7.2, 2.3)):
        add_post(b, rng, x, y)
    paving = sample_tint(rng, 0.25, 0.42, 0.08)
    return World(
        camera=camera,
        light=light,
        vertices=np.concatenate(b.parts),
        indices=np.concatenate(b.indices),
        zones=(-40.0, 0.0, 2.0, 0.6),
        ground=(paving, paving * 0.85, np.full(3, 0.1)),
        wet=0.0,
        seed=seed,
    )


def _daylight(rng: np.random.Generator) -> Light:
    """Sun or haze from the camera's side, bright enough to see everybody."""
    while True:
        light = sample_light(rng)
        bright = light.sun.max() > 1.0 and light.to_sun[1] < 0.3 and light.to_sun[2] > 0.5
        if bright and 0.7 < light.exposure * (0.5 * light.sun.max() + light.sky.max()) < 1.3:
            return light


def _add_van(b: Builder, x: float, y: float, tint: np.ndarray) -> None:
    b.box((x, y), (4.8, 1.95, 1.95), 0.0, PAINT, tint, 5.0, 0.35)
    b.box((x - 2.6, y), (0.7, 1.9, 0.9), 0.0, PAINT, tint, 5.0, 0.35)
    b.box((x - 2.42, y), (0.36, 1.75, 0.75), 0.0, GLASS, np.full(3, 0.1), 5.0, 1.25)
    for along in (-1.7, 1.6):
        for side in (-0.9, 0.9):
            wheel, faces = superellipsoid((0.34, 0.12, 0.34), 3.0, 9, 18)
            b.solid((wheel, faces), (x + along, y + side, 0.34), PAINT, np.full(3, 0.02), 5.0)
    b.box((x - 1.6, y), (0.9, 1.99, 0.6), 0.0, GLASS, np.full(3, 0.1), 5.0, 1.4)
    b.box((x, y), (4.82, 1.97, 0.12), 0.0, PAINT, tint * 0.35, 5.0, 0.75)


def _cast(
    rng: np.random.Generator, renderer: Renderer, tailor: Tailor, people: int, frames: int, fps: float
) -> list[Actor]:
    """People on their routes; every colour of top is worn before one comes again."""
    actors = []
    tops = rng.permutation(TOP_COLOURS)
    for number, route in enumerate(sample_routes(rng, people, _HIDES, 6.4)):
        traits = sampling.sample_traits(rng)
        if traits.bottom != "dress":
            traits = replace(traits, top_colour=str(tops[number % len(tops)]))
        person = tailor.make(rng, traits, (route.motion, "staying") if route.motion != "riding" else ("riding",) * 2)
        track = walk(route, person.styles[0].speed, frames, fps)
        actors.append(Actor(person, track, renderer.upload(person.mesh, person.look)))
    return actors


def _frame(
    renderer: Renderer,
    scene: Scene,
    actors: list[Actor],
    frame: int,
    fps: float,
    size: tuple[int, int],
    noise: np.random.Generator,
    truth: list[str],
    records: list[list[Record]],
) -> np.ndarray:
    """Draw one frame, note the truth about it and return it at `size`, width and height."""
    camera = scene.world.camera
    figures, boxes = [], []
    for number, actor in enumerate(actors):
        bones = actor.bones(frame, fps)
        figures.append(Figure(actor.mesh, bones, actor.person.limbs(bones), number + 1))
        pixels, depth = camera.project(actor.person.outline(bones, 5))
        boxes.append(np.concatenate([pixels.min(0), pixels.max(0)]) if depth.min() > 1 else np.full(4, -1.0))
    width, height = camera.size
    near = [k for k, b in enumerate(boxes) if b[2] > -100 and b[0] < width + 100 and b[3] > 0 and b[1] < height]
    picture, owners = renderer.draw(scene, [figures[k] for k in near], (0, 0, 1, 1), camera.size)
    picture = _grain(shrink(picture, size), noise)
    for k in near:
        box = boxes[k]
        inside = np.clip(box, 0, [width, height, width, height])
        if inside[2] - inside[0] < 4 or inside[3] - inside[1] < 8:
            continue
        whole = _silhouette(renderer, scene, figures[k], box)
        there = _cut(owners, inside)
        visible = min(1.0, float(_body(there, k + 1).sum()) / max(whole, 1.0))
        x, y, w, h = (box - [0, 0, box[0], box[1]]) / SUPERSAMPLING
        considered = int(visible >= CONSIDERED)
        truth.append(f"{frame + 1},{k + 1},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{considered},1,{visible:.3f}\n")
        if visible >= 0.3:
            cut = (inside / SUPERSAMPLING).round()
            part, owned = _cut(picture, cut), _cut(owners, cut * SUPERSAMPLING)
            area = owned[..., 0].size / SUPERSAMPLING**2
            sight = look(np.ascontiguousarray(part[..., ::-1]), owned, k + 1, area)
            records[k].append(_record(camera, actors[k], frame, sight))
    return picture


def _cut(picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = box.round().astype(int)
    return picture[y1:y2, x1:x2]


def _silhouette(renderer: Renderer, scene: Scene, figure: Figure, box: np.ndarray) -> float:
    """Pixels the whole body would cover of its box with nothing in front and no edge of the frame."""
    width, height = scene.world.camera.size
    size = (64, 128)
    window = (box[0] / width, 1 - box[3] / height, (box[2] - box[0]) / width, (box[3] - box[1]) / height)
    _, owners = renderer.draw(scene, [figure], window, size, hidden_too=True)
    return float(_body(owners, figure.identity).mean() * (box[2] - box[0]) * (box[3] - box[1]))


def _body(owners: np.ndarray, number: int) -> np.ndarray:
    """(H, W) where a person shows, without what sticks out of their box: bicycle and bags."""
    mask: np.ndarray = (owners[..., 0] == number) & np.isin(owners[..., 1], BOXED)
    return mask


def _record(camera: Camera, actor: Actor, frame: int, sight: Sight) -> Record:
    position = actor.track.positions[frame]
    towards = camera.eye[:2] - position
    angle = float(np.degrees(actor.track.headings[frame] - np.arctan2(towards[0], -towards[1])))
    going = bool(actor.track.moving[frame]) or actor.person.styles[0].motion == "riding"
    return Record(frame, angle, actor.person.styles[0 if going else 1].motion, sight)


def _answers(person: Person, seen: list[Record]) -> dict[str, object]:
    """A person's static attributes as far as the scene shows them, and pose and motion as runs of frames."""
    sights = [record.sight for record in seen]
    frames = max(3, 0.15 * len(seen))
    angles = np.array([record.angle for record in seen])
    attributes = static_attributes(person, shown(sights, frames), tones(sights), angles, frames)
    poses = [sampling.pose_word(np.array([record.angle])) for record in seen]
    numbers = [record.frame + 1 for record in seen]
    return {
        "attributes": attributes,
        "worn": person.worn,
        "frames visible": len(seen),
        "pose": _runs(numbers, [str(pose) for pose in poses]),
        "motion": _runs(numbers, [record.motion for record in seen]),
    }


def _runs(frames: list[int], words: list[str]) -> list[list[object]]:
    """[first frame, last frame, word] for every stretch of equal words in consecutive frames."""
    runs: list[list[object]] = []
    for frame, word in zip(frames, words):
        if runs and runs[-1][2] == word and runs[-1][1] == frame - 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame, word])
    return runs


def _grain(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A little sensor noise, so that the flat parts are not suspiciously clean."""
    noisy = picture.astype(np.int16) + rng.integers(-2, 3, (*picture.shape[:2], 1), np.int16)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


class _VideoWriter:
    """H.264 in an .mp4 through PyAV."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float, bitrate: int) -> None:
        import av

        self._av = av
        self._container = av.open(str(path), "w", format="mp4")
        rate = Fraction(fps).limit_denominator(1000)
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.bit_rate = bitrate
        self._stream.options = {"preset": "slow", "threads": "1"}

    def __enter__(self) -> _VideoWriter:
        return self

    def add(self, picture: np.ndarray) -> None:
        """One (H, W, 3) RGB frame."""
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def __exit__(self, *_: object) -> None:
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()
