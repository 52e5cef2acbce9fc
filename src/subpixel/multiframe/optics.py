"""What a camera does to a picture on its way to a sample: lens, pixel, and where between the pixels it falls."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

WIDTH = 3  # nodes of the fine grid, a side, that one sample is interpolated from


@dataclasses.dataclass(frozen=True, eq=False)
class Optics:
    """A sample at u is sum_a taps_a(u - round(u)) (blur * x)[round(u) + a - 1], along each axis alike.

    x is the picture on the fine grid, `scale` times as fine as the frames'. blur: (2 r + 1,) float32. taps: (WIDTH, n)
    float32, coefficients of polynomials in the fraction, lowest power first. The two are designed together: blur does
    what is the same for all samples, lens and pixel, and makes good what interpolation by so few nodes would lose.
    """

    scale: float
    fill: float
    psf: float
    blur: Float
    taps: Float

    def transfer(self, frequency: Float64) -> Float64:
        """What is left of a wave of so many cycles per fine pixel along one axis, the ideal that is approached."""
        return transfer(frequency, self.scale, self.fill, self.psf)

    def weights(self, fraction: npt.NDArray[np.floating]) -> Float:
        """(WIDTH, ...) weights of the nodes for fractions -0.5 to 0.5 of any shape (Horner's rule)."""
        fraction = np.asarray(fraction, np.float32)
        shape = (len(self.taps),) + (1,) * fraction.ndim
        out = np.zeros((len(self.taps), *fraction.shape), np.float32)
        for power in self.taps.T[::-1]:
            out = out * fraction + power.reshape(shape)
        return out


def transfer(frequency: Float64, scale: float, fill: float, psf: float) -> Float64:
    """Response along one axis at `frequency` cycles per fine pixel.

    A Gaussian lens of sigma `psf` and a light-sensitive width of `fill`, both in pixels of a frame. The fine picture
    is what a camera with pixels of one fine pixel would see, so its own pixel is divided out: for a whole scale and
    fill 1 this is the mean of scale fine pixels.
    """
    width = max(scale * fill, 1.0)
    lens = np.exp(-2 * (np.pi * frequency * psf * scale) ** 2)
    return np.asarray(np.sinc(frequency * width) / np.sinc(frequency) * lens, np.float64)


@functools.lru_cache(maxsize=16)
def optics(scale: float, fill: float = 1.0, psf: float = 0.0) -> Optics:
    """The forward model of frames `1 / scale` as fine as the picture.

    fill: light-sensitive width of a pixel, 1 where pixels touch. psf: sigma of the lens in pixels of a frame.
    blur and taps minimise in turn the squared error for a scene whose power falls with the square of frequency,
    over all fractions of a pixel; constants pass unchanged.
    """
    frequency = np.linspace(0, 0.5, 129)
    fraction = np.linspace(-0.5, 0.5, 25)
    wanted = transfer(frequency, scale, fill, psf)
    power = 1 / np.maximum(frequency, 0.01) ** 2
    power[0] *= 1e4  # constants come first
    nodes = np.exp(2j * np.pi * np.outer(frequency, np.arange(WIDTH) - WIDTH // 2))
    moved = np.exp(2j * np.pi * np.outer(frequency, fraction))
    response = wanted.copy()
    for _ in range(40):
        left = (np.sqrt(power) * response)[:, None] * nodes
        right = (np.sqrt(power) * wanted)[:, None] * moved
        taps = np.linalg.lstsq(np.vstack([left.real, left.imag]), np.vstack([right.real, right.imag]), rcond=None)[0]
        reached = nodes @ taps
        response = wanted * (reached.conj() * moved).real.sum(1) / (np.abs(reached) ** 2).sum(1)
    taps /= taps.sum(0)
    coefficients = np.polynomial.polynomial.polyfit(fraction, taps.T, 6).T
    radius = int(np.ceil(scale * fill / 2 + 3 * psf * scale)) + 6
    return Optics(scale, fill, psf, _filter(response, radius), coefficients.astype(np.float32))


def _filter(response: Float64, radius: int) -> Float:
    """The symmetric filter (2 radius + 1,) whose response at 0 to 0.5 cycles is given, windowed, its sum 1."""
    whole = np.concatenate([response, response[-2:0:-1]])
    impulse = np.fft.fftshift(np.fft.ifft(whole).real)
    middle = len(impulse) // 2
    kept = impulse[middle - radius : middle + radius + 1] * np.kaiser(2 * radius + 3, 4.0)[1:-1]
    return np.asarray(kept / kept.sum(), np.float32)
