"""The page itself: pictures encoded to fit the size asked for, one JSON object, one HTML file."""

from __future__ import annotations

import base64
import dataclasses
import importlib.resources
import json
import math
import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from subpixel.compare.collect import Crop, Film, Progress, View, collect
from subpixel.errors import DiskError, UsageError
from subpixel.metrics import Tally, finite
from subpixel.video.image import ImageFormat, encode_image

_OVERHEAD = 150_000  # bytes of the page without pictures
_POINTS = 2000  # of a plotted line at most; longer films are averaged
_COLUMNS = (  # key, title, digits, whether higher is better
    ("psnr_rgb", "PSNR RGB, dB", 2, True),
    ("mean_frame_psnr_rgb", "Mean of frames, dB", 2, True),
    ("psnr_y", "PSNR Y, dB", 2, True),
    ("ssim_y", "SSIM Y", 4, True),
    ("temporal_mse_y", "Temporal error", 2, False),
    ("consistency_rms_y", "Consistency", 2, False),
    ("I", "I frames, dB", 2, True),
    ("P", "P frames, dB", 2, True),
    ("B", "B frames, dB", 2, True),
)


def report(
    files: Sequence[str | Path],
    out: str | Path,
    *,
    reference: str | Path | None = None,
    frames: int = 12,
    crop: Crop | None = None,
    megabytes: float = 15.0,
    image_format: ImageFormat = "webp",
    progress: Progress | None = None,
) -> Path:
    """Write a page that compares videos or image folders of equally many frames, and return its path.

    files: two or more, the last one is the reference unless `reference` names one more.
    frames: how many pictures of each go into the page, evenly spread. crop: which part of them; by default as much
    about the centre as makes the page `megabytes` large. progress: called with the frames done and those in all.
    Raises UsageError for fewer than two inputs or an impossible crop, InputError where inputs do not fit together,
    DiskError where the page cannot be written.
    """
    paths = [Path(file) for file in files] + ([Path(reference)] if reference is not None else [])
    if len(paths) < 2:
        raise UsageError("A comparison needs at least two videos; the last one is the reference.")
    if frames < 1 or megabytes <= 0:
        raise UsageError(f"{frames} frames in {megabytes:g} MB cannot be shown; ask for at least one frame and 1 MB.")
    film = collect(paths, frames, crop, progress)
    return _write(Path(out), _html(_data(film, crop, megabytes * 1e6, image_format)))


