#!/usr/bin/python3
"""A camera made of a file or a test pattern: a real RTSP server on loopback, with faults on command.

Needs GStreamer's RTSP server and its Python bindings (tests/faults/setup_system.sh installs Debian's
packages), which live in the system's Python: started from another one, the script runs itself again there.

    tools/fake_camera.py --source people.mp4 --size 640x360 --fps 10 --cameras 4
    rtsp://127.0.0.1:8554/cam0 ... /cam3

Commands, one a line on standard input (CAMERA is cam0, cam1, ... or `all`):

    stall CAMERA           send no more pictures, keep the connection    resume CAMERA
    kick CAMERA            close the clients' connections
    size CAMERA 320x240    another picture size for whoever connects next (and kicks those connected)
    jump CAMERA SECONDS    the time stamps leap forward, or back by no more than that
    loss CAMERA FRACTION   lose this share of the RTP packets
    quit

The capture time is painted into the top and the bottom of every picture as black and white blocks;
`read_stamp` reads it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import threading
import time
import warnings
from typing import Any

SYSTEM_PYTHON = "/usr/bin/python3"
STAMP_BITS = 36
CHECK_BITS = 8
STAMP_ROWS = 16
BLACK, WHITE, GREY = 16, 235, 128


def stamp_bits(milliseconds: int) -> list[int]:
    """The blocks that stand for a time: 36 bits of epoch milliseconds, then 8 check bits."""
    value = milliseconds % (1 << STAMP_BITS)
    check = (value * 2654435761 >> 7) & ((1 << CHECK_BITS) - 1)
    word = value << CHECK_BITS | check
    count = STAMP_BITS + CHECK_BITS
    return [word >> (count - 1 - position) & 1 for position in range(count)]


def read_stamp(image: Any, bottom: bool = False) -> float | None:
    """The capture time, in epoch seconds, painted into a picture; None where it cannot be read.

    image: array (H, W) or (H, W, 3); bottom: read the strip at the lower edge and not the one at the upper.
    """
    count = STAMP_BITS + CHECK_BITS
    width = image.shape[1]
    block = width // count
    row = image[image.shape[0] - STAMP_ROWS // 2 if bottom else STAMP_ROWS // 2]
    bits = []
    for position in range(count):
        pixel = row[position * block + block // 2]
        bits.append(int((int(pixel) if image.ndim == 2 else int(pixel[1])) > 127))
    word = int("".join(map(str, bits)), 2)
    value = word >> CHECK_BITS
    if stamp_bits(value) != bits:
        return None
    now = int(time.time() * 1000)
    behind = (now - value) % (1 << STAMP_BITS)
    if behind > 1 << (STAMP_BITS - 1):
        behind -= 1 << STAMP_BITS
    return (now - behind) / 1000


def stamp_rows(width: int, milliseconds: int) -> bytes:
    """The strip as luma rows, STAMP_ROWS x width."""
    block = width // (STAMP_BITS + CHECK_BITS)
    row = b"".join(bytes([WHITE if bit else BLACK]) * block for bit in stamp_bits(milliseconds))
    return (row + bytes([BLACK]) * (width - len(row))) * STAMP_ROWS


def stamped(picture: bytes, width: int, height: int, milliseconds: int) -> bytes:
    """An I420 picture with the strip along its top and its bottom: where they differ, it is torn."""
    strip = stamp_rows(width, milliseconds)
    grey = bytes([GREY]) * (len(strip) // 4)
    planes, start = [], 0
    for size, edge in ((width * height, strip), (width * height // 4, grey), (width * height // 4, grey)):
        planes += [edge, picture[start + len(edge) : start + size - len(edge)], edge]
        start += size
    return b"".join(planes)


def parse_size(text: str) -> tuple[int, int]:
    """`640x360` as width and height, both multiples of eight."""
    width, _, height = text.lower().partition("x")
    size = int(width), int(height)
    if size[0] % 8 or size[1] % 8 or size[0] < 320:
        raise argparse.ArgumentTypeError(f"size {text}: both sides must be multiples of 8, the width at least 320")
    return size


class Feed(threading.Thread):
    """Makes one camera's pictures in real time and pushes them into whichever media is being served."""

    def __init__(self, gst: Any, name: str, options: argparse.Namespace) -> None:
        super().__init__(name=name, daemon=True)
        self.gst = gst
        self.camera = name
        self.options = options
        self.size: tuple[int, int] = options.size
        self.appsrc: Any = None
        self.media: Any = None
        self.loss_element: Any = None
        self.loss = options.loss
        self.stalled = False
        self.jump = 0.0
        self.pictures: Any = None

    def _open_pictures(self) -> Any:
        width, height = self.size
        if self.options.source == "pattern":
            head = "videotestsrc pattern=zone-plate kx2=12 ky2=12 kt=2"
        else:
            path = os.path.abspath(self.options.source)
            head = f'filesrc location="{path}" ! decodebin ! videoconvert ! videoscale add-borders=false ! videorate'
        pipeline = self.gst.parse_launch(
            f"{head} ! video/x-raw,format=I420,width={width},height={height},framerate={self.options.fps}/1 "
            "! appsink name=out sync=false max-buffers=2"
        )
        pipeline.set_state(self.gst.State.PLAYING)
        return pipeline

    def resize(self, size: tuple[int, int]) -> None:
        self.appsrc = None
        self.size = size
        if self.pictures is not None:
            self.pictures.set_state(self.gst.State.NULL)
        self.pictures = None

    def watch_payloader(self, payloader: Any) -> None:
        """Let `jump` shift the RTP time stamps and them alone: the shift is undone behind the payloader."""

        shifted = 0

        def shift(sign: int) -> Any:
            def probe(_pad: Any, info: Any) -> Any:
                nonlocal shifted
                if sign > 0:  # what goes in is looked up, what comes out undoes the same: `jump` may change between
                    shifted = int(self.jump * self.gst.SECOND)
                offset = sign * shifted
                if offset and info.type & self.gst.PadProbeType.BUFFER_LIST:
                    packets = info.get_buffer_list()
                    for position in range(packets.length()):
                        packets.get(position).pts += offset
                elif offset:
                    info.get_buffer().pts += offset
                return self.gst.PadProbeReturn.OK

            return probe

        kinds = self.gst.PadProbeType.BUFFER | self.gst.PadProbeType.BUFFER_LIST
        payloader.get_static_pad("sink").add_probe(kinds, shift(1))
        payloader.get_static_pad("src").add_probe(kinds, shift(-1))

    def _next_picture(self) -> bytes:
        if self.pictures is None:
            self.pictures = self._open_pictures()
        sink = self.pictures.get_by_name("out")
        for _ in range(2):
            sample = sink.emit("try-pull-sample", 5 * self.gst.SECOND)
            if sample is not None:
                buffer = sample.get_buffer()
                return bytes(buffer.extract_dup(0, buffer.get_size()))
            # The end of the file: start over.
            self.pictures.set_state(self.gst.State.NULL)
            self.pictures = self._open_pictures()
            sink = self.pictures.get_by_name("out")
        # Raised in a thread, an exception would end the pictures and not the server.
        print(f"{self.options.source}: cannot be decoded", file=sys.stderr, flush=True)
        os._exit(1)

    def run(self) -> None:
        period = 1.0 / self.options.fps
        due = time.monotonic()
        while True:
            due = max(due + period, time.monotonic() - 1.0)
            time.sleep(max(0.0, due - time.monotonic()))
            appsrc = self.appsrc
            if appsrc is None or self.stalled:
                continue
            self._push(appsrc)

    def _push(self, appsrc: Any) -> None:
        width, height = self.size
        picture = self._next_picture()
        if (width, height) != self.size:
            return
        if self.options.stamp:
            picture = stamped(picture, width, height, int(time.time() * 1000))
        clock = appsrc.get_clock()
        if clock is None:
            return
        buffer = self.gst.Buffer.new_wrapped(picture)
        running = clock.get_time() - appsrc.get_base_time()
        buffer.pts = running
        buffer.duration = int(self.gst.SECOND / self.options.fps)
        appsrc.emit("push-buffer", buffer)


