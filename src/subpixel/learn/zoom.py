"""A store of pairs that an optical zoom made: tele and wide pictures, aligned, checked, cut into clips of one frame."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel import color, pictures
from subpixel.errors import DiskError, InputError, UsageError
from subpixel.frames import Frame
from subpixel.learn.check import picture_problems
from subpixel.learn.clips import sha256, write_manifest, write_pair
from subpixel.learn.store import MANIFEST
from subpixel.multiframe import parallax
from subpixel.multiframe.pairs import Aligned, align
from subpixel.video.source import images, shown
from subpixel.video.write import writing

REPORT = "report.json"
LOW_CONFIDENCE = 0.4  # HR pixels of predicted error
Couple = tuple[Path, Path]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a pair. reason: why it was rejected, "" where it was kept.

    clips: how many were cut from it. zoom: of the tele picture over the wide one. error: predicted RMS error of the
    homography, parallax: RMS of what the tiles found beyond it, both in HR pixels. alike: share of the tiles that show
    the same in both. psnr: of the wide picture against the shrunk tele one, dB. sharpness: gradient energy over that of
    the wide picture enlarged.
    """

    tele: str
    wide: str
    reason: str = ""
    clips: int = 0
    zoom: float = 0.0
    error: float = 0.0
    parallax: float = 0.0
    alike: float = 0.0
    psnr: float = 0.0
    sharpness: float = 0.0

    @property
    def warning(self) -> str:
        """A sentence where the pair was kept, but is not to be relied on."""
        if self.reason or self.error <= LOW_CONFIDENCE:
            return ""
        return f"{self.tele}, {self.wide}: how they lie is sure to {self.error:.2f} HR pixels only."


def couples(given: Sequence[Path]) -> list[Couple]:
    """(tele, wide) files from TELE WIDE [TELE WIDE ...], or from two folders that hold pictures of the same names.

    Raises UsageError for an odd number, or for names that have no counterpart.
    """
    if len(given) == 2 and all(path.is_dir() for path in given):
        tele, wide = ({path.stem: path for path in images(folder)} for folder in given)
        alone = sorted(tele.keys() ^ wide.keys())
        if alone:
            raise UsageError(f"{', '.join(alone)} is in one of the two folders only; give both pictures the same name.")
        return [(tele[stem], wide[stem]) for stem in tele]
    if len(given) % 2 or any(path.is_dir() for path in given):
        raise UsageError(
            f"Give TELE WIDE [TELE WIDE ...], or two folders, not {len(given)} arguments that are not that."
        )
    return list(zip(given[::2], given[1::2], strict=True))


def build(
    given: Sequence[Couple],
    store: Path,
    *,
    scale: int = 4,
    crop: int = 96,
    follow: bool = True,
    overwrite: bool = False,
    tell: Callable[[str, int, int], None] | None = None,
) -> list[Outcome]:
    """Align (tele, wide) files and write what fits as a store for `subpixel train`; returns what became of each pair.

    scale: HR pixels for each pixel of the wide picture. crop: pixels of the wide picture in a clip's side. follow:
    warp by the tiles' flow. The store, with report.json, appears whole, and not at all where no pair was kept:
    InputError then names every reason. Raises DiskError where it exists (without `overwrite`).
    """
    if store.exists() and not (overwrite and (store / MANIFEST).exists()):
        raise DiskError(f"{shown(store)} exists already; add -y to replace a store, or choose another folder.")
    with writing(store):
        store.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(".part", f".{store.name}.", store.parent))
    try:
        outcomes = []
        for done, couple in enumerate(given, 1):
            outcomes.append(_pair(couple, done, part, scale, crop, follow))
            if tell:
                tell(couple[0].name, done, len(given))
        if not any(outcome.clips for outcome in outcomes):
            raise InputError("No pair was kept. " + " ".join(f"{o.tele}, {o.wide}: {o.reason}." for o in outcomes))
        write_manifest(part)
        listed = [dataclasses.asdict(outcome) for outcome in outcomes]
        (part / REPORT).write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
        part.chmod(0o755)
        with writing(store):
            if store.exists():
                shutil.rmtree(store)
            os.replace(part, store)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return outcomes


def _pair(couple: Couple, number: int, store: Path, scale: int, crop: int, follow: bool) -> Outcome:
    """Align one pair and write its clips."""
    tele, wide = couple
    blank = Outcome(tele.name, wide.name)
    try:
        found = align(pictures.load(tele).data, pictures.load(wide).data, scale=scale, follow=follow)
    except InputError as error:
        return dataclasses.replace(blank, reason=str(error).rstrip("."))
    origin = {
        "source": tele.name,
        "source_sha256": sha256(tele),
        "wide": wide.name,
        "wide_sha256": sha256(wide),
        "scene": tele.stem,
        "treatment": "zoom",
        "zoom": round(found.zoom, 4),
        "scale": scale,
        "crf": 0.0,
    }
    height, width = found.low.shape[:2]
    fits = _fits(found)
    written = 0
    for top in starts(height, crop):
        for left in starts(width, crop):
            if not fits[top : top + crop, left : left + crop].all():
                continue
            place = {"crop": [found.place[0] + left, found.place[1] + top, crop, crop]}
            folder = store / f"{number:03}-{tele.stem}.{written:03}"
            written += _clip(folder, found, (top, left, crop), scale, origin | place)
    outcome = dataclasses.replace(
        blank,
        clips=written,
        zoom=round(found.zoom, 4),
        error=round(found.error, 4),
        parallax=round(found.parallax, 4),
        alike=round(found.kept, 4),
        psnr=round(found.psnr, 2),
        sharpness=round(found.sharpness, 3),
    )
    if written:
        return outcome
    return dataclasses.replace(outcome, reason=f"no {crop}x{crop} pixels of the common {width}x{height} fit throughout")


def _fits(found: Aligned) -> npt.NDArray[np.bool_]:
    """(H, W): where all the tiles around show the same in both."""
    height, width = found.low.shape[:2]
    grid = parallax.tiles(height, width, parallax.SIDE)
    fits = np.ones((height, width), bool)
    for row, column, place in grid.parts():
        fits[place] &= found.trusted[row, column]
    return fits


def starts(size: int, crop: int) -> list[int]:
    """Even places of as many crops as there is room for beside each other, evenly spread."""
    count = size // crop
    return [2 * int(k) for k in np.linspace(0, (size - crop) // 2, count)] if count else []


def _clip(folder: Path, found: Aligned, place: tuple[int, int, int], scale: int, facts: dict[str, Any]) -> int:
    """Write one crop as a clip, unless `clips check` would complain of it; returns how many were written."""
    top, left, crop = place
    fine, coarse = ((slice(top * k, (top + crop) * k), slice(left * k, (left + crop) * k)) for k in (scale, 1))
    sharp, low = frame(found.sharp[fine]), frame(found.low[coarse])
    arrays = {"hr_y": sharp.planes[0][None], "lr_y": low.planes[0][None]}
    if any(picture_problems({"frames": 1, "scale": scale}, arrays)):
        return 0
    write_pair(folder, [sharp], [low], facts)
    return 1


def frame(rgb: npt.NDArray[np.float32]) -> Frame:
    """RGB (height, width, 3) of 0 to 1 as 8-bit 4:2:0 of limited range, BT.601."""
    blank = np.zeros((2, 2), np.uint8)
    like = Frame((blank, blank[:1, :1], blank[:1, :1]), pts=0, kind="I")
    return color.from_unit(np.ascontiguousarray(np.moveaxis(rgb, -1, 0).clip(0, 1)), like)
