"""What the detectors promise: the same people as the models' own packages, in picture pixels, best first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
import supervision as sv

from par_model.graph import cuda_devices
from pipeline.detectors import create_detector
from pipeline.detectors.base import person_classes
from pipeline.detectors.heads import END_TO_END, YOLO, YOLOX, YOLOX_PIXELS, recognise
from pipeline.detectors.letterbox import Letterbox
from pipeline.detectors.onnx import OnnxDetector, suppressed
from pipeline.detectors.ultralytics import UltralyticsDetector
from pipeline.types import SidewalkError

PHOTOGRAPHS = ("bus.jpg", "zidane.jpg")
PEOPLE = {"bus.jpg": 4, "zidane.jpg": 2}


def photograph(name: str) -> np.ndarray:
    ultralytics = pytest.importorskip("ultralytics")
    image = cv2.imread(str(Path(ultralytics.__file__).parent / "assets" / name))
    assert image is not None
    return image


@pytest.fixture(scope="module")
def weights(shared: Path) -> Path:
    return shared / "data" / "detectors" / "yolov8n.pt"


@pytest.fixture(scope="module")
def exported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights as ONNX in a cache of their own; Ultralytics has done its work when this returns."""
    pytest.importorskip("onnx")
    from pipeline.detectors.ultralytics import export_onnx

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIDEWALK_CACHE", str(tmp_path_factory.mktemp("cache")))
        path = export_onnx(weights)
        before = path.stat().st_mtime_ns
        assert export_onnx(weights) == path
        assert path.stat().st_mtime_ns == before
    return path


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_onnx_path_finds_the_people_ultralytics_finds(
    weights: Path, exported: Path, name: str, backend: str
) -> None:
    pytest.importorskip(backend)
    image = photograph(name)
    theirs = create_detector(weights, backend="ultralytics", device="cpu", confidence=0.25).detect([image])[0]
    ours = create_detector(exported, backend=backend, device="cpu", confidence=0.25).detect([image])[0]
    assert len(ours) == len(theirs) == PEOPLE[name]
    assert sv.box_iou_batch(ours.xyxy, theirs.xyxy).diagonal().min() > 0.97
    np.testing.assert_allclose(ours.confidence, theirs.confidence, atol=0.02)


def test_detections_are_inside_the_picture_typed_and_best_first(exported: Path) -> None:
    image = photograph("bus.jpg")
    found = create_detector(exported, device="cpu", confidence=0.05).detect([image])[0]
    height, width = image.shape[:2]
    assert found.xyxy.dtype == np.float32
    assert (found.xyxy >= 0).all()
    assert (found.xyxy <= [width, height, width, height]).all()
    assert (np.diff(found.confidence) <= 0).all()
    assert (found.class_id == 0).all()


def test_pictures_of_several_sizes_give_what_each_gives_alone(exported: Path) -> None:
    detector = create_detector(exported, device="cpu", confidence=0.25)
    images = [photograph("zidane.jpg"), photograph("bus.jpg"), cv2.resize(photograph("zidane.jpg"), (321, 181))]
    alone = [detector.detect([image])[0] for image in images]
    together = detector.detect(images)
    for one, other in zip(alone, together):
        np.testing.assert_array_equal(one.xyxy, other.xyxy)
    assert detector.detect([]) == []


def test_an_empty_street_gives_empty_arrays(exported: Path) -> None:
    found = create_detector(exported, device="cpu").detect([np.full((120, 160, 3), 90, np.uint8)])[0]
    assert found.xyxy.shape == (0, 4)
    assert found.confidence is not None
    assert found.class_id is not None


