"""Sharpening by deconvolution: a blur that is known, or guessed from the picture, is undone as far as noise allows.

Pictures are (height, width) or (height, width, 3), any scale; channels are treated alike. A blur is the standard
deviation of a Gaussian in pixels, or an array of odd sides that is its picture (PSF), of any sum. Noise is its standard
deviation if it is white, or its power as `radial_power` gives it, or None for a guess. Borders are mirrored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel.errors import InputError, UsageError

Float = npt.NDArray[np.float32]
Psf = float | npt.NDArray[Any]
Radial = npt.NDArray[np.float64]
Noise = float | npt.NDArray[np.float64] | None

MARGIN = 32  # pixels mirrored around the picture, tapering what FFTs would wrap around
COARSEST = 0.02  # cycles per pixel: below, a picture's power is that of its subject
TEXTURE = 4.0
EDGES, LIMB = 3.0, 3.5  # power of the frequency with which the power of edges falls
LARGEST = 5.0  # pixels: wider Gaussians leave nothing to restore


def wiener(picture: Float, psf: Psf, *, noise: Noise = None) -> Float:
    """Wiener's filter (1949) for a blur and noise.

    The spectrum of the picture, averaged over rings, says what share of each frequency is not noise. Noise that was not
    foreseen, such as a sensor's pattern, is told by being too much for what the blur has left: sharp pictures have
    power that falls with the square of the frequency, and more than TEXTURE times that is not believed.
    """
    out = np.empty_like(picture, np.float32)
    for plane, result in _planes(picture, out):
        padded = _mirrored(plane)
        power = radial_power(plane)
        frequency = _middles(len(power))
        radii, blur = _radii(padded.shape), transfer(psf, padded.shape)
        left = np.interp(frequency, *_profile(radii, np.abs(blur)))
        signal = np.maximum(power - noise_power(power, noise), 0)
        share = np.minimum(signal, TEXTURE * _expected(signal, frequency, left)) / np.maximum(power, 1e-30)
        share = np.minimum.accumulate(np.where(frequency < COARSEST, 1, share))
        gain = np.interp(radii, frequency, share) * np.conj(blur) / np.maximum(np.abs(blur) ** 2, 1e-6)
        result[...] = np.fft.irfft2(np.fft.rfft2(padded) * gain, padded.shape)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return out


def richardson_lucy(picture: Float, psf: Psf, *, iterations: int = 20) -> Float:
    """Richardson (JOSA 62, 1972) and Lucy (AJ 79, 1974): what never falls below black, for bodies on a dark sky.

    Noise grows with the iterations. Raises UsageError for fewer than one.
    """
    if iterations < 1:
        raise UsageError(f"Richardson-Lucy takes one iteration or more; not {iterations}.")
    out = np.empty_like(picture, np.float32)
    for plane, result in _planes(picture, out):
        seen = np.maximum(_mirrored(plane), 1e-6)
        blur = transfer(psf, seen.shape).astype(np.complex64)
        guess = seen.copy()
        for _ in range(iterations):
            again = np.fft.irfft2(np.fft.rfft2(guess) * blur, seen.shape)
            ratio = seen / np.maximum(again, 1e-6)
            guess = guess * np.maximum(np.fft.irfft2(np.fft.rfft2(ratio) * np.conj(blur), seen.shape), 0)
        result[...] = guess[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return out


def estimate_blur(picture: Float, *, noise: Noise = None, fall: float = EDGES) -> float:
    """Standard deviation, in pixels, of the Gaussian that blurs a picture (height, width[, 3]).

    The power of a sharp picture that is made of edges falls with the third power of the frequency (`fall`); what falls
    faster is taken for the blur. Photographs fall with 2 to 3 (Field, JOSA A 4, 1987), so that the guess is rather low;
    a planet that darkens towards its limb falls with about LIMB. Raises InputError where the picture has too little
    structure above its noise.
    """
    plane = picture if picture.ndim == 2 else picture.mean(2)
    power = radial_power(plane)
    frequency = _middles(len(power))
    level = noise_power(power, noise)
    used = (frequency > COARSEST) & np.logical_and.accumulate(power > 3 * level)
    if np.count_nonzero(used) < 6:
        raise InputError("The picture has too little structure above its noise to tell its blur; give the blur.")
    falls = np.log((power - level)[used] * frequency[used] ** fall)
    slope = np.polyfit(frequency[used] ** 2, falls, 1)[0]
    return float(np.clip(np.sqrt(max(0.0, -slope)) / (2 * np.pi), 0.0, LARGEST))


def noise_power(power: npt.NDArray[np.float64], noise: Noise) -> npt.NDArray[np.float64]:
    """Power of noise over the rings of a spectrum: what is given, or what the highest frequencies have, where no lens
    and no air leaves a picture anything."""
    if isinstance(noise, np.ndarray):
        return np.interp(_middles(len(power)), _middles(len(noise)), noise)
    level = float(power[int(0.8 * len(power)) :].mean()) if noise is None else noise**2
    return np.full(len(power), level)


def transfer(psf: Psf, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """What a blur leaves of each frequency, for np.fft.rfft2 of a picture of this shape; 1 at frequency 0."""
    if isinstance(psf, np.ndarray):
        if psf.ndim != 2 or not all(side % 2 for side in psf.shape) or not psf.sum() > 0:
            raise UsageError(f"A PSF is an array of odd sides with a positive sum, not one of shape {psf.shape}.")
        whole = np.zeros(shape)
        whole[: psf.shape[0], : psf.shape[1]] = psf / psf.sum()
        middle = tuple(-(side // 2) for side in psf.shape)
        return np.array(np.fft.rfft2(np.roll(whole, middle, (0, 1))))
    if not 0 <= psf <= LARGEST:
        raise UsageError(f"A blur is from 0 to {LARGEST:g} pixels; not {psf:g}.")
    return np.asarray(np.exp(-2 * (np.pi * psf * _radii(shape)) ** 2))


def radial_power(plane: Float) -> npt.NDArray[np.float64]:
    """Power of (height, width) at frequencies of 0 to 0.5 cycles per pixel, means over rings; white noise has its
    variance everywhere. Under a Hann window, or the borders would look like detail."""
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in plane.shape))
    spectrum = np.fft.rfft2((plane - plane.mean()) * window)
    power = np.square(np.abs(spectrum)) / np.square(window).sum()
    count = min(plane.shape) // 4
    ring = np.minimum((_radii(plane.shape) * 2 * count).astype(int), count)
    sums = np.bincount(ring.ravel(), power.ravel(), count + 1)[:count]
    members = np.bincount(ring.ravel(), minlength=count + 1)[:count]
    return np.array(sums / np.maximum(members, 1), np.float64)


def _expected(signal: Radial, frequency: Radial, left: Radial) -> Radial:
    """The power to expect where a blur leaves less than half, by what there is where it leaves a little more; no limit
    where it leaves more than half."""
    near = (left > 0.5) & (left < 0.75) & (frequency > COARSEST)
    if not near.any():
        return np.full_like(signal, np.inf)
    strength = np.median((signal * frequency**2 / left**2)[near])
    return np.where(left > 0.5, np.inf, strength * (left / frequency) ** 2)


def _profile(radii: npt.NDArray[np.float64], values: npt.NDArray[Any]) -> tuple[Any, Any]:
    """Frequencies and mean values at them, of what depends on the frequency mostly."""
    ring = np.minimum((radii * 200).astype(int), 100)
    count = np.maximum(np.bincount(ring.ravel()), 1)
    return np.bincount(ring.ravel(), radii.ravel()) / count, np.bincount(ring.ravel(), values.ravel()) / count


def _middles(count: int) -> npt.NDArray[np.float64]:
    return (np.arange(count) + 0.5) / (2 * count)


def _radii(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    return np.array(np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])), np.float64)


def _mirrored(plane: Float) -> Float:
    return np.pad(plane, MARGIN, mode="symmetric")


def _planes(picture: Float, out: Float) -> list[tuple[Float, Float]]:
    if picture.ndim == 2:
        return [(picture, out)]
    return [(picture[..., channel], out[..., channel]) for channel in range(picture.shape[2])]
