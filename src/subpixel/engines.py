"""Engines: run one step of a network by onnxruntime, OpenVINO or torch, on the processor or an NVIDIA card.

Knows arrays and weights, never frames, colours or files. A step is a callable made for one size of tile.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from subpixel.errors import UsageError, WeightsError
from subpixel.weights import Weights

if TYPE_CHECKING:
    import torch

Float32 = npt.NDArray[np.float32]

# Takes and gives arrays by position, shaped as `shapes` says. "step": y, uv, codec, state and, for a bidirectional
# network, later -> luma (1, 1, sH, sW), chroma (1, 2, sH/2, sW/2), the next state. "back": y, uv, codec, later -> the
# frame before's later. Samples are limited-range code values / 255.
Step = Callable[..., tuple[Float32, ...]]

PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "torch": "torch"}
EXTRAS = {"openvino": "openvino", "torch": "train"}
PRECISIONS = ("fp32", "fp16", "bf16")
MAPS = {"qp": 1, "kinds": 3, "motion": 4}  # planes of the codec's maps that networks read, see priors.py

_NO_MEMORY = re.compile("out of memory|not enough memory|bad.?alloc|(can't|failed to) allocate memory", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Engine:
    """What runs networks. device: "cpu", or "cuda:0" and so on; precision: "fp32", "fp16" or "bf16", the latter two
    with single precision for what they cannot hold; threads: 0 for one per core."""

    name: str
    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 0

    def __str__(self) -> str:
        plain = (self.device, self.precision) == ("cpu", "fp32")
        return self.name if plain else f"{self.name} on {self.device}, {self.precision}"


def available() -> list[str]:
    """Names of the engines whose package is installed, the default first."""
    return [name for name, package in PACKAGES.items() if importlib.util.find_spec(package)]


def choose(engine: str = "auto", *, device: str = "auto", precision: str = "auto", threads: int = 0) -> Engine:
    """The engine for these wishes, each of which may be "auto".

    An NVIDIA card that torch can use is used, in half precision, by torch; else the first engine installed runs on the
    processor in single precision. Raises UsageError where the wishes cannot be met, saying what to do.
    """
    if precision not in ("auto", *PRECISIONS):
        raise UsageError(f"There is no precision {precision!r}; choose auto, {', '.join(PRECISIONS)}.")
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise UsageError(f"There is no device {device!r}; choose auto, cpu, cuda or cuda:1 (the second card).")
    name = _named(engine, device)
    if name != "torch":
        if device not in ("auto", "cpu") or precision not in ("auto", "fp32"):
            raise UsageError(f"The engine {name} runs on the cpu in fp32 only; add --engine torch for anything else.")
        return Engine(name, threads=threads)
    device = _device(device)
    if precision == "auto":
        precision = "fp32" if device == "cpu" else "fp16"
    return Engine(name, device, precision, threads)


def _named(engine: str, device: str) -> str:
    if engine == "auto" and not device.startswith("cuda"):
        # Loading torch takes seconds and memory, so the driver's program is looked for first.
        card = device == "auto" and "torch" in available() and shutil.which("nvidia-smi") and _device("auto") != "cpu"
        return "torch" if card else available()[0]
    engine = "torch" if engine == "auto" else engine
    if engine not in PACKAGES:
        raise UsageError(f"There is no engine {engine!r}; choose auto, {', '.join(PACKAGES)}.")
    if engine not in available():
        raise UsageError(
            f"The engine {engine} is not installed; install it with: pip install 'subpixel[{EXTRAS[engine]}]'"
        )
    return engine


def _device(device: str) -> str:
    """The torch device for "auto", "cpu", "cuda" or "cuda:1"."""
    if device == "cpu":
        return device
    import torch

    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = int(device.partition(":")[2] or 0)
    if number < cards:
        return f"cuda:{number}"
    if device == "auto":
        return "cpu"
    raise UsageError(f"--device {device} asks for an NVIDIA card that torch does not see: it sees {cards}.")


def shapes(card: dict[str, Any], *, width: int, height: int, part: str = "step") -> dict[str, tuple[int, ...]]:
    """Names and shapes of what a step takes for tiles of this LR size, by the network's card."""
    half = (height // 2, width // 2)
    planes = sum(MAPS[name] for name in card["codec"])
    found: dict[str, tuple[int, ...]] = {"y": (1, 3, height, width), "uv": (1, 2, *half), "codec": (1, planes, *half)}
    grids = {"state": card["later"] if part == "back" else card["state"]}
    if part == "step" and card["later"]:
        grids["later"] = card["later"]
    for name, (channels, divisor) in grids.items():
        found[name] = (1, channels, height // divisor, width // divisor)
    return found


def load(
    network: Weights | torch.nn.Module,
    engine: str | Engine,
    *,
    width: int,
    height: int,
    threads: int = 0,
    part: str = "step",
) -> Step:
    """A step for tiles of this LR size (even sides); part: "step", or "back" of a bidirectional network.

    A torch module runs by torch on its own device, whatever the engine's. The step raises MemoryError where memory,
    the card's too, does not suffice. Raises WeightsError for a network that the engine cannot load.
    """
    if isinstance(engine, str):
        engine = choose(engine, threads=threads)
    if not isinstance(network, Weights):
        return by_torch(getattr(network, part), engine, next(p.device for p in network.parameters()))
    try:
        with _memory_errors():
            if engine.name == "torch":
                return by_torch(getattr(_module(network, engine), part), engine)
            made = _openvino if engine.name == "openvino" else _onnxruntime
            return made(network, part, engine.threads or _cores(), width, height)
    except MemoryError:
        raise
    except Exception as error:  # each of the three libraries raises its own kinds, most of them bare Exceptions
        message = str(error).splitlines()[0]
        raise WeightsError(f"{network.file(part)} cannot be loaded by {engine.name}: {message}") from error


def finite(arrays: Sequence[Float32]) -> bool:
    """Whether every value is a number."""
    # A sum is not a number as soon as one of its terms is not; it costs a tenth of looking at each.
    return all(bool(np.isfinite(np.sum(a))) for a in arrays)


def _cores() -> int:
    """Cores this process may use; where the system does not say, all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """Every library's way of saying that memory does not suffice becomes a MemoryError."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        if _NO_MEMORY.search(str(error)):
            raise MemoryError(str(error).splitlines()[0]) from error
        raise


def _onnxruntime(weights: Weights, part: str, threads: int, width: int, height: int) -> Step:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Idle workers spinning would take the core that encodes the frame before.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, size in (("height", height), ("width", width), ("half_height", height // 2), ("half_width", width // 2)):
        options.add_free_dimension_override_by_name(name, size)
    session = onnxruntime.InferenceSession(weights.file(part).read_bytes(), options, ["CPUExecutionProvider"])
    names = list(shapes(weights.card, width=width, height=height, part=part))
    read = {node.name for node in session.get_inputs()}  # an exporter drops inputs that the network does not use

    def step(*arrays: Float32) -> tuple[Float32, ...]:
        feed = {name: array for name, array in zip(names, arrays, strict=True) if name in read}
        with _memory_errors():
            return tuple(session.run(None, feed))

    return step


def _openvino(weights: Weights, part: str, threads: int, width: int, height: int) -> Step:
    import openvino

    core = openvino.Core()
    model = core.read_model(weights.file(part).read_bytes())
    sizes = shapes(weights.card, width=width, height=height, part=part)
    read = {name for node in model.inputs for name in node.get_names()}
    model.reshape({name: list(shape) for name, shape in sizes.items() if name in read})
    # The hint keeps single precision where the processor could do less: engines must agree within one code value.
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(model, "CPU", options).create_infer_request()

    def step(*arrays: Float32) -> tuple[Float32, ...]:
        feed = {name: array for name, array in zip(sizes, arrays, strict=True) if name in read}
        with _memory_errors():
            result = request.infer(feed)
        return tuple(np.array(result[k]) for k in range(len(model.outputs)))

    return step


def _module(weights: Weights, engine: Engine) -> Any:
    """The network as a torch module on the engine's device."""
    import torch

    from subpixel.models import network

    torch.set_num_threads(engine.threads or _cores())
    return network(weights.path, weights.card).eval().to(engine.device, memory_format=torch.channels_last)


def by_torch(
    work: Callable[..., torch.Tensor | tuple[torch.Tensor, ...]], engine: Engine, device: torch.device | None = None
) -> Step:
    """A step that calls torch code with tensors on a device, the engine's if none is given, in the engine's precision.

    What is not finite in half precision is computed again in single: a result depends on its inputs alone, not on what
    was restored before.
    """
    import torch

    kinds = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    device = device or torch.device(engine.device)

    def run(arrays: Sequence[Float32], kind: torch.dtype) -> tuple[Float32, ...]:
        half = kind is not torch.float32
        with torch.inference_mode(), torch.autocast(device.type, kind if half else torch.bfloat16, enabled=half):
            found = work(*(torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in arrays))
        return tuple(r.float().cpu().numpy() for r in (found if isinstance(found, tuple) else (found,)))

    def step(*arrays: Float32) -> tuple[Float32, ...]:
        try:
            with _memory_errors():
                results = run(arrays, kinds[engine.precision])
                if engine.precision != "fp32" and not finite(results):
                    results = run(arrays, torch.float32)
        except MemoryError:
            if device.type == "cuda":
                torch.cuda.empty_cache()
            raise
        return results

    return step
