"""Weights of CLIP and its kin from a file or from open_clip, and the sizes they imply."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from par_model.errors import CheckpointError

PUBLIC_TAPS = (0, 3, 6, 9, 11)
PUBLIC_DEPTH = 12


def read_clip(source: str | os.PathLike[str]) -> dict[str, Tensor]:
    """State dict of a CLIP model under OpenAI's names.

    source: a `.safetensors` file, a `.pt` or `.bin` of plain tensors, or `NAME:PRETRAINED` for open_clip to fetch
    (`ViT-B-16-quickgelu:openai`). Raises CheckpointError; a pickle that would run code is refused.
    """
    name = os.fspath(source)
    if not Path(name).exists() and ":" in name:
        architecture, _, pretrained = name.partition(":")
        return fetch_clip(architecture, pretrained)
    if not Path(name).is_file():
        raise CheckpointError(f"{name}: there are no such CLIP weights; give a file or NAME:PRETRAINED of open_clip")
    try:
        if name.endswith(".safetensors"):
            from safetensors.torch import load_file

            content: object = load_file(name)
        else:
            content = torch.load(name, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise many kinds for a bad file
        raise CheckpointError(
            f"{name} is damaged or holds more than tensors; OpenAI's own .pt is a program: "
            "use `ViT-B-16-quickgelu:openai` or a .safetensors of it"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(t, Tensor) for t in content.values()):
        raise CheckpointError(f"{name} holds no state dict of tensors")
    return {str(key).removeprefix("module."): tensor for key, tensor in content.items()}


def fetch_clip(architecture: str, pretrained: str) -> dict[str, Tensor]:
    """State dict of a CLIP model that open_clip fetches, or reads from a file. Raises CheckpointError."""
    import open_clip

    try:
        clip = open_clip.create_model(architecture, pretrained=pretrained, precision="fp32")
    except Exception as error:  # unknown names, no network, bad files: one line for all
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"open_clip cannot give {architecture}:{pretrained}: {reason}") from error
    return cast(dict[str, Tensor], clip.state_dict())


def clip_activation(architecture: str, pretrained: str) -> str | None:
    """The activation, `quick_gelu` or `gelu`, of a tower as open_clip builds it; None of timm's, which tells none.

    The weights alone do not either.
    """
    from open_clip import get_model_config
    from open_clip.pretrained import get_pretrained_cfg

    name = architecture.replace("/", "-")
    settings, known = get_model_config(name) or {}, get_pretrained_cfg(name, pretrained) or {}
    if not settings or "timm_model_name" in settings.get("vision_cfg", {}):
        return None
    return "quick_gelu" if settings.get("quick_gelu") or known.get("quick_gelu") else "gelu"


def tower_sizes(weights: Mapping[str, Tensor], *, activation: str, heads: int | None = None) -> dict[str, Any]:
    """Fields of a ModelConfig that follow from the shapes of a visual tower, its own input size and taps included.

    activation: not to be seen in weights: `quick_gelu` for OpenAI's, `gelu` for most of open_clip's, `gelu_tanh`
    for SigLIP's. heads: None for heads of 64. Taps are the public code's, scaled to the tower's depth.
    """
    visual = {k.removeprefix("visual."): v for k, v in weights.items() if k.startswith("visual.")} or dict(weights)
    timm = any(name.startswith("trunk.") for name in visual)
    names = (
        ("trunk.patch_embed.proj.", "trunk.pos_embed", "trunk.cls_token", "trunk.blocks.", "mlp.fc1.weight")
        if timm
        else ("conv1.", "positional_embedding", "class_embedding", "resblocks.", "mlp.c_fc.weight")
    )
    stem, positions, class_token, blocks, hidden = names
    if f"{stem}weight" not in visual or positions not in visual:
        raise CheckpointError("the CLIP weights hold no vision transformer")
    width, _, patch, _ = visual[f"{stem}weight"].shape
    depth = 1 + max(int(name.split(blocks)[1].split(".")[0]) for name in visual if blocks in name)
    has_class = class_token in visual
    side = isqrt(visual[positions].flatten(0, -2).shape[0] - has_class)
    inner = next(tensor for name, tensor in visual.items() if name.endswith(hidden))
    taps = tuple(sorted({round(tap * depth / PUBLIC_DEPTH) for tap in PUBLIC_TAPS}))
    return {
        "image_size": (side * patch, side * patch),
        "patch": patch,
        "width": width,
        "depth": taps[-1],
        "heads": heads or max(1, width // 64),
        "mlp_ratio": inner.shape[0] / width,
        "activation": activation,
        "eps": 1e-6 if timm else 1e-5,
        "class_token": has_class,
        "pre_norm": "ln_pre.weight" in visual,
        "patch_bias": f"{stem}bias" in visual,
        "taps": taps,
        "targets": tuple(range(len(taps))),
    }
