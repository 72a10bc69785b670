"""Drawing: one OpenGL context without a window that renders streets once and people into windows of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from par_model.synthesis.colours import Material
from par_model.synthesis.person import VERTEX, PersonMesh
from par_model.synthesis.world import SKY_DISTANCE, World

SHADERS = Path(__file__).parent / "shaders"
MAX_PEOPLE, MAX_MATERIALS = 16, 23


class RenderError(ValueError):
    """No OpenGL: what is missing and which packages bring it."""


@dataclass(frozen=True)
class Scene:
    """A rendered street: textures of its picture and depth, the picture as (H, W, 3) RGB and where it came from."""

    world: World
    colour: Any
    depth: Any

    def release(self) -> None:
        """Give the textures back."""
        self.colour.release()
        self.depth.release()


@dataclass(frozen=True)
class Look:
    """What the shaders need besides the mesh: hair colour, scalp (painted, hairline, beard, bare crown), a seed."""

    hair: tuple[float, float, float]
    scalp: tuple[float, float, float, float]
    seed: float


@dataclass(frozen=True)
class Figure:
    """A person at one moment: uploaded mesh, bone matrices (BONES, 4, 4), capsules (10, 2, 4) in the world, number."""

    mesh: UploadedMesh
    bones: np.ndarray
    capsules: np.ndarray
    identity: int


@dataclass(frozen=True)
class UploadedMesh:
    """A person's vertices and indices on the device, with the materials, the look and PersonMesh.closed."""

    array: Any
    buffers: tuple[Any, ...]
    materials: tuple[Material, ...]
    look: Look
    closed: int

    def release(self) -> None:
        """Give the buffers back."""
        self.array.release()
        for buffer in self.buffers:
            buffer.release()


