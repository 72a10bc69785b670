"""Train an attribute model: `python tools/train.py configs/training/compact.yaml --set data.train=synth/train`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from par_model.training import Report, load_run, train


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train an attribute model; started again, a killed run goes on.")
    parser.add_argument("config", type=Path, help="YAML of the run, e.g. configs/training/compact.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="key.sub=value", help="change one setting")
    parser.add_argument("--quiet", action="store_true", help="print nothing but the checkpoint's path")
    options = parser.parse_args(arguments)
    try:
        run = load_run(options.config, options.set)
        print(train(run, report=Report(Path(run.out), quiet=options.quiet)))
    except (ValueError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
