// Cloth, skin and hair: cuts hems and sleeves, paints patterns, lights them; also says whose pixel it is.
uniform vec4 first[23];   // rgb, pattern
uniform vec4 second[23];  // rgb, pattern scale in metres
uniform vec4 surface[23]; // gloss, wrinkle, sleeve, hem
uniform vec4 cut[23];     // top, its slope to the back, keep the face free, share of the second colour
uniform vec3 hair_colour;
uniform vec4 scalp;       // 1 where the scalp is painted, hairline height, beard, bare crown
uniform float seed;
uniform vec3 eye;
uniform vec3 to_sun;
uniform vec3 sun_colour;
uniform vec3 sky_colour;
uniform vec3 bounce_colour;
uniform float exposure;
uniform float identity;
uniform sampler2D scene_depth;
uniform vec4 scene_window;  // offset and size of this crop inside the scene image, 0..1
uniform vec2 target_size;
uniform vec3 forward;
uniform float tolerance;    // metres by which the street may lie in front of a person and still not hide them
in vec3 v_normal;
in vec3 v_canon;
in vec3 v_world;
in vec3 v_light;
flat in int v_material;
layout(location = 0) out vec4 colour;
layout(location = 1) out vec4 owner;

// The rasteriser runs every branch for every pixel, so noise is drawn once, at the frequency that the material wants,
// and handed to whatever paints with it.
vec3 painted(int m, vec3 p, vec2 grain, out float sheen) {
    vec3 a = first[m].rgb, b = second[m].rgb;
    int pattern = int(first[m].a + 0.5);
    float scale = second[m].a, arm = v_light.z;
    sheen = surface[m].x;
    // Arms hang from the shoulder: bands run around them, not across the rest pose.
    bool sleeve = arm > 0.05;
    float along = sleeve ? 1.4 - arm * 0.27 : p.z;
    float round_ = sleeve ? p.y * 1.2 : p.x;
    float g = cut[m].w;
    if (pattern == 1) return mix(a, b, step(fract(along / scale), g));
    if (pattern == 2) return mix(a, b, step(fract(round_ / scale), g));
    if (pattern == 3) {
        float u = step(fract(along / scale), 0.5), v = step(fract(round_ / scale), 0.5);
        return mix(a, b, 0.5 * (u + v)) * (0.8 + 0.2 * step(0.12, abs(fract(along / scale * 2.0) - 0.5)));
    }
    if (pattern == 4) {
        vec3 c = mix(a, b, step(0.53, grain.x));
        return mix(c, vec3(0.6, 0.25, 0.2), step(0.62, grain.y) * 0.7);
    }
    if (pattern == 5) return mix(b, a, step(along, 1.05 + 0.35 * g));
    if (pattern == 6) {
        float n = 0.7 * grain.x + 0.3 * grain.y;
        return n < 0.42 ? a : n < 0.52 ? mix(a, b, 0.5) : b;
    }
    if (pattern == 7) {
        // A printed badge: a disc, a bar of lettering, or both.
        float side = fract(seed * 3.7) < 0.75 ? step(p.y, 0.0) : step(0.0, p.y);
        vec2 q = vec2(p.x, p.z - 1.3) / scale;
        float kind = fract(seed * 11.3);
        float disc = step(length(q - vec2(0.0, 0.15)), 0.55) * step(0.3, kind);
        float letters = step(abs(q.y + (kind < 0.3 ? 0.0 : 0.7)), 0.2) * step(abs(q.x), 0.95)
            * step(0.35, hash(vec3(floor(q.x * 7.0), floor(q.y * 14.0), seed)));
        return mix(a, b, sleeve ? 0.0 : side * max(disc, letters * step(kind, 0.7)));
    }
    if (pattern == 8) {
        float fade = 0.82 + 0.3 * grain.x + 0.15 * grain.y - 0.2 * (1.0 - smoothstep(0.0, 0.08, abs(fract(p.x * 5.5) - 0.5)));
        return a * fade * (0.92 + 0.16 * hash(floor(p * 400.0)));
    }
    if (pattern == 9) return mix(a, b, 0.5 + 0.5 * sin(6.2832 * (sleeve ? p.y : p.x) / scale));
    if (pattern == 10) {
        float open_ = (0.035 + 0.05 * g) * (1.0 + 0.6 * smoothstep(1.25, 1.45, p.z));
        return p.y < -0.02 && abs(p.x) < open_ && !sleeve ? b : a;
    }
    if (pattern == 11) return sleeve || p.z > 1.42 ? b : a;
    if (pattern == 13) {  // zip or buttons down the front, pocket slits
        float front = step(p.y, -0.02) * (sleeve ? 0.0 : 1.0);
        float zip = step(abs(p.x), 0.006) * (fract(seed) < 0.5 ? 1.0 : step(0.7, fract(p.z * 9.0)));
        float pocket = step(abs(abs(p.x) - 0.11), 0.03) * step(abs(p.z - 1.06 - abs(p.x) * 0.3), 0.006);
        return mix(a, b, front * max(zip, pocket));
    }
    if (pattern == 14) return p.y > -0.02 && abs(p.x) < 0.14 && p.z > 0.98 + 0.2 * g && p.z < 1.36 + 0.08 * g ? b : a;
    if (pattern == 12) return abs(p.y + 0.01) < 0.018 && abs(p.x) > 0.12 ? b : a;
    return a;
}

