"""Readers: the real MARS-Attribute files, and small copies of every other layout."""

from __future__ import annotations

import csv
import io
import json
import pickle
import sys
import tarfile
import types
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from par_model.datasets import UNKNOWN, DatasetError, Problems, even_indices, open_dataset
from par_model.datasets.mars import expected_pictures, read_labels, read_mars, read_tracks
from par_model.schema import load_schema

MARS = load_schema("mars")
DUKE = load_schema("duke")


def picture(path: Path, value: int = 120) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((32, 16, 3), value, dtype=np.uint8))


@pytest.fixture(scope="module")
def label_file(shared: Path) -> Path:
    return shared / "data" / "labels" / "mars_attributes_v2_irip.csv"


def test_every_row_of_the_real_mars_file_has_43_columns_and_one_label_a_group(label_file: Path) -> None:
    problems = Problems(strict=True)
    rows = read_labels(label_file, MARS, problems)
    labels = np.stack([row.labels for row in rows])
    assert labels.shape == (16360, 43)
    for group in MARS.groups:
        sums = labels[:, MARS.slices[group.name]].sum(axis=1)
        assert set(sums.tolist()) <= ({0, 1} if group.kind == "binary" else {1}), group.name


def test_the_polarity_of_binary_columns_agrees_with_what_people_wear(label_file: Path) -> None:
    rows = read_labels(label_file, MARS, Problems(strict=True))
    labels = np.stack([row.labels for row in rows]) == 1
    column = {word: labels[:, index] for index, word in enumerate(MARS.words)}
    assert column["bottom skirt"].sum() == 2249
    assert not (column["bottom skirt"] & ~column["female"]).any()
    assert (column["long hair"] & column["female"]).sum() > 50 * (column["long hair"] & ~column["female"]).sum()
    assert column["top short"].mean() > 0.9, "MARS was recorded in summer"
    assert column["bottom short"][column["bottom skirt"]].mean() > 0.8
    for rare in ("hat", "hand bag", "backpack", "shoulder bag"):
        assert column[rare].mean() < 0.3


def test_both_releases_of_the_mars_labels_agree_where_they_overlap(shared: Path, label_file: Path) -> None:
    first = read_labels(label_file.with_name("mars_attributes_v1_yuange250.csv"), MARS, Problems(strict=True))
    second = {row.name: row.labels for row in read_labels(label_file, MARS, Problems(strict=True))}
    same = [np.array_equal(row.labels[row.labels != UNKNOWN], second[row.name][row.labels != UNKNOWN]) for row in first]
    assert np.mean(same) > 0.99
    assert (first[0].labels[MARS.slices["pose"]] == UNKNOWN).all(), "the first release has no pose"


def test_the_real_track_lists_give_every_labelled_tracklet_its_split_and_length(shared: Path, label_file: Path) -> None:
    folder = label_file.parent
    tracks = {split: read_tracks(folder / f"mars_tracks_{split}_info.mat") for split in ("train", "test")}
    expected = expected_pictures(read_labels(label_file, MARS, Problems(strict=True)), tracks)
    assert Counter(split for split, _ in expected.values()) == {"train": 8298, "test": 8062}
    assert expected["0001C1T0001"] == ("train", 16)
    assert expected["0001C1T0002"] == ("train", 79)


@pytest.fixture
def mars_folder(tmp_path: Path, label_file: Path) -> tuple[Path, Path]:
    """Three real label rows with pictures as MARS lays them out, one of them a picture short."""
    with label_file.open(newline="") as file:
        rows = list(csv.reader(file))
    chosen = [rows[0], *(row for row in rows[1:] if row[:3] in (["1", "1", "11"], ["1", "1", "3"], ["1", "2", "58"]))]
    table = tmp_path / "labels.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(chosen)
    for name, frames in (("0001C1T0011", 4), ("0001C1T0003", 3)):
        for frame in range(1, frames + 1):
            picture(tmp_path / "MARS" / "bbox_train" / "0001" / f"{name}F{frame:03d}.jpg", 10 * frame)
    picture(tmp_path / "MARS" / "bbox_test" / "00-1" / "00-1C1T0001F001.jpg")
    return tmp_path / "MARS", table


