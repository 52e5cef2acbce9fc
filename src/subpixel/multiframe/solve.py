"""The most probable picture given all samples: preconditioned conjugate gradients with a prior learnt from the burst.

Minimises  sum_i w_i (y_i - (A T' z)_i)^2 + sum_c sum_p l_c(p) r(z_c)(p)  where A is the camera (`optics`, `normal`), z
the picture as a grey and two colour differences, T' turns it into RGB, and r = |grad z|^2 + |grad laplace z|^2 / 4 is
its roughness: a picture's power falls with the square of its frequency, and faster where lens and pixel have ended.
l = variance of a sample of weight 1 / mean of r. That mean is estimated from the samples by expectation maximisation;
first it is one number for each channel, then for each place that of its neighbourhood (a local Wiener filter).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft

from subpixel.multiframe.normal import Normal

Float = npt.NDArray[Any]  # float32

# Grey, red against blue, green against both, of unit length: the statistics of pictures are about uncorrelated there.
OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]], np.float32)
OPPONENT /= np.linalg.norm(OPPONENT, axis=1, keepdims=True)

STEEPNESS = 0.25  # of |grad laplace z|^2 against |grad z|^2
LEAST_COLOUR = 0.003  # of the power of grey
NEIGHBOURHOOD = 1.7  # sigma in fine pixels of the window in which power is measured
FLOOR = 0.1  # part of the mean power that every neighbourhood is taken to have

ENOUGH = 2e-3  # of the squared residual that the start leaves
EVEN = 0.3  # density of the samples, of its mean, below which the preconditioner takes it to be no less

Power = npt.NDArray[np.float64]  # (channels,) mean of r


class Solver:
    """One piece of the picture, (channels, height, width): its normal equations, and spectra of its size.

    variance: of a sample of weight 1.
    """

    def __init__(self, normal: Normal, variance: float) -> None:
        self.normal, self.variance = normal, variance
        channels, height, width = normal.shape
        self.opponent = OPPONENT if channels == 3 else np.eye(channels, dtype=np.float32)
        fy, fx = np.arange(height)[:, None] / (2 * height), np.arange(width)[None] / (2 * width)
        s = 4 * np.sin(np.pi * fy) ** 2 + 4 * np.sin(np.pi * fx) ** 2
        self.roughness = (s + STEEPNESS * s**3).astype(np.float32)
        camera = (normal.optics.transfer(fy) * normal.optics.transfer(fx)) ** 2
        self.seen = (normal.density() * camera).astype(np.float32)
        here = cv2.GaussianBlur(normal.weight(), (0, 0), 3.0)
        self.even = np.sqrt(np.maximum(here / max(float(here.mean()), 1e-9), EVEN))
        self.rhs = self._turn(self._camera(normal.rhs))

    def start(self) -> Float:
        """A blurred mean of the samples, as z; where there are none, their mean over the piece."""
        count = self._camera(self.normal.product(self._camera(np.ones(self.normal.shape, np.float32))))
        few = np.float32(0.05) * count.max((1, 2))
        rgb = np.empty_like(count)
        for channel, total in enumerate(self._turn_back(self.rhs)):
            mean = total.sum() / max(float(count[channel].sum()), 1e-9)
            near, weight = (cv2.GaussianBlur(plane, (0, 0), 1.5) for plane in (total, count[channel]))
            rgb[channel] = (near + few[channel] * mean) / (weight + max(few[channel], 1e-9))
        return self._turn(rgb)

    def first_power(self, z: Float) -> Power:
        """A guess of the power from `start`, which is too smooth by far."""
        return self._tinted(z, 10 * float(_roughness(z[0]).mean()))

    def power(self, z: Float, power: Power) -> Power:
        """The expected power, given the solution z with the prior `power`: of z and of what it cannot know.

        That of colour is grey's times their ratio in a blurred z: a mosaic has seen too little of fine colours.
        """
        strength = self.variance / power[0]
        unknown = (self.roughness * self.variance / (self.seen + strength * self.roughness)).mean()
        return self._tinted(z, float(_roughness(z[0]).mean(dtype=np.float64) + unknown))

    def _tinted(self, z: Float, grey: float) -> Power:
        smooth = [cv2.GaussianBlur(plane, (0, 0), self.normal.optics.scale) for plane in z]
        slopes = np.array([sum(float((s * s).mean(dtype=np.float64)) for s in _slopes(plane)) for plane in smooth])
        return np.asarray(grey * np.maximum(slopes / max(slopes[0], 1e-12), LEAST_COLOUR))

    def solve(self, z: Float, power: Power, *, local: bool, iterations: int) -> Float:
        """The minimum, sought from z; with `local` the prior follows the power of z around each place."""
        strength = (self.variance / power).astype(np.float32)
        inverse = 1 / (self.seen + strength[:, None, None] * self.roughness + np.float32(1e-4) * self.seen[0, 0])
        field = self._field(z, power) if local else None
        even = self.even

        def matrix(z: Float) -> Float:
            out = self._data(z)
            for channel, plane in enumerate(z):
                out[channel] += strength[channel] * _smooth(plane, 1.0 if field is None else field[channel])
            return out

        def precondition(residual: Float) -> Float:
            spectrum = scipy.fft.dctn(residual / even, axes=(1, 2), norm="ortho", overwrite_x=True)
            better = scipy.fft.idctn(spectrum * inverse, axes=(1, 2), norm="ortho", overwrite_x=True)
            out: Float = better / even
            return out

        return conjugate_gradients(matrix, self.rhs, z, iterations, precondition)

    def picture(self, z: Float) -> Float:
        """(channels, height, width) RGB or grey."""
        return self._turn_back(z)

    def seen_by_camera(self, z: Float) -> Float:
        """(channels, height, width): z as RGB behind lens and pixel, from which samples are interpolated."""
        return self._camera(self._turn_back(z))

    def freedom(self, power: Power) -> float:
        """Expected share of a sample's noise that the picture follows: unknowns that were fitted, per sample."""
        strength = self.variance / power
        fitted = np.mean([(self.seen / (self.seen + k * self.roughness)).mean() for k in strength])
        return float(fitted / max(self.normal.density(), 1e-9))

    def _field(self, z: Float, power: Power) -> Float:
        """How much stronger the prior is at each place than on average; both colours alike."""
        around: Float = np.stack([cv2.GaussianBlur(_roughness(plane), (0, 0), NEIGHBOURHOOD) for plane in z])
        around /= power.astype(np.float32)[:, None, None]
        around[1:] = around[1:].mean(0) if len(z) > 1 else 0
        return (1 + np.float32(FLOOR)) / (around + np.float32(FLOOR))

    def _data(self, z: Float) -> Float:
        return self._turn(self._camera(self.normal.product(self._camera(self._turn_back(z)))))

    def _camera(self, planes: Float) -> Float:
        blur = self.normal.optics.blur
        return np.stack([cv2.sepFilter2D(p, -1, blur, blur, borderType=cv2.BORDER_REFLECT) for p in planes])

    def _turn(self, rgb: Float) -> Float:
        turned: Float = np.tensordot(self.opponent, rgb, 1)
        return turned

    def _turn_back(self, z: Float) -> Float:
        turned: Float = np.tensordot(self.opponent.T, z, 1)
        return turned


