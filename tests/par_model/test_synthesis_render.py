"""What the renderer promises: the same people for the same seed, labels for what shows, truth that fits the video."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from par_model.schema import load_schema
from par_model.synthesis import generate_scene, generate_tracklets, write_card
from par_model.synthesis.bodies import JOINT_INDEX
from par_model.synthesis.visibility import VISIBLE

# The first run on a machine bakes the bodies, which takes a minute.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def assets(shared: Path) -> Path:
    """MakeHuman's clothes and hair, where this machine can draw them."""
    pytest.importorskip("anny", reason="generated people need anny: pip install '.[synth]'")
    pytest.importorskip("moderngl", reason="generated people need moderngl: pip install '.[synth]'")
    folder = shared / "assets" / "makehuman"
    if not folder.is_dir():
        pytest.skip(f"needs MakeHuman's assets ({folder} is absent)")
    from par_model.synthesis.render import Renderer, RenderError

    try:
        Renderer()
    except RenderError as error:
        pytest.skip(str(error))
    return folder


@pytest.mark.parametrize("motion", ["walking", "running", "staying"])
def test_nobody_sinks_or_floats(assets: Path, motion: str) -> None:
    from par_model.synthesis.bodies import load_bodies
    from par_model.synthesis.motion import pose_at, sample_style

    rng = np.random.default_rng(0)
    bank = load_bodies()
    for age, gender in (("young", "female"), ("adult", "male"), ("old", "female")):
        body = bank.sample(rng, age, gender)
        style = sample_style(rng, motion, body, ("swing", "hang"))
        for seconds in np.linspace(0, 2, 9):
            bones = pose_at(style, body, float(seconds)).matrices(body.joints, np.zeros(3), 0.0)
            rest = np.column_stack([body.vertices[:13380], np.ones(13380)])
            heights = np.einsum("nj,jb,nb->n", bank.weights[:13380], bones[:, 2], rest)
            assert -0.04 < heights.min() < (0.12 if motion == "running" else 0.04)
            assert heights.max() > 0.8 * body.height


def test_a_rider_holds_the_grips_and_treads_the_pedals(assets: Path) -> None:
    from par_model.synthesis.bodies import JOINT_INDEX, load_bodies
    from par_model.synthesis.cycling import CRANK, GRIP, pedal_pose

    body = load_bodies().sample(np.random.default_rng(1), "adult", "female")
    size = body.height / 1.72
    for phase in (0.0, 0.25, 0.6):
        pose = pedal_pose(body, 0.35, phase)
        for side, sign in (("L", 1), ("R", -1)):
            hand = pose.centres[JOINT_INDEX[f"hand.{side}"]]
            assert np.linalg.norm(hand - (GRIP + np.array([sign * 0.27, 0.06, 0.05])) * size) < 0.12
            ankle = pose.centres[JOINT_INDEX[f"foot.{side}"]]
            assert np.linalg.norm(ankle[1:] - CRANK[1:] * size) < 0.36 * size


@pytest.mark.parametrize(("age", "gender"), [("young", "female"), ("adult", "male")])
def test_hats_of_all_shapes_stand_off_the_skull_down_to_above_the_eyes(assets: Path, age: str, gender: str) -> None:
    from par_model.synthesis.bodies import load_bodies
    from par_model.synthesis.headwear import HATS, Hatter, sample_hat
    from par_model.synthesis.mesh import normals

    rng = np.random.default_rng(0)
    bank = load_bodies()
    hatter = Hatter(assets, bank)
    body = bank.sample(rng, age, gender)
    eyes = (np.abs(bank.mean[:, 2] - 1.693) < 0.006) & (bank.mean[:, 1] < -0.14)
    for kind in sorted(set(HATS) - {"fedora"}):
        for backwards in 10 * [False, True]:
            shape = replace(sample_hat(rng, kind), backwards=backwards)
            crown, *brims = hatter.wear(shape, body, 1, 2)
            used = np.unique(crown.faces)
            worn = crown.positions[used]
            middle = (worn[:, 1].min() + worn[:, 1].max()) / 2
            stands = ((crown.positions - body.vertices) * normals(body.vertices, crown.faces)).sum(1)[used]
            assert stands.min() > 0.002
            assert worn[worn[:, 1] < worn[:, 1].min() + 0.03, 2].min() > body.vertices[eyes, 2].mean()
            assert len(brims) == (kind in ("cap", "bucket"))
            for brim in brims:
                ahead, behind = middle - brim.positions[:, 1].min(), brim.positions[:, 1].max() - middle
                assert max(ahead, behind) > np.ptp(worn[:, 1]) / 2 + 0.005
                assert not shape.peak or (behind > ahead) == backwards
                gaps = np.linalg.norm(brim.positions[:, None] - worn[None], axis=2).min(1)
                assert gaps.min() < 0.01


