"""A burst of pictures of one scene becomes one with more detail and less noise."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel.errors import UsageError
from subpixel.multiframe import noise as noises
from subpixel.multiframe import psf as lenses
from subpixel.multiframe.align import align, checked
from subpixel.multiframe.guides import Box, Frame, Source, aligned_guide, channels, enlarged, halved, planes
from subpixel.multiframe.normal import Normal
from subpixel.multiframe.optics import Optics, optics
from subpixel.multiframe.raw import Mosaic
from subpixel.multiframe.robust import agreement, explained, landmarks
from subpixel.multiframe.samples import Piece, deposit, predicted
from subpixel.multiframe.solve import Power, Solver
from subpixel.pictures import Picture
from subpixel.register import Motion, warp

Float = npt.NDArray[Any]  # float32
Noise = noises.Noise

TILE = 640  # fine pixels a side that are solved at once
MARGIN = 16  # fine pixels around them that are solved too and thrown away
BORDER = 2  # fine pixels beyond the picture's edge, for the nodes of its outermost samples
PILOT = 112  # fine pixels a side of the places where noise, power and lens are measured first
UNEXPLAINED = 0.001  # share of a frame that may differ from the picture without being left out
STEADY = 0.9  # share of a frame that agrees with the reference where nothing moves
POOR = 0.5  # share of a frame below which it is worth a warning
PILOT_STEPS = 8  # iterations, at most, between two estimates of the power
JUDGES = 5  # frames that noise is measured by
ROUNDS = 3  # of noise and power by turns
SKETCH = 5  # iterations before and after samples are left out: with more, the noise of the few that remain is followed
UNIFORM, LOCAL = 20, 20  # iterations, at most, with a prior that is the same everywhere, and that follows the picture


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """What `fuse` made, and what it measured on the way.

    picture: (height, width) or (height, width, 3) float32, 1 for white: balanced camera RGB of mosaics, else what the
    frames show. motions: one a frame, from the reference to it. kept: the share of each frame that was used; used:
    (ceil(height / 2), ceil(width / 2)) of a frame, the share of the frames that count at each place of the reference.
    gains: how much brighter than the reference each was exposed. noise: (a, b), variance = a * signal + b. psf: sigma
    of the lens in pixels of a frame. reference: its number. notes: warnings, sentences.
    """

    picture: Float
    motions: list[Motion]
    kept: list[float]
    used: Float
    gains: list[float]
    noise: Noise
    psf: float
    reference: int
    notes: list[str]


def fuse(
    frames: Sequence[Frame | npt.NDArray[Any]],
    *,
    scale: float = 2,
    motions: Sequence[Motion] | None = None,
    model: str = "auto",
    reference: int = 0,
    psf: float | str = "auto",
    fill: float = 1.0,
    noise: Noise | str = "auto",
    robust: bool | Sequence[Float] = True,
    progress: Callable[[str], None] | None = None,
) -> Fused:
    """The most probable picture of the scene on a grid `scale` (1 to 4) times as fine as that of frame `reference`.

    frames: two or more `Picture`, `Mosaic` or arrays ((h, w) grey or (h, w, 3) RGB; integers are divided by the largest
    of their type), of one size. motions: from the reference to each frame where they are known, else they are found by
    `register` with `model` ("auto" chooses between shift, euclidean and homography). psf: sigma of the lens in pixels
    of a frame, or "auto". fill: light-sensitive width of a pixel. noise: (a, b) of variance = a * signal + b with 1 for
    white, or "auto". robust: leave out what moved; or what each frame is worth, (ceil(h / 2), ceil(w / 2)) 0 to 1 by
    its quads. progress is told what is being done.

    A joint estimate of colours, detail and noise from all samples where they lie (Elad & Feuer 1997; Farsiu, Elad &
    Milanfar 2006 for mosaics), by `solve`. Raises UsageError for impossible options and InputError for frames that do
    not fit together or show too little to be registered.
    """
    tell = progress or (lambda _: None)
    _check(scale, psf, fill, noise, reference, len(frames))
    given = checked(frames)
    tell("finding the motions")
    aligned = align(given, reference, motions, model)
    sources = aligned.sources
    first = _first_noise(given) if isinstance(noise, str) else noise
    masked = robust is True
    if masked:
        tell("looking for what moved")
        sources = _robust(sources, reference, first)
        if motions is None and min(s.share for s in sources) < STEADY:  # what moves must not pull at the rest
            sources = _robust(align(given, reference, None, model, robust=True).sources, reference, first)
    elif not isinstance(robust, bool):
        sources = [source.keeping(worth) for source, worth in zip(sources, robust, strict=True)]
    tell("measuring noise, detail and lens")
    factor = 1 if scale >= 2 else 2  # three nodes carry too little of a picture on its own grid
    height, width = (factor * round(side * scale) for side in given[0].size)
    camera = optics(float(factor * scale), fill, 0.0 if isinstance(psf, str) else float(psf))
    burst = _Burst(sources, (height, width), camera, first, reference, masked)
    burst = _measured(burst, lens=isinstance(psf, str), noise=isinstance(noise, str))
    if masked and isinstance(noise, str):  # now that it is known
        sources = _robust(sources, reference, burst.noise)
        burst = dataclasses.replace(burst, sources=sources)
    picture = _solve_tiles(burst, tell)
    kept = [s.share for s in sources]
    return Fused(
        picture if factor == 1 else halved(picture),
        [s.motion for s in sources],
        kept,
        _used(sources),
        [s.gain for s in sources],
        burst.noise,
        burst.optics.psf,
        reference,
        [*aligned.notes, *_doubts(kept, reference, given)],
    )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Burst:
    """The registered frames and all that is known about how they were taken. size: (height, width) of the fine grid."""

    sources: list[Source]
    size: tuple[int, int]
    optics: Optics
    noise: Noise
    reference: int
    robust: bool
    power: Power | None = None

    @property
    def unit(self) -> float:
        """The variance of a sample of weight 1: that of a middle tone."""
        return float(noises.variance(np.full(1, 0.2, np.float32), self.noise)[0])

    def around(self, piece: Piece) -> Piece:
        """The piece with a margin to throw away, but for BORDER pixels within the picture."""
        grown, (height, width) = piece.grown(MARGIN), self.size
        return Piece(
            max(grown.top, -BORDER),
            min(grown.bottom, height + BORDER),
            max(grown.left, -BORDER),
            min(grown.right, width + BORDER),
        )

    def solver(self, piece: Piece) -> Solver:
        """The normal equations of a piece."""
        count = channels(self.sources[0].frame)
        shared = isinstance(self.sources[0].frame, Picture)
        normal = Normal(self.optics, *piece.shape, count, shared=shared)
        for source in self.sources:
            deposit(normal, source, piece, self.noise, self.unit)
        return Solver(normal, self.unit)


def _measured(burst: _Burst, *, lens: bool, noise: bool) -> _Burst:
    """With noise, power and lens as a few places of the picture show them."""
    pilots = [_Pilot(burst, burst.around(piece)) for piece in _pilots(burst.size)]
    power = _maximised(pilots, None)
    for _ in range(ROUNDS if noise else 1):
        if noise:
            burst = dataclasses.replace(burst, noise=_residual_noise(burst, pilots, power))
        power = _maximised(pilots, power, burst.unit)
    burst = dataclasses.replace(burst, power=power)
    if lens:
        sigma = lenses.estimate((p.solver.picture(p.z).mean(0) for p in pilots), burst.optics.scale)
        if sigma > 0:
            seen = optics(burst.optics.scale, burst.optics.fill, round(sigma, 2))
            return _measured(dataclasses.replace(burst, optics=seen), lens=False, noise=False)
    return burst


class _Pilot:
    """A place of the picture that is solved to learn from it: its equations, and the solution so far."""

    def __init__(self, burst: _Burst, piece: Piece) -> None:
        self.piece, self.solver = piece, burst.solver(piece)
        self.z = self.solver.start()


def _pilots(size: tuple[int, int]) -> list[Piece]:
    """The middle and two other places, or all of a small picture."""
    height, width = size
    if max(size) <= 2 * PILOT:
        return [Piece(0, height, 0, width)]
    tall, wide = min(PILOT, height), min(PILOT, width)
    tops = [int((height - tall) * share) for share in (0.5, 0.2, 0.8)]
    lefts = [int((width - wide) * share) for share in (0.5, 0.7, 0.3)]
    return [Piece(t, t + tall, x, x + wide) for t, x in zip(tops, lefts, strict=True)]


def _maximised(pilots: list[_Pilot], power: Power | None, variance: float | None = None) -> Power:
    """The power after two more steps of expectation maximisation, which solve the pilots on the way."""
    if power is None:
        power = np.mean([p.solver.first_power(p.z) for p in pilots], 0)
    for pilot in pilots:
        pilot.solver.variance = variance or pilot.solver.variance
    for _ in range(2):
        for pilot in pilots:
            pilot.z = pilot.solver.solve(pilot.z, power, local=False, iterations=PILOT_STEPS)
        power = np.mean([p.solver.power(p.z, power) for p in pilots], 0)
    return power


def _residual_noise(burst: _Burst, pilots: list[_Pilot], power: Power) -> Noise:
    """(a, b) by what the samples differ from the picture that was made of them."""
    signal, residual = [], []
    for pilot in pilots:
        left = np.float32(np.sqrt(max(1 - pilot.solver.freedom(power), 0.25)))
        few = dataclasses.replace(burst, sources=burst.sources[:: -(-len(burst.sources) // JUDGES)])
        for source, (box, seen, expected) in _predictions(few, pilot.solver, pilot.z, pilot.piece):
            counts = np.isfinite(expected) & (enlarged(source.kept, box) > 0.5).reshape(
                *seen.shape[:2], *(1,) * (seen.ndim - 2)
            )
            gain = np.float32(source.gain)
            signal.append(gain * expected[counts])
            residual.append(gain * (seen - expected)[counts] / left)
    return noises.from_residuals(np.concatenate(signal), np.concatenate(residual))


def _solve_tiles(burst: _Burst, tell: Callable[[str], None]) -> Float:
    """The whole picture, piece by piece: what is worked on at once does not grow with it."""
    height, width = burst.size
    count = channels(burst.sources[0].frame)
    out = np.empty((height, width, count), np.float32)
    pieces = list(_tiles(burst.size))
    for number, piece in enumerate(pieces, 1):
        tell(f"solving piece {number} of {len(pieces)}")
        out[piece.top : piece.bottom, piece.left : piece.right] = _solved(burst, piece)
    return out if count > 1 else out[..., 0]


def _predictions(
    burst: _Burst, solver: Solver, z: Float, piece: Piece
) -> Iterator[tuple[Source, tuple[Box, Float, Float]]]:
    """The frames that reach into a piece, with what its solution z predicts for them (see `predicted`)."""
    nodes = solver.seen_by_camera(z)
    for source in burst.sources:
        found = predicted(nodes, solver.normal, source, piece)
        if found is not None:
            yield source, found


def _solved(burst: _Burst, piece: Piece) -> Float:
    whole = burst.around(piece)
    solver = burst.solver(whole)
    assert burst.power is not None
    z, steps = solver.start(), UNIFORM
    if burst.robust:
        z = solver.solve(z, burst.power, local=False, iterations=SKETCH)
        doubted = _doubted(burst, solver, z, whole)
        if doubted is not burst:
            solver, steps = doubted.solver(whole), SKETCH
    z = solver.solve(z, burst.power, local=False, iterations=steps)
    z = solver.solve(z, burst.power, local=True, iterations=LOCAL)
    return _cut(solver.picture(z), piece, whole).transpose(1, 2, 0)


def _doubted(burst: _Burst, solver: Solver, z: Float, piece: Piece) -> _Burst:
    """The burst without what the solution z of a piece does not explain; the same object where it explains all.

    Where it does not explain the reference, the others made it what it is: there the reference stands alone.
    """
    first = burst.sources[burst.reference]
    height, width = (-(-side // 2) for side in first.frame.size)
    good: dict[int, Float] = {}
    for source, (box, seen, expected) in _predictions(burst, solver, z, piece):
        part = explained(seen, expected, source, burst.noise)
        whole = np.ones((height, width), np.float32)
        whole[box[0] // 2 : box[0] // 2 + part.shape[0], box[2] // 2 : box[2] // 2 + part.shape[1]] = part
        good[id(source)] = whole
    if max((float((1 - well).mean()) for well in good.values()), default=0) < UNEXPLAINED:
        return burst
    alone = good.get(id(first), np.ones((height, width), np.float32))[..., None]
    changed = [
        source
        if source is first or id(source) not in good
        else source.keeping(
            (1 if source.kept is None else source.kept) * good[id(source)] * aligned_guide(alone, source)[0][..., 0]
        )
        for source in burst.sources
    ]
    return dataclasses.replace(burst, sources=changed)


def _cut(picture: Float, piece: Piece, whole: Piece) -> Float:
    """The part of a solved piece (channels, height, width) that was asked for."""
    top, left = piece.top - whole.top, piece.left - whole.left
    return picture[:, top : top + piece.shape[0], left : left + piece.shape[1]]


def _tiles(size: tuple[int, int]) -> Iterable[Piece]:
    rows, columns = ([round(side * k / n) for k in range(n + 1)] for side in size for n in [-(-side // TILE)])
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            yield Piece(top, bottom, left, right)


def _robust(sources: list[Source], reference: int, noise: Noise) -> list[Source]:
    """The sources with what they are worth at each place; the reference is worth all."""
    there = landmarks(sources[reference].frame)
    kept = [agreement(there, source, noise) for source in sources]
    return [s if k == reference else dataclasses.replace(s, kept=kept[k]) for k, s in enumerate(sources)]


def _used(sources: list[Source]) -> Float:
    """The mean of what the frames are worth, on the reference's guide's grid."""
    height, width = sources[0].frame.size
    total = np.zeros((-(-height // 2), -(-width // 2)), np.float32)
    for source in sources:
        ones = np.ones_like(total) if source.kept is None else source.kept
        total += warp(ones, source.motion.scaled(0.5), shape=total.shape, kernel="linear", fill=0)[0]
    return np.clip(total / len(sources), 0, 1)


def _first_noise(frames: list[Frame]) -> Noise:
    """(a, b) as single frames show it, which is too much where all is detail."""
    told = [f.noise for f in frames if isinstance(f, Mosaic) and f.noise is not None]
    return told[0] if told else noises.estimate(plane for frame in frames[:3] for plane in planes(frame))


def _doubts(kept: list[float], reference: int, frames: list[Frame]) -> list[str]:
    poor = [frames[k].name for k, share in enumerate(kept) if k != reference and share < POOR]
    if not poor:
        return []
    names = f"{', '.join(poor[:3])}{' and others' if len(poor) > 3 else ''}"
    return [f"Less than {POOR:.0%} of {names} agrees with the reference: the scene moved, or the motions are wrong."]


def _check(scale: float, psf: float | str, fill: float, noise: Noise | str, reference: int, count: int) -> None:
    if not 1 <= scale <= 4:
        raise UsageError(f"The scale is from 1 to 4, not {scale:g}.")
    if psf != "auto" and (isinstance(psf, str) or not 0 <= psf <= 3):
        raise UsageError(f"psf is 'auto' or the sigma of the lens in pixels, 0 to 3, not {psf!r}.")
    if not 0 < fill <= 1:
        raise UsageError(f"fill is the light-sensitive width of a pixel, above 0 and at most 1, not {fill:g}.")
    if isinstance(noise, str) and noise != "auto":
        raise UsageError(f"noise is 'auto' or two numbers A and B of variance = A * signal + B, not {noise!r}.")
    if not isinstance(noise, str) and (min(noise) < 0 or max(noise) <= 0 or not np.isfinite(noise).all()):
        raise UsageError(
            f"Noise of variance = {noise[0]:g} * signal + {noise[1]:g} is impossible; both are at least 0."
        )
    if not 0 <= reference < max(count, 1):
        raise UsageError(f"There is no frame {reference}; the {count} frames are numbered from 0.")
