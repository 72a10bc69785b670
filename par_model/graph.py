"""One way to run an ONNX graph, by ONNX Runtime, TensorRT or OpenVINO; strict about the device asked for."""

from __future__ import annotations

import ctypes
import functools
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from par_model.cache import sha256, user_cache

Backend = Literal["auto", "onnxruntime", "openvino", "tensorrt"]
Precision = Literal["full", "fast"]
Shape = tuple[int | None, ...]
"""None where the graph leaves a dimension open."""

BACKENDS = ("onnxruntime", "openvino", "tensorrt")

log = logging.getLogger("sidewalk")


class GraphError(ValueError):
    """The file is not a graph that can be run, or is fed wrongly."""


class DeviceError(ValueError):
    """The device or backend that was asked for cannot be had; nothing slower is used in its place."""


class _Loaded(NamedTuple):
    """What a backend makes of a file: `run` gives the outputs in the order of `outputs`."""

    run: Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]
    inputs: dict[str, Shape]
    outputs: list[str]
    metadata: dict[str, str]


class Graph:
    """A loaded ONNX graph.

    inputs: name -> shape; outputs: names, in the graph's order; metadata: what the exporter wrote into the
    file; device: `cpu` or `cuda:N`; backend: what runs it. Two graphs may run in two threads; calls of one
    graph wait for each other.
    """

    def __init__(self, loaded: _Loaded, path: Path, backend: str, device: str) -> None:
        self._run, self.inputs, self.outputs, self.metadata = loaded
        self.path, self.backend, self.device = path, backend, device
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "auto",
        backend: Backend = "auto",
        threads: int | None = None,
        *,
        shapes: Mapping[str, Sequence[int | None]] | None = None,
        precision: Precision = "full",
    ) -> Graph:
        """Read a graph and prepare it for one device.

        device: `auto` (a GPU where ONNX Runtime can use one, else the CPU), `cpu`, `cuda` or `cuda:N`.
        backend: `auto` is OpenVINO on a CPU where it is installed and ONNX Runtime otherwise.
        threads: CPU threads of one run; None leaves it to the backend.
        shapes: input name -> fixed shape. OpenVINO makes a quicker graph of fixed shapes; the others ignore
        it and take any shape the graph admits.
        precision: `full` computes in float32; `fast` allows bfloat16, TF32 or FP16 where the hardware has it.
        TensorRT compiles for minutes; its engines are kept in the user's cache.

        Raises GraphError (no such file, not a graph), DeviceError (device or backend not to be had).
        """
        path = Path(path)
        if not path.is_file():
            raise GraphError(f"{path}: no such file; give the path of an ONNX graph")
        with path.open("rb") as file:
            # ir_version comes first in an ONNX file; the backends answer anything else with pages of noise.
            if path.suffix == ".onnx" and file.read(1) != b"\x08":
                raise GraphError(f"{path}: not an ONNX graph; export it again")
        place, runner = _choose(device, backend)
        fast = precision == "fast"
        if runner == "openvino":
            loaded = _load_openvino(path, threads, shapes or {}, fast)
        else:
            loaded = _load_onnxruntime(path, place, runner, threads, fast)
        if "auto" in (device, backend):
            log.info("%s runs on %s by %s", path.name, place, runner)
        return cls(loaded, path, runner, place)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Output name -> array, for one set of inputs. Raises GraphError where names or shapes do not fit."""
        if feeds.keys() != self.inputs.keys():
            raise GraphError(f"{self.path.name}: takes inputs {sorted(self.inputs)}, got {sorted(feeds)}")
        for name, array in feeds.items():
            shape = self.inputs[name]
            if len(shape) != array.ndim or any(
                want is not None and want != got for want, got in zip(shape, array.shape)
            ):
                raise GraphError(f"{self.path.name}: input {name!r} has shape {shape}, got {array.shape}")
        with self._lock:
            return dict(zip(self.outputs, self._run(feeds)))


def cuda_devices() -> int:
    """How many CUDA GPUs the driver offers; 0 without a driver; asks the driver itself, no heavy import."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
            return 0
        return count.value
    except (OSError, AttributeError):
        return 0


def parse_device(device: str) -> tuple[str, int]:
    """Kind (`auto`, `cpu` or `cuda`) and number of a device as users name it. Raises DeviceError."""
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and (kind != "cuda" or not number.isdecimal())):
        raise DeviceError(f"device {device!r} is unknown; use auto, cpu, cuda or cuda:N")
    return kind, int(number or 0)


def _choose(device: str, backend: str) -> tuple[str, str]:
    """Settle `auto`; raise DeviceError for what this machine cannot give."""
    kind, number = parse_device(device)
    if backend not in ("auto", *BACKENDS):
        raise DeviceError(f"backend {backend!r} is unknown; use auto, {', '.join(BACKENDS)}")
    if backend == "openvino":
        if kind == "cuda":
            raise DeviceError("backend openvino runs on a CPU, not on CUDA; set backend: onnxruntime or device: cpu")
        if find_spec("openvino") is None:
            raise DeviceError("backend openvino is not installed; pip install openvino, or set backend: onnxruntime")
        return "cpu", "openvino"
    if backend == "tensorrt" and kind == "cpu":
        raise DeviceError("backend tensorrt needs a GPU; set device: cuda or backend: onnxruntime")
    wants_gpu = kind == "cuda" or backend == "tensorrt"
    provider = "TensorrtExecutionProvider" if backend == "tensorrt" else "CUDAExecutionProvider"
    missing = "" if kind == "cpu" else _missing_gpu(number, provider)
    if wants_gpu and missing:
        raise DeviceError(f"device {device} ({provider}) cannot be had: {missing}; or set device: cpu")
    if kind != "cpu" and not missing:
        return f"cuda:{number}", "onnxruntime" if backend == "auto" else backend
    if backend == "auto":
        backend = "openvino" if find_spec("openvino") is not None else "onnxruntime"
    return "cpu", backend


