"""Every figure the documentation quotes, measured again: `python tools/benchmark.py --help`."""

from __future__ import annotations

import typer
from bench_attributes import attributes
from bench_live import live, soak
from bench_pipeline import memory, pipeline
from bench_recognizer import recognizer, runtimes
from bench_tracker import tracker
from bench_training import training_memory, training_step

app = typer.Typer(no_args_is_help=True, add_completion=False)
for benchmark in (
    pipeline,
    memory,
    tracker,
    recognizer,
    runtimes,
    training_memory,
    training_step,
    attributes,
    live,
    soak,
):
    app.command()(benchmark)

if __name__ == "__main__":
    app()