def test_an_exported_model_runs_without_ultralytics_or_torch(weights: Path, exported: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from pipeline.detectors import create_detector\n"
        f"d = create_detector({str(weights)!r}, device='cpu')\n"
        "d.detect([np.zeros((480, 640, 3), np.uint8)])\n"
        "assert d.name == 'yolov8n', d.name\n"
        "print([name for name in ('ultralytics', 'torch') if name in sys.modules])\n"
    )
    cache = exported.parents[1]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=root,
        env={"SIDEWALK_CACHE": str(cache), "PATH": "", "PYTHONPATH": str(root)},
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_yolox_finds_the_pedestrians_of_a_street(shared: Path) -> None:
    """Every tenth frame of TUD-Stadtmitte; the whole clip has recall .83 and precision .92."""
    folder = shared / "data" / "mot" / "MOT15" / "TUD-Stadtmitte"
    truth = np.loadtxt(folder / "gt" / "gt.txt", delimiter=",")
    detector = create_detector(shared / "data/detectors/yolox_nano.onnx", device="cpu", confidence=0.3, iou=0.45)
    hits = found = people = 0
    for number in range(1, 180, 10):
        boxes = truth[truth[:, 0] == number, 2:6]
        boxes = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
        detections = detector.detect([cv2.imread(str(folder / "img1" / f"{number:06}.jpg"))])[0]
        overlaps = sv.box_iou_batch(boxes, detections.xyxy) > 0.5
        hits += int(overlaps.any(axis=1).sum())
        found, people = found + len(detections), people + len(boxes)
    assert hits / people > 0.8
    assert hits / found > 0.85


def test_an_int8_graph_with_a_fixed_input_is_letterboxed_into_it(shared: Path) -> None:
    detector = create_detector(shared / "data/detectors/yolo11n_int8_320.onnx", device="cpu", confidence=0.25)
    assert len(detector.detect([photograph("zidane.jpg")])[0]) == 2


def yolo_graph(path: Path, names: str, extra: int = 0) -> Path:
    """A YOLO of two classes, and `extra` outputs, that finds one box of each class in every picture of 64x64."""
    output = np.zeros((1, 6 + extra, 84), np.float32)
    output[0, :4, 0], output[0, :4, 1] = (16, 16, 8, 16), (40, 40, 8, 16)
    output[0, 4, 0] = output[0, 5, 1] = 0.9
    output[0, 6:] = 30.0  # as the pixels of key points are
    return constant_graph(path, output, names)


def constant_graph(path: Path, output: np.ndarray, names: str = "") -> Path:
    """A graph that gives the same for every picture of 64x64."""
    onnx = pytest.importorskip("onnx")
    constant = onnx.numpy_helper.from_array(output, "boxes")
    zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    nodes = [
        onnx.helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        onnx.helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        onnx.helper.make_node("Add", ["boxes", "nothing"], ["output0"]),
    ]
    return save_graph(path, nodes, [constant, zero], (1, 3, 64, 64), output.shape, names)


def nms_free_graph(path: Path) -> Path:
    """A graph with open height and width that gives the best 300 of its cells, and fails where there are fewer."""
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node
    constants = [onnx.numpy_helper.from_array(np.array(value), name) for name, value in
                 {"flat": [1, -1], "best": [300], "last": [2]}.items()]  # fmt: skip
    nodes = [node("ReduceMax", ["images"], ["grey"], axes=[1])]
    for stride in (8, 16, 32):
        nodes += [
            node("MaxPool", ["grey"], [f"pooled{stride}"], kernel_shape=[stride] * 2, strides=[stride] * 2),
            node("Reshape", [f"pooled{stride}", "flat"], [f"cells{stride}"]),
        ]
    nodes += [
        node("Concat", ["cells8", "cells16", "cells32"], ["cells"], axis=1),
        node("TopK", ["cells", "best"], ["scores", "_"], axis=1),
        node("Unsqueeze", ["scores", "last"], ["column"]),
        node("Concat", ["column"] * 6, ["output0"], axis=2),
    ]
    return save_graph(path, nodes, constants, (1, 3, None, None), (1, 300, 6))


