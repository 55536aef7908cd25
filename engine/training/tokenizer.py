"""Byte-level BPE: a vocabulary learnt from text, with a token for every byte, so that any text goes in and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from engine.errors import TrainingError
from engine.training.corpora.passages import seams
from engine.training.corpus import END_OF_TEXT as END_OF_TEXT
from engine.training.corpus import Corpus, num_bytes

NUM_BYTES = 256

MAX_LEARNT_BYTES = 32_000_000
"""Text that a vocabulary is learnt from at the most: more changes few merges and takes minutes. Chosen by us."""

_PART_CHARACTERS = 20_000

_LONG_WORD = re.compile(r"\S{1000}")
"""Longer words (data in letters) are learnt from in pieces: the trainer's time grows with the square of a word."""


def tokenizer_for(corpora: Sequence[Corpus], vocabulary_size: int, context: int) -> PreTrainedTokenizerFast:
    """A vocabulary for weighted corpora: training text alone, after the split.

    Each corpus gives text in proportion to weight × bytes, as batches are drawn too: the one with the highest weight
    all of its text, the others evenly spaced parts of theirs, and all in proportion less where that is more than
    MAX_LEARNT_BYTES. To go on training with more corpora, load the tokenizer that was saved with the model: it has a
    token for every byte, so new text goes in too, and no id changes its meaning.

    Args, Returns, Raises: as `train_tokenizer`.
    """
    return train_tokenizer(learnt_texts(corpora), vocabulary_size, context)


def learnt_texts(corpora: Sequence[Corpus], max_bytes: int = MAX_LEARNT_BYTES) -> Iterator[str]:
    """The parts of each corpus that a vocabulary is learnt from; see `tokenizer_for`."""
    highest = max((corpus.weight for corpus in corpora), default=0.0)
    if highest <= 0:
        return
    shares = [corpus.weight / highest for corpus in corpora]
    size = sum(share * num_bytes(corpus.documents) for share, corpus in zip(shares, corpora, strict=True))
    less = min(1.0, max_bytes / max(size, 1))
    for share, corpus in zip(shares, corpora, strict=True):
        number = 0
        for document in corpus.documents:
            for part in seams(document.text, _PART_CHARACTERS):
                if int((number + 1) * share * less) > int(number * share * less):
                    yield part
                number += 1


def train_tokenizer(texts: Iterable[str], vocabulary_size: int, context: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE vocabulary, as GPT-2 has it: no normalisation, merges inside words, digits and spaces.

    The result is the same for the same texts in the same order.

    Args:
        texts: what to learn from; training text only.
        vocabulary_size: tokens wanted, END_OF_TEXT and the 256 bytes included; fewer if the texts are too small for it.
        context: tokens the model can see, recorded as the tokenizer's `model_max_length`.
    Returns: a tokenizer for which decode(encode(text)) is the text, whatever it holds; END_OF_TEXT has id 0.
    Raises: TrainingError if the size leaves no room for the 256 bytes.
    Source: Sennrich, Haddow & Birch 2016; Radford et al. 2019 (bytes).
    """
    if vocabulary_size <= NUM_BYTES:
        raise TrainingError(
            f"A byte-level vocabulary needs at least {NUM_BYTES + 1} tokens, got {vocabulary_size}.",
            "Ask for a larger vocabulary; 2048 suits a small corpus.",
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    words = (_LONG_WORD.sub(r"\g<0>\n", text) for text in texts)
    tokenizer.train_from_iterator(words, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
