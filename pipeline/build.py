"""Reads a configuration and assembles the parts of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.camera import CameraPipeline
from pipeline.config import CameraConfig, Config
from pipeline.engine import Engine, Observer, RunReport
from pipeline.ignore import NOTHING_IGNORED, IgnoredAreas
from pipeline.naming import camera_names, output_folders
from pipeline.record import write_records
from pipeline.sources.clock import wall_clock
from pipeline.sources.url import is_rtsp
from pipeline.tracklets import TrackletBuffer
from pipeline.types import SidewalkError, SourceInfo, user_errors

if TYPE_CHECKING:
    from par_model import Recognizer
    from pipeline.detectors.base import Detector
    from pipeline.sinks.base import Sink
    from pipeline.sources.base import Source


@dataclass(frozen=True, slots=True)
class Models:
    """The models of a run, shared by all cameras. recognizer: None where attributes are switched off."""

    detector: Detector
    recognizer: Recognizer | None


def run(
    config: Config,
    sources: Sequence[str] = (),
    out: str | Path = "results",
    *,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> RunReport:
    """Process sources and write their results under `out`; one sub-folder a camera if there are several.

    sources: files, folders or globs of images, rtsp:// and http(s):// addresses, webcam:N; added to the
    configuration's own cameras. Raises SidewalkError for anything the user can mend.
    """
    from pipeline.sinks.output import prepare_output, refuse_earlier, remove_earlier

    cameras = [*config.cameras, *(CameraConfig(url=source) for source in sources)]
    if not cameras:
        raise SidewalkError("no source given; name a file, a folder, an rtsp:// address or webcam:0")
    started = wall_clock()
    # An http:// camera of the configuration may be away just now; one on the command line is asked what it is.
    live = any(is_camera(camera.url) for camera in cameras) or any("://" in camera.url for camera in config.cameras)
    opened = [] if live else open_recordings(config, cameras)
    if not opened or any(source.info.live for source in opened):
        from pipeline.live import run_live

        for source in opened:
            source.close()
        return run_live(config, cameras, Path(out), overwrite=overwrite, observer=observer)

    folders = output_folders(Path(out), [source.info.camera for source in opened])
    with closed_on_failure(opened):
        if config.live.publish:
            raise SidewalkError(
                "live.publish: only live cameras' overlays can be published; leave it out for recordings"
            )
        for folder in folders.values():
            prepare_output(folder)
            if overwrite:
                spare_sources(folder, cameras)
            else:
                refuse_earlier(folder)
        models = load_models(config)
        build = camera_factory(config, models.recognizer, {s.info.camera: c for s, c in zip(opened, cameras)})
        camera = build(opened[0].info)  # fails on wrong settings while the earlier results are still there
        if not config.tracker.name.startswith("ultralytics:"):  # they count frames
            for source, settings in zip(opened, cameras):
                warn_of_rare_pictures(source, settings.fps, camera.tracker.lost_seconds)
        for folder in folders.values():
            remove_earlier(folder)
    engine = Engine(
        sources=opened,
        detector=models.detector,
        cameras=build,
        recognizer=models.recognizer,
        sinks=lambda info: file_sinks(config, info, folders[info.camera]),
        observer=observer,
    )

    def write() -> None:
        records = ((folders[camera.info.camera], camera, None) for camera in engine.report.cameras)
        write_records(records, config, models, started)

    try:
        engine.run()
    except BaseException:
        with suppress(SidewalkError):
            write()
        raise
    finally:
        models.detector.close()
    write()
    return engine.report


def warn_of_rare_pictures(source: Source, fps: float | None, lost_seconds: float) -> None:
    """Nobody can be followed from one picture to the next where that is longer than anybody is kept unseen.

    fps: to which the source is thinned out.
    """
    rate = fps or source.info.rate
    if rate and 1 / rate > lost_seconds:
        source.warnings.append(
            f"{source.info.camera}: its pictures are {float(1 / rate):g} s apart; whoever is in two of them counts "
            f"twice (tracker.options.lost_seconds is {lost_seconds:g})"
        )


def spare_sources(folder: Path, cameras: Sequence[CameraConfig]) -> None:
    """Raises SidewalkError for a source that is itself a result in the folder, which is to be overwritten."""
    from pipeline.sinks.output import earlier_results

    results = {path.resolve() for path in earlier_results(folder)}
    for camera in cameras:
        if Path(camera.url).resolve() in results:
            raise SidewalkError(
                f"{camera.url}: --overwrite would remove it with the other results in {folder}; choose another --out"
            )


def is_camera(url: str) -> bool:
    """Whether an address can only be a camera's; of http:// the open stream tells."""
    return is_rtsp(url) or url.startswith("webcam:")


