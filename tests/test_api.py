import inspect
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import subpixel
from subpixel.color import from_rgb, to_rgb
from subpixel.errors import InputError, SubpixelError, UsageError
from subpixel.frames import Frame
from subpixel.plan import Options
from subpixel.upsample import bicubic
from subpixel.video import read

RNG = np.random.default_rng(1)
FILM = RNG.integers(0, 256, (3, 12, 16, 3), dtype=np.uint8)


def test_an_array_of_pictures_is_restored_picture_by_picture() -> None:
    restored = list(subpixel.restore(FILM, model="bicubic", scale=2))
    assert [picture.shape for picture in restored] == [(24, 32, 3)] * 3
    for low, high in zip(FILM, restored, strict=True):
        np.testing.assert_array_equal(high, to_rgb(bicubic(from_rgb(low), 2)))


def test_an_iterable_of_pictures_is_read_as_it_is_needed() -> None:
    taken = []
    restored = subpixel.restore(
        (taken.append(i) or picture for i, picture in enumerate(FILM)), model="bicubic", scale=1
    )
    np.testing.assert_array_equal(next(restored), FILM[0])
    assert taken == [0]


def test_frames_stay_frames(sample_clip: Path) -> None:
    restored = list(subpixel.restore(read(sample_clip), model="bicubic", scale=2))
    assert len(restored) == 24
    assert all(isinstance(frame, Frame) and frame.width == 320 for frame in restored)


def test_the_network_takes_arrays() -> None:
    flat = np.full((2, 32, 48, 3), (200, 50, 50), np.uint8)
    restored = np.stack(list(subpixel.restore(flat)))
    assert restored.shape == (2, 128, 192, 3)
    assert np.abs(restored[:, 32:-32, 32:-32].astype(int) - flat[0, 0, 0]).max() <= 6


def test_nothing_in_nothing_out() -> None:
    assert list(subpixel.restore([])) == []


@pytest.mark.parametrize(
    ("pictures", "sentence"),
    [
        ([FILM[0].astype(float)], r"Picture 0 must be a \(height, width, 3\) uint8 array, not \(12, 16, 3\) float64"),
        ([FILM[0], FILM[0, :, :, 0]], r"Picture 1 must be .*, not \(12, 16\) uint8"),
        (["picture.png"], "Picture 0 must be .*, not str"),
    ],
)
def test_other_arrays_are_refused(pictures: list[np.ndarray], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        list(subpixel.restore(pictures, model="bicubic"))


def test_a_scale_that_is_not_possible() -> None:
    with pytest.raises(UsageError, match="7"):
        list(subpixel.restore(FILM, model="bicubic", scale=7))


def test_public_functions_are_not_hidden_by_modules_of_the_same_name() -> None:
    """Importing subpixel.restore or subpixel.degrade, in any order, leaves the functions callable."""
    code = (
        "import subpixel.restore, subpixel.degrade, subpixel\n"
        "from subpixel.restore import is_cut\n"
        "assert callable(subpixel.restore) and callable(subpixel.degrade), subpixel.restore\n"
        "assert list(subpixel.restore([])) == []\n"
        "import subpixel.restore\n"
        "assert callable(subpixel.restore)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_is_light() -> None:
    code = "import subpixel, sys; print(sorted({'numpy', 'av', 'onnxruntime', 'torch', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_unknown_names_are_told() -> None:
    with pytest.raises(AttributeError, match="module 'subpixel' has no attribute 'upscael'"):
        _ = subpixel.upscael  # type: ignore[attr-defined]
    assert dir(subpixel) == subpixel.__all__


def test_version_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert subpixel.__version__ == project["version"]


def test_upscale_takes_every_option_and_explains_it() -> None:
    """The signature spells out what `Options` holds, with the same defaults."""
    parameters = inspect.signature(subpixel.upscale).parameters
    named = {name: parameter.default for name, parameter in parameters.items()}
    assert {name: named[name] for name in vars(Options())} == vars(Options())
    assert set(named) - set(vars(Options())) == {"src", "dst", "progress", "cancel"}
    assert all(name in (Options.__doc__ or "") for name in vars(Options()))


def test_every_error_says_how_the_command_ends() -> None:
    from subpixel import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SubpixelError)]
    assert sorted({kind.exit_code for kind in kinds}) == [1, 2, 3, 4, 5, 6, 7, 8, 130]


def test_the_command_takes_what_the_network_can_do(sample_clip: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "subpixel", "upscale", sample_clip, "-o", tmp_path / "out.mkv", "--end", "0.05"]
    wishes = [
        "--engine",
        "torch",
        "--device",
        "cpu",
        "--precision",
        "bf16",
        "--tile",
        "128",
        "--ensemble",
        "--threads",
        "1",
        "--json",
        "--progress",
        "none",
    ]
    done = subprocess.run([*command, *wishes], capture_output=True, text=True, check=True)
    (report,) = json.loads(done.stdout)["outputs"]
    assert (report["frames"], report["engine"]) == (2, "torch on cpu, bf16")
    refused = subprocess.run([*command, "--device", "cuda:9", "-y"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "error: --device cuda:9 asks for an NVIDIA card that torch does not see" in refused.stderr
