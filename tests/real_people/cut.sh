#!/usr/bin/env sh
# Cuts the labelled people out of their clips: sh tests/real_people/cut.sh SHARED OUT. PYTHON names the interpreter.
set -eu
here=$(dirname "$0")
cut() { "${PYTHON:-python}" "$here/../../tools/cut_tracklets.py" "$1" "$here/$2.txt" "$out" --name "$2"; }
data=$1/data
out=$2
cut "$data/videos/one-by-one-person-detection.mp4" obo
cut "$data/videos/vtest_pets09-s2l1_480x360.mp4" vtest
cut "$data/mot/MOT15/TUD-Stadtmitte/img1" tud
for clip in 02 04 05 09; do
    cut "$data/mot/MOT17-mini/MOT17-$clip-FRCNN/img1" "mot17-$clip"
done
