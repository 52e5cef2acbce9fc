"""Several aligned pictures of one thing become one that has of each frequency what the sharpest of them show.

Fourier burst accumulation (Delbracio & Sapiro, CVPR 2015) on overlapping tiles, then a step that its weights leave out:
seen from the accumulated tile, each picture is blurred by a kernel that can be measured, small shifts included, and the
Wiener filter for several pictures (Yaroslavsky & Caulfield, Applied Optics 33, 1994) uses them all.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from subpixel.multiframe import noise as noises

Float = npt.NDArray[np.float32]
Complex = npt.NDArray[np.complex64]

TILE = 128  # pixels, a side; a tile must hold the blur several times
POWER = 30.0  # of the amplitudes that are the first weights: the larger, the more the sharpest counts alone
WHOLE = 5.0  # of the energies of whole tiles, so that phases come from the sharpest: weights know nothing of them
AGREEMENT = 8.0  # pixels: spectra are smoothed as if cut by a Gaussian window of this sigma (that of the paper)
KERNEL = 1 / 8  # of a tile: the same for measured kernels; farther than some of that no blur reaches
DOUBT = 0.1  # how many noise powers speak for a picture that is not blurred at all
LEAST = 0.05  # sum of squared responses below which a frequency is not divided by


def accumulate(stack: Float, noise: noises.Noise, *, tile: int | None = None) -> tuple[Float, Float]:
    """What pictures (N, H, W, C) on one grid show together, (H, W, C), and the share each has in it, (N,), sum 1.

    noise: (a, b) of variance = a * signal + b of the samples; tile: even, in pixels, by default `TILE`, or half of it
    for small pictures. Besides the stack it takes memory for the result and some tiles.
    """
    count, height, width, channels = stack.shape
    tile = tile or (TILE if min(height, width) >= 2 * TILE else TILE // 2)
    out = np.zeros((height + 2 * tile, width + 2 * tile, channels), np.float32)
    shares = np.zeros(count)
    step = tile // 2
    for top in range(-step, height, step):
        rows = _mirrored(np.arange(top, top + tile), height)
        strip = stack[:, rows]
        for left in range(-step, width, step):
            piece = strip[:, :, _mirrored(np.arange(left, left + tile), width)]
            made, share = _tile(np.ascontiguousarray(np.moveaxis(piece, 3, 1)), noise)
            out[top + tile : top + 2 * tile, left + tile : left + 2 * tile] += np.moveaxis(made, 0, 2)
            shares += share
    return out[tile : tile + height, tile : tile + width], (shares / max(shares.sum(), 1e-30)).astype(np.float32)


def _tile(pieces: Float, noise: noises.Noise) -> tuple[Float, npt.NDArray[np.float64]]:
    """One tile (C, tile, tile) of pieces (N, C, tile, tile), under its window, and the energy each gave to it (N,)."""
    from scipy import fft

    tile = pieces.shape[-1]
    taper, near, reach, steep = _tables(tile)
    mean = pieces.mean((2, 3), keepdims=True).mean(0, keepdims=True)
    seen: Complex = fft.rfft2((pieces - mean) * taper)
    level = float(noises.variance(mean, noise).mean() * (taper**2).sum())

    def smooth(spectra: npt.NDArray[np.inexact], window: Float) -> Complex:
        smoothed: Complex = fft.rfft2(fft.irfft2(spectra, s=(tile, tile)) * window)
        return smoothed

    amplitude = np.maximum(smooth(np.abs(seen).mean(1), near).real, 1e-9)
    energy = (steep * np.maximum(np.square(np.abs(seen)).mean(1) - level, 0)).sum((1, 2)) + 1e-12
    weights = (amplitude / amplitude.max(0)) ** np.float32(POWER)
    weights *= ((energy / energy.max()) ** np.float32(WHOLE))[:, None, None]
    weights /= weights.sum(0)
    first = (seen * weights[:, None]).sum(0)
    # Spectra of pictures fall steeply: flattened first, or a frequency would be judged by its lower neighbours. The
    # noise that a picture and the accumulated tile share does not speak for it.
    power = smooth(steep * (np.square(np.abs(first)).mean(0) - level * np.square(weights).sum(0)), reach).real
    common = smooth(steep * ((seen * first.conj()).mean(1) - level * weights), reach)
    doubt = np.float32(DOUBT * level) * steep + np.float32(1e-12)
    response = (common + doubt) / (np.maximum(power, 0) + doubt)
    worth = _worth(steep * np.square(np.abs(seen - response[:, None] * first)).mean(1), level * steep)
    size = np.abs(response)
    response /= np.maximum(size, 1)
    strength = worth * np.square(np.minimum(size, 1))
    total = np.maximum(strength.sum(0), np.float32(LEAST) * worth.max())
    made = ((worth * response.conj())[:, None] * seen).sum(0) / total
    share = (strength / total * np.maximum(power, 0)).sum((1, 2), dtype=np.float64)
    return fft.irfft2(made, s=(tile, tile)) * taper + mean[0] * taper**2, share


def _worth(left: Float, noise: Float) -> Float:
    """(N, 1, 1): the power of the noise over what its kernel leaves unexplained of each picture, at most 1.

    One kernel a tile does not explain a picture that is blurred unevenly, misplaced or patched where things moved.
    """
    level = np.float32(max(float(noise.sum()), 1e-12))
    return np.asarray(level / np.maximum(left.sum((1, 2), keepdims=True), level), np.float32)


@functools.cache
def _tables(tile: int) -> tuple[Float, Float, Float, Float]:
    """Window of a tile (its square adds up to 1 at half overlap), windows that smooth spectra, squared slope."""
    hann = np.sin(np.pi * (np.arange(tile) + 0.5) / tile)
    distance = np.minimum(np.arange(tile), tile - np.arange(tile))
    near, reach = (np.exp(-0.5 * np.square(distance / sigma)) for sigma in (AGREEMENT, KERNEL * tile))
    down, across = np.fft.fftfreq(tile)[:, None], np.fft.rfftfreq(tile)
    steep = np.square(np.sin(np.pi * down)) + np.square(np.sin(np.pi * across)) + 1e-3
    taper, near, reach = (np.outer(line, line).astype(np.float32) for line in (hann, near, reach))
    return taper, near, reach, steep.astype(np.float32)


def _mirrored(index: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Indices into `size` samples, those beyond an end mirrored there."""
    period = max(2 * size - 2, 1)
    index = index % period
    return np.minimum(index, period - index)
