"""Cutting tracklets: good looks only, the same again from the boxes that were used, and a table to fill in."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from par_model.datasets import open_dataset
from par_model.schema import load_schema

ROOT = Path(__file__).resolve().parents[2]
RATE, WIDTH, HEIGHT = 25, 320, 240


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Four seconds of pictures that tell their number by blue, a pixel's column by green and its line by red."""
    folder = tmp_path / "street"
    folder.mkdir()
    down, across = np.mgrid[:HEIGHT, :WIDTH]
    for number in range(1, 101):
        picture = np.stack([np.full_like(down, 2 * number), across // 2, down], axis=2)
        cv2.imwrite(str(folder / f"{number:04d}.png"), picture.astype(np.uint8))
    return folder


def write_tracks(path: Path) -> Path:
    """1 is well seen throughout, 2 is small, 3 stands behind 1, 4 and 5 are cut off by the picture's edges."""
    lines = []
    for frame in range(1, 101):
        lines += [f"{frame},1,101,41,50,160,0.9", f"{frame},2,200,40,10,30,0.9"]
        lines += [f"{frame},3,105,50,40,145,0.9", f"{frame},4,281,50,40,120,1.0", f"{frame},5,1,50,40,120,1.0"]
    path.write_text("".join(f"{line},-1,-1,-1\n" for line in lines))
    return path


def cut(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/cut_tracklets.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def pictures(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jpg")}


def test_windows_of_people_well_seen_become_a_data_set(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    run = cut(clip, write_tracks(tmp_path / "mot.txt"), out, "--pictures", "4", "--seconds", "2")
    assert run.returncode == 0, run.stderr
    assert sorted(pictures(out)) == [
        f"street-0001-{first:06d}/{frame:06d}.jpg"
        for first, frames in ((1, (1, 17, 34, 50)), (51, (51, 67, 84, 100)))
        for frame in frames
    ]
    crop = cv2.imread(str(out / "street-0001-000051" / "000051.jpg"))
    # The file counts from 1: the box begins at 100, 40, and grows by a fiftieth on each side.
    assert crop.shape == (168, 52, 3)
    assert np.abs(crop[0, 0].astype(int) - [2 * 51, (100 - 1) // 2, 40 - 4]).max() <= 2
    assert np.abs(crop[-1, -1].astype(int) - [2 * 51, (150 + 1) // 2, 200 + 3]).max() <= 2
    assert (out / "street-1.png").is_file()
    with (out / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["tracklet"] for row in rows] == ["street-0001-000001", "street-0001-000051"]
    assert list(rows[0])[1:] == list(load_schema("mars").group_names)
    assert len(open_dataset([out], load_schema("mars"))) == 2


def test_the_boxes_that_were_used_give_the_same_pictures_again(clip: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    options = ("--pictures", "3", "--seconds", "0.7", "--windows", "3")
    assert cut(clip, write_tracks(tmp_path / "mot.txt"), first, *options).returncode == 0
    assert cut(clip, first / "street.txt", second, *options).returncode == 0
    assert pictures(first) == pictures(second)
    assert len(pictures(first)) == 9


def test_labels_that_were_filled_in_stay(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    tracks = write_tracks(tmp_path / "mot.txt")
    assert cut(clip, tracks, out, "--windows", "1").returncode == 0
    table = out / "labels.csv"
    table.write_text("tracklet,hat\nstreet-0001-000001,yes\n")
    assert cut(clip, tracks, out, "--name", "again", "--windows", "1").returncode == 0
    assert table.read_text() == "tracklet,hat\nstreet-0001-000001,yes\nagain-0001-000001,\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\ufefftracklet,hat\nother,yes", "\ufefftracklet,hat\nother,yes\nstreet-0001-000001,\n"),
        ("tracklet,hat\n", "tracklet,hat\nstreet-0001-000001,\n"),
        ("tracklet,hat\nstreet-0001-000001,no\n", "tracklet,hat\nstreet-0001-000001,no\n"),
    ],
)
def test_a_table_that_another_program_saved_is_added_to(clip: Path, tmp_path: Path, before: str, after: str) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "labels.csv").write_text(before, encoding="utf-8")
    run = cut(clip, write_tracks(tmp_path / "mot.txt"), out, "--windows", "1")
    assert run.returncode == 0, run.stderr
    assert (out / "labels.csv").read_text(encoding="utf-8") == after


def test_two_clips_of_one_name_are_never_mixed(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    tracks = write_tracks(tmp_path / "mot.txt")
    assert cut(clip, tracks, out).returncode == 0
    before = pictures(out)
    run = cut(clip, tracks, out, "--pictures", "3")
    assert run.returncode == 2
    assert "already holds tracklets of 'street'; give another --name" in run.stderr
    assert pictures(out) == before


def test_what_does_not_fit_is_said_in_one_line(clip: Path, tmp_path: Path) -> None:
    tracks = write_tracks(tmp_path / "mot.txt")
    for arguments, words in (
        ((clip, tmp_path / "none.txt", tmp_path / "a"), "no such file"),
        ((clip, tmp_path, tmp_path / "a"), "directory"),
        ((clip, tracks, tmp_path / "a", "--min-height", "200"), "nobody is 200 pixels tall"),
        ((clip, tracks, tmp_path / "a", "--attributes", "marz"), "no attribute schema 'marz'"),
        ((tmp_path / "none.mp4", tracks, tmp_path / "a"), "none.mp4"),
    ):
        run = cut(*arguments)
        assert run.returncode == 2
        assert words in run.stderr
        assert len(run.stderr.strip().splitlines()) == 1
    tracks.write_text("".join(f"{frame},1,100,40,50,160,0.9,-1,-1,-1\n" for frame in range(140, 150)))
    run = cut(clip, tracks, tmp_path / "a")
    assert "has no frame 140" in run.stderr
    assert not list((tmp_path / "a").iterdir())
