"""Arrays kept on disk between runs, by which several runs may go at once."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock

from par_model.datasets import DatasetError


def cached_array(
    path: Path, dtype: type[np.generic], shape: tuple[int, ...], fill: Callable[[np.ndarray], None]
) -> np.ndarray:
    """The array at `path`, memory-mapped and read-only.

    fill: given zeros of that type and shape to write over, where there is no such file yet; by one run at a time. The
    file appears whole or not at all. Raises DatasetError where the disk is too full.
    """
    if not path.is_file():
        with FileLock(f"{path}.lock"):
            if not path.is_file():
                partial = path.with_suffix(".partial")
                _reserve(partial, math.prod(shape) * np.dtype(dtype).itemsize)
                table = np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)
                fill(table)
                table.flush()
                del table
                partial.replace(path)
    found: np.ndarray = np.load(path, mmap_mode="r")
    return found


def _reserve(path: Path, size: int) -> None:
    """Raise DatasetError where the disk has no room: writing over a memory map would kill the process instead."""
    free = shutil.disk_usage(path.parent).free
    if size > free:
        raise DatasetError(
            f"{path.parent}: the cache needs {size / 1e9:.1f} GB more and {free / 1e9:.1f} GB are free; "
            "set cache to a folder on another disk"
        )
