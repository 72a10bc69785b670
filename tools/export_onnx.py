"""Export a checkpoint to ONNX and prove the graphs: `python tools/export_onnx.py --help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def export_onnx(
    checkpoint: Annotated[Path, typer.Argument(help="The .safetensors checkpoint.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder; by default the checkpoint's name.")] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="Also half-precision graphs, in the folder's fp16/.")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also 8-bit graphs for CPUs, in int8/, kept if they pass.")
    ] = False,
    crops: Annotated[Path | None, typer.Option(help="Folder of pictures of people for the proof.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Prove graphs that are there on this machine.")] = False,
) -> None:
    """Write frame_encoder.onnx, clip_head.onnx, vtfpar.onnx, and parity.json: whether they may be served."""
    import cv2

    from par_model import load
    from par_model.export import export
    from par_model.parity import prove

    folder = out or checkpoint.with_suffix("")
    precisions = ["fp32", *(["fp16"] if fp16 else []), *(["int8"] if int8 else [])]
    found = sorted(p for p in crops.rglob("*") if p.suffix.lower() in PICTURES) if crops else []
    pictures = [picture for path in found[:512] if (picture := cv2.imread(str(path))) is not None]
    failed = False
    try:
        if crops and not pictures:
            raise ValueError(f"{crops}: no pictures there")
        model = load(checkpoint)
        for precision in precisions:
            place = folder if precision == "fp32" else folder / precision
            work = prove if check else export
            for runtime, parity in work(model, place, precision=precision, crops=pictures).items():
                verdict = "passed" if parity.passed else "FAILED"
                typer.echo(
                    f"{place} on {runtime}: {verdict}, probabilities differ by at most {parity.difference:.1e}, "
                    f"{parity.flipped} labels flipped"
                )
                failed |= not parity.passed and precision != "int8"
            if not any(place.glob("*.onnx")):
                typer.echo(f"{place}: removed, 8 bits cost too much of this model")
    except ValueError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from error
    if failed:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(export_onnx)
