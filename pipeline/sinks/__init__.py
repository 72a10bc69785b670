"""Sinks: where results go."""

from __future__ import annotations

from pipeline.sinks.base import Sink
from pipeline.sinks.jsonl import JsonlSink
from pipeline.sinks.mot import MotSink
from pipeline.sinks.tracks import TrackLinesSink, TracksSink
from pipeline.sinks.video import VideoSink

__all__ = ["JsonlSink", "MotSink", "Sink", "TrackLinesSink", "TracksSink", "VideoSink"]
