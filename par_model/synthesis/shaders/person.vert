// Skins a person and gathers per-vertex sky occlusion and sun shadow from the person's own limbs.
uniform mat4 bones[25];
uniform mat4 view;
uniform vec4 capsule_a[10];
uniform vec4 capsule_b[10];
uniform vec3 to_sun;
uniform float sun_softness;
in vec3 position;
in vec3 normal;
in vec3 canon;
in float arm;
in float material;
in ivec4 joints;
in vec4 weights;
out vec3 v_normal;
out vec3 v_canon;
out vec3 v_world;
out vec3 v_light;  // sky share, sun share, arm coordinate
flat out int v_material;

void main() {
    mat4 skin = bones[joints.x] * weights.x + bones[joints.y] * weights.y + bones[joints.z] * weights.z
        + bones[joints.w] * weights.w;
    vec4 world = skin * vec4(position, 1.0);
    world.xyz /= max(weights.x + weights.y + weights.z + weights.w, 1e-4);
    vec3 n = normalize(mat3(skin) * normal);
    float sky = 1.0, sun = 1.0;
    for (int i = 0; i < 6; i++) {  // trunk, head, thighs, upper arms: what shades the rest of a body
        int k = i < 4 ? i : i + 2;
        sky *= 1.0 - 0.8 * capsule_occlusion(world.xyz, n, capsule_a[k], capsule_b[k].xyz);
        sun = min(sun, capsule_shadow(world.xyz + n * 0.05, to_sun, capsule_a[k], capsule_b[k].xyz, sun_softness));
    }
    sky *= 0.8 + 0.2 * smoothstep(0.0, 0.6, world.z);
    v_normal = n;
    v_canon = canon;
    v_world = world.xyz;
    v_light = vec3(sky, sun, arm);
    v_material = int(material + 0.5);
    gl_Position = view * vec4(world.xyz, 1.0);
}
