"""Memory: what threads freed goes back to the system."""

from __future__ import annotations

import platform
import threading

import numpy as np
import pytest

from pipeline.memory import give_back, resident_bytes


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed memory and can be told to let go")
def test_memory_of_a_busy_moment_is_given_back() -> None:
    kept = []

    def work() -> None:
        # A block that lives on at the end holds a whole heap of freed ones.
        blocks = [np.ones(6_000) for _ in range(500)]
        kept.append(blocks[-1].copy())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    busy = resident_bytes()
    give_back()
    assert busy - resident_bytes() > 50e6
    assert len(kept) == 4
