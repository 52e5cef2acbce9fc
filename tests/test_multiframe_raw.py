from pathlib import Path

import numpy as np
import pytest
import rawpy

from bursts import write_dng
from subpixel import pictures
from subpixel.errors import DiskError, InputError
from subpixel.multiframe.dng import save_dng
from subpixel.multiframe.raw import Camera, develop, load_burst, load_raw

XYZ = np.array([[0.9, -0.2, -0.1], [-0.4, 1.2, 0.2], [-0.05, 0.2, 0.6]])  # a camera's ColorMatrix1
MOSAIC = np.random.default_rng(0).random((48, 64))


def test_a_dng_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", MOSAIC, black=64, white=1023, neutral=(0.5, 1, 0.8), xyz=XYZ,
                     pattern=(1, 0, 2, 1), orientation=6, exposure=0.01, iso=200)  # fmt: skip
    found = load_raw(path)
    assert np.abs(found.data - MOSAIC).max() < 0.51 / (1023 - 64)
    np.testing.assert_array_equal(found.part(3, 20, 5, 30), found.data[3:20, 5:30])
    np.testing.assert_array_equal(found.pattern, [[1, 0], [2, 1]])
    assert (found.exposure, found.iso, found.camera.orientation) == (0.01, 200, 6)
    np.testing.assert_allclose(found.camera.balance, (2, 1, 1.25), rtol=1e-5)
    assert found.camera.xyz is not None
    np.testing.assert_allclose(found.camera.xyz, XYZ, atol=1e-4)
    np.testing.assert_allclose(found.camera.matrix.sum(1), 1, atol=1e-6)  # white stays white


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_colours_and_orientation_are_librawS(tmp_path: Path, orientation: int) -> None:
    """A uniform colour and a corner mark, developed by LibRaw and by `develop`."""
    rgb = np.full((40, 56, 3), (0.30, 0.25, 0.10))
    rgb[:12, :20] = (0.05, 0.10, 0.20)
    path = write_dng(tmp_path / "a.dng", np.zeros((40, 56)), neutral=(0.6, 1, 0.7), xyz=XYZ, orientation=orientation)
    camera = load_raw(path).camera
    save_dng(tmp_path / "b.dng", rgb.astype("f4"), camera)
    with rawpy.imread(str(tmp_path / "b.dng")) as raw:
        theirs = raw.postprocess(use_camera_wb=True, no_auto_bright=True, output_bps=16, gamma=(1, 1)) / 65535
    mine = develop(rgb.astype("f4"), camera, linear=True)
    assert mine.shape == theirs.shape
    assert np.abs(mine - theirs).max() < 0.002


def test_display_tones_are_srgbs() -> None:
    """IEC 61966-2-1: the value of light 0.2 is 0.484529, of 0.002 0.02584."""
    light = np.array([[[0.2, 0.002, 1.3]]], np.float32)
    np.testing.assert_allclose(develop(light, Camera()), [[[0.484529, 0.02584, 1]]], atol=1e-5)


def test_linear_dng_outputs_are_not_replaced_and_hold_16_bits(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).random((300, 30, 3)).astype("f4")
    save_dng(tmp_path / "a.dng", rgb, Camera((1.0, 1.0, 1.0)))
    with rawpy.imread(str(tmp_path / "a.dng")) as raw:
        assert np.abs(raw.raw_image[..., :3] / 65535 - rgb).max() < 0.51 / 65535
    with pytest.raises(DiskError, match="exists already"):
        save_dng(tmp_path / "a.dng", rgb, Camera())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
def test_cut_off_files_are_refused(tmp_path: Path, share: float) -> None:
    path = write_dng(tmp_path / "a.dng", MOSAIC)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=r"a\.dng' is damaged, cut off or no RAW file that LibRaw knows"):
        load_raw(path)


def test_bursts_are_files_or_a_folder_of_one_kind(tmp_path: Path) -> None:
    for k in range(3):
        write_dng(tmp_path / f"f{k}.dng", MOSAIC)
    assert [m.name[-6:] for m in load_burst([tmp_path])] == ["f0.dng", "f1.dng", "f2.dng"]
    with pytest.raises(InputError, match="is a single frame"):
        load_burst([tmp_path / "f0.dng"])
    pictures.save(tmp_path / "a.png", MOSAIC)
    with pytest.raises(InputError, match=r"is RAW and .* is not"):
        load_burst([tmp_path / "f0.dng", tmp_path / "a.png"])
    with pytest.raises(InputError, match=r"none\.dng' cannot be read: no such file"):
        load_burst([tmp_path / "none.dng", tmp_path / "f0.dng"])


def test_developed_dngs_are_refused(tmp_path: Path) -> None:
    save_dng(tmp_path / "a.dng", np.zeros((30, 30, 3), np.float32), Camera())
    with pytest.raises(InputError, match="holds no mosaic; it was developed already"):
        load_raw(tmp_path / "a.dng")
