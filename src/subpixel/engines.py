"""Engines: run one step of a recurrent network by onnxruntime, OpenVINO or torch.

Knows arrays and weights, never frames, colours or files. Every engine is a callable made for one tile size.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from subpixel.errors import UsageError, WeightsError
from subpixel.weights import Weights

Float32 = npt.NDArray[np.float32]

# Takes y (1, 3, H, W), uv (1, 2, H/2, W/2), qp (1, 1, H/2, W/2) and state (1, C, H/2, W/2); gives luma (1, 1, sH, sW),
# chroma (1, 2, sH/2, sW/2) and the next state. Samples are limited-range code values / 255, qp is / 51.
Step = Callable[[Float32, Float32, Float32, Float32], tuple[Float32, Float32, Float32]]

PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "torch": "torch"}
EXTRAS = {"openvino": "openvino", "torch": "train"}


def available() -> list[str]:
    """Names of the engines whose package is installed, the default first."""
    return [name for name, package in PACKAGES.items() if importlib.util.find_spec(package)]


def choose(engine: str) -> str:
    """The engine to use for `engine`, which may be "auto"; UsageError says how to install a missing one."""
    if engine == "auto":
        return available()[0]
    if engine not in PACKAGES:
        raise UsageError(f"There is no engine {engine!r}; choose auto, {', '.join(PACKAGES)}.")
    if engine not in available():
        raise UsageError(
            f"The engine {engine} is not installed; install it with: pip install 'subpixel[{EXTRAS[engine]}]'"
        )
    return engine


def load(weights: Weights, engine: str, *, width: int, height: int, threads: int = 0) -> Step:
    """A step for tiles of this LR size (even sides) with `threads` threads (0: one per core)."""
    name, threads = choose(engine), threads or _cores()
    try:
        if name == "torch":
            return _torch(weights, threads)
        return (_openvino if name == "openvino" else _onnxruntime)(weights, width, height, threads)
    except Exception as error:  # each of the three libraries raises its own kinds, most of them bare Exceptions
        raise WeightsError(f"{weights.path} cannot be loaded by {engine}: {str(error).splitlines()[0]}") from error


def _cores() -> int:
    """Cores this process may use; where the system does not say, all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _onnxruntime(weights: Weights, width: int, height: int, threads: int) -> Step:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Idle workers spinning would take the core that encodes the frame before.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, size in (("height", height), ("width", width), ("half_height", height // 2), ("half_width", width // 2)):
        options.add_free_dimension_override_by_name(name, size)
    session = onnxruntime.InferenceSession(weights.path.read_bytes(), options, ["CPUExecutionProvider"])

    def step(y: Float32, uv: Float32, qp: Float32, state: Float32) -> tuple[Float32, Float32, Float32]:
        luma, chroma, state = session.run(None, {"y": y, "uv": uv, "qp": qp, "state": state})
        return luma, chroma, state

    return step


def _openvino(weights: Weights, width: int, height: int, threads: int) -> Step:
    import openvino

    core = openvino.Core()
    model = core.read_model(weights.path.read_bytes())
    half = (height // 2, width // 2)
    channels = int(weights.card["options"]["channels"])
    model.reshape({"y": [1, 3, height, width], "uv": [1, 2, *half], "qp": [1, 1, *half], "state": [1, channels, *half]})
    # The hint keeps single precision where the processor could do less: engines must agree within one code value.
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(model, "CPU", options).create_infer_request()

    def step(y: Float32, uv: Float32, qp: Float32, state: Float32) -> tuple[Float32, Float32, Float32]:
        result = request.infer({"y": y, "uv": uv, "qp": qp, "state": state})
        luma, chroma, state = (np.array(result[k]) for k in range(3))
        return luma, chroma, state

    return step


def _torch(weights: Weights, threads: int) -> Step:
    import torch

    from subpixel.models import network

    torch.set_num_threads(threads)
    net: Any = network(weights.path, weights.card).eval()

    def step(y: Float32, uv: Float32, qp: Float32, state: Float32) -> tuple[Float32, Float32, Float32]:
        with torch.inference_mode():
            luma, chroma, following = net.step(*(torch.from_numpy(a) for a in (y, uv, qp, state)))
        return luma.numpy(), chroma.numpy(), following.numpy()

    return step
