"""Arrays kept on disk between runs, by which several runs may go at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock


def cached_array(
    path: Path, dtype: type[np.generic], shape: tuple[int, ...], fill: Callable[[np.ndarray], None]
) -> np.ndarray:
    """The array at `path`, memory-mapped and read-only.

    fill: given zeros of that type and shape to write over, where there is no such file yet; by one run at a time. The
    file appears whole or not at all.
    """
    if not path.is_file():
        with FileLock(f"{path}.lock"):
            if not path.is_file():
                partial = path.with_suffix(".partial")
                table = np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)
                fill(table)
                table.flush()
                del table
                partial.replace(path)
    found: np.ndarray = np.load(path, mmap_mode="r")
    return found
