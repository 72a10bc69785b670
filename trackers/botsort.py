"""BoT-SORT: ByteTrack with a compensated camera (Aharon et al., 2022), without its appearance network."""

from __future__ import annotations

from typing import Any

import numpy as np

from trackers import motion
from trackers.bytetrack import ByteTrack
from trackers.camera_motion import PictureMotion


class BotSort(ByteTrack):
    """ByteTrack whose predictions follow the camera's own motion.

    camera_motion: estimate it from the pictures given to `update`; costs far more than the rest of the
    tracker, so it is off for the fixed cameras that most are. Other options as in ByteTrack.
    """

    def __init__(self, camera_motion: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._camera = PictureMotion() if camera_motion else None

    def _compensate(self, boxes: np.ndarray, frame: np.ndarray | None) -> None:
        if self._camera is not None and frame is not None:
            motion.warp(self._states, self._camera.update(frame, boxes))

    def reset(self) -> None:
        """Forget every track and the last picture; ids go on from where they were."""
        super().reset()
        if self._camera is not None:
            self._camera = PictureMotion()
