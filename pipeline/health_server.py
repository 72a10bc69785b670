"""/metrics, /healthz and /readyz on localhost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.memory import resident_bytes
from pipeline.sources.supervisor import CameraState, Health
from pipeline.telemetry import Telemetry, create_registry, fails
from pipeline.types import SidewalkError

STUCK_SECONDS = 10.0
"""The engine's loop comes round several times a second; this long without is not healthy."""


class HealthServer:
    """Answers on 127.0.0.1 in a thread of its own. Raises SidewalkError where the port is taken.

    /healthz: 200 while the engine runs, with every camera's state and reason, 503 once it is stuck; a camera
    that is away makes it "degraded", not dead, as does recognition or an output that fails: restarting the program
    would not bring it back.
    /readyz: 200 once at least one camera is live.
    """

    def __init__(self, port: int, telemetry: Telemetry, healths: Callable[[], Mapping[str, Health]]) -> None:
        registry = create_registry(telemetry, healths)

        def metrics() -> tuple[int, str, bytes]:
            from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

            return 200, CONTENT_TYPE_LATEST, generate_latest(registry)

        def health() -> tuple[int, str, bytes]:
            report = health_report(telemetry, healths())
            return 503 if report["status"] == "stuck" else 200, "application/json", _json(report)

        def ready() -> tuple[int, str, bytes]:
            states = {name: str(camera.state) for name, camera in healths().items()}
            live = CameraState.LIVE in states.values()
            return 200 if live else 503, "application/json", _json({"ready": live, "cameras": states})

        pages = {"/metrics": metrics, "/healthz": health, "/readyz": ready}

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = pages.get(self.path.split("?")[0])
                if page is None:
                    self.send_error(404, "there are /metrics, /healthz and /readyz")
                    return
                status, kind, body = page()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """A scrape every few seconds is no news."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Page)
        except OSError as error:
            raise SidewalkError(
                f"live.metrics_port {port}: {error.strerror}; choose another, or 0 for any free one"
            ) from None
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def health_report(telemetry: Telemetry, healths: Mapping[str, Health]) -> dict[str, Any]:
    """The run's health as plain data, without addresses."""
    away = [name for name, camera in healths.items() if camera.state is not CameraState.LIVE]
    failing = [f"{camera}/{sink}" for (camera, sink), counts in list(telemetry.sinks.items()) if fails(counts)]
    stuck = time.monotonic() - telemetry.last_tick > STUCK_SECONDS
    return {
        "status": "stuck" if stuck else "degraded" if away or failing or telemetry.recognition_fails else "ok",
        "seconds": round(time.monotonic() - telemetry.started, 1),
        "load_level": telemetry.load_level,
        "resident_mb": round(resident_bytes() / 1e6, 1),
        "cameras": {
            name: {
                "state": str(camera.state),
                "reason": camera.reason,
                "message": camera.message,
                "since": round(camera.since, 3),
                "reconnects": camera.reconnects,
            }
            for name, camera in healths.items()
        },
        "recognition": "failing" if telemetry.recognition_fails else "ok",
        "failing_sinks": failing,
        "sinks": {f"{camera}/{sink}": dict(counts) for (camera, sink), counts in list(telemetry.sinks.items())},
    }


def _json(tree: Any) -> bytes:
    return (json.dumps(tree, indent=2) + "\n").encode()
