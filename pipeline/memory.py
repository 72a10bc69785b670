"""What the process holds of the machine's memory, and giving back what it does not use."""

from __future__ import annotations

import ctypes


def resident_bytes() -> int:
    """Memory this process holds now; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            import resource

            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def give_back() -> None:
    """Return to the system what the C library keeps of freed memory; nothing where it is not glibc.

    Each thread frees into a heap of its own, which otherwise stays as large as the busiest moment made it.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, TypeError, AttributeError):
        return
