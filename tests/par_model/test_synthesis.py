"""What generated people promise: labels that fit the schema, the same people from the same seed, shards that resume."""

from __future__ import annotations

import colorsys
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from par_model.datasets.parts import MAP_SIZE, PART_NAMES, UNKNOWN_PART, decode_maps
from par_model.datasets.shards import read_shards
from par_model.schema import load_schema
from par_model.synthesis import people, sampling, street, visibility
from par_model.synthesis.colours import _SHADES, BOTTOM_COLOURS, PANEL, TOP_COLOURS, cloth, shade
from par_model.synthesis.hair import BOBS, NAPE, sample_cut
from par_model.synthesis.mesh import girth, grid_faces, normals, pack, simplify, superellipsoid, unpack
from par_model.synthesis.routes import Route, sample_routes, walk
from par_model.synthesis.shards import read_frames, read_labels, shard_path, write_shard
from par_model.synthesis.tracklets import NEIGHBOUR, TARGET, Tracklet, part_map, vector
from par_model.synthesis.walks import Walk
from par_model.synthesis.world import Camera, look_at


@pytest.fixture
def camera() -> Camera:
    eye = np.array([0.0, -10.0, 4.0])
    return Camera(eye, look_at(eye, np.array([0.0, 0.0, 1.0])), (0.5, 0.3), (960, 576))


@pytest.fixture
def attributes() -> dict[str, object]:
    return {
        "top length": True, "bottom type": False, "shoulder bag": False, "backpack": True, "hat": None,
        "hand bag": False, "hair": True, "gender": True, "bottom length": False, "pose": "lateral-back",
        "motion": "riding", "top color": "top complex", "bottom color": None, "age": "teenager",
    }  # fmt: skip


def test_every_colour_word_of_the_schema_can_be_made() -> None:
    schema = load_schema("mars")
    assert tuple(a.word for a in schema["top color"].attributes) == tuple(f"top {c}" for c in TOP_COLOURS)
    assert tuple(a.word for a in schema["bottom color"].attributes) == tuple(f"bottom {c}" for c in BOTTOM_COLOURS)
    rng = np.random.default_rng(0)
    for word in {*TOP_COLOURS, *BOTTOM_COLOURS} - {"complex"}:
        samples = np.array([shade(rng, word) for _ in range(50)])
        assert (samples >= 0).all()
        assert (samples <= 1).all()


def test_shades_that_people_call_by_two_words_are_not_made() -> None:
    rng = np.random.default_rng(0)
    value = {
        word: np.array([max(shade(rng, word)) for _ in range(500)])
        for word in ("black", "gray", "blue", "purple", "white")
    }
    assert value["black"].max() < min(value[word].min() for word in ("gray", "blue", "purple")) / 1.4
    assert value["gray"].max() < value["white"].min() / 1.2


@pytest.mark.parametrize(
    ("share", "pixels", "contrast", "answer"),
    [
        (0.05, 2000.0, 30.0, True),
        (0.05, 400.0, 30.0, None),  # a hat of 20 pixels
        (0.05, 2000.0, 5.0, None),  # black on black
        (0.007, 9000.0, 30.0, None),  # only its edge peeps out
        (0.0, 2000.0, 0.0, False),
        (0.0, 400.0, 0.0, None),  # nobody could see one
    ],
)
def test_a_hat_is_there_or_not_only_where_it_could_be_seen(
    share: float, pixels: float, contrast: float, answer: bool | None
) -> None:
    answers = visibility.shown([sight(share, pixels, contrast)] * 3, 2)
    assert answers["hat"] is answer
    assert answers["top"] is True


def test_a_hat_must_be_clear_in_the_frames_that_show_it() -> None:
    afar, cut_off, dim = sight(0.05, 60.0, 30.0), sight(0.004, 9000.0, 30.0), sight(0.05, 9000.0, 5.0)
    assert visibility.shown([afar, afar, cut_off, cut_off], 2)["hat"] is None
    assert visibility.shown([afar, afar, dim, dim], 2)["hat"] is None


