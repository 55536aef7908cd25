"""Failures of the libraries that load and run models, turned into sentences with a way out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from engine.errors import RunnerError, WeightscopeError

_HINTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("trust_remote_code", "custom code"),
        "This model needs code of its own, which Weightscope never runs; its weights can still be inspected.",
    ),
    (
        ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "bad_alloc"),
        "Close other models or programs, load it in a smaller type (bfloat16), or choose a smaller model.",
    ),
    (
        ("does not recognize this architecture", "unrecognized model", "unrecognized configuration", "model type"),
        "The installed transformers does not know this architecture; a newer version may. It can still be inspected.",
    ),
    (("sentencepiece", "tiktoken"), "Install what its tokenizer needs: pip install sentencepiece tiktoken"),
    (("no module named", "requires the", "pip install"), "Install the package that the message names, and try again."),
    (("no file named", "does not appear to have a file", "no such file"), "Put the missing file beside the weights."),
    (
        ("weights_only", "weights only", "unpickling"),
        "The file would have to run code to be opened. Get the model as safetensors from where it came from.",
    ),
    (("safetensor", "header", "incomplete metadata"), "The weight file is damaged or incomplete; download it again."),
)


@contextlib.contextmanager
def as_runner_error(doing: str) -> Iterator[None]:
    """Whatever a library raises inside becomes a RunnerError that says what was being done, and what to do about it.

    Args: doing: begins the message, "Loading bert-base".
    """
    try:
        yield
    except WeightscopeError:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}".strip()
        lower = text.lower()
        hints = (hint for words, hint in _HINTS if any(word in lower for word in words))
        hint = next(hints, "Check that the files belong together; the weights can still be inspected.")
        if isinstance(error, MemoryError):
            hint = _HINTS[1][1]
        first_line = " ".join(text.split())[:400]
        raise RunnerError(f"{doing} failed. {first_line}", hint) from error
