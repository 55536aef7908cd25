"""`python -m workflows starter`: make the bundled checkpoints again, before and after learning, each with its card."""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from engine.errors import WeightscopeError
from engine.training.events import Evaluated, Event, StepDone

BUNDLED = Path(__file__).resolve().parent.parent / "models"
"""Where the repository keeps the checkpoints that come with it."""

PRINT_EVERY = 25
"""Steps between two lines of progress."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes to its parser."""
    parser.add_argument("--folder", type=Path, default=BUNDLED, help="where the two checkpoint folders go: %(default)s")
    parser.add_argument("--overwrite", action="store_true", help="replace checkpoints that are already there")
    parser.add_argument("--steps", type=_positive, metavar="N", help="train for at most N updates")
    parser.add_argument(
        "--threads", type=_positive, metavar="N", help="processor threads; only the same number gives the same bits"
    )


def run(args: argparse.Namespace) -> int:
    """Make both checkpoints and print how well each predicts text it has not learnt. Returns the exit code, 0.

    Raises: TrainingError if checkpoints are in the way, or training cannot be done.
    """
    from workflows.starter_checkpoints import StarterSettings, make_starters  # torch loads only when it is needed

    logging.getLogger("huggingface_hub.repocard_data").setLevel(logging.ERROR)
    settings = StarterSettings()
    asked = {name: getattr(args, name) for name in ("steps", "threads") if getattr(args, name) is not None}
    settings = replace(settings, training=replace(settings.training, **asked))
    before, after = make_starters(args.folder, settings, overwrite=args.overwrite, on_event=_print)
    for name, held_out in (("starter-init", before), ("starter", after)):
        print(
            f"{args.folder / name}: held-out perplexity {held_out.perplexity:.1f}, "
            f"{held_out.bits_per_byte:.3f} bits per byte"
        )
    return 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _print(event: Event) -> None:
    """A line now and then and at the end, and one for every look at validation text."""
    if isinstance(event, StepDone) and (event.step % PRINT_EVERY == 0 or event.step == event.steps):
        minutes, seconds = divmod(round(event.left_s), 60)
        print(
            f"step {event.step}/{event.steps}  loss {event.loss:.3f} nats/token  "
            f"{event.tokens_per_s:,.0f} tokens/s  {minutes}:{seconds:02d} left",
            flush=True,
        )
    elif isinstance(event, Evaluated):
        print(f"step {event.step}  validation {event.bits_per_byte:.3f} bits/byte", flush=True)


def main() -> int:
    """The command by itself: `python -m workflows.starter`."""
    parser = argparse.ArgumentParser(prog="python -m workflows.starter", description=__doc__)
    add_arguments(parser)
    try:
        return run(parser.parse_args())
    except WeightscopeError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
