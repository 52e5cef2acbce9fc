"""Registration by interpolation: Gauss-Newton on blurred pictures, the moving one resampled almost without loss.

Inverse-compositional form of Lucas & Kanade (Baker & Matthews, IJCV 56, 2004): the design matrix belongs to the
reference and stays. The blur keeps what is aliased from being matched; the less noise, the more of it pays.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator

import numpy as np

from subpixel.register import aliasing, sampling
from subpixel.register.groups import design, exponential, fields, normal, rescaled
from subpixel.register.motion import Array, Float32, Float64, Model
from subpixel.register.planes import blurred, gradients, reduced

BLUR = 1.1  # pixels, until noise and aliasing are known
MARGIN = 3  # pixels at the border that blur and interpolation make up
INNER = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
ENOUGH = 2e-5  # pixels: a smaller step is the last one
ROUGHLY = 1e-2  # pixels: the same where another descent follows
STEPS = 30
HONEST = 1.15  # actual over predicted errors: some aliasing is the same in all blocks
BLOCKS = 8  # the picture is cut into 8 x 8 blocks to see how much the sums over them differ
LEAST = 14  # pixels of an overlap's shorter side that are worth looking at
ALIKE = 0.7  # correlation of aligned gradients from which no other start is tried
COARSE = 4.0  # pixels of blur that leave little of noise
SAME = 0.9  # the same under such a blur
COARSEST = 40  # pixels of the shorter side at the coarsest level
MOST = 4_000_000  # pixels that models other than shift work on; larger pictures are halved for them


@dataclasses.dataclass(frozen=True, eq=False)
class How:
    """What is asked of a fit: gain and bias, resistance to things that move otherwise, pixels of the reference to use
    ((H, W) bool, None for all), and the standard deviations at which a residual counts half (0: all count alike)."""

    photometric: bool = False
    robust: bool = False
    mask: Array | None = None
    half: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """What was found: matrix (3, 3) from reference to moving, flow (H, W, 2) or None, predicted 2-D RMSE in pixels,
    gain and bias of samples, how alike the aligned gradients are, -1 to 1, whether that settles it, the contrast of
    what is seen over the reference's, and the shift (dx, dy) of another alignment that fits as well."""

    matrix: Float64
    rmse: float
    gain: float = 1.0
    bias: float = 0.0
    likeness: float = 1.0
    flow: Float32 | None = None
    settled: bool = False
    contrast: float = 1.0
    rival: tuple[float, float] | None = None


LOST = Fit(np.eye(3), math.inf, likeness=-1.0)  # where a descent left the picture


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """Blurred planes and how the moving one is seen.

    mine: (h, w) of the reference. rows: (K, h w), how a sample changes with each parameter. look: what is seen at the
    positions a matrix tells, (h, w), and which of it is inside, (h w,) of 0 and 1 or None for all. change: what a step
    (K,) does to positions of the reference, (3, 3). chosen: (h w,) weights of the caller's mask, or None. design: rows
    of any such plane.
    """

    mine: Float32
    rows: Float32
    look: Callable[[Float64], tuple[Float32, Float32 | None]]
    change: Callable[[Float64], Float64]
    chosen: Float32 | None
    design: Callable[[Float32], Float32]


