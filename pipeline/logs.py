"""Structured logs of a live run: JSON lines in a file that rotates, readable lines on the terminal."""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.sources.url import redact

if TYPE_CHECKING:
    from rich.console import Console

FILE_BYTES = 5_000_000
FILES_KEPT = 5
FIELDS = ("camera", "event", "reason")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, camera, event, reason, message."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, str] = {"time": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname.lower()}
        entry |= {field: str(value) for field in FIELDS if (value := getattr(record, field, None))}
        entry["message"] = redact(record.getMessage())
        if record.exc_info:
            entry["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


class ConsoleHandler(logging.Handler):
    """Lines above the live table, or plain ones where there is no terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        camera = getattr(record, "camera", None)
        style = "yellow" if record.levelno >= logging.WARNING else None
        text = redact(record.getMessage())
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        who = f"{camera}: " if camera else ""
        # Whoever logs must not fail because the terminal is gone or its file is full; Rich exits on a closed pipe.
        with contextlib.suppress(Exception, SystemExit):
            self._console.print(f"{moment} {who}{text}", style=style, markup=False, highlight=False, soft_wrap=True)


class FileHandler(logging.handlers.RotatingFileHandler):
    """A log that takes up little room and stays silent where the disk takes nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8", delay=True)
        self.setFormatter(JsonFormatter())

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: the terminal tells of the disk, and the next line is tried again."""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


@contextmanager
def live_logging(path: Path, console: Console) -> Iterator[None]:
    """While open, what `sidewalk` loggers say goes to the file `path` as JSON lines, and to the console."""
    logger = logging.getLogger("sidewalk")
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [FileHandler(path), ConsoleHandler(console)]
    propagate, logger.propagate = logger.propagate, False
    level = logger.level
    if logger.getEffectiveLevel() > logging.INFO:
        logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
        logger.propagate = propagate
        logger.setLevel(level)
