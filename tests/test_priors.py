"""The codec's quantisers, frame types and motion vectors as maps on the half grid."""

import numpy as np

from subpixel import priors
from subpixel.degrade import Recipe, degrade_frames
from subpixel.frames import Frame

FIELDS = [
    (name, np.int64)
    for name in ("source", "w", "h", "src_x", "src_y", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale")
]


def picture(height: int = 48, width: int = 56, **facts: object) -> Frame:
    luma = np.full((height, width), 100, np.uint8)
    chroma = np.full((-(-height // 2), -(-width // 2)), 128, np.uint8)
    return Frame((luma, chroma, chroma)).replace(**facts)


def block(source: int, size: tuple[int, int], middle: tuple[int, int], vector: tuple[int, int]) -> tuple[int, ...]:
    """One vector as libav exports it: size and middle are x, y in pixels, vector in quarter pixels."""
    return (source, *size, 0, 0, *middle, *vector, 4)


def test_nothing_known_is_zero() -> None:
    frame = picture(30, 34)
    for maps, channels in ((priors.quantiser(frame), 1), (priors.kinds(frame), 3), (priors.motion(frame), 4)):
        assert maps.shape == (channels, 15, 17)
        assert maps.dtype == np.float32
        assert not maps.any()


def test_each_macroblock_covers_eight_by_eight_cells() -> None:
    qp = np.arange(12, dtype=np.int16).reshape(3, 4)
    maps = priors.quantiser(picture(qp=qp))
    assert maps.shape == (1, 24, 28)
    assert np.allclose(maps[0, ::8, ::8] * 51, qp, atol=1e-5)
    assert (maps[0, 8:16, 16:24] == np.float32(6) / np.float32(51)).all()
    assert priors.quantiser(picture(qp=np.full((3, 4), 90, np.int16))).max() == 1


def test_the_type_is_one_plane_of_ones() -> None:
    for index, kind in enumerate("IPB"):
        maps = priors.kinds(picture(kind=kind))
        assert maps.sum(axis=(1, 2)).tolist() == [24 * 28 * (k == index) for k in range(3)]


def test_a_vector_fills_its_block_and_keeps_its_direction() -> None:
    vectors = [
        block(-1, (16, 16), (8, 8), (5, -3)),
        block(-1, (8, 16), (20, 8), (7, 9)),
        block(1, (8, 8), (4, 36), (-2, 6)),
        block(-1, (4, 4), (54, 2), (1, 1)),
        block(-1, (16, 16), (56, 40), (3, 3)),  # half of it lies outside the picture
    ]
    field = priors.vectors(picture(motion=np.array(vectors, FIELDS)))
    assert field.shape == (4, 12, 14)
    assert (field[0, :4, :4] == 5).all()
    assert (field[1, :4, :4] == -3).all()
    assert (field[:2, :4, 4:6] == np.array([7, 9])[:, None, None]).all()
    assert (field[2:, 8:10, :2] == np.array([-2, 6])[:, None, None]).all()
    assert field[0, 0, 13] == 1
    assert (field[0, 8:12, 12:14] == 3).all()
    assert np.count_nonzero(field[0]) == 16 + 8 + 1 + 8
    maps = priors.motion(picture(motion=np.array(vectors, FIELDS)))
    assert maps.shape == (4, 24, 28)
    assert maps[0, 0, 0] * 16 == np.float32(5 / 8)  # a quarter pixel is an eighth of a cell


def test_the_encoder_s_vectors_point_where_a_pan_came_from() -> None:
    rng = np.random.default_rng(4)
    canvas = np.kron(rng.integers(30, 220, (40, 60)), np.ones((16, 16))).astype(np.uint8)
    chroma = np.full((128, 128), 128, np.uint8)
    frames = [
        Frame((np.ascontiguousarray(canvas[: 2 * 128, 16 * t : 16 * t + 256]), chroma, chroma), pts=t) for t in range(8)
    ]
    low = list(degrade_frames(frames, Recipe(crf=12.0)))
    seen = []
    for frame in low:
        assert frame.motion is None or frame.kind in "PB"
        past = priors.vectors(frame)[0].astype(float) / 4  # LR pixels; 4 a frame to the right in the picture before
        seen += list(past[past != 0])
    assert len(seen) > 100
    steps = np.array(seen) / 4
    assert np.mean(np.abs(steps - np.round(steps)) < 0.1) > 0.9
    assert np.mean((steps > 0.9) & (steps < 4.1)) > 0.9  # one to four frames back, never forward
