"""Pictures as a source: natural order, the sequence's rate, no picture lost without a word."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.sources import open_source
from pipeline.types import SidewalkError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures 1 to 11, grey as their number times ten, named so that the alphabet sorts them wrongly."""
    for number in range(1, 12):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.full((30, 40, 3), number * 10, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def shades(source: object) -> list[int]:
    return [int(frame.image[0, 0, 0]) // 10 for frame in source]


def test_pictures_come_in_natural_order(folder: Path) -> None:
    assert shades(open_source(str(folder))) == list(range(1, 12))
    assert shades(open_source(str(folder / "frame?.png"))) == list(range(1, 10))
    assert shades(open_source(str(folder / "frame7.png"))) == [7]


def test_the_rate_is_the_users_or_the_sequences_or_25(folder: Path) -> None:
    assert open_source(str(folder)).info.rate == 25
    (folder / "seqinfo.ini").write_text("[Sequence]\nname=x\nframeRate=14\n")
    assert open_source(str(folder)).info.rate == 14
    source = open_source(str(folder), fps=29.97)
    assert source.info.rate == Fraction(2997, 100)
    assert [frame.time for frame in source][2] == pytest.approx(2 / 29.97)
    source = open_source(str(folder), fps=1 / 3600)
    assert [frame.time for frame in source][:3] == [0.0, 3600.0, 7200.0]


def test_an_unreadable_picture_is_skipped_and_keeps_its_number_and_time(folder: Path) -> None:
    (folder / "frame3.png").write_bytes(b"broken")
    source = open_source(str(folder), fps=10)
    frames = list(source)
    assert [frame.index for frame in frames] == [0, 1, *range(3, 11)]
    assert [frame.time for frame in frames][:3] == [0.0, 0.1, pytest.approx(0.3)]
    assert len(source.warnings) == 1
    assert "frame3.png" in source.warnings[0]


@pytest.mark.parametrize("name", ["photo[1].jpg", "a1²3.jpg"])
def test_names_are_taken_as_they_are(tmp_path: Path, name: str) -> None:
    cv2.imwrite(str(tmp_path / "plain.jpg"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "plain.jpg").rename(tmp_path / name)
    assert len(list(open_source(str(tmp_path / name)))) == 1
    assert len(list(open_source(str(tmp_path)))) == 1


def test_a_picture_larger_than_can_be_read_is_skipped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (folder / "frame4.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    source = open_source(str(folder))
    assert len(list(source)) == 10
    assert len(source.warnings) == 1


def test_a_folder_of_broken_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"broken")
    with pytest.raises(SidewalkError, match="none of its 1 pictures can be read"):
        open_source(str(tmp_path))


def test_a_motchallenge_sequence_is_read_from_its_root(shared: Path) -> None:
    source = open_source(str(shared / "data" / "mot" / "MOT15" / "TUD-Stadtmitte"))
    assert (source.info.frames, source.info.rate) == (179, 25)
    assert (source.info.width, source.info.height) == (640, 480)