vec3 skinned(vec3 p, vec2 grain) {
    // Hair, brows and hats keep light off a face.
    float hollow = fract(seed * 5.3) * smoothstep(1.56, 1.60, p.z) * (1.0 - smoothstep(-0.09, 0.0, p.y));
    vec3 tone = first[0].rgb * (1.0 - 0.5 * hollow * hollow);
    vec3 c = tone * (0.94 + 0.12 * grain.x);
    if (p.z > 1.56) {
        float face = step(p.y, -0.09);
        float ax = abs(p.x);
        c = mix(c, tone * vec3(0.25, 0.2, 0.2), face * (1.0 - smoothstep(0.008, 0.022, length(vec2((ax - 0.032) * 0.7, p.z - 1.693)))));
        c = mix(c, mix(hair_colour, tone, 0.3), face * (1.0 - smoothstep(0.002, 0.007, abs(p.z - 1.715 + ax * 0.05))) * step(0.012, ax) * step(ax, 0.055));
        c = mix(c, tone * vec3(0.75, 0.42, 0.42), face * (1.0 - smoothstep(0.005, 0.011, abs(p.z - 1.617))) * step(ax, 0.024));
        float beard = scalp.z * (1.0 - smoothstep(1.64, 1.665, p.z)) * step(p.y, -0.04 + 0.06 * step(0.05, ax)) * step(1.55, p.z);
        c = mix(c, hair_colour, beard * step(0.0, beard) * (0.75 + 0.25 * grain.y));
        float line = scalp.y + smoothstep(-0.1, 0.02, p.y) * -0.13 + 0.008 * grain.x;
        float grown = scalp.x * smoothstep(-0.006, 0.006, p.z - line);
        grown *= 1.0 - scalp.w * smoothstep(-0.006, 0.006, p.z - 1.745 - 0.01 * grain.x);
        c = mix(c, hair_colour * (0.75 + 0.5 * grain.y), grown);
    }
    return c;
}

void main() {
    int m = v_material;
    // Long hair ends in strands, cloth in a straight hem.
    float hem = surface[m].w + cut[m].z * 0.07 * abs(sin(v_canon.x * 90.0 + seed) * sin(v_canon.x * 37.0 + seed));
    if (v_light.z > surface[m].z || v_canon.z < hem) discard;
    if (v_canon.z > cut[m].x - cut[m].y * (v_canon.y + 0.14)) discard;
    if (cut[m].z > 0.5 && v_canon.y < -0.08 && abs(v_canon.x) < 0.058 && v_canon.z < 1.715) discard;
    vec2 uv = scene_window.xy + gl_FragCoord.xy / target_size * scene_window.zw;
    float depth = dot(v_world - eye, forward);
    if (texture(scene_depth, uv).r < depth - tolerance) discard;
    vec3 n = normalize(v_normal);
    vec3 to_eye = normalize(eye - v_world);
    if (dot(n, to_eye) < 0.0) n = -n;
    float sheen, crease = surface[m].y;
    vec3 albedo;
    int pattern = int(first[m].a + 0.5);
    float frequency = m == 0 ? 45.0 : pattern == 4 ? 2.2 / second[m].a : pattern == 6 ? 2.0 / second[m].a : 9.0;
    vec2 grain = vec2(noise(v_canon * frequency + seed), noise(v_canon * frequency * (m == 0 ? 3.0 : 1.7) + seed + 31.0));
    if (m == 0) { albedo = skinned(v_canon, grain); sheen = 0.12; crease = 0.0; }
    else albedo = painted(m, v_canon, grain, sheen);
    float folds = 0.0;
    if (crease > 0.0) {
        vec3 q = v_canon * vec3(13.0, 13.0, 7.0) + seed * 3.0 + v_world.z * 0.6;
        vec4 broad = noise_slope(q), fine = noise_slope(q * 2.3 + 5.0);
        vec3 slope = 0.7 * broad.xyz + 0.5 * fine.xyz;
        n = normalize(n - crease * 0.5 * (slope - n * dot(slope, n)));
        folds = (0.65 * broad.w + 0.35 * fine.w - 0.5) * crease;
    }
    float sun = max(dot(n, to_sun), 0.0) * v_light.y;
    vec3 sky = mix(bounce_colour, sky_colour, 0.5 + 0.5 * n.z) * v_light.x * (1.0 + 0.5 * folds);
    vec3 light = albedo * (sun * sun_colour + sky);
    float glint = pow(max(dot(n, normalize(to_sun + to_eye)), 0.0), 12.0 + 60.0 * sheen);
    light += sheen * (glint * sun_colour * v_light.y * 0.6 + 0.25 * sky * pow(1.0 - max(dot(n, to_eye), 0.0), 3.0));
    colour = vec4(encode(light * exposure), 1.0);
    owner = vec4(identity / 255.0, float(m) / 255.0, 0.0, 1.0);
}
