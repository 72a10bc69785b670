"""Exported graphs give the model's numbers, and graphs that do not are never served."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

import par_model
from par_model import VTFPAR, CheckpointError, ModelConfig, ParityError, Recognizer
from par_model.export import export
from par_model.graph import GraphError
from par_model.parity import Parity, compare, prove, random_crops
from par_model.schema import Calibration

pytestmark = pytest.mark.slow  # the exporter takes ten seconds a graph
BACKENDS = ["onnxruntime", *(["openvino"] if find_spec("openvino") else [])]


@pytest.fixture
def small_config() -> ModelConfig:
    """Few blocks, because the exporter's time grows with them."""
    return ModelConfig.compact(
        image_size=(64, 32),
        width=64,
        depth=2,
        heads=2,
        taps=(0, 2),
        targets=(0, 1),
        side_width=32,
        spatial_depth=2,
        temporal_depth=3,
        frames=3,
        text_width=24,
    )


class Exported:
    """A checkpoint with its graphs in the folder of its name, written once for this file's tests."""

    def __init__(self, folder: Path, model: VTFPAR) -> None:
        self.model = model
        self.checkpoint = folder / "model.safetensors"
        self.folder = folder / "model"
        par_model.save(model, self.checkpoint)
        self.parities = export(model, self.folder, crops=random_crops(3, seed=9))


_exported: list[Exported] = []


