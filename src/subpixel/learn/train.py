"""The training loop: a recipe and pairs in, weights out; a run killed at any second goes on bit for bit.

python -m subpixel.learn.train RECIPE.toml [--out RUN ...] is `subpixel train` for machines that have torch, NumPy and
safetensors alone. RUN/state.safetensors holds everything that changes, RUN/recipe.toml what was asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from subpixel.errors import Interrupted, SubpixelError, UsageError
from subpixel.learn import recipe as recipes
from subpixel.learn import state, validate
from subpixel.learn.lock import alone
from subpixel.learn.log import Log, shown
from subpixel.learn.recipe import Recipe
from subpixel.learn.state import Run
from subpixel.learn.step import Means, Window, equip, prepare, take_step, windows
from subpixel.learn.team import Team, team
from subpixel.stop import stoppable

BAD_BATCH = "bad-batch.safetensors"


def train(
    recipe: Recipe,
    out: Path,
    *,
    seconds: float = math.inf,
    save_seconds: float = 60,
    stop: threading.Event | None = None,
) -> Run:
    """Train to the recipe's end, from where the run in `out` stands; returns the run as it is then.

    seconds: stop in order after so many; save_seconds: of work that a kill may cost; stop: once it is set, the state is
    saved and Interrupted raised. Raises UsageError for a run that was begun by another recipe, SubpixelError where the
    loss is no longer a number.
    """
    began = time.monotonic()
    with team(recipe.device) as ours:
        means = equip(recipe, ours)
        with _alone(out, ours), state.writing(f"The run {out}", "--out"):
            run = begin(recipe, out, ours)
            prepare(run.net, means)
            log = Log(out, run.step, recipe.steps, quiet=ours.rank > 0)
            with shown(out.name, run.step, recipe.steps, quiet=ours.rank > 0) as (tell, say):
                loop = Loop(run, means, out, log, tell, say, began + seconds, save_seconds, stop or threading.Event())
                try:
                    loop.to_the_end()
                finally:
                    log.close()
    return run


def _alone(out: Path, ours: Team) -> contextlib.AbstractContextManager[None]:
    """The run's folder for this team alone; see `lock.alone`."""
    return alone(out, "training") if ours.rank == 0 else contextlib.nullcontext()


def begin(recipe: Recipe, out: Path, ours: Team) -> Run:
    """The run in `out`, or a fresh one; its recipe is written there. Raises UsageError for a run of another recipe."""
    out.mkdir(parents=True, exist_ok=True)
    known = (out / state.STATE).exists()
    if known:
        _check_same(recipe, out)
    run = state.start(dataclasses.replace(recipe, init="") if known else recipe, ours.device)
    if known:
        state.load(run, out)
        rows = ours.rows(recipe.stages[recipe.at(run.step)[0]].batch)
        run.carry = {name: value[rows] for name, value in run.carry.items()}
    if ours.rank == 0:
        part = out / "recipe.part"  # the other processes read it meanwhile
        part.write_text(recipes.dump(recipe), encoding="utf-8")
        os.replace(part, out / state.RECIPE)
    return run


def _check_same(recipe: Recipe, out: Path) -> None:
    """Raise UsageError where the recipe is not the one that made the run in `out` what it is."""
    if not (out / state.RECIPE).exists():
        return
    _, facts = state.read(out / state.STATE)
    changed = recipes.continues(recipes.load(out / state.RECIPE), recipe, int(facts["step"]))
    if changed:
        raise UsageError(f"{out} holds a run by another recipe ({'; '.join(changed)}); name another folder with --out.")