def test_a_hat_that_shows_too_briefly_is_neither_there_nor_not() -> None:
    clear, hidden = sight(0.05, 9000.0, 30.0), sight(0.0, 9000.0, 0.0)
    assert visibility.shown([clear, *[hidden] * 5], 2)["hat"] is None


def test_a_hat_of_which_one_frame_shows_an_edge_is_not_there() -> None:
    edge, hidden = sight(0.006, 9000.0, 0.0), sight(0.0, 9000.0, 0.0)
    assert visibility.shown([edge, *[hidden] * 5], 2)["hat"] is False


def sight(hat: float, pixels: float, contrast: float) -> visibility.Sight:
    contrasts = dict.fromkeys(visibility.THINGS, 30.0) | {"hat": contrast}
    clipped = dict.fromkeys(visibility.CLOTHES, (0.0, 0.0))
    return visibility.Sight(pixels, dict.fromkeys(visibility.VISIBLE, 0.5) | {"hat": hat}, contrasts, clipped)


@pytest.mark.parametrize(
    ("bag", "left", "distinct"),
    [((40, 40, 200), 36, True), ((72, 66, 62), 36, False), ((72, 66, 62), 64, True)],
    ids=["red on a dark coat", "coat-coloured on the coat", "coat-coloured, sticking out before a bright wall"],
)
def test_a_bag_stands_out_by_its_colour_or_its_outline(bag: tuple[int, int, int], left: int, distinct: bool) -> None:
    picture = np.full((192, 96, 3), 220, np.uint8)
    owners = np.zeros((384, 192, 2), np.uint8)
    picture[30:180, 20:76], owners[60:360, 40:152] = (66, 64, 60), (TARGET, people.TOP)
    picture[90:120, left : left + 24] = bag
    owners[180:240, 2 * left : 2 * left + 48] = TARGET, people.SHOULDER_BAG
    seen = visibility.look(picture, owners, TARGET, 5000.0)
    assert seen.shares["shoulder bag"] == pytest.approx(60 * 48 / (owners[..., 0] == TARGET).sum())
    assert seen.shares["hat"] == seen.contrasts["hat"] == 0.0
    assert (seen.contrasts["shoulder bag"] >= visibility.DISTINCT) == distinct


def test_part_maps_leave_out_what_is_no_part() -> None:
    owners = np.zeros((*MAP_SIZE, 2), np.uint8)
    owners[0] = TARGET, people.HAT
    owners[1] = TARGET, people.HOOD
    owners[2] = TARGET, people.HELD
    owners[3] = TARGET, people.HEADPHONES
    owners[4] = NEIGHBOUR, people.HAT
    rows = part_map(owners)[:6, 0].tolist()
    names = [PART_NAMES.index(name) for name in ("hat", "hood")]
    assert rows == [*names, UNKNOWN_PART, UNKNOWN_PART, PART_NAMES.index("somebody else"), 0]


def test_the_vector_has_one_yes_in_every_known_group_and_twos_where_unknown(attributes: dict[str, object]) -> None:
    schema = load_schema("mars")
    row = np.array(vector(schema, attributes))
    assert row.shape == (43,)
    assert [word for word, value in zip(schema.words, row) if value == 1] == [
        "top short", "backpack", "long hair", "female", "lateral-back", "riding", "top complex", "teenager",
    ]  # fmt: skip
    assert (row[schema.slices["bottom color"]] == 2).all()
    assert (row[schema.slices["hat"]] == 2).all()


