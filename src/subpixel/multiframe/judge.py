"""How sharp a frame is, place by place, and what it counts for there."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]

FEWEST = 3
PLACE = 16  # pixels: frames are judged at points this far apart
AROUND = 1.25  # places: standard deviation of the surroundings that count
DETAIL = (0.7, 2.0)  # pixels: detail is what lies between these blurs
SPREAD = 0.2  # standard deviation of sharpness between frames, in ordinary seeing


class Judge:
    """Compares the detail of frames with that of a reference, which has far less noise.

    The sharpness of a frame at a place is the regression of its detail on the reference's: 1 is as sharp, 0 is
    nothing of it. Noise does not make a frame look sharp, as it does where energy is measured.
    """

    def __init__(self, reference: Float, noise: float) -> None:
        """reference: (height, width); noise: standard deviation of that of a frame."""
        self.reference = reference
        self.detail = detail(reference)
        energy = gathered(self.detail**2)
        self.energy = energy + np.float32(0.02 * energy.mean() + 1e-12)
        low, high = (side**2 for side in DETAIL)
        passed = noise**2 * (1 / (4 * low) + 1 / (4 * high) - 1 / (low + high)) / math.pi
        samples = 4 * math.pi * (AROUND * PLACE) ** 2 / (4 * math.pi * low)  # independent ones among the surroundings
        self.sure = self.energy / (self.energy + passed / (samples * SPREAD**2))

    def gain(self, frame: Float, inside: Float) -> float:
        """What the frame is multiplied by to be as bright as the reference: clouds and flicker."""
        few = np.s_[::4, ::4]
        mine, seen = self.reference[few], frame[few] * inside[few]
        return float((mine * seen).sum() / max(float((seen * seen).sum()), 1e-12))

    def sharpness(self, frame: Float, inside: Float) -> Float:
        """(places): at least 1e-3, and 0 where the frame shows too little of the surroundings (`inside` is 0).

        Where the reference has too little detail to judge by, it is drawn to the frame's mean, for seeing that is good
        here is often good there.
        """
        there = gathered(inside)
        local = gathered(detail(frame) * self.detail * inside) / (self.energy * np.maximum(there, 0.1))
        mean = float((local * self.energy).sum() / self.energy.sum())
        drawn = np.maximum(mean + self.sure * (local - mean), 1e-3)
        return np.asarray(np.where(there > 0.5, drawn, 0), np.float32)


def weights(sharpness: Float, keep: float) -> Float:
    """(frames, places) of what each frame counts: at each place the best `keep` of the frames that show it, FEWEST at
    least, by how much they are sharper than the best of those left out; the sharpest counts 1."""
    ranked = -np.sort(-sharpness, axis=0)
    shown = np.count_nonzero(ranked, axis=0)
    first_out = np.ceil(keep * shown).astype(int).clip(FEWEST)
    limit = np.take_along_axis(ranked, np.minimum(first_out, len(ranked) - 1)[None], 0)[0]
    limit = np.where(first_out < len(ranked), limit, 0)
    above = np.maximum(sharpness - limit, 0)
    return np.asarray(above / np.maximum(ranked[0] - limit, 1e-9), np.float32)


def detail(plane: Float) -> Float:
    """What lies between the two blurs of DETAIL."""
    import cv2

    fine, coarse = (cv2.GaussianBlur(plane, (0, 0), side) for side in DETAIL)
    return np.asarray(fine - coarse)


def gathered(plane: Float) -> Float:
    """Means of the surroundings of each place."""
    import cv2

    size = tuple(-(-side // PLACE) for side in plane.shape[::-1])
    coarse = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(coarse, (0, 0), AROUND, borderType=cv2.BORDER_REFLECT))


def spread(places: Float, shape: tuple[int, ...]) -> Float:
    """Values of places for each pixel of a picture (height, width), linear between them."""
    import cv2

    return np.asarray(cv2.resize(places, shape[1::-1], interpolation=cv2.INTER_LINEAR))
