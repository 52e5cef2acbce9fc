"""The engine room: frames in, restored frames out, in bounded memory whatever the film's length.

Knows frames and networks, never files, codecs or chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from subpixel import color, engines, resample, upsample, weights
from subpixel.errors import UsageError, WeightsError
from subpixel.frames import Frame, Plane

Float32 = npt.NDArray[np.float32]

CUT_BLOCK = 16  # pixels: blocks this large do not see small motion
CUT_DIFFERENCE = 20.0  # code values of 8 bits between block means that motion within a shot hardly ever reaches
CUT_DIFFERENCE_KEY = 12.0  # the same where the encoder itself started afresh with an I frame
TILE_PIXELS = 960 * 544  # LR pixels restored at once: bounds the network's memory to about 400 MB


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


def restore(
    frames: Iterable[Frame],
    *,
    model: str = "fast",
    scale: int = 4,
    engine: str = "auto",
    threads: int = 0,
    warmup: int = 0,
) -> Iterator[Frame]:
    """Restore and enlarge a sequence of frames, all of one size and format.

    model: a shipped network's name, the path of an .onnx file with its card, or bicubic, lanczos, edge.
    engine: auto, onnxruntime, openvino or torch. threads: 0 for one per core. warmup: that many first frames only
    bring the network's memory up to date and are not yielded. The memory is cleared at scene cuts. Each frame keeps
    its time, format, bit depth and colour. Raises UsageError for an unknown model or engine, WeightsError for a damaged
    network or one that gives values that are not numbers.
    """
    if model in upsample.METHODS:
        if scale not in (1, 2, 3, 4):
            raise UsageError(f"Scale {scale} is not possible; {model} enlarges by 1, 2, 3 or 4.")
        enlarged: Iterator[Frame] = (upsample.METHODS[model](frame, scale) for frame in frames)
    else:
        network = weights.load(model, scale)
        enlarged = _recurrent(frames, Network(network, engines.choose(engine), threads))
    for index, frame in enumerate(enlarged):
        if index >= warmup:
            yield frame


def _recurrent(frames: Iterable[Frame], network: Network) -> Iterator[Frame]:
    """Run the network over (previous, frame, next) triples; shots see neither each other's frames nor state."""
    previous: Frame | None = None
    current: Frame | None = None
    for following in frames:
        if current is not None:
            cut = is_cut(current, following)
            yield network(previous or current, current, current if cut else following)
            previous = None if cut else current
            if cut:
                network.forget()
        current = following
    if current is not None:
        yield network(previous or current, current, current)