def open_recordings(config: Config, cameras: Sequence[CameraConfig]) -> list[Source]:
    """Open every source, giving each a name of its own; on a failure the opened ones are closed.

    Of several files none stays open until it is read.
    """
    from pipeline.sources import open_source
    from pipeline.sources.adjusted import AdjustedSource
    from pipeline.sources.reopened import Reopened

    opened: list[Source] = []
    with closed_on_failure(opened):
        for camera, name in zip(cameras, camera_names(cameras)):
            opening = partial(open_source, camera.url, camera=name, fps=config.images_fps)
            waits = len(cameras) > 1 and Path(camera.url).is_file()
            source = Reopened(opening) if waits else opening()
            opened.append(AdjustedSource(source, rotate=camera.rotate, fps=camera.fps, duration=config.live.duration))
    return opened


@contextmanager
def closed_on_failure(sources: Sequence[Source]) -> Iterator[None]:
    """Whatever ends the block early, Ctrl-C too, closes the sources there are by then."""
    try:
        yield
    except BaseException:
        for source in sources:
            source.close()
        raise


def load_models(config: Config) -> Models:
    """The detector and the recogniser the configuration names, on the devices it names."""
    from pipeline.detectors import create_detector

    with user_errors("recognition"):
        recognizer = load_recognizer(config)
    if recognizer is not None:
        with user_errors("overlay.groups"):
            for group in config.overlay.groups or ():
                recognizer.schema[group]  # raises for one that there is not
    with user_errors("detector"):
        detector = create_detector(
            model=config.detector.model,
            backend=config.detector.backend,
            device=config.detector.device,
            confidence=config.detector.confidence,
            iou=config.detector.iou,
            image_size=config.detector.image_size,
            threads=config.threads,
            precision=config.detector.precision,
        )
    return Models(detector, recognizer)


def load_recognizer(config: Config) -> Recognizer | None:
    """The attribute model, without the groups that are switched off; None if attributes are."""
    if not config.recognition.enabled:
        return None
    from par_model import Recognizer

    return Recognizer.load(
        config.recognition.model,
        device=config.recognition.device,
        backend=config.recognition.backend,
        mirror=config.recognition.mirror,
        without=config.recognition.without,
        threads=config.threads,
    )


def camera_factory(
    config: Config, recognizer: Recognizer | None, cameras: Mapping[str, CameraConfig] | None = None
) -> Callable[[SourceInfo], CameraPipeline]:
    """A function that makes the whole state of one camera. cameras: by name, what is said of each alone."""
    from pipeline.attributes import AttributeState
    from trackers import create_tracker
    from trackers.identities import Identities
    from trackers.reattach import FEATURES_LEAST, PATIENCE, Gallery

    # A reading's appearance is a mean over its crops already; colours of single crops need more of them.
    looks, least = (5, None) if recognizer is None else (1, FEATURES_LEAST)

    def identities() -> Identities:
        return Identities(Gallery(config.reattach.seconds, least=least), looks=looks)

    def build(info: SourceInfo) -> CameraPipeline:
        with user_errors("tracker"):
            tracker = create_tracker(config.tracker.name, **config.tracker.options)
        beliefs = None
        if recognizer is not None:
            beliefs = AttributeState(recognizer.schema, margin=config.attributes.margin)
        buffer = TrackletBuffer(**config.tracklets.model_dump())
        window = recognizer.frames if recognizer is not None else 1
        return CameraPipeline(
            info.camera,
            tracker,
            buffer,
            beliefs,
            config.recognition,
            window,
            identities=identities if config.reattach.enabled else None,
            memory=config.reattach.seconds + PATIENCE,
            areas=IgnoredAreas(cameras[info.camera].ignore) if cameras else NOTHING_IGNORED,
        )

    return build


def file_sinks(config: Config, info: SourceInfo, folder: Path) -> list[Sink]:
    """The files of one recorded camera."""
    from pipeline.overlay import Overlay
    from pipeline.sinks import JsonlSink, MotSink, TracksSink, VideoSink

    sinks: list[Sink] = []
    if config.overlay.enabled:
        overlay = Overlay(groups=config.overlay.groups, trace=config.overlay.trace, blur=config.overlay.blur)
        sinks.append(
            VideoSink(folder / "overlay.mp4", info, overlay, crf=config.overlay.crf, preset=config.overlay.preset)
        )
    if config.output.jsonl:
        sinks.append(JsonlSink(folder / "frames.jsonl"))
    if config.output.tracks:
        sinks.append(TracksSink(folder))
    if config.output.mot:
        sinks.append(MotSink(folder / "mot.txt"))
    return sinks
