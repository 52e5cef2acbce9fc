"""One optimiser step: the window it sees, the losses it lowers, what it hands on."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from subpixel.errors import UsageError
from subpixel.learn import recipe as recipes
from subpixel.learn import state
from subpixel.learn.align import aligned
from subpixel.learn.losses import picture_loss, warp_loss
from subpixel.learn.recipe import Recipe, Stage
from subpixel.learn.state import Run
from subpixel.learn.store import Pair, Store
from subpixel.learn.team import Team
from subpixel.models.restored import Restored


@dataclasses.dataclass(frozen=True)
class Means:
    """What a run works with and does not change: data, team, the teacher's network, whether in bfloat16."""

    recipe: Recipe
    team: Team
    stores: list[Store]
    teacher: Any
    bf16: bool


@dataclasses.dataclass(frozen=True)
class Window:
    """What one step sees. index, within: of the stage and of the step in it. keep_state, keep_codec: or forget, hide.

    following: the generator for the next sequence, with the last window of this one; else None.
    """

    index: int
    within: int
    pair: Pair
    keep_state: bool
    keep_codec: bool
    following: np.random.Generator | None


def equip(recipe: Recipe, team: Team) -> Means:
    """Open the stores and load the teacher; raises UsageError for what does not fit together."""
    if not recipe.store:
        raise UsageError("The recipe names no store of training pairs; add store = a folder, or --store.")
    scale = recipe.options.scale
    stores = [Store(Path(folder)).to(team.device) for folder in recipe.store]
    for folder, store in zip(recipe.store, stores, strict=True):
        if store.scale != scale:
            raise UsageError(f"{folder} holds pairs of scale {store.scale}, the network is of scale {scale}.")
    for stage in recipe.stages:
        team.rows(stage.batch)
    bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and team.device.type == "cuda")
    return Means(recipe, team, stores, _teacher(recipe, team.device), bf16)


def _teacher(recipe: Recipe, device: torch.device) -> Any:
    """The network to distil from, as it is used for inference; None where the recipe names none."""
    recipes.check_teacher(recipe)
    if not recipe.teacher:
        return None
    folder, scale = Path(recipe.teacher), recipe.options.scale
    if folder.is_dir():
        net = state.trained(folder).fuse()
    else:
        net = state.exported(recipe.teacher, scale, "teacher")
    if net.options.scale != scale:
        raise UsageError(f"The teacher {recipe.teacher} enlarges by {net.options.scale}, the network by {scale}.")
    return net.eval().requires_grad_(False).to(device)


def prepare(net: Any, means: Means) -> None:
    """Lay out and, for a GPU, compile the network, in place: channels last, which saves up to a third of a step."""
    net.to(memory_format=torch.channels_last)
    if means.team.device.type != "cuda":
        return
    if means.recipe.compile and _can_compile():
        # One frame at a time: a whole window unrolled would take minutes to compile.
        for name in ("step", "back", "_step", "_back"):
            if hasattr(net, name):
                setattr(net, name, torch.compile(getattr(net, name)))


def _can_compile() -> bool:
    """Whether torch finds what it compiles for a GPU with: Triton, and a C compiler for what Triton starts."""
    compilers = (os.environ.get("CC", "cc"), "gcc", "clang")
    return importlib.util.find_spec("triton") is not None and any(map(shutil.which, compilers))


def windows(run: Run, means: Means) -> Iterator[Window]:
    """From where the run stands to its end, what each step sees; the run is to be advanced between two of them."""
    recipe = means.recipe
    while run.step < recipe.steps:
        index, within = recipe.at(run.step)
        stage = recipe.stages[index]
        if within == 0 and index > 0:
            state.begin_stage(run)
        freeze(run.net, stage.frozen)
        rng = copy.deepcopy(run.rng)
        count = math.ceil(stage.long_frames / stage.frames) if rng.random() < stage.long else 0
        count = count or int(rng.integers(1, stage.windows + 1))
        keeps = rng.random((count, 2)) >= (stage.drop_state, stage.drop_codec)
        # The stage may end within the sequence; `window` of its steps are done where a run is continued.
        count = min(count, stage.steps - within + run.window)
        sequence = sample(means.stores, rng, stage, count)
        for k in range(run.window, count):
            following = rng if k + 1 == count else None
            yield Window(index, recipe.at(run.step)[1], sequence[k], bool(keeps[k, 0]), bool(keeps[k, 1]), following)


def freeze(net: Any, frozen: str) -> None:
    """Let all parameters learn but those whose names begin so; raises UsageError where there are none, or no others."""
    if not frozen:
        net.requires_grad_(True)
        return
    kept = {name for name, _ in net.named_parameters() if name.startswith(frozen)}
    if not 0 < len(kept) < len(list(net.parameters())):
        layers = ", ".join(sorted({name.split(".")[0] for name, _ in net.named_parameters()}))
        raise UsageError(f"frozen = {frozen!r} fits {'all' if kept else 'no'} layers; the network's are {layers}.")
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name not in kept)