class FakeCamera:
    """The RTSP server with its feeds."""

    def __init__(self, options: argparse.Namespace) -> None:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        from gi.repository import GLib, Gst, GstRtspServer

        # GstRtspServer asks the last element for a payload type before it looks at the caps.
        warnings.filterwarnings("ignore", message=".*no property named 'pt'")
        Gst.init(None)
        self.gst, self.glib, self.rtsp = Gst, GLib, GstRtspServer
        self.options = options
        self.loop = GLib.MainLoop()
        self.server = GstRtspServer.RTSPServer()
        self.server.set_address("127.0.0.1")
        self.server.set_service(str(options.port))
        if options.user:
            self._require_password(options.user, options.password)
        self.feeds = {f"cam{index}": Feed(Gst, f"cam{index}", options) for index in range(options.cameras)}
        mounts = self.server.get_mount_points()
        for feed in self.feeds.values():
            mounts.add_factory(f"/{feed.camera}", self._factory(feed))
        if options.record:
            mounts.add_factory("/publish", self._recording_factory())
        if self.server.attach(None) == 0:
            raise SystemExit(f"port {options.port} is taken; choose another with --port")
        self.port = self.server.get_bound_port()
        # Sessions of clients that vanished are dropped, and with them their share of the media.
        GLib.timeout_add_seconds(2, self._drop_dead_sessions)

    def _drop_dead_sessions(self) -> bool:
        self.server.get_session_pool().cleanup()
        return True

    def _require_password(self, user: str, password: str) -> None:
        rtsp = self.rtsp
        auth = rtsp.RTSPAuth()
        token = rtsp.RTSPToken()
        token.set_string(rtsp.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
        auth.add_basic(rtsp.RTSPAuth.make_basic(user, password), token)
        self.server.set_auth(auth)

    def _permit(self, factory: Any) -> None:
        if self.options.user:
            permissions = self.rtsp.RTSPPermissions()
            permissions.add_permission_for_role("viewer", self.rtsp.RTSP_PERM_MEDIA_FACTORY_ACCESS, True)
            permissions.add_permission_for_role("viewer", self.rtsp.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, True)
            factory.set_permissions(permissions)

    def _factory(self, feed: Feed) -> Any:
        factory = self.rtsp.RTSPMediaFactory()
        factory.set_launch(self._launch(feed))
        factory.set_shared(True)
        factory.set_latency(0)
        self._permit(factory)
        factory.connect("media-configure", self._configure, feed)
        return factory

    def _launch(self, feed: Feed) -> str:
        width, height = feed.size
        fps, gop, rate = self.options.fps, self.options.gop, self.options.bitrate
        raw = f"video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"
        encoders = {
            "h264": f"x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max={gop} bitrate={rate} "
            "! video/x-h264,profile=baseline ! rtph264pay config-interval=-1 mtu=1200 pt=96 name=pay",
            "h265": f"x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate={rate} "
            'option-string="pools=1:frame-threads=1:repeat-headers=1:log-level=none" '
            "! h265parse config-interval=-1 ! rtph265pay config-interval=-1 mtu=1200 pt=96 name=pay",
        }
        return (
            f"( appsrc name=pictures is-live=true format=time block=false max-buffers=4 leaky-type=downstream "
            f"caps={raw} ! {encoders[self.options.codec]} "
            "! identity name=pay0 drop-probability=0 )"
        )

    def _configure(self, _factory: Any, media: Any, feed: Feed) -> None:
        element = media.get_element()
        feed.media = media
        appsrc = element.get_by_name("pictures")
        feed.watch_payloader(element.get_by_name("pay"))
        feed.loss_element = element.get_by_name("pay0")
        feed.loss_element.set_property("drop-probability", feed.loss)
        feed.jump = 0.0
        feed.appsrc = appsrc

        def gone(_media: Any) -> None:
            if feed.appsrc is appsrc:
                feed.appsrc = None

        media.connect("unprepared", gone)

    def _recording_factory(self) -> Any:
        factory = self.rtsp.RTSPMediaFactory()
        factory.set_transport_mode(self.rtsp.RTSPTransportMode.RECORD)
        target = (
            "matroskamux streamable=true ! filesink sync=false async=false buffer-mode=unbuffered "
            f'location="{self.options.record}"'
            if self.options.record != "-"
            else "fakesink async=false"
        )
        factory.set_launch(f"( rtph264depay name=depay0 ! h264parse ! {target} )")
        factory.set_latency(0)
        self._permit(factory)
        return factory

    def command(self, line: str) -> None:
        """Carry out one line of the control language; an unknown one is reported and ignored."""
        words = line.split()
        if not words:
            return
        if words[0] == "quit":
            self.loop.quit()
            return
        targets = list(self.feeds.values()) if words[1:2] == ["all"] else [self.feeds[words[1]]]
        for feed in targets:
            match words[0], words[2:]:
                case "stall", []:
                    feed.stalled = True
                case "resume", []:
                    feed.stalled = False
                case "kick", []:
                    self._kick(feed)
                case "size", [size]:
                    feed.resize(parse_size(size))
                    self.server.get_mount_points().add_factory(f"/{feed.camera}", self._factory(feed))
                    self._kick(feed)
                case "jump", [seconds]:
                    feed.jump += float(seconds)
                case "loss", [fraction]:
                    feed.loss = float(fraction)
                    if feed.loss_element is not None:
                        feed.loss_element.set_property("drop-probability", feed.loss)
                case _:
                    raise ValueError(line)
        print(json.dumps({"done": line.strip()}), flush=True)

    def _kick(self, feed: Feed) -> None:
        def choose(_server: Any, client: Any) -> Any:
            watched = [media.get_media() for session in client.session_filter(None) for media in session.filter(None)]
            ours = feed.media in watched or len(self.feeds) == 1
            return self.rtsp.RTSPFilterResult.REMOVE if ours else self.rtsp.RTSPFilterResult.KEEP

        self.server.client_filter(choose)

    def _listen(self) -> None:
        for line in sys.stdin:
            self.glib.idle_add(self._try_command, line)

    def _try_command(self, line: str) -> bool:
        try:
            self.command(line)
        except (ValueError, KeyError, IndexError, argparse.ArgumentTypeError) as error:
            print(json.dumps({"error": f"{line.strip()}: {error}"}), flush=True)
        return False

    def serve(self) -> None:
        for feed in self.feeds.values():
            feed.start()
        for number in (signal.SIGINT, signal.SIGTERM):
            self.glib.unix_signal_add(self.glib.PRIORITY_HIGH, number, self.loop.quit)
        if self.options.duration:
            self.glib.timeout_add(int(self.options.duration * 1000), self.loop.quit)
        threading.Thread(target=self._listen, daemon=True).start()
        urls = [f"rtsp://127.0.0.1:{self.port}/{name}" for name in self.feeds]
        print(json.dumps({"ready": True, "port": self.port, "urls": urls}), flush=True)
        self.loop.run()
        os._exit(0)


def serve_silence(port: int, duration: float | None) -> None:
    """Accept connections and never answer: what a hung camera looks like."""
    with socket.create_server(("127.0.0.1", port)) as server:
        print(json.dumps({"ready": True, "port": server.getsockname()[1], "urls": []}), flush=True)
        held = []
        end = time.monotonic() + (duration or 86400.0)
        server.settimeout(0.5)
        while time.monotonic() < end:
            try:
                held.append(server.accept()[0])
            except TimeoutError:
                continue


def source(text: str) -> str:
    if text != "pattern" and not os.path.isfile(text):
        raise argparse.ArgumentTypeError(f"{text}: no such file")
    return text


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=source, default="pattern", help="a video file, or `pattern`")
    parser.add_argument("--size", type=parse_size, default=(640, 360), help="picture size, 640x360")
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--codec", choices=("h264", "h265"), default="h264")
    parser.add_argument("--gop", type=int, default=10, help="pictures between two key frames")
    parser.add_argument("--bitrate", type=int, default=800, help="kbit/s")
    parser.add_argument("--port", type=int, default=8554, help="0 takes a free one")
    parser.add_argument("--cameras", type=int, default=1, choices=range(1, 17), metavar="N")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--loss", type=float, default=0.0, help="share of RTP packets to lose")
    parser.add_argument("--no-stamp", dest="stamp", action="store_false", help="leave the capture time out")
    parser.add_argument("--record", metavar="FILE", help="accept a published stream at /publish; `-` discards it")
    parser.add_argument("--silent", action="store_true", help="accept connections and say nothing")
    parser.add_argument("--duration", type=float, help="seconds after which to stop")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    if options.silent:
        serve_silence(options.port, options.duration)
        return
    try:
        import gi  # noqa: F401
    except ImportError:
        # In an environment made by the system's Python the executables are one file, but not the packages.
        in_an_environment = sys.prefix != sys.base_prefix
        same = os.path.realpath(sys.executable) == os.path.realpath(SYSTEM_PYTHON)
        if not os.path.exists(SYSTEM_PYTHON) or (same and not in_an_environment):
            sys.exit("the RTSP server is not installed; run tests/faults/setup_system.sh")
        os.execv(SYSTEM_PYTHON, [SYSTEM_PYTHON, os.path.abspath(__file__), *sys.argv[1:]])
    FakeCamera(options).serve()


if __name__ == "__main__":
    main()