@dataclasses.dataclass
class Loop:
    """A run under way, with what watches it."""

    run: Run
    means: Means
    out: Path
    log: Log
    tell: Callable[[int, str], None]
    say: Callable[[str], None]
    deadline: float
    save_seconds: float
    stop: threading.Event
    sums: dict[str, float] = dataclasses.field(default_factory=dict)
    clips: list[validate.Clip] = dataclasses.field(default_factory=list)

    def to_the_end(self) -> None:
        """Step, report, validate and save until the recipe or the time is over; see `train`."""
        run, recipe = self.run, self.means.recipe
        first = self.means.team.rank == 0
        if recipe.validation.clips:
            self.clips = self.to_validate(Path(recipe.validation.clips))
        saved = reported = time.monotonic()
        for window in windows(run, self.means):
            now = time.monotonic()
            late = first and now > self.deadline
            wishes = [float(self.stop.is_set() or late), float(first and now - saved > self.save_seconds)]
            values, wishes = take_step(run, self.means, window, wishes)
            if not all(map(math.isfinite, values.values())):
                self.give_up(window, values)
            self.tell(run.step, f"loss {values['main']:.5f}, {self.log.left(run.step)}")
            reported = self.report(window, values, reported)
            if run.step % recipe.validation.every == 0 or run.step == recipe.steps:
                self.validate()
            if any(wishes) or run.step == recipe.steps:
                self.save()
                saved = time.monotonic()
            if wishes[0] and run.step < recipe.steps:
                self.interrupt()
                return
        self.say(f"{self.out}: all {recipe.steps} steps are done.")

    def report(self, window: Window, values: dict[str, float], since: float) -> float:
        """Every few steps a line of means in the log; returns the time from which the next ones count."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.sums["steps"] = self.sums.get("steps", 0) + 1
        recipe, step = self.means.recipe, self.run.step
        if step % recipe.report and step < recipe.steps:
            return since
        count = self.sums.pop("steps")
        facts = {name: float(f"{total / count:.6g}") for name, total in self.sums.items()}
        rate = recipe.stages[window.index].learning_rate(window.within)
        now = time.monotonic()
        facts |= {"stage": window.index + 1, "rate": rate, "seconds_per_step": round((now - since) / count, 4)}
        self.log.record("train", step, facts)
        self.sums = {}
        return now

    def to_validate(self, folder: Path) -> list[validate.Clip]:
        """The validation clips: looked for before the first step, so that a wrong name costs no training."""
        recipe = self.means.recipe
        clips = validate.clips(folder, recipe.validation.first, recipe.options.scale)
        learnt = {clip.folder.resolve() for store in self.means.stores for clip in store.clips}
        if any((folder / clip.name).resolve() in learnt for clip in clips):
            self.say(f"{folder} holds clips that are trained on; `subpixel clips split` sets some apart.")
        return clips

    def validate(self) -> None:
        """Restore and score the validation clips by the averaged weights; keep these where they are the best so far."""
        recipe, run, ours = self.means.recipe, self.run, self.means.team
        if not self.clips:
            return
        began = time.monotonic()
        result = validate.validate(state.averaged(recipe, run), self.clips, recipe.options.scale, ours)
        better = result.rgb > run.best
        run.best = max(run.best, result.rgb)
        seconds = round(time.monotonic() - began, 1)
        self.log.record("validation", run.step, result.as_dict() | {"best": better, "seconds": seconds})
        self.say(
            f"{self.out.name}, step {run.step}: RGB {result.rgb:.3f} dB, Y {result.luma:.3f} dB"
            f"{', the best so far' if better else ''}"
        )
        if ours.rank == 0 and better:
            state.save_best(run, self.out)
        if ours.rank == 0 and result.strip is not None:
            (self.out / f"strip-{run.step:07}.png").write_bytes(validate.png(result.strip))

    def save(self) -> None:
        """Write the state, of all processes together."""
        whole = {name: self.means.team.together(value) for name, value in self.run.carry.items()}
        if self.means.team.rank == 0:
            state.save(dataclasses.replace(self.run, carry=whole), self.out)

    def interrupt(self) -> None:
        """Say how to go on; raises Interrupted unless the time that was given is over."""
        where = f"at step {self.run.step} of {self.means.recipe.steps}; run the same command to continue."
        if self.stop.is_set():
            raise Interrupted(f"Stopped {where}")
        self.say(f"Time is over {where}")

    def give_up(self, window: Window, values: dict[str, float]) -> None:
        """Save the batch that gave a loss or a gradient that is not a number, and raise SubpixelError."""
        path = self.out / BAD_BATCH
        pair = window.pair
        tensors = {field.name: getattr(pair, field.name) for field in dataclasses.fields(pair)}
        tensors |= {f"carry.{name}": self.means.team.together(value) for name, value in self.run.carry.items()}
        if self.means.team.rank == 0:
            state.write(path, tensors, {"step": str(self.run.step), **{k: repr(v) for k, v in values.items()}})
        what = "loss" if not math.isfinite(values["total"]) else "gradient's norm"
        number = values["total"] if what == "loss" else values["norm"]
        raise SubpixelError(
            f"The {what} became {number} at step {self.run.step} (stage {window.index + 1}); its batch is in {path}. "
            f"Start another run with a lower rate, from these weights with --init {self.out} where they are still good."
        )


def command(
    recipe: Path,
    *,
    out: Path | None = None,
    store: Sequence[Path] = (),
    validation: Path | None = None,
    init: str | None = None,
    teacher: str | None = None,
    device: str | None = None,
    threads: int = 0,
    seconds: float = 0,
    save_seconds: float = 60,
) -> None:
    """Train by the recipe in a file, some of whose paths are replaced; arguments as the command's options."""
    asked = recipes.load(recipe)
    chosen = dataclasses.replace(
        asked,
        out=str(out or asked.out),
        store=tuple(map(str, store)) or asked.store,
        validation=dataclasses.replace(asked.validation, clips=str(validation or asked.validation.clips)),
        init=init or asked.init,
        teacher=teacher or asked.teacher,
        device=device or asked.device,
    )
    if not chosen.out:
        raise UsageError(f"{recipe} does not say where the run goes; add out = a folder, or --out.")
    if threads:
        torch.set_num_threads(threads)
    with stoppable(f"the state of at most {save_seconds:g} s ago is kept") as stop:
        train(chosen, Path(chosen.out), seconds=seconds or math.inf, save_seconds=save_seconds, stop=stop)


def main(arguments: list[str] | None = None) -> None:
    """Command line of `command`, the same as that of `subpixel train`."""
    parser = argparse.ArgumentParser(prog="python -m subpixel.learn.train", description=train.__doc__)
    parser.add_argument("recipe", type=Path)
    for name in ("out", "validation"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--store", type=Path, action="append", default=[])
    for name in ("init", "teacher", "device"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--save-seconds", type=float, default=60)
    try:
        command(**vars(parser.parse_args(arguments)))
    except SubpixelError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