@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """Where a descent ended: matrix, gain and bias; seen (h, w), residuals and their weights (h w,), the latter None
    where all count; the weighed rows (K, h w) and the Gram matrix (K, K) of the last step, gain and bias after the
    parameters of the motion."""

    matrix: Float64
    gain: float
    bias: float
    seen: Float32
    error: Float32
    weights: Float32 | None
    weighed: Float32
    gram: Float64
    robust: bool

    def covariance(self, design: Callable[[Float32], Float32]) -> Float64:
        """(K, K): of the motion's parameters.

        Noise makes slopes look steeper than they are, and shows some where there are none: what tells of a motion are
        the slopes that the reference and what is seen have in common.
        """
        rows = design(self.seen) / np.float32(self.gain)
        count = len(rows)
        common, half = self.gram.copy(), _gram(self.weighed[:count], rows)
        common[:count, :count] = (half + half.T) / 2
        both = sandwich(self.weighed, self.error, common, self.seen.shape)[:count, :count]
        return np.asarray(both / (self.gain * self.firmness()) ** 2)

    def firmness(self) -> float:
        """What is left of the Gram matrix where weights fall as residuals grow (Huber, Robust Statistics, 1981).

        The mean derivative of weight times residual over the mean weight: 1 where all count alike.
        """
        if self.weights is None:
            return 1.0
        w = self.weights
        falls = 5 * w - 4 * np.sqrt(w) if self.robust else 2 * w * w - w  # Tukey's and Cauchy's; of 0 and 1 itself
        return max(float(falls.sum()) / max(float(w.sum()), 1e-12), 0.1)


def descend(problem: Problem, start: Fit, how: How, enough: float = ENOUGH) -> Solution:
    """Gauss-Newton from a fit that is right to about two pixels, until a step is below `enough` pixels.

    Residuals are gain * reference + bias - seen. Noise makes slopes look steeper than they are, by 1 / likeness, and
    steps too short, by the start's likeness.
    """
    matrix, gain, bias = start.matrix, start.gain, start.bias
    rows, mine = problem.rows, problem.mine.ravel()
    height, width = problem.mine.shape
    count = len(rows)
    if how.photometric:
        rows = np.concatenate([rows, -mine[None], -np.ones((1, mine.size), np.float32)])
    weighed, gram = rows, _gram(rows, rows)
    longer = 1 / min(max(start.likeness, 0.2), 1)
    for _ in range(STEPS):
        seen, inside = problem.look(matrix)
        error = (gain * mine + bias if how.photometric else mine) - seen.ravel()
        weights = _together(inside, problem.chosen)
        if weights is not None and weights.sum() < LEAST**2:
            break
        if how.robust:
            weights = tukey(error, weights)
        elif how.half:
            weights = cauchy(error, how.half, weights)
        if weights is not None:
            weighed = rows * weights
            gram = _gram(weighed, rows)
        step = np.linalg.lstsq(gram, (weighed @ error).astype(np.float64), rcond=1e-9)[0]
        update = problem.change(np.asarray(step[:count] * (longer / gain), np.float64))
        matrix = matrix @ update
        if how.photometric:
            gain, bias = max(gain + step[count], 1e-3), bias + step[count + 1]
        if _farthest(update, height, width) < enough:
            break
    return Solution(matrix / matrix[2, 2], gain, bias, seen, error, weights, weighed, gram, how.robust)


def _gram(rows: Float32, others: Float32) -> Float64:
    return (rows @ others.T).astype(np.float64)


def _together(one: Float32 | None, other: Float32 | None) -> Float32 | None:
    return other if one is None else one if other is None else one * other


def _farthest(update: Float64, height: int, width: int) -> float:
    """The farthest that a change moves a corner of the picture, in pixels."""
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1.0]])
    there = corners @ update.T
    return float(np.abs(there[:, :2] / there[:, 2:] - corners[:, :2]).max())


