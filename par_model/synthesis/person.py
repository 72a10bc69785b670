"""A person: body, clothes, hair and things carried, joined into one skinned mesh with a table of materials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from par_model.synthesis.bodies import SKIN_VERTICES, Body, BodyBank
from par_model.synthesis.colours import Material
from par_model.synthesis.mesh import Layer, Skinning, normals

VERTEX = np.dtype(
    [("position", "3f4"), ("normal", "3f4"), ("canon", "3f4"), ("arm", "f4"), ("material", "f4"),
     ("joints", "4u1"), ("weights", "4u1")]
)  # fmt: skip
SKIN = 0  # material number of the body


@dataclass(frozen=True)
class PersonMesh:
    """What the renderer draws: vertices (N,) of VERTEX, triangle indices (3F,), the materials by number.

    closed: how many of the indices, from the first, belong to surfaces seen from outside only.
    """

    vertices: np.ndarray
    indices: np.ndarray
    materials: tuple[Material, ...]
    closed: int


def assemble(
    bank: BodyBank,
    faces: np.ndarray,
    body: Body,
    layers: list[Layer],
    hidden: np.ndarray,
    materials: tuple[Material, ...],
    arm: np.ndarray,
    skin: Skinning,
) -> PersonMesh:
    """Join the visible skin and every layer.

    faces: (F, 4) of the skin; hidden: (V,) body vertices under cloth; arm: (V,) arm coordinates; skin: how the
    body's vertices move.
    """
    # A skin face goes only when all its corners are covered: edges of cloth keep skin beneath them.
    faces = faces[~hidden[faces].all(1)]
    bare = Layer(
        body.vertices[:SKIN_VERTICES], bank.mean[:SKIN_VERTICES], arm[:SKIN_VERTICES],
        skin, faces, SKIN, closed=True,
    )  # fmt: skip
    parts, indices, start, closed = [], [], 0, 0
    for layer in sorted([bare, *layers], key=lambda layer: not layer.closed):
        used, renumbered = np.unique(layer.faces, return_inverse=True)
        part = np.zeros(len(used), VERTEX)
        part["position"] = layer.positions[used]
        part["normal"] = normals(layer.positions, layer.faces)[used]
        part["canon"], part["arm"], part["material"] = layer.canon[used], layer.arm[used], layer.material
        part["joints"], part["weights"] = layer.skin.bones[used], layer.skin.weights[used]
        parts.append(part)
        quads = renumbered.reshape(-1, 4).astype(np.uint32) + start
        split = quads[:, 2] != quads[:, 3]
        indices += [quads[:, [0, 1, 2]], quads[split][:, [0, 2, 3]]]
        start += len(used)
        closed += layer.closed * 3 * (len(quads) + int(split.sum()))
    return PersonMesh(np.concatenate(parts), np.concatenate(indices).reshape(-1), materials, closed)
