"""Optical-zoom pairs: the same view through a long and a short lens, laid onto each other to learn enlarging from.

SIFT and a robust homography find where the wide picture shows what the tele picture shows (Lowe, IJCV 60, 2004); robust
Gauss-Newton refines it, each time on the tele picture rendered as the wide lens would have seen it, so that both are
sampled and aliased alike; tiles tell what a homography cannot (parallax). The wide picture's own samples are kept.
Such pairs: Zhang et al., "Zoom to Learn, Learn to Zoom", CVPR 2019; Cai et al., "Toward Real-World Single Image
Super-Resolution", ICCV 2019.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError
from subpixel.multiframe import parallax, tone
from subpixel.multiframe.render import luma, refine, rendered, shrunk
from subpixel.register import Motion, warp

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

LEAST_ZOOM = 1.2  # below, both lenses are taken for the same
LEAST_SIDE = 64  # LR pixels of the common part
_FEATURES = 4000  # at most, of a picture
_INLIERS = 6  # features that must agree
_UNSURE = 1.0  # HR pixels of predicted error
_TRUSTED = 0.25  # share of the tiles that must fit
_SHARPER = 1.1  # gradient energy that the tele picture must have over the enlarged wide one


@dataclasses.dataclass(frozen=True, eq=False)
class Aligned:
    """A pair laid onto each other.

    low: (H, W, 3) float32, 0 to 1, the samples of the wide picture from `place` (left, top) on, untouched. sharp:
    (scale H, scale W, 3), the tele picture on a grid `scale` times as fine with the same outer edges, in the wide
    picture's colours. zoom: how many times larger the tele picture shows things. motion: from sharp's grid to the tele
    picture. error: its predicted RMS error in HR pixels, without that of the flow. flow: (scale H, scale W, 2), what
    tiles show beyond the homography, in HR pixels, (dx, dy) as in Motion. trusted: (rows, columns), whether a tile
    shows the same in both, the flow followed; tiles overlap by half. psnr: of low against the shrunk sharp, dB, in
    trusted tiles. sharpness: gradient energy of sharp over that of low enlarged.
    """

    low: Float32
    sharp: Float32
    place: tuple[int, int]
    zoom: float
    motion: Motion
    error: float
    flow: Float32
    trusted: Array
    psnr: float
    sharpness: float

    @property
    def parallax(self) -> float:
        """RMS of the flow, HR pixels."""
        return float(np.sqrt(np.square(self.flow).sum(-1, dtype=np.float64).mean()))

    @property
    def kept(self) -> float:
        """The share of tiles that show the same in both."""
        return float(self.trusted.mean())


def align(tele: Array, wide: Array, *, scale: int = 4, follow: bool = True) -> Aligned:
    """Lay a tele and a wide picture, (H, W) or (H, W, 3), 0 to 1, of any sizes, onto each other.

    scale: HR pixels for each pixel of the wide picture. follow: warp by what the tiles show too, not the homography
    alone. Raises InputError, with the reason, for a pair that is no use: blank, saturated, nothing in common, the same
    focal length or the wrong way round, turned, too small, too little zoom for the scale, parts that moved, no sharper.
    """
    tele, wide = (_colour(picture) for picture in (tele, wide))
    for name, picture in (("tele", tele), ("wide", wide)):
        _check(name, picture)
    found = locate(tele, wide)
    zoom = _zoom(found, tele.shape)
    if zoom < 0.8 * scale:
        raise InputError(f"a zoom of {zoom:.2f} is too little for a scale of {scale}; use a smaller --scale")
    place, size = _common(found, tele.shape, wide.shape)
    left, top = place
    low = wide[top : top + size[1], left : left + size[0]]
    source, pitch = _reduced(tele, scale / zoom)
    matrix = pitch @ np.linalg.inv(found) @ _from_fine(place, scale)
    motion = refine(source, low, Motion("homography", matrix / matrix[2, 2]), scale)
    if motion.rmse > _UNSURE:
        raise InputError(
            f"how they lie is sure to {motion.rmse:.1f} HR pixels only; take them of something with texture"
        )
    aligned = _finish(source, low, motion, scale, follow, place, zoom)
    larger = Motion("affine", np.asarray(np.linalg.inv(pitch), np.float64))
    return dataclasses.replace(aligned, motion=aligned.motion.then(larger))


def locate(tele: Array, wide: Array) -> Float64:
    """(3, 3): the similarity from positions in the tele picture to those in the wide one, right to a pixel or two.

    The tele picture is looked at in several sizes, for features are found best at the scale at which the wide picture
    shows them. Raises InputError where features do not agree on one.
    """
    coarse = _features(wide, min(1.0, 2000 / max(wide.shape)))
    best = _Agreement(0, 0, np.eye(3))
    for longest in (2000, 1000, 500, 250):
        if longest > max(tele.shape) and longest != 2000:
            continue
        best = max(
            best, _agreement(_features(tele, min(1.0, longest / max(tele.shape))), coarse), key=lambda a: a.agree
        )
    if best.agree < _INLIERS + best.couples / 20:  # more couples agree by chance
        raise InputError(f"no part in common: only {best.agree} of {best.couples} matching features agree on a place")
    return best.matrix


@dataclasses.dataclass(frozen=True)
class _View:
    """Features of a picture: positions (N, 2) in it as it was given, descriptors (N, 128)."""

    points: Float64
    descriptors: Array


@dataclasses.dataclass(frozen=True)
class _Agreement:
    """How many of the matching features agree on a motion, and that (3, 3)."""

    agree: int
    couples: int
    matrix: Float64


def _features(picture: Float32, factor: float) -> _View:
    """SIFT in the picture made smaller by a factor."""
    import cv2

    small, pitch = _reduced(luma(picture), factor)
    levels = np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)
    sift = cv2.SIFT_create(  # type: ignore[attr-defined]
        nfeatures=_FEATURES, contrastThreshold=0.01
    )
    points, descriptors = sift.detectAndCompute(levels, None)
    back = Motion("affine", np.asarray(np.linalg.inv(pitch), np.float64))
    return _View(back.points(np.array([p.pt for p in points]).reshape(-1, 2)), descriptors)


def _agreement(fine: _View, coarse: _View) -> _Agreement:
    """The similarity on which most matching features agree, by RANSAC; four unknowns need no features everywhere."""
    import cv2

    if min(len(fine.points), len(coarse.points)) < _INLIERS:
        return _Agreement(0, 0, np.eye(3))
    back = [m.trainIdx for m in cv2.BFMatcher().match(coarse.descriptors, fine.descriptors)]
    found = cv2.BFMatcher().knnMatch(fine.descriptors, coarse.descriptors, k=2)
    couples = [m for m, n in found if m.distance < 0.85 * n.distance and back[m.trainIdx] == m.queryIdx]
    if len(couples) < _INLIERS:
        return _Agreement(0, len(couples), np.eye(3))
    ends = fine.points[[m.queryIdx for m in couples]], coarse.points[[m.trainIdx for m in couples]]
    matrix, inliers = cv2.estimateAffinePartial2D(*ends, ransacReprojThreshold=2.5, maxIters=20000, confidence=0.9999)
    if inliers is None or not inliers.any():
        return _Agreement(0, len(couples), np.eye(3))
    return _Agreement(int(inliers.sum()), len(couples), np.vstack([matrix, [0, 0, 1]]))


def _finish(
    source: Float32, low: Float32, motion: Motion, scale: int, follow: bool, place: tuple[int, int], zoom: float
) -> Aligned:
    """What the tiles say, and the pictures themselves; raises InputError where these do not fit."""
    height, width = low.shape[:2]
    flow = parallax.residual(source, low, motion, scale)
    followed = parallax.followed(motion, flow)
    whole = followed if follow else motion
    sharp, _ = warp(source, whole, shape=(height * scale, width * scale), fill=0.0)
    small = shrunk(sharp, scale)
    judged = small if follow else shrunk(rendered(source, followed, (height, width), scale)[0], scale)
    grid = parallax.tiles(height, width, parallax.SIDE)
    trusted = parallax.fitting(luma(low), luma(judged), grid)
    if trusted.mean() < _TRUSTED:
        raise InputError(
            f"only {100 * trusted.mean():.0f} % of the common part look alike: something moved, or one is out of focus"
        )
    mask = grid.dense(trusted[..., None], height, width, 1)[..., 0] > 0.5
    colours = tone.match(small, low, mask)
    sharp = colours.apply(sharp)
    error = float(((colours.apply(small) - low)[mask] ** 2).mean())
    sharper = _sharpness(sharp, low)
    if sharper < _SHARPER:
        raise InputError(f"the tele picture is no sharper than the wide one enlarged (gradient energy x{sharper:.2f})")
    return Aligned(
        low=low,
        sharp=sharp,
        place=place,
        zoom=zoom,
        motion=whole,
        error=motion.rmse,
        flow=flow,
        trusted=trusted,
        psnr=-10 * math.log10(max(error, 1e-10)),
        sharpness=sharper,
    )


def _sharpness(sharp: Float32, low: Float32) -> float:
    """Gradient energy of sharp's luma over that of low, enlarged by cubic interpolation."""
    import cv2

    size = sharp.shape[1], sharp.shape[0]
    large = cv2.resize(luma(low), size, interpolation=cv2.INTER_CUBIC)
    ours, theirs = (sum(float((np.diff(p, axis=a) ** 2).mean()) for a in (0, 1)) for p in (luma(sharp), large))
    return ours / max(theirs, 1e-12)