def _missing_gpu(number: int, provider: str) -> str:
    """Why GPU `number` cannot run ONNX graphs here, with the remedy; empty where it can."""
    count = cuda_devices()
    if count <= number:
        return f"the driver offers {count or 'no'} GPU{'' if count == 1 else 's'}; check nvidia-smi"
    import onnxruntime

    if provider not in onnxruntime.get_available_providers():
        return f"this onnxruntime has no {provider}; pip uninstall onnxruntime, then pip install onnxruntime-gpu"
    return ""


def _engine_cache(path: Path) -> dict[str, Any]:
    """Options by which TensorRT keeps what it compiled of a graph.

    It would take a graph of the same file name and shape for the same one, whatever its weights: each has a folder.
    """
    folder = user_cache() / "engines" / sha256(path)[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("TensorRT compiles anew at every start: %s cannot be written (%s)", folder, error.strerror)
        return {}
    return {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(folder)}


def _load_onnxruntime(path: Path, device: str, backend: str, threads: int | None, fast: bool) -> _Loaded:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    providers: list[Any] = ["CPUExecutionProvider"]
    if device != "cpu":
        onnxruntime.preload_dlls()
        number = int(device.partition(":")[2])
        cuda = {"device_id": number, "use_tf32": int(fast), "cudnn_conv_algo_search": "HEURISTIC"}
        providers.insert(0, ("CUDAExecutionProvider", cuda))
        if backend == "tensorrt":
            tensorrt = {"device_id": number, "trt_fp16_enable": fast, **_engine_cache(path)}
            providers.insert(0, ("TensorrtExecutionProvider", tensorrt))
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors share no base class of their own
        raise GraphError(f"{path}: not a readable ONNX graph ({_reason(error)})") from error
    # ONNX Runtime falls back to the CPU with no more than a line on stderr.
    wanted = {"tensorrt": "TensorrtExecutionProvider"}.get(backend, "CUDAExecutionProvider")
    if device != "cpu" and session.get_providers()[0] != wanted:
        raise DeviceError(
            f"device {device}: ONNX Runtime could not start {wanted}: CUDA or cuDNN libraries do not load; "
            "pip install 'onnxruntime-gpu[cuda,cudnn]', or set device: cpu"
        )
    outputs = [output.name for output in session.get_outputs()]

    def run(feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        try:
            return list(session.run(outputs, dict(feeds)))
        except Exception as error:
            raise GraphError(f"{path.name}: {_reason(error)}") from error

    return _Loaded(
        run,
        inputs={
            item.name: tuple(size if isinstance(size, int) and size > 0 else None for size in item.shape)
            for item in session.get_inputs()
        },
        outputs=outputs,
        metadata=dict(session.get_modelmeta().custom_metadata_map),
    )


@functools.cache
def _openvino_core() -> Any:
    """The one core of the process.

    Its CPU plug-in brings a stack for signal handlers, and takes it away with itself: of several cores, one that went
    could leave the thread with the stack of another that had gone before, and the next Ctrl-C then crashed.
    """
    import openvino

    return openvino.Core()


def _load_openvino(
    path: Path,
    threads: int | None,
    shapes: Mapping[str, Sequence[int | None]],
    fast: bool,
) -> _Loaded:
    core = _openvino_core()
    try:
        model = core.read_model(str(path))
        if shapes:
            model.reshape({name: [-1 if size is None else size for size in shape] for name, shape in shapes.items()})
        properties: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if not fast:
            properties["INFERENCE_PRECISION_HINT"] = "f32"
        if threads:
            properties["INFERENCE_NUM_THREADS"] = threads
        compiled = core.compile_model(model, "CPU", properties)
    except RuntimeError as error:
        raise GraphError(f"{path}: not a graph that OpenVINO can run ({_reason(error)})") from error
    request = compiled.create_infer_request()
    ports = list(compiled.outputs)

    def run(feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        try:
            request.infer({name: np.ascontiguousarray(array) for name, array in feeds.items()}, share_inputs=True)
        except RuntimeError as error:
            raise GraphError(f"{path.name}: {_reason(error)}") from error
        return [request.get_tensor(port).data.copy() for port in ports]

    # OpenVINO's reader of ONNX files keeps their metadata under this name.
    metadata = model.get_rt_info("framework").value if model.has_rt_info("framework") else {}
    return _Loaded(
        run,
        inputs={
            port.get_any_name(): tuple(
                size.get_length() if size.is_static else None for size in port.get_partial_shape()
            )
            for port in compiled.inputs
        },
        outputs=[port.get_any_name() for port in ports],
        metadata={key: str(value) for key, value in metadata.items()},
    )


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip() if str(error).strip() else type(error).__name__
