"""The `sidewalk` command."""

from __future__ import annotations

import gc
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from pipeline.synthesize import app as synthesize_app
from pipeline.types import SidewalkError

app = typer.Typer(
    name="sidewalk",
    help="Follow every pedestrian in video and say, over time, what each looks like and does.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="The detector weights Sidewalk knows.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(synthesize_app, name="synthesize")

DEMO_OUT = Path("results/demo")
"""Where the demo's results go unless told otherwise; those of an earlier demo are replaced there."""

Sources = Annotated[
    list[str] | None,
    typer.Argument(help="A file, a folder or glob of images, rtsp:// or http(s)://, webcam:0. Several may follow."),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="A YAML file; see configs/default.yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.SUB=VALUE", help="Change one setting; may be repeated."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")] = False,
) -> None:
    import logging

    level = logging.DEBUG if debug else logging.WARNING
    logging.basicConfig(level=level, format="sidewalk: %(levelname)s: %(message)s", stream=sys.stderr)
    logging.getLogger("sidewalk").setLevel(logging.DEBUG if debug else logging.INFO)


@app.command()
def run(
    sources: Sources = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("results"),
    config: ConfigFile = None,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
    publish: Annotated[str | None, typer.Option(help="Live: publish the overlay to this rtsp:// address.")] = None,
    duration: Annotated[
        float | None, typer.Option(help="Stop after so many seconds; each recording, after so many of its own.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved configuration and stop.")] = False,
) -> None:
    """Process video: an annotated overlay, and the people of every frame as data."""
    from pipeline.config import load_config, redacted

    changes = list(overrides or [])
    changes += [f"live.publish={publish}"] if publish is not None else []
    changes += [f"live.duration={duration}"] if duration is not None else []
    settings = load_config(config, changes)
    if dry_run:
        import yaml

        typer.echo(yaml.safe_dump(dict(redacted(settings)), sort_keys=False), nl=False)
        return
    from pipeline.build import run as run_pipeline
    from pipeline.progress import RunProgress

    with RunProgress() as progress:
        report = run_pipeline(settings, sources or [], out, overwrite=overwrite, observer=progress.advance)
    progress.summarise(report, out)
    if report.interrupted:
        raise typer.Exit(130)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = DEMO_OUT,
    config: ConfigFile = None,
    overrides: Overrides = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")] = False,
    photographs: Annotated[
        bool, typer.Option("--photographs", help="Real people in photographs, instead of the generated street.")
    ] = False,
) -> None:
    """Run the whole pipeline on a clip that ships with it; needs no network once the weights are there."""
    from pipeline.config import load_config
    from pipeline.demo import run_demo

    if run_demo(out, load_config(config, overrides or []), photographs, overwrite or out == DEMO_OUT):
        raise typer.Exit(130)


@app.command()
def check(config: Annotated[Path, typer.Argument(help="A YAML file with cameras.")]) -> None:
    """Probe every camera of a configuration: codec, size, rate and the time to its first frame."""
    from pipeline.check import check_cameras
    from pipeline.config import load_config

    if not check_cameras(load_config(config)):
        raise typer.Exit(2)


@app.command()
def doctor() -> None:
    """Say what is installed, which devices and weights there are, and what would clash."""
    from pipeline.doctor import examine

    if not examine():
        raise typer.Exit(2)


@models_app.command("list")
def models_list() -> None:
    """The models of the zoo, with size, licence and whether they are here."""
    from rich.console import Console
    from rich.table import Table

    from pipeline.zoo import list_models

    table = Table("name", "kind", "input", "MB", "licence", "here", box=None, pad_edge=False)
    for model in list_models():
        here = "yes" if model.pulled else "no"
        table.add_row(model.name, model.kind, str(model.input), f"{model.megabytes:.1f}", model.licence, here)
    Console().print(table)


@models_app.command("pull")
def models_pull(name: Annotated[str, typer.Argument(help="A name from `sidewalk models list`.")]) -> None:
    """Download a model into the cache and verify it."""
    from pipeline.zoo import pull

    typer.echo(pull(name))


def main() -> None:
    """Entry point: errors the user can mend are one line and exit code 2."""
    debug = "--debug" in sys.argv
    # It may stand anywhere; typer wants it before the command.
    program, *arguments = [argument for argument in sys.argv if argument != "--debug"]
    sys.argv = [program, *(["--debug"] if debug else []), *arguments]
    try:
        code = app(standalone_mode=False)
        # Python looks through everything torch has loaded for garbage before it ends: seconds on a busy machine.
        gc.freeze()
        raise SystemExit(code if isinstance(code, int) else 0)
    except SidewalkError as error:
        if debug:
            _show_traceback()
        _fail(str(error), 2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except Exception as error:
        code = getattr(error, "exit_code", None)
        if code is not None:
            format_message = getattr(error, "format_message", None)
            _fail(format_message() if format_message else str(error), int(code))
        if debug:
            _show_traceback()
        hint = "" if debug else " (run with --debug for the traceback)"
        _fail(f"unexpected {type(error).__name__}: {error}{hint}", 1)


def _show_traceback() -> None:
    from pipeline.sources.url import redact

    print(redact(traceback.format_exc()), file=sys.stderr)


def _fail(message: str, code: int) -> None:
    from pipeline.sources.url import redact

    if message:
        print(f"sidewalk: {redact(' '.join(message.split()))}", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
