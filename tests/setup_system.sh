#!/bin/sh
# Installs the system packages that tests use: EGL for rendering generated people, GStreamer's RTSP server.
# Does nothing where they are there; where they cannot be had, the tests that need them skip and say so.
set -u
there() { ldconfig -p 2>/dev/null | grep -q 'libEGL_mesa\.so' || [ -e /usr/lib/x86_64-linux-gnu/libEGL_mesa.so.0 ]; }

if ! there && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends libegl1 libegl-mesa0 libgl1-mesa-dri >/dev/null
fi
there || echo "EGL could not be installed; the rendering tests will skip" >&2
exec sh "$(dirname "$0")/faults/setup_system.sh"