class Network:
    """A recurrent network with its state, applied to frames of any format.

    Large pictures are done in strips whose margins cover what the network sees, so that the result is the same.
    """

    def __init__(self, trained: weights.Weights, engine: str, threads: int = 0) -> None:
        self.trained, self.engine, self.threads = trained, engine, threads
        self.state: Float32 | None = None
        self.steps: dict[tuple[int, int], engines.Step] = {}
        self.low: dict[int, tuple[Frame, Float32]] = {}

    def forget(self) -> None:
        """Start afresh: the next frame is the first of its shot."""
        self.state = None

    def __call__(self, previous: Frame, frame: Frame, following: Frame) -> Frame:
        """The restored `frame`, given its neighbours in time (itself at a shot's ends)."""
        work = color.to_yuv(frame) if frame.layout.rgb else frame
        y = np.stack([self._luma(f) for f in (previous, frame, following)])[None]
        luma, chroma = self._planes(y, self._chroma(work, y.shape), self._quantiser(frame, y.shape))
        size = frame.width * self.trained.scale, frame.height * self.trained.scale
        restored = self._assemble(work, luma, chroma, size)
        return color.from_yuv(restored, frame.format) if frame.layout.rgb else restored

    def _luma(self, frame: Frame) -> Float32:
        """Luma as the network wants it: even sides, limited-range 8-bit code values / 255."""
        for key, (known, luma) in list(self.low.items()):
            if known is frame:
                return luma
            if len(self.low) > 3:
                del self.low[key]
        work = color.to_yuv(frame) if frame.layout.rgb else frame
        luma = _even(color.normalise(work.planes[0], work, chroma=False))
        self.low[id(frame)] = (frame, luma)
        return luma

    def _chroma(self, work: Frame, shape: tuple[int, ...]) -> Float32:
        height, width = shape[2] // 2, shape[3] // 2
        if work.layout.planes < 3:
            return np.full((1, 2, height, width), 128 / 255, np.float32)
        small = (-(-work.height // 2), -(-work.width // 2))
        planes = [
            p if p.shape == small else resample.resize(p, small[1], small[0], kernel="area") for p in work.planes[1:3]
        ]
        return np.stack([color.normalise(p, work, chroma=True) for p in planes])[None]

    def _quantiser(self, frame: Frame, shape: tuple[int, ...]) -> Float32:
        """Each macroblock's quantiser / 51 on the chroma grid; zeros (unknown) for codecs on another scale."""
        height, width = shape[2] // 2, shape[3] // 2
        if frame.qp is None:
            return np.zeros((1, 1, height, width), np.float32)
        grid = np.repeat(np.repeat(frame.qp.astype(np.float32), 8, 0), 8, 1)[:height, :width]
        return np.ascontiguousarray(np.clip(grid, 0, 51)[None, None] / np.float32(51))

    def _planes(self, y: Float32, uv: Float32, qp: Float32) -> tuple[Float32, Float32]:
        """Run all strips; y (1, 3, H, W) -> luma (sH, sW), chroma (2, sH/2, sW/2), state kept."""
        height, width = y.shape[2:]
        scale, halo = self.trained.scale, int(self.trained.card["halo"])
        if self.state is None:
            channels = int(self.trained.card["options"]["channels"])
            self.state = np.zeros((1, channels, height // 2, width // 2), np.float32)
        strip = max(64, TILE_PIXELS // width & ~1)
        if height <= strip + 2 * halo:
            luma, chroma, self.state = self._step(y, uv, qp, self.state)
            return luma[0, 0], chroma[0]
        luma = np.empty((height * scale, width * scale), np.float32)
        chroma = np.empty((2, height * scale // 2, width * scale // 2), np.float32)
        state = np.empty_like(self.state)
        for top in range(0, height, strip):
            bottom = min(top + strip, height)
            # Every strip has the same height, so that one compiled network serves all of them.
            first = min(max(0, top - halo), height - strip - 2 * halo) & ~1
            last = first + strip + 2 * halo
            rows, half = slice(first, last), slice(first // 2, last // 2)
            part = self._step(y[:, :, rows], uv[:, :, half], qp[:, :, half], self.state[:, :, half])
            a, b = (top - first) * scale, (bottom - first) * scale
            luma[top * scale : bottom * scale] = part[0][0, 0, a:b]
            chroma[:, top * scale // 2 : bottom * scale // 2] = part[1][0, :, a // 2 : b // 2]
            state[:, :, top // 2 : bottom // 2] = part[2][:, :, (top - first) // 2 : (bottom - first) // 2]
        self.state = state
        return luma, chroma

    def _step(self, y: Float32, uv: Float32, qp: Float32, state: Float32) -> tuple[Float32, Float32, Float32]:
        height, width = y.shape[2:]
        if (height, width) not in self.steps:
            self.steps[height, width] = engines.load(
                self.trained, self.engine, width=width, height=height, threads=self.threads
            )
        arrays = (np.ascontiguousarray(a) for a in (y, uv, qp, state))
        luma, chroma, state = self.steps[height, width](*arrays)
        # A sum is not a number as soon as one of its terms is not; it costs a tenth of looking at each.
        if not all(np.isfinite(np.sum(a)) for a in (luma, chroma, state)):
            raise WeightsError(
                f"The network {self.trained.name} gave values that are not numbers with the engine {self.engine}; "
                f"try --engine {'torch' if self.engine == 'onnxruntime' else 'onnxruntime'}, and report the clip."
            )
        return luma, chroma, state

    def _assemble(self, work: Frame, luma: Float32, chroma: Float32, size: tuple[int, int]) -> Frame:
        """The restored YUV frame: planes rounded to the frame's depth and range, cropped to size (width, height)."""
        width, height = size
        planes: list[Plane] = [color.quantise(luma[:height, :width], work, chroma=False)]
        for index in range(1, work.layout.planes):
            tall, wide = work.layout.plane_size(index, width, height)
            if index < 3 and (work.layout.chroma_x, work.layout.chroma_y) == (1, 1):
                planes.append(color.quantise(chroma[index - 1, :tall, :wide], work, chroma=True))
            else:
                planes.append(resample.resize(work.planes[index], wide, tall, kernel="bicubic"))
        return work.replace(planes=tuple(planes), qp=None, motion=None)


def _even(plane: Float32) -> Float32:
    """The plane with its last row and column repeated where a side is odd."""
    return np.pad(plane, [(0, side & 1) for side in plane.shape], mode="edge")
