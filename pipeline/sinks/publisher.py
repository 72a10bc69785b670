"""The process that publishes one camera's overlay: `python -m pipeline.sinks.publisher`, pictures on standard input.

A process of its own because FFmpeg's RTSP muxer has no time limits: one that hangs on a server is ended from
outside. Input: a line of JSON (url, width, height, rate, bitrate), then for each picture eight bytes of capture
time (double) and its BGR bytes. Output: a line `open` once the server has accepted; where it fails, the reason,
one line on standard error.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import BinaryIO

import numpy as np

from pipeline.signals import leave_ending_to_the_program
from pipeline.sinks.segments import H264Writer
from pipeline.sources.failures import explain

TIME = struct.Struct("<d")


def publish(source: BinaryIO) -> None:
    """Encode and send what comes until the input ends. Raises what PyAV raises."""
    order = json.loads(source.readline())
    width, height, rate = order["width"], order["height"], order["rate"]
    writer = H264Writer(
        order["url"],
        "rtsp",
        width,
        height,
        rate,
        encoder={
            "preset": "veryfast",
            "tune": "zerolatency",
            "profile": "baseline",
            "b": str(order["bitrate"]),
            "maxrate": str(order["bitrate"]),
            "bufsize": str(order["bitrate"] // 2),
        },
        options={"rtsp_transport": "tcp", "timeout": "5000000"},
    )
    size = width * height * 3
    try:
        writer.open()
        print("open", flush=True)
        while True:
            head = source.read(TIME.size)
            pixels = source.read(size) if len(head) == TIME.size else b""
            if len(pixels) < size:
                return
            writer.write(np.frombuffer(pixels, np.uint8).reshape(height, width, 3), TIME.unpack(head)[0])
    finally:
        writer.close()


def main() -> None:
    leave_ending_to_the_program()
    try:
        publish(sys.stdin.buffer)
    except Exception as error:  # FFmpeg's own texts repeat the address, with the password in it
        print(explain(error).message, file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