@pytest.fixture
def exported(small_model: VTFPAR, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    if not _exported:
        _exported.append(Exported(tmp_path_factory.mktemp("export"), small_model))
    return _exported[0]


@pytest.fixture
def copied(exported: Exported, tmp_path: Path) -> Path:
    """A checkpoint whose graphs a test may spoil."""
    shutil.copytree(exported.folder, tmp_path / "model")
    shutil.copy(exported.checkpoint, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_the_gate_passes_on_every_runtime_and_is_written_down(exported: Exported) -> None:
    report = json.loads((exported.folder / "parity.json").read_text())
    assert set(exported.parities) >= {f"{backend}-cpu" for backend in BACKENDS}
    assert report["crops"] == {"real": 3, "random": 24}
    assert report["graphs"].keys() == {"frame_encoder.onnx", "clip_head.onnx", "vtfpar.onnx"}
    for name, parity in exported.parities.items():
        assert parity.passed
        assert parity.difference <= 1e-4
        assert parity.flipped == 0
        assert report["runtimes"][name]["agreement"].keys() == set(exported.model.schema.group_names)


@pytest.mark.parametrize("backend", BACKENDS)
def test_graphs_equal_pytorch_on_windows_of_all_lengths(exported: Exported, backend: str) -> None:
    graphs = Recognizer.load(exported.checkpoint, "cpu", backend=backend, threads=1)  # type: ignore[arg-type]
    torched = Recognizer.load(exported.checkpoint, "cpu", backend="torch")
    assert (graphs.backend, graphs.device) == (backend, "cpu")
    assert torched.backend == "torch"
    crops = random_crops(9, seed=4)
    features, expected = graphs.encode(crops), torched.encode(crops)
    windows = [slice(0, n) for n in range(1, 4)] + [slice(n, n + 3) for n in range(1, 7)]
    gap = graphs.logits([features[w] for w in windows]) - torched.logits([expected[w] for w in windows])
    assert np.abs(gap).max() < 1e-4
    np.testing.assert_allclose(features[3].appearance, expected[3].appearance, atol=1e-4)
    private = Recognizer.load(exported.folder, "cpu", backend=backend, without=["gender"])  # type: ignore[arg-type]
    assert private.recognize([features[:2]]).shape == (1, 42)


def test_the_whole_graph_takes_windows_in_batches(exported: Exported) -> None:
    from par_model.graph import Graph

    graph = Graph.load(exported.folder / "vtfpar.onnx", "cpu", "onnxruntime")
    config = exported.model.config
    for batch in (1, 3):
        frames = torch.randn(batch, config.frames, 3, *config.image_size)
        with torch.no_grad():
            expected = exported.model(frames).numpy()
        np.testing.assert_allclose(graph.run({"frames": frames.numpy()})["logits"], expected, atol=1e-4)


def test_on_a_cpu_proven_graphs_beside_a_checkpoint_are_preferred(exported: Exported) -> None:
    assert Recognizer.load(exported.checkpoint).backend == (BACKENDS[-1] if not torch.cuda.is_available() else "torch")


def test_graphs_without_a_report_are_refused(copied: Path) -> None:
    (copied.with_suffix("") / "parity.json").unlink()
    with pytest.raises(ParityError, match="unproven"):
        Recognizer.load(copied, "cpu", backend="onnxruntime")
    assert Recognizer.load(copied, "cpu").backend == "torch"
    assert Recognizer.load(copied, "cpu", backend="onnxruntime", unproven=True).backend == "onnxruntime"


def test_graphs_that_failed_or_changed_are_refused(copied: Path) -> None:
    folder = copied.with_suffix("")
    report = json.loads((folder / "parity.json").read_text())
    report["runtimes"]["onnxruntime-cpu"]["passed"] = False
    (folder / "parity.json").write_text(json.dumps(report))
    with pytest.raises(ParityError, match="failed on onnxruntime-cpu"):
        Recognizer.load(copied, "cpu", backend="onnxruntime")
    del report["runtimes"]["onnxruntime-cpu"]
    (folder / "parity.json").write_text(json.dumps(report))
    with pytest.raises(ParityError, match="not proven on onnxruntime-cpu"):
        Recognizer.load(copied, "cpu", backend="onnxruntime")
    (folder / "parity.json").write_text("[]")
    with pytest.raises(ParityError, match="cannot be read"):
        Recognizer.load(copied, "cpu", backend="onnxruntime")


def test_a_graph_that_is_not_the_proven_one_is_refused(copied: Path) -> None:
    path = copied.with_suffix("") / "clip_head.onnx"
    graph = onnx.load(path)
    graph.doc_string = "edited"
    onnx.save(graph, path)
    with pytest.raises(ParityError, match="not the graph"):
        Recognizer.load(copied, "cpu", backend="onnxruntime")


def test_graphs_of_other_weights_are_refused(copied: Path, small_model: VTFPAR) -> None:
    with torch.no_grad():
        small_model.head.bias.add_(1.0)
    par_model.save(small_model, copied)
    with pytest.raises(CheckpointError, match="other weights"):
        Recognizer.load(copied, "cpu", backend="onnxruntime")
    assert Recognizer.load(copied, "cpu").backend == "torch"


def test_a_checkpoint_that_was_calibrated_anew_keeps_its_graphs_and_rules_them(copied: Path) -> None:
    model = par_model.load(copied)
    model.schema = model.schema.calibrated({"hat": Calibration(1.5, 0.3, 0.4, (-1.0,))})
    par_model.save(model, copied)
    answers = []
    for backend in ("onnxruntime", "torch"):
        recognizer = Recognizer.load(copied, "cpu", backend=backend, without=["age"])
        answers.append(recognizer.recognize([recognizer.encode(random_crops(3))]))
        assert recognizer.schema["hat"].prior == (-1.0,)
    np.testing.assert_allclose(*answers, atol=1e-4)


def test_a_wrong_graph_fails_the_gate(copied: Path, small_model: VTFPAR) -> None:
    with torch.no_grad():
        small_model.head.weight.mul_(-1.0)
    parities = prove(small_model, copied.with_suffix(""), count=6)
    assert not any(parity.passed for parity in parities.values())


def test_flips_near_a_threshold_or_a_tie_are_forgiven_and_others_are_not() -> None:
    schema = par_model.load_schema("mars")
    wanted = np.full((1, 43), 0.05)
    hat, red, blue = (schema.words.index(word) for word in ("hat", "top red", "top blue"))
    wanted[0, [hat, red]] = 0.605, 0.9
    near = wanted.copy()
    near[0, hat] = 0.595
    assert compare(schema, wanted, near, 2e-2).flipped == 0
    far = wanted.copy()
    far[0, [red, blue]] = 0.05, 0.9
    parity = compare(schema, wanted, far, 1.0)
    assert (parity.flipped, parity.passed) == (1, False)
    assert parity.agreement["top color"] == 0.0
    assert not compare(schema, wanted, np.full((1, 43), np.nan), 1.0).passed


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_smaller_graphs_hold_their_gate(small_model: VTFPAR, shared: Path, tmp_path: Path, precision: str) -> None:
    pictures = sorted((shared / "data" / "attributes" / "pa100k_samples").glob("*.jpg"))
    crops = [cv2.imread(str(path)) for path in pictures]
    parities: dict[str, Parity] = export(small_model, tmp_path, precision=precision, crops=crops, whole=False)  # type: ignore[arg-type]
    assert all(parity.passed and parity.difference <= 2e-2 for parity in parities.values())
    report = json.loads((tmp_path / "parity.json").read_text())
    assert report["crops"]["real"] == len(crops) > 0
    recognizer = Recognizer.load(tmp_path, "cpu", backend="onnxruntime")
    features = recognizer.encode(crops)
    assert features[0].tokens.dtype == (np.float16 if precision == "fp16" else np.float32)
    assert recognizer.recognize([features]).shape == (1, 43)


def test_a_missing_exporter_is_named(small_model: VTFPAR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("par_model.export.find_spec", lambda name: None)
    with pytest.raises(GraphError, match=r"'\.\[export\]'"):
        export(small_model, tmp_path / "graphs")
    assert not (tmp_path / "graphs").exists()


def test_graphs_hold_no_path_of_the_machine_that_wrote_them() -> None:
    """Neither a folder nor a source file; a bare `.py` can turn up among 13 MB of weights by chance."""
    folder = Path(par_model.__file__).parent / "weights" / "default"
    graphs = list(folder.glob("*.onnx"))
    assert graphs
    for path in graphs:
        assert not re.search(rb"[\w/]{6}\.py\b|/(home|root|work|tmp|usr)/\w{3}", path.read_bytes()), path