def _colour(picture: Array) -> Float32:
    plane = np.asarray(picture, np.float32)
    return np.repeat(plane[..., None], 3, 2) if plane.ndim == 2 else plane


def _check(name: str, picture: Float32) -> None:
    """Raise InputError for a picture that nothing can be learnt from."""
    plane = luma(picture)
    if not np.isfinite(plane).all():
        raise InputError(f"the {name} picture holds values that are no numbers (NaN or infinite)")
    clipped = float((plane > 0.995).mean())
    if clipped > 0.5:
        raise InputError(f"{100 * clipped:.0f} % of the {name} picture are saturated; expose it shorter")
    if plane.std() < 0.005:
        raise InputError(f"the {name} picture is blank: its samples differ by {255 * plane.std():.1f} of 255 (RMS)")


def _zoom(found: Float64, shape: tuple[int, ...]) -> float:
    """How many times larger the tele picture shows what is in its middle; InputError for what is no zoom pair."""
    middle = Motion("homography", found).points(_square(shape[1] / 2, shape[0] / 2, 8.0))
    (ax, ay), (bx, by) = middle[1] - middle[0], middle[3] - middle[0]
    area = ax * by - ay * bx
    if area <= 0:
        raise InputError("one picture shows the other mirrored, or not at all: no homography fits")
    zoom = 8.0 / math.sqrt(area)
    if zoom < 1 / LEAST_ZOOM:
        raise InputError(f"the wide picture is the narrower one (zoom {zoom:.2f}); give the tele picture first")
    if zoom < LEAST_ZOOM:
        raise InputError(f"both pictures have the same focal length (zoom {zoom:.2f}); take one with a longer lens")
    turn = math.degrees(math.atan2(ay, ax))
    if abs(turn) > 15:
        raise InputError(f"the tele picture is turned by {turn:.0f} degrees against the wide one; turn it back")
    return zoom


