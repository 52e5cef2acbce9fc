"""Community networks: loading, colours, tiles, refusals."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from subpixel import color, weights, zoo
from subpixel.errors import UsageError, WeightsError
from subpixel.frames import Color, Frame, pixel_format
from subpixel.job import upscale
from subpixel.resample import resize
from subpixel.video import Encoding, read

restore = importlib.import_module("subpixel.restore")  # subpixel.restore itself is the public function


def saved(kind: str, path: Path, seed: int = 0, **options: int) -> Path:
    """A network of one of spandrel's architectures with random weights, as its author would publish it."""
    zoo._spandrel()
    architecture = importlib.import_module(f"spandrel.architectures.{kind}")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = getattr(architecture, kind)(**options)
    save_file({name: tensor.contiguous() for name, tensor in net.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module", params=["Compact", "ESRGAN"])
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    """(path, scale): a small Real-ESRGAN Compact x2, and a small ESRGAN x4."""
    path = tmp_path_factory.mktemp("zoo") / f"{request.param}.safetensors"
    if request.param == "Compact":
        return str(saved("Compact", path, num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=2, upscale=2)), 2
    return str(saved("ESRGAN", path, in_nc=3, out_nc=3, num_filters=8, num_blocks=1, scale=4)), 4


def frame(name: str = "gbrp", width: int = 50, height: int = 38) -> Frame:
    layout = pixel_format(name)
    rng = np.random.default_rng(0)
    sizes = [layout.plane_size(index, width, height) for index in range(layout.planes)]
    picture = np.kron(rng.random((height // 4 + 1, width // 4 + 1)), np.ones((4, 4)))
    planes = tuple((layout.peak * (0.3 + 0.4 * picture[:h, :w])).astype(layout.dtype) for h, w in sizes)
    return Frame(planes, name, pts=7, color=Color(matrix=0 if layout.rgb else 1, range=2 if layout.rgb else 1))


def directly(path: str, rgb: np.ndarray) -> np.ndarray:
    """What spandrel itself makes of RGB (height, width, 3) uint8."""
    net = zoo._spandrel().ModelLoader().load_from_file(path).eval()
    with torch.inference_mode():
        found = net(torch.from_numpy(rgb.transpose(2, 0, 1)[None].copy()).float() / 255)
    return (found[0].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)


def difference(a: Frame, b: Frame) -> int:
    return max(int(np.abs(p.astype(int) - q).max()) for p, q in zip(a.planes, b.planes, strict=True))


def test_rgb_is_what_spandrel_makes_of_it(network: tuple[str, int]) -> None:
    path, scale = network
    source = frame()
    (found,) = restore.restore([source], model=path, scale=scale)
    assert (found.width, found.height, found.pts, found.format) == (50 * scale, 38 * scale, 7, "gbrp")
    np.testing.assert_array_equal(color.to_rgb(found), directly(path, color.to_rgb(source)))


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p10le", "gray", "yuva420p"])
def test_every_format_comes_back_as_it_came(network: tuple[str, int], name: str) -> None:
    path, scale = network
    source = frame(name)
    (found,) = restore.restore([source], model=path, scale=scale)
    assert (found.format, found.color) == (source.format, source.color)
    want = directly(path, color.to_rgb(source)) @ [0.2126, 0.7152, 0.0722] * 219 / 255 + 16
    # spandrel was given 8 bits where the source has 10.
    assert np.abs(found.planes[0] / 2.0 ** (source.layout.bits - 8) - want).max() < (4 if "10" in name else 1.1)
    if name == "yuva420p":
        np.testing.assert_array_equal(found.planes[3], resize(source.planes[3], found.width, found.height))


def test_tiles_give_what_the_whole_gives(network: tuple[str, int]) -> None:
    path, scale = network
    source = frame("yuv420p", 140, 100)
    whole, tiled = (next(restore.restore([source], model=path, scale=scale, tile=tile)) for tile in (0, 32))
    assert difference(whole, tiled) <= 1


def test_an_ensemble_of_eight(network: tuple[str, int]) -> None:
    path, scale = network
    source = frame()
    (found,) = restore.restore([source], model=path, scale=scale, ensemble=True)
    rgb, total = color.to_rgb(source), np.zeros((38 * scale, 50 * scale, 3))
    for k in range(4):
        total += np.rot90(directly(path, np.rot90(rgb, k)), -k)
        total += np.rot90(directly(path, np.rot90(rgb, k)[:, ::-1])[:, ::-1], -k)
    assert np.abs(color.to_rgb(found) - total / 8).max() <= 1.01


def test_a_film_through_files(network: tuple[str, int], film: Path, tmp_path: Path) -> None:
    path, scale = network
    options: dict[str, Any] = {"scale": scale, "encoding": Encoding("ffv1", threads=1), "end": 0.2}
    report = upscale(film, tmp_path / "out.mkv", model=path, threads=1, **options)
    assert (report.frames, report.width, report.engine) == (5, 64 * scale, "torch")
    assert report.weights_sha256 == weights.load(path, scale).card["sha256"]
    (want,) = restore.restore([next(iter(read(film)))], model=path, scale=scale)
    assert difference(next(iter(read(tmp_path / "out.mkv"))), want) == 0


def test_another_scale_is_named(network: tuple[str, int]) -> None:
    path, scale = network
    with pytest.raises(WeightsError, match=f"enlarges by {scale}, not by 3; use --scale {scale}"):
        list(restore.restore([frame()], model=path, scale=3))


def test_files_that_hold_no_such_network(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="holds no network that spandrel knows"):
        zoo.load(str(tmp_path / "other.safetensors"))
    (tmp_path / "text.safetensors").write_text("no tensors at all")
    with pytest.raises(WeightsError, match="holds no network that spandrel knows"):
        zoo.load(str(tmp_path / "text.safetensors"))
    gray = saved("Compact", tmp_path / "gray.safetensors", num_in_ch=1, num_out_ch=1, num_feat=4, num_conv=1, upscale=2)
    with pytest.raises(WeightsError, match="1 channels in and 1 out; only networks that enlarge or restore RGB"):
        zoo.load(str(gray))
    with pytest.raises(WeightsError, match=r"none\.safetensors is missing; name another"):
        list(restore.restore([frame()], model=str(tmp_path / "none.safetensors")))


def test_pickled_files_are_refused_unread(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "net.pth")
    with pytest.raises(
        WeightsError, match=r"because loading pickled weights \(\.pth, \.ckpt\) may run a stranger's code"
    ):
        list(restore.restore([frame()], model=str(tmp_path / "net.pth")))


def test_without_spandrel_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "spandrel" else found(name))
    with pytest.raises(UsageError, match=r"need spandrel; install it with: pip install 'subpixel\[zoo\]'"):
        zoo.load(str(tmp_path / "any.safetensors"))


def test_a_torchvision_that_does_not_fit_is_done_without(tmp_path: Path) -> None:
    """A stand-in is there while spandrel is loaded and gone afterwards."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    path = saved("Compact", tmp_path / "a.safetensors", num_in_ch=3, num_out_ch=3, num_feat=4, num_conv=1, upscale=2)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom subpixel import zoo\n"
    code += f"assert zoo.load({str(path)!r}).scale == 2\nassert 'torchvision' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
