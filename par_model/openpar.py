"""Checkpoints of the public VTFPAR++ code (OpenPAR), read and written back under its tensor names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from par_model.backbone import OPENAI_BLOCK, openai_visual_name
from par_model.checkpoint import misfit
from par_model.config import ModelConfig
from par_model.errors import CheckpointError
from par_model.model import VTFPAR, build
from par_model.schema import Schema, load_schema
from par_model.transformer import resize_positions

CLIP_HEAD_WIDTH = 64
SIDE_HEADS = 6
SPATIAL_BLOCKS_RUN = 7
TAPS_OF_TARGETS = {
    (0, 1, 2, 3, 4): (0, 3, 6, 9, 11),
    (1, 2, 3, 4): (3, 6, 9, 11),
    (2, 3, 4): (6, 9, 11),
    (3, 4): (9, 11),
    (4,): (11,),
    (0, 1, 2, 3, 4, 5, 6, 7): (0, 1, 2, 4, 6, 8, 10, 11),
}
"""The tower's layers that the public code's fusion maps feed to these blocks of the spatial side network."""

_PLAIN = {
    "word_embed.": "fusion.word_embed.",
    "norm.": "fusion.norm.",
    "bn.": "head.norm.",
    "crossframe_sidenet.frist_linear.": "temporal.first.",
    "spatial_sidenet.vit_model.patch_embed.proj.": "spatial.patch_embed.",
}
_SIDES = {"spatial_sidenet.": "spatial.", "crossframe_sidenet.": "temporal."}
_POSITIONS = {
    "cls_embed": "positions.class_token",
    "cls_pos_embed": "positions.class_position",
    "vit_model.pos_embed": "positions.grid_positions",
}


def from_openpar(
    state_dict: Mapping[str, Tensor],
    text_features: Tensor,
    schema: Schema | str | None = None,
    *,
    taps: tuple[int, ...] | None = None,
    image_size: tuple[int, int] | None = None,
    frames: int = 6,
) -> VTFPAR:
    """The model of a public checkpoint, in evaluation mode, all sizes read from the tensors' shapes.

    state_dict: as `model_state_dict` holds it, fp16 tensors included; text_features: (A, text width) of CLIP's text
    tower for the schema's words; schema: None for the one of 43 (MARS) or 36 (Duke) columns.
    taps: layers of the tower, where they are not the public default of the checkpoint's fusion points.
    image_size: (height, width) the model will be fed with, None for what it was trained with; positions are
    interpolated where it differs. Raises CheckpointError for a tensor that is missing or of a wrong shape.
    """
    state = {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}
    config = _config(state, taps, image_size, frames)
    known = {43: "mars", 36: "duke"}
    if schema is None:
        if config.attributes not in known:
            raise CheckpointError(f"{config.attributes} columns are neither MARS (43) nor Duke (36); name a schema")
        schema = known[config.attributes]
    if not isinstance(schema, Schema):
        schema = load_schema(schema)
    with torch.device("meta"):
        model = build(config, schema, torch.empty(config.attributes, config.text_width))
    expected = model.state_dict()
    ours: dict[str, Tensor] = {}
    leftovers: dict[str, Tensor] = {}
    for name, tensor in state.items():
        target = _our_name(name, config.targets)
        if target in expected:
            ours[target] = tensor.detach().cpu().to(torch.float32 if tensor.is_floating_point() else tensor.dtype)
        elif not name.startswith("weight_layer."):
            leftovers[name] = tensor.detach().cpu().clone()
    ours |= _head(state, config.attributes)
    ours = _shaped(ours, config)
    for name in ("text_features", "appearance_center", "appearance_scale"):
        ours[name] = torch.ones(expected[name].shape) if name.endswith("scale") else torch.zeros(expected[name].shape)
    ours["text_features"] = torch.as_tensor(text_features).detach().cpu().float()
    missing = [name for name in expected if name not in ours]
    if missing:
        raise CheckpointError(f"the public checkpoint lacks {_their_name(missing[0], config)}")
    problem = misfit(expected, ours)
    if problem:
        raise CheckpointError(f"the public checkpoint does not fit: {problem}")
    for name, tensor in ours.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"the public checkpoint has values in {name} that are not finite")
    model.load_state_dict({name: tensor.clone() for name, tensor in ours.items()}, assign=True)
    model.backbone.freeze(True)
    model.leftovers = leftovers
    model.metadata = {"origin": "OpenPAR VTFPAR++"}
    if any(t.dtype == torch.float16 for t in state.values()):
        model.metadata["openpar_half"] = True
    return model.eval()


def to_openpar(model: VTFPAR) -> dict[str, Tensor]:
    """The state dict the public code loads: its names and shapes, tensors it never uses included.

    Tensors the model does not have are taken from `leftovers`; a model that did not come from the public code lacks
    them, which its `load_state_dict(strict=False)` accepts. CLIP's matrices are fp16 where they were.
    """
    config, state = model.config, model.state_dict()
    half = bool(model.metadata.get("openpar_half"))
    result: dict[str, Tensor] = {}
    for name, tensor in state.items():
        theirs = _their_name(name, config)
        if theirs is None:
            continue
        tensor = tensor.detach().cpu()
        if theirs.startswith("spatial_sidenet.fusion_layers") and theirs.endswith("input_proj.1.weight"):
            tensor = tensor[:, :, None, None]
        elif theirs.startswith("crossframe_sidenet.fusion_layers") and theirs.endswith("input_proj.weight"):
            tensor = tensor[:, :, None]
        if half and re.search(r"clip_visual_extractor\.(conv1|.*(attn|mlp)\.)", theirs):
            tensor = tensor.half()
        result[theirs] = tensor.contiguous().clone()
    for i in range(config.attributes):
        result[f"weight_layer.{i}.weight"] = state["head.weight"][i : i + 1].detach().cpu().clone()
        result[f"weight_layer.{i}.bias"] = state["head.bias"][i : i + 1].detach().cpu().clone()
    return result | {name: tensor.clone() for name, tensor in model.leftovers.items()}


def read_pth(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """State dict of a `.pth` written by the public trainer. Pickles that would run code are refused."""
    name = os.fspath(path)
    if not Path(name).is_file():
        raise CheckpointError(f"{name}: there is no such checkpoint")
    try:
        content = torch.load(name, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a bad file
        raise CheckpointError(f"{name} is damaged, or holds more than tensors and is refused") from error
    if isinstance(content, dict):
        for key in ("model_state_dict", "state_dict", "model"):
            if isinstance(content.get(key), dict):
                content = content[key]
                break
    if not isinstance(content, dict) or not content or not all(isinstance(t, Tensor) for t in content.values()):
        raise CheckpointError(f"{name} holds no state dict of tensors")
    return cast(dict[str, Tensor], content)


def _config(
    state: Mapping[str, Tensor],
    taps: tuple[int, ...] | None,
    image_size: tuple[int, int] | None,
    frames: int,
) -> ModelConfig:
    def shape(name: str) -> tuple[int, ...]:
        if name not in state:
            raise CheckpointError(f"the public checkpoint lacks {name}; variants without a side network are not read")
        return tuple(state[name].shape)

    def count(pattern: str) -> list[int]:
        found = {int(match[1]) for name in state if (match := re.match(pattern, name))}
        return sorted(found)

    if "clip_visual_extractor.conv1.weight" not in state:
        raise CheckpointError(
            "the state dict is no checkpoint of VTFPAR++: it lacks clip_visual_extractor.conv1.weight"
        )
    targets = tuple(count(r"spatial_sidenet\.fusion_layers\.layer_(\d+)\."))
    chosen = taps or TAPS_OF_TARGETS.get(targets)
    if chosen is None:
        raise CheckpointError(f"fusion points {targets} are no public default; name the taps")
    if any(name.startswith(("spatial_feat_aggregation.", "temporal_feat_aggregation.")) for name in state):
        raise CheckpointError("the public checkpoint aggregates frames by an MLP; only the mean is read")
    for side_network in _SIDES:
        shape(f"{side_network}cls_embed")
    width, _, patch, _ = shape("clip_visual_extractor.conv1.weight")
    positions = shape("clip_visual_extractor.positional_embedding")[0] - 1
    side = isqrt(max(positions, 0))
    if image_size is None and side * side != positions:
        raise CheckpointError(f"{positions} positions are not a square grid; give image_size")
    side_width, text_width = shape("word_embed.weight")
    return ModelConfig(
        image_size=image_size or (side * patch, side * patch),
        patch=patch,
        width=width,
        depth=chosen[-1],
        heads=max(1, width // CLIP_HEAD_WIDTH),
        mlp_ratio=shape("clip_visual_extractor.resblocks.0.mlp.c_fc.weight")[0] / width,
        taps=chosen,
        targets=targets,
        side_width=side_width,
        side_heads=SIDE_HEADS,
        side_mlp_ratio=shape("spatial_sidenet.vit_model.blocks.0.mlp.fc1.weight")[0] / side_width,
        spatial_depth=min(SPATIAL_BLOCKS_RUN, len(count(r"spatial_sidenet\.vit_model\.blocks\.(\d+)\."))),
        temporal_depth=len(count(r"crossframe_sidenet\.vit_model\.blocks\.(\d+)\.")),
        frames=frames,
        text_width=text_width,
        attributes=shape("bn.weight")[0],
    )


def _our_name(name: str, targets: tuple[int, ...]) -> str | None:
    if name.startswith("clip_visual_extractor."):
        ours = openai_visual_name(name.removeprefix("clip_visual_extractor."))
        return f"backbone.{ours}" if ours else None
    for theirs, ours in _PLAIN.items():
        if name.startswith(theirs):
            return ours + name[len(theirs) :]
    if match := re.match(r"blocks\.\d+\.(.+)", name):
        return f"fusion.blocks.0.{match[1]}"
    for side, part in _SIDES.items():
        rest = name.removeprefix(side)
        if rest == name:
            continue
        if rest in _POSITIONS:
            return part + _POSITIONS[rest]
        if match := re.match(r"vit_model\.(blocks\.\d+\..+)", rest):
            return part + match[1]
        if match := re.match(r"fusion_layers\.layer_(\d+)\.(ln|input_proj\.0|input_proj\.1|input_proj)\.(\w+)", rest):
            # The spatial layers are numbered by target, the temporal ones from 0.
            layer = int(match[1])
            index = targets.index(layer) if part == "spatial." else layer
            return f"{part}injections.{index}.{'norm' if match[2] in ('ln', 'input_proj.0') else 'proj'}.{match[3]}"
    return None


def _their_name(name: str, config: ModelConfig) -> str | None:
    if name.startswith("backbone."):
        rest = name.removeprefix("backbone.")
        plain = {"class_token": "class_embedding", "positions": "positional_embedding"}
        if rest in plain:
            return "clip_visual_extractor." + plain[rest]
        if rest.startswith("blocks."):
            _, index, inner = rest.split(".", 2)
            for theirs, ours in OPENAI_BLOCK.items():
                if inner.startswith(ours):
                    return f"clip_visual_extractor.resblocks.{index}.{theirs}{inner[len(ours) :]}"
        return "clip_visual_extractor." + rest.replace("stem.proj", "conv1").replace("norm_pre", "ln_pre")
    for theirs, ours in _PLAIN.items():
        if name.startswith(ours):
            return theirs + name[len(ours) :]
    if name.startswith("fusion.blocks.0."):
        return f"blocks.7.{name.removeprefix('fusion.blocks.0.')}"
    for side, part in _SIDES.items():
        rest = name.removeprefix(part)
        if rest == name:
            continue
        for theirs, ours in _POSITIONS.items():
            if rest == ours:
                return side + theirs
        if rest.startswith("blocks."):
            return f"{side}vit_model.{rest}"
        _, index, kind, leaf = rest.split(".")
        if part == "spatial.":
            return f"{side}fusion_layers.layer_{config.targets[int(index)]}.input_proj.{int(kind == 'proj')}.{leaf}"
        return f"{side}fusion_layers.layer_{index}.{'ln' if kind == 'norm' else 'input_proj'}.{leaf}"
    return None


def _head(state: Mapping[str, Tensor], attributes: int) -> dict[str, Tensor]:
    """The A small linears as one matrix and one vector."""
    parts: dict[str, Tensor] = {}
    for leaf in ("weight", "bias"):
        rows = [state.get(f"weight_layer.{i}.{leaf}") for i in range(attributes)]
        if any(row is None for row in rows):
            raise CheckpointError(f"the public checkpoint lacks weight_layer.{rows.index(None)}.{leaf}")
        parts[f"head.{leaf}"] = torch.cat([cast(Tensor, row).detach().cpu().float() for row in rows])
    return parts


def _shaped(ours: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """1x1 convolutions as linears, and positions on the grid of `config`."""
    result = {}
    for name, tensor in ours.items():
        if ".injections." in name and name.endswith("proj.weight"):
            tensor = tensor.flatten(1)
        elif name == "backbone.positions":
            tensor = torch.cat([tensor[:1], _regrid(tensor[1:], config.grid)])
        elif name.endswith("grid_positions"):
            tensor = _regrid(tensor[0], config.grid)[None]
        result[name] = tensor
    return result


def _regrid(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    side = isqrt(len(positions))
    if len(positions) == grid[0] * grid[1] or side * side != len(positions):
        return positions
    return resize_positions(positions, (side, side), grid)