def save_graph(
    path: Path,
    nodes: list[Any],
    constants: list[Any],
    images: tuple[int | None, ...],
    output: tuple[int, ...],
    names: str = "",
) -> Path:
    import onnx

    kind, value = onnx.TensorProto.FLOAT, onnx.helper.make_tensor_value_info
    ends = [value("images", kind, images)], [value("output0", kind, output)]
    graph = onnx.helper.make_graph(nodes, "detector", *ends, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.helper.set_model_props(model, {"names": names} if names else {})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("in_pixels", [False, True])
def test_a_yolox_is_read_whether_or_not_its_boxes_were_decoded_by_the_export(tmp_path: Path, in_pixels: bool) -> None:
    output = np.zeros((1, 84, 7), np.float32)
    output[0, :, 2:4] = 20.0 if in_pixels else 0.5
    # Cell (row 3, column 4) of the finest level.
    box = [36, 28, 16, 24] if in_pixels else [0.5, 0.5, np.log(2), np.log(3)]
    output[0, 3 * 8 + 4] = [*box, 0.9, 0.9, 0.1]
    [found] = create_detector(constant_graph(tmp_path / "yolox.onnx", output), device="cpu").detect(
        [np.zeros((64, 64, 3), np.uint8)]
    )
    np.testing.assert_allclose(found.xyxy, [[28, 16, 44, 40]], rtol=1e-5)


def test_boxes_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    output = np.zeros((1, 6, 84), np.float32)
    output[0, :5, :4] = np.array([16, 16, 8, 16, 0.9])[:, None]
    output[0, 0, 1], output[0, 2, 2], output[0, 4, 3] = np.nan, np.inf, np.inf
    detector = create_detector(constant_graph(tmp_path / "custom.onnx", output), device="cpu")
    [found] = detector.detect([np.zeros((64, 64, 3), np.uint8)])
    np.testing.assert_allclose(found.xyxy, [[12, 8, 20, 24]])


@pytest.mark.parametrize("picture", [(48, 64), (7, 320)])
def test_a_nms_free_model_gets_pictures_with_cells_enough(tmp_path: Path, picture: tuple[int, int]) -> None:
    detector = create_detector(nms_free_graph(tmp_path / "custom.onnx"), device="cpu", image_size=64, confidence=0.9)
    [found] = detector.detect([np.zeros((*picture, 3), np.uint8)])
    assert len(found) == 0


@pytest.mark.parametrize(
    ("names", "extra", "left"),
    [
        ("", 0, 12),
        ("{0: 'class0', 1: 'class1'}", 0, 12),
        ("['car', 'person']", 0, 36),
        ("{0: 'person', 1: 'car'}", 0, 12),
        ("{0: 'car', 1: 'Pedestrian'}", 0, 36),
        ("{0: 'person', 1: 'rider'}", 51, 12),
    ],
)
def test_people_are_found_whatever_number_they_have_and_whatever_else_the_model_gives(
    tmp_path: Path, names: str, extra: int, left: float
) -> None:
    detector = create_detector(yolo_graph(tmp_path / "custom.onnx", names, extra), device="cpu", confidence=0.25)
    [found] = detector.detect([np.zeros((64, 64, 3), np.uint8)])
    np.testing.assert_allclose(found.xyxy, [[left, left - 4, left + 8, left + 12]])


def test_nobody_of_a_crowd_is_lost_to_many_boxes_of_the_others() -> None:
    random = np.random.default_rng(0)
    corner = np.stack(np.meshgrid(np.arange(15) * 60, np.arange(10) * 100), -1).reshape(-1, 2)
    people = np.hstack([corner, corner + np.array([40, 80])]).astype(np.float32)
    boxes = np.repeat(people, 12, axis=0) + random.normal(0, 0.5, (1800, 4))
    rows = np.hstack([boxes, random.uniform(0.1, 0.9, (1800, 1))]).astype(np.float32)
    rows = rows[np.argsort(-rows[:, 4])]
    kept = rows[suppressed(rows, 0.7)]
    assert len(kept) == 150
    np.testing.assert_array_equal(kept, rows[sv.box_non_max_suppression(rows, iou_threshold=0.7)])
    assert not len(suppressed(rows[:0], 0.7))


def test_all_classes_of_people_count(tmp_path: Path) -> None:
    path = yolo_graph(tmp_path / "custom.onnx", "{0: 'pedestrian', 1: 'people'}")
    [found] = create_detector(path, device="cpu", confidence=0.25).detect([np.zeros((64, 64, 3), np.uint8)])
    assert len(found) == 2
    assert person_classes({0: "Pedestrian", 1: "car", 2: "people"}, "x") == [0, 2]


def test_one_who_is_of_two_classes_is_one_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = "{0: 'pedestrian', 1: 'people'}"
    detector = create_detector(yolo_graph(tmp_path / "custom.onnx", names), device="cpu", confidence=0.25)
    assert isinstance(detector, OnnxDetector)
    monkeypatch.setattr(detector, "_head", END_TO_END)
    rows = np.array([[10, 10, 40, 60, 0.9, 0], [10, 10, 40, 60, 0.4, 1]], np.float32)
    assert len(detector._read(rows, detector._letterbox((64, 64)))) == 1


def test_exports_see_one_picture_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ultralytics")
    for name, seen in (("a.onnx", [1, 1]), ("a.pt", [2])):
        model = Predictor()
        monkeypatch.setattr("pipeline.detectors.ultralytics._yolo", lambda path, model=model: model)
        UltralyticsDetector(tmp_path / name, device="cpu").detect([np.zeros((64, 64, 3), np.uint8)] * 2)
        assert model.batches == seen


class Predictor:
    """Ultralytics' model, for what is asked of it; finds one good box and two that are no numbers."""

    names: ClassVar = {0: "person"}

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.options: dict[str, Any] = {}

    def predict(self, pictures: list[np.ndarray], **options: Any) -> list[Any]:
        self.batches.append(len(pictures))
        self.options = options
        boxes = SimpleNamespace(conf=np.array([0.5, np.nan, 0.9]), xyxy=np.tile([10.0, 10.0, 20.0, 40.0], (3, 1)))
        boxes.xyxy[2, 3] = np.inf
        boxes.cpu = lambda: SimpleNamespace(numpy=lambda: boxes)
        return [SimpleNamespace(boxes=boxes) for _ in pictures]


@pytest.mark.parametrize(
    ("device", "precision", "bits"), [("cuda:0", "fast", 16), ("cuda:0", "full", None), ("cpu", "fast", None)]
)
def test_weights_run_in_half_precision_on_a_gpu_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, precision: Any, bits: int | None
) -> None:
    from ultralytics.cfg import DEFAULT_CFG_DICT

    model = Predictor()
    monkeypatch.setattr("pipeline.detectors.ultralytics._yolo", lambda path: model)
    monkeypatch.setattr("par_model.runtimes.torch_device", lambda device: device)
    weights = tmp_path / "a.pt"
    weights.touch()
    detector = create_detector(weights, backend="ultralytics", device=device, precision=precision)
    [found] = detector.detect([np.zeros((64, 64, 3), np.uint8)])
    assert model.options["quantize"] == bits
    assert model.options.keys() <= DEFAULT_CFG_DICT.keys() | {"source"}
    np.testing.assert_allclose(found.xyxy, [[10, 10, 20, 40]])


