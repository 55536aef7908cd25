"""A report on a model: what was seen and found, put together from what is stored and from the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pandas as pd

from engine.errors import WeightscopeError
from engine.health.registry import all_rules
from engine.naming import ROLES, role_title
from figures.distributions import histogram
from figures.report_document import (
    Block,
    Bullets,
    Facts,
    Found,
    FoundItem,
    Heading,
    ReportDocument,
    Section,
    Table,
    Words,
)
from figures.spectrum import measure_by_layer
from storage.records import Location
from storage.sessions import SavedView
from storage.store import Store
from workflows.library import location, locations, resolve
from workflows.product import signature
from workflows.report_pictures import Desk, fresh_hash, panorama
from workflows.report_spectra import alpha_by_layer, density
from workflows.report_views import change_blocks, health_picture, view_blocks
from workflows.reports import Meter, Report
from workflows.wording import bytes_text, count_text

MOST_VIEWS, MOST_ROWS, MOST_FINDINGS, MOST_HISTOGRAMS, MOST_CHANGES = 12, 300, 60, 4, 20
"""Bounds of a report, said in it where they cut; ours: the largest then stays under 40 MB, what mail just takes."""

MEASURE_FIRST = "Measure this model first: its numbers are not in the database."


@dataclass(frozen=True)
class ReportOrder:
    """What a report shall hold.

    Attributes:
        model: its name here, or a path. sections: keys of `SECTIONS`, in any order.
        views: saved views, at most `MOST_VIEWS`. other: the model it is compared with; "" for none.
        title, note, date: the author's own; an empty title becomes the model's name, the others are left out.
    """

    model: str
    sections: tuple[str, ...]
    views: tuple[SavedView, ...] = ()
    other: str = ""
    title: str = ""
    note: str = ""
    date: str = ""


@dataclass(frozen=True, eq=False)
class _Subject:
    """What the sections draw from: stats are those of the measured tensors, empty if it is not measured."""

    desk: Desk
    order: ReportOrder
    location: Location
    known: list[Location]
    content_hash: str | None
    stats: pd.DataFrame = field(repr=False)


def make_report(order: ReportOrder, *, store: Store, report: Report | None = None) -> ReportDocument:
    """Put the report together. The same order on the same weights and readings gives the same document.

    Args: report: hears progress, a step for each section and view; may stop the work.
    Raises: SourceError if the model is not here; Cancelled.
    """
    report = report or Report()
    subject_location = resolve(store, order.model)
    chosen = [name for name in SECTIONS if name in order.sections]
    meter = Meter(report, "drawing", len(chosen) + len(order.views), unit="parts")
    desk = Desk(store)
    try:
        content_hash = fresh_hash(subject_location)
        stats = store.tensor_stats(content_hash or "")
        subject = _Subject(desk, order, subject_location, locations(store), content_hash, stats)
        sections = []
        for name in chosen:
            title, make = SECTIONS[name]
            meter.say(title)
            blocks = tuple(_blocks(make, subject, meter))
            meter.advance(1, title)
            if blocks:
                sections.append(Section(title, blocks))
    finally:
        desk.close()
    facts = [count_text(subject_location.num_parameters) + " parameters", bytes_text(subject_location.num_bytes)]
    identity = f" · content {content_hash}" if content_hash else ""
    return ReportDocument(
        title=order.title.strip() or subject_location.name,
        subtitle=" · ".join([subject_location.name, *facts]),
        sections=tuple(sections),
        date=order.date.strip(),
        source=f"{signature()} · {subject_location.name}{identity}",
    )


def _blocks(make: Callable[[_Subject, Meter], Iterable[Block]], subject: _Subject, meter: Meter) -> list[Block]:
    try:
        return list(make(subject, meter))
    except WeightscopeError as error:
        if type(error).__name__ == "Cancelled":
            raise
        return [Words(f"This part could not be made. {error.message}", "warning")]


def _notes(subject: _Subject, _: Meter) -> list[Block]:
    return [Words(subject.order.note, "note")] if subject.order.note.strip() else []


def _summary(subject: _Subject, _: Meter) -> list[Block]:
    source, where = subject.desk.open(subject.location), subject.location
    types: dict[str, int] = {}
    for info in source.infos():
        types[info.dtype] = types.get(info.dtype, 0) + info.num_elements
    stats = subject.stats
    layers = int(stats["layer"].dropna().nunique()) if len(stats) else 0
    rows = [
        ("Parameters", f"{where.num_parameters:,}"),
        ("Tensors", f"{where.num_tensors:,}"),
        ("Size", bytes_text(where.num_bytes)),
        ("Number types", ", ".join(sorted(types, key=lambda name: (-types[name], name)))),
        ("Format", where.format),
        *([("Layers", f"{layers:,}")] if layers else []),
    ]
    model = subject.desk.store.model(subject.content_hash) if subject.content_hash else None
    if model is not None:
        rows.append(("Architecture", model.family))
    return [Facts(tuple(rows)), *([_roles(stats)] if len(stats) else [Words(MEASURE_FIRST, "warning")])]


def _roles(stats: pd.DataFrame) -> Table:
    """Where the parameters are."""
    total = max(int(stats["num_elements"].sum()), 1)
    rows = []
    for role, group in stats.groupby("role", sort=False):
        count = int(group["num_elements"].sum())
        order = ROLES.index(role) if role in ROLES else len(ROLES)
        rows.append((order, role_title(str(role)), f"{len(group):,}", f"{count:,}", f"{count / total:.1%}"))
    ordered = tuple(row[1:] for row in sorted(rows))
    return Table(("role", "tensors", "parameters", "share"), ordered, frozenset({1, 2, 3}))


def _panorama(subject: _Subject, _: Meter) -> list[Block]:
    drawn = panorama(subject.desk, subject.location)
    return [drawn or Words("The pictures of a model this large are made when it is measured.", "warning")]


def _views(subject: _Subject, meter: Meter) -> Iterable[Block]:
    for view in subject.order.views[:MOST_VIEWS]:
        meter.say(view.name)
        yield from view_blocks(subject.desk, view, subject.known)
        meter.advance(1, view.name)
    left_out = subject.order.views[MOST_VIEWS:]
    if left_out:
        names = ", ".join(view.name for view in left_out)
        yield Words(f"A report holds {MOST_VIEWS} views; these are left out: {names}.", "warning")


def _distributions(subject: _Subject, _: Meter) -> Iterable[Block]:
    stats, desk, name = subject.stats, subject.desk, subject.location.name
    weights = stats[(stats["part"] == "weight") & stats["std"].notna()] if len(stats) else stats
    if weights.empty:
        yield Words(MEASURE_FIRST, "warning")
        return
    shown = weights.assign(role=[role_title(role) for role in weights["role"]])
    yield desk.chart(
        f"{name}.spread",
        f"Standard deviation of the weights of {name} by layer and role",
        lambda _: measure_by_layer(shown, "std", "standard deviation"),
        "Spread of the weights by layer, a line for each role.",
    )
    in_views = {view.parameters["tensor"][0] for view in subject.order.views if "tensor" in view.parameters}
    ranked = weights.assign(is_seen=weights["tensor"].isin(in_views)).sort_values(
        ["is_seen", "kurtosis"], ascending=False, na_position="last", kind="stable"
    )
    yield Words("Histograms of the tensors in the views above, and of those with the heaviest tails (kurtosis).")
    for tensor in ranked["tensor"][:MOST_HISTOGRAMS]:
        distribution = desk.store.distribution(subject.content_hash, tensor)
        if distribution is not None and distribution.num_finite:
            yield desk.chart(
                f"{tensor}.histogram",
                f"Histogram of {tensor}",
                lambda _, each=distribution: histogram(each, log_counts=True, height=240).configure_axisX(
                    labelOverlap=True, labelSeparation=8
                ),
                tensor,
            )


def _statistics(subject: _Subject, _: Meter) -> list[Block]:
    stats = subject.stats
    if stats.empty:
        return [Words(MEASURE_FIRST, "warning")]
    columns = ("tensor", "shape", "type", "std", "min", "max", "kurtosis", "zeros", "NaN, Inf")
    rows = tuple(
        (
            row["tensor"],
            str(row["shape_text"]),
            row["dtype"],
            *(_number(row[measure]) for measure in ("std", "min", "max", "kurtosis")),
            _share(row["zero_fraction"]),
            _number(row["nan"] + row["posinf"] + row["neginf"]),
        )
        for row in stats.head(MOST_ROWS).to_dict("records")
    )
    caption = f"The first {MOST_ROWS:,} of {len(stats):,} tensors, in file order." if len(stats) > MOST_ROWS else ""
    return [Table(columns, rows, frozenset(range(3, 9)), caption)]


def _number(value: object) -> str:
    if value is None or pd.isna(value):
        return "–"
    return f"{int(value):,}" if float(value).is_integer() and abs(value) >= 1 else f"{value:.4g}"


def _share(value: object) -> str:
    return "–" if value is None or pd.isna(value) else f"{value:.2%}" if value else "0"


def _spectra(subject: _Subject, _: Meter) -> Iterable[Block]:
    desk = subject.desk
    table = desk.store.spectral_stats(subject.content_hash) if subject.content_hash else pd.DataFrame()
    if table.empty:
        yield Words("The spectra of this model have not been measured.", "warning")
        return
    if table["alpha"].notna().any():
        yield alpha_by_layer(desk, subject.location.name, table)
    ranked = table.sort_values("scaled_spikes", ascending=False, na_position="last", kind="stable")
    drawn = density(desk, subject.content_hash, ranked["tensor"].iloc[0])
    if drawn:
        yield drawn
    measures = {"alpha": "α", "scaled_spikes": "spikes", "stable_rank": "stable rank", "condition_number": "condition"}
    rows = tuple(
        (row["tensor"], *(_number(row[name]) for name in measures))
        for row in ranked.head(MOST_CHANGES).to_dict("records")
    )
    caption = f"The {len(rows)} matrices, of {len(table):,}, with the most directions that stand out of noise (spikes)."
    yield Table(("matrix", *measures.values()), rows, frozenset(range(1, 5)), caption)


def _health(subject: _Subject, _: Meter) -> Iterable[Block]:
    store = subject.desk.store
    if subject.content_hash is None or store.health_check(subject.content_hash) is None:
        yield Words("The health of this model has not been examined.", "warning")
        return
    found = store.findings(subject.content_hash)
    if not found:
        yield Words("No rule found anything odd.")
        return
    counts = {severity: sum(each.severity == severity for each in found) for severity in ("error", "warning", "note")}
    yield Facts(tuple((f"{severity}s", f"{count:,}") for severity, count in counts.items()))
    yield health_picture(subject.desk, subject.location, found)
    titles = {name: rule.title for name, rule in all_rules().items()}
    shown = found[:MOST_FINDINGS]
    yield Found(
        tuple(FoundItem(each.severity, titles.get(each.rule, each.rule), each.words, each.tensor) for each in shown)
    )
    if len(found) > len(shown):
        yield Words(f"The worst {len(shown)} of {len(found):,} findings.", "warning")


def _comparison(subject: _Subject, _: Meter) -> Iterable[Block]:
    if not subject.order.other:
        return
    store, other = subject.desk.store, location(subject.desk.store, subject.order.other)
    pair, hashes = (subject.location, other), (subject.content_hash, fresh_hash(other))
    if None not in hashes and store.comparison(*hashes) is None and store.comparison(*hashes[::-1]) is not None:
        pair, hashes = pair[::-1], hashes[::-1]
    yield Heading(f"{pair[0].name} → {pair[1].name}")
    blocks = change_blocks(subject.desk, *pair)
    yield from blocks
    if not isinstance(blocks[0], Bullets):
        return
    lineage = store.lineage(*hashes)
    if lineage is not None:
        yield Words(lineage.words, "note")
    stats = store.comparison_stats(*hashes)
    ranked = stats[stats["relative_change"].notna()].sort_values("relative_change", ascending=False, kind="stable")
    measures = {
        "relative_change": "‖Δ‖ / ‖A‖",
        "changed_fraction": "changed",
        "one_minus_cosine": "1 − cosine",
        "max_abs": "largest |Δ|",
    }
    rows = tuple(
        (row["tensor_a"], *(_number(row[name]) for name in measures))
        for row in ranked.head(MOST_CHANGES).to_dict("records")
    )
    caption = f"The {len(rows)} most changed of {len(ranked):,} tensors." if len(ranked) > len(rows) else ""
    yield Table(("tensor", *measures.values()), rows, frozenset(range(1, 5)), caption)


SECTIONS: dict[str, tuple[str, Callable[[_Subject, Meter], Iterable[Block]]]] = {
    "notes": ("Notes", _notes),
    "summary": ("The model", _summary),
    "panorama": ("All weights at a glance", _panorama),
    "views": ("Views", _views),
    "health": ("Health", _health),
    "comparison": ("What changed", _comparison),
    "distributions": ("Distributions", _distributions),
    "spectra": ("Spectra", _spectra),
    "statistics": ("Statistics", _statistics),
}
"""The parts of a report in reading order: key -> (title, what makes its blocks; none leaves the part out)."""
