"""color: the pinned converter against the standards' formulas in float64, known patches, and exact round trips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subpixel import color
from subpixel.errors import InputError
from subpixel.frames import FULL, LIMITED, Color, Frame, pixel_format
from subpixel.resample import resize

KR_KB = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593), 2: (0.299, 0.114)}


def random_frame(name, width=37, height=21, seed=0, tags=Color()):
    layout, rng = pixel_format(name), np.random.default_rng(seed)
    sizes = [layout.plane_size(index, width, height) for index in range(layout.planes)]
    return Frame(tuple(rng.integers(0, layout.peak + 1, s).astype(layout.dtype) for s in sizes), name, color=tags)


def patch(y, u, v, tags):
    return Frame(tuple(np.full((2, 2), value, np.uint8) for value in (y, u, v)), "yuv444p", color=tags)


def reference(y, u, v, bits, matrix, full):
    """ITU-R BT.601/709/2020 quantisation and matrix equations solved for R, G, B, in float64, 0..255."""
    unit = 2.0 ** (bits - 8)
    luma = y / (2**bits - 1) if full else (y / unit - 16) / 219
    cb, cr = ((c - 2 ** (bits - 1)) / (2**bits - 1) if full else (c / unit - 128) / 224 for c in (u, v))
    kr, kb = KR_KB[matrix]
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(255 * np.stack([red, green, blue], axis=-1), 0, 255)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("matrix", [1, 2, 6, 9])
@pytest.mark.parametrize("full", [False, True])
def test_yuv_is_the_formula_within_one_rounding(bits, matrix, full):
    tags = Color(matrix=matrix, range=FULL if full else LIMITED)
    frame = random_frame("yuv444p" if bits == 8 else f"yuv444p{bits}le", 64, 64, tags=tags)
    want = reference(*(plane.astype(float) for plane in frame.planes), bits, matrix, full)
    assert np.abs(color.to_rgb(frame) - want).max() <= 0.55


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "yuv420p10le", "yuv422p12le", "yuva420p"])
def test_subsampled_chroma_is_enlarged_by_bicubic_and_cropped_to_odd_sizes(name):
    frame = random_frame(name)
    layout = frame.layout
    u, v = (
        resize(p, p.shape[1] << layout.chroma_x, p.shape[0] << layout.chroma_y, bits=layout.bits)[:21, :37].astype(
            float
        )
        for p in frame.planes[1:3]
    )
    want = reference(frame.planes[0].astype(float), u, v, layout.bits, 6, full=False)
    assert np.abs(color.to_rgb(frame) - want).max() <= 0.55


@pytest.mark.parametrize(
    ("yuv", "matrix", "rgb"),
    [
        ((63, 102, 240), 1, (255, 0, 0)),
        ((173, 42, 26), 1, (0, 255, 0)),
        ((32, 240, 118), 1, (0, 0, 255)),
        ((88, 113, 195), 1, (204, 51, 52)),
        ((81, 90, 240), 6, (254, 0, 0)),
        ((145, 54, 34), 6, (0, 255, 1)),
        ((41, 240, 110), 6, (0, 0, 255)),
        ((126, 128, 128), 9, (128, 128, 128)),
    ],
)
def test_known_patches(yuv, matrix, rgb):
    found = color.to_rgb(patch(*yuv, Color(matrix=matrix)))[0, 0].astype(int)
    assert np.abs(found - rgb).max() <= 1


@pytest.mark.parametrize("matrix", [1, 2, 5, 6, 9])
def test_black_white_and_everything_beyond_are_exact(matrix):
    for code, want in ((0, 0), (16, 0), (235, 255), (255, 255)):
        assert (color.to_rgb(patch(code, 128, 128, Color(matrix=matrix))) == want).all()


def test_every_neutral_full_range_level_is_kept():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    neutral = np.full((16, 16), 128, np.uint8)
    for matrix in (1, 6, 9):
        frame = Frame((levels, neutral, neutral), "yuv444p", color=Color(matrix=matrix, range=FULL))
        assert (color.to_rgb(frame) == levels[:, :, None]).all()


@pytest.mark.parametrize("name", ["gray", "gray10le", "gray16le"])
@pytest.mark.parametrize("full", [False, True])
def test_gray_has_equal_channels_of_the_luma_formula(name, full):
    frame = random_frame(name, tags=Color(range=FULL if full else LIMITED))
    found = color.to_rgb(frame)
    middle = np.full(found.shape[:2], 1 << (frame.layout.bits - 1), float)
    want = reference(frame.planes[0].astype(float), middle, middle, frame.layout.bits, 6, full)
    assert (found == found[:, :, :1]).all()
    assert np.abs(found - want).max() <= 0.5 + 1e-9


def test_planar_rgb_passes_through_and_deeper_rgb_is_rounded_once():
    frame = random_frame("gbrap")
    g, b, r = frame.planes[:3]
    assert (color.to_rgb(frame) == np.stack([r, g, b], axis=-1)).all()
    deep = random_frame("gbrp12le")
    want = np.stack([deep.planes[i] for i in (2, 0, 1)], axis=-1) * (255 / 4095)
    assert np.abs(color.to_rgb(deep) - want).max() <= 0.5 + 1e-9
    limited = Frame(tuple(np.full((1, 1), v, np.uint8) for v in (16, 235, 125)), "gbrp", color=Color(0, range=LIMITED))
    assert color.to_rgb(limited)[0, 0].tolist() == [127, 0, 255]


def test_a_deeper_stream_of_the_same_picture_gives_the_same_rgb():
    frame = random_frame("yuv444p")
    deep = frame.replace(planes=tuple(p.astype(np.uint16) << 2 for p in frame.planes), format="yuv444p10le")
    assert np.abs(color.to_rgb(frame).astype(int) - color.to_rgb(deep)).max() <= 1


def test_untagged_is_bt601_limited_and_tags_are_obeyed():
    assert color.resolve(Color()) == ("bt601", False)
    assert color.resolve(Color(matrix=1, range=FULL)) == ("bt709", True)
    assert color.resolve(Color(matrix=9, range=LIMITED)) == ("bt2020", False)


@pytest.mark.parametrize("matrix", [0, 3, 7, 8, 10, 14])
def test_other_matrices_are_refused_in_a_sentence(matrix):
    with pytest.raises(InputError, match=rf"Colour matrix {matrix} \(H.273\) cannot be converted; re-tag"):
        color.to_rgb(patch(100, 128, 128, Color(matrix=matrix)))


def test_luma_levels_bring_any_depth_and_range_to_16_235():
    for name, tags, white in [
        ("gray", Color(), 235),
        ("gray10le", Color(), 940),
        ("gray", Color(range=FULL), 255),
        ("yuv420p12le", Color(range=FULL), 4095),
    ]:
        offset, scale = color.luma_levels(random_frame(name, tags=tags))
        assert offset + scale * white == pytest.approx(235)
        black = 0 if tags.range == FULL else 16 << (pixel_format(name).bits - 8)
        assert offset + scale * black == pytest.approx(16)


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "yuv444p12le", "gray"])
@pytest.mark.parametrize("tags", [Color(), Color(range=FULL)])
def test_normalise_and_quantise_are_inverses(name, tags):
    frame = random_frame(name, tags=tags)
    for index, plane in enumerate(frame.planes):
        values = color.normalise(plane, frame, chroma=index > 0)
        assert values.dtype == np.float32
        assert (color.quantise(values, frame, chroma=index > 0) == plane).all()


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["gbrp", "gbrp10le", "gbrp12le", "gbrap", "gbrap10le"]), st.integers(0, 2**32))
def test_rgb_to_yuv_and_back_is_exact(name, seed):
    frame = random_frame(name, 19, 13, seed)
    yuv = color.to_yuv(frame)
    assert yuv.color.matrix == 1
    assert yuv.color.range == LIMITED
    back = color.from_yuv(yuv, name)
    assert all((a == b).all() for a, b in zip(frame.planes, back.planes, strict=True))


def test_rgb_to_yuv_is_the_formula():
    frame = random_frame("gbrp")
    y, u, v = (plane.astype(float) for plane in color.to_yuv(frame).planes)
    want = np.stack([frame.planes[i] for i in (2, 0, 1)], axis=-1)
    assert np.abs(reference(y, u, v, 10, 1, full=False) - want).max() < 0.5


def test_opacity_appears_and_disappears_with_the_format():
    opaque = color.from_yuv(random_frame("yuv420p"), "gbrap")
    assert (opaque.planes[3] == 255).all()
    assert color.from_yuv(random_frame("yuva420p"), "gbrp").layout.planes == 3


def test_from_rgb_keeps_every_sample():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (5, 7, 3), np.uint8)
    assert (color.to_rgb(color.from_rgb(rgb)) == rgb).all()
    deep = rng.integers(0, 1024, (5, 7, 3)).astype(np.uint16)
    frame = color.from_rgb(deep, "gbrp10le")
    assert (np.stack([frame.planes[i] for i in (2, 0, 1)], axis=-1) == deep).all()


def test_what_is_not_rgb_is_refused():
    picture = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(InputError, match=r"become a gbrp frame, not 'yuv420p'"):
        color.from_rgb(picture, "yuv420p")
    with pytest.raises(InputError, match=r"have the shape \(height, width, 3\), not \(4, 4\)"):
        color.from_rgb(picture[:, :, 0])
    with pytest.raises(InputError, match=r"must be \(4, 4\) uint16, not \(4, 4\) uint8"):
        color.from_rgb(picture, "gbrp10le")
    with pytest.raises(InputError, match="A yuv420p frame is not RGB"):
        color.to_yuv(random_frame("yuv420p"))
    with pytest.raises(InputError, match="'yuv420p' is not a planar RGB format"):
        color.from_yuv(random_frame("yuv420p"), "yuv420p")


@pytest.mark.parametrize("name", ["gbrp", "gbrap", "gbrp10le", "gbrp16le"])
@pytest.mark.parametrize("value_range", [LIMITED, FULL])
def test_unit_rgb_gives_rgb_back(name, value_range):
    """Exactly where nothing lies beyond black and white."""
    frame = random_frame(name, tags=Color(matrix=0, range=value_range))
    black, span = (16, 219) if value_range == LIMITED else (0, 255)
    unit = 1 << (frame.layout.bits - 8)
    inside = [np.clip(p, black * unit, (black + span) * unit).astype(p.dtype) for p in frame.planes[:3]]
    frame = frame.replace(planes=(*inside, *frame.planes[3:]))
    back = color.from_unit(color.to_unit(frame), frame)
    assert (back.format, back.color) == (frame.format, frame.color)
    for one, other in zip(frame.planes, back.planes, strict=True):
        assert np.abs(one.astype(int) - other).max() <= (name == "gbrp16le")


@pytest.mark.parametrize("name", ["yuv444p", "yuv444p10le", "yuv420p", "yuv422p12le", "gray"])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("full", [False, True])
def test_unit_rgb_becomes_the_samples_of_the_formula(name, matrix, full):
    """A flat colour, solved back by the standards' equations in float64."""
    tags = Color(matrix=matrix, range=FULL if full else LIMITED)
    like, rgb = random_frame(name, 8, 6, tags=tags), np.array([0.7, 0.4, 0.2])
    made = color.from_unit(np.broadcast_to(rgb[:, None, None], (3, 12, 16)).astype(np.float32), like)
    assert (made.width, made.height, made.format) == (16, 12, name)
    samples = [float(p.mean()) for p in made.planes]
    if name == "gray":
        kr, kb = KR_KB[matrix]
        luma = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2]
        assert abs(samples[0] - (255 * luma if full else 16 + 219 * luma)) <= 0.5
        return
    assert np.abs(reference(*samples, like.layout.bits, matrix, full) - 255 * rgb).max() < 1.5
