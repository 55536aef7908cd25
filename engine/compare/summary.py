"""What changed between two checkpoints, in plain words: the same rows always give the same sentences."""

from __future__ import annotations

from collections.abc import Sequence

from engine.compare.comparison import TensorComparison
from engine.compare.matching import Match, Matching
from engine.compare.wording import numbers, percent
from engine.naming import role_title

GROUPS: dict[str, frozenset[str]] = {
    "embeddings": frozenset({"token_embedding", "position_embedding", "segment_embedding", "patch_embedding"}),
    "attention projections": frozenset({"query", "key", "value", "qkv", "key_value"}),
    "attention output": frozenset({"output"}),
    "feed-forward": frozenset({"ffn_in", "ffn_gate", "ffn_out", "ffn_gate_in"}),
    "norms": frozenset(
        {"attention_norm", "ffn_norm", "final_norm", "embedding_norm", "norm", "query_norm", "key_norm"}
    ),
    "output head": frozenset({"lm_head", "classifier"}),
}
"""How people speak of roles; a role that is in none stands for itself."""


def summary(matching: Matching, rows: Sequence[TensorComparison]) -> list[str]:
    """Sentences from the most general to the details; plain text, never empty.

    Args: rows: of the matching's pairs, in its order.
    """
    compared = [row for row in rows if row.difference is not None and row.difference.count]
    if not compared:
        return ["No tensor of one can be compared with a tensor of the other.", *_rest(matching, rows)]
    changed = [row for row in compared if row.difference.num_changed]
    sentences = [_headline(compared, changed)]
    if changed:
        sentences += [_where(compared, changed), _how_much(changed)]
        sentences += _character(changed)
    return [sentence for sentence in sentences if sentence] + _rest(matching, rows)


def _headline(compared: list[TensorComparison], changed: list[TensorComparison]) -> str:
    total = sum(row.difference.count for row in compared)
    if not changed:
        return (
            f"Nothing changed: all {total:,} weights in {_counted(len(compared), 'tensor')} are equal to the last bit."
        )
    if all(row.difference.l2_delta == 0 and not row.difference.num_excluded for row in changed):
        return "All values are equal; only the signs of zeros differ."
    different = sum(row.difference.num_changed for row in changed)
    sign = "" if all(row.difference.is_bitwise for row in compared) else " once both are converted to one type"
    return f"{percent(different / total)} of {total:,} weights differ in a bit{sign}."


def _where(compared: list[TensorComparison], changed: list[TensorComparison]) -> str:
    """Which parts changed and which did not: by group, and by layer where not all of them did."""
    if len(changed) == len(compared):
        return f"All {_counted(len(compared), 'tensor')} changed."
    parts, equal = [], []
    order = list(GROUPS)
    groups = dict.fromkeys(_group(row.match) for row in compared)
    for group in sorted(groups, key=lambda name: order.index(name) if name in order else len(order)):
        members = [row for row in compared if _group(row.match) == group]
        touched = [row for row in members if row.difference.num_changed]
        if not touched:
            equal.append(group)
        else:
            parts.append(group + _layers(members, touched))
    kept = f"; {_and(equal)} {'is' if equal == ['attention output'] else 'are'} identical" if equal else ""
    return f"Only the {_and(parts)} changed{kept}."


def _layers(members: list[TensorComparison], touched: list[TensorComparison]) -> str:
    """ " of layers 8–11", or "" where every layer is touched or there are none."""
    every = {row.match.place.layer for row in members} - {None}
    layers = {row.match.place.layer for row in touched} - {None}
    if not layers or layers == every:
        return "" if len(touched) == len(members) or layers else f" ({len(touched)} of {len(members)} tensors)"
    return f" of layer{'s' if len(layers) > 1 else ''} {numbers(sorted(layers))}"


def _how_much(changed: list[TensorComparison]) -> str:
    measured = [row for row in changed if row.difference.relative_change == row.difference.relative_change]
    if not measured:
        return ""
    most = max(measured, key=lambda row: row.difference.relative_change)
    delta = sum(row.difference.l2_delta**2 for row in measured) ** 0.5
    whole = sum(row.difference.l2_a**2 for row in measured) ** 0.5
    overall = f"‖Δ‖ is {percent(delta / whole)} of ‖A‖ over what changed; " if whole else ""
    return f"{overall}the most in {most.match.name_a} ({percent(most.difference.relative_change)})."


def _character(changed: list[TensorComparison]) -> list[str]:
    """What kind of change it looks like, from Δ's rank and from zeros."""
    sentences = []
    spectra = [row.spectrum for row in changed if row.spectrum is not None and row.spectrum.full_rank >= 16]
    low = [spectrum for spectrum in spectra if spectrum.is_low_rank]
    if low and len(low) == len(spectra):
        rank = max(spectrum.rank_99 for spectrum in low)
        sentences.append(f"Every changed matrix changed in at most {rank} directions, as a low-rank adapter does.")
    broken = sum(row.difference.num_nan_b + row.difference.num_inf_b for row in changed)
    before = sum(row.difference.num_nan_a + row.difference.num_inf_a for row in changed)
    if broken > before:
        sentences.append(f"B holds {broken:,} entries that are NaN or infinite, A holds {before:,}.")
    return sentences


def _rest(matching: Matching, rows: Sequence[TensorComparison]) -> list[str]:
    """What does not stand against anything, and what was not plain."""
    sentences = []
    for match in (row.match for row in rows):
        if match.num_added:
            sentences.append(f"{_table(match)} grew by {_counted(match.num_added, 'row')}.")
        if match.num_removed:
            sentences.append(f"{_table(match)} shrank by {_counted(match.num_removed, 'row')}.")
    types = sorted({(row.match.dtype_a, row.match.dtype_b) for row in rows if row.match.dtype_a != row.match.dtype_b})
    if types:
        sentences.append(f"Stored types differ: {_and([f'{a} in A, {b} in B' for a, b in types])}.")
    failed = [row for row in rows if row.difference is None]
    if failed:
        names = _and([row.match.name_a for row in failed[:3]] + ([f"{len(failed) - 3} others"] if failed[3:] else []))
        sentences.append(f"Not compared: {names}.")
    for side, names in (("A", matching.only_a), ("B", matching.only_b)):
        if names:
            shown = [*names[:3], *([f"{len(names) - 3} others"] if names[3:] else [])]
            sentences.append(f"Only {side} has {_and(list(shown))}.")
    return list(dict.fromkeys(sentences)) + list(matching.notes)


def _group(match: Match) -> str:
    role = match.place.role
    return next((name for name, roles in GROUPS.items() if role in roles), role_title(role).lower())


def _table(match: Match) -> str:
    names = {"token_embedding": "The vocabulary", "lm_head": "The output head"}
    return names.get(match.place.role, role_title(match.place.role))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
