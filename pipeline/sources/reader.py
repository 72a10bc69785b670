"""The reader process of one camera: `python -m pipeline.sources.reader` opens, decodes and hands pictures over.

A process of its own, because a decoder that hangs or crashes in C can then be ended from outside, and leaves
nothing behind. It decodes everything a camera sends, so that the camera's buffers stay empty, and turns into
BGR only what the program asks for: the newest picture at that moment.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from pipeline.signals import leave_ending_to_the_program
from pipeline.sources.adjusted import RateLimit
from pipeline.sources.clock import CaptureClock, wall_clock
from pipeline.sources.damage import DamageLog, KeyFrameGate, watch_decoder_log
from pipeline.sources.failures import Failure, explain, failure, resolve
from pipeline.sources.handover import Beat, Counts, Failed, Open, Opened, ReaderOptions, SharedPicture, Want
from pipeline.sources.outbox import Decoded, Outbox
from pipeline.sources.url import is_rtsp

if TYPE_CHECKING:
    import av

BEAT_SECONDS = 0.5
LEFTOVER_SECONDS = 0.5
"""When a connection ends, frames that wait are kept for so long."""
AT_ONCE_SECONDS = 0.002
"""A packet that was there within this time had been waiting."""
UNTIMED = {"mpjpeg", "mjpeg", "h264", "hevc"}
"""Formats without time stamps: FFmpeg counts frames, 25 a second."""


class Reader:
    """Runs one connection after another, as the program asks."""

    def __init__(self, connection: Connection, picture: SharedPicture, damage: DamageLog) -> None:
        self._connection = connection
        self._outbox = Outbox(connection, picture)
        self._damage = damage
        self._orders: deque[Open] = deque()
        self._ordered = threading.Event()
        self._stage = ("idle", time.monotonic())
        self._received = 0
        self._clock = CaptureClock()
        self._timed = True
        self._lossy_start = False
        self._late = 0.0

    def serve(self) -> None:
        """Never returns: the process ends when the program hangs up."""
        threading.Thread(target=self._answer, name="postman", daemon=True).start()
        while True:
            self._enter("idle")
            self._ordered.wait()
            self._ordered.clear()
            while self._orders:
                order = self._orders.popleft()
                ended = self._session(order)
                self._outbox.end(LEFTOVER_SECONDS)
                self._outbox.send(Failed(ended.reason, ended.message, self._counts()))

    def _answer(self) -> None:
        last_beat = 0.0
        try:
            while True:
                if self._connection.poll(BEAT_SECONDS / 2):
                    message = self._connection.recv()
                    if isinstance(message, Want):
                        self._outbox.want(message.serial)
                    elif isinstance(message, Open):
                        self._orders.append(message)
                        self._ordered.set()
                if time.monotonic() - last_beat >= BEAT_SECONDS:
                    last_beat = time.monotonic()
                    self._beat()
        except (EOFError, OSError):
            os._exit(0)

    def _waited(self) -> float:
        """Seconds for which the camera has been waited for in the present call."""
        stage, since = self._stage
        return time.monotonic() - since if stage in ("opening", "reading") else 0.0

    def _beat(self) -> None:
        # Read first: the counts may be the next connection's by the time they are put together, but not the other way.
        number = self._outbox.number
        stage, since = self._stage
        self._outbox.send(Beat(stage, time.monotonic() - since, self._counts()), number)

    def _enter(self, stage: str) -> None:
        self._stage = (stage, time.monotonic())

    def _counts(self) -> Counts:
        return Counts(self._received, dict(self._outbox.dropped), self._clock.repairs)

    def _session(self, order: Open) -> Failure:
        options = order.options
        self._received, self._late = 0, 0.0
        self._clock = CaptureClock(order.not_before)
        self._outbox.begin(order.connection, options)
        opened = False
        limit, waited = options.open_timeout, 0.0
        try:
            self._enter("resolving")
            resolve(options.url)
            self._enter("opening")
            losses = self._damage.losses
            container = open_stream(options)
            self._lossy_start = self._damage.losses != losses
            opened = True
            limit = options.read_timeout
            try:
                self._read(container, options)
            finally:
                waited = self._waited()
                self._enter("closing")
                container.close()
        except Exception as error:  # whatever it is, it ends this connection and not the process
            # FFmpeg calls an answer that never came invalid data; only the clock tells the difference.
            if (waited if opened else self._waited()) > 0.9 * limit:
                return failure("no_data" if opened else "timeout")
            return explain(error)
        return failure("closed")

    def _read(self, container: av.container.InputContainer, options: ReaderOptions) -> None:
        import av

        if not container.streams.video:
            raise av.error.DecoderNotFoundError(0, "no video stream")
        self._timed = container.format.name not in UNTIMED
        stream = container.streams.video[0]
        codec = stream.codec_context
        codec.thread_count = 1
        rate = stream.average_rate or stream.guessed_rate
        self._outbox.send(Opened(codec.name, codec.width or 0, codec.height or 0, rate and Fraction(rate)))
        gate = KeyFrameGate()
        announced = False
        limit = RateLimit(options.fps)
        for packet, arrival, damage_before in self._packets(container, stream, options):
            try:
                frames = packet.decode()
                broken = packet.is_corrupt
            except ValueError:
                # FFmpeg's InvalidDataError: this picture is lost, the stream is not.
                frames, broken = [], True
            gate.packet(packet.is_keyframe, broken or self._damage.events != damage_before)
            for frame in frames:
                number = self._received
                self._received += 1
                pts = _seconds(frame.pts, frame.time_base) if self._timed else None
                captured = self._clock.stamp(pts, arrival)
                if not gate.passes(bool(frame.key_frame), frame.is_corrupt):
                    self._outbox.dropped["corrupt"] += 1
                elif not limit.passes(captured):
                    self._outbox.dropped["rate"] += 1
                else:
                    self._enter("delivering")
                    self._outbox.put(
                        Decoded(number, captured, frame, codec.name, self._late, stream.sample_aspect_ratio)
                    )
                    if not announced:
                        announced = True
                        self._beat()

    def _packets(
        self, container: av.container.InputContainer, stream: av.VideoStream, options: ReaderOptions
    ) -> Iterator[tuple[av.Packet[av.VideoStream], float, int]]:
        """Packets to decode, with their arrival (epoch seconds) and the signs of damage seen before each.

        A decoder that is behind gets key frames only.
        """
        # FFmpeg's parser gives an RTP picture out when the first bytes of the next one come.
        held_back = is_rtsp(options.url) and stream.codec_context.name in ("h264", "hevc")
        previous: float | None = None
        catching_up = False
        packets = container.demux(stream)
        while True:
            self._enter("reading")
            damage_before = self._damage.events
            asked = time.monotonic()
            packet = next(packets, None)
            if packet is None:
                return
            if packet.size == 0:
                # The end: the decoder gives out what it held back.
                yield packet, wall_clock(options.epoch), damage_before
                continue
            waited = time.monotonic() - asked
            came = wall_clock(options.epoch)
            arrival = previous if held_back and previous is not None else came
            previous = came
            pts = _seconds(packet.pts, packet.time_base) if self._timed else None
            lag = self._clock.lag(pts, arrival)
            at_once = waited < AT_ONCE_SECONDS
            # What had to be waited for is late by the network's fault; what lay there, perhaps by ours, and not by
            # more of the network's than it is late at all.
            self._late = min(self._late, lag) if at_once else lag
            # What was read to find out about the stream comes at once, and where losses fell in it is not known.
            self._lossy_start = self._lossy_start and at_once
            self._clock.watch(lag, came, waited_for=not at_once)
            if catching_up and packet.is_keyframe and (lag < options.max_lag / 3 or not at_once):
                catching_up = False
            elif lag > options.max_lag and at_once and options.policy == "newest":
                catching_up = True
            if catching_up and not packet.is_keyframe:
                self._received += 1
                self._outbox.dropped["decoder_behind"] += 1
                continue
            self._enter("decoding")
            yield packet, arrival, damage_before - self._lossy_start


def _seconds(pts: int | None, time_base: Fraction | None) -> float | None:
    return None if pts is None or time_base is None else float(pts * time_base)


def open_stream(options: ReaderOptions) -> av.container.InputContainer:
    """Open a network stream with time limits that hold, for little delay, or a webcam."""
    import av

    if options.url.startswith("webcam:"):
        from pipeline.sources.webcam import open_webcam, webcam_number

        return open_webcam(webcam_number(options.url))

    settings = {"analyzeduration": "500000", "fpsprobesize": "0", "max_delay": "200000"}
    if is_rtsp(options.url):
        settings["rtsp_transport"] = options.transport
        # Sound would only keep a camera without pictures looking alive.
        settings["allowed_media_types"] = "video"
    return av.open(options.url, options=settings, timeout=(options.open_timeout, options.read_timeout))


def main() -> None:
    """Serve on the inherited descriptors named on the command line: the pipe's, then the shared memory's."""
    leave_ending_to_the_program()
    pipe, memory = (int(argument) for argument in sys.argv[1:3])
    Reader(Connection(pipe), SharedPicture(memory), watch_decoder_log()).serve()


if __name__ == "__main__":
    main()
