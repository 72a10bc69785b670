"""The scripts that convert and export do what their help says, and fail in one line."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
import typer
from safetensors.torch import save_file
from typer.testing import CliRunner

import par_model
from par_model.openpar import to_openpar

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def tool(name: str) -> typer.Typer:
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app = typer.Typer()
    app.command()(module.convert if name == "convert_openpar" else module.export_onnx)
    return app


@pytest.fixture
def public(tmp_path: Path) -> tuple[Path, Path]:
    """A small checkpoint of the public trainer, and CLIP text weights of its width."""
    from open_clip.transformer import TextTransformer

    config = par_model.ModelConfig(image_size=(32, 32), width=64, heads=1, side_width=24, text_width=64)
    model = par_model.build(config, par_model.load_schema("mars"), torch.zeros(43, 64))
    torch.save({"epoch": 3, "model_state_dict": to_openpar(model)}, tmp_path / "epoch3.pth")
    text = TextTransformer(vocab_size=49408, width=64, heads=1, layers=2, output_dim=64).state_dict()
    save_file({n: t.contiguous() for n, t in text.items() if n != "attn_mask"}, tmp_path / "clip.safetensors")
    return tmp_path / "epoch3.pth", tmp_path / "clip.safetensors"


def test_a_public_checkpoint_becomes_one_native_file(public: tuple[Path, Path], tmp_path: Path) -> None:
    checkpoint, clip = public
    out = tmp_path / "native.safetensors"
    arguments = [str(checkpoint), "--schema", "mars", "--clip", str(clip), "-o", str(out)]
    result = CliRunner().invoke(tool("convert_openpar"), arguments)
    assert result.exit_code == 0, result.output
    model = par_model.load(out)
    assert model.schema.name == "mars"
    assert float(model.text_features.abs().sum()) > 0
    assert model.config.preprocessing.fit == "letterbox"


def test_a_bad_argument_is_one_line_and_exit_code_two(public: tuple[Path, Path], tmp_path: Path) -> None:
    checkpoint, clip = public
    out = str(tmp_path / "native.safetensors")
    for arguments in (
        [str(tmp_path / "absent.pth"), "--schema", "mars", "--clip", str(clip), "-o", out],
        [str(checkpoint), "--schema", "market", "--clip", str(clip), "-o", out],
        [str(checkpoint), "--schema", "duke", "--clip", str(clip), "-o", out],
    ):
        result = CliRunner().invoke(tool("convert_openpar"), arguments)
        assert result.exit_code == 2
        assert result.output.strip().count("\n") == 0
    assert not Path(out).exists()


@pytest.mark.slow
def test_export_writes_proven_graphs_beside_the_checkpoint(tmp_path: Path) -> None:
    sizes = {"image_size": (32, 32), "width": 32, "heads": 2, "depth": 1, "taps": (0, 1), "targets": (0, 1)}
    config = par_model.ModelConfig.compact(
        **sizes, side_width=24, spatial_depth=1, temporal_depth=2, frames=2, text_width=8
    )
    model = par_model.build(config, par_model.load_schema("mars"), torch.randn(43, 8))
    par_model.save(model, tmp_path / "model.safetensors")
    result = CliRunner().invoke(tool("export_onnx"), [str(tmp_path / "model.safetensors")])
    assert result.exit_code == 0, result.output
    assert "passed" in result.output
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert files == {"frame_encoder.onnx", "clip_head.onnx", "vtfpar.onnx", "parity.json"}
    result = CliRunner().invoke(tool("export_onnx"), [str(tmp_path / "model.safetensors"), "--check"])
    assert result.exit_code == 0, result.output
