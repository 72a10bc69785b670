"""Turn a checkpoint of the public VTFPAR++ code into a native one: `python tools/convert_openpar.py --help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="The .pth the public trainer wrote.")],
    schema: Annotated[str, typer.Option(help="mars, duke, or a YAML file of attributes.")],
    clip: Annotated[str, typer.Option(help="CLIP weights for the words: a file, or ViT-B-16-quickgelu:openai.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .safetensors to write.")],
) -> None:
    """Read CHECKPOINT (tensors only), embed the schema's words by CLIP's text tower, and write one file."""
    from par_model import from_openpar, load_schema, save
    from par_model.clip_weights import read_clip
    from par_model.openpar import read_pth
    from par_model.text import encode_texts, text_tower

    try:
        state, words = read_pth(checkpoint), load_schema(schema)
        model = from_openpar(state, encode_texts(text_tower(read_clip(clip)), words.words), words)
        save(model, out)
    except ValueError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from error
    unused = sum(tensor.numel() for tensor in model.leftovers.values())
    typer.echo(f"{out}: {model.config.attributes} attributes, {model.trainable():,} parameters learn,")
    typer.echo(f"{len(model.leftovers)} tensors ({unused:,} values) of the public code have no part in it and are kept")


if __name__ == "__main__":
    typer.run(convert)
