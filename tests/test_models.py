"""The torch networks: their base picture, their shapes, their fused form."""

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from subpixel import resample, weights
from subpixel.models import MODELS, describe, network, trainable
from subpixel.models.best import Best, BestOptions
from subpixel.models.fast import Fast, FastOptions, RepConv, bicubic_kernel, enlarge
from subpixel.models.flow import Flow, plausible, warp, warp_groups
from subpixel.models.frvsr import Frvsr, FrvsrOptions
from subpixel.models.unet import UNet, UNetOptions


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


NETWORKS: list[Any] = [
    Fast(FastOptions(scale=2)),
    Fast(FastOptions(scale=3)),
    Fast(),
    Fast(FastOptions(unshuffle=1, qp=False)),
    Fast(FastOptions(look_ahead=False, kinds=True, motion=True)),
    Best(BestOptions(scale=3, channels=16, blocks=1, back_blocks=1)),
    Best(BestOptions(channels=16, blocks=1, back_blocks=1, kinds=False)),
    Best(BestOptions(channels=16, blocks=1, back_blocks=1, motion=False, key=False)),
    Best(BestOptions(channels=16, blocks=1, backward=False, qp=False)),
    Best(BestOptions(channels=16, blocks=1, backward=False, recall=False)),
    Best(BestOptions(channels=16, blocks=1, backward=False, recall=False, key=False)),
    Frvsr(FrvsrOptions(scale=3, blocks=1, channels=8, flow_channels=4)),
    Frvsr(FrvsrOptions(blocks=1, channels=8, flow_channels=4)),
    UNet(UNetOptions(scale=3, channels=4)),
    UNet(UNetOptions(channels=4)),
]
MAPS = {"qp": 1, "kinds": 3, "motion": 4}


