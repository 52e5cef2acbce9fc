"""Whether a store holds what its manifest says, and whether both sides of every clip show the same place and moment."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel import resample
from subpixel.errors import InputError
from subpixel.learn.clips import Tell, sha256
from subpixel.learn.spread import each
from subpixel.learn.store import ARRAYS, MANIFEST, read_facts, read_manifest

LOWEST_PSNR = 24.0  # dB between the degraded luma and the shrunk sharp one; CRF 24 leaves more than 30
_CLEARLY = 0.8  # a shifted picture must not fit better than this share of the error of the unshifted one

_AGAIN = "delete the clip's folder and build again."

Arrays = dict[str, npt.NDArray[Any]]


def check(store: Path, *, jobs: int = 1, tell: Tell | None = None) -> list[str]:
    """Everything that is wrong with a store, a sentence each, in the order of its clips; nothing if all is well.

    Every file: there, of the right type and shape, with the hash that was noted, listed in the manifest. Every clip: as
    many frames on both sides, sharp sides `scale` times the others, and a first, middle and last frame that shows what
    its counterpart shows, no pixel and no frame beside it. jobs: processes. tell: called with (name of a clip, how many
    are done, of how many). Raises InputError where there is no store.
    """
    folders = sorted(path.parent for path in store.glob("*/clip.json"))
    if not folders:
        raise InputError(f"{store} holds no training clips; make them with `subpixel clips build`.")
    found: dict[Path, list[str]] = {folder: [] for folder in folders}
    asked = each(functools.partial(_clip_problems, _scale(folders)), folders, jobs=jobs)
    for done, (folder, problems) in enumerate(asked, 1):
        found[folder] = [f"{folder.name}: {problem}" for problem in problems]
        if tell:
            tell(folder.name, done, len(folders))
    return [*_manifest_problems(store, folders), *(sentence for problems in found.values() for sentence in problems)]


def _scale(folders: list[Path]) -> int:
    """The scale of the first clip that can be read, which all others should have."""
    for folder in folders:
        try:
            return int(read_facts(folder)["scale"])
        except (InputError, KeyError, ValueError, TypeError):
            continue
    return 0


def _manifest_problems(store: Path, folders: list[Path]) -> Iterator[str]:
    for left in sorted(store.glob(".*.part")):
        yield f"{left.name} was left by a build that was killed; the same command again removes it."
    for folder in sorted(path for path in store.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if folder not in folders:
            yield f"{folder.name}: clip.json is missing; {_AGAIN}"
    try:
        held = read_manifest(store)["clips"]
    except InputError as error:
        yield str(error)
        return
    names = {folder.name for folder in folders}
    for name in sorted(held.keys() | names):
        if name not in names:
            yield f"{name}: {MANIFEST} lists it, but it is missing; build again."
        elif name not in held:
            yield f"{name}: {MANIFEST} does not list it; build again."
        else:
            with_part = held[name]
            facts = {key: value for key, value in with_part.items() if key != "part"}
            if facts != _readable(store / name):
                yield f"{name}: clip.json is not what {MANIFEST} says; {_AGAIN}"


def _readable(folder: Path) -> dict[str, Any] | None:
    try:
        return read_facts(folder)
    except InputError:
        return None


def _clip_problems(scale: int, folder: Path) -> list[str]:
    """What is wrong with one clip; the deeper questions are asked only where the files can be read."""
    try:
        facts = read_facts(folder)
    except InputError as error:
        return [str(error)]
    unsaid = [key for key in ("scale", "frames", "kinds") if key not in facts]
    if unsaid:
        return [f"clip.json does not say {', '.join(unsaid)}; {_AGAIN}"]
    arrays: Arrays = {}
    problems = list(_file_problems(folder, facts, arrays))
    shapes = list(_shape_problems(facts, arrays, scale)) if len(arrays) == len(ARRAYS) else []
    if len(arrays) == len(ARRAYS) and not shapes:
        problems += picture_problems(facts, arrays)
    return problems + shapes


def _file_problems(folder: Path, facts: dict[str, Any], arrays: Arrays) -> Iterator[str]:
    """Problems of single files; those that can be read are put into `arrays`."""
    noted = facts.get("arrays", {})
    if not noted:
        yield "clip.json has no hashes: an older version made it; build again."
    for name in ARRAYS:
        path = folder / f"{name}.npy"
        try:
            arrays[name] = np.load(path, mmap_mode="r")
        except FileNotFoundError:
            yield f"{path.name} is missing; {_AGAIN}"
            continue
        except ValueError as error:
            yield f"{path.name} cannot be read ({error}); {_AGAIN}"
            continue
        known = noted.get(name, {})
        for what, is_now in (("shape", list(arrays[name].shape)), ("dtype", str(arrays[name].dtype))):
            if known.get(what, is_now) != is_now:
                yield f"{path.name} has the {what} {is_now}, not {known[what]}; {_AGAIN}"
        if known and known["sha256"] != sha256(path):
            yield f"{path.name} is not the file that was written (its SHA-256 differs); {_AGAIN}"


def _shape_problems(facts: dict[str, Any], arrays: Arrays, scale: int) -> Iterator[str]:
    """Problems between files: frames, sides, types."""
    frames, height, width = arrays["lr_y"].shape
    half = (frames, height // 2, width // 2)
    grid = {
        "lr_u": half,
        "lr_v": half,
        "hr_y": (frames, height * scale, width * scale),
        "hr_u": (frames, height * scale // 2, width * scale // 2),
        "hr_v": (frames, height * scale // 2, width * scale // 2),
        "qp": (frames, -(-height // 16), -(-width // 16)),
        "motion": (frames, 4, -(-height // 4), -(-width // 4)),
    }
    if facts["scale"] != scale:
        yield f"it is of scale {facts['scale']}, the store is of scale {scale}."
    if not (facts["frames"] == len(facts["kinds"]) == frames):
        yield f"clip.json counts {facts['frames']} frames and {len(facts['kinds'])} frame types, lr_y.npy {frames}."
    for name, shape in grid.items():
        if arrays[name].shape != shape:
            yield f"{name}.npy has the shape {arrays[name].shape} where lr_y.npy asks for {shape}."
    for name in ARRAYS:
        kind = np.int16 if name == "motion" else np.uint8
        if arrays[name].dtype != kind:
            yield f"{name}.npy holds {arrays[name].dtype}, not {np.dtype(kind)}."
    if arrays["qp"].size and int(arrays["qp"].max()) > 51:
        yield f"qp.npy holds quantisers up to {arrays['qp'].max()}, above 51."


def picture_problems(facts: dict[str, Any], arrays: Arrays) -> Iterator[str]:
    """What is wrong with the pictures of a clip, by clip.json and its arrays: with the first, middle and last frame."""
    last, scale = facts["frames"] - 1, facts["scale"]
    sharp = arrays["hr_y"]
    for t in sorted({0, last // 2, last}):
        low = arrays["lr_y"][t].astype(np.float64)
        here, beside = _error(sharp[t], low, scale), {}
        for axis, ways in ((0, ("up", "down")), (1, ("left", "right"))):
            for way, step in zip(ways, (-(scale // 2), scale // 2), strict=True):
                beside[f"{abs(step)} pixels {way}"] = _error(np.roll(sharp[t], step, axis), low, scale)
        for way, step in (("earlier", -1), ("later", 1)):
            if 0 <= t + step <= last:
                beside[f"1 frame {way}"] = _error(sharp[t + step], low, scale)
        best = min(beside, key=lambda way: beside[way])
        if beside[best] < _CLEARLY * here and _psnr(beside[best]) > LOWEST_PSNR:
            yield f"frame {t} of the sharp side fits better when taken {best}."
            return
        if _psnr(here) < LOWEST_PSNR:
            yield f"frame {t} of the two sides is not the same picture (luma {_psnr(here):.1f} dB after shrinking)."
            return


def _psnr(error: float) -> float:
    return 10 * math.log10(255**2 / max(error, 1e-9))


def _error(sharp: npt.NDArray[np.uint8], low: npt.NDArray[np.float64], scale: int) -> float:
    """Mean squared difference of the shrunk sharp luma and the degraded one, a rim left out."""
    small = resample.resize(np.ascontiguousarray(sharp), sharp.shape[1] // scale, sharp.shape[0] // scale)
    return float(((small - low)[2:-2, 2:-2] ** 2).mean())


def describe(store: Path) -> str:
    """What a store holds: clips, frames, scenes, how many clips are for validation. Raises InputError for no store."""
    held = read_manifest(store)["clips"].values()
    scenes = {facts["scene"] for facts in held}
    aside = sum(facts["part"] == "validation" for facts in held)
    frames = sum(facts["frames"] for facts in held)
    return f"{len(held)} clips of {len(scenes)} scenes, {frames} frames, {aside} clips set apart for validation"
