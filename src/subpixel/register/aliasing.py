"""What is finer than the pixels: how much of it the residuals of an alignment show, and how it pulls a shift."""

from __future__ import annotations

import functools
import math

import numpy as np

from subpixel.register.motion import Float32, Float64
from subpixel.register.planes import blurred

APART = (0.8, 1.6)  # pixels: blurs under which residuals tell noise from aliasing


def left_over(residual: Float32) -> tuple[float, float]:
    """Noise n and aliasing c in the residuals (h, w) of an alignment, their spectrum being taken as n + c r^2.5.

    r is in cycles a pixel; energies under two blurs tell them apart, without the high frequencies of noise, of which
    interpolation takes some away.
    """
    energies = [float(np.mean(np.square(blurred(residual, blur)))) for blur in APART]
    noise, alias = np.linalg.solve(_moments(), energies)
    return max(float(noise), 1e-9), max(float(alias), 1e-9)


@functools.cache
def _moments() -> Float64:
    """(2, 2): the energy of noise and of aliasing, of n = c = 1, under the two blurs of `left_over`."""
    u = np.fft.fftfreq(128)
    r = np.hypot(u, u[:, None])
    passed = [np.exp(-4 * np.pi**2 * r**2 * blur**2) for blur in APART]
    return np.array([[np.mean(p), np.mean(p * r**2.5)] for p in passed])


def best_blur(noise: float, alias: float) -> float:
    """The blur in pixels that suits what is left over: 0.6 for noise, 1.2 for aliasing (fitted)."""
    return float(np.clip(0.6 - 0.11 * math.log(noise / alias + 0.005), 0.6, 1.2))


def pull(shift: Float64, noise: float, alias: float, blur: float) -> Float64:
    """(2,): what to add to the normal equations of a shift (dx, dy), for each sample, against the pull of aliasing.

    What is aliased has moved by a whole cycle a pixel too much. With the true shift d its products with itself add
    sin(2 pi d) times the sum of 2 pi u |a|^2 over frequencies u to the normal equations, a pull towards whole pixels.
    |a|^2 = c r^2.5 / 2 for each direction, with c from the residuals, of which aliasing makes
    2 - cos(2 pi dx) - cos(2 pi dy) times as much. Where there is little noise the blur keeps aliasing out, and less is
    taken off: a guess would do more harm (fitted).
    """
    angle = 2 * math.pi * shift
    seen = float(2 - np.cos(angle).sum())
    strength = alias * seen / (seen**2 + 0.05)  # near whole pixels nothing is seen of aliasing, and it pulls little
    strength *= 0.67 * noise / (noise + 0.053 * strength)
    # The mean over all frequencies of 2 pi |u| r^2.5 exp(-4 pi^2 r^2 blur^2)
    moment = 4 * math.pi * math.gamma(2.75) * (2 * math.pi * blur) ** -5.5
    return np.asarray(strength / 2 * moment * np.sin(angle), np.float64)
