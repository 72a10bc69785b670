"""Random changes to a batch of tracklets, drawn once a tracklet so that its frames stay one recording."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from par_model.training.config import Augmentation


def plain(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Nothing but the change of format. pictures: (B, T, 3, H, W) uint8 -> (B, T, 3, h, w) in [0, 1]."""
    x = pictures.float().div_(255.0)
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x.flatten(0, 1), size=size, mode="area").view(*x.shape[:3], *size)


class Augmenter:
    """Turns stored pictures into a training batch: box jitter, flip, light, colour cast, blur, noise, erasing.

    Colours are cast and dimmed but hues are never rotated, so that red stays red. `lateral` has no side, so
    mirroring keeps the labels. size: (height, width) of the result in pixels.
    """

    def __init__(self, settings: Augmentation, size: tuple[int, int]) -> None:
        self.settings = settings
        self.size = size

    def __call__(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """pictures: (B, T, 3, H, W) RGB uint8. Returns (B, T, 3, h, w) RGB in [0, 1].

        generator: on the CPU; the same state gives the same batch on every device but for the grain of the noise.
        """
        draw = Draw(generator, pictures.shape[0], pictures.shape[1], pictures.device)
        if self.settings.independent_frames:
            return self._shift_and_flip(plain(pictures, self.size), draw)
        return self._change(pictures, self._boxes(draw), draw)

    def with_maps(
        self, pictures: Tensor, maps: Tensor, cells: tuple[int, int], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """As a call, and the same boxes cut from the pictures' part maps.

        maps: (B, T, h', w') uint8; cells: (down, across) of the maps returned, (B, T, *cells) uint8.
        """
        draw = Draw(generator, pictures.shape[0], pictures.shape[1], pictures.device)
        theta = self._boxes(draw)
        grid = _grid(theta.flatten(0, 1), cells)
        cut = F.grid_sample(maps.flatten(0, 1)[:, None].float(), grid, "nearest", "border", align_corners=False)
        return self._change(pictures, theta, draw), cut[:, 0].to(torch.uint8).view(*maps.shape[:2], *cells)

    def _change(self, pictures: Tensor, theta: Tensor, draw: Draw) -> Tensor:
        x = self._geometry(plain(pictures, (pictures.shape[3], pictures.shape[4])), theta, draw)
        x = self._blur(self._light(x, draw), draw)
        return self._erase(self._noise(x, draw), draw).clamp_(0.0, 1.0)

    def _shift_and_flip(self, x: Tensor, draw: Draw) -> Tensor:
        """The published augmentation: black border, random crop and mirroring, drawn anew for each frame."""
        border = self.settings.shift_pixels
        batch, frames, _, height, width = x.shape
        padded = F.pad(x.flatten(0, 1), (border,) * 4)
        top = draw.integers(batch * frames, 2 * border + 1)
        left = draw.integers(batch * frames, 2 * border + 1)
        mirrored = draw.integers(batch * frames, 2)
        cut = [
            frame[:, t : t + height, w : w + width].flip(-1) if m else frame[:, t : t + height, w : w + width]
            for frame, t, w, m in zip(padded, top, left, mirrored, strict=True)
        ]
        return torch.stack(cut).view(x.shape)

    def _boxes(self, draw: Draw) -> Tensor:
        """(B, T, 2, 3): another box round the same person, shifted a little more per frame."""
        s = self.settings
        scale = 1.0 + s.scale * draw.signed()
        aspect = torch.exp(s.aspect * draw.signed())
        angle = math.radians(s.rotation) * draw.signed()
        mirror = torch.where(draw.uniform() < s.flip, -1.0, 1.0)
        shift = [s.shift * draw.signed() + s.frame_shift * draw.signed(per_frame=True) for _ in range(2)]
        theta = torch.zeros(draw.batch, draw.frames, 2, 3, device=draw.device)
        theta[..., 0, 0] = mirror * scale / aspect * angle.cos()
        # Both axes of the coordinates go from -1 to 1, however much taller than wide the picture is.
        tall = self.size[0] / self.size[1]
        theta[..., 0, 1] = -scale * angle.sin() * tall
        theta[..., 1, 0] = mirror * scale * angle.sin() / tall
        theta[..., 1, 1] = scale * aspect * angle.cos()
        theta[..., 0, 2], theta[..., 1, 2] = 2.0 * shift[0], 2.0 * shift[1]
        return theta

    def _geometry(self, x: Tensor, theta: Tensor, draw: Draw) -> Tensor:
        """The boxes' pictures, (B, T, 3, *size); some people seen from afar.

        Distance is drawn for a quarter of the batch at a time, as it changes the size pictures are sampled at.
        """
        s = self.settings
        batch, frames = x.shape[:2]
        parts = []
        for part, boxes in zip(x.chunk(4), theta.chunk(4), strict=True):
            chance, size = draw.scalars(2)
            factor = 1.5 + size * (s.max_shrink - 1.5) if chance < s.low_resolution else 1.0
            parts.append(self._sample(part.flatten(0, 1), boxes.flatten(0, 1), factor))
        return torch.cat(parts).view(batch, frames, 3, *self.size)

    def _sample(self, x: Tensor, theta: Tensor, factor: float) -> Tensor:
        """x: (N, 3, H, W); theta: (N, 2, 3).

        Returns (N, 3, h, w), with the detail of a picture `factor` times smaller.
        """
        small = [max(8, round(side / factor)) for side in self.size]
        halvings = 0 if factor == 1.0 else 1 if factor < 3.0 else 2
        for _ in range(halvings):
            x = F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)
        x = F.grid_sample(x, _grid(theta, (small[0], small[1])), padding_mode="border", align_corners=False)
        return x if halvings == 0 else F.interpolate(x, size=self.size, mode="bilinear", align_corners=False)

    def _light(self, x: Tensor, draw: Draw) -> Tensor:
        """Mid-tones, exposure, contrast, a veil, shadows tinted or lost, saturation, and the cast of a lamp or of dusk.

        All but the mid-tones are linear in RGB, so they are one 3 x 3 matrix and an offset per tracklet.
        """
        s = self.settings
        x = torch.addcmul(x, draw.spread(s.gamma * draw.signed()), x * (1.0 - x))
        cast = 1.0 + draw.sometimes(s.cast_chance, s.cast)
        warmth, tint = s.temperature * cast * draw.signed(), s.tint * cast * draw.signed()
        exposure = s.exposure * draw.signed() - draw.sometimes(s.dark_chance, s.dark)
        gains = torch.exp(torch.cat([warmth, -tint, -warmth], dim=1) + exposure)
        saturation = (1.0 + s.saturation * draw.signed())[..., None]
        contrast = (1.0 + s.contrast * draw.signed())[..., None]
        haze = draw.sometimes(s.haze_chance, s.haze)[..., None]
        crush = draw.sometimes(s.crush_chance, s.crush)[..., None]
        luma = x.new_tensor([0.299, 0.587, 0.114])
        matrix = saturation * torch.eye(3, device=x.device) + (1.0 - saturation) * luma
        matrix = matrix * gains[:, None, :]
        mean = (matrix @ x.mean(dim=(1, 3, 4))[..., None]).mean(dim=1, keepdim=True)
        tints = torch.cat([draw.signed() for _ in range(3)], dim=1)
        veil = (0.25 + 0.7 * draw.uniform()) * torch.exp(s.veil_tint * tints)
        offset = mean * (1.0 - contrast) * (1.0 - haze) + haze * veil[..., None]
        matrix = matrix * contrast * (1.0 - haze) / (1.0 - crush)
        shadows = s.shadows * torch.cat([draw.signed() for _ in range(3)], dim=1)[..., None]
        offset = (offset - crush) / (1.0 - crush) + shadows
        planes = x.movedim(2, 1).flatten(2)
        return torch.baddbmm(offset, matrix, planes).view(len(x), 3, -1, *self.size).movedim(1, 2)

    def _blur(self, x: Tensor, draw: Draw) -> Tensor:
        """Defocus and motion: for some tracklets a 5 x 5 kernel, its widths drawn apart for rows and columns."""
        s = self.settings
        chosen = (draw.uniform() < s.blur_chance)[:, 0]
        steps = torch.arange(-2, 3, device=x.device)
        lines = []
        for _ in range(2):
            sigma = (0.2 + s.blur * draw.uniform())[chosen]
            line = torch.exp(-0.5 * (steps / sigma) ** 2)
            lines.append(line / line.sum(-1, keepdim=True))
        if not bool(chosen.any()):
            return x
        count, planes = int(chosen.sum()), x.shape[1] * 3
        kernel = (lines[0][:, :, None] * lines[1][:, None, :]).repeat_interleave(planes, dim=0)[:, None]
        edged = F.pad(x[chosen].flatten(1, 2), (2, 2, 2, 2), mode="replicate")
        blurred = F.conv2d(edged.flatten(0, 1)[None], kernel, groups=count * planes)
        x = x.contiguous()
        x[chosen] = blurred[0].view(count, *x.shape[1:])
        return x

    def _noise(self, x: Tensor, draw: Draw) -> Tensor:
        """Sensor noise. Eight tracklets share a pattern, which is all the difference learning could notice."""
        strength = draw.spread(self.settings.noise * draw.uniform().square())
        pattern = draw.normal((-(-len(x) // 8), *x.shape[1:]))
        return x.addcmul_(strength, pattern.repeat(8, 1, 1, 1, 1)[: len(x)])

    def _erase(self, x: Tensor, draw: Draw) -> Tensor:
        """A flat patch in front of some of the people, at the same place in every frame."""
        s = self.settings
        covered = draw.uniform() < s.erase_chance
        lines = []
        for side in self.size:
            length = 0.06 + s.erase * draw.uniform()
            start = draw.uniform() * (1.0 - length)
            place = (torch.arange(side, device=x.device) + 0.5) / side
            lines.append((place >= start) & (place < start + length))
        patch = (covered[..., None] & lines[0][:, :, None] & lines[1][:, None, :])[:, None, None]
        colour = torch.cat([draw.uniform() for _ in range(3)], dim=1)[:, None, :, None, None]
        return torch.where(patch, colour, x)


def _grid(theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Where F.grid_sample finds the pixels of a box. theta: (N, 2, 3). Returns (N, *size, 2)."""
    down, across = (torch.linspace(1.0 / n - 1.0, 1.0 - 1.0 / n, n, device=theta.device) for n in size)
    t = theta[..., None, None]
    lines = [t[:, i, 0] * across + t[:, i, 1] * down[:, None] + t[:, i, 2] for i in (0, 1)]
    return torch.stack(lines, dim=-1)


class Draw:
    """Random numbers for one batch: (B, 1) shared by a tracklet's frames, or (B, T)."""

    def __init__(self, generator: torch.Generator, batch: int, frames: int, device: torch.device) -> None:
        self.generator = generator
        self.batch = batch
        self.frames = frames
        self.device = device

    def sometimes(self, chance: float, most: float) -> Tensor:
        """(B, 1): up to `most` for the share `chance` of the tracklets, 0 for the others."""
        strength = most * self.uniform()
        return torch.where(self.uniform() < chance, strength, torch.zeros_like(strength))

    def uniform(self, *, per_frame: bool = False) -> Tensor:
        """In [0, 1)."""
        shape = (self.batch, self.frames if per_frame else 1)
        return torch.rand(shape, generator=self.generator).to(self.device)

    def signed(self, *, per_frame: bool = False) -> Tensor:
        """In [-1.5, 1.5), dense near 0, with a standard deviation of a half."""
        shape = (3, self.batch, self.frames if per_frame else 1)
        return (torch.rand(shape, generator=self.generator).mean(0) * 2.0 - 1.0).to(self.device) * 1.5

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Drawn on the device itself, from a seed: these are too many to be sent there."""
        seed = int(torch.randint(2**31, (1,), generator=self.generator))
        return torch.randn(shape, generator=torch.Generator(self.device).manual_seed(seed), device=self.device)

    def integers(self, count: int, high: int) -> list[int]:
        return [int(value) for value in torch.randint(high, (count,), generator=self.generator)]

    def scalars(self, count: int) -> list[float]:
        return [float(value) for value in torch.rand(count, generator=self.generator)]

    @staticmethod
    def spread(value: Tensor) -> Tensor:
        """(B, 1) or (B, T) -> (B, 1 or T, 1, 1, 1)"""
        return value[..., None, None, None]
