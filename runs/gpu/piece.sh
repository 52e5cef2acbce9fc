#!/usr/bin/env bash
# One piece of a training run on a bare machine: torch and NumPy, no codec, no network, a CUDA device if there is one.
#   runs/gpu/piece.sh PACK RECIPE.toml [SECONDS [OPTION...]]
# PACK: folder made by pack.py, needed until the store lies in WORK. SECONDS: of training, 420 if not given, so that
# set-up, timings and packing stay below ten minutes. OPTION: as `python -m subpixel.learn.train` takes them.
# Environment:
#   WORK    what lasts between pieces on this machine: store and runs (build/gpu)
#   OUT     what is brought home: run.tar.00, ... (the run, in parts), log.jsonl, timings.json, machine.txt (WORK/out)
#   RESUME  folder with an earlier piece's run.tar.*, for a machine whose WORK does not know the run yet
#   PART    largest part of run.tar in megabytes (15)
#   SHARE   share of the recipe's steps (1); the same for all pieces of a run
#   PYTHON  the interpreter (python3)
# Without a CUDA device the recipe is done at toy size, which shows that everything is in place.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
stop() { echo "piece.sh: $1" >&2; exit 2; }

[ $# -ge 2 ] || stop "name a pack and a recipe, as in: runs/gpu/piece.sh build/pack runs/gpu/best.toml 420"
python=${PYTHON:-python3}
pack=$1
recipe=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
seconds=${3:-420}
shift $(($# < 3 ? $# : 3))
mkdir -p "${WORK:=$root/build/gpu}" "${OUT:=$WORK/out}"
WORK=$(cd "$WORK" && pwd) OUT=$(cd "$OUT" && pwd)
resume=${RESUME:-}
export PYTHONPATH=$root/src PYTHONUNBUFFERED=1

facts=$("$python" - <<'END'
import importlib.util, platform, sys
if sys.version_info < (3, 11): sys.exit(f"this Python is {platform.python_version()}, not 3.11 or newer")
import numpy, torch
print(int(torch.cuda.is_available()), int(importlib.util.find_spec("safetensors") is not None))
print(platform.platform(), "Python", platform.python_version(), "torch", torch.__version__, "NumPy", numpy.__version__)
END
) || stop "$python cannot be used; name an interpreter of Python 3.11 or newer with torch and NumPy with PYTHON=."
read -r cuda safetensors <<<"$facts"
echo "$facts" | tail -n 1 >"$OUT/machine.txt"
[ "$cuda" = 0 ] || ! command -v nvidia-smi >/dev/null || nvidia-smi >>"$OUT/machine.txt" || true
if [ "$safetensors" = 0 ]; then
  wheel=$(ls "$pack"/safetensors-*.whl 2>/dev/null | head -n 1 || true)
  [ -n "$wheel" ] || [ -d "$WORK/site" ] || stop "safetensors is missing; put its wheel into PACK (see README.md)."
  [ -d "$WORK/site" ] || "$python" -m zipfile -e "$wheel" "$WORK/site"
  PYTHONPATH=$WORK/site:$PYTHONPATH
fi

name=$(basename "$recipe" .toml)
if [ ! -f "$WORK/store/manifest.json" ]; then
  [ -f "$pack/manifest.json" ] || stop "there is no pack $pack and no store in $WORK; make one with pack.py."
  "$python" "$here/pack.py" --open "$pack" -o "$WORK/store"
fi
if [ ! -d "$WORK/$name" ] && [ -n "$resume" ]; then
  cat "$resume"/run.tar.* | tar -xf - -C "$WORK"
  [ -d "$WORK/$name" ] || stop "$resume holds another run than $name."
fi

# The run as it stands, even where training fails or is stopped.
home() {
  [ -d "$WORK/$name" ] || return 0
  rm -f "$OUT"/run.tar.*
  tar -cf - -C "$WORK" --exclude='*.part' "$name" | split -b "${PART:-15}M" -d - "$OUT/run.tar."
  cp "$WORK/$name/log.jsonl" "$OUT/" 2>/dev/null || true
}
trap home EXIT

options=()
[ "$cuda" = 1 ] || options+=(--toy)
command -v cc >/dev/null || options+=(--no-compile)  # what torch compiles needs a C compiler, too
"$python" "$here/shorter.py" "$recipe" -o "$WORK/$name.toml" --share "${SHARE:-1}" "${options[@]}"
cd "$WORK"
"$python" -m subpixel.learn.train "$name.toml" --seconds "$seconds" --save-seconds 60 "$@"
trap - EXIT
home
others=()
[ "$name" = fast ] || others+=("$here/fast.toml")
"$python" "$here/timing.py" "$name" "${others[@]}" -o "$OUT/timings.json"
