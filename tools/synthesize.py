"""Generate pedestrians with known attributes; the same as `sidewalk synthesize`."""

from __future__ import annotations

import typer

from pipeline.synthesize import app
from pipeline.types import SidewalkError

if __name__ == "__main__":
    try:
        app()
    except SidewalkError as error:
        typer.echo(f"synthesize: {error}", err=True)
        raise SystemExit(2) from None
