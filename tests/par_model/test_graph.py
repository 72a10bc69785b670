"""What the ONNX wrapper promises: the same numbers from every backend, and no silent change of device."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from par_model.graph import DeviceError, Graph, GraphError, cuda_devices

onnx = pytest.importorskip("onnx", reason="builds its graphs with onnx (pip install '.[export]')")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


@pytest.fixture(params=["onnxruntime", "openvino"])
def backend(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def graph_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = relu(x @ W), z = x + 1, with an open batch dimension and two lines of metadata."""
    weights = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "W"], ["h"]),
            helper.make_node("Relu", ["h"], ["y"]),
            helper.make_node("Add", ["x", "one"], ["z"]),
        ],
        "small",
        [helper.make_tensor_value_info("x", FLOAT, ["batch", 8])],
        [
            helper.make_tensor_value_info("y", FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("z", FLOAT, ["batch", 8]),
        ],
        [
            onnx.numpy_helper.from_array(weights, "W"),
            onnx.numpy_helper.from_array(np.ones(1, np.float32), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"names": "{0: 'person'}", "stride": "32"})
    path = tmp_path_factory.mktemp("graph") / "small.onnx"
    onnx.save(model, path)
    return path


def test_every_backend_computes_the_graph(graph_file: Path, backend: str) -> None:
    graph = Graph.load(graph_file, device="cpu", backend=backend, threads=1)
    weights = onnx.numpy_helper.to_array(onnx.load(graph_file).graph.initializer[0])
    for batch in (1, 3):
        x = np.random.default_rng(batch).normal(size=(batch, 8)).astype(np.float32)
        outputs = graph.run({"x": x})
        np.testing.assert_allclose(outputs["y"], np.maximum(x @ weights, 0), atol=1e-5)
        np.testing.assert_allclose(outputs["z"], x + 1, atol=1e-6)


def test_a_graph_describes_itself(graph_file: Path, backend: str) -> None:
    graph = Graph.load(graph_file, device="cpu", backend=backend)
    assert graph.inputs == {"x": (None, 8)}
    assert graph.outputs == ["y", "z"]
    assert graph.metadata["stride"] == "32"
    assert (graph.backend, graph.device) == (backend, "cpu")


def test_results_do_not_change_when_the_graph_runs_again(graph_file: Path, backend: str) -> None:
    graph = Graph.load(graph_file, device="cpu", backend=backend)
    first = graph.run({"x": np.zeros((1, 8), np.float32)})["z"]
    graph.run({"x": np.full((1, 8), 5, np.float32)})
    np.testing.assert_array_equal(first, np.ones((1, 8), np.float32))


def test_openvino_compiles_for_a_fixed_shape(graph_file: Path) -> None:
    pytest.importorskip("openvino")
    graph = Graph.load(graph_file, device="cpu", backend="openvino", shapes={"x": (2, 8)})
    assert graph.inputs == {"x": (2, 8)}
    with pytest.raises(GraphError, match=r"input 'x' has shape \(2, 8\), got \(3, 8\)"):
        graph.run({"x": np.zeros((3, 8), np.float32)})


def test_one_graph_serves_several_threads(graph_file: Path, backend: str) -> None:
    graph = Graph.load(graph_file, device="cpu", backend=backend)
    wrong: list[int] = []

    def work(value: int) -> None:
        x = np.full((1, 8), value, np.float32)
        wrong.extend(value for _ in range(50) if not (graph.run({"x": x})["z"] == value + 1).all())

    threads = [threading.Thread(target=work, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(cuda_devices() > 0, reason="this machine has a GPU")
@pytest.mark.parametrize("asked", [{"device": "cuda"}, {"device": "cuda:1"}, {"backend": "tensorrt"}])
def test_a_gpu_that_is_not_there_is_an_error_not_a_slow_run(graph_file: Path, asked: dict[str, str]) -> None:
    with pytest.raises(DeviceError, match="cannot be had") as caught:
        Graph.load(graph_file, **asked)
    assert "\n" not in str(caught.value)
    assert "device: cpu" in str(caught.value)


@pytest.mark.skipif(cuda_devices() == 0, reason="needs a GPU")
def test_cuda_agrees_with_the_cpu(graph_file: Path) -> None:
    x = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    graph = Graph.load(graph_file, device="cuda")
    assert graph.device == "cuda:0"
    on_cpu = Graph.load(graph_file, device="cpu", backend="onnxruntime").run({"x": x})
    np.testing.assert_allclose(graph.run({"x": x})["y"], on_cpu["y"], atol=1e-4)


@pytest.mark.parametrize("asked", [{"device": "gpu"}, {"device": "cpu:1"}, {"backend": "ort"}])
def test_unknown_devices_and_backends_are_named(graph_file: Path, asked: dict[str, str]) -> None:
    with pytest.raises(DeviceError, match=next(iter(asked.values()))):
        Graph.load(graph_file, **asked)


@pytest.mark.parametrize("content", [b"", b"not a graph at all", b"\x08\x07garbage\xff\xff"])
def test_a_file_that_is_no_graph_is_named_in_one_line(tmp_path: Path, backend: str, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=r"broken\.onnx") as caught:
        Graph.load(path, device="cpu", backend=backend)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_missing_input_are_named(graph_file: Path, backend: str) -> None:
    with pytest.raises(GraphError, match=r"absent\.onnx: no such file"):
        Graph.load(graph_file.with_name("absent.onnx"))
    graph = Graph.load(graph_file, device="cpu", backend=backend)
    with pytest.raises(GraphError, match=r"takes inputs \['x'\], got \['images'\]"):
        graph.run({"images": np.zeros((1, 8), np.float32)})
