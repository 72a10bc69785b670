// Noise, tone curve and the soft shadows of capsules, shared by every shader.
float hash(vec3 p) {
    p = fract(p * 0.3183099 + vec3(0.71, 0.113, 0.419));
    p *= 17.0;
    return fract(p.x * p.y * p.z * (p.x + p.y + p.z));
}

float noise(vec3 p) {
    vec3 i = floor(p), f = fract(p);
    f = f * f * (3.0 - 2.0 * f);
    return mix(
        mix(mix(hash(i), hash(i + vec3(1, 0, 0)), f.x), mix(hash(i + vec3(0, 1, 0)), hash(i + vec3(1, 1, 0)), f.x), f.y),
        mix(mix(hash(i + vec3(0, 0, 1)), hash(i + vec3(1, 0, 1)), f.x),
            mix(hash(i + vec3(0, 1, 1)), hash(i + vec3(1, 1, 1)), f.x), f.y), f.z);
}

float fbm(vec3 p) {
    return 0.55 * noise(p) + 0.3 * noise(p * 2.03 + 7.1) + 0.15 * noise(p * 4.1 + 3.7);
}

// Value noise with its gradient: value in w, slope in xyz.
vec4 noise_slope(vec3 p) {
    vec3 i = floor(p), f = fract(p);
    vec3 u = f * f * (3.0 - 2.0 * f), du = 6.0 * f * (1.0 - f);
    float a = hash(i), b = hash(i + vec3(1, 0, 0)), c = hash(i + vec3(0, 1, 0)), d = hash(i + vec3(1, 1, 0));
    float e = hash(i + vec3(0, 0, 1)), g = hash(i + vec3(1, 0, 1)), h = hash(i + vec3(0, 1, 1)), k = hash(i + vec3(1, 1, 1));
    float kx = b - a, ky = c - a, kz = e - a, kxy = a - b - c + d, kyz = a - c - e + h, kzx = a - b - e + g;
    float kxyz = -a + b + c - d + e - g - h + k;
    return vec4(du * vec3(kx + kxy * u.y + kzx * u.z + kxyz * u.y * u.z, ky + kyz * u.z + kxy * u.x + kxyz * u.z * u.x,
                          kz + kzx * u.x + kyz * u.y + kxyz * u.x * u.y),
                a + kx * u.x + ky * u.y + kz * u.z + kxy * u.x * u.y + kyz * u.y * u.z + kzx * u.z * u.x + kxyz * u.x * u.y * u.z);
}

vec3 encode(vec3 light) {  // linear light to sRGB with a soft shoulder
    light = max(light, 0.0);
    light = mix(light, 1.0 - exp(-light * 1.15), smoothstep(0.55, 1.1, light));
    return mix(light * 12.92, 1.055 * pow(light, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, light));
}

// How much of the sky above a point a capsule (ends a, b with radius in w) takes away.
float capsule_occlusion(vec3 p, vec3 n, vec4 a, vec3 b) {
    vec3 along = b - a.xyz;
    vec3 nearest = a.xyz + along * clamp(dot(p - a.xyz, along) / max(dot(along, along), 1e-5), 0.0, 1.0) - p;
    float d2 = max(dot(nearest, nearest), a.w * a.w * 0.9);
    return clamp(dot(n, nearest) * inversesqrt(d2), 0.0, 1.0) * a.w * a.w / d2;
}

// 0 in the shadow that a capsule throws along `to_sun`, 1 outside it.
float capsule_shadow(vec3 p, vec3 to_sun, vec4 a, vec3 b, float softness) {
    vec3 u = b - a.xyz, w = p - a.xyz;
    float uu = max(dot(u, u), 1e-5), us = dot(u, to_sun), uw = dot(u, w), sw = dot(to_sun, w);
    float det = max(uu - us * us, 1e-4);
    float s = clamp((uw - us * sw) / det, 0.0, 1.0);
    float t = max(s * us - sw, 0.0);
    float gap = length(w + to_sun * t - u * s);
    float blur = a.w * 0.25 + softness * t;
    return t <= 0.0 ? 1.0 : smoothstep(a.w - blur, a.w + blur, gap);
}