def test_mars_folders_are_joined_with_their_labels_and_what_is_missing_is_counted(
    mars_folder: tuple[Path, Path],
) -> None:
    root, table = mars_folder
    found = open_dataset(root, MARS, labels=table)
    assert sorted(tracklet.key for tracklet in found) == ["0001C1T0003", "0001C1T0011"]
    assert {tracklet.split for tracklet in found} == {"train"}
    assert {tracklet.person for tracklet in found} == {"0001"}
    first = next(tracklet for tracklet in found if tracklet.key == "0001C1T0011")
    shades = [int(frame.decode()[0, 0, 0]) for frame in first.pictures]
    assert shades == sorted(shades), "pictures come in time order"
    assert found.problems.counts == {"label without tracklet": 1}
    assert "0001C2T0058" in found.problems.lines[0]


def test_a_strict_reader_stops_at_the_first_problem_and_names_it(mars_folder: tuple[Path, Path]) -> None:
    root, table = mars_folder
    with pytest.raises(DatasetError, match="label without tracklet: 0001C2T0058"):
        read_mars(root, MARS, table, strict=True)


def test_a_mars_row_with_an_unknown_value_is_named_by_line_and_left_out(tmp_path: Path, label_file: Path) -> None:
    with label_file.open(newline="") as file:
        rows = list(csv.reader(file))[:3]
    rows[2][rows[0].index("top color")] = "9"
    table = tmp_path / "labels.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    problems = Problems()
    assert len(read_labels(table, MARS, problems)) == 1
    assert problems.lines == ["unknown value: labels.csv:3: top color is '9'; it must lie in 0 .. 8"]


def test_a_mars_heading_that_is_none_is_named_and_counted(tmp_path: Path, label_file: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(label_file.read_text(encoding="utf-8-sig").replace("top color", "upcolor", 1))
    problems = Problems()
    rows = read_labels(table, MARS, problems)
    assert problems.lines == ["missing column: labels.csv: none is called 'top color'; it is left unknown"]
    assert (rows[0].labels[MARS.slices["top color"]] == UNKNOWN).all()


def test_duke_folders_and_their_csv_are_read_by_position(tmp_path: Path) -> None:
    for frame in range(3):
        picture(tmp_path / "train" / "0001" / "0002" / f"0001_C1_F{frame:04d}.jpg")
        picture(tmp_path / "gallery" / "0005" / "0001" / f"0005_C2_F{frame:04d}.jpg")
    rows = [
        ["a header nobody reads"] + [""] * 21,
        [1, 1, 2, 2, 3, *[0] * 7, 1, 0, 0, 1, 0, 0, 1, 1, 4, 8],
        [5, 2, 1, 0, 0, *[0] * 7, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0],
    ]
    table = tmp_path / "duke.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    found = open_dataset(tmp_path, DUKE, labels=table, strict=True)
    first, second = found.tracklets
    named = {DUKE.words[index] for index in np.flatnonzero(first.labels)}
    expected = {"carring backpack", "shoes boots", "shoes", "top long", "pose lateral-back", "motion riding"}
    assert named == expected | {"bottom color blue", "top color complex"}
    assert (first.split, second.split) == ("train", "test")


def test_labels_by_place_are_read_under_a_schema_of_the_same_words_alone(
    tmp_path: Path, mars_folder: tuple[Path, Path]
) -> None:
    root, table = mars_folder
    fewer = replace(MARS, groups=tuple(group for group in MARS.groups if group.name in ("hat", "top color")))
    whole, part = (open_dataset(root, schema, labels=table).labels for schema in (MARS, fewer))
    assert np.array_equal(part, whole[:, MARS.columns(fewer)])
    colours = MARS["top color"]
    turned = replace(fewer, groups=(fewer.groups[0], replace(colours, attributes=colours.attributes[::-1])))
    for other in (turned, DUKE):
        with pytest.raises(DatasetError, match=r"has other words for '.*' than schema 'mars'"):
            open_dataset(root, other, labels=table)
    picture(tmp_path / "Duke" / "gallery" / "0005" / "0001" / "0.jpg")
    with pytest.raises(DatasetError, match=r"schema 'mars' has other words for 'backpack' than schema 'duke'"):
        open_dataset(tmp_path / "Duke", MARS, labels=table)


def test_track_lists_that_are_asked_for_must_be_there(tmp_path: Path, mars_folder: tuple[Path, Path]) -> None:
    root, table = mars_folder
    with pytest.raises(DatasetError, match=r"nowhere: no \*tracks_train_info\.mat"):
        open_dataset(root, MARS, labels=table, tracks=tmp_path / "nowhere")


def test_a_table_in_another_encoding_is_named(tmp_path: Path, mars_folder: tuple[Path, Path]) -> None:
    root, table = mars_folder
    table.write_bytes("person_id,größe".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"labels\.csv is not UTF-8 \(byte 12\); save it"):
        open_dataset(root, MARS, labels=table)
    picture(tmp_path / "mine" / "a" / "1.jpg")
    (tmp_path / "mine" / "labels.csv").write_bytes("tracklet,hat\na,weiß".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"labels\.csv is not UTF-8"):
        open_dataset(tmp_path / "mine", MARS)


def public_pickle(path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...] = MARS.words) -> None:
    """Written with a class of the public code's name and its way of pickling."""
    module = types.ModuleType("easydict")
    body: dict[str, Any] = {
        "__module__": "easydict",
        "__reduce__": lambda self: (type(self), (), dict(self), None, iter(self.items())),
        "__setstate__": dict.update,
    }
    EasyDict = type("EasyDict", (dict,), body)
    module.EasyDict = EasyDict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "easydict", module)
    names = ["0001C1T0001", "0002C1T0001"]
    for name in names:
        for frame in range(2):
            picture(root / name / f"{frame}.jpg")
    labels = {name: np.eye(43, dtype=np.int64)[place] for place, name in enumerate(names)}
    firsts = [MARS.slices[group.name].start for group in MARS.groups if group.kind == "one-of"]
    for row in labels.values():
        row[firsts] = 1
    table = EasyDict(
        track_name=names,
        result_dict=labels,
        attr_name=list(words),
        track_imgs_path={name: [f"/lost/{name}/{frame}.jpg" for frame in (1, 0)] for name in names},
        partition=EasyDict(trainval=np.array([0]), test=np.array([1])),
        label=np.zeros((2, 43)),
    )
    path.write_bytes(pickle.dumps(table, protocol=4))


