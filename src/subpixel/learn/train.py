"""The training loop: pairs in, weights out, resumable at any second.

python -m subpixel.learn.train STORE RUN [--steps N ...]

RUN/state.safetensors holds everything (weights, average, optimiser, generators, step); RUN/log.jsonl one line per
report. The same command continues; options that shape the run are in RUN/options.json and must not change.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from subpixel.errors import UsageError
from subpixel.learn.clips import Pair, Store
from subpixel.learn.losses import frame_loss
from subpixel.models.fast import Fast, FastOptions


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """One training run.

    crop: LR pixels; frames: per optimiser step; windows: consecutive steps that may share a sequence and hand the
    hidden state on; drop: chance of forgetting that state, and of hiding the quantiser map, per step.
    bf16: pays on a processor with AVX512-BF16 or AMX alone. init: a run folder to start the weights from.
    """

    steps: int = 16000
    batch: int = 8
    frames: int = 7
    crop: int = 64
    windows: int = 3
    drop: float = 0.05
    rate: float = 1e-3
    final_rate: float = 1e-7
    warmup: int = 200
    loss: str = "charbonnier"
    decay: float = 0.999
    clip: float = 0.5
    bf16: bool = False
    seed: int = 0
    init: str = ""
    channels: int = 32
    blocks: int = 4
    unshuffle: int = 2
    recurrent: bool = True
    qp: bool = True
    scale: int = 4


def learning_rate(step: int, o: TrainOptions) -> float:
    """Linear warm-up, then half a cosine down to final_rate (Loshchilov & Hutter, ICLR 2017)."""
    if step < o.warmup:
        return o.rate * (step + 1) / o.warmup
    phase = (step - o.warmup) / max(1, o.steps - o.warmup)
    return o.final_rate + (o.rate - o.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, phase)))


@dataclasses.dataclass
class Run:
    """All that changes while training; saved and loaded whole."""

    net: Fast
    average: dict[str, Tensor]
    adam: torch.optim.Adam
    rng: np.random.Generator
    step: int = 0


def start(o: TrainOptions) -> Run:
    """A fresh run: seeded weights, or those of the run named by `init`."""
    torch.manual_seed(o.seed)
    net = Fast(FastOptions(o.scale, o.channels, o.blocks, 12, o.unshuffle, o.recurrent, o.qp))
    if o.init:
        load_weights(net, Path(o.init))
    average = {k: v.detach().clone() for k, v in net.named_parameters()}
    adam = torch.optim.Adam(net.parameters(), lr=o.rate, betas=(0.9, 0.99))
    return Run(net, average, adam, np.random.default_rng(o.seed))


def load_weights(net: Fast, folder: Path) -> None:
    """Put the averaged weights of a run into `net`; layers of another scale keep their start."""
    state = load_file(folder / "state.safetensors")
    own = dict(net.named_parameters())
    for name, value in ((k[8:], v) for k, v in state.items() if k.startswith("average.")):
        if own[name].shape == value.shape:
            own[name].data.copy_(value)


def save(run: Run, folder: Path) -> None:
    """Write RUN/state.safetensors so that a cut at any moment leaves the old or the new state."""
    tensors = {f"net.{k}": v.detach() for k, v in run.net.named_parameters()}
    tensors |= {f"average.{k}": v for k, v in run.average.items()}
    for name, parameter in run.net.named_parameters():
        slot = run.adam.state.get(parameter, {})
        tensors |= {f"adam.{name}.{k}": torch.as_tensor(v) for k, v in slot.items()}
    facts = {"step": str(run.step), "rng": json.dumps(run.rng.bit_generator.state)}
    part = folder / "state.part"
    save_file({k: v.contiguous() for k, v in tensors.items()}, part, facts)
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    os.replace(part, folder / "state.safetensors")


def load(run: Run, folder: Path) -> None:
    """Continue from RUN/state.safetensors."""
    tensors = load_file(folder / "state.safetensors")
    with safe_open(folder / "state.safetensors", "pt") as file:
        facts = file.metadata()
    run.step = int(facts["step"])
    run.rng.bit_generator.state = json.loads(facts["rng"])
    for name, parameter in run.net.named_parameters():
        parameter.data.copy_(tensors[f"net.{name}"])
        run.average[name] = tensors[f"average.{name}"]
        prefix = f"adam.{name}."
        slot = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        if slot:
            run.adam.state[parameter] = slot


def batches(store: Store, o: TrainOptions, rng: np.random.Generator) -> Iterator[list[Pair]]:
    """Endless sequences: each a list of 1 to `windows` consecutive windows of the same crops."""
    while True:
        windows = int(rng.integers(1, o.windows + 1))
        yield store.sample(rng, batch=o.batch, frames=o.frames, crop=o.crop, windows=windows)


def train_step(run: Run, pair: Pair, hidden: Tensor, o: TrainOptions) -> tuple[float, Tensor]:
    """One optimiser step on one window; returns the loss and the hidden state to hand on."""
    for group in run.adam.param_groups:
        group["lr"] = learning_rate(run.step, o)
    qp = pair.qp * float(run.rng.random() >= o.drop)
    with torch.autocast("cpu", torch.bfloat16, enabled=o.bf16):
        lumas, chromas, hidden = run.net(pair.y, pair.uv, qp, hidden)
    losses = [
        frame_loss(o.loss, lumas[t].float() - pair.target_y[:, t], chromas[t].float() - pair.target_uv[:, t])
        for t in range(len(lumas))
    ]
    loss = torch.stack(losses).mean()
    if not torch.isfinite(loss):
        raise FloatingPointError(f"The loss became {loss.item()} at step {run.step}; lower --rate and start again.")
    run.adam.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.net.parameters(), o.clip)
    run.adam.step()
    run.step += 1
    decay = min(o.decay, run.step / (run.step + 10))
    for name, parameter in run.net.named_parameters():
        run.average[name].lerp_(parameter.detach(), 1 - decay)
    return float(loss.detach()), hidden.detach().float()


def train(store: Store, folder: Path, o: TrainOptions, *, report: int = 200, save_seconds: float = 60) -> Run:
    """Train to o.steps, continuing what is in `folder`; prints and logs every `report` steps."""
    folder.mkdir(parents=True, exist_ok=True)
    if store.scale != o.scale:
        raise UsageError(
            f"The store holds pairs of scale {store.scale}, the network is of scale {o.scale}; use --scale."
        )
    keep_options(folder, o)
    run = start(o)
    if (folder / "state.safetensors").exists():
        load(run, folder)
    saved = began = time.monotonic()
    losses: list[float] = []
    while run.step < o.steps:
        hidden = run.net.hidden(o.batch, o.crop, o.crop)
        for pair in next(batches(store, o, run.rng)):
            loss, hidden = train_step(run, pair, hidden, o)
            hidden = hidden * float(run.rng.random() >= o.drop)
            losses.append(loss)
        if len(losses) >= report or run.step >= o.steps:
            note(folder, run.step, losses, time.monotonic() - began)
            began, losses = time.monotonic(), []
        if time.monotonic() - saved > save_seconds or run.step >= o.steps:
            save(run, folder)
            saved = time.monotonic()
    return run


def keep_options(folder: Path, o: TrainOptions) -> None:
    """Write RUN/options.json, or check that the run being continued was started with the same."""
    path = folder / "options.json"
    asked = dataclasses.asdict(o)
    if path.exists():
        kept = json.loads(path.read_text())
        changed = [f"{k} was {kept.get(k)!r} and is now {v!r}" for k, v in asked.items() if kept.get(k) != v]
        if changed:
            raise UsageError(f"{folder} holds a run with other options ({'; '.join(changed)}); name another folder.")
    path.write_text(json.dumps(asked, indent=1))


def note(folder: Path, step: int, losses: list[float], seconds: float) -> None:
    """One line to the terminal and to RUN/log.jsonl."""
    line = {"step": step, "loss": round(float(np.mean(losses)), 7), "seconds_per_step": round(seconds / len(losses), 4)}
    with open(folder / "log.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Command line: every field of TrainOptions is a flag."""
    parser = argparse.ArgumentParser(description=train.__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch chooses")
    parser.add_argument("--save-seconds", type=float, default=60, help="at most this much work is lost by a kill")
    for field in dataclasses.fields(TrainOptions):
        kind: Any = type(field.default)
        flag = f"--{field.name.replace('_', '-')}"
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(flag, type=kind, default=field.default)
    args = vars(parser.parse_args(arguments))
    store, folder, threads, save_seconds = (args.pop(k) for k in ("store", "run", "threads", "save_seconds"))
    if threads:
        torch.set_num_threads(threads)
    train(Store(store), folder, TrainOptions(**args), save_seconds=save_seconds)


if __name__ == "__main__":
    main()
