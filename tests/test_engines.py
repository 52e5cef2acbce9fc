"""The same network by onnxruntime, OpenVINO and torch."""

import importlib.util

import numpy as np
import pytest

from subpixel import engines, weights
from subpixel.errors import UsageError, WeightsError


def inputs(width: int, height: int, seed: int = 0) -> list[engines.Float32]:
    rng = np.random.default_rng(seed)
    half = (height // 2, width // 2)
    shapes = [(1, 3, height, width), (1, 2, *half), (1, 1, *half), (1, 32, *half)]
    return [rng.random(shape, dtype=np.float32) for shape in shapes]


def test_engines_agree_within_one_code_value_over_time() -> None:
    assert engines.available() == ["onnxruntime", "openvino", "torch"], "the test environment installs all three"
    net = weights.load("fast", 4)
    y, uv, qp, state = inputs(64, 48)
    results = {}
    for name in engines.available():
        step = engines.load(net, name, width=64, height=48, threads=1)
        memory = state * 0
        for _ in range(5):
            luma, chroma, memory = step(y, uv, qp, memory)
        results[name] = np.concatenate([luma.ravel(), chroma.ravel()]) * 255
    for name in ("openvino", "torch"):
        assert np.abs(results[name] - results["onnxruntime"]).max() < 0.5, name


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    net = weights.load("fast", 4)
    one, two = (engines.load(net, "onnxruntime", width=64, height=48, threads=n)(*inputs(64, 48)) for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_unknown_engine_names_the_known() -> None:
    with pytest.raises(UsageError, match="no engine 'tensorrt'; choose auto, onnxruntime, openvino, torch"):
        engines.choose("tensorrt")


def test_missing_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else found(name))
    assert engines.choose("auto").name == "onnxruntime"
    with pytest.raises(
        UsageError, match=r"openvino is not installed; install it with: pip install 'subpixel\[openvino\]'"
    ):
        engines.choose("openvino")


def test_garbage_network_is_a_sentence(tmp_path) -> None:  # type: ignore[no-untyped-def]
    net = weights.load("fast", 4)
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"not a network")
    with pytest.raises(WeightsError, match=r"bad\.onnx cannot be loaded by onnxruntime"):
        engines.load(weights.Weights(bad, net.card), "onnxruntime", width=64, height=48)
