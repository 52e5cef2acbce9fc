import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from conftest import MakeClip
from subpixel import pictures
from subpixel.errors import DiskError, InputError, UsageError
from subpixel.pictures import Picture


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).random(shape, np.float32)


@pytest.mark.parametrize("shape", [(21, 34), (21, 34, 3)])
@pytest.mark.parametrize(("name", "bits"), [("a.png", 8), ("a.png", 16), ("a.tif", 8), ("a.tif", 16), ("a.tiff", 32)])
def test_what_is_saved_is_loaded(tmp_path: Path, name: str, bits: int, shape: tuple[int, ...]) -> None:
    data = noise(*shape)
    pictures.save(tmp_path / name, data, bits=bits)
    found = pictures.load(tmp_path / name)
    assert (found.bits, found.linear, found.samples.shape) == (bits, bits == 32, shape)
    assert np.abs(found.data - data).max() <= (0 if bits == 32 else 0.501 / (2**bits - 1))


def test_jpeg_is_near(tmp_path: Path) -> None:
    data = cv2.GaussianBlur(noise(64, 64, 3), (0, 0), 4)
    pictures.save(tmp_path / "a.jpg", data)
    assert np.abs(pictures.load(tmp_path / "a.jpg").data - data).mean() < 0.01


def test_samples_keep_their_type_and_parts_are_those_of_data() -> None:
    picture = Picture(np.arange(60, dtype=np.uint16).reshape(6, 10), bits=16)
    np.testing.assert_array_equal(picture.part(1, 4, 2, 9), picture.data[1:4, 2:9])
    assert picture.data.max() == pytest.approx(59 / 65535)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    """TIFF 6.0: the tag says which edges of the scene the first row and the first column are."""
    scene = np.arange(12, dtype=np.uint8).reshape(3, 4)
    stored = {
        1: scene, 2: scene[:, ::-1], 3: scene[::-1, ::-1], 4: scene[::-1],
        5: scene.T, 6: np.rot90(scene, 1), 7: np.rot90(scene.T, 2), 8: np.rot90(scene, -1),
    }[orientation]  # fmt: skip
    tifffile.imwrite(tmp_path / "a.tif", stored, extratags=[(274, 3, 1, orientation, True)])
    np.testing.assert_array_equal(pictures.load(tmp_path / "a.tif").samples, scene)


@pytest.mark.parametrize("order", ["<", ">"])
def test_jpeg_tells_exposure_and_is_turned(tmp_path: Path, order: str) -> None:
    """A JPEG with an APP1 segment made by hand: orientation 6, 1/50 s, ISO 400."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    first = struct.pack(order + "H", 2) + struct.pack(order + "HHIHH", 0x112, 3, 1, 6, 0)
    first += struct.pack(order + "HHII", 0x8769, 4, 1, 38) + struct.pack(order + "I", 0)
    deeper = struct.pack(order + "H", 2) + struct.pack(order + "HHII", 0x829A, 5, 1, 68)
    deeper += struct.pack(order + "HHIHH", 0x8827, 3, 1, 400, 0) + struct.pack(order + "I", 0)
    tags = b"Exif\0\0" + head + first + deeper + struct.pack(order + "II", 1, 50)
    data = cv2.imencode(".jpg", np.zeros((8, 24), np.uint8))[1].tobytes()
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(tags) + 2) + tags + data[2:])
    found = pictures.load(tmp_path / "a.jpg")
    assert (found.exposure, found.iso, found.size) == (0.02, 400.0, (24, 8))


@pytest.mark.parametrize("codec", ["lzw", "zstd", "packbits"])
def test_tiff_of_the_codecs_that_editors_use_is_read(tmp_path: Path, codec: str) -> None:
    samples = (noise(16, 16, 3) * 65535).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", samples, compression=codec)
    assert np.array_equal(pictures.load(tmp_path / "a.tif").samples, samples)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_cut_off_files_are_refused(tmp_path: Path, name: str, share: float) -> None:
    pictures.save(tmp_path / name, noise(64, 64, 3))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="damaged or cut off"):
        pictures.load(tmp_path / name)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.png' cannot be read: no such file"):
        pictures.load(tmp_path / "none.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match=r"empty\.png' is empty"):
        pictures.load(tmp_path / "empty.png")
    tifffile.imwrite(tmp_path / "nan.tif", np.full((4, 4), np.nan, np.float32))
    with pytest.raises(InputError, match="no numbers"):
        pictures.load(tmp_path / "nan.tif")


def test_outputs_are_not_replaced_unasked(tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    pictures.save(out, noise(4, 4))
    before = out.read_bytes()
    with pytest.raises(DiskError, match="exists already; add -y"):
        pictures.save(out, noise(5, 5))
    assert out.read_bytes() == before
    pictures.save(out, noise(5, 5), overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(DiskError, match="does not exist; make it"):
        pictures.save(tmp_path / "no" / "a.png", noise(4, 4))


def test_other_endings_and_depths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"end it in \.png, \.tif or \.jpg"):
        pictures.save(tmp_path / "a.bmp", noise(4, 4))
    with pytest.raises(UsageError, match="PNG files have 8 or 16 bits, not 32"):
        pictures.save(tmp_path / "a.png", noise(4, 4), bits=32)


def test_a_failing_encoder_leaves_nothing(tmp_path: Path) -> None:
    def half() -> None:
        with pictures.replacing(tmp_path / "a.png") as unfinished:
            unfinished.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert list(tmp_path.iterdir()) == []


def test_sequences_of_files_folders_and_films(tmp_path: Path, make_clip: MakeClip) -> None:
    for number in (1, 2, 10):
        pictures.save(tmp_path / f"f{number}.png", np.full((8, 8), number / 20))
    found = pictures.sequence(tmp_path)
    assert [round(20 * float(p.data.mean())) for p in found] == [1, 2, 10]
    assert len(pictures.sequence([tmp_path / "f1.png", tmp_path / "f2.png"])) == 2
    film = make_clip("sample clip.mp4")
    assert [p.samples.shape for p in pictures.sequence(film)] == [(96, 160, 3)] * 24
    assert len(pictures.sequence(film, start=0.2, end=0.4)) == 5


def test_sequences_of_one_or_of_two_sizes_are_refused(tmp_path: Path) -> None:
    pictures.save(tmp_path / "a.png", noise(8, 8))
    pictures.save(tmp_path / "b.png", noise(8, 9))
    with pytest.raises(InputError, match="gives 1 picture; at least 2 are needed"):
        pictures.sequence([tmp_path / "a.png"])
    with pytest.raises(InputError, match=r"b\.png' is 9x8 grey, but .*a\.png' is 8x8 grey"):
        pictures.sequence([tmp_path / "a.png", tmp_path / "b.png"])


@pytest.mark.parametrize("cut", [10, 5000, 9000])
def test_a_tiff_cut_in_a_later_page_is_cut(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as pages:
        for _ in range(3):
            pages.write(np.zeros((64, 64), np.uint8), contiguous=False)
    assert pictures.load(path).samples.shape == (64, 64)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(InputError, match="damaged or cut off"):
        pictures.load(path)