def clip(net: Any, *, count: int = 1, frames: int = 3, height: int = 24, width: int = 40) -> tuple[Tensor, ...]:
    """Random inputs of `forward`: y, uv, codec, state."""
    maps = sum(MAPS[name] for name in net.codec)
    channels, divisor = net.state
    return (
        torch.rand(count, frames + 2, height, width),
        torch.rand(count, frames, 2, height // 2, width // 2),
        torch.rand(count, frames, maps, height // 2, width // 2),
        torch.zeros(count, channels, height // divisor, width // divisor),
    )


def stir(net: Any) -> Any:
    """The network with larger random weights, so that every part has a visible effect."""
    torch.manual_seed(3)
    for name, parameter in net.named_parameters():
        if parameter.ndim == 4 and "base" not in name:
            torch.nn.init.normal_(parameter, std=0.7 / (parameter[0].numel() ** 0.5))
    return net


@pytest.mark.parametrize("net", NETWORKS, ids=lambda net: f"{type(net).__name__}-x{net.options.scale}")
def test_shapes_of_every_network(net: Any) -> None:
    y, uv, codec, state = clip(net, count=2)
    scale = net.options.scale
    out = net.train()(y, uv, codec, state)
    assert out.luma.shape == (2, 3, 1, 24 * scale, 40 * scale)
    assert out.chroma.shape == (2, 3, 2, 12 * scale, 20 * scale)
    assert out.state.shape == state.shape
    for luma, chroma in out.auxiliary:
        assert luma.shape == out.luma.shape
        assert chroma.shape == out.chroma.shape
    for flow, there, here in out.flows:
        assert flow.shape == (2, 2, 12, 20)
        assert abs(there - here) == 1
    assert not net.eval()(y, uv, codec, state).auxiliary


@pytest.mark.parametrize("net", NETWORKS, ids=lambda net: f"{type(net).__name__}-x{net.options.scale}")
def test_a_clip_is_the_steps_one_after_the_other(net: Any) -> None:
    net = stir(copy.deepcopy(net)).eval()
    y, uv, codec, state = clip(net)
    whole = net(y, uv, codec, state)
    laters: list[Tensor] = []
    if net.later:
        channels, divisor = net.later
        later = torch.zeros(1, channels, 24 // divisor, 40 // divisor)
        for t in reversed(range(3)):
            later = net.back(y[:, t : t + 3], uv[:, t], codec[:, t], later)
            laters.insert(0, later)
    for t in range(3):
        told = [laters[t]] if laters else []
        luma, chroma, state = net.step(y[:, t : t + 3], uv[:, t], codec[:, t], state, *told)
        assert torch.allclose(luma, whole.luma[:, t], atol=1e-5)
        assert torch.allclose(chroma, whole.chroma[:, t], atol=1e-5)
    assert torch.allclose(state, whole.state, atol=1e-5)


@pytest.mark.parametrize("net", NETWORKS, ids=lambda net: f"{type(net).__name__}-x{net.options.scale}")
def test_the_inference_form_computes_the_same(net: Any) -> None:
    net = stir(copy.deepcopy(net)).eval()
    inputs = clip(net)
    before = net(*inputs)
    after = net.fuse()(*inputs)
    assert torch.allclose(before.luma, after.luma, atol=1e-5)
    assert torch.allclose(before.chroma, after.chroma, atol=1e-5)


@pytest.mark.parametrize("net", NETWORKS, ids=lambda net: f"{type(net).__name__}-x{net.options.scale}")
def test_nothing_beyond_the_halo_reaches_a_tile(net: Any) -> None:
    net = stir(copy.deepcopy(net)).eval()
    for flow in [m for m in net.modules() if isinstance(m, Flow)]:
        for last in (*(n[-1] for n in flow.coarse), flow.fine[-1]):
            last.weight.data.mul_(0.02)  # flows within what the halo allows for
    if isinstance(net, Frvsr):
        net.fnet.two.weight.data.mul_(0.02)
    height, width, x = 16, 2 * net.halo + 24, net.halo
    y, uv, codec, state = clip(net, frames=1, height=height, width=width)
    codec = codec * 0.1
    changed = [t.clone() for t in (y, uv, codec)]
    for tensor, side in zip(changed, (x, x // 2, x // 2), strict=True):
        tensor[..., -side:] = torch.rand_like(tensor[..., -side:]) * (0.1 if tensor is changed[2] else 1)
    ours, theirs = net(y, uv, codec, state), net(*changed, state)
    first = (width - 2 * x) * net.options.scale
    assert torch.allclose(ours.luma[..., :first], theirs.luma[..., :first], atol=1e-5)
    assert torch.allclose(ours.chroma[..., : first // 2], theirs.chroma[..., : first // 2], atol=1e-5)
    assert not torch.allclose(ours.luma, theirs.luma, atol=1e-3)


def test_every_network_describes_itself() -> None:
    for net in NETWORKS:
        facts = json.loads(json.dumps(describe(net)))
        kind, options = MODELS[facts["network"]]
        assert isinstance(net, kind)
        assert options(**facts["options"]) == net.options
        assert facts["parameters"] == sum(p.numel() for p in net.parameters())
        assert facts["halo"] % 2 == facts["align"] % 2 == 0
        assert (facts["later"] is not None) == bool(getattr(net.options, "backward", False))


def test_shipped_networks_are_what_their_cards_say() -> None:
    for shipped in weights.shipped():
        net = network(shipped.path, shipped.card)
        facts = describe(net)
        assert {k: shipped.card[k] for k in facts if k != "parameters"} == {
            k: v for k, v in facts.items() if k != "parameters"
        }


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
        torch.zeros(1, 32, 8, 12),
    )
    plain = net.step(y, uv, qp, state)[0]
    assert not torch.allclose(plain, net.step(y, uv, qp, state + 1)[0])
    assert not torch.allclose(plain, net.step(y.flip(1), uv, qp, state)[0])
    assert not torch.allclose(plain, net.step(y, uv, qp + 0.5, state)[0])


def test_best_begins_as_the_bicubic_enlargement() -> None:
    net = Best(BestOptions(channels=16)).eval()
    for head in (net.heads.to_luma, net.heads.to_chroma):
        torch.nn.init.zeros_(head.weight)
    y, uv, codec, state = clip(net)
    out = net(y, uv, codec, state)
    for t in range(uv.shape[1]):
        luma = torch.nn.functional.pixel_shuffle(enlarge(y[:, t + 1 : t + 2], bicubic_kernel(4, 1)), 4)
        chroma = torch.nn.functional.pixel_shuffle(enlarge(uv[:, t], bicubic_kernel(4, 2)), 4)
        assert torch.equal(out.luma[:, t, 0], luma[:, 0])
        assert torch.equal(out.chroma[:, t], chroma)


def test_best_is_shown_its_last_picture_where_it_has_moved_to() -> None:
    net = Best(BestOptions(channels=16)).eval()
    picture = torch.rand(1, 1, 96, 160)
    flow = torch.zeros(1, 2, 12, 20)
    flow[:, 0], flow[:, 1] = 0.5, -0.25  # of a cell of two LR pixels: 4 and -2 enlarged pixels
    moved = net._moved(torch.nn.functional.pixel_unshuffle(picture, 4), flow)
    seen = torch.nn.functional.pixel_shuffle(moved, 4)
    assert torch.allclose(seen[..., 2:, :-4], picture[..., :-2, 4:], atol=1e-4)


def test_best_sees_the_future_through_the_backward_pass_alone() -> None:
    net = stir(Best(BestOptions(channels=16, blocks=1, back_blocks=1))).eval()
    y, uv, codec, state = clip(net, frames=5)
    other = y.clone()
    other[:, -2:] = torch.rand_like(other[:, -2:])  # frame 4 and the one after: frame 0's triple does not hold them
    assert not torch.equal(net(y, uv, codec, state).luma[:, 0], net(other, uv, codec, state).luma[:, 0])
    blind = stir(Best(BestOptions(channels=16, blocks=1, backward=False))).eval()
    y, uv, codec, state = clip(blind, frames=5)
    other = y.clone()
    other[:, -2:] = torch.rand_like(other[:, -2:])
    assert torch.equal(blind(y, uv, codec, state).luma[:, 0], blind(other, uv, codec, state).luma[:, 0])


def test_b_frames_leave_the_state_of_the_last_good_frame_alone() -> None:
    net = Best(BestOptions(channels=16, blocks=1, back_blocks=1, motion=False)).eval()
    for layer in (*(n[-1] for n in net.flow.coarse), net.flow.fine[-1]):
        torch.nn.init.zeros_(layer.weight)  # no motion: what is carried stays in place
    y, uv, _, state = clip(net, frames=1)
    state = torch.rand_like(state)
    later = torch.zeros(1, 16, 24, 40)
    for kind, kept in ((0, False), (1, False), (2, True)):
        codec = torch.zeros(1, 4, 12, 20)
        codec[:, 1 + kind] = 1
        following = net.step(y, uv[:, 0], codec, state, later)[2]
        before, features, after = state[:, 32:], following[:, 16:32], following[:, 32:]
        assert torch.allclose(after, before if kept else features, atol=1e-5)


def test_warp_takes_samples_from_where_the_flow_points() -> None:
    plane = torch.arange(35.0).reshape(1, 1, 5, 7)
    flow = torch.zeros(1, 2, 5, 7)
    flow[:, 0], flow[:, 1] = 2, -1
    assert torch.allclose(warp(plane, flow)[0, 0, 1:, :-2], plane[0, 0, :-1, 2:], atol=1e-4)
    assert torch.allclose(warp(plane, flow)[0, 0, 0], plane[0, 0, 0, [2, 3, 4, 5, 6, 6, 6]], atol=1e-4)  # border
    flow[:] = 0.5
    assert warp(plane, flow)[0, 0, 0, 0] == pytest.approx((0 + 1 + 7 + 8) / 4, abs=1e-4)


def test_groups_move_apart() -> None:
    planes = torch.rand(2, 6, 5, 7)
    flows = torch.randn(2, 4, 5, 7)
    moved = warp_groups(planes, flows)
    assert torch.allclose(moved[:, :3], warp(planes[:, :3], flows[:, :2]), atol=1e-6)
    assert torch.allclose(moved[:, 3:], warp(planes[:, 3:], flows[:, 2:]), atol=1e-6)


def test_the_fraction_of_a_vector_that_fits_is_found() -> None:
    torch.manual_seed(0)
    there = torch.rand(1, 1, 16, 48)
    here = torch.roll(there, -3, 3)  # what is at x now was at x + 3
    for frames in (1, 2, 4):  # the codec's reference lies this many frames back, at constant speed
        vectors = torch.zeros(1, 2, 16, 48)
        vectors[:, 0] = 3.0 * frames
        found = plausible(here, there, vectors)[0, :, 4:-4, 4:30]
        assert torch.allclose(found[0], torch.tensor(3.0), atol=0.05)
        assert found[1].abs().max() == 0
    assert plausible(there, there, vectors).abs()[..., 16:-16].max() < 0.05


def test_frvsr_feeds_its_last_picture_back() -> None:
    net = stir(Frvsr(FrvsrOptions(blocks=1, channels=8, flow_channels=4))).eval()
    y, uv, codec, state = clip(net, frames=1)
    luma, _, following = net.step(y, uv[:, 0], codec[:, 0], state)
    assert torch.allclose(torch.nn.functional.pixel_shuffle(following, 4), luma - 0.5, atol=1e-6)
    torch.nn.init.zeros_(net.fnet.two.weight)
    torch.nn.init.zeros_(net.fnet.two.bias)
    again = net.step(y, uv[:, 0], codec[:, 0], following)[0]
    assert not torch.allclose(again, luma)


def test_vectors_need_the_half_grid() -> None:
    with pytest.raises(ValueError, match="motion = true needs unshuffle = 2"):
        FastOptions(motion=True, unshuffle=1)


def test_fast_moves_its_state_along_the_codec_s_vectors() -> None:
    net = stir(Fast(FastOptions(motion=True))).eval()
    y, uv, codec, _ = clip(net, frames=1)
    codec = torch.zeros_like(codec[:, 0])
    here = torch.rand(1, 1, 24, 40)
    y = torch.cat([torch.roll(here, 4, 3), here, here], 1)  # the frame before lies two cells to the right
    state = torch.rand(1, 32, 12, 20)
    codec[:, 1] = 2 / 16
    moved = net.step(y, uv[:, 0], codec, torch.roll(state, 2, 3))[2]
    plain = net.step(torch.cat([here] * 3, 1), uv[:, 0], torch.zeros_like(codec), state)[2]
    other = net.step(y, uv[:, 0], torch.zeros_like(codec), torch.roll(state, 2, 3))[2]
    inside = (..., slice(9, 11))  # beyond the reach of the border and of the luma that differs
    assert moved.shape == plain.shape
    assert not torch.allclose(moved[inside], other[inside], atol=1e-3)


def test_half_precision_leaves_the_base_picture_alone() -> None:
    planes, kernel = torch.rand(1, 1, 12, 12), bicubic_kernel(4, 1)
    whole = enlarge(planes, kernel)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(enlarge(planes, kernel), whole)
    assert whole.dtype == torch.float32


@pytest.mark.parametrize("net", NETWORKS, ids=lambda net: f"{type(net).__name__} {net.options}")
def test_a_fused_network_can_be_trained_on(net: Any) -> None:
    """In the form it is trained in it computes what the fused form does, and only auxiliary heads begin afresh."""
    fused = copy.deepcopy(net)
    for parameter in fused.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    begun, taken = trainable(fused.fuse())
    assert {name.split(".")[0] for name, _ in begun.named_parameters() if name not in taken} <= {"back_heads"}
    feed = clip(net, frames=2)
    with torch.no_grad():
        wanted, made = fused.eval().double(), begun.eval().double()
        given = [part[:, 0] if k else part[:, :3] for k, part in enumerate(feed[:3])] + [feed[3]]
        given += [torch.rand(1, net.later[0], 24, 40)] if net.later else []
        arguments = [part.double() for part in given]
        for ours, theirs in zip(made.step(*arguments), wanted.step(*arguments), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-6)
