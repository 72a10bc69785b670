"""Torn pictures are held back from the first sign of damage to the next whole key frame."""

from __future__ import annotations

import logging

import pytest

from pipeline.sources.damage import DamageLog, KeyFrameGate


def through(gate: KeyFrameGate, pictures: str) -> str:
    """Feed one letter a picture: I key, P other, i and p the same but damaged, c flagged corrupt; pass or drop."""
    out = ""
    for picture in pictures:
        gate.packet(picture in "Ii", picture in "ip")
        out += picture if gate.passes(picture in "Ii", picture == "c") else "."
    return out


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        ("IPPP", "IPPP"),
        ("PPIPP", "..IPP"),
        ("IPpPPIPP", "IP...IPP"),
        ("IPcPIP", "IP..IP"),
        ("IPpPiPPIP", "IP.....IP"),
    ],
)
def test_pictures_pass_from_a_whole_key_frame_to_the_next_damage(pictures: str, expected: str) -> None:
    assert through(KeyFrameGate(), pictures) == expected


def test_a_key_frame_that_leaves_the_decoder_late_does_not_open_the_gate_after_damage() -> None:
    gate = KeyFrameGate()
    gate.packet(key=True, damaged=False)
    gate.packet(key=False, damaged=True)
    assert not gate.passes(key=True, corrupt=False)


@pytest.mark.parametrize(
    ("line", "damage"),
    [
        ("RTP: missed 3 packets", True),
        ("concealing 120 DC, 120 AC, 120 MV errors in P frame", True),
        ("error while decoding MB 12 3, bytestream -5", True),
        ("Could not find ref with POC 8", True),
        ("non-existing PPS 0 referenced", True),
        ("Skipping invalid undecodable NALU: 39", False),
        ("Stream #0: not enough frames to estimate rate; consider increasing probesize", False),
        ("setting jitter buffer size to 500", False),
    ],
)
def test_what_ffmpeg_says_of_damage_is_told_from_what_it_says_otherwise(line: str, damage: bool) -> None:
    log = DamageLog()
    log.emit(logging.LogRecord("libav.h264", logging.ERROR, "", 0, line, (), None))
    assert log.events == int(damage)