def test_sampled_people_have_even_the_rare_words_often() -> None:
    rng = np.random.default_rng(1)
    people = [sampling.sample_traits(rng) for _ in range(3000)]
    for word in TOP_COLOURS:
        assert 0.03 < np.mean([p.top_colour == word for p in people]) < 0.36
    assert 0.4 < np.mean([p.gender == "female" for p in people]) < 0.6
    dark = {"black", "gray", "blue"}
    bare = [not (p.hat or p.backpack or p.shoulder_bag or p.hand_bag) for p in people]
    assert np.mean([b and {p.top_colour, p.bottom_colour} <= dark for b, p in zip(bare, people)]) > 0.1
    for thing in ("hat", "backpack", "shoulder_bag", "hand_bag"):
        assert 0.14 < np.mean([bool(getattr(p, thing)) for p in people]) < 0.3
    crowd = [p for p in people if p.inconspicuous]
    assert 0.45 < len(crowd) / len(people) < 0.55
    assert np.mean([p.age == "adult" for p in crowd]) > 0.5
    assert np.mean([p.bottom in ("trousers", "shorts") for p in crowd]) > 0.9
    gaits = [sampling.sample_motions(rng, p) for p in crowd]
    assert np.mean([gait in (("riding",), ("running",)) for gait in gaits]) < 0.15
    # A skirt says a lot about gender, a hat nothing.
    women = [p for p in people if p.gender == "female"]
    men = [p for p in people if p.gender == "male"]
    assert np.mean([p.bottom == "skirt" for p in women]) > 5 * np.mean([p.bottom == "skirt" for p in men])
    assert abs(np.mean([bool(p.hat) for p in women]) - np.mean([bool(p.hat) for p in men])) < 0.08


def test_hair_that_people_call_either_is_not_named() -> None:
    rng = np.random.default_rng(2)
    women = [sample_cut(rng, False, "adult", "female") for _ in range(300)]
    men = [sample_cut(rng, False, "adult", "male") for _ in range(300)]
    assert 0.25 < np.mean([cut.unclear for cut in women]) < 0.45
    assert not any(cut.unclear for cut in men)
    assert not any(sample_cut(rng, True, "adult", "female").unclear for _ in range(100))
    # A bob is short only where it is cut off at the nape.
    assert all(cut.hem >= NAPE for cut in women if cut.piece in BOBS and not cut.unclear)


@pytest.mark.parametrize(
    ("angles", "word"),
    [
        ([0, 5, -8], "frontal"), ([-40, -50, -47], "lateral-frontal"), ([88, 93, 95], "lateral"),
        ([-130, -140, -135], "lateral-back"), ([178, -179, 175], "back"), ([0, 45, 100], "pose varies"),
        ([0, 30, 60], None),
    ],
)  # fmt: skip
def test_pose_words_follow_the_angle_to_the_camera(angles: list[float], word: str | None) -> None:
    assert sampling.pose_word(np.array(angles)) == word


def test_cloth_that_the_camera_turned_black_has_lost_its_colour() -> None:
    owners = np.zeros((384, 192, 2), np.uint8)
    owners[60:200, 40:152], owners[200:360, 40:152] = (TARGET, people.TOP), (TARGET, people.BOTTOM)
    picture = np.full((192, 96, 3), 220, np.uint8)
    picture[30:100, 20:76], picture[100:180, 20:76] = (20, 10, 5), (60, 20, 10)
    dark = visibility.look(picture, owners, TARGET, 5000.0)
    assert visibility.tones([dark]) == {"top": "black", "bottom": None}
    picture[30:180, 20:76] = 250
    bright = visibility.look(picture, owners, TARGET, 5000.0)
    assert visibility.tones([bright]) == {"top": "white", "bottom": "white"}
    assert visibility.tones([dark, bright]) == {"top": None, "bottom": None}
    assert visibility.tones([]) == {"top": None, "bottom": None}


def test_a_projected_ground_point_comes_back(camera: Camera) -> None:
    spot = np.array([[1.5, 3.0, 0.0]])
    pixel, depth = camera.project(spot)
    assert depth[0] > 0
    np.testing.assert_allclose(camera.ground_at((pixel[0, 0], pixel[0, 1])), spot[0], atol=1e-6)


def test_the_window_matrix_agrees_with_the_projection(camera: Camera) -> None:
    point = np.array([0.7, 2.0, 1.1])
    pixel, _ = camera.project(point[None])
    x, y, w, h = 0.25, 0.2, 0.5, 0.6
    clip = camera.matrix((x, y, w, h)) @ np.array([*point, 1.0])
    u, v = (clip[:2] / clip[3] + 1) / 2
    np.testing.assert_allclose([(x + u * w) * 960, (1 - y - v * h) * 576], pixel[0], atol=1e-6)


