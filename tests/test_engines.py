"""The same network by onnxruntime, OpenVINO and torch."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from subpixel import engines, weights
from subpixel.engines import Engine
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


@pytest.fixture
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the tests run, torch sees no card."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("no_card")
def test_wishes_become_an_engine() -> None:
    assert engines.choose() == Engine("onnxruntime")
    assert engines.choose("openvino", device="cpu", precision="fp32", threads=3) == Engine("openvino", threads=3)
    assert engines.choose("torch") == Engine("torch", "cpu", "fp32")
    assert engines.choose("torch", precision="bf16") == Engine("torch", "cpu", "bf16")
    said = [str(e) for e in (Engine("openvino"), Engine("torch", "cpu", "bf16"), Engine("torch", "cuda:1", "fp16"))]
    assert said == ["openvino", "torch on cpu, bf16", "torch on cuda:1, fp16"]


@pytest.mark.usefixtures("no_card")
@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"device": "cuda"}, "--device cuda asks for an NVIDIA card that torch does not see: it sees 0"),
        ({"engine": "torch", "device": "cuda:2"}, "--device cuda:2 asks for an NVIDIA card"),
        ({"device": "gpu"}, "no device 'gpu'; choose auto, cpu, cuda or cuda:1"),
        ({"precision": "int8"}, "no precision 'int8'; choose auto, fp32, fp16, bf16"),
        (
            {"engine": "openvino", "device": "cuda"},
            "The engine openvino runs on the cpu in fp32 only; add --engine torch",
        ),
        ({"precision": "bf16"}, "The engine onnxruntime runs on the cpu in fp32 only; add --engine torch"),
    ],
)
def test_wishes_that_cannot_be_met(wish: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        engines.choose(**wish)


def test_a_card_that_torch_sees_is_used_in_half_precision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What `auto` means where there is a card: the driver's program on the PATH, and torch counting two."""
    (tmp_path / "nvidia-smi").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engines.choose() == Engine("onnxruntime"), "a driver alone is not enough"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert engines.choose() == Engine("torch", "cuda:0", "fp16")
    assert engines.choose(device="cuda:1", precision="fp32") == Engine("torch", "cuda:1", "fp32")
    assert engines.choose(device="cpu") == Engine("onnxruntime")
    assert engines.choose("openvino") == Engine("openvino")
    with pytest.raises(UsageError, match="cuda:2 asks for an NVIDIA card that torch does not see: it sees 2"):
        engines.choose(device="cuda:2")


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
