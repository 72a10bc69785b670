"""Assembles and runs a live run: cameras, models, guarded sinks, health, the table in the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.engine import CameraReport, Observer, RunReport
from pipeline.gathering import Lane, stated_rate
from pipeline.live_engine import LiveEngine
from pipeline.naming import camera_names, output_folders
from pipeline.signals import ending_on_signals
from pipeline.sinks.guarded import GuardedSink
from pipeline.sources.clock import wall_clock
from pipeline.sources.live import supervise
from pipeline.telemetry import StageTimes, Telemetry, total_drops
from pipeline.types import SidewalkError, SourceInfo

if TYPE_CHECKING:
    from pipeline.build import Models
    from pipeline.config import CameraConfig, Config
    from pipeline.sinks.base import Sink

USUAL_RATE = 15.0
"""Frames a second assumed of a camera that states none."""
PUBLISH_DEPTH = 2
"""Pictures that wait to be published: whoever watches wants the newest."""
OVERLAY_BYTES = 64_000_000
"""What the pictures that wait for the overlay's file may take, at the camera's first size."""
OVERLAY_DEPTH = 2, 32
"""Fewest and most pictures that may wait for it."""


def run_live(
    config: Config,
    cameras: Sequence[CameraConfig],
    out: Path,
    *,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> RunReport:
    """Run until Ctrl-C, SIGTERM or the configured duration, and write each camera's run.json.

    Earlier files of a live run stay: a service that starts again goes on beside them. overwrite removes them; a
    recording's results are not mixed with.
    Raises SidewalkError for anything the user can mend; a camera that is away is none of that.
    """
    from rich.console import Console

    from pipeline.build import camera_factory, load_models
    from pipeline.health_server import HealthServer
    from pipeline.live_table import live_table
    from pipeline.logs import live_logging
    from pipeline.record import write_records
    from pipeline.sinks.output import RECORDED, prepare_output, refuse_earlier, remove_earlier

    started = wall_clock()
    names = camera_names(cameras)
    supervisors = supervise(cameras, names, config.live)
    folders = output_folders(out, names)
    for folder in folders.values():
        prepare_output(folder)
        if not overwrite:
            refuse_earlier(folder, RECORDED)
    telemetry = Telemetry()
    console = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        models = load_models(config)
        stack.callback(models.detector.close)
        build = camera_factory(config, models.recognizer, dict(zip(names, cameras)))
        _warm_up(models)
        engine = LiveEngine(
            supervisors,
            models.detector,
            lambda name: build(SourceInfo(name, "", 0, 0, live=True)),
            models.recognizer,
            lambda info: live_sinks(config, info, folders[info.camera], telemetry, len(names) > 1),
            telemetry,
            policy=config.recognition,
            batch_window=config.live.batch_window_ms / 1000,
            max_delay=config.live.max_delay,
            observer=observer,
        )
        if config.live.metrics_port is not None:
            server = HealthServer(config.live.metrics_port, telemetry, engine.healths)
            stack.callback(server.close)
            console.print(f"health and metrics on http://127.0.0.1:{server.port}/healthz", highlight=False)
        if overwrite:
            for folder in folders.values():
                remove_earlier(folder)
        stack.enter_context(live_logging(out / "events.jsonl", console))
        if console.is_terminal:
            stack.enter_context(live_table(telemetry, engine.healths, console))
        interrupted = stack.enter_context(ending_on_signals(engine.stop))

        def report(early: bool) -> RunReport:
            reports = [
                _camera_report(lane, camera.url, early, telemetry.stages) for lane, camera in zip(engine.lanes, cameras)
            ]
            records = [live_record(lane, telemetry) for lane in engine.lanes]
            write_records(zip(folders.values(), reports, records), config, models, started)
            return RunReport(reports, early)

        try:
            engine.run(config.live.duration)
        except BaseException:
            with contextlib.suppress(SidewalkError):
                report(early=True)
            raise
    return report(early=interrupted.is_set())


def live_sinks(
    config: Config, info: SourceInfo, folder: Path, telemetry: Telemetry, several: bool = False
) -> list[GuardedSink]:
    """The outputs of one live camera, each behind its own guard: rotating files, and the published overlay.

    several: whether there are more cameras, which must not publish to one address.
    """
    from pipeline.overlay import Overlay
    from pipeline.sinks import JsonlSink, MotSink, TrackLinesSink
    from pipeline.sinks.publish import PublishSink
    from pipeline.sinks.rotating import RotatingSink
    from pipeline.sinks.segments import SegmentSink, SharedDrawing

    rate = stated_rate(info.rate) or USUAL_RATE
    seconds = 60 * config.live.segment_minutes
    sinks: list[GuardedSink] = []

    def guard(name: str, make: Callable[[], Sink], **queue: Any) -> None:
        sinks.append(GuardedSink(info.camera, name, make, telemetry.sink(info.camera, name), **queue))

    def rotate(name: str, file: str, make: Callable[[Path], Sink], **queue: Any) -> None:
        guard(name, lambda: RotatingSink(make, folder / file, seconds), **queue)

    publish = config.live.publish
    if config.overlay.enabled or publish:
        overlay = Overlay(groups=config.overlay.groups, trace=config.overlay.trace, blur=config.overlay.blur)
        draw = SharedDrawing(lambda frame, result: overlay.draw(frame.image, result))
    if config.overlay.enabled:
        crf, preset = config.overlay.crf, config.overlay.preset
        depth = int(np.clip(OVERLAY_BYTES // (3 * info.width * info.height), *OVERLAY_DEPTH))
        rotate("overlay", "overlay-STAMP.mp4", lambda path: SegmentSink(path, draw, rate, crf, preset), depth=depth)
    if publish:
        url = publish_address(publish, info.camera, several)
        guard("publish", lambda: PublishSink(url, draw, rate), depth=PUBLISH_DEPTH)
    if config.output.jsonl:
        rotate("frames", "frames-STAMP.jsonl", JsonlSink, pictures=False)
    if config.output.tracks:
        rotate("tracks", "tracks-STAMP.jsonl", TrackLinesSink, pictures=False)
    if config.output.mot:
        rotate("mot", "mot-STAMP.txt", MotSink, pictures=False)
    return sinks


def publish_address(template: str, camera: str, several: bool) -> str:
    """Where a camera's overlay goes: `{camera}` becomes its name, which is appended where several lack it."""
    if several and "{camera}" not in template:
        template = template.rstrip("/") + "/{camera}"
    return template.replace("{camera}", camera)


