"""Every figure the documentation quotes, measured again: `python tools/benchmark.py --help`."""

from __future__ import annotations

import typer
from bench_pipeline import memory, pipeline

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.command()(pipeline)
app.command()(memory)

if __name__ == "__main__":
    app()