def test_a_model_that_knows_no_people_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SidewalkError, match=r"custom\.onnx: knows no class 'person', only helmet, vest"):
        create_detector(yolo_graph(tmp_path / "custom.onnx", "{0: 'helmet', 1: 'vest'}"), device="cpu")


def test_a_nms_free_head_is_read_as_it_is() -> None:
    assert recognise(np.zeros((1, 300, 6)), (480, 640)) is END_TO_END
    rows = np.array([[10, 20, 30, 80, 0.9, 0], [5, 5, 9, 9, 0.8, 2], [1, 1, 2, 2, 0.05, 0]], np.float32)
    np.testing.assert_allclose(END_TO_END.decode(rows, (480, 640), [0], 0.1), [[10, 20, 30, 80, 0.9]])


def test_heads_are_told_apart_by_what_they_give() -> None:
    assert recognise(np.zeros((1, 84, 6300)), (480, 640)) is YOLO
    assert recognise(np.zeros((1, 5, 8400)), (640, 640)) is YOLO
    assert recognise(np.zeros((1, 3549, 85)), (416, 416)) is YOLOX
    assert recognise(np.full((1, 3549, 85), 30.0), (416, 416)) is YOLOX_PIXELS
    for shape in [(1, 25200, 85), (1, 1000), (1, 84, 100)]:
        with pytest.raises(SidewalkError, match="none of YOLOv8/11"):
            recognise(np.zeros(shape), (640, 640))


