"""Several processes that train as one: all draw the same batch, each takes its rows, the gradients are averaged.

The data-parallel scheme of `torchrun`: one process for each GPU over NCCL, or for each group of CPU cores over Gloo.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from subpixel.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Team:
    """This process among those that train together. A process alone is a team of one."""

    rank: int
    size: int
    device: torch.device

    def rows(self, batch: int) -> slice:
        """This process's share of a batch; raises UsageError where it cannot be shared equally."""
        if batch % self.size:
            raise UsageError(f"A batch of {batch} cannot be shared by {self.size} processes; make it a multiple.")
        share = batch // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def average_gradients(self, net: nn.Module, facts: Tensor) -> Tensor:
        """Average the gradients, and `facts` (k) with them, over the team, in one exchange; returns the facts."""
        if self.size == 1:
            return facts
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in gradients), facts.to(gradients[0])])
        dist.all_reduce(flat)
        flat /= self.size
        means = torch.split(flat, [*(g.numel() for g in gradients), len(facts)])
        for gradient, mean in zip(gradients, means, strict=False):
            gradient.copy_(mean.view_as(gradient))
        return means[-1]

    def total(self, counts: Sequence[Sequence[int]]) -> list[list[int]]:
        """Tables of exact integers, one of each process, added up."""
        if self.size == 1:
            return [list(row) for row in counts]
        table = torch.tensor(counts, dtype=torch.int64, device=self.device)
        dist.all_reduce(table)
        found: list[list[int]] = table.tolist()
        return found

    def together(self, part: Tensor) -> Tensor:
        """The rows of all processes, in order."""
        if self.size == 1:
            return part
        parts = [torch.empty_like(part) for _ in range(self.size)]
        dist.all_gather(parts, part.contiguous())
        return torch.cat(parts)


@contextlib.contextmanager
def team(device: str) -> Iterator[Team]:
    """The team that torchrun started, or this process alone.

    device: "auto" takes a GPU where there is one, the process's own where there are several; else cpu, cuda, cuda:1.
    Raises UsageError for a device that is not there.
    """
    place = os.environ.get("LOCAL_RANK", "0")
    if device == "auto":
        device = f"cuda:{place}" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(f"cuda:{place}" if device == "cuda" else device)
        torch.empty(1, device=chosen)
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"The device {device!r} cannot be used ({reason}); take auto, cpu, cuda or cuda:N.") from error
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Team(0, 1, chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Team(dist.get_rank(), dist.get_world_size(), chosen)
    finally:
        dist.destroy_process_group()
