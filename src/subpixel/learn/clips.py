"""Training pairs: sharp pictures and what the real scaler and codec made of them, as plain arrays on disk.

`build` plans every clip from its sources and a seed, makes those that are missing, and lists all in manifest.json.
A clip appears whole or not at all, so a build can be killed at any moment and continued by the same command.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel import priors
from subpixel.degrade import Recipe, degrade_frames
from subpixel.errors import InputError, SubpixelError, UsageError
from subpixel.frames import Frame
from subpixel.learn import films, sources
from subpixel.learn.films import Variant
from subpixel.learn.lock import alone
from subpixel.learn.scenes import photo_frames
from subpixel.learn.sources import Shot, Source
from subpixel.learn.spread import each
from subpixel.learn.store import ARRAYS, MANIFEST, read_facts, read_manifest
from subpixel.video.build import versions

_PART = ".part"

Tell = Callable[[str, int, int], None]


@dataclasses.dataclass(frozen=True)
class Plan:
    """One clip to make: all that decides its bytes but the versions of the tools."""

    name: str
    source: Source
    sha256: str
    number: int
    shot: Shot
    variant: Variant
    scale: int
    seed: int

    def facts(self) -> dict[str, Any]:
        """What clip.json says of it before it is made; no path of this machine."""
        how = {key: value for key, value in dataclasses.asdict(self.variant).items() if value != ""}
        return {
            "source": self.source.path.name,
            "source_sha256": self.sha256,
            "scene": self.source.scene,
            "treatment": self.source.treatment,
            "crop": list(self.source.crop),
            "shot": self.number,
            "begin": self.shot.begin,
            "variant": how,
            "scale": self.scale,
            "seed": self.seed,
        }


@dataclasses.dataclass(frozen=True)
class Built:
    """What a store holds after a build; made: clips that are new; failed: sources that could not be used, and why."""

    clips: int
    frames: int
    bytes: int
    made: int
    failed: dict[str, str]


def build(
    given: Sequence[Path],
    store: Path,
    *,
    root: Path | None = None,
    scale: int = 4,
    seed: int = 0,
    variants: int = 4,
    shots: int = 8,
    jobs: int = 1,
    ray: bool = False,
    tell: Tell | None = None,
) -> Built:
    """Make the pairs of films and photographs (files, folders, TOML lists with patterns from `root`) in a store.

    variants: clips of each shot; a photograph gets one for every four. shots: most shots of a film, evenly spread.
    jobs, ray: see `spread.each`; neither changes a byte. tell: called with (what is done, how many, of how many).
    Clips that the store has are kept, and those of other sources too. Raises UsageError for a store whose clips were
    made otherwise, or that another process is building, InputError where no source could be used; see also
    `sources.gather`.
    """
    found = sources.gather(given, root)
    failed: dict[str, str] = {}
    scanned: dict[str, tuple[str, list[Shot]]] = {}
    with alone(store, "building"):
        _rid_of_leftovers(store)
        known: dict[str, Any] = {"scale": scale, "split": None}
        if (store / MANIFEST).exists():
            known = read_manifest(store)
        if known["scale"] != scale:
            raise UsageError(f"{store} holds pairs of scale {known['scale']}; name another folder for scale {scale}.")
        for done, (source, result) in enumerate(each(_scanned, found, jobs=jobs, ray=ray), 1):
            if isinstance(result, str):
                failed[source.path.name] = result
            else:
                scanned[source.label] = result
            if tell:
                tell(f"shots of {source.path.name}", done, len(found))
        useful = (source for source in found if source.label in scanned)
        plans = [p for s in useful for p in _plans(s, *scanned[s.label], scale, seed, variants, shots)]
        missing = [plan for plan in plans if not _is_made(store, plan)]
        made = len(missing)
        for done, (plan, problem) in enumerate(each(functools.partial(_make, store), missing, jobs=jobs, ray=ray), 1):
            if problem:
                failed[plan.source.path.name] = problem
                made -= 1
            if tell:
                tell(plan.name, done, len(missing))
        if failed and not any(store.glob("*/clip.json")):
            raise InputError(" ".join(failed[name] for name in sorted(failed)))
        held = write_manifest(store, known["split"])["clips"].values()
    size = sum(math.prod(a["shape"]) * np.dtype(a["dtype"]).itemsize for c in held for a in c["arrays"].values())
    return Built(len(held), sum(c["frames"] for c in held), size, made, dict(sorted(failed.items())))


def split(store: Path, validation: float, seed: int = 0) -> None:
    """Set this share of a store's scenes apart for validation, whole ones and by lot; 0 puts all back to training.

    A scene is what comes from one source, or from all sources that a list gives one `scene`: no shot is ever on both
    sides. Clips that are built later are split the same way. Raises UsageError for a store of a single scene.
    """
    read_manifest(store)
    with alone(store, "building"):
        _rid_of_leftovers(store)
        write_manifest(store, {"validation": validation, "seed": seed} if validation else None)


def write_manifest(store: Path, split: dict[str, Any] | None = None) -> dict[str, Any]:
    """List every clip of a store in its manifest.json, and which part it belongs to; returns what was written.

    split: {"validation": share of the scenes, "seed": which}, None to set nothing apart.
    """
    held = {path.parent.name: read_facts(path.parent) for path in sorted(store.glob("*/clip.json"))}
    aside = _aside(sorted({facts["scene"] for facts in held.values()}), **split) if split else set()
    for facts in held.values():
        facts["part"] = "validation" if facts["scene"] in aside else "train"
    manifest = {"format": 1, "scale": next(iter(held.values()))["scale"], "split": split, "clips": held}
    part = store / f".{MANIFEST}{_PART}"
    part.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    os.replace(part, store / MANIFEST)
    return manifest


def _aside(scenes: list[str], validation: float, seed: int) -> set[str]:
    """The seeded share of scenes that are for validation: one at least, not all."""
    if len(scenes) < 2:
        raise UsageError("A store of one scene cannot be split: both parts would show the same; add other films.")
    shuffled = sorted(scenes, key=lambda scene: hashlib.sha256(f"{seed}/{scene}".encode()).digest())
    return set(shuffled[: min(max(1, round(validation * len(scenes))), len(scenes) - 1)])


def _scanned(source: Source) -> tuple[str, list[Shot]] | str:
    """`sources.scan`, or why the source cannot be used."""
    try:
        return sources.scan(source)
    except SubpixelError as error:
        return str(error)


def _plans(
    source: Source, sha256: str, found: list[Shot], scale: int, seed: int, count: int, most: int
) -> Iterator[Plan]:
    """Every clip of a source."""
    for number in np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)).tolist():
        key = f"{source.label}.{number:03}"
        copies = max(1, count // 4) if source.photo else count
        for k, variant in enumerate(films.variants(source, key, seed, copies, found[number].frames)):
            yield Plan(f"{key}.{k}", source, sha256, number, found[number], variant, scale, seed)


def _is_made(store: Path, plan: Plan) -> bool:
    """Whether the clip is in the store; UsageError if it was made otherwise."""
    path = store / plan.name / "clip.json"
    if not path.exists():
        return False
    held = read_facts(path.parent)
    for key, value in plan.facts().items():
        if held.get(key) != value:
            raise UsageError(
                f"{store} holds the clip {plan.name} made otherwise ({key} was {held.get(key)!r} and is now "
                f"{value!r}); name another folder."
            )
    return True


def _make(store: Path, plan: Plan) -> str:
    """Make one clip; returns why it could not be made, or nothing."""
    unit = math.lcm(16, 2 * plan.scale)
    try:
        if plan.source.photo:
            rng = np.random.default_rng([plan.seed, 1, *plan.name.encode()])
            sharp = photo_frames(plan.source.path, rng, plan.variant.motion, unit=unit)
        else:
            sharp = films.film_frames(plan.source, plan.shot, plan.variant, unit)
        write_clip(store / plan.name, sharp, Recipe(scale=plan.scale, crf=plan.variant.crf), plan.facts())
    except InputError as error:
        return str(error)
    return ""


def write_clip(folder: Path, sharp: list[Frame], recipe: Recipe, origin: dict[str, Any]) -> dict[str, Any]:
    """Degrade the frames by a recipe and write both sides and what the codec said; see `write_pair`."""
    low = list(degrade_frames(sharp, recipe))
    if len(low) != len(sharp):
        raise InputError(f"{origin['source']}: {len(sharp)} frames became {len(low)} after degrading.")
    return write_pair(folder, sharp, low, origin | {"scale": recipe.scale, "crf": recipe.crf})


def write_pair(folder: Path, sharp: list[Frame], low: list[Frame], origin: dict[str, Any]) -> dict[str, Any]:
    """Write a clip of 4:2:0 frames, sharp and degraded; returns what clip.json says.

    origin: facts to add there, among them scale and crf. The folder appears whole.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(_PART, f".{folder.name}.", folder.parent))
    part.chmod(0o755)
    held = {
        f"{side}_{name}": np.stack([f.planes[plane] for f in frames])
        for side, frames in (("hr", sharp), ("lr", low))
        for plane, name in enumerate("yuv")
    }
    held["qp"] = np.stack([_quantiser(f) for f in low])
    held["motion"] = np.stack([priors.vectors(f) for f in low])
    arrays = {}
    for name in ARRAYS:
        np.save(part / f"{name}.npy", held[name])
        arrays[name] = {
            "shape": list(held[name].shape),
            "dtype": str(held[name].dtype),
            "sha256": sha256(part / f"{name}.npy"),
        }
    facts = origin | {
        "frames": len(low),
        "kinds": "".join(f.kind for f in low),
        "arrays": arrays,
        "versions": {name: metadata.version(name) for name in ("subpixel", "av", "numpy", "torch")} | versions(),
    }
    (part / "clip.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    try:
        os.replace(part, folder)
    except OSError:
        if not (folder / "clip.json").exists():
            raise
        shutil.rmtree(part)  # a process that outlived its killed parent has just made the same
    return facts


def _quantiser(frame: Frame) -> npt.NDArray[np.uint8]:
    """The quantiser of each macroblock; zeros where the codec does not say."""
    if frame.qp is None:
        return np.zeros((-(-frame.height // 16), -(-frame.width // 16)), np.uint8)
    return frame.qp.clip(0, 51).astype(np.uint8)


def sha256(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rid_of_leftovers(store: Path) -> None:
    """Remove what a killed build left."""
    for left in store.glob(f".*{_PART}"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
