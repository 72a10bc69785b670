"""`sidewalk demo`: the whole pipeline on a clip that needs no download."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from pipeline.config import Config
from pipeline.types import Image, SidewalkError

RATE = Fraction(25)
WIDTH, HEIGHT = 640, 480


class View(NamedTuple):
    """A window on a photograph: centre as fractions of width and height, and its height as a fraction."""

    x: float
    y: float
    height: float


class Shot(NamedTuple):
    """A camera move over a photograph of the ultralytics package, from one view to another."""

    photograph: str
    seconds: float
    start: View
    end: View


SHOTS = (
    Shot("bus.jpg", 6.0, View(0.42, 0.60, 0.62), View(0.60, 0.58, 0.50)),
    Shot("zidane.jpg", 4.0, View(0.45, 0.50, 1.0), View(0.58, 0.50, 0.9)),
)


def run_demo(out: Path, config: Config) -> None:
    """Make the clip, run everything on it, and say where the results are and what they hold."""
    from pipeline.build import run
    from pipeline.progress import RunProgress

    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    clip = photograph_clip(out / "clip.mp4")
    with RunProgress() as progress:
        report = run(config, [str(clip)], out, overwrite=True, observer=progress.advance)
    progress.summarise(report, out)
    console.print(f"\nThe annotated video is {out / 'overlay.mp4'}; the people it shows:")
    for line in (out / "tracks.jsonl").read_text(encoding="utf-8").splitlines():
        console.print("  " + describe_track(json.loads(line)), soft_wrap=True, highlight=False)
    console.print(f"Every frame's people are in {out / 'frames.jsonl'}, one line a frame.")


def describe_track(track: dict[str, object]) -> str:
    """A sentence on one line of tracks.jsonl."""
    attributes = track["attributes"]
    assert isinstance(attributes, dict)
    known = [f"{group} {label['value']}" for group, label in attributes.items() if label["value"] is not None]
    return f"person {track['track']}: {', '.join(known) or 'seen too briefly to describe'}"


def photograph_clip(path: Path) -> Path:
    """Write the demo's clip: real people, from the photographs inside the ultralytics package, panned and zoomed.

    path: .mp4 to write; H.264, 640x480, 25 frames/s, ten seconds. Raises SidewalkError without ultralytics.
    """
    import av

    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for image in _pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    return path


def _pictures() -> Iterator[Image]:
    import cv2

    folder = _photographs()
    for shot in SHOTS:
        photograph = cv2.imread(str(folder / shot.photograph))
        if photograph is None:
            raise SidewalkError(f"{folder / shot.photograph}: the photograph is missing; reinstall ultralytics")
        count = int(shot.seconds * RATE)
        for i in range(count):
            # Cosine easing: a camera head starts and stops gently.
            share = 0.5 - 0.5 * np.cos(np.pi * i / max(count - 1, 1))
            view = View(*((1 - share) * a + share * b for a, b in zip(shot.start, shot.end)))
            yield _window(photograph, view)


def _window(photograph: Image, view: View) -> Image:
    import cv2

    rows, columns = photograph.shape[:2]
    height = min(view.height * rows, columns * HEIGHT / WIDTH)
    scale = HEIGHT / height
    left = np.clip(view.x * columns - height * WIDTH / HEIGHT / 2, 0, columns - height * WIDTH / HEIGHT)
    top = np.clip(view.y * rows - height / 2, 0, rows - height)
    move = np.array([[scale, 0, -scale * left], [0, scale, -scale * top]])
    return cv2.warpAffine(photograph, move, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)


def _photographs() -> Path:
    """The folder of pictures in the ultralytics package, found without importing it."""
    found = importlib.util.find_spec("ultralytics")
    if found is None or not found.submodule_search_locations:
        raise SidewalkError("the demo shows photographs of the ultralytics package; pip install ultralytics")
    return Path(found.submodule_search_locations[0]) / "assets"