def shift(reference: Float32, moving: Float32, start: Float64, how: How) -> Fit:
    """The shift between two planes (H, W), coarse to fine, from a matrix that is right to 2 % of their size."""
    step = coarsest(reference.shape)
    fit = Fit(start, math.inf)
    while step > 2 and fit is not LOST:
        small = dataclasses.replace(fit, matrix=rescaled(fit.matrix, 1 / step))
        fit, _ = at_level(reduced(reference, step), reduced(moving, step), small, _masked(how, step), BLUR, ROUGHLY)
        fit = fit if fit is LOST else dataclasses.replace(fit, matrix=rescaled(fit.matrix, step))
        step //= 4
    rough, _ = at_level(reference, moving, fit, how, BLUR, ROUGHLY) if fit is not LOST else (LOST, None)
    if rough is LOST:
        return LOST
    noise, alias = aliasing.left_over(residual(reference, moving, rough))
    blur = aliasing.best_blur(noise, alias)
    last = dataclasses.replace(how, half=1.7 * math.sqrt(1 + 10 * noise / alias))
    fit, found = at_level(reference, moving, rough, last, blur, ENOUGH)
    if found is None:
        return LOST
    count = found.seen.size if found.weights is None else max(float(found.weights.sum()), 1.0)
    pull = count * aliasing.pull(fit.matrix[:2, 2], noise, alias, blur)
    freed = fit.matrix.copy()
    freed[:2, 2] += np.linalg.lstsq(found.gram[:2, :2], pull, rcond=1e-9)[0]
    # Under less blur less is alike: pictures are compared as they are under the same blur always.
    return dataclasses.replace(rough, matrix=freed, rmse=fit.rmse, gain=fit.gain, bias=fit.bias)


def at_level(
    reference: Float32, moving: Float32, fit: Fit, how: How, blur: float, enough: float
) -> tuple[Fit, Solution | None]:
    """A shift at one level, to `enough` pixels from a fit that is right to two; its error is told where that is ENOUGH.

    None with LOST where the pictures do not overlap any more.
    """
    smooth, other = blurred(reference, blur), blurred(moving, blur)
    slopes = gradients(smooth)
    for _ in range(4):
        if _apart(reference.shape, fit):
            return LOST, None
        cut = round(fit.matrix[0, 2]), round(fit.matrix[1, 2])
        here, there = overlap(reference.shape, cut)
        look = functools.partial(_shifted, np.ascontiguousarray(other[there]), cut)
        rows = np.stack([slope[here][INNER].ravel() for slope in slopes])
        chosen = None if how.mask is None else how.mask[here][INNER].ravel().astype(np.float32)
        mine = smooth[here][INNER]
        found = descend(Problem(mine, rows, look, _moved, chosen, _slopes), fit, how, enough)
        fit = Fit(found.matrix, math.inf, found.gain, found.bias, fit.likeness)
        if max(abs(fit.matrix[0, 2] - cut[0]), abs(fit.matrix[1, 2] - cut[1])) < 1:
            break
    if _apart(reference.shape, fit):
        return LOST, None
    if enough == ENOUGH:
        return dataclasses.replace(fit, rmse=predicted(float(np.trace(found.covariance(_slopes))))), found
    return compared(fit, mine, found), found


def _slopes(plane: Float32) -> Float32:
    """(2, h w): the slopes of a plane (h, w) without its border, where they are not known; the rest stands for it."""
    inner = np.zeros((2, *plane.shape), np.float32)
    inner[:, *INNER] = np.stack(gradients(plane))[:, *INNER]
    return (inner * np.float32(plane.size / inner[0][INNER].size)).reshape(2, -1)


def compared(fit: Fit, mine: Float32, found: Solution) -> Fit:
    """A fit with how alike the reference (h, w) and what is seen are."""
    alike = likeness(mine, found.seen, found.weights)
    settled = alike > ALIKE or likeness(blurred(mine, COARSE), blurred(found.seen, COARSE), found.weights) > SAME
    here = slice(None) if found.weights is None else found.weights > 0
    one, other = (float(plane.ravel()[here].std()) for plane in (mine, found.seen))
    contrast = other / one if one > 0 else math.inf
    return dataclasses.replace(fit, likeness=alike, settled=settled, contrast=contrast)


def _apart(shape: tuple[int, ...], fit: Fit) -> bool:
    """Whether a shift leaves less than LEAST pixels of a side in common."""
    return any(side - abs(round(fit.matrix[axis, 2])) < LEAST for axis, side in enumerate(reversed(shape)))


