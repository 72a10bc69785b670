"""Ctrl-C and SIGTERM as a request to end in order."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def ending_on_signals(stop: Callable[[], None]) -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM end the run in order; a second one ends it as it is. Yields whether one came.

    stop: asks the run to end, and returns at once. Outside the main thread, which alone gets signals, nothing changes.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def end(_number: int, _frame: object) -> None:
        if came.is_set():
            raise KeyboardInterrupt
        came.set()
        stop()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_ending_to_the_program() -> None:
    """In a child process: ignore what a service manager or a terminal sends to all; the program ends its children."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