def test_a_cell_of_yolox_is_decoded_from_its_place_and_stride() -> None:
    """Cell (row 1, column 2) of the stride-16 level of a 64x64 input, after 64 cells of stride 8."""
    output = np.zeros((84, 85), np.float32)
    output[64 + 4 + 2, :6] = [0.5, 0.25, np.log(2), np.log(3), 0.8, 0.5]
    boxes = YOLOX.decode(output, (64, 64), [0], 0.1)
    centre, half = np.array([2.5 * 16, 1.25 * 16]), np.array([16, 24])
    np.testing.assert_allclose(boxes, [[*(centre - half), *(centre + half), 0.4]], rtol=1e-5)


@pytest.mark.parametrize(
    ("picture", "size"), [((360, 480), (480, 640)), ((1080, 1920), (384, 640)), ((1080, 810), (640, 480))]
)
def test_the_input_is_the_smallest_rectangle_of_whole_strides(picture: tuple[int, int], size: tuple[int, int]) -> None:
    assert Letterbox.rectangle(picture, 640).input == size


@pytest.mark.parametrize("picture", [(360, 480), (333, 517), (2160, 3840), (7, 900)])
@pytest.mark.parametrize("centred", [True, False])
def test_boxes_come_back_to_where_they_were(picture: tuple[int, int], centred: bool) -> None:
    box = Letterbox.fit(picture, (416, 640), centred)
    height, width = picture
    corners = np.array([[0, 0, width, height], [width / 4, height / 4, width / 2, height / 2]], np.float32)
    factor = np.array([box.scaled[1] / width, box.scaled[0] / height] * 2)
    there = corners * factor + np.array([*box.offset, *box.offset])
    np.testing.assert_allclose(box.to_picture(there.astype(np.float32)), corners, atol=1e-2)
    image = np.zeros((*picture, 3), np.uint8)
    assert box.tensor(image, rgb=True, scale=1 / 255).shape == (1, 3, 416, 640)


def test_what_is_no_detector_is_named(shared: Path, tmp_path: Path) -> None:
    text = tmp_path / "model.onnx"
    text.write_text("hello")
    with pytest.raises(SidewalkError, match=r"model\.onnx: not an ONNX graph"):
        create_detector(text)
    pickle = tmp_path / "model.pt"
    pickle.write_bytes(b"not a checkpoint")
    with pytest.raises(SidewalkError, match=r"model\.pt: not a model that ultralytics can load") as caught:
        create_detector(pickle, backend="ultralytics", device="cpu")
    assert "\n" not in str(caught.value)
    with pytest.raises(SidewalkError, match="detector models are"):
        create_detector(shared / "data" / "README.md")


@pytest.mark.skipif(cuda_devices() > 0, reason="this machine has a GPU")
@pytest.mark.parametrize("backend", ["auto", "ultralytics", "onnxruntime", "tensorrt"])
def test_a_gpu_that_is_not_there_is_refused(
    weights: Path, exported: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIDEWALK_CACHE", str(exported.parents[1]))
    for model in (weights, exported):
        with pytest.raises(SidewalkError, match="cannot be had"):
            create_detector(model, device="cuda", backend=backend)