class Renderer:
    """Draws into off-screen buffers with Mesa's software rasteriser or a GPU.

    Raises RenderError when no EGL display can be opened.
    """

    def __init__(self) -> None:
        # Several generator processes share the cores: none gets rasteriser threads of its own.
        os.environ.setdefault("LP_NUM_THREADS", "0")
        try:
            import moderngl
        except ImportError as error:
            raise RenderError("moderngl is not installed; pip install '.[synth]' in Sidewalk's folder") from error
        try:
            settings: dict[str, Any] = {"standalone": True, "backend": "egl", "require": 330}
            self.gl: Any = moderngl.create_context(**settings)
        except Exception as error:
            raise RenderError(
                f"no OpenGL through EGL ({error}); on Debian: apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri"
            ) from error
        self._moderngl = moderngl
        common = (SHADERS / "common.glsl").read_text()

        def program(vertex: str, fragment: str) -> Any:
            head = "#version 330\n" + common
            return self.gl.program(vertex_shader=head + vertex, fragment_shader=head + fragment)

        def read(name: str) -> str:
            return (SHADERS / name).read_text()

        self._person = program(read("person.vert"), read("person.frag"))
        quad = (
            "in vec2 corner; out vec2 uv;"
            "void main() { uv = corner * 0.5 + 0.5; gl_Position = vec4(corner, 0.9999, 1.0); }"
        )
        self._backdrop = program(quad, read("backdrop.frag"))
        self._world = program(read("world.vert"), read("world.frag"))
        shadow = "uniform mat4 view; in vec3 position; void main() { gl_Position = view * vec4(position, 1.0); }"
        self._shadow = program(shadow, "void main() {}")
        corners = self.gl.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], "f4"))
        self._quad = self.gl.vertex_array(self._backdrop, [(corners, "2f", "corner")])
        self._targets: dict[tuple[int, int], tuple[Any, Any, Any]] = {}

    def render_scene(self, world: World, picture: Path | None = None) -> Scene:
        """Draw a street once: its picture with the share of sunlight per pixel, and its depth.

        picture: a photograph to show instead of everything but the light, the ground's shape and the obstacles.
        """
        gl, camera, light = self.gl, world.camera, world.light
        vertices, indices = gl.buffer(world.vertices.tobytes()), gl.buffer(world.indices.tobytes())
        shadow_map = gl.depth_texture((2048, 2048))
        sun_view = _sun_matrix(light.to_sun)
        stride = world.vertices.dtype.itemsize
        caster = gl.vertex_array(self._shadow, [(vertices, f"3f {stride - 12}x", "position")], index_buffer=indices)
        target = gl.framebuffer(depth_attachment=shadow_map)
        target.use()
        target.clear(depth=1.0)
        gl.enable(self._moderngl.DEPTH_TEST)
        _write(self._shadow, view=sun_view.T)
        caster.render()
        width, height = camera.size
        colour, depth = gl.texture((width, height), 4), gl.texture((width, height), 1, dtype="f4")
        nearest = gl.depth_renderbuffer((width, height))
        buffer = gl.framebuffer([colour, depth], nearest)
        buffer.use()
        sky = _encode(light.sky * light.exposure * 1.1)
        buffer.clear(*sky, 0.0, depth=1.0)
        program = self._world
        shadow_map.compare_func = ""
        shadow_map.use(0)
        array = gl.vertex_array(
            program, [(vertices, "3f 3f 3f 3f 1f 1f", "position", "normal", "local", "tint", "material", "seed")],
            index_buffer=indices,
        )  # fmt: skip
        _write(
            program, view=camera.matrix().T, sun_depth=0, sun_view=sun_view.T, eye=camera.eye,
            forward=camera.axes[:, 2], to_sun=light.to_sun, sun_colour=light.sun, sky_colour=light.sky,
            bounce_colour=light.bounce, exposure=light.exposure, seed=world.seed, zones=world.zones,
            ground_a=world.ground[0], ground_b=world.ground[1], road=world.ground[2], wet=world.wet,
        )  # fmt: skip
        array.render()
        values = np.frombuffer(depth.read(), "f4").reshape(height, width).copy()
        drawn = np.frombuffer(buffer.read(components=1, attachment=-1, dtype="f4"), "f4").reshape(height, width)
        values[drawn >= 1.0] = SKY_DISTANCE
        depth.write(values.tobytes())
        if picture is not None:
            colour.write(_photograph(picture, (width, height), np.frombuffer(colour.read(), np.uint8)))
        depth.filter = (self._moderngl.NEAREST, self._moderngl.NEAREST)
        for item in (array, caster, target, buffer, nearest, shadow_map, vertices, indices):
            item.release()
        return Scene(world, colour, depth)

    def upload(self, mesh: PersonMesh, look: Look) -> UploadedMesh:
        """Put a person on the device."""
        vertices, indices = self.gl.buffer(mesh.vertices.tobytes()), self.gl.buffer(mesh.indices.tobytes())
        array = self.gl.vertex_array(
            self._person,
            [(vertices, "3f 3f 3f 1f 1f 4u1 4f1", *(VERTEX.names or ()))],
            index_buffer=indices,
        )  # fmt: skip
        return UploadedMesh(array, (vertices, indices), mesh.materials, look, mesh.closed)

    def draw(
        self,
        scene: Scene,
        figures: list[Figure],
        window: tuple[float, float, float, float],
        size: tuple[int, int],
        hidden_too: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """People in a window (x, y, width, height; 0..1, y up) of a scene, `size` = width and height in pixels.

        hidden_too draws people in front of the street's obstacles. Returns the picture (H, W, 3) uint8 RGB and the
        owners (H, W, 2) uint8: person number (0 none) and material.
        """
        buffer, colour, owner = self._target(size)
        camera, light = scene.world.camera, scene.world.light
        buffer.use()
        buffer.clear(depth=1.0)
        scene.colour.use(0)
        scene.depth.use(1)
        casters = figures[:MAX_PEOPLE]
        shadow_a = np.zeros((6 * MAX_PEOPLE, 4), "f4")
        shadow_b = np.zeros((6 * MAX_PEOPLE, 4), "f4")
        bounds = np.zeros((MAX_PEOPLE, 4), "f4")
        for k, figure in enumerate(casters):
            shadow_a[6 * k : 6 * k + 6], shadow_b[6 * k : 6 * k + 6] = figure.capsules[:6, 0], figure.capsules[:6, 1]
            foot, top = figure.capsules[0, 0, :2], figure.capsules[1, 0, 2]
            bounds[k] = *foot, top / max(light.to_sun[2], 0.15), (0.75 + light.softness) ** 2
        _write(
            self._backdrop, scene_colour=0, scene_depth=1, scene_window=window, frame_tangent=camera.tangent,
            axes=camera.axes.T, eye=camera.eye, to_sun=light.to_sun, sun_softness=light.softness,
            shadow_a=shadow_a, shadow_b=shadow_b, bounds=bounds, people=len(casters),
        )  # fmt: skip
        self.gl.disable(self._moderngl.DEPTH_TEST)
        self._quad.render(self._moderngl.TRIANGLE_STRIP)
        self.gl.enable(self._moderngl.DEPTH_TEST)
        _write(
            self._person, view=camera.matrix(window).T, eye=camera.eye, to_sun=light.to_sun, sun_colour=light.sun,
            sky_colour=light.sky, bounce_colour=light.bounce, exposure=light.exposure, scene_depth=1,
            scene_window=window, target_size=size, forward=camera.axes[:, 2],
            tolerance=1e6 if hidden_too else 0.05, sun_softness=light.softness,
        )  # fmt: skip
        for figure in figures:
            self._draw_figure(figure)
        width, height = size
        picture = np.frombuffer(colour.read(), np.uint8).reshape(height, width, 4)[::-1, :, :3]
        owners = np.frombuffer(owner.read(), np.uint8).reshape(height, width, 2)[::-1]
        return picture, owners

    def _draw_figure(self, figure: Figure) -> None:
        look, materials = figure.mesh.look, figure.mesh.materials
        first, second = np.zeros((MAX_MATERIALS, 4), "f4"), np.zeros((MAX_MATERIALS, 4), "f4")
        surface, cut = np.zeros((MAX_MATERIALS, 4), "f4"), np.zeros((MAX_MATERIALS, 4), "f4")
        for i, material in enumerate(materials):
            first[i] = *material.first, material.pattern
            second[i] = *material.second, material.scale
            surface[i] = material.gloss, material.wrinkle, material.sleeve, material.hem
            cut[i] = material.top, material.slope, material.face, material.share
        _write(
            self._person, bones=figure.bones.transpose(0, 2, 1), capsule_a=figure.capsules[:, 0],
            capsule_b=figure.capsules[:, 1], first=first, second=second, surface=surface, cut=cut,
            hair_colour=look.hair, scalp=look.scalp, seed=look.seed, identity=float(figure.identity),
        )  # fmt: skip
        # Half of a body faces away; not shading it saves a third of the time.
        array, closed = figure.mesh.array, figure.mesh.closed
        self.gl.enable(self._moderngl.CULL_FACE)
        array.render(vertices=closed)
        self.gl.disable(self._moderngl.CULL_FACE)
        array.render(vertices=array.vertices - closed, first=closed)

    def _target(self, size: tuple[int, int]) -> tuple[Any, Any, Any]:
        if size not in self._targets:
            colour, owner = self.gl.texture(size, 4), self.gl.texture(size, 2)
            buffer = self.gl.framebuffer([colour, owner], self.gl.depth_renderbuffer(size))
            self._targets[size] = buffer, colour, owner
        return self._targets[size]


def _write(program: Any, **values: Any) -> None:
    """Set uniforms; names that the compiler dropped are skipped."""
    for name, value in values.items():
        if name not in program:
            continue
        uniform = program[name]
        if isinstance(value, int) and not isinstance(value, bool):
            uniform.value = value
        else:
            uniform.write(np.ascontiguousarray(value, dtype="f4").tobytes())


def _sun_matrix(to_sun: np.ndarray, reach: float = 32.0) -> np.ndarray:
    """(4, 4) orthographic view along the sunlight over the middle of the street."""
    right = np.cross([0.0, 1.0, 0.1], to_sun)
    right /= np.linalg.norm(right)
    up = np.cross(to_sun, right)
    rotate = np.eye(4)
    rotate[:3, :3] = np.stack([right, up, -to_sun])
    rotate[:3, 3] = -rotate[:3, :3] @ np.array([0, 6.0, 0])
    matrix: np.ndarray = np.diag([1 / reach, 1 / reach, 1 / 90.0, 1.0]) @ rotate
    return matrix


def _photograph(path: Path, size: tuple[int, int], drawn: np.ndarray) -> bytes:
    """A picture file cut to the frame's shape, with the drawn scene's share of sunlight as alpha."""
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} is not a readable picture")
    width, height = size
    scale = max(width / image.shape[1], height / image.shape[0])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:height, :width]
    out = drawn.reshape(height, width, 4).copy()
    out[..., :3] = image[::-1, :, ::-1]
    return out.tobytes()


def _encode(light: np.ndarray) -> np.ndarray:
    clipped: np.ndarray = np.clip(light, 0, 1) ** (1 / 2.2)
    return clipped
