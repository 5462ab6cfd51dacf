#!/usr/bin/env bash
# Predict the films that are new in an Orthanc, and store the results there; needs curl and jq. Run it from the
# repository with its environment activated. ORTHANC is the address of the REST interface; STATE keeps the last change
# seen. It fails while a film has no results, and starts from the same change again.
set -euo pipefail
url=${ORTHANC:-http://127.0.0.1:8042} state=${STATE:-orthanc.state} work=$(mktemp -d) failed=0
trap 'rm -rf "$work"' EXIT
curl -sf "$url/changes?since=$(cat "$state" 2>/dev/null || echo 0)&limit=1000" > "$work/changes"
for id in $(jq -r '.Changes[] | select(.ChangeType == "NewInstance").ID' "$work/changes"); do
  curl -sf --create-dirs -o "$work/films/$id.dcm" "$url/instances/$id/file" || [ $? = 22 ]  # 22: deleted meanwhile
done
! ls "$work"/films/* &>/dev/null || python -m cxr predict "$work/films" --out "$work/t" --dicom-out "$work/new" || failed=1
for file in "$work"/new/*.dcm; do [ ! -e "$file" ] || curl -sf --data-binary "@$file" "$url/instances" >/dev/null; done
[ "$failed" = 0 ] && jq .Last "$work/changes" > "$state"
