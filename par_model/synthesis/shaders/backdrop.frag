// The still scene behind the people, darkened by the shadows they throw on it.
uniform sampler2D scene_colour;  // rgb as displayed, a: share of light that is sun
uniform sampler2D scene_depth;   // metres along the optical axis
uniform vec4 scene_window;
uniform vec2 frame_tangent;      // half width and height of the full frame at one metre
uniform mat3 axes;               // camera right, up, forward in columns
uniform vec3 eye;
uniform vec3 to_sun;
uniform float sun_softness;
uniform vec4 shadow_a[96];
uniform vec4 shadow_b[96];
uniform vec4 bounds[16];         // ground point under a person, shadow length over sun slope, half width squared
uniform int people;
in vec2 uv;
layout(location = 0) out vec4 colour;
layout(location = 1) out vec4 owner;

void main() {
    vec2 at = scene_window.xy + uv * scene_window.zw;
    vec4 base = texture(scene_colour, at);
    float depth = texture(scene_depth, at).r;
    vec2 ndc = (at * 2.0 - 1.0) * frame_tangent;
    vec3 p = eye + depth * (axes * vec3(ndc, 1.0));
    float sun = 1.0, sky = 1.0;
    for (int k = 0; k < people; k++) {
        vec2 reach = p.xy - bounds[k].xy;
        if (dot(reach, reach) < 1.7 && p.z < 1.0)
            for (int i = 6 * k; i < 6 * k + 6; i++)
                sky *= 1.0 - 0.7 * capsule_occlusion(p, vec3(0, 0, 1), shadow_a[i], shadow_b[i].xyz);
        // Followed along the sunlight to the ground, a shaded point lies in the strip from the feet to the head's shadow.
        vec2 down = reach - to_sun.xy * p.z / max(to_sun.z, 0.15);
        vec2 strip = -to_sun.xy * bounds[k].z;
        vec2 off = down - strip * clamp(dot(down, strip) / max(dot(strip, strip), 1e-4), 0.0, 1.0);
        if (dot(off, off) < bounds[k].w && sun > 0.0)
            for (int i = 6 * k; i < 6 * k + 6; i++)
                sun = min(sun, capsule_shadow(p, to_sun, shadow_a[i], shadow_b[i].xyz, sun_softness));
    }
    float kept = base.a * sun + (1.0 - base.a) * sky;
    colour = vec4(base.rgb * pow(kept, 1.0 / 2.2), 1.0);
    owner = vec4(0.0);
}