def test_straps_lie_on_shoulders_and_not_on_necks_or_hoods(assets: Path) -> None:
    from par_model.synthesis import accessories, tailor

    maker = tailor.Tailor(assets)
    for seed in range(12):
        body = maker.bank.sample(np.random.default_rng(seed), "young" if seed % 3 else "adult", "female")
        top = maker.wardrobe.wear(maker.wardrobe.long_tops[0], body, 1, 0.01)
        layers = [top, maker.hatter.raise_hood(body, 2)] if seed % 2 else [top]
        surface = accessories.Surface(body, maker.bank, layers, 0.014)
        neck = body.joints[JOINT_INDEX["neck"], 2]
        for x in (-0.095, 0.095):
            point, weights = surface.shoulder(x)
            assert weights[accessories.NECK_JOINTS].sum() < 0.3
            assert point[2] < neck + 0.05


def test_people_are_dressed_as_their_labels_say(assets: Path) -> None:
    from par_model.synthesis import people, sampling, tailor

    maker = tailor.Tailor(assets)
    knee = maker.bank.mean_joints[JOINT_INDEX["shin.L"], 2]
    rng = np.random.default_rng(0)
    for _ in range(60):
        traits = replace(sampling.sample_traits(rng), bottom="shorts", bottom_short=True, held=True, hand_bag=None)
        person = maker.make(rng, traits, ("riding",))
        assert person.mesh.materials[people.BOTTOM].hem > knee
        assert person.worn["held object"] is False
    for number in range(20):
        traits = replace(
            sampling.sample_traits(rng), bottom="skirt", outer="coat", top_short=False, bottom_short=bool(number % 2),
            scarf=False, hood=False, backpack=False, shoulder_bag=False,
        )  # fmt: skip
        coat, skirt = _lofts(maker, traits, number)
        for height in np.linspace(max(coat[:, 2].min(), skirt[:, 2].min()) + 0.02, 0.95, 6):
            assert _girth(skirt, height) < _girth(coat, height)


