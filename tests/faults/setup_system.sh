#!/bin/sh
# Installs what tools/fake_camera.py needs (GStreamer's RTSP server and its bindings for the system's Python).
# Does nothing where it is there; says so and succeeds where it cannot be had, and the fault tests skip.
set -u
probe='import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
raise SystemExit(not all(map(Gst.ElementFactory.find, ("x264enc", "x265enc", "rtph264pay", "avdec_h264"))))'
there() { [ -x /usr/bin/python3 ] && /usr/bin/python3 -c "$probe" >/dev/null 2>&1; }

there && exit 0
packages="python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good
gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav ffmpeg"
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages >/dev/null
fi
there && exit 0
echo "the RTSP server for tests/faults could not be installed; needs: $(echo $packages)" >&2
exit 0