def test_a_walk_covers_the_ground_its_speed_says() -> None:
    straight = Walk(np.zeros(3), 0.0, 0.0, 0.0, 0.0, 99.0)
    np.testing.assert_allclose(straight.position_at(2.0, (1.4,)), [0.0, -2.8, 0.0], atol=1e-9)
    stops = Walk(np.zeros(3), 0.0, 0.0, 0.0, 0.0, 1.0)
    assert abs(stops.position_at(3.0, (1.4, 0.0))[1] + 1.4) < 0.1


def test_people_on_a_route_pause_at_corners_and_come_back() -> None:
    route = Route(np.array([[0.0, 0.0], [4.0, 0.0]]), np.array([0.0, 2.0]), "walking", 0.0)
    track = walk(route, speed=1.0, frames=100, fps=10.0)
    assert not track.moving[45:55].any()
    assert track.positions[50, 0] == pytest.approx(4.0)
    assert track.positions[80, 0] == pytest.approx(2.0, abs=0.05)
    assert abs(np.diff(track.headings)).max() <= 0.3 + 1e-9


def test_a_scene_has_a_route_for_everybody() -> None:
    hides = (np.array([-3.0, 3.0]), np.array([3.0, 5.0]))
    routes = sample_routes(np.random.default_rng(0), 15, hides, 6.4)
    assert len(routes) == 15
    assert {route.motion for route in routes} == {"walking", "running", "riding"}


def test_normals_of_a_ball_point_outwards() -> None:
    points, faces = superellipsoid((1.0, 1.0, 1.0), 2.0, 15, 24)
    out = normals(points, faces)
    inner = slice(24, -24)
    assert (np.abs(np.einsum("nk,nk->n", out[inner], points[inner])) > 0.98).all()


def test_simplified_faces_keep_the_shape_with_fewer_triangles() -> None:
    points, faces = superellipsoid((0.1, 0.1, 0.1), 2.0, 41, 80)
    fewer = simplify(points, faces, 0.02)
    assert len(fewer) < len(faces) / 3
    assert np.ptp(points[np.unique(fewer)], axis=0) == pytest.approx([0.2, 0.2, 0.2], abs=0.01)


def test_skin_weights_survive_packing() -> None:
    rng = np.random.default_rng(0)
    dense = np.zeros((50, 19), np.float32)
    for row in dense:
        row[rng.choice(19, 3, replace=False)] = rng.dirichlet(np.ones(3))
    np.testing.assert_allclose(unpack(pack(dense), 19), dense, atol=0.01)


def test_a_girth_bridges_the_gap_between_two_legs() -> None:
    turn = np.linspace(0, 2 * np.pi, 60)
    leg = np.column_stack([0.07 * np.cos(turn), 0.07 * np.sin(turn), np.full(60, 0.5)])
    apart = np.array([0.12, 0, 0])
    rings = girth(np.concatenate([leg + apart, leg - apart]), np.array([0.5]), 24)
    assert rings.shape == (1, 24, 3)
    assert np.linalg.norm(rings[0, :, :2], axis=1).min() > 0.069
    assert len(grid_faces(2, 24)) == 24


def test_shards_hold_what_was_written_and_nothing_half_done(tmp_path: Path, attributes: dict[str, object]) -> None:
    maps = (np.arange(2 * 48 * 24) % len(PART_NAMES)).astype(np.uint8).reshape(2, *MAP_SIZE)
    made = [Tracklet(f"s1-{i:06d}", (b"a", b"b"), maps, {"attributes": attributes, "number": i}) for i in range(3)]
    path = shard_path(tmp_path, 1, 0)
    write_shard(path, made)
    assert [label["number"] for label in read_labels(path)] == [0, 1, 2]
    assert [key for key, _, _ in read_frames(path, 1, 2)] == ["s1-000000", "s1-000001"]
    with tarfile.open(path) as tar:
        names = ["s1-000000.0.jpg", "s1-000000.1.jpg", "s1-000000.parts.png", "s1-000000.json"]
        assert tar.getnames()[:4] == names
    found = read_shards([path], load_schema("mars")).tracklets[0]
    assert found.parts is not None
    np.testing.assert_array_equal(decode_maps(found.parts, 2), maps)

    def broken():  # type: ignore[no-untyped-def]
        yield made[0]
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_shard(shard_path(tmp_path, 1, 1), broken())
    assert not shard_path(tmp_path, 1, 1).exists()
    again = io.BytesIO(path.read_bytes())
    write_shard(path, made)
    assert path.read_bytes() == again.getvalue()
    assert read_labels(path)[0]["attributes"] == made[0].label["attributes"]


