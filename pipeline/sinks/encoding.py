"""How every video here is encoded: H.264 in 4:2:0 with the colours of BT.709, and marked so."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.types import Image

if TYPE_CHECKING:
    from av import VideoFrame

CLOCK = Fraction(1, 90_000)
"""Time base of videos whose source brings none."""
BT709 = 1
"""Its number in the video standards' tables of primaries, transfer and matrix."""
LIMITED_RANGE = 1


def prepare(context: Any, width: int, height: int, time_base: Fraction) -> None:
    """Set up an encoder for pictures of even sides."""
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base = time_base
    context.color_primaries = context.color_trc = context.colorspace = BT709
    context.color_range = LIMITED_RANGE


def encodable(image: Image, pts: int, time_base: Fraction) -> VideoFrame:
    """The picture as such an encoder takes it."""
    import av

    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
    picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
    picture.pts, picture.time_base = pts, time_base
    return picture
