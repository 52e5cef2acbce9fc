"""A store made small enough to be carried to another machine, and unpacked there.

python runs/gpu/pack.py STORE -o PACK [--megabytes 40] [--frames 40] [--validation-frames 100] [--seed 0]
python runs/gpu/pack.py --open PACK -o STORE

Packing takes clips in a seeded order, the first frames of each, until the pack would exceed the limit; a quarter of it
is for the clips that `subpixel clips split` set apart. Samples are kept as they are. Neither way needs more than NumPy.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

# Neighbouring samples differ little; a higher preset takes far longer and hardly gains on pictures.
FILTERS = [{"id": lzma.FILTER_DELTA, "dist": 1}, {"id": lzma.FILTER_LZMA2, "preset": 1}]
SHARE = 0.25  # of the pack, for validation


def packed(clip: Path, frames: int) -> bytes:
    """The first frames of a clip as a compressed archive of its folder."""
    facts = json.loads((clip / "clip.json").read_text(encoding="utf-8"))
    facts["kinds"] = facts["kinds"][:frames]
    facts["frames"] = len(facts["kinds"])
    facts.pop("arrays", None)  # hashes of the whole arrays
    files = {"clip.json": json.dumps(facts).encode()}
    for path in sorted(clip.glob("*.npy")):
        buffer = io.BytesIO()
        np.save(buffer, np.load(path, mmap_mode="r")[:frames])
        files[path.name] = buffer.getvalue()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"{clip.name}/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return lzma.compress(out.getvalue(), filters=FILTERS)


def pack(store: Path, out: Path, *, limit: int, frames: dict[str, int], seed: int) -> dict[str, Any]:
    """Write NAME.tar.xz for as many clips as fit into `limit` bytes, and manifest.json; returns the manifest.

    frames: of a clip for "train" and for "validation".
    """
    manifest = json.loads((store / "manifest.json").read_text(encoding="utf-8"))
    parts = {name: facts.get("part", "train") for name, facts in manifest["clips"].items()}
    order = np.random.default_rng(seed).permutation(sorted(parts)).tolist()
    share = SHARE if "validation" in parts.values() else 0.0
    left = {"train": limit * (1 - share), "validation": limit * share}
    kept: dict[str, Any] = {}
    out.mkdir(parents=True, exist_ok=True)
    for name in order:
        part = parts[name]
        if left[part] <= 0:
            continue
        data = packed(store / name, frames[part])
        left[part] -= len(data)
        if left[part] >= 0:
            (out / f"{name}.tar.xz").write_bytes(data)
            kept[name] = {"part": part}
    if "train" not in {clip["part"] for clip in kept.values()}:
        raise SystemExit(f"Not one clip fits into {limit / 1e6:g} MB; raise --megabytes or lower --frames.")
    written = {"format": manifest.get("format", 1), "scale": manifest["scale"], "split": None, "clips": kept}
    (out / "manifest.json").write_text(json.dumps(written, indent=1), encoding="utf-8")
    return written


def unpack(pack_: Path, store: Path) -> None:
    """Make the store of a pack; clips that are there already stay."""
    manifest = (pack_ / "manifest.json").read_text(encoding="utf-8")
    store.mkdir(parents=True, exist_ok=True)
    for name in json.loads(manifest)["clips"]:
        if not (store / name / "clip.json").exists():
            with tarfile.open(pack_ / f"{name}.tar.xz") as archive:
                archive.extractall(store, filter="data")
    (store / "manifest.json").write_text(manifest, encoding="utf-8")


def main() -> None:
    """Command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, nargs="?", help="what `subpixel clips build` made")
    parser.add_argument("--open", type=Path, metavar="PACK", help="unpack this instead")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--validation-frames", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.open:
        unpack(given.open, given.output)
        return
    if not given.store:
        parser.error("name a store to pack, or a pack to --open")
    frames = {"train": given.frames, "validation": given.validation_frames}
    kept = pack(given.store, given.output, limit=int(given.megabytes * 1e6), frames=frames, seed=given.seed)["clips"]
    size = sum(path.stat().st_size for path in given.output.iterdir())
    aside = sum(clip["part"] == "validation" for clip in kept.values())
    print(f"{given.output}: {len(kept) - aside} clips to train on, {aside} for validation, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
