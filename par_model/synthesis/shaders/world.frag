// Procedural street materials, lit by the sun through a shadow map and by the sky.
uniform sampler2D sun_depth;
uniform mat4 sun_view;
uniform vec3 eye;
uniform vec3 forward;
uniform vec3 to_sun;
uniform vec3 sun_colour;
uniform vec3 sky_colour;
uniform vec3 bounce_colour;
uniform float exposure;
uniform float seed;
uniform vec4 zones;       // kerb x, road width, far kerb kind, plaza grain in metres
uniform vec3 ground_a;
uniform vec3 ground_b;
uniform vec3 road;
uniform float wet;
in vec3 v_world;
in vec3 v_normal;
in vec3 v_local;
in vec3 v_tint;
flat in int v_material;
flat in float v_seed;
layout(location = 0) out vec4 colour;
layout(location = 1) out float depth;

float line(float v, float period, float width) {
    float d = abs(fract(v / period + 0.5) - 0.5) * period;
    float blur = max(fwidth(v), 1e-4);
    return (1.0 - smoothstep(width, width + blur, d)) * clamp(2.5 * width / blur, 0.0, 1.0);
}

vec3 ground(vec3 p) {
    float grain = 0.85 + 0.3 * fbm(vec3(p.xy * 0.35, seed)) + 0.08 * (hash(vec3(floor(p.xy * 60.0), seed)) - 0.5);
    float stain = smoothstep(0.6, 0.75, fbm(vec3(p.xy * 0.9, seed + 5.0)));
    float across = p.x - zones.x;
    vec3 c;
    if (zones.y > 0.0 && across > 0.0 && across < zones.y) {
        c = road * grain;
        float centre = abs(across - zones.y * 0.5);
        float dashes = step(centre, 0.07) * step(0.5, fract(p.y / 6.0 + seed));
        float edge = step(abs(across - 0.35), 0.06);
        float zebra = step(abs(p.y - fract(seed * 7.0) * 12.0 + 2.0), 1.8) * step(0.5, fract(across / 1.0));
        c = mix(c, vec3(0.62) * grain, max(max(dashes, edge), zebra) * (0.6 + 0.3 * noise(p * 20.0)));
    } else {
        float g = zones.w;
        float row = floor(p.y / g);
        float shift = zones.z > 1.5 ? 0.5 * mod(row, 2.0) * g : 0.0;
        float joint = max(line(p.x + shift, g, 0.008), line(p.y, g, 0.008));
        float tile = hash(vec3(floor((p.x + shift) / g + 0.5), floor(p.y / g + 0.5), seed));
        c = mix(ground_a, ground_b, zones.z > 0.5 ? tile : fbm(vec3(p.xy * 1.3, seed))) * grain;
        if (zones.z > 0.5) c *= 1.0 - 0.45 * joint;
        if (zones.y > 0.0 && across > -0.25 && across < 0.0) c = vec3(0.4, 0.39, 0.37) * grain;
    }
    return c * (1.0 - 0.3 * stain);
}

vec3 facade(vec3 l, float s) {
    float period_x = 1.8 + 1.7 * hash(vec3(s, 1.0, 2.0)), period_z = 2.9 + 0.7 * hash(vec3(s, 3.0, 1.0));
    vec2 cell = vec2(l.x / period_x, l.z / period_z);
    vec2 f = fract(cell), id = floor(cell);
    vec3 wall = v_tint * (0.85 + 0.3 * fbm(l * 0.8 + s));
    if (hash(vec3(s, 9.0, 4.0)) < 0.45) {  // brick
        float row = floor(l.z / 0.075);
        float joint = max(line(l.z, 0.075, 0.006), line(l.x + 0.11 * mod(row, 2.0), 0.22, 0.006));
        wall *= (0.85 + 0.3 * hash(vec3(floor((l.x + 0.11 * mod(row, 2.0)) / 0.22 + 0.5), row, s))) * (1.0 - 0.3 * joint);
    }
    float w = 0.2 + 0.2 * hash(vec3(s, 2.0, 8.0)), h0 = 0.25, h1 = 0.82;
    bool shop = id.y < 0.5 && hash(vec3(s, 5.0, 5.0)) < 0.6;
    if (shop) { w = 0.06; h0 = 0.1; h1 = 0.78; }
    if (f.x > w && f.x < 1.0 - w && f.y > h0 && f.y < h1) {
        float frame = step(min(min(f.x - w, 1.0 - w - f.x) * period_x, min(f.y - h0, h1 - f.y) * period_z), 0.06);
        float r = hash(vec3(id, s));
        vec3 glass = mix(vec3(0.03, 0.035, 0.04), vec3(0.22, 0.26, 0.3), 0.6 * r + 0.4 * fbm(l * 0.7 + r));
        if (shop) {
            float goods = noise(vec3(l.x * 7.0, l.z * 5.0, r * 20.0)), shelf = step(0.15, fract(l.z * 2.2));
            r = fract(r + floor(noise(vec3(l.x * 3.0, floor(l.z * 2.2), s)) * 5.0) * 0.21);
            glass = mix(glass, vec3(0.5, 0.4, 0.3) * (0.4 + 0.9 * vec3(r, fract(r * 7.0), fract(r * 13.0))), shelf * smoothstep(0.4, 0.6, goods) * 0.6);
        }
        return mix(glass, v_tint * 0.5 + 0.2 * fract(r * 3.0), frame);
    }
    if (shop && f.y >= 0.8 && f.y < 0.97) {  // a shop sign
        float r = hash(vec3(floor(id.x / 2.0), s, 3.0));
        vec3 board = vec3(r, fract(r * 5.3), fract(r * 9.1)) * 0.5;
        float letters = step(0.5, noise(vec3(l.x * 9.0, floor(l.z * 5.0), s))) * step(0.84, f.y) * step(f.y, 0.93);
        return mix(board, vec3(0.75), letters);
    }
    return wall;
}