def residual(reference: Float32, moving: Float32, fit: Fit) -> Float32:
    """What a shift leaves of two planes (H, W) without blur: (h, w), the border left out."""
    cut = round(fit.matrix[0, 2]), round(fit.matrix[1, 2])
    here, there = overlap(reference.shape, cut)
    seen, _ = _shifted(np.ascontiguousarray(moving[there]), cut, fit.matrix)
    return np.asarray(fit.gain * reference[here][INNER] + fit.bias - seen, np.float32)


def _shifted(theirs: Float32, cut: tuple[int, int], matrix: Float64) -> tuple[Float32, None]:
    """What is seen at a shift, the border left out; `theirs` is cut already by whole pixels."""
    across, down = (min(max(float(matrix[axis, 2]) - cut[axis], -4.0), 4.0) for axis in (0, 1))
    return sampling.sampled(theirs, across, down)[INNER], None


def _moved(step: Float64) -> Float64:
    return np.array([[1, 0, step[0]], [0, 1, step[1]], [0, 0, 1.0]])


def parametric(reference: Float32, moving: Float32, start: Float64, model: Model, how: How) -> Fit:
    """Any model with a matrix, coarse to fine, from a matrix that is right to some 3 % of the picture's size."""
    finest = 1
    while reference.size / finest**2 > MOST:
        finest *= 2
    step = finest
    while min(reference.shape) // (2 * step) >= COARSEST:
        step *= 2
    fit = Fit(start, math.inf)
    while step >= finest:
        small, other = reduced(reference, step), reduced(moving, step)
        before = dataclasses.replace(fit, matrix=rescaled(fit.matrix, 1 / step))
        at_level = _parametric(small, other, before, model, _masked(how, step), last=step == finest)
        if at_level is LOST:
            return LOST
        fit = dataclasses.replace(at_level, matrix=rescaled(at_level.matrix, step), rmse=at_level.rmse * step)
        step //= 2
    return fit


def _parametric(reference: Float32, moving: Float32, start: Fit, model: Model, how: How, *, last: bool) -> Fit:
    smooth, other = blurred(reference, BLUR), blurred(moving, BLUR)
    height, width = reference.shape
    scale = normal(height, width)
    rows_of = functools.partial(_rows, model, scale)
    chosen = _framed(how.mask, reference.shape)
    look = functools.partial(_warped, sampling.Spline(other), reference.shape)
    problem = Problem(smooth, rows_of(smooth), look, functools.partial(exponential, model, scale), chosen, rows_of)
    found = descend(problem, start, how)
    if found.weights is None or found.weights.sum() < LEAST**2:
        return LOST
    fit = compared(Fit(found.matrix, math.inf, found.gain, found.bias), smooth, found)
    if not last:
        return fit
    ways = fields(model, scale, height, width)  # (K, 2, N): how far positions all over the picture move
    spread = np.einsum("kan,kl,lan->", ways, found.covariance(rows_of), ways) / ways.shape[2]
    return dataclasses.replace(fit, rmse=predicted(float(spread)))


def _rows(model: Model, scale: Float64, plane: Float32) -> Float32:
    return design(model, gradients(plane), scale)


def _warped(spline: sampling.Spline, shape: tuple[int, int], matrix: Float64) -> tuple[Float32, Float32]:
    """What is seen at the positions a matrix tells, and whether it is inside the moving picture without its border."""
    return spline.at(*sampling.positions(matrix, shape), MARGIN)


def _framed(mask: Array | None, shape: tuple[int, ...]) -> Float32:
    """Weights (H W,) of a mask, 0 at the border of the picture."""
    weights = np.zeros(shape, np.float32)
    weights[INNER] = 1 if mask is None else mask[INNER]
    return weights.ravel()


def _masked(how: How, step: int) -> How:
    """The same for a picture `step` times smaller; a pixel counts where all it is made of does."""
    if how.mask is None or step == 1:
        return how
    return dataclasses.replace(how, mask=reduced(how.mask.astype(np.float32), step) > 1 - 1e-3)