def sample(stores: list[Store], rng: np.random.Generator, stage: Stage, count: int) -> list[Pair]:
    """`count` consecutive windows of a batch whose rows are drawn from all clips of all stores alike."""
    size = {"frames": stage.frames, "crop": stage.crop, "windows": count}
    if len(stores) == 1:
        return stores[0].sample(rng, batch=stage.batch, **size)
    chances = np.array([sum(clip.arrays["lr_y"].numel() ** 0.5 for clip in store.clips) for store in stores])
    shares = rng.multinomial(stage.batch, chances / chances.sum())
    parts = [s.sample(rng, batch=int(n), **size) for s, n in zip(stores, shares, strict=True) if n]
    return [_joined(pairs) for pairs in zip(*parts, strict=True)]


def _joined(pairs: tuple[Pair, ...]) -> Pair:
    """The rows of several batches in one."""
    names = [field.name for field in dataclasses.fields(Pair)]
    return Pair(**{name: torch.cat([getattr(pair, name) for pair in pairs]) for name in names})


def objective(run: Run, means: Means, window: Window) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(weighted losses by name, states to hand on) of this process's rows of a window."""
    net: Any = run.net
    stage, team = means.recipe.stages[window.index], means.team
    pair = window.pair.rows(team.rows(stage.batch))
    codec = pair.codec(net.codec)
    codec = codec if window.keep_codec else torch.zeros_like(codec)
    made, carry = _forward(net, pair, codec, run.carry.get("state"), window, means)
    wanted = (pair.target_y, pair.target_uv)
    if stage.align:
        wanted = aligned(*wanted, pair.y[:, 1:-1, None])
    losses = {"main": picture_loss(stage.loss, stage.space, (made.luma, made.chroma), wanted)}
    if stage.auxiliary and made.auxiliary:
        heads = [picture_loss(stage.loss, stage.space, head, wanted) for head in made.auxiliary]
        losses["auxiliary"] = stage.auxiliary * torch.stack(heads).mean()
    if stage.warp:
        if not made.flows:
            raise UsageError(f"Stage {window.index + 1} has a warp loss, but {means.recipe.network} has no flow.")
        losses["warp"] = stage.warp * warp_loss(made.flows, wanted[0])
    states = {"state": carry}
    if stage.distil:
        with torch.no_grad():
            shown = pair.codec(means.teacher.codec)
            theirs, states["teacher"] = _forward(means.teacher, pair, shown, run.carry.get("teacher"), window, means)
        theirs_planes = (theirs.luma, theirs.chroma)
        losses["distil"] = stage.distil * picture_loss(stage.loss, stage.space, (made.luma, made.chroma), theirs_planes)
    return losses, states


def _forward(
    net: Any, pair: Pair, codec: Tensor, carried: Tensor | None, window: Window, means: Means
) -> tuple[Restored, Tensor]:
    """The network over a window, and its hidden state for the next one."""
    channels, divisor = net.state
    height, width = pair.y.shape[-2:]
    if carried is None or not window.keep_state:
        carried = pair.y.new_zeros(len(pair.y), channels, height // divisor, width // divisor)
    with torch.autocast(means.team.device.type, torch.bfloat16, enabled=means.bf16):
        made: Restored = net(pair.y, pair.uv, codec, carried)
    return made, made.state.detach().float()


def take_step(run: Run, means: Means, window: Window, wishes: list[float]) -> tuple[dict[str, float], list[float]]:
    """One optimiser step; returns its losses with the gradient's norm, and the wishes averaged over the team.

    Where the loss or the gradient is not finite the run is left as it was, not advanced: look at "total" and "norm".
    """
    stage, team = means.recipe.stages[window.index], means.team
    for group in run.adam.param_groups:
        group["lr"] = stage.learning_rate(window.within)
    losses, carry = objective(run, means, window)
    total = torch.stack(list(losses.values())).sum()
    run.adam.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]
    told = torch.stack([total, *losses.values()]).detach()
    told = team.average_gradients(run.net, torch.cat([told, told.new_tensor(wishes)]))
    norm = torch.nn.utils.clip_grad_norm_(run.net.parameters(), stage.clip)
    *numbers, size = torch.cat([told, norm[None]]).tolist()  # the one moment at which a GPU is waited for
    values = dict(zip(("total", *losses), numbers, strict=False)) | {"norm": size}
    if math.isfinite(values["total"]) and math.isfinite(size):
        run.adam.step()
        _advance(run, means.recipe.average, window, carry)
    return values, numbers[len(losses) + 1 :]


def _advance(run: Run, decay: float, window: Window, carry: dict[str, Tensor]) -> None:
    """Count the step: the weights' moving average, the place in the sequence, the states handed on."""
    run.step += 1
    done = window.within + 1
    weight = 1 - min(decay, done / (done + 10))  # the first weights of a stage are soon forgotten
    for name, parameter in run.net.named_parameters():
        run.average[name].lerp_(parameter.detach(), weight)
    if window.following is None:
        run.window, run.carry = run.window + 1, carry
    else:
        run.window, run.carry, run.rng = 0, {}, window.following
