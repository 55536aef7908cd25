"""The pattern library: what a model shows, what of it is kept, and what a new model has in common with it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from engine.discovery.signature import VERSION as SIGNATURE_VERSION
from engine.discovery.signature import transformed
from engine.discovery.suggestions import all_ideas
from engine.errors import StorageError
from engine.health.registry import all_rules
from engine.naming import place, role_title
from storage.pattern_library import Pattern
from storage.store import Store
from workflows.pattern_library_files import export_library, import_library

__all__ = [
    "Match",
    "Recurrence",
    "anomaly_pattern",
    "candidates",
    "export_library",
    "import_library",
    "keep",
    "match",
    "match_words",
    "pattern_key",
]


@dataclass(frozen=True)
class Recurrence:
    """A pattern of the library that a model shows as well: as it was kept, and as it is here."""

    kept: Pattern
    here: Pattern


@dataclass(frozen=True, eq=False)
class Match:
    """A model held against the library.

    Attributes:
        name: the model's. nearest: other models, here and imported, by the likeness of their signatures: columns model,
            origin, similarity (mean cosine of its matrices with the nearest of the same role), matched (their share);
            None if the model has no signatures.
        recurring: patterns of the library, of other models, that it shows as well. new: what it shows that the library
            does not know. absent: patterns of the library that it does not show. looked_at: what was measured of it.
    """

    name: str
    nearest: pd.DataFrame | None
    recurring: tuple[Recurrence, ...]
    new: tuple[Pattern, ...]
    absent: tuple[Pattern, ...]
    looked_at: tuple[str, ...]


def candidates(store: Store, model: str) -> list[Pattern]:
    """Everything that was found of a measured model and can be kept: health, forensics, suggestions, shared patterns.

    Args: model: its name or content hash. Raises: StorageError if it is not in the database.
    """
    known = store.model(model)
    if known is None:
        raise StorageError(f"The model {model} is not in the database.", "Measure it first.")
    who = {"model_names": (known.name,), "content_hashes": (known.content_hash,)}
    return [
        *_of_health(store, known.content_hash, who),
        *_of_forensics(store, known.content_hash, who),
        *_of_suggestions(store, known.content_hash, who),
        *_of_tests(store, known.content_hash),
    ]


def anomaly_pattern(
    store: Store, model: str, tensor: str, words: str, value: float, numbers: dict, settings: dict
) -> Pattern:
    """An odd matrix as a pattern. Args: value: how odd. numbers: feature -> standard units. settings: method, scope."""
    known = store.model(model)
    if known is None:
        raise StorageError(f"The model {model} is not in the database.", "Measure it first.")
    who = {"model_names": (known.name,), "content_hashes": (known.content_hash,)}
    return _made(
        "anomaly", str(settings.get("method", "anomaly")), "Odd one", words, tensor, value, numbers, settings, who
    )


def keep(store: Store, pattern: Pattern, note: str = "") -> None:
    """Keep a pattern, with a note; one that is kept already is written anew."""
    store.keep_patterns([replace(pattern, note=note or pattern.note, kept_at=datetime.now(UTC))])


def match(store: Store, model: str) -> Match:
    """Hold a measured model against the library: what is nearest, what recurs, what is new.

    A pattern recurs where the same rule, idea or verdict spoke of a tensor of the same role, or of the whole model.
    Raises: StorageError if the model is not in the database.
    """
    known = store.model(model)
    own = candidates(store, model)
    key = known.content_hash
    shown: dict[tuple, Pattern] = {}
    for pattern in own:
        shown.setdefault(_sameness(pattern), pattern)
    others = [pattern for pattern in store.patterns() if key not in pattern.content_hashes]
    kept = {_sameness(pattern) for pattern in store.patterns()}
    looked_at = {
        "health": store.health_check(key) is not None,
        "forensics": store.forensics(key) is not None,
        "suggestions": store.suggestions(key) is not None,
        "signatures": key in set(_hashes(store).values()) and bool(len(store.signatures([key]).places)),
    }
    return Match(
        name=known.name,
        nearest=nearest(store, key) if looked_at["signatures"] else None,
        recurring=tuple(Recurrence(p, shown[_sameness(p)]) for p in others if _sameness(p) in shown),
        new=tuple(pattern for pattern in shown.values() if _sameness(pattern) not in kept),
        absent=tuple(p for p in others if _sameness(p) not in shown and p.kind != "anomaly"),
        looked_at=tuple(name for name, was in looked_at.items() if was),
    )


def nearest(store: Store, model: str, count: int = 12) -> pd.DataFrame:
    """Models here and imported whose matrices resemble those of a model most.

    similarity = mean over its matrices of the largest cosine with a matrix of the same role, in standard units.

    Returns: columns model, origin, similarity, matched (share of its matrices with a partner), num_matrices; the most
        alike first.
    """
    known = store.model(model)
    here, fit = store.signatures(), store.signature_fit()
    places, imported = store.library_signatures()
    is_own = (here.places["model"] == known.name).to_numpy()
    own, own_roles = _unit(here.standard[is_own]), here.places["role"][is_own].to_numpy()
    foreign = [_unit(here.standard[~is_own])]
    names = [here.places["model"][~is_own].to_numpy()]
    roles, origins = [here.places["role"][~is_own].to_numpy()], ["here"] * int((~is_own).sum())
    if len(places) and fit is not None:
        foreign.append(_unit(fit.tensors.apply(transformed(imported))))
        names.append((places["model_name"] + " @" + places["content_hash"].str[:8]).to_numpy())
        roles.append(places["role"].to_numpy())
        origins += places["origin"].tolist()
    best = _best_by_model(own, own_roles, np.concatenate(foreign), np.concatenate(roles), np.concatenate(names))
    origin_of = dict(zip(np.concatenate(names), origins, strict=True))
    rows = [
        {
            "model": name,
            "origin": origin_of[name],
            "similarity": float(np.nanmean(found)),
            "matched": float(np.isfinite(found).mean()),
            "num_matrices": len(own),
        }
        for name, found in best.items()
        if np.isfinite(found).any()
    ]
    table = pd.DataFrame(rows, columns=["model", "origin", "similarity", "matched", "num_matrices"])
    return table.sort_values(["similarity", "model"], ascending=[False, True]).head(count).reset_index(drop=True)


def match_words(found: Match) -> list[str]:
    """A match as plain lines."""
    lines = [f"{found.name}: {len(found.recurring):,} known patterns recur, {len(found.new):,} findings are new."]
    if found.nearest is None:
        lines.append("  It has no signatures yet.")
    else:
        lines += [f"  near: {row.model} ({row.similarity:+.2f})" for row in found.nearest.head(5).itertuples()]
    lines += [f"  again: {one.kept.title}, known of {', '.join(one.kept.model_names)}" for one in found.recurring]
    return lines + [f"  new:   {pattern.title}: {pattern.words}" for pattern in found.new]


def _best_by_model(own, own_roles, others, other_roles, names) -> dict[str, np.ndarray]:
    """Model -> (own matrices,) largest cosine with one of its matrices of the same role; NaN where it has none."""
    best = {str(name): np.full(len(own), np.nan) for name in np.unique(names)} if len(names) else {}
    for role in np.unique(own_roles):
        mine, theirs = np.flatnonzero(own_roles == role), np.flatnonzero(other_roles == role)
        if not len(theirs):
            continue
        theirs = theirs[np.argsort(names[theirs], kind="stable")]
        firsts = np.flatnonzero(np.r_[True, names[theirs][1:] != names[theirs][:-1]])
        cosines = np.maximum.reduceat(own[mine] @ others[theirs].T, firsts, axis=1)
        for column, name in enumerate(names[theirs][firsts]):
            best[str(name)][mine] = cosines[:, column]
    return best


def _unit(standard: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(standard, axis=1, keepdims=True)
    return (standard / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _sameness(pattern: Pattern) -> tuple[str, str, str]:
    """What two patterns of different models have in common if they are the same one."""
    return pattern.kind, pattern.name, place(pattern.tensor).role if pattern.tensor else ""


def _of_health(store: Store, key: str, who: dict) -> list[Pattern]:
    check = store.health_check(key)
    if check is None:
        return []
    rules, titles = {"rules": check[0]}, all_rules()
    found = []
    for one in store.findings(key):
        title = titles[one.rule].title if one.rule in titles else one.rule
        numbers = {"threshold": one.threshold, "num_lines": one.num_lines, "severity": one.severity}
        found.append(_made("health", one.rule, title, one.words, one.tensor, one.value, numbers, rules, who))
    return found


def _of_forensics(store: Store, key: str, who: dict) -> list[Pattern]:
    told = store.forensics(key)
    if told is None:
        return []
    settings, found = {"version": told.version}, []
    if told.is_upcast:
        return [_made("forensics", "upcast", "Only widened", told.sentences[0], "", math.nan, {}, settings, who)]
    for one in told.tensors:
        if one.num_never:
            words = f"{one.num_never:,} of {one.num_rows:,} rows were never updated since {one.shorter}."
            numbers = {"num_never": one.num_never, "num_rows": one.num_rows}
            share, title = one.num_never / one.num_rows, f"{role_title(one.role)}: rows never updated"
            found.append(_made("forensics", "never_updated", title, words, one.tensor, share, numbers, settings, who))
    return found


def _of_suggestions(store: Store, key: str, who: dict) -> list[Pattern]:
    told, ideas = store.suggestions(key), all_ideas()
    return [
        _made(
            "suggestion",
            one.idea,
            ideas[one.idea].title if one.idea in ideas else one.idea,
            one.words,
            "",
            one.gain_bits,
            {"gain_bytes": one.gain_bytes, **one.evidence},
            {"version": told.version, "recipe": dict(one.recipe), "baseline": one.baseline},
            who,
        )
        for one in (told.suggestions if told else ())
        if one.state == "found"
    ]


def _of_tests(store: Store, key: str) -> list[Pattern]:
    found = []
    for test in store.pattern_tests(key):
        who = {
            "model_names": tuple(model.name for model in test.models),
            "content_hashes": tuple(model.content_hash for model in test.models),
        }
        numbers = {"num_lineages": test.num_lineages, "power": test.power}
        settings = test.settings | {"null": test.null_name}
        words = " ".join(test.sentences)
        title = f"Shared patterns of {len(test.models)} models"
        found.append(_made("shared", test.verdict, title, words, "", test.group_bits, numbers, settings, who))
    return found


def _made(kind, name, title, words, tensor, value, numbers, settings, who) -> Pattern:
    key = pattern_key(kind, name, tensor, who["content_hashes"])
    settings = settings | ({"signature_version": SIGNATURE_VERSION} if kind == "anomaly" else {})
    return Pattern(key, kind, name, title, words, tensor, value=value, numbers=numbers, settings=settings, **who)


def _hashes(store: Store) -> dict[str, str]:
    return {model.name: model.content_hash for model in store.models()}


def pattern_key(kind: str, name: str, tensor: str, content_hashes: Sequence[str]) -> str:
    """Under which a pattern is kept: the same for the same finding in the same models, whenever it is found."""
    identity = json.dumps([kind, name, tensor, sorted(content_hashes)])
    return hashlib.sha256(identity.encode()).hexdigest()[:32]
