"""Two checkpoints of one small decoder, before and after learning, made from nothing but Python's own documentation."""

from __future__ import annotations

import contextlib
import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from engine.errors import TrainingError
from engine.training.checkpoints import Checkpoints
from engine.training.corpora.token_stream import TokenStream
from engine.training.corpus import Corpus, Document, Split, language_reference, longest_shared_run, split, text_hash
from engine.training.determinism import reproducible
from engine.training.events import OnEvent
from engine.training.footprint import num_parameters
from engine.training.held_out import HeldOutLoss, encode, held_out_loss
from engine.training.llama_folder import load_llama, save_llama
from engine.training.model import Decoder
from engine.training.settings import ModelSettings, TrainingSettings
from engine.training.supervised import train
from engine.training.tokenizer import train_tokenizer
from workflows.starter_card import Measured, StarterFacts, model_card

NAMES = ("starter-init", "starter")
"""The checkpoint folders: before and after learning."""


@dataclass(frozen=True, slots=True)
class StarterSettings:
    """All that decides the checkpoints' bits. Defaults chosen by validation text, see the model card.

    Attributes:
        model: the decoder's shape. training: how it learns; fp32 on one thread is what most machines can repeat.
        initial_scale: standard deviation of all fresh matrices. With this, slow rates and no decay, one still sees that
            the two checkpoints are kin: what was learnt did not wipe out what it began with.
        held_out_share: part of the text set aside for validation, and again for test. seed: of split and weights.
        prompt, sample_tokens: for the sample in the card.
    """

    model: ModelSettings = field(
        default_factory=lambda: ModelSettings(
            vocabulary_size=2048, width=128, layers=6, heads=4, ffn_width=384, context=256, dropout=0.2
        )
    )
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            steps=1500,
            batch_size=4,
            learning_rate=2e-3,
            muon_rate=5e-3,
            weight_decay=0.0,
            warmup_steps=100,
            precision="fp32",
            patience=5,
            save_every=500,
            keep_last=1,
            sample_every=0,
            threads=1,
            device="cpu",
        )
    )
    initial_scale: float = 0.05
    held_out_share: float = 0.08
    seed: int = 0
    prompt: str = 'The "with" statement'
    sample_tokens: int = 160


def make_starters(
    folder: Path,
    settings: StarterSettings,
    documents: Sequence[Document] | None = None,
    overwrite: bool = False,
    on_event: OnEvent = lambda event: None,
) -> tuple[HeldOutLoss, HeldOutLoss]:
    """Train, measure and write `starter-init` and `starter`; a folder appears whole or not at all.

    Args:
        folder: where they go; made if it is not there. documents: to learn from; the language reference if None.
        overwrite: replace folders of those names. on_event: told what happens; may raise to stop.
    Returns: the test text under each, as measured on the saved bf16 weights.
    Raises: TrainingError if a folder is in the way, or training cannot be done.
    """
    taken = [folder / name for name in NAMES if (folder / name).exists()]
    if taken and not overwrite:
        raise TrainingError(f"{taken[0]} is already there.", "Ask to overwrite it, or choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".starter-", dir=folder) as scratch,
        reproducible(settings.seed, settings.training.threads),
        _quiet(),
    ):
        measured = _write(Path(scratch), settings, documents or language_reference(), on_event)
        _put_in_place(Path(scratch), folder)
    return measured["starter-init"].test, measured["starter"].test


def _write(
    folder: Path, settings: StarterSettings, documents: Sequence[Document], on_event: OnEvent
) -> dict[str, Measured]:
    """Both checkpoints with their cards, into a folder where nobody looks yet."""
    parts = split(documents, settings.held_out_share, settings.seed)
    context = settings.model.context
    texts = [document.text for document in parts.training]
    tokenizer = train_tokenizer(texts, settings.model.vocabulary_size, context)
    model = _fresh(settings)
    _save(model, tokenizer, folder / "starter-init")
    stream = TokenStream.of([Corpus("language reference", parts.training)], tokenizer, settings.training.seed)
    steps = folder / "steps"
    result = train(
        model, tokenizer, stream, parts.validation, settings.training, steps, on_event, should_stop=lambda: False
    )
    best, _ = load_llama(Checkpoints(steps).best())
    _save(best, tokenizer, folder / "starter")
    sample = _sample(folder / "starter", settings)
    facts = StarterFacts(
        settings=settings,
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        processor=torch.backends.cpu.get_cpu_capability(),
        corpus_hash=text_hash(documents),
        parts=parts,
        num_parameters=num_parameters(settings.model),
        num_tokens=stream.num_tokens,
        result=result,
        measured={name: _measure(folder / name, parts, context) for name in NAMES},
        sample=sample,
        copied=longest_shared_run(sample, "\n\n".join(texts)),
    )
    for name in NAMES:
        (folder / name / "README.md").write_text(model_card(name, facts), encoding="utf-8")
    return facts.measured


def _fresh(settings: StarterSettings) -> Decoder:
    """Fresh weights, rounded to bf16: what is saved is exactly what training begins with."""
    torch.manual_seed(settings.seed)
    model = Decoder(settings.model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=settings.initial_scale)
            parameter.copy_(parameter.to(torch.bfloat16))
    return model


def _save(model: Decoder, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    folder.mkdir()
    save_llama(model, tokenizer, folder, dtype="bf16")


def _measure(folder: Path, parts: Split, context: int) -> Measured:
    """A saved checkpoint, loaded as anyone would and computed in fp32, on all three parts of the text."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return Measured(
        training=held_out_loss(model, tokenizer, parts.training, context),
        validation=held_out_loss(model, tokenizer, parts.validation, context),
        test=held_out_loss(model, tokenizer, parts.test, context),
    )


def _sample(folder: Path, settings: StarterSettings) -> str:
    """What the saved checkpoint writes after the prompt, with the sampling defaults saved beside it."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = torch.tensor([encode(tokenizer, settings.prompt)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        tokens = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=settings.sample_tokens)
    return tokenizer.decode(tokens[0], skip_special_tokens=True)


def _put_in_place(scratch: Path, folder: Path) -> None:
    """Move the finished folders to where they belong; what they replace goes away with the scratch folder."""
    for name in NAMES:
        if (folder / name).exists():
            (folder / name).rename(scratch / f"{name}.replaced")
        (scratch / name).rename(folder / name)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of transformers between our own lines."""
    was_shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_shown:
            transformers_logging.enable_progress_bar()
