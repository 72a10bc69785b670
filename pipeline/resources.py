"""Where the program's own files lie: the configuration it ships with and the user's cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from par_model.cache import user_cache
from pipeline.types import SidewalkError


def config_file(name: str) -> Path:
    """A YAML file that ships with Sidewalk, e.g. `models.yaml`, in a checkout or an installed wheel."""
    package = Path(__file__).resolve().parent
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / name).is_file():
            return folder / name
    raise SidewalkError(f"{name}: not among the configuration files that ship with Sidewalk; reinstall it")


def cache_dir(*parts: str) -> Path:
    """A folder of the user's cache, made if it is missing. Raises SidewalkError where it cannot be written."""
    folder = user_cache().joinpath(*parts)
    with _writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from making the same file of the cache. Raises SidewalkError where none can be made."""
    from filelock import FileLock

    lock = FileLock(f"{path}.lock")
    with _writable(path.parent):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SidewalkError(
            f"{folder}: the cache cannot be written ({error.strerror}); set SIDEWALK_CACHE to another folder"
        ) from error
