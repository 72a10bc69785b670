"""Keeping smeared and green pictures from the models: frames are held back from damage to the next whole key frame."""

from __future__ import annotations

import logging
import re

LOSS = "RTP: missed"
DAMAGE = re.compile(
    rf"{LOSS}|concealing|error while decoding|corrupt|[Mm]issing (reference|ref)|Could not find ref"
    r"|no frame!|non-existing|reference (picture )?(missing|frame)|Error (constructing|parsing|splitting)"
    r"|out of range|Invalid (NAL|level|data)|decode_slice_header|mmco: unref|PPS id|cabac|co located|First slice"
    r"|undecodable NALU(?!: (39|40))"
)
"""What FFmpeg says when a packet was lost or a picture does not decode cleanly: the frames carry no such flag."""


class DamageLog(logging.Handler):
    """Counts the lines of FFmpeg's log that mean damage. losses: those of them that mean lost packets."""

    def __init__(self) -> None:
        super().__init__()
        self.events = 0
        self.losses = 0

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if DAMAGE.search(text):
            self.events += 1
            self.losses += LOSS in text


def watch_decoder_log() -> DamageLog:
    """Have FFmpeg's log of this process counted instead of printed."""
    import av.logging

    watcher = DamageLog()
    logger = logging.getLogger("libav")
    logger.handlers = [watcher]
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    # Concealment is reported at this level, and repeated lines would be swallowed.
    av.logging.set_level(av.logging.INFO)
    av.logging.set_skip_repeated(False)
    return watcher


class KeyFrameGate:
    """Lets frames through from a whole key frame on, until the next sign of damage.

    Packets and frames are told apart because a decoder hands pictures out later than it takes them in.
    """

    def __init__(self) -> None:
        self._whole = False
        self._open = False

    def packet(self, key: bool, damaged: bool) -> None:
        """A packet went into the decoder; damaged: there was a sign of it while it was read or decoded."""
        if damaged:
            self._whole = self._open = False
        elif key:
            self._whole = True

    def passes(self, key: bool, corrupt: bool) -> bool:
        """Whether a picture that came out of the decoder may be shown to the models."""
        if corrupt:
            self._whole = self._open = False
        elif key and self._whole:
            self._open = True
        return self._open
