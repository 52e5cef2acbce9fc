"""The training loop of learn.train in one process and without validation: same recipe, same batches, same files."""

from __future__ import annotations

import copy
import dataclasses
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import megengine as mge
import megengine.optimizer as optim
import numpy as np
from megengine import Tensor
from megengine.autodiff import GradManager

from subpixel.errors import Interrupted, SubpixelError, UsageError
from subpixel.learn import recipe as recipes
from subpixel.learn.log import Log, shown
from subpixel.learn.megengine import state
from subpixel.learn.megengine.layers import Network
from subpixel.learn.megengine.losses import picture_loss
from subpixel.learn.megengine.state import Run
from subpixel.learn.megengine.store import Array, Pair, Store
from subpixel.learn.recipe import Recipe, Stage


class Window(NamedTuple):
    """What one step sees; as learn.step.Window."""

    stage: Stage
    within: int
    pair: Pair
    keep_state: bool
    keep_codec: bool
    following: np.random.Generator | None


def windows(run: Run, recipe: Recipe, stores: list[Store]) -> Iterator[Window]:
    """From where the run stands to its end, what each step sees; drawn as learn.step.windows draws it."""
    while run.step < recipe.steps:
        index, within = recipe.at(run.step)
        stage = recipe.stages[index]
        if within == 0 and index > 0:
            state.begin_stage(run)
        rng = copy.deepcopy(run.rng)
        count = math.ceil(stage.long_frames / stage.frames) if rng.random() < stage.long else 0
        count = count or int(rng.integers(1, stage.windows + 1))
        keeps = rng.random((count, 2)) >= (stage.drop_state, stage.drop_codec)
        count = min(count, stage.steps - within + run.window)
        sequence = sample(stores, rng, stage, count)
        for k in range(run.window, count):
            following = rng if k + 1 == count else None
            yield Window(stage, recipe.at(run.step)[1], sequence[k], bool(keeps[k, 0]), bool(keeps[k, 1]), following)


def sample(stores: list[Store], rng: np.random.Generator, stage: Stage, count: int) -> list[Pair]:
    """`count` consecutive windows of a batch whose rows are drawn from all stores; as learn.step.sample."""
    size = {"frames": stage.frames, "crop": stage.crop, "windows": count}
    if len(stores) == 1:
        return stores[0].sample(rng, batch=stage.batch, **size)
    chances = np.array([store.weight for store in stores])
    shares = rng.multinomial(stage.batch, chances / chances.sum())
    parts = [s.sample(rng, batch=int(n), **size) for s, n in zip(stores, shares, strict=True) if n]
    return [joined(pairs) for pairs in zip(*parts, strict=True)]


def joined(pairs: tuple[Pair, ...]) -> Pair:
    """The rows of several batches in one."""
    names = [field.name for field in dataclasses.fields(Pair)]
    return Pair(**{name: np.concatenate([getattr(pair, name) for pair in pairs]) for name in names})