void main() {
    vec3 n = normalize(v_normal);
    vec3 albedo = v_tint;
    float shine = 0.0;
    if (v_material == 0) { albedo = ground(v_world); shine = wet * (0.3 + 0.7 * smoothstep(0.4, 0.6, fbm(vec3(v_world.xy * 0.5, seed)))); }
    else if (v_material == 1) albedo = facade(v_local, v_seed);
    else if (v_material == 2) { albedo *= 0.92 + 0.16 * fbm(v_local * 3.0 + v_seed); shine = 0.15; }
    else if (v_material == 3) { albedo = vec3(0.02) + 0.1 * noise(v_local * 1.5 + v_seed); shine = 0.4; }
    else if (v_material == 4) {
        float leaf = noise(v_world * 9.0 + v_seed), clump = noise(v_world * 2.3 + v_seed);
        if (leaf * 0.6 + clump * 0.6 < 0.4) discard;
        albedo *= 0.35 + 1.2 * leaf * clump;
        n = normalize(n + (vec3(noise(v_world * 11.0), noise(v_world * 12.0 + 9.0), leaf) - 0.5) * 1.6);
    }
    else if (v_material == 5) {  // railing
        float bars = max(line(v_local.x, 0.14, 0.012), max(line(v_local.z - 0.03, 5.0, 0.03), step(1.0, v_local.z)));
        if (bars < 0.5) discard;
    }
    else if (v_material == 6) {  // posters
        vec2 q = v_local.xz / vec2(0.62, 0.9), f = fract(q);
        float r = hash(vec3(floor(q), v_seed));
        vec3 paper = mix(albedo, vec3(fract(r * 7.0), fract(r * 3.1), fract(r * 11.0)) * 0.7, 0.7);
        float shape = noise(vec3(q * 4.0, r * 40.0));
        vec3 picture = mix(paper * 0.4, mix(paper, vec3(0.8, 0.75, 0.7), fract(r * 17.0)), smoothstep(0.35, 0.65, shape));
        float ink = step(0.45, hash(vec3(floor(q.x * 40.0), floor(q.y * 18.0), v_seed))) * step(0.5, fract(q.y * 18.0)) * step(0.1, f.x) * step(f.x, 0.9);
        albedo = f.y > 0.4 ? picture : mix(paper, vec3(0.06), f.y > 0.06 ? ink * 0.8 : 0.0);
        albedo = mix(albedo, v_tint * 0.8, step(min(min(f.x, 1.0 - f.x), min(f.y, 1.0 - f.y)), 0.03));
    }
    else if (v_material == 7) albedo *= 0.75 + 0.4 * noise(vec3(v_local.x * 3.0, v_local.y * 40.0, v_local.z * 40.0) + v_seed);
    vec4 s = sun_view * vec4(v_world + n * 0.03, 1.0);
    vec3 q = s.xyz / s.w * 0.5 + 0.5;
    float lit = 0.0;
    for (int i = 0; i < 9; i++) {
        vec2 o = (vec2(float(i % 3), float(i / 3)) - 1.0) / 2048.0;
        lit += step(q.z - 0.001, texture(sun_depth, q.xy + o).r) / 9.0;
    }
    if (q.x < 0.0 || q.x > 1.0 || q.y < 0.0 || q.y > 1.0) lit = 1.0;
    float direct = max(dot(n, to_sun), 0.0) * lit;
    float cranny = v_material == 0 ? 1.0 : 0.65 + 0.35 * smoothstep(0.0, 1.2, v_world.z);
    vec3 sky = mix(bounce_colour, sky_colour, 0.5 + 0.5 * n.z) * cranny;
    vec3 sun_light = direct * sun_colour;
    vec3 to_eye = normalize(eye - v_world);
    vec3 light = albedo * (sun_light + sky);
    light += shine * (sky_colour * 0.5 * pow(1.0 - max(dot(n, to_eye), 0.0), 4.0)
        + lit * sun_colour * 0.3 * pow(max(dot(n, normalize(to_sun + to_eye)), 0.0), 80.0));
    float d = dot(v_world - eye, forward);
    light = mix(light, sky_colour * 0.8, 1.0 - exp(-d * 0.0025));
    float share = dot(sun_light, vec3(0.33)) / max(dot(sun_light + sky, vec3(0.33)), 1e-4);
    colour = vec4(encode(light * exposure), share);
    depth = d;
}