def _square(x: float, y: float, side: float) -> Float64:
    return np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]], np.float64)


def _common(found: Float64, tele: tuple[int, ...], wide: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """(left, top) and (width, height), even, of the upright part of the wide picture that the tele picture covers."""
    edges = np.array([[0, 0], [tele[1] - 1, 0], [tele[1] - 1, tele[0] - 1], [0, tele[0] - 1]], np.float64)
    corner = Motion("homography", found).points(edges)
    margin = 2  # for what refining will change
    left, right = max(corner[0, 0], corner[3, 0], 0) + margin, min(corner[1, 0], corner[2, 0], wide[1] - 1) - margin
    top, bottom = max(corner[0, 1], corner[1, 1], 0) + margin, min(corner[2, 1], corner[3, 1], wide[0] - 1) - margin
    first = math.ceil(left), math.ceil(top)
    width, height = (
        int(math.floor(end) - start + 1) // 2 * 2 for start, end in zip(first, (right, bottom), strict=True)
    )
    if min(width, height) < LEAST_SIDE:
        size = f"{max(width, 0)}x{max(height, 0)}"
        raise InputError(f"only {size} pixels of the wide picture are in the tele one; {LEAST_SIDE} a side are needed")
    return first, (width, height)


def _reduced(picture: Float32, factor: float) -> tuple[Float32, Float64]:
    """The picture made smaller by area where that is by a fifth or more, and the (3, 3) from its old positions."""
    import cv2

    if factor > 0.8:
        return picture, np.eye(3)
    height, width = picture.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    x, y = size[0] / width, size[1] / height
    return np.asarray(small, np.float32), np.array([[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5], [0, 0, 1.0]])


def _from_fine(place: tuple[int, int], scale: int) -> Float64:
    """(3, 3) from positions on the HR grid of the common part to those in the wide picture."""
    offset = 0.5 / scale - 0.5
    return np.array([[1 / scale, 0, offset + place[0]], [0, 1 / scale, offset + place[1]], [0, 0, 1.0]])
