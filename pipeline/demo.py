"""`sidewalk demo`: the whole pipeline on a clip that needs no download."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from pipeline.config import Config, LiveConfig, OutputConfig
from pipeline.types import Image, Label, SidewalkError

STREET = Path(__file__).resolve().parent / "assets"
"""The generated street: street.mp4, street_gt.txt (MOTChallenge) and street_attributes.json."""
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


def run_demo(out: Path, config: Config, photographs: bool = False, overwrite: bool = False) -> bool:
    """Run everything on a clip that ships, and say where the results are and what they hold.

    The clip is a generated street whose truth is known, so that the result is scored; or, with `photographs`,
    real people in pictures of the ultralytics package, panned and zoomed. Returns whether it was interrupted.
    """
    from pipeline.build import run
    from pipeline.progress import RunProgress

    console = Console()
    # What it tells is read from the files; cameras have nothing to do with it.
    config = config.model_copy(update={"output": OutputConfig(), "cameras": [], "live": LiveConfig()})
    out.mkdir(parents=True, exist_ok=True)
    clip = photograph_clip(out / "clip.mp4") if photographs else STREET / "street.mp4"
    with RunProgress() as progress:
        report = run(config, [str(clip)], out, overwrite=overwrite, observer=progress.advance)
    progress.summarise(report, out)
    if config.overlay.enabled:
        console.print(f"\nThe annotated video is {out / 'overlay.mp4'}.")
    console.print("The people it shows:")
    for line in (out / "tracks.jsonl").read_text(encoding="utf-8").splitlines():
        console.print("  " + describe_track(json.loads(line)), soft_wrap=True, highlight=False)
    console.print(f"Every frame's people are in {out / 'frames.jsonl'}, one line a frame.")
    if not photographs and config.recognition.enabled and not report.interrupted:
        _print_scores(console, out)
    return report.interrupted


def _print_scores(console: Console, out: Path) -> None:
    from pipeline.demo_scores import LONG_ENOUGH, attribute_score, tracking_scores

    tracking = tracking_scores(STREET / "street_gt.txt", out)
    if tracking is None:
        console.print("Tracking is not scored: pip install '.[eval]' in Sidewalk's folder for HOTA and IDF1.")
    else:
        console.print(
            f"Against the clip's truth: HOTA {tracking['HOTA']:.1f}, IDF1 {tracking['IDF1']:.1f}, "
            f"MOTA {tracking['MOTA']:.1f}, {tracking['IDSW']:.0f} switches."
        )
    score = attribute_score(STREET / "street_gt.txt", STREET / "street_attributes.json", out)
    console.print(
        f"Lasting attributes of people followed for {LONG_ENOUGH:g} s or more: {score.accuracy:.0%} of {score.given} "
        f"answers right; {score.answered:.0%} of {score.asked} questions answered."
    )


def describe_track(track: dict[str, Any]) -> str:
    """What one line of tracks.jsonl says, in the overlay's words."""
    from pipeline.wording import describe

    labels = {group: Label(label["value"], label["probability"]) for group, label in track["attributes"].items()}
    words = describe(labels, None, 200)
    return f"person {track['track']}: {', '.join(words) or 'seen too briefly to describe'}"


def photograph_clip(path: Path) -> Path:
    """Write a clip of real people, from the photographs inside the ultralytics package, panned and zoomed.

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
