"""MakeHuman garments and hair: reading .mhclo/.obj pairs and fitting them to a body.

The format is MakeHuman's "proxy" text file: every vertex is a mixture of three body vertices plus an offset that
scales with reference distances of the body.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

ASSET_HOME = "https://github.com/makehumancommunity/makehuman-assets"


@dataclass(frozen=True)
class Piece:
    """A mesh that hangs on body vertices.

    hosts (N, 3) body vertex indices, shares (N, 3) their weights, offsets (N, 3) in anny axes and reference units,
    references: per axis (first vertex, second vertex, length in units); faces (F, 4), triangles repeat the last
    corner; hides: body vertices that lie under it.
    """

    name: str
    hosts: np.ndarray
    shares: np.ndarray
    offsets: np.ndarray
    references: tuple[tuple[int, int, float], ...]
    faces: np.ndarray
    hides: np.ndarray

    def fit(self, vertices: np.ndarray) -> np.ndarray:
        """(N, 3) positions on a body with (V, 3) `vertices`."""
        scale = np.array(
            [abs(vertices[a, axis] - vertices[b, axis]) / unit for axis, (a, b, unit) in enumerate(self.references)],
            np.float32,
        )
        fitted: np.ndarray = np.einsum("nkc,nk->nc", vertices[self.hosts], self.shares) + self.offsets * scale
        return fitted

    def weigh(self, weights: np.ndarray) -> np.ndarray:
        """(N, J) skin weights: the hosts' (V, J) `weights` mixed by their shares."""
        shares = np.maximum(self.shares, 0)
        mixed = np.einsum("nkj,nk->nj", weights[self.hosts], shares)
        normalised: np.ndarray = mixed / np.maximum(mixed.sum(1, keepdims=True), 1e-6)
        return normalised

    @cached_property
    def components(self) -> np.ndarray:
        """(N,) number of the connected part a vertex belongs to, largest part first."""
        parent = np.arange(len(self.hosts))
        edges = np.concatenate([self.faces[:, [0, k]] for k in (1, 2, 3)])
        while True:  # label propagation with pointer jumping: a dozen rounds at most
            low = np.minimum(parent[edges[:, 0]], parent[edges[:, 1]])
            before = parent.copy()
            np.minimum.at(parent, edges[:, 0], low)
            np.minimum.at(parent, edges[:, 1], low)
            parent = parent[parent]
            if np.array_equal(before, parent):
                break
        _, labels, counts = np.unique(parent, return_inverse=True, return_counts=True)
        rank = np.empty(len(counts), int)
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
        return rank[labels]

    def part(self, name: str, keep: np.ndarray, hides: np.ndarray) -> Piece:
        """The sub-mesh of the (N,) boolean `keep`, with its own list of hidden body vertices."""
        number = np.cumsum(keep) - 1
        faces = number[self.faces[keep[self.faces].all(1)]]
        return Piece(name, self.hosts[keep], self.shares[keep], self.offsets[keep], self.references, faces, hides)


def load_piece(assets: Path, kind: str, name: str) -> Piece:
    """Read the first .mhclo of `assets/kind/name` and the .obj it names.

    Raises ValueError naming the file that is missing and where to get it.
    """
    path = next(iter(sorted((assets / kind / name).glob("*.mhclo"))), None)
    if path is None:
        raise ValueError(
            f"{assets / kind / name}: no .mhclo file; pass --assets the folder of MakeHuman's CC0 clothes and hair "
            f"({ASSET_HOME})"
        )
    references: dict[str, tuple[int, int, float]] = {}
    rows: list[list[float]] = []
    hides: list[int] = []
    section, mesh = "", f"{name}.obj"
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("verts", "delete_verts"):
            section = words[0]
        elif words[0] in ("x_scale", "y_scale", "z_scale"):
            references[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] == "obj_file":
            mesh = words[1]
        elif section == "verts" and words[0].lstrip("-").isdigit():
            rows.append([float(w) for w in words])
        elif section == "delete_verts" and words[0].isdigit():
            hides += _ranges(words)
    table = np.array([row if len(row) == 9 else [row[0]] * 3 + [1, 0, 0, 0, 0, 0] for row in rows], np.float32)
    x, y, z = references["x"], references["y"], references["z"]
    return Piece(
        name,
        hosts=table[:, :3].astype(int),
        shares=table[:, 3:6],
        offsets=table[:, [6, 8, 7]] * np.array([1, -1, 1], np.float32),
        references=(x, z, y),
        faces=_obj_faces(path.with_name(mesh)),
        hides=np.array(hides, int),
    )


def _ranges(words: list[str]) -> list[int]:
    """Indices of a line such as "3 - 6 9": 3 4 5 6 9."""
    found: list[int] = []
    upto = False
    for word in words:
        if word == "-":
            upto = True
        elif upto:
            found += range(found[-1] + 1, int(word) + 1)
            upto = False
        else:
            found.append(int(word))
    return found


def _obj_faces(path: Path) -> np.ndarray:
    """(F, 4) zero-based corners; a triangle repeats its last one."""
    faces = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("f "):
            corners = [int(word.split("/")[0]) - 1 for word in line.split()[1:]]
            faces += [[corners[0], *corners[i : i + 2], corners[min(i + 2, len(corners) - 1)]]
                      for i in range(1, len(corners) - 1, 2)]  # fmt: skip
    return np.array(faces, np.int32)
