"""How exactly zoom pairs are laid onto each other: made pairs whose true homography is known.

python bench/zoom_pairs.py [--photos FOLDER] [--pairs 12] [--seed 0]

Each pair: a tele picture cut from a photograph, and a wide one: the whole, warped (0.5 degrees, 1 % of zoom, 12 pixels,
perspective), shrunk four times, brightened, curved, noisy. Prints a markdown table of RMS errors of positions in pixels
of the tele picture, mean and largest over the pairs, and CPU seconds for each method. Photographs: of a folder, or
those that scikit-image carries.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import skimage.data
from scipy.ndimage import map_coordinates

from subpixel import pictures
from subpixel.errors import InputError
from subpixel.multiframe import pairs, render
from subpixel.register import Motion

Array = npt.NDArray[Any]
SCALE = 4
SIZE = 1024, 768  # at most, of a photograph
MARGIN = 48  # pixels of the photograph around the tele picture
SHIPPED = ("retina", "hubble_deep_field", "stereo_motorcycle", "rocket", "coffee", "astronaut")


@dataclasses.dataclass(frozen=True)
class Made:
    """A pair (float32 RGB, 0 to 1) and the homography from positions in the wide picture to those in the tele one.

    fine: what the wide lens saw before it was shrunk, in its colours, without noise.
    """

    tele: Array
    wide: Array
    truth: Array
    fine: Array


def photographs(folder: Path | None) -> list[Array]:
    """float64 RGB, 0 to 1, at most SIZE; from a folder, or from scikit-image."""
    if folder is None:
        found = [getattr(skimage.data, name)() for name in SHIPPED]
        found = [p[0] if isinstance(p, tuple) else p for p in found]
    else:
        found = [pictures.load(p).samples for p in sorted(folder.glob("*.jpg"))]
    made = []
    for samples in found:
        shrink = max(samples.shape[1] / SIZE[0], samples.shape[0] / SIZE[1], 1.0)
        size = (int(samples.shape[1] / shrink) // SCALE * SCALE, int(samples.shape[0] / shrink) // SCALE * SCALE)
        made.append(cv2.resize(samples[..., :3], size, interpolation=cv2.INTER_AREA) / 255.0)
    return made


def make(photo: Array, rng: np.random.Generator, flow: Array | None = None, scale: int = SCALE) -> Made:
    """A pair from a photograph; flow: (h, w, 2), parallax: how far away the wide lens sees things, in tele pixels."""
    height, width = photo.shape[:2]
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    turn, zoom = np.deg2rad(rng.uniform(-0.5, 0.5)), 1 + rng.uniform(-0.01, 0.01)
    linear = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    inner = np.eye(3)
    inner[:2, :2], inner[:2, 2], inner[2, :2] = linear, rng.uniform(-12, 12, 2), rng.uniform(-4e-6, 4e-6, 2)
    centre = np.array([[1, 0, middle[0]], [0, 1, middle[1]], [0, 0, 1]])
    matrix = centre @ inner @ np.linalg.inv(centre)  # from the wide picture's fine grid to the photograph
    y, x = np.mgrid[:height, :width].astype(np.float64)
    where = Motion("homography", matrix).points(np.stack([x.ravel(), y.ravel()], 1)).reshape(height, width, 2)
    if flow is not None:
        where = where + cv2.resize(flow, (width, height), interpolation=cv2.INTER_CUBIC)
    planes = [map_coordinates(photo[..., c], [where[..., 1], where[..., 0]], order=5, mode="mirror") for c in range(3)]
    sharp = np.clip(np.stack(planes, -1), 0, 1)
    gamma, gain, bias = rng.uniform(0.9, 1.1), rng.uniform(0.8, 1.2), rng.uniform(-0.02, 0.02)
    low, fine = (gain * light**gamma + bias for light in (render.shrunk(sharp, scale).astype(np.float64), sharp))
    low = low + rng.normal(0, 2 / 255, low.shape)
    tele = photo[MARGIN:-MARGIN, MARGIN:-MARGIN] + rng.normal(0, 1 / 255, (height - 2 * MARGIN, width - 2 * MARGIN, 3))
    finer = np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5], [0, 0, 1]])
    cut = np.array([[1, 0, -MARGIN], [0, 1, -MARGIN], [0, 0, 1]])
    return Made(quantised(tele), quantised(low), cut @ matrix @ finer, fine)


def quantised(picture: Array) -> Array:
    """Rounded to 8 bits, float32 of 0 to 1."""
    return (np.rint(np.clip(picture, 0, 1) * 255) / 255).astype(np.float32)


def rms(found: Callable[[Array], Array], made: Made) -> float:
    """RMS distance of `found` from the truth, tele pixels, over a grid of the wide picture that the tele one covers."""
    y, x = np.mgrid[0 : made.wide.shape[0] : 4, 0 : made.wide.shape[1] : 4].astype(np.float64)
    points = np.stack([x.ravel(), y.ravel()], 1)
    truth = Motion("homography", made.truth).points(points)
    inside = ((truth > 16) & (truth < np.array(made.tele.shape[1::-1]) - 17)).all(1)
    return float(np.sqrt(((found(points[inside]) - truth[inside]) ** 2).sum(1).mean()))


def nominal(made: Made) -> Array:
    """The field of view by the focal lengths alone: both middles together, exactly four times."""
    size = np.array(made.tele.shape[1::-1])
    offset = (size - 1) / 2 - SCALE * (np.array(made.wide.shape[1::-1]) - 1) / 2
    return np.array([[SCALE, 0, offset[0]], [0, SCALE, offset[1]], [0, 0, 1]])


def gray(picture: Array) -> Array:
    """BT.601 luma, float32."""
    return (picture @ np.array([0.299, 0.587, 0.114])).astype(np.float32)


def enlarged(made: Made) -> Array:
    """The wide picture's luma on the tele picture's grid by the nominal field of view."""
    size = made.tele.shape[1::-1]
    return cv2.warpPerspective(
        gray(made.wide), np.linalg.inv(nominal(made)), size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    )


def ecc(template: Array, moving: Array, mode: int, blur: int) -> Array:
    """findTransformECC: (3, 3) from template to moving."""
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 500, 1e-6)
    start = np.eye(3 if mode == cv2.MOTION_HOMOGRAPHY else 2, 3, dtype=np.float32)
    _, found = cv2.findTransformECC(template, moving, start, mode, stop, None, blur)
    return found if len(found) == 3 else np.vstack([found, [0, 0, 1]])


def published(made: Made) -> Array:
    """What the script of "Zoom to Learn, Learn to Zoom" does, by its description: both at the tele size, shrunk four
    times, ECC of an affine motion, 500 steps to 1e-6, its translation times four."""
    small = [cv2.resize(p, None, fx=0.25, fy=0.25) for p in (enlarged(made), gray(made.tele))]
    found = ecc(small[0], small[1], cv2.MOTION_AFFINE, 5)
    found[:2, 2] *= 4
    return found @ nominal(made)


def features(made: Made) -> Array:
    """SIFT and RANSAC alone."""
    return np.linalg.inv(pairs.locate(made.tele, made.wide))


def ecc_homography(made: Made) -> Array:
    """ECC of a homography at full size, the tele picture blurred as the wide one is."""
    blurred = cv2.GaussianBlur(cv2.blur(gray(made.tele), (SCALE, SCALE)), (0, 0), 1.0)
    # An even box lies half a pixel beside its middle.
    shift = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    return shift @ ecc(enlarged(made), blurred, cv2.MOTION_HOMOGRAPHY, 5) @ nominal(made)


def ours(made: Made, follow: bool) -> Callable[[Array], Array]:
    """`subpixel pairs`."""
    found = pairs.align(made.tele, made.wide, scale=SCALE, follow=follow)
    place = np.array(found.place)
    return lambda xy: found.motion.points((xy - place + 0.5) * SCALE - 0.5)


def by(matrix: Callable[[Made], Array]) -> Callable[[Made], Callable[[Array], Array]]:
    """A method that gives a matrix from wide to tele, as one that gives a mapping."""
    return lambda made: Motion("homography", matrix(made)).points


METHODS: dict[str, Callable[[Made], Callable[[Array], Array]]] = {
    "focal lengths alone": by(nominal),
    "script of Zoom to Learn (ECC affine at a quarter)": by(published),
    "SIFT, RANSAC homography": by(features),
    "ECC homography, blurred alike": by(ecc_homography),
    "**subpixel pairs**, homography": lambda made: ours(made, False),
    "**subpixel pairs**, with the tiles' flow": lambda made: ours(made, True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder of .jpg files")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    photos = photographs(asked.photos)
    rng = np.random.default_rng(asked.seed)
    made = [make(photos[k % len(photos)], rng) for k in range(asked.pairs)]
    print("| method | mean | largest | failed | CPU s |\n|---|---|---|---|---|")
    for name, method in METHODS.items():
        errors, failed, began = [], 0, time.process_time()
        for one in made:
            try:
                errors.append(rms(method(one), one))
            except (cv2.error, InputError) as error:
                failed += 1
                print(f"failed: {name}: {error}")
        spent = (time.process_time() - began) / len(made)
        print(f"| {name} | {np.mean(errors):.3f} | {np.max(errors):.3f} | {failed} | {spent:.2f} |")
        print(" ", np.round(errors, 3))


if __name__ == "__main__":
    main()
