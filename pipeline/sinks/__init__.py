"""Sinks: where results go."""

from __future__ import annotations

from pipeline.sinks.base import Sink
from pipeline.sinks.jsonl import JsonlSink
from pipeline.sinks.mot import MotSink
from pipeline.sinks.output import prepare_output, remove_earlier
from pipeline.sinks.tracks import TracksSink
from pipeline.sinks.video import VideoSink

__all__ = ["JsonlSink", "MotSink", "Sink", "TracksSink", "VideoSink", "prepare_output", "remove_earlier"]
