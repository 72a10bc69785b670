"""What is kept of a crop: all that the model needs of it again, in windows to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    Array = np.ndarray | Tensor


@dataclass(frozen=True, slots=True, eq=False)
class CropFeature:
    """One encoded crop; arrays are numpy on a CPU, tensors on the GPU that made them.

    tokens: (1 + N, D) output of the spatial side network.
    first: (L, N, D) the crop's part in the temporal side network as the first of a window, one for each of L taps.
    later: (L, N, D) its part as any other frame.
    appearance: (K,) float32 of unit length; the inner product of two compares two crops.
    mirrored: the same of the crop's mirror image, where that is read too.
    """

    tokens: Array
    first: Array
    later: Array
    appearance: np.ndarray
    mirrored: CropFeature | None = None

    @property
    def nbytes(self) -> int:
        """Bytes this crop keeps alive."""
        own = int(sum(a.nbytes for a in (self.tokens, self.first, self.later, self.appearance)))
        return own + (self.mirrored.nbytes if self.mirrored is not None else 0)