def coarsest(shape: tuple[int, ...]) -> int:
    """How many times smaller pictures are looked at first: to about 128 pixels."""
    return max(1, min(round(max(shape) / 128), min(shape) // 32))


def overlap(shape: tuple[int, ...], offset: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the reference and the moving picture, `offset` (dx, dy) whole pixels apart, show the same."""
    (height, width), (dx, dy) = shape, offset
    here = slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx))
    there = slice(max(0, dy), height - max(0, -dy)), slice(max(0, dx), width - max(0, -dx))
    return here, there


def predicted(variance: float) -> float:
    """The RMSE that a variance stands for."""
    return HONEST * math.sqrt(max(variance, 0.0))


def likeness(mine: Float32, seen: Float32, weights: Float32 | None) -> float:
    """Correlation, -1 to 1, of the differences between neighbours in two planes (h, w); weights (h w,) or None."""
    tops = [0.0, 0.0, 0.0]
    for a, b, w in _differences(mine, seen, weights):
        tops = [t + float(np.vdot(p * w, q)) for t, (p, q) in zip(tops, ((a, b), (a, a), (b, b)), strict=True)]
    return tops[0] / math.sqrt(tops[1] * tops[2]) if tops[1] * tops[2] > 0 else 0.0


def _differences(mine: Float32, seen: Float32, weights: Float32 | None) -> Iterator[tuple[Array, Array, Array]]:
    plane = np.ones((1, 1), np.float32) if weights is None else (weights.reshape(mine.shape) > 0).astype(np.float32)
    for axis in (0, 1):
        here = plane if weights is None else plane[:-1] if axis == 0 else plane[:, :-1]
        yield np.diff(mine, axis=axis), np.diff(seen, axis=axis), here


def tukey(error: Float32, weights: Float32 | None = None) -> Float32:
    """Biweights (Tukey) of residuals (N,), their scale from the median; 0 beyond 4.7 standard deviations."""
    among = error if weights is None else error[weights > 0]
    scale = 1.4826 * float(np.median(np.abs(among))) if among.size else 0.0
    kept = np.square(1 - np.square(np.minimum(np.abs(error) / (4.685 * scale + 1e-20), 1)))
    return np.asarray(kept if weights is None else kept * weights, np.float32)


def cauchy(error: Float32, half: float, weights: Float32 | None = None) -> Float32:
    """Weights of residuals (N,), 1/2 at `half` standard deviations: aliasing sits at edges, noise everywhere."""
    squares = np.square(error)
    total = float(squares.mean() if weights is None else squares @ weights / max(float(weights.sum()), 1.0))
    kept = 1 / (1 + squares / np.float32(half**2 * total + 1e-20))
    return np.asarray(kept if weights is None else kept * weights, np.float32)


def sandwich(rows: Float32, error: Float32, gram: Float64, shape: tuple[int, int]) -> Float64:
    """The covariance (K, K) of a least-squares solution whose residuals are correlated in unknown ways.

    gram^-1 S gram^-1 with S from the scatter of what blocks of the picture ask for (White, Econometrica 48, 1980, in
    its clustered form): noise, aliasing and things that move all show in it. rows (K, N), error (N,), N = H W.
    """
    height, width = (max(1, side // BLOCKS) for side in shape)
    down, across = shape[0] // height, shape[1] // width
    cut = (slice(down * height), slice(across * width))
    scores = np.stack([(row * error).reshape(shape)[cut].reshape(down, height, across, width) for row in rows])
    sums = scores.sum((2, 4), dtype=np.float64).reshape(len(scores), -1)
    scale = np.sqrt(np.maximum(np.diag(gram), 0))
    if not scale.all() or np.linalg.eigvalsh(gram / np.outer(scale, scale))[0] < 1e-7:
        return np.full(gram.shape, math.inf)  # some parameter changes nothing, or nothing that another does not
    inverse = np.linalg.inv(gram)
    return np.asarray(inverse @ (sums @ sums.T) @ inverse)