def _smooth(z: Float, field: Float | float) -> Float:
    """Half the derivative of sum(field * roughness) by z, (height, width)."""
    rough = _laplace(z)
    return _back(*(field * slope for slope in _slopes(z))) + STEEPNESS * _laplace(
        _back(*(field * slope for slope in _slopes(rough)))
    )


def _roughness(z: Float) -> Float:
    steep = [*_slopes(z), *_slopes(_laplace(z))]
    total: Float = steep[0] ** 2 + steep[1] ** 2 + np.float32(STEEPNESS) * (steep[2] ** 2 + steep[3] ** 2)
    return total


def _laplace(z: Float) -> Float:
    """Minus the Laplacian, symmetric: nothing flows over the border."""
    return _back(*_slopes(z))


def _slopes(z: Float) -> tuple[Float, Float]:
    """Differences to the next pixel downwards and to the right, 0 at the end."""
    down, right = np.zeros_like(z), np.zeros_like(z)
    np.subtract(z[1:], z[:-1], out=down[:-1])
    np.subtract(z[:, 1:], z[:, :-1], out=right[:, :-1])
    return down, right


def _back(down: Float, right: Float) -> Float:
    """The transpose of _slopes."""
    out = -down
    out[1:] += down[:-1]
    out -= right
    out[:, 1:] += right[:, :-1]
    return out


def conjugate_gradients(
    matrix: Callable[[Float], Float], rhs: Float, x: Float, iterations: int, precondition: Callable[[Float], Float]
) -> Float:
    """x nearer to the solution of matrix(x) = rhs, for a symmetric positive matrix and preconditioner."""
    residual = rhs - matrix(x)
    better = precondition(residual)
    direction = better.copy()
    product = float(np.vdot(residual, better))
    enough = ENOUGH * product
    for _ in range(iterations):
        if product <= enough:
            break
        image = matrix(direction)
        step = product / max(float(np.vdot(direction, image)), 1e-30)
        x = x + np.float32(step) * direction
        residual -= np.float32(step) * image
        better = precondition(residual)
        previous, product = product, float(np.vdot(residual, better))
        direction = better + np.float32(product / previous) * direction
    return x