def live_record(lane: Lane, telemetry: Telemetry) -> dict[str, Any]:
    """What run.json says of one camera beyond a recording's: availability, delay, and every drop by reason."""
    health, meter = lane.source.health, lane.meter
    return {
        "delay": meter.delay.summary(),
        "received": health.received,
        "dropped": total_drops(health, meter),
        "reconnects": health.reconnects,
        "segments": health.segment + 1,
        "clock_repairs": health.repairs,
        "load_levels": {str(level): count for level, count in telemetry.level_changes.items()},
        "sinks": {name: dict(counts) for (camera, name), counts in telemetry.sinks.items() if camera == health.camera},
    }


def _camera_report(lane: Lane, url: str, interrupted: bool, times: StageTimes) -> CameraReport:
    health, meter = lane.source.health, lane.meter
    info = SourceInfo(health.camera, url, health.width, health.height, live=True, rate=health.rate, codec=health.codec)
    warnings = []
    if not health.received:
        trouble = health.message or lane.last_trouble or "it did not answer before the run ended"
        warnings.append(f"never sent a picture: {trouble}")
    return CameraReport(
        info,
        frames_read=health.received,
        frames_processed=meter.processed,
        frames_dropped=sum(total_drops(health, meter).values()),
        tracks=meter.tracks,
        readings=meter.readings,
        warnings=warnings,
        interrupted=interrupted,
        times=times,
    )


def _warm_up(models: Models) -> None:
    """Load and compile now what models and libraries put off to their first picture: seconds of delay otherwise."""
    picture = np.zeros((360, 640, 3), np.uint8)
    models.detector.detect([picture])
    if models.recognizer is not None:
        models.recognizer.warm_up()