def _lofts(maker: Any, traits: Any, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rest positions of coat tail and skirt, as they are put on."""
    from par_model.synthesis import people

    made: dict[int, np.ndarray] = {}
    loft = maker.wardrobe.loft

    def watched(body: Any, material: int, *arguments: Any, **options: Any) -> Any:
        layer = loft(body, material, *arguments, **options)
        made[material] = layer.canon
        return layer

    maker.wardrobe.loft = watched
    try:
        maker.make(np.random.default_rng(seed), traits, ("walking",))
    finally:
        maker.wardrobe.loft = loft
    return made[people.TOP], made[people.BOTTOM]


def _girth(points: np.ndarray, height: float) -> float:
    """How wide a loft is at a height, between its rings."""
    order = np.argsort(points[:, 2])
    rings = points[order].reshape(-1, 28, 3)
    return float(np.interp(height, rings[:, :, 2].mean(1), np.ptp(rings[:, :, 0], axis=1)))


def test_hair_lies_under_a_hat(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from par_model.synthesis import hair, sampling, tailor

    drawn: list[hair.HairCut] = []
    dress = hair.Barber.dress
    monkeypatch.setattr(hair.Barber, "dress", lambda *given: drawn.append(given[1]) or dress(*given))
    maker = tailor.Tailor(assets)
    rng = np.random.default_rng(0)
    for number in range(30):
        traits = replace(sampling.sample_traits(rng), hat="cap" if number % 2 else None, hood_up=False)
        maker.make(rng, traits, ("walking",))
    assert any(cut.volume for cut in drawn[::2])
    assert not any(cut.volume for cut in drawn[1::2])


def test_hair_before_a_shoulder_lies_on_the_clothes(assets: Path) -> None:
    from par_model.synthesis import hair, tailor

    maker = tailor.Tailor(assets)
    for seed, age in enumerate(("young", "adult", "old")):
        body = maker.bank.sample(np.random.default_rng(seed), age, "female")
        cloth = maker.wardrobe.wear(maker.wardrobe.long_tops[0], body, 1, 0.01)
        cut = hair.HairCut("long01", 1.2, True, front=(-1, 1))
        right, left = hair.locks(np.random.default_rng(seed), cut, body, maker.bank, [cloth], 4)
        for side, lock in ((-1, right), (1, left)):
            low = lock.positions.reshape(-1, 6, 3)[lock.canon.reshape(-1, 6, 3)[:, :, 2].mean(1) < 1.45]
            assert len(low)
            assert (side * low[..., 0] > 0).all()
            chest = cloth.positions[cloth.arm < 0.05]
            for ring in low:
                x, y, z = ring.mean(0)
                beside = chest[np.abs(chest[:, [0, 2]] - [x, z]).sum(1) < 0.03]
                assert len(beside)
                assert ring[:, 1].min() < beside[:, 1].min() - 0.005
                assert y < beside[:, 1].min() + 0.01
    cuts = [hair.sample_cut(np.random.default_rng(seed), True, "adult", "female") for seed in range(60)]
    assert {bool(cut.front) for cut in cuts} == {True, False}
    assert not any(cut.front for cut in cuts if cut.piece in ("ponytail01", "braid01"))


@pytest.mark.parametrize(
    ("pattern", "share"), [("YOKE", 0.97), ("PRINT", 0.5), ("ZIP", 0.5), ("HOOPS", 0.12), ("PANEL", 0.5)]
)
def test_the_colour_that_is_named_covers_most_of_a_top(
    assets: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, share: float
) -> None:
    from par_model.synthesis import colours, people, sampling, tailor, tracklets

    plain = sampling.sample_traits(np.random.default_rng(0))
    worn = replace(
        plain, top_colour="red", top_short=False, outer="none", bottom="trousers", backpack=False, shoulder_bag=False,
        scarf=False, tied=False,
    )  # fmt: skip
    red = colours.Material((0.6, 0.0, 0.0), (0.0, 0.6, 0.0), getattr(colours, pattern), 0.1, share=share)
    monkeypatch.setattr(sampling, "sample_traits", lambda rng: worn)
    monkeypatch.setattr(tailor, "cloth", lambda *arguments, **options: red)
    generator = tracklets.TrackletGenerator(assets, 3)
    draw, tops = generator.renderer.draw, []

    def watched(*arguments: Any) -> tuple[np.ndarray, np.ndarray]:
        picture, owners = draw(*arguments)
        tops.append(picture[(owners[..., 0] == tracklets.TARGET) & (owners[..., 1] == people.TOP)].astype(int))
        return picture, owners

    monkeypatch.setattr(generator.renderer, "draw", watched)
    for number in range(4):
        generator.make(number)
    top = np.concatenate(tops)
    assert len(top) > 2000
    assert np.mean(top[:, 0] > top[:, 1]) > 0.6
    assert np.mean(top[:, 1] > top[:, 0]) > (0.02 if pattern in ("YOKE", "PANEL", "HOOPS") else 0.0)


def test_the_seams_of_a_quilted_jacket_are_narrow_and_dark(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from par_model.synthesis import colours, people, sampling, tailor

    cloth = colours.Material((0.6, 0.0, 0.0))
    monkeypatch.setattr(tailor, "cloth", lambda *arguments, **options: cloth)
    anybody = sampling.sample_traits(np.random.default_rng(0))
    traits = replace(anybody, outer="jacket", top_colour="red", top_short=False, bottom="trousers")
    maker = tailor.Tailor(assets)
    tops = [
        maker.make(np.random.default_rng(seed), traits, ("walking",)).mesh.materials[people.TOP] for seed in range(20)
    ]
    quilted = [top for top in tops if top.pattern == colours.HOOPS]
    assert quilted
    assert all(top.share < 0.2 and top.second < top.first == cloth.first for top in quilted)


def members(path: Path) -> dict[str, bytes]:
    """Every file of a tar by name."""
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def shards(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return generate_tracklets(tmp_path_factory.mktemp("made"), 16, 5, assets, shard_size=8)


def test_a_tracklet_is_six_small_pictures_and_a_label(shards: list[Path]) -> None:
    from PIL import Image

    schema = load_schema("mars")
    for shard in shards:
        files = members(shard)
        keys = {name.partition(".")[0] for name in files}
        assert len(keys) == 8
        for key in keys:
            for frame in range(6):
                assert Image.open(io.BytesIO(files[f"{key}.{frame}.jpg"])).size == (96, 192)
            label = json.loads(files[f"{key}.json"])
            row = np.array(label["vector"])
            for name, columns in schema.slices.items():
                assert name in label["attributes"]
                if schema[name].kind == "one-of" and row[columns][0] != 2:
                    assert row[columns].sum() == 1
            assert len(label["boxes"]) == len(label["angle"]) == len(label["visible"]) == len(label["contrast"]) == 6


def test_only_what_shows_is_labelled(shards: list[Path]) -> None:
    answers = set()
    for shard in shards:
        for name, content in members(shard).items():
            if not name.endswith(".json"):
                continue
            label = json.loads(content)
            for thing in ("backpack", "shoulder bag", "hand bag"):
                answers.add(label["attributes"][thing])
                if label["attributes"][thing] is False:
                    assert sum(frame[thing] > 0.004 for frame in label["visible"]) < 2
                    assert all(frame[thing] < VISIBLE[thing] + 1e-4 for frame in label["visible"])
                frames = zip(label["pixels"], label["visible"], label["contrast"], strict=True)
                clear = sum(v[thing] * pixels >= 29 and c[thing] >= 11.9 for pixels, v, c in frames)
                assert not label["attributes"][thing] or (label["worn"][thing] and clear >= 2)
    assert answers >= {True, False}


def test_a_stopped_generation_goes_on_with_the_same_bytes(assets: Path, shards: list[Path], tmp_path: Path) -> None:
    (tmp_path / shards[0].name).write_bytes(shards[0].read_bytes())
    (tmp_path / shards[1].with_suffix(".partial").name).write_bytes(b"half a shard")
    seen: list[tuple[int, int]] = []
    again = generate_tracklets(tmp_path, 16, 5, assets, shard_size=8, progress=lambda *done: seen.append(done))
    assert seen[0] == (8, 16)
    assert again[1].read_bytes() == shards[1].read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_two_processes_make_what_one_makes(assets: Path, shards: list[Path], tmp_path: Path) -> None:
    both = generate_tracklets(tmp_path, 16, 5, assets, processes=2, shard_size=8)
    assert [path.read_bytes() for path in both] == [path.read_bytes() for path in shards]


def test_the_card_counts_every_word(shards: list[Path]) -> None:
    card = write_card(shards, shards[0].parent).read_text(encoding="utf-8")
    assert "16 tracklets in 2 shards" in card
    for word in load_schema("mars").words:
        assert f"| {word} |" in card
    assert (shards[0].parent / "contact.png").stat().st_size > 1000


@pytest.mark.parametrize("processes", [1, 2])
def test_absent_assets_are_named_in_one_line(assets: Path, tmp_path: Path, processes: int) -> None:
    with pytest.raises(ValueError, match=r"no \.mhclo file; pass --assets") as caught:
        generate_tracklets(tmp_path / "out", 1, 0, tmp_path, processes=processes)
    assert "\n" not in str(caught.value)


def test_a_scene_comes_with_its_truth(assets: Path, tmp_path: Path) -> None:
    import av

    video, truth, answers = generate_scene(tmp_path, 3, 1.0, (480, 270), 6, assets, fps=5.0)
    with av.open(str(video)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) == 5
    assert pictures[0].shape == (270, 480, 3)
    rows = np.loadtxt(truth, delimiter=",")
    assert rows.shape[1] == 9
    assert set(rows[:, 0]) == {1, 2, 3, 4, 5}
    assert ((rows[:, 8] >= 0) & (rows[:, 8] <= 1)).all()
    np.testing.assert_array_equal(rows[:, 6], rows[:, 8] >= 0.1)
    document = json.loads(answers.read_text(encoding="utf-8"))
    assert set(document["people"]) == {str(k) for k in range(1, 7)}
    named = {a.word for g in load_schema("mars").groups for a in g.attributes}
    for person in document["people"].values():
        for value in person["attributes"].values():
            assert value is None or isinstance(value, bool) or value in named


def test_a_scene_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 to 15 people"):
        generate_scene(tmp_path, 1, 1.0, (480, 270), 40, tmp_path)
