"""What cameras are called, and the folders their results go to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.config import CameraConfig
from pipeline.sources.url import redact_address
from pipeline.types import SidewalkError


def camera_names(cameras: Iterable[CameraConfig]) -> list[str]:
    """A name for each camera, its own or one made of its address, fit for a folder and given once.

    Cameras that are named come first: they keep their names. Raises SidewalkError for an address that is none.
    """
    listed, taken = list(cameras), set[str]()
    given = [unique_name(one.name, taken) if one.name else None for one in listed]
    return [name or unique_name(source_name(one.url), taken) for name, one in zip(given, listed)]


def source_name(url: str) -> str:
    """A short name for a source: the file's or folder's, the host of an address, `webcam0`."""
    if "://" in url:
        # A password may hold, unescaped, the signs that divide an address, and some recorders want it in the path;
        # none of it may become a name.
        scheme, _, rest = redact_address(url).partition("://")
        try:
            parts = urlsplit(f"{scheme}://{rest.rpartition('@')[2]}")
        except ValueError as error:
            raise SidewalkError(f"{redact_address(url)}: not an address ({error}); check its host") from error
        host, *others = [parts.hostname or "", *parts.path.split("/")]
        plain = [part for part in others if part and not set(part) & set("=*")]
        return "-".join(["camera" if not host or set(host) & set("=*") else host, *plain])
    if url.startswith("webcam:"):
        return url.replace(":", "")
    path = Path(url)
    if any(sign in url for sign in "*?["):
        path = path.parent
    return (path.stem if path.suffix else path.name) or "camera"


def unique_name(name: str, taken: set[str]) -> str:
    """`name` as a folder can be called, with a number where it is taken already; the result becomes taken."""
    safe = "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in name).strip(".") or "camera"
    candidate, number = safe, 2
    while candidate in taken:
        candidate, number = f"{safe}-{number}", number + 1
    taken.add(candidate)
    return candidate


def output_folders(out: Path, cameras: Sequence[str]) -> dict[str, Path]:
    """Where each camera's files go: `out` itself for one, sub-folders for several."""
    return {cameras[0]: out} if len(cameras) == 1 else {camera: out / camera for camera in cameras}