def test_the_public_codes_pickle_is_read_with_pictures_that_have_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public_pickle(tmp_path / "pad.pkl", tmp_path / "frames", monkeypatch)
    monkeypatch.delitem(sys.modules, "easydict")
    found = open_dataset(tmp_path / "pad.pkl", MARS, root=tmp_path / "frames", strict=True)
    assert [tracklet.split for tracklet in found] == ["train", "test"]
    assert np.flatnonzero(found.labels[1])[:2].tolist() == [1, MARS.slices["pose"].start]
    assert [frame.path.name for frame in found.tracklets[0].pictures] == ["0.jpg", "1.jpg"]


def test_of_a_one_of_group_without_one_answer_a_pickle_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public_pickle(tmp_path / "pad.pkl", tmp_path / "frames", monkeypatch)
    table = pickle.loads((tmp_path / "pad.pkl").read_bytes())
    row, pose, age = table["result_dict"]["0001C1T0001"], MARS.slices["pose"], MARS.slices["age"]
    row[pose], row[age.start : age.start + 2] = 0, 1
    (tmp_path / "pad.pkl").write_bytes(pickle.dumps(table))
    found = open_dataset(tmp_path / "pad.pkl", MARS, root=tmp_path / "frames")
    assert found.problems.counts == {"no single answer": 2}
    unknown = found.labels[0] == UNKNOWN
    assert unknown[pose].all()
    assert unknown[age].all()
    assert unknown.sum() == 6 + 4
    assert not (found.labels[1] == UNKNOWN).any()


def test_a_pickle_with_other_words_in_a_column_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = list(MARS.words)
    swapped[1], swapped[8] = swapped[8], swapped[1]
    public_pickle(tmp_path / "pad.pkl", tmp_path / "frames", monkeypatch, tuple(swapped))
    with pytest.raises(DatasetError, match=rf"column 1 is '{MARS.words[8]}', the schema's '{MARS.words[1]}'"):
        open_dataset(tmp_path / "pad.pkl", MARS, root=tmp_path / "frames")


