// The street: static geometry with local coordinates for its procedural materials.
uniform mat4 view;
in vec3 position;
in vec3 normal;
in vec3 local;
in vec3 tint;
in float material;
in float seed;
out vec3 v_world;
out vec3 v_normal;
out vec3 v_local;
out vec3 v_tint;
flat out int v_material;
flat out float v_seed;

void main() {
    v_world = position;
    v_normal = normal;
    v_local = local;
    v_tint = tint;
    v_material = int(material + 0.5);
    v_seed = seed;
    gl_Position = view * vec4(position, 1.0);
}