def _data(film: Film, crop: Crop | None, size: float, image_format: ImageFormat) -> dict[str, object]:
    """Everything that the page's script reads."""
    profiles = [_uri(encode_image(np.concatenate(view.rows), image_format), image_format) for view in film.views]
    overview = _uri(encode_image(film.overview, "jpeg"), "jpeg")
    space = (size - sum(map(len, [*profiles, overview])) - _OVERHEAD) * 3 / 4  # base64 writes three bytes as four
    crop, pictures = _fit(film, math.inf if crop else space, image_format)
    whole = (crop.width, crop.height) == film.size
    step = -(-film.total // _POINTS)
    return {
        "summary": _summary(film, crop, whole, image_format),
        "width": film.size[0],
        "height": film.size[1],
        "total": film.total,
        "step": step,
        "types": film.types if step == 1 and set(film.types) != {"?"} else None,
        "crop": dataclasses.asdict(crop),
        "frames": [
            {"index": n, "type": film.types[n].replace("?", ""), "seconds": film.seconds[n]} for n in film.chosen
        ],
        "profile": {"first": film.profile.start, "frames": len(film.profile), **dataclasses.asdict(film.row)},
        "overview": None if whole else overview,
        "columns": _columns(film.views),
        "scores_note": _scores_note(film.views),
        "views": [
            _view(view, film, step) | {"images": [_uri(data, image_format) for data in images], "profile": profile}
            for view, images, profile in zip(film.views, pictures, profiles, strict=True)
        ],
    }


def _fit(film: Film, space: float, image_format: ImageFormat) -> tuple[Crop, list[list[bytes]]]:
    """The largest crop whose pictures take at most `space` bytes, and the pictures: by view, by chosen frame."""
    crop, count = film.crop, len(film.chosen)
    for sample in (slice(count // 2, count // 2 + 1), slice(None)):  # one frame first: it tells most, in little time
        while True:
            part = dataclasses.replace(crop, x=crop.x - film.crop.x, y=crop.y - film.crop.y)
            pictures = [
                [encode_image(part.of(kept), image_format) for kept in view.kept[sample]] for view in film.views
            ]
            size = sum(map(len, chain(*pictures))) * count / len(pictures[0])
            if size <= space or max(crop.width, crop.height) <= 16:
                break
            shrink = 0.97 * math.sqrt(max(space, 1) / size)
            crop = crop.centred(crop.width * shrink, crop.height * shrink)
    return crop, pictures


def _view(view: View, film: Film, step: int) -> dict[str, object]:
    plain: dict[str, object] = {"label": view.label, "reference": view is film.views[-1]}
    if not view.scored:
        return plain
    return plain | {
        "scores": _scores(view),
        "psnr": _thinned(view.psnr, step),
        "ssim": _thinned(view.ssim, step),
        "stored": [_rounded(view.psnr[number]) for number in film.chosen],
    }


def _scores(view: View) -> dict[str, object]:
    types = {kind: finite(tally.rgb.psnr) for kind, tally in view.by_type.items()}
    return view.total.as_dict() | types


def _columns(views: list[View]) -> list[dict[str, object]]:
    """The columns of the table for which any view has a value."""
    known = {key for view in views if view.scored for key, value in _scores(view).items() if value is not None}
    names = ("key", "title", "digits", "higher")
    return [dict(zip(names, column, strict=True)) for column in _COLUMNS if column[0] in known]


def _thinned(values: list[float], step: int) -> list[object]:
    return [_rounded(sum(values[i : i + step]) / len(values[i : i + step])) for i in range(0, len(values), step)]


def _rounded(value: float) -> object:
    number = finite(value)
    return round(number, 4) if isinstance(number, float) else number


def _summary(film: Film, crop: Crop, whole: bool, image_format: ImageFormat) -> str:
    kind = "JPEG" if image_format == "jpeg" else "lossless"
    part = "whole pictures" if whole else f"cut to {crop.width} × {crop.height} at ({crop.x}, {crop.y})"
    frames = "1 frame" if film.total == 1 else f"{film.total} frames"
    return f"{frames} of {film.size[0]} × {film.size[1]}; {len(film.chosen)} shown, {part}, {kind}."


def _scores_note(views: list[View]) -> str:
    total = sum((view.total for view in views), Tally())
    luma = {"planes": "the decoded Y planes", "rgb": "BT.601 Y of the RGB pictures"}.get(
        total.luma_from, "both kinds of Y"
    )
    low = next((view.path.name for view in views if view.enlarged), None)
    note = (
        f"Against {views[-1].label}, over all frames; the best of each column is bold. PSNR RGB is "
        "10 log10(255² n / sse) of all 8-bit samples together. PSNR Y, SSIM and temporal error are of "
        f"{luma}; the temporal error is the mean squared error of the differences between successive frames."
    )
    if low is None:
        return note
    return f"{note} Consistency is the RMS in code values between {low} and the picture at its size."


def _uri(data: bytes, image_format: ImageFormat) -> str:
    return f"data:image/{image_format};base64,{base64.b64encode(data).decode()}"


def _html(data: dict[str, object]) -> str:
    folder = importlib.resources.files("subpixel.compare")
    parts = {
        name: (folder / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "viewer.js", "plot.js")
    }
    # "<" never appears in the JSON, so that no file name can end the script element.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    page = parts["page.html"].replace("/*STYLE*/", parts["page.css"])
    page = page.replace("/*SCRIPT*/", parts["viewer.js"] + parts["plot.js"])
    return page.replace("/*DATA*/", text)


def _write(out: Path, page: str) -> Path:
    part = out.with_name(out.name + ".part")
    try:
        part.write_text(page, encoding="utf-8")
        os.replace(part, out)
    except OSError as error:
        raise DiskError(f"{out} cannot be written: {error.strerror}; choose another place with -o.") from error
    return out