POOL = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from par_model.synthesis.generate import end_with_parent

if __name__ == "__main__":
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=end_with_parent) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 60.0).result()
"""


def test_no_worker_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(worker, 0)
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 10.0
    while _runs(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(worker)


def _runs(pid: int) -> bool:
    """Whether a process is there and not a zombie that nobody has collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("word", [word for word in TOP_COLOURS if word != "complex"])
def test_two_tones_of_a_top_are_of_one_colour_word(word: str) -> None:
    drawn = [cloth(np.random.default_rng(seed), word, TOP_COLOURS) for seed in range(600)]
    toned = [stuff for stuff in drawn if stuff.pattern == PANEL]
    assert toned
    for stuff in toned:
        shown = [12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in stuff.second]
        hue, saturation, value = colorsys.rgb_to_hsv(*shown)
        turns = (360 * hue, 360 * hue - 360)
        assert any(
            (saturation < 1e-3 or any(h[0] - 0.1 <= turn <= h[1] + 0.1 for turn in turns))
            and s[0] - 1e-3 <= saturation <= s[1] + 1e-3
            and v[0] - 1e-3 <= value <= v[1] + 1e-3
            for _, h, s, v in _SHADES[word]
        )


def test_nobody_walks_through_what_stands_in_the_street() -> None:
    boxes = [  # kiosk, van, its bonnet, bench: middle, width and depth
        ((-3.2, 1.7), (2.3, 1.3)), ((3.5, 3.9), (4.8, 1.95)), ((0.9, 3.9), (0.7, 1.9)), ((-7.2, 1.9), (1.6, 0.6)),
    ]  # fmt: skip
    posts = [((-1.3, -1.45), 0.36), ((-0.8, 6.2), 0.1), ((7.2, 2.3), 0.1)]
    for seed in range(50):
        for number, route in enumerate(sample_routes(np.random.default_rng(seed), 15, street._HIDES, 6.4)):
            places = walk(route, 1.4, 600, 10.0).positions
            for middle, size in boxes:
                beyond = np.abs(places - middle) - np.array(size) / 2
                assert (beyond.max(axis=1) > 0.1).all(), (seed, number, middle)
            for middle, radius in posts:
                assert (np.linalg.norm(places - middle, axis=1) > radius + 0.1).all(), (seed, number, middle)


def test_the_pictures_must_show_what_is_labelled() -> None:
    traits = replace(sampling.sample_traits(np.random.default_rng(0)), bottom="shorts", bottom_short=True)
    everything = dict.fromkeys(visibility.VISIBLE, True)
    tones = {"top": None, "bottom": None}
    somebody = SimpleNamespace(traits=traits, hair_label=True, tied=True)

    def told(**changes: Any) -> dict[str, object]:
        angles = changes.pop("angles", np.full(6, 120.0))
        return people.static_attributes(cast(Any, somebody), everything | changes, tones, angles, 2)

    assert told()["hair"] is True
    assert told(angles=np.array([-20.0, -10, 0, 10, 20, 340]))["hair"] is None
    assert told(angles=np.array([0.0, 10, 20, 40, 60, 80]))["hair"] is True
    assert (told()["bottom type"], told()["bottom length"]) == (False, True)
    hidden = told(bottom=False)
    assert (hidden["bottom type"], hidden["bottom length"]) == (None, None)
