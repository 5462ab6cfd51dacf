#!/usr/bin/env bash
# Predict the films that are new in an Orthanc, and store the results there. Run it from the repository with an activated
# environment. ORTHANC is the address of its REST interface; STATE keeps the last change that was seen.
set -euo pipefail
url=${ORTHANC:-http://127.0.0.1:8042} state=${STATE:-orthanc.state} work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
curl -sf "$url/changes?since=$(cat "$state" 2>/dev/null || echo 0)&limit=1000" > "$work/changes"
mkdir "$work/films"
for id in $(jq -r '.Changes[] | select(.ChangeType == "NewInstance").ID' "$work/changes"); do
  curl -sf "$url/instances/$id/file" -o "$work/films/$id.dcm" || [ $? = 22 ]  # 22: deleted in the meantime
done
ls "$work"/films/* >/dev/null 2>&1 && python -m cxr predict "$work/films" --out "$work/table.csv" --dicom-out "$work/new"
for file in "$work"/new/*.dcm; do [ ! -e "$file" ] || curl -sf --data-binary "@$file" "$url/instances" >/dev/null; done
jq .Last "$work/changes" > "$state"
