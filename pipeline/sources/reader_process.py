"""The program's end of a reader process: start it, talk to it, abandon it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socketpair
from typing import Any

from pipeline.sources.handover import Open, ReaderOptions, SharedPicture

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
REAP_SECONDS = 2.0


def child_environment() -> dict[str, str]:
    """The environment of a child process that runs one of the package's modules."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")))),
        # It handles pictures one at a time; thread pools would cost memory for nothing.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


class ReaderProcess:
    """One child running `pipeline.sources.reader`.

    `send` and `receive` may be called from different threads. Raises OSError where no process can be started.
    """

    def __init__(self) -> None:
        self.picture = SharedPicture()
        try:
            ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
        except OSError:
            self.picture.close()
            raise
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",  # else a folder `pipeline` in the current directory would be run
                    "-m",
                    "pipeline.sources.reader",
                    str(theirs.fileno()),
                    str(self.picture.descriptor),
                ],
                pass_fds=(theirs.fileno(), self.picture.descriptor),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # FFmpeg and tracebacks quote URLs, passwords included.
                stderr=subprocess.DEVNULL,
                env=child_environment(),
                # Ctrl-C is for the program, which then ends its readers in order.
                start_new_session=True,
            )
        except OSError:
            ours.close()
            self.picture.close()
            raise
        finally:
            theirs.close()
        self._connection = Connection(ours.detach())
        self._sending = threading.Lock()
        self._opened = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    def open(self, options: ReaderOptions, not_before: float) -> None:
        """Have it connect; not_before: time of the last frame it handed over before."""
        self._opened += 1
        self.send(Open(self._opened, options, not_before))

    def send(self, message: Any) -> None:
        """Send one of the messages of `handover`; a dead process is noticed by `receive`, not here."""
        try:
            with self._sending:
                self._connection.send(message)
        except OSError:
            return

    def receive(self, seconds: float) -> Any:
        """The next message, or None when none came in time. Raises EOFError where the process is dead.

        What still comes of a connection before the one opened last is left out.
        """
        try:
            if not self._connection.poll(seconds):
                return None
            number, message = self._connection.recv()
        except OSError as error:
            raise EOFError from error
        return message if number == self._opened else None

    def abandon(self) -> None:
        """End the process whatever it is doing, and give back what it held."""
        self._process.kill()
        with self._sending:
            self._connection.close()
        self.picture.close()
        try:
            self._process.wait(REAP_SECONDS)
        except subprocess.TimeoutExpired:
            # Stuck in the kernel: reap it whenever it lets go, without keeping anybody waiting.
            threading.Thread(target=self._process.wait, name="reaper", daemon=True).start()
