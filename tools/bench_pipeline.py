"""Whole-pipeline benchmarks: frames a second beside the loop a user would write today, and memory over a run."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

Clip = Annotated[str, typer.Argument(help="A recording to process.")]


def pipeline(
    clip: Clip,
    rounds: Annotated[int, typer.Option(help="Runs of each; they alternate, the fastest counts.")] = 2,
    frames: Annotated[int, typer.Option(help="Frames of the clip to use; 0 is all.")] = 0,
) -> None:
    """Frames a second of `sidewalk run` with attributes, and of YOLO.track + supervision + VideoSink without."""
    with tempfile.TemporaryDirectory() as folder:
        source = shorten(clip, frames, Path(folder)) if frames else clip
        contenders: dict[str, Callable[..., dict[str, Any]]] = {
            "YOLO.track + supervision": ultralytics_loop,
            "sidewalk run": sidewalk_run,
        }
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        details: dict[str, Any] = {}
        for _ in range(rounds):
            for name, contender in contenders.items():
                outcome = in_fresh_process(contender, source, folder)
                rates[name].append(outcome["frames"] / outcome["seconds"])
                details[name] = outcome.get("stages", {})
    table = Table("pipeline", "frames/s (best)", "all rounds", "ratio")
    base = max(rates["YOLO.track + supervision"])
    for name, values in rates.items():
        every = ", ".join(f"{value:.1f}" for value in values)
        table.add_row(name, f"{max(values):.1f}", every, f"{max(values) / base:.2f}")
    console = Console()
    console.print(table)
    for stage, numbers in details["sidewalk run"].items():
        console.print(f"{stage:>10}: {numbers['count']} times, p50 {numbers['p50_ms']} ms, p95 {numbers['p95_ms']} ms")


def memory(
    clip: Clip,
    early: Annotated[int, typer.Option(help="Frames after which memory is first read.")] = 300,
) -> None:
    """Resident memory of `sidewalk run` early in a recording and at its end."""
    with tempfile.TemporaryDirectory() as folder:
        samples = in_fresh_process(memory_run, clip, folder)["samples"]
    early = min(early, len(samples) - 1)
    growth = samples[-1] / samples[early] - 1
    Console().print(
        f"resident memory: {samples[early]:.0f} MB after {early} frames, {samples[-1]:.0f} MB after {len(samples)} "
        f"({growth:+.1%})"
    )


def in_fresh_process(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Run `function` in a new interpreter, so that no contender inherits another's memory or threads."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def shorten(clip: str, frames: int, folder: Path) -> str:
    """The first frames of a clip as a file of its own, copied without decoding."""
    import av

    path = folder / "short.mp4"
    with av.open(clip) as reader, av.open(str(path), "w") as writer:
        video = reader.streams.video[0]
        copy = writer.add_stream_from_template(video)
        for count, packet in enumerate(reader.demux(video)):
            if count >= frames or packet.dts is None:
                break
            packet.stream = copy
            writer.mux(packet)
    return str(path)


def ultralytics_loop(clip: str, folder: str) -> dict[str, Any]:
    """The common loop: Ultralytics' detector and ByteTrack, supervision's annotators and video sink; no attributes."""
    import supervision as sv
    from ultralytics import YOLO

    from pipeline.zoo import resolve

    model = YOLO(str(resolve("yolov8n")))
    video = sv.VideoInfo.from_video_path(clip)
    box, label = sv.BoxAnnotator(), sv.LabelAnnotator()
    count = 0
    with sv.VideoSink(str(Path(folder) / "loop.mp4"), video) as sink:
        results = model.track(
            clip, stream=True, persist=True, tracker="bytetrack.yaml", classes=[0], imgsz=640, verbose=False
        )
        start = time.perf_counter()
        for result in results:
            detections = sv.Detections.from_ultralytics(result)
            picture = box.annotate(result.orig_img, detections)
            if detections.tracker_id is not None:  # where it follows nobody, it hands on what was detected
                picture = label.annotate(picture, detections, labels=[f"#{track}" for track in detections.tracker_id])
            sink.write_frame(picture)
            count += 1
    return {"frames": count, "seconds": time.perf_counter() - start}


def sidewalk_run(clip: str, folder: str) -> dict[str, Any]:
    """`sidewalk run` with everything on. Loading the models is not counted, as it is not for the other loop."""
    from pipeline.config import load_config

    start = 0.0

    def begin() -> None:
        nonlocal start
        start = time.perf_counter()

    report = run_once(clip, folder, load_config(), begin, None)
    seconds = time.perf_counter() - start
    return {
        "frames": report.cameras[0].frames_processed,
        "seconds": seconds,
        "stages": report.cameras[0].times.summary(),
    }


def memory_run(clip: str, folder: str) -> dict[str, Any]:
    """`sidewalk run`, with resident memory in MB after each frame."""
    from pipeline.config import load_config

    samples: list[float] = []
    run_once(clip, folder, load_config(), lambda: None, lambda *_: samples.append(resident_megabytes()))
    return {"samples": samples}


def run_once(clip: str, folder: str, config: Any, begin: Callable[[], None], observer: Any) -> Any:
    """The run that the command makes, with a call between loading the models and the first frame."""
    from pipeline import build
    from pipeline.engine import Engine

    models = build.load_models(config)
    [source] = build.open_recordings(config, [build.CameraConfig(url=clip)])
    out = Path(folder) / "sidewalk"
    out.mkdir(exist_ok=True)
    engine = Engine(
        [source],
        models.detector,
        build.camera_factory(config, models.recognizer),
        models.recognizer,
        lambda info: build.file_sinks(config, info, out),
        observer,
    )
    begin()
    return engine.run()


def resident_megabytes() -> float:
    """This process's resident memory in MB."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
