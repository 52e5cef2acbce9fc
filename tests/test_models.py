"""The torch networks: their base picture, their shapes, their fused form."""

import numpy as np
import torch

from subpixel import resample
from subpixel.models.fast import Fast, FastOptions, RepConv, bicubic_kernel, enlarge


def test_base_picture_is_the_bicubic_of_the_resampler() -> None:
    rng = np.random.default_rng(0)
    plane = rng.integers(60, 190, (12, 18), dtype=np.uint8)  # libswscale clips what overshoots 255 between its passes
    for scale in (2, 3, 4):
        planes = torch.from_numpy(plane).float()[None, None]
        ours = torch.nn.functional.pixel_shuffle(enlarge(planes, bicubic_kernel(scale, 1)), scale)[0, 0]
        theirs = resample.resize(plane, 18 * scale, 12 * scale, kernel="bicubic")
        inside = (slice(2 * scale, -2 * scale),) * 2  # libswscale's own way at the border differs a little
        assert np.abs(ours.round().numpy() - theirs)[inside].max() <= 1


def test_both_chroma_planes_are_enlarged_alike_and_apart() -> None:
    planes = torch.rand(1, 2, 6, 8)
    both = torch.nn.functional.pixel_shuffle(enlarge(planes, bicubic_kernel(4, 2)), 4)
    for k in range(2):
        alone = torch.nn.functional.pixel_shuffle(enlarge(planes[:, k : k + 1], bicubic_kernel(4, 1)), 4)
        assert torch.allclose(both[:, k], alone[:, 0], atol=1e-6)


def test_shapes_for_every_scale_and_grid() -> None:
    for options in (FastOptions(scale=2), FastOptions(scale=3), FastOptions(), FastOptions(unshuffle=1, qp=False)):
        net = Fast(options)
        lumas, chromas, state = net(
            torch.rand(2, 5, 16, 24), torch.rand(2, 3, 2, 8, 12), torch.rand(2, 3, 1, 8, 12), net.hidden(2, 16, 24)
        )
        assert len(lumas) == len(chromas) == 3
        assert lumas[0].shape == (2, 1, 16 * options.scale, 24 * options.scale)
        assert chromas[0].shape == (2, 2, 8 * options.scale, 12 * options.scale)
        assert state.shape == net.hidden(2, 16, 24).shape


def test_fused_layers_give_what_the_branches_gave() -> None:
    net = Fast()
    inputs = torch.rand(1, 3, 16, 24), torch.rand(1, 2, 8, 12), torch.rand(1, 1, 8, 12), torch.rand(1, 32, 8, 12)
    before = net.step(*inputs)
    after = net.fuse().step(*inputs)
    assert not any(isinstance(layer, RepConv) for layer in net.modules())
    for a, b in zip(before, after, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_state_and_neighbours_reach_the_result() -> None:
    net = Fast()
    for layer in (net.to_luma, net.to_chroma):
        torch.nn.init.normal_(layer.weight, std=0.1)
    y, uv, qp, state = (
        torch.rand(1, 3, 16, 24),
        torch.rand(1, 2, 8, 12),
        torch.zeros(1, 1, 8, 12),
        net.hidden(1, 16, 24),
    )
    plain = net.step(y, uv, qp, state)[0]
    assert not torch.allclose(plain, net.step(y, uv, qp, state + 1)[0])
    assert not torch.allclose(plain, net.step(y.flip(1), uv, qp, state)[0])
    assert not torch.allclose(plain, net.step(y, uv, qp + 0.5, state)[0])