def forward(net: Network, window: Window, carried: Array | None, keep_codec: bool) -> tuple[Tensor, Tensor, Tensor]:
    """luma (N, T, 1, sH, sW), chroma (N, T, 2, sH/2, sW/2) and hidden state of a network over a window."""
    pair = window.pair
    batch, _, height, width = pair.y.shape
    channels, divisor = net.state
    if carried is None or not window.keep_state:
        carried = np.zeros((batch, channels, height // divisor, width // divisor), np.float32)
    inputs = (pair.y, pair.uv, pair.codec(net.codec) * np.float32(keep_codec), carried)
    made: tuple[Tensor, Tensor, Tensor] = net(*map(mge.tensor, inputs))
    return made


def objective(run: Run, window: Window, teacher: Network | None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(weighted losses by name, states to hand on) of a window."""
    stage, pair = window.stage, window.pair
    *made, carry = forward(run.net, window, run.carry.get("state"), window.keep_codec)
    wanted = mge.tensor(pair.target_y), mge.tensor(pair.target_uv)
    losses, states = {"main": picture_loss(stage.loss, stage.space, made, wanted)}, {"state": carry}
    if teacher and stage.distil:
        *theirs, states["teacher"] = forward(teacher, window, run.carry.get("teacher"), True)
        shown_planes = [plane.detach() for plane in theirs]
        losses["distil"] = stage.distil * picture_loss(stage.loss, stage.space, made, shown_planes)
    return losses, states


def take_step(
    run: Run, gradients: GradManager, window: Window, decay: float, teacher: Network | None = None
) -> dict[str, float]:
    """One optimiser step; returns its losses by name, their "total", and the gradient's "norm".

    Where the loss or the gradient is not finite the run is left as it was.
    """
    for group in run.adam.param_groups:
        group["lr"] = window.stage.learning_rate(window.within)
    with gradients:
        losses, states = objective(run, window, teacher)
        losses["total"] = sum(losses.values())
        gradients.backward(losses["total"])
    losses["norm"] = optim.clip_grad_norm(run.net.parameters(), window.stage.clip)
    values = {name: float(value.numpy()) for name, value in losses.items()}
    if math.isfinite(values["total"] + values["norm"]):
        run.adam.step()
        advance(run, decay, window, {name: part.numpy() for name, part in states.items()})
    run.adam.clear_grad()
    return values


def advance(run: Run, decay: float, window: Window, carry: dict[str, Array]) -> None:
    """Count the step: the weights' moving average, the place in the sequence, the states handed on."""
    run.step += 1
    done = window.within + 1
    weight = np.float32(1 - min(decay, done / (done + 10)))
    for name, now in state.weights(run.net).items():
        run.average[name] = run.average[name] + weight * (now - run.average[name])
    if window.following is None:
        run.window, run.carry = run.window + 1, carry
    else:
        run.window, run.carry, run.rng = 0, {}, window.following


def train(
    recipe: Recipe,
    out: Path,
    *,
    seconds: float = math.inf,
    save_seconds: float = 60,
    stop: threading.Event | None = None,
) -> Run:
    """Train to the recipe's end, from where the run in `out` stands; arguments and errors as learn.train.train."""
    deadline = time.monotonic() + seconds
    stop = stop or threading.Event()
    stores, teacher = equip(recipe)
    run = begin(recipe, out)
    gradients = GradManager().attach(run.net.parameters())
    log = Log(out, run.step, recipe.steps)
    saved, losses = time.monotonic(), []
    with shown(out.name, run.step, recipe.steps) as (tell, say):
        if recipe.validation.clips or recipe.precision == "bf16":
            say("MegEngine trains with 32 bits here and validates nothing: export the run and score it.")
        for window in windows(run, recipe, stores):
            values = take_step(run, gradients, window, recipe.average, teacher)
            if not math.isfinite(values["total"] + values["norm"]):
                raise SubpixelError(
                    f"The loss became {values['total']} at step {run.step}; start anew at a lower rate."
                )
            losses.append(values["main"])
            tell(run.step, f"loss {values['main']:.5f}, {log.left(run.step)}")
            done, late = run.step == recipe.steps, time.monotonic() > deadline
            if run.step % recipe.report == 0 or done:
                rate = window.stage.learning_rate(window.within)
                log.record("train", run.step, {"main": float(f"{np.mean(losses):.6g}"), "rate": rate})
                losses.clear()
            if done or late or stop.is_set() or time.monotonic() - saved > save_seconds:
                state.save(run, out)
                saved = time.monotonic()
            if (late or stop.is_set()) and not done:
                where = f"at step {run.step} of {recipe.steps}; run the same command to continue."
                if stop.is_set():
                    raise Interrupted(f"Stopped {where}")
                say(f"Time is over {where}")
                return run
        say(f"{out}: all {recipe.steps} steps are done.")
    return run


def equip(recipe: Recipe) -> tuple[list[Store], Network | None]:
    """The recipe's stores and teacher; raises UsageError for what this trainer cannot do."""
    if not recipe.store:
        raise UsageError("The recipe names no store of training pairs; add store = a folder, or --store.")
    place(recipe.device)
    if any(stage.warp for stage in recipe.stages):
        raise UsageError(f"A stage has a warp loss, but {recipe.network} gives no flow here; set warp = 0.")
    if any(stage.frozen for stage in recipe.stages):
        raise UsageError("A stage keeps layers frozen, which only the torch trainer does; leave frozen out.")
    if any(stage.align or stage.loss == "cobi" for stage in recipe.stages):
        raise UsageError("A stage aligns its targets or has the loss cobi, which only the torch trainer knows.")
    recipes.check_teacher(recipe)
    if recipe.teacher and not Path(recipe.teacher).is_dir():
        raise UsageError(f"MegEngine distils from runs only, and {recipe.teacher!r} is none; name the folder of a run.")
    stores = [Store(Path(folder)) for folder in recipe.store]
    for folder, store in zip(recipe.store, stores, strict=True):
        if store.scale != recipe.options.scale:
            raise UsageError(
                f"{folder} holds pairs of scale {store.scale}, the network is of scale {recipe.options.scale}."
            )
    return stores, state.trained(Path(recipe.teacher)) if recipe.teacher else None


def place(device: str) -> None:
    """Compute on "cpu", "cuda" or "cuda:N" from now on; "auto" leaves it to MegEngine. Raises UsageError."""
    if device.startswith("cuda") and not mge.is_cuda_available():
        raise UsageError(f"MegEngine finds no CUDA device for {device!r}; choose auto or cpu.")
    if device != "auto":
        mge.set_default_device("cpu0" if device == "cpu" else f"gpu{device.partition(':')[2] or 0}")


def begin(recipe: Recipe, out: Path) -> Run:
    """The run in `out`, or a fresh one; its recipe is written there. Raises UsageError for a run of another recipe."""
    out.mkdir(parents=True, exist_ok=True)
    run = state.start(recipe)
    if (out / state.STATE).exists():
        state.load(run, out)
        changed = recipes.continues(recipes.load(out / state.RECIPE, state.OPTIONS), recipe, run.step)
        if changed:
            raise UsageError(
                f"{out} holds a run by another recipe ({'; '.join(changed)}); name another folder with --out."
            )
    (out / state.RECIPE).write_text(recipes.dump(recipe), encoding="utf-8")
    return run
