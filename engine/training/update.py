"""One update of the weights: this process's share of the batch, in parts, and the gradient of all of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from engine.errors import TrainingError
from engine.training.cross_entropy import IGNORED
from engine.training.determinism import derived_seed
from engine.training.distributed import World
from engine.training.precision import Chosen, computing
from engine.training.settings import TrainingSettings

if TYPE_CHECKING:
    from engine.training.corpora.token_stream import TokenStream
    from engine.training.model import Decoder


def check_shares(settings: TrainingSettings, world: World) -> None:
    """Raises: TrainingError if a batch cannot be shared by all processes and parts, or a number makes no sense."""
    shares = world.size * settings.accumulation
    if settings.batch_size < shares:
        raise TrainingError(
            f"A batch of {settings.batch_size} sequences cannot be shared by {world.size} process(es) with "
            f"{settings.accumulation} part(s) each.",
            f"Choose a batch of at least {shares}, fewer processes, or less accumulation.",
        )
    for name in ("steps", "batch_size", "accumulation", "evaluate_every", "save_every", "keep_last"):
        if getattr(settings, name) < 1:
            raise TrainingError(f"{name} must be at least 1, got {getattr(settings, name)}.", "Choose a larger number.")
    if not settings.max_norm > 0:
        raise TrainingError(
            f"max_norm must be above 0, got {settings.max_norm}.", "1 is usual; a very large number turns clipping off."
        )


class Update:
    """Makes updates: `prepare`, then `gradients`, then `apply`; each may look at what the one before found."""

    def __init__(
        self,
        world: World,
        model: Decoder,
        stream: TokenStream,
        optimizers: Sequence[torch.optim.Optimizer],
        settings: TrainingSettings,
        precision: Chosen,
    ) -> None:
        self.world, self.model, self.stream = world, model, stream
        self.optimizers, self.settings, self.precision = optimizers, settings, precision
        self._forward = world.shared(torch.compile(model) if settings.compile else model)
        self._parameters = list(model.parameters())

    def prepare(self, step: int, should_stop: Callable[[], bool]) -> tuple[int, bool]:
        """Fetch the batch of update `step` (from 1).

        Returns: tokens to learn from in all processes; whether any process is asked to stop.
        """
        settings, world = self.settings, self.world
        self._step = step
        ids, targets = self.stream.batch(
            step - 1, settings.batch_size, self.model.settings.context, world.rank, world.size
        )
        parts = zip(ids.tensor_split(settings.accumulation), targets.tensor_split(settings.accumulation), strict=True)
        self._parts = [(part, wanted, int((wanted != IGNORED).sum())) for part, wanted in parts]
        num_tokens, stops = world.summed(sum(count for *_, count in self._parts), bool(should_stop()))
        self._num_tokens = int(num_tokens)
        return self._num_tokens, stops > 0

    def gradients(self) -> tuple[float, float]:
        """The gradient of the mean loss over the whole batch, shortened to `max_norm`.

        Each part weighs by its tokens, so that neither the parts nor the processes change the meaning.

        Returns: the loss in nats per token, and the gradient's length before shortening; the same in all processes.
        Raises: TrainingError if the device's memory is too small, or compiling fails.
        """
        self.model.train()
        if self.model.settings.dropout:
            torch.manual_seed(derived_seed(self.settings.seed, self._step, self.world.rank))
        total = torch.zeros((), device=self.world.device)
        with _explained():
            for number, (ids, targets, count) in enumerate(self._parts, 1):
                with self._silent(number < len(self._parts)):
                    with computing(self.precision, self.world.device):
                        loss = self._forward(ids.to(self.world.device), targets.to(self.world.device))
                    share = loss * (count / self._num_tokens)
                    (share * self.world.size).backward()  # what DDP averages must add up
                total += share.detach()
            norm = torch.nn.utils.clip_grad_norm_(self._parameters, self.settings.max_norm)
        loss, norm = torch.stack((total, norm)).tolist()  # one wait for the device
        return self.world.summed(loss)[0], norm

    def apply(self) -> None:
        """Let the optimizers change the weights, and forget the gradient."""
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()

    def _silent(self, is_quiet: bool) -> contextlib.AbstractContextManager:
        """Processes need not exchange gradients before the last part."""
        return self._forward.no_sync() if is_quiet and self.world.size > 1 else contextlib.nullcontext()


@contextlib.contextmanager
def _explained():
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"The device's memory is too small for a part of the batch: {error}",
            "Compute the batch in more parts (accumulation), or choose a smaller model, context or batch.",
        ) from error
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        raise TrainingError(
            f"torch.compile failed: {error}", "Turn compile off, or install the compiler that it asks for."
        ) from error
