"""The live table in the terminal: a row for each camera."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.memory import resident_bytes
from pipeline.sources.supervisor import CameraState, Health
from pipeline.telemetry import Telemetry, total_drops

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {
    CameraState.LIVE: "green",
    CameraState.CONNECTING: "cyan",
    CameraState.STALLED: "yellow",
    CameraState.DOWN: "red",
    CameraState.ENDED: "dim",
}


def live_table(telemetry: Telemetry, healths: Callable[[], Mapping[str, Health]], console: Console) -> Live:
    """A table that redraws itself twice a second while it is open."""
    return Live(
        get_renderable=lambda: render(telemetry, healths()), console=console, refresh_per_second=2, transient=True
    )


def render(telemetry: Telemetry, healths: Mapping[str, Health]) -> Table:
    """State, rates, delay and drops of every camera at this moment."""
    seconds = int(time.monotonic() - telemetry.started)
    clock = f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    caption = f"{clock}   load level {telemetry.load_level}   {resident_bytes() / 1e6:.0f} MB   Ctrl-C ends"
    table = Table(caption=caption, caption_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("camera")
    table.add_column("state")
    for title in ("fps", "delay p50", "p95", "people", "dropped"):
        table.add_column(title, justify="right")
    table.add_column("why", style="dim", no_wrap=True)
    for name, health in healths.items():
        meter = telemetry.camera(name)
        drops = sum(total_drops(health, meter).values())
        share = f"{100 * drops / health.received:.0f} %" if health.received else ""
        alive = health.state is CameraState.LIVE
        table.add_row(
            name,
            Text(str(health.state), style=STYLES[health.state]),
            f"{meter.recent.rate:.1f}" if alive else "",
            _milliseconds(meter.recent.quantile(0.5)) if alive else "",
            _milliseconds(meter.recent.quantile(0.95)) if alive else "",
            str(meter.people) if alive else "",
            share,
            health.reason,
        )
    return table


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:.0f} ms"
