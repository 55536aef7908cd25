"""The test bed's answer as one Markdown file with figures, all of it from stored results."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version as version_of
from pathlib import Path

import altair as alt
import pandas as pd

from engine.discovery.nulls import DEFAULT_NULL, NULLS
from engine.discovery.projections import project
from engine.discovery.sharing_dividend import SHARED_BITS
from engine.discovery.verdict import ALPHA, bits_text
from engine.naming import role_title
from figures.charts_export import chart_svg
from figures.discovery import null_map, signature_map
from figures.shared_patterns import dividend_matrix, effect_forest, subspace_chart, variance_bars
from storage.store import Store
from workflows.discovery_tables import signature_table
from workflows.folders import replace_text
from workflows.product import signature
from workflows.shared_patterns import PatternOutcome
from workflows.testbed import TestbedOutcome, TestbedSettings
from workflows.testbed_findings import (
    Expectation,
    Findings,
    by_kind,
    by_role,
    expectations,
    findings,
    mark,
    number,
    shares_of_variance,
)
from workflows.testbed_texts import Text
from workflows.testbed_zoo import QUICK, facts_of, freed_folder

NAME = "shared-patterns"
COMMAND = "python -m workflows testbed"
MOST_EFFECTS = 24
PAIR_COLUMNS = ("pair", "pairs", "ρ as stored", "ρ aligned", "gross", "null", "net", "largest net", "coded", "CKA")


def write_report(
    store: Store, outcome: TestbedOutcome, settings: TestbedSettings, texts: Sequence[Text], folder: Path, command: str
) -> Path:
    """Write `shared-patterns.md` and its figures in `shared-patterns/` into a folder; the same results, the same bytes.

    Args: texts: what the models learnt from. command: as it was given, for those who want to repeat it.
    Returns: the document.
    """
    found = findings(store, outcome)
    pictures = folder / NAME
    pictures.mkdir(parents=True, exist_ok=True)
    for name, chart in _figures(store, outcome, found).items():
        (pictures / f"{name}.svg").write_bytes(chart_svg(chart))
    judged = expectations(found, outcome)
    parts = [
        _answer(outcome, settings, judged, found),
        _expected(judged),
        _dividends(found),
        _form(store, outcome, found),
        _verdicts(outcome),
        _models(outcome, texts),
        _limits(outcome),
        _again(outcome, settings, texts, command),
    ]
    document = folder / f"{NAME}.md"
    replace_text(document, "\n\n".join(parts) + "\n")
    return document


def _answer(outcome: TestbedOutcome, settings: TestbedSettings, judged: Sequence[Expectation], found: Findings) -> str:
    is_kin = found.trained["is_related"].astype(bool)
    kin, strangers = found.trained[is_kin], found.trained[~is_kin]
    points = [
        f"**Models of one origin** save {_span(kin)} bits per weight of each other ({len(kin)} pairs).",
        f"**Models without a common origin** save {_span(strangers)} bits per weight ({len(strangers)} pairs), after "
        f"what alignment finds in noise is taken away, and before telling the order of units is paid for; really "
        f"coding one given the other saves {bits_text(strangers['coded_gain'].min())} to "
        f"{bits_text(strangers['coded_gain'].max())}.",
        *_where(found, strangers),
    ]
    if settings.zoo == QUICK:
        points.insert(
            0, "**These models are tiny and hardly trained** (`--quick`): this shows how it is asked, no more."
        )
    against = [one for one in judged if one.holds is False]
    return "\n\n".join(
        [
            "# Do differently trained models share weight patterns, and would sharing compress them?",
            f"Written by `{COMMAND}` ({signature()}) from the results that it stored; no number here was typed in.",
            "## The answer",
            f"**{outcome.trained.sentences[0]}** So says the product of {len(outcome.trained.names)} models of one "
            f"shape, {outcome.trained.num_lineages} of them independent. What is behind it:",
            "\n".join(f"- {point}" for point in points),
            f"{len(against)} of {len(judged)} expectations from earlier work did not hold here; they are marked below."
            if against
            else f"All {len(judged)} expectations from earlier work held.",
        ]
    )


def _where(found: Findings, strangers: pd.DataFrame) -> list[str]:
    """In which matrices strangers share what they share, and what is left without the one direction."""
    if not float(strangers["net"].max()) > SHARED_BITS:
        return []
    roles, starts, freed = (by_role(pairs) for pairs in (strangers, found.starts, found.freed))
    beyond = {role: bits - starts.get(role, 0.0) for role, bits in roles.items()}
    first, second, *_ = sorted(beyond, key=lambda role: -beyond[role])
    before, after = (float(pairs["net"].astype(float).mean()) for pairs in (strangers, found.freed))
    return [
        f"**Most of it is in {_named(first)}**: {bits_text(beyond[first])} bits per weight more in common than "
        f"untrained models have there; in {_named(second)}, the next role, {bits_text(beyond[second])} more.",
        f"**{1 - max(after, 0) / before:.0%} of it is one direction** of the embedding: training adds one vector, more "
        "or less of it, to every row, and sorting columns lays any two such vectors over each other. Without it the "
        f"same models save {_span(found.freed)} bits per weight, {bits_text(after)} on average instead of "
        f"{bits_text(before)}, most of it in {_named(max(freed, key=freed.__getitem__))}. One direction takes no "
        "second model to write: it is two short vectors.",
    ]


def _span(pairs: pd.DataFrame) -> str:
    return f"{bits_text(float(pairs['net'].min()))} to {bits_text(float(pairs['net'].max()))}"


def _named(role: str) -> str:
    return f"*{role_title(role)}*"


def _expected(judged: Sequence[Expectation]) -> str:
    rows = [[one.claim, one.found, mark(one.holds)] for one in judged]
    return "## Expected and found\n\nExpected from earlier, separate work on nine models of this size.\n\n" + _table(
        ["expected", "found here", "holds"], rows
    )


def _dividends(found: Findings) -> str:
    table = by_kind(found)
    columns = ("correlation", "aligned_correlation", "gross", "null_bits", "net", "largest", "coded_gain")
    rows = [
        [
            row["kind"],
            str(row["pairs"]),
            *(number(row[name], 4 if name != "correlation" else 3) for name in columns),
            number(row["cka"], 2),
            number(row["cka_null"], 2),
        ]
        for row in table.to_dict("records")
    ]
    roles = by_role(found.trained[~found.trained["is_related"].astype(bool)])
    freed = by_role(found.freed)
    starts = by_role(found.starts)
    by = [[role_title(role), *(number(each.get(role), 4) for each in (roles, freed, starts))] for role in roles]
    return "\n\n".join(
        [
            "## Sharing dividends",
            "½·log₂(1 / (1 − ρ²)) bits per weight that knowing one model saves in writing another, in the order "
            "of units that saves most, less what the same alignment finds in nulls of both. *Coded* is what an "
            "entropy coder really saved, side information counted; below 0 the order of units cost more than it "
            "brought. Means over pairs; CKA compares what the models make of 64 passages, beside random starts.",
            _table([*PAIR_COLUMNS, "CKA, random starts"], rows),
            f"![Net sharing dividends of all pairs]({NAME}/dividends.svg)",
            "Where it comes from: gross bits per weight by role, between models without a common origin.",
            _table(["role", "trained", "embedding freed", "before training"], by),
        ]
    )


def _form(store: Store, outcome: TestbedOutcome, found: Findings) -> str:
    effects = store.pattern_effects(outcome.trained.test)
    counts = {
        question: (int((own["q_value"] <= ALPHA).sum()), len(own))
        for question, own in effects.groupby("question", sort=False)
    }
    level, agreement = counts.get("level", (0, 0)), counts.get("agreement", (0, 0))
    shares = [
        [
            row["factor"],
            number(row["eta_squared"], 2),
            f"{number(row['low'], 2)} … {number(row['high'], 2)}",
            number(row["excess"], 2),
        ]
        for row in shares_of_variance(found.variances).to_dict("records")
    ]
    parts = [
        "## The form of the weights",
        f"Against the null that keeps the norm of every row and column: {level[0]} of {level[1]} features by role lie "
        f"to one side of it (q ≤ {ALPHA:g}), and in {agreement[0]} of {agreement[1]} features models agree on which "
        "positions are high and low.",
        f"![Effects against the null, the most certain first]({NAME}/effects.svg)",
        "How much of the variance of a feature is due to what (median η² over features, quartiles, and beyond chance):",
        _table(["factor", "η²", "quartiles", "beyond chance"], shares),
        f"![What features vary with]({NAME}/variances.svg)",
    ]
    if len(found.subspace):
        parts += [
            "How much of a model the directions of the others explain, if it is left out:",
            f"![Leave-one-out subspace test]({NAME}/subspace.svg)",
        ]
    parts += [
        "All signatures of the trained models on their first two principal components, and beside them the same map of "
        "their nulls. Groups that the null shows as well are no finding.",
        f"![Map of signatures beside the map of their nulls]({NAME}/map.svg)",
    ]
    return "\n\n".join(parts)


def _verdicts(outcome: TestbedOutcome) -> str:
    tests = {
        "The trained models": outcome.trained,
        "The independent ones, their embeddings freed of the leading direction": outcome.freed,
        "The same before training (a control: nothing but the initial law can be shared)": outcome.starts,
        "Kinds of models: one of each text, the two other shapes, and models from elsewhere": outcome.kinds,
    }
    return "## What the product says, word by word\n\n" + "\n\n".join(
        _verdict(title, test) for title, test in tests.items()
    )


def _verdict(title: str, test: PatternOutcome) -> str:
    told = "\n".join(
        f"> {line}".rstrip() for line in (" ".join(test.sentences), "", *(f"- Limit: {one}" for one in test.limits))
    )
    return (
        f"### {title}\n\n{len(test.names)} models, {test.num_lineages} independent: {', '.join(test.names)}.\n\n{told}"
    )


def _models(outcome: TestbedOutcome, texts: Sequence[Text]) -> str:
    zoo, titles = outcome.zoo, {text.name: text.title for text in texts}
    rows = []
    for member in zoo.members:
        facts = facts_of(zoo.folder / member.name)
        grown = f"{number(facts['bits_per_byte_before'], 2)} → {number(facts['bits_per_byte'], 2)}"
        rows.append([zoo.names[member.name], member.part, member.text, str(member.start), str(member.order)])
        rows[-1] += [f"{facts['num_parameters']:,}", str(facts["steps"]), grown]
    shares = [
        facts_of(freed_folder(zoo.folder, one))["leading_share"] for one in zoo.members if one.part == "independent"
    ]
    learnt = "; ".join(f"*{name}*: {title}" for name, title in titles.items())
    return "\n\n".join(
        [
            "## The models",
            f"Decoders (Llama layout, tied embeddings) with one vocabulary for all. {learnt}. *Start* is the seed of "
            "the first weights, *order* that of the order of the text. The leading direction holds "
            f"{min(shares):.0%} to {max(shares):.0%} of the squares of the independent models' embeddings.",
            _table(["model", "part", "text", "start", "order", "parameters", "steps", "held-out bits per byte"], rows),
            f"From elsewhere: {', '.join(zoo.others) or 'none'}."
            + "".join(f" Left out: {name} ({reason})." for name, reason in zoo.left_out.items()),
        ]
    )


def _limits(outcome: TestbedOutcome) -> str:
    trained = [facts_of(outcome.zoo.folder / member.name) for member in outcome.zoo.members]
    most = max(facts["num_parameters"] for facts in trained)
    return "\n".join(
        [
            "## Limits",
            "",
            f"- The zoo is small: at most {most:,} parameters, {max(facts['steps'] for facts in trained)} updates, far "
            "from trained out. What large, long-trained models share is another question.",
            "- All its models have one vocabulary. Equal rows of two embeddings mean equal words, which models from "
            "different makers do not have.",
            "- The texts are all about Python. They differ in kind (manual, code, descriptions), not in language.",
            "- Only permutations that change no output are searched, and not all of them: the alignment is a local "
            "optimum, for models and nulls alike.",
            "- Effects against a null say that trained weights are not noise of those row and column norms. That many "
            "of them agree is a fact about training, not a way to write weights in fewer bits.",
        ]
    )


def _again(outcome: TestbedOutcome, settings: TestbedSettings, texts: Sequence[Text], command: str) -> str:
    zoo = settings.zoo
    made = ", ".join(f"{name} {version_of(name)}" for name in ("torch", "transformers", "tokenizers", "numpy", "scipy"))
    rows = [
        [text.name, str(len(text.training.documents)), f"{text.num_bytes:,}", f"`{text.sha256[:16]}…`"]
        for text in texts
    ]
    return "\n\n".join(
        [
            "## Do it again",
            f"```console\n{command}\n```",
            f"Each model learns on one thread in fp32, so that the same versions give the same bits. {signature()}, "
            f"Python {platform.python_version()}, {made}. Null: {NULLS[DEFAULT_NULL].title}, {settings.draws} draws. "
            f"Training: AdamW, {zoo.learning_rate:g} (the child {zoo.child_rate:g}), {zoo.batch_size} windows of "
            f"{zoo.context} tokens, {zoo.steps} updates (the child {zoo.child_steps}); vocabulary "
            f"{zoo.vocabulary_size:,}.",
            "Texts (SHA-256 of names and texts before the split; they come with Python and differ between versions):",
            _table(["text", "documents for training", "bytes", "SHA-256"], rows),
        ]
    )


def _figures(store: Store, outcome: TestbedOutcome, found: Findings) -> dict[str, alt.TopLevelMixin]:
    names = list(outcome.trained.names)
    effects = store.pattern_effects(outcome.trained.test)
    level = effects[effects["question"] == "level"].head(MOST_EFFECTS)
    figures: dict[str, alt.TopLevelMixin] = {
        "dividends": dividend_matrix(names, found.trained),
        "effects": effect_forest(level),
        "variances": variance_bars(found.variances),
        "map": _map(store, names),
    }
    if len(found.subspace):
        figures["subspace"] = subspace_chart(found.subspace)
    return figures


def _map(store: Store, names: Sequence[str]) -> alt.HConcatChart:
    table = signature_table(store, DEFAULT_NULL)
    table = table.where((table.places["model"].isin(names) & table.has_null).to_numpy())
    own, null = project(table.standard, "PCA"), project(table.null_standard, "PCA")
    labels = table.places.assign(id=range(len(table.places)))
    left = signature_map(own.points, labels, "role", title="signatures", explained=own.explained)
    right = null_map(null.points, title="signatures of their nulls", explained=null.explained)
    return alt.hconcat(*(chart.properties(width=420, height=420) for chart in (left, right)))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
