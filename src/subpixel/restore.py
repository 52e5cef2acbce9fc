"""The engine room: frames in, restored frames out, in bounded memory whatever the film's length.

Knows frames and networks, never films, codecs or chunks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from subpixel import engines, tiles, upsample, weights, zoo
from subpixel.errors import UsageError
from subpixel.frames import Frame
from subpixel.multiframe import deblur_film
from subpixel.multiframe.align_fuse import NAME, WARM_UP, AlignFuse
from subpixel.recurrent import Moment, Network

if TYPE_CHECKING:
    import torch

    from subpixel.multiframe.warp_engine import WarpEngine

CUT_BLOCK = 16  # pixels: blocks this large do not see small motion
CUT_DIFFERENCE = 20.0  # code values of 8 bits between block means that motion within a shot hardly ever reaches
CUT_DIFFERENCE_KEY = 12.0  # the same where the encoder itself started afresh with an I frame


def is_cut(previous: Frame, frame: Frame) -> bool:
    """Whether a new shot begins with `frame`: the block means of luma differ too much for motion.

    A change of the overall brightness (flash, fade) is taken out first.
    """
    if (previous.width, previous.height) != (frame.width, frame.height):
        return True
    difference = _block_means(frame) - _block_means(previous)
    difference = np.abs(difference - np.median(difference)).mean()
    return bool(difference > (CUT_DIFFERENCE_KEY if frame.kind == "I" else CUT_DIFFERENCE))


def _block_means(frame: Frame) -> npt.NDArray[np.float64]:
    luma = frame.planes[1 if frame.layout.rgb and frame.layout.planes > 1 else 0]
    height, width = (max(1, side // CUT_BLOCK) for side in luma.shape)
    rows, columns = (np.arange(n) * side // n for n, side in ((height, luma.shape[0]), (width, luma.shape[1])))
    sums: npt.NDArray[np.float64] = np.add.reduceat(np.add.reduceat(luma, rows, 0, dtype=np.float64), columns, 1)
    counts: npt.NDArray[np.float64] = np.outer(np.diff([*rows, luma.shape[0]]), np.diff([*columns, luma.shape[1]]))
    return sums / counts / (frame.layout.peak / 255)


class Restorer:
    """A model made ready once, to restore any number of films or pieces of films; see `restore` for the arguments.

    before, after: how many frames of the same shot a piece of it must be preceded and followed by, so that its own come
    out as they do in the whole. engine, sha256: what runs the network and the hash of its file, None for a method.
    """

    def __init__(
        self,
        model: str | torch.nn.Module = "fast",
        scale: int = 4,
        *,
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        tile: int = 0,
        ensemble: bool = False,
        warp_engine: WarpEngine | None = None,
    ) -> None:
        self.before = self.after = 0
        self.engine: engines.Engine | None = None
        self.sha256: str | None = None
        self._model: Callable[[Frame], Frame] | zoo.Network | Network | AlignFuse | deblur_film.Deblur
        if warp_engine is not None and model != NAME:
            raise UsageError(f"--warp-engine limits {NAME} alone; leave it out, or choose --model {NAME}.")
        if isinstance(model, str) and model == deblur_film.NAME:
            _check_method(model, scale, ensemble)
            self._model, self.before, self.after = deblur_film.Deblur(), deblur_film.WINDOW, deblur_film.WINDOW
            return
        if isinstance(model, str) and model in (NAME, *upsample.METHODS):
            _check_method(model, scale, ensemble)
            if model == NAME:
                self._model, self.before = AlignFuse(scale, warp_engine=warp_engine), WARM_UP
            else:
                method = upsample.METHODS[model]
                self._model = lambda frame: method(frame, scale)
            return
        if tile and tile < tiles.SMALLEST:
            raise UsageError(f"Tiles of {tile} pixels are too small; take {tiles.SMALLEST} or more, or 0.")
        by_torch = not isinstance(model, str) or model.endswith(weights.ZOO)
        self.engine = engines.choose(
            "torch" if by_torch else engine, device=device, precision=precision, threads=threads
        )
        trained = weights.load(model, scale) if isinstance(model, str) else model
        if isinstance(trained, weights.Weights):
            self.sha256 = str(trained.card["sha256"])
            if trained.path.suffix == weights.ZOO:
                self._model = zoo.Network(str(trained.path), scale, self.engine, tile=tile, turned=ensemble)
                return
        self._model = Network(trained, self.engine, tile=tile, turned=ensemble)
        self.before, self.after = self._model.warm_up, max(1, self._model.look_ahead)

    def memory(self, width: int, height: int, tile: int = 0) -> int:
        """An upper guess at the bytes that the model takes for pictures of this size in tiles of this side."""
        model = self._model
        known = Network | zoo.Network | AlignFuse | deblur_film.Deblur
        return model.memory(width, height, tile) if isinstance(model, known) else 0

    def __call__(self, frames: Iterable[Frame], warmup: int = 0) -> Iterator[Frame]:
        """The frames restored, but for the first `warmup` of them; what came before this call is forgotten."""
        model = self._model
        restored: Iterator[Frame]
        if isinstance(model, Network):
            restored = _windows(frames, model)
        elif isinstance(model, deblur_film.Deblur):
            restored = (frame for shot in _shots(frames) for frame in model(shot))
        else:
            restored = _fused(frames, model) if isinstance(model, AlignFuse) else map(model, frames)
        for index, frame in enumerate(restored):
            if index >= warmup:
                yield frame


def restore(
    frames: Iterable[Frame],
    *,
    model: str | torch.nn.Module = "fast",
    scale: int = 4,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    tile: int = 0,
    ensemble: bool = False,
    warp_engine: WarpEngine | None = None,
    warmup: int = 0,
) -> Iterator[Frame]:
    """Restore and enlarge a sequence of frames, all of one size and format.

    model: a shipped network's name; bicubic, lanczos, edge, align-fuse; deblur, which keeps the size (scale 1); the
    path of an .onnx file with its card or of a community network's .safetensors file (extra `zoo`); or a torch network
    of `subpixel.models`, which runs on its own device and in the mode it is in. engine: auto, onnxruntime, openvino or
    torch; device: auto, cpu, cuda, cuda:1; precision: auto, fp32, fp16, bf16; threads: 0 for one per core. tile: pixels
    of a tile's side, 0 for what fits. ensemble: the mean over eight positions of the picture, in eight times the time.
    warp_engine: limits of align-fuse. warmup: that many first frames only bring the network's memory up to date and are
    not yielded. The memory is cleared at scene cuts. Each frame keeps its time, format, bit depth and colour. Raises
    UsageError for an unknown model or engine, WeightsError for a damaged network or one that gives values that are not
    numbers, MemoryLimitError where the smallest tile does not fit the memory.
    """
    restorer = Restorer(
        model,
        scale,
        engine=engine,
        device=device,
        precision=precision,
        threads=threads,
        tile=tile,
        ensemble=ensemble,
        warp_engine=warp_engine,
    )
    yield from restorer(frames, warmup)


def _check_method(name: str, scale: int, ensemble: bool) -> None:
    if name == deblur_film.NAME and scale != 1:
        raise UsageError(f"Scale {scale} is not possible; {name} keeps the size of frames: choose 1.")
    if scale not in (1, 2, 3, 4):
        raise UsageError(f"Scale {scale} is not possible; {name} enlarges by 1, 2, 3 or 4.")
    if ensemble:
        raise UsageError(f"--ensemble is for networks; {name} gives the same in all positions, so leave it out.")


def _fused(frames: Iterable[Frame], model: AlignFuse) -> Iterator[Frame]:
    """Every frame fused with those of its shot that came before."""
    previous: Frame | None = None
    for frame in frames:
        if previous is None or is_cut(previous, frame):
            model.forget()
        yield model(frame)
        previous = frame


def _shots(frames: Iterable[Frame]) -> Iterator[Iterator[Frame]]:
    """The frames shot by shot; each shot is to be read before the next."""
    numbers = itertools.accumulate(_begins(frames), lambda shot, item: (shot[0] + item[0], item[1]))
    for _, shot in itertools.groupby(numbers, key=lambda item: item[0]):
        yield (frame for _, frame in shot)


def _begins(frames: Iterable[Frame]) -> Iterator[tuple[bool, Frame]]:
    """Whether a shot begins with a frame, and the frame."""
    previous: Frame | None = None
    for frame in frames:
        yield previous is not None and is_cut(previous, frame), frame
        previous = frame


def _moments(frames: Iterable[Frame]) -> Iterator[Moment]:
    """Every frame between its neighbours; shots do not see each other's frames."""
    previous: Frame | None = None
    current: Frame | None = None
    for following in frames:
        if current is not None:
            cut = is_cut(current, following)
            yield Moment(previous or current, current, current if cut else following, last=cut)
            previous = None if cut else current
        current = following
    if current is not None:
        yield Moment(previous or current, current, current, last=True)


def _windows(frames: Iterable[Frame], network: Network) -> Iterator[Frame]:
    """Run the network over each shot from its start, window by window; the frames after one only look back on it."""
    network.forget()
    waiting: list[Moment] = []
    for moment in _moments(frames):
        waiting.append(moment)
        window = network.window(moment.frame.width, moment.frame.height)
        if not moment.last and len(waiting) < window + network.look_ahead:
            continue
        told = network.backward(waiting, len(waiting) if moment.last else window)
        for one, later in zip(waiting, told, strict=False):
            yield network.forward(one, later)
        del waiting[: len(told)]
        if moment.last:
            network.forget()