def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (print, ("ran",))

    path = tmp_path / "trap.pkl"
    path.write_bytes(pickle.dumps({"track_name": Trap()}))
    with pytest.raises(DatasetError, match=r"builtins\.print"):
        open_dataset(path, MARS)


def test_a_users_own_folder_may_leave_cells_empty_and_write_yes_or_the_word(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.jpg")
    picture(tmp_path / "b" / "1.png")
    picture(tmp_path / "forgotten" / "1.jpg")
    lines = [
        "tracklet,split,hat,top color,gender",
        "a,train,yes,top red,female",
        "b,test,no hat,,male",
        "c,test,no,red,male",
        "a,train,maybe,red,male",
    ]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    found = open_dataset(tmp_path, MARS)
    a, b = found.tracklets
    assert a.labels[MARS.words.index("hat")] == 1
    assert b.labels[MARS.words.index("hat")] == 0
    assert a.labels[MARS.words.index("top red")] == 1
    assert (b.labels[MARS.slices["top color"]] == UNKNOWN).all()
    assert (a.labels[MARS.slices["age"]] == UNKNOWN).all()
    assert found.problems.counts == {"label without tracklet": 1, "unknown value": 1, "tracklet without label": 1}


def test_a_misspelt_column_of_a_users_folder_suggests_the_group(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.jpg")
    (tmp_path / "labels.csv").write_text("tracklet,top colour\na,red\n")
    with pytest.raises(DatasetError, match="did you mean 'top color'"):
        open_dataset(tmp_path, MARS)


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def test_shards_give_pictures_by_their_place_in_the_tar(tmp_path: Path) -> None:
    values = {"hat": True, "top color": "top red", "gender": None}
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for frame in (1, 0):
            add(tar, f"s1-0.{frame}.jpg", cv2.imencode(".jpg", np.full((8, 4, 3), 50 * frame, np.uint8))[1].tobytes())
        add(tar, "s1-0.json", json.dumps({"attributes": values}).encode())
        add(tar, "s1-1.json", json.dumps({"attributes": values}).encode())
    (tmp_path / "half.partial").write_bytes(b"")
    found = open_dataset(tmp_path, MARS)
    assert [int(frame.decode()[0, 0, 0]) for frame in found.tracklets[0].pictures] == [0, 50]
    assert found.labels[0, MARS.words.index("hat")] == 1
    assert found.labels[0, MARS.words.index("female")] == UNKNOWN
    assert found.problems.counts == {"label without tracklet": 1}


def test_shards_may_tell_more_than_the_schema_asks_but_not_something_else(tmp_path: Path) -> None:
    image = cv2.imencode(".jpg", np.zeros((8, 4, 3), np.uint8))[1].tobytes()
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for key, hat in (("a", True), ("b", "maybe")):
            add(tar, f"{key}.0.jpg", image)
            add(tar, f"{key}.json", json.dumps({"attributes": {"hat": hat, "top color": "top red"}}).encode())
    hats, ages = (replace(MARS, name=name, groups=(MARS[name],)) for name in ("hat", "age"))
    found = open_dataset(tmp_path, hats)
    assert found.labels.tolist() == [[1]]
    assert found.problems.lines == [
        "unknown value: shard.tar: b.json: hat is 'maybe'; it must be one of no hat, hat",
    ]
    with pytest.raises(
        DatasetError, match=r"unknown value: 2; first .*schema 'age' has none of its groups hat, top color"
    ):
        open_dataset(tmp_path, ages)


def test_a_folder_of_nothing_known_says_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="bbox_train"):
        open_dataset(tmp_path, MARS)


@pytest.mark.parametrize("count", [1, 3, 6, 17])
def test_even_sampling_is_ordered_and_covers_the_tracklet(count: int) -> None:
    for jitter in (None, np.random.default_rng(0)):
        chosen = even_indices(count, 6, jitter)
        assert chosen.tolist() == sorted(chosen.tolist())
        assert chosen.min() >= 0
        assert chosen.max() < count
        if count >= 6:
            assert len(set(chosen.tolist())) == 6
            assert chosen[0] < count / 6
            assert chosen[-1] >= count * 5 / 6 - 1
