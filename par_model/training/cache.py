"""Arrays kept on disk between runs, by which several runs may go at once."""

from __future__ import annotations

import errno
import os
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
                table = np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)
                _reserve(partial)
                fill(table)
                table.flush()
                del table
                partial.replace(path)
    found: np.ndarray = np.load(path, mmap_mode="r")
    return found


def _reserve(path: Path) -> None:
    """Have the disk keep room for the whole file; writing over a memory map without would kill the process.

    Raises DatasetError where it has none.
    """
    size = path.stat().st_size
    try:
        with path.open("r+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return  # not every file system can reserve
        path.unlink()
        raise DatasetError(
            f"{path.parent}: the cache needs {size / 1e9:.1f} GB ({error.strerror}); "
            "set cache to a folder on another disk"
        ) from error
