"""A small store of training pairs for tests, made without a codec."""

import json
from pathlib import Path

import numpy as np

from subpixel import resample


def write_pairs(folder: Path, *, scale: int = 4, clips: int = 2, frames: int = 12, width: int = 192) -> Path:
    """Soft textures that slide, in 2:3, shrunk by the real kernel and never compressed."""
    height = 2 * width // 3
    for k in range(clips):
        rng = np.random.default_rng([k, 7])
        texture = np.kron(rng.random((height // 6 + frames, width // 6 + 2 * frames)), np.ones((6, 6))) * 180 + 30
        luma = np.stack([texture[t : t + height, 2 * t : 2 * t + width] for t in range(frames)]).astype(np.uint8)
        place = folder / f"clip{k}"
        place.mkdir(parents=True)
        for name, plane in (("y", luma), ("u", luma[:, ::2, ::2] // 2 + 64), ("v", 255 - luma[:, ::2, ::2])):
            small = [resample.resize(p, p.shape[1] // scale, p.shape[0] // scale) for p in plane]
            np.save(place / f"hr_{name}.npy", plane)
            np.save(place / f"lr_{name}.npy", np.stack(small))
        rows, columns = height // scale, width // scale
        quantisers = rng.integers(15, 30, (frames, -(-rows // 16), -(-columns // 16)))
        np.save(place / "qp.npy", quantisers.astype(np.uint8))
        np.save(place / "motion.npy", np.zeros((frames, 4, -(-rows // 4), -(-columns // 4)), np.int16))
        facts = {"source": place.name, "scale": scale, "kinds": ("I" + "BP" * frames)[:frames], "frames": frames}
        (place / "clip.json").write_text(json.dumps(facts))
    return folder
