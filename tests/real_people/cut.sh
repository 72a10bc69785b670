#!/usr/bin/env sh
# Cuts the labelled people out of their clips: sh tests/real_people/cut.sh CLIPS OUT. PYTHON names the interpreter.
# CLIPS holds videos/ and mot/ as they are called below. The options are those by which the boxes were chosen.
set -eu
here=$(dirname "$0")
clips=$1
out=$2
cut() {
    "${PYTHON:-python}" "$here/../../tools/cut_tracklets.py" "$clips/$1" "$here/$2.txt" "$out" --name "$2" \
        --pictures 6 --seconds 2.4 --windows 2 --min-height 40
}
cut videos/one-by-one-person-detection.mp4 obo
cut videos/vtest_pets09-s2l1_480x360.mp4 vtest
cut mot/MOT15/TUD-Stadtmitte/img1 tud
for clip in 02 04 05 09; do
    cut "mot/MOT17-mini/MOT17-$clip-FRCNN/img1" "mot17-$clip"
done
