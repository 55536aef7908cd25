"""A warning before training: how much text of the chosen corpora is there more than once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine.training.corpora.fingerprints import among, essence, samples
from engine.training.corpus import Corpus

MIN_SHARE = 0.02
"""Less text in common is no warning: stock phrases and licences. Chosen by us."""

MIN_SIMILARITY = 0.6
"""Documents are named as near copies from this Jaccard similarity of their runs on. Chosen by us."""

MAX_COMPARED = 3000
"""The largest documents that are compared one by one; the shares are of all."""

_MIN_SAMPLES = 8
_PERMUTATIONS = 64
_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two corpora with text in common, or one that repeats itself.

    Attributes:
        first, second: names of the corpora; equal where one repeats itself.
        share: part of the text of the smaller one that stands in the other too, or stood in itself before (0 … 1),
            by sampled runs of some five words; differences of white space and case do not count.
        examples: names of up to three pairs of documents that are near copies, the most alike first.
    """

    first: str
    second: str
    share: float
    examples: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        such = f" (such as {self.examples[0][0]} and {self.examples[0][1]})" if self.examples else ""
        if self.first == self.second:
            return f"{self.share:.0%} of {self.first} is there more than once{such}."
        return f"{self.share:.0%} of the smaller of {self.first} and {self.second} stands in the other too{such}."


def near_duplicates(corpora: Sequence[Corpus]) -> list[NearDuplicate]:
    """Which corpora share text, between and within, the largest share first. Only a warning: the split drops copies.

    Shares are measured on sampled runs (Manber 1994); pairs of documents are found by MinHash (Broder 1997).
    """
    runs = [[samples(essence(document.text)) for document in corpus.documents] for corpus in corpora]
    whole = [np.concatenate([*of_corpus, np.empty(0, np.uint64)]) for of_corpus in runs]
    unique = [np.unique(hashes) for hashes in whole]
    examples = _examples(corpora, runs)
    found = []
    for one in range(len(corpora)):
        for other in range(one, len(corpora)):
            if one == other:
                share = 1 - len(unique[one]) / len(whole[one]) if len(whole[one]) else 0.0
            else:
                small, large = sorted((one, other), key=lambda index: len(whole[index]))
                share = float(among(whole[small], unique[large]).mean()) if len(whole[small]) else 0.0
            if share >= MIN_SHARE:
                pairs = tuple(examples.get((one, other), ())[:3])
                found.append(NearDuplicate(corpora[one].name, corpora[other].name, share, pairs))
    return sorted(found, key=lambda duplicate: -duplicate.share)


def _examples(corpora: Sequence[Corpus], runs: list[list[np.ndarray]]) -> dict[tuple[int, int], list[tuple[str, str]]]:
    """(corpus, corpus) -> names of near copies, the most alike first, among the largest documents."""
    from datasketch import MinHashLSH

    places = [(one, number) for one, of_corpus in enumerate(runs) for number in range(len(of_corpus))]
    places = [place for place in places if len(runs[place[0]][place[1]]) >= _MIN_SAMPLES]
    places.sort(key=lambda place: (-len(runs[place[0]][place[1]]), place))
    index = MinHashLSH(threshold=MIN_SIMILARITY, num_perm=_PERMUTATIONS)
    sketches: dict[tuple[int, int], object] = {}
    pairs: dict[tuple[int, int], list[tuple[float, str, str]]] = {}
    for place in places[:MAX_COMPARED]:
        sketch = _sketch(runs[place[0]][place[1]])
        for other in index.query(sketch):
            similarity = sketch.jaccard(sketches[other])
            if similarity >= MIN_SIMILARITY:
                (one, number), (two, second) = sorted((place, other))
                names = corpora[one].documents[number].name, corpora[two].documents[second].name
                pairs.setdefault((one, two), []).append((-similarity, *names))
        index.insert(place, sketch)
        sketches[place] = sketch
    return {key: [(first, second) for _, first, second in sorted(found)] for key, found in pairs.items()}


def _sketch(hashes: np.ndarray):
    """The MinHash of some sampled runs, in bounded memory."""
    from datasketch import MinHash

    sketch = MinHash(num_perm=_PERMUTATIONS, hashfunc=int)
    for part in _parts(np.unique(hashes >> np.uint64(33))):
        sketch.update_batch(part)
    return sketch


def _parts(values: np.ndarray) -> Iterator[list[int]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE].tolist()
