"""The tensors of a checkpoint as an outline that opens and closes in the browser, with the share of each part."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from engine.tensor_tree import TensorNode
from workflows.wording import bytes_text, count_text

MOST_NODES = 3_000
"""Lines of the outline, some 600 bytes each; folded models have some hundred. The rest is counted."""

_STYLE = """<style>
.outline { font-size: 0.875rem; line-height: 1.75; }
.outline details > *:not(summary) { margin-left: 1.1rem; }
.outline summary { cursor: pointer; list-style: none; }
.outline summary::-webkit-details-marker { display: none; }
.outline .line { display: grid; border-radius: 6px; gap: 0 0.8rem; align-items: center;
  grid-template-columns: minmax(8rem, 1fr) 11rem 5.5rem 5.5rem 7rem; }
.outline .line:hover { background: color-mix(in srgb, currentColor 7%, transparent); }
.outline .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-family: monospace; }
.outline .name::before { content: ""; display: inline-block; width: 1.1rem; opacity: 0.6; font-family: sans-serif; }
.outline summary .name::before { content: "▸"; }
.outline details[open] > summary .name::before { content: "▾"; }
.outline .times { opacity: 0.65; font-family: sans-serif; }
.outline .shape, .outline .count, .outline .size { text-align: right; white-space: nowrap; opacity: 0.75;
  font-variant-numeric: tabular-nums; }
.outline .shape { overflow: hidden; text-overflow: ellipsis; }
.outline .bar { height: 6px; border-radius: 3px; background: color-mix(in srgb, currentColor 12%, transparent); }
.outline .bar > i { display: block; height: 100%; border-radius: 3px; background: #0b6bcb; }
@media (max-width: 700px) { .outline .line { grid-template-columns: minmax(6rem, 1fr) 5rem; }
  .outline .shape, .outline .count, .outline .bar { display: none; } }
</style>"""


def tensor_outline(nodes: Sequence[TensorNode]) -> None:
    """Draw it. Names come from files of anyone: they are escaped, and Streamlit cleans the rest once more."""
    total = sum(node.num_bytes for node in nodes) or 1
    budget = [MOST_NODES]
    body = "".join(_html(node, total, budget, depth=0) for node in nodes)
    rest = f"<p>… and more: the outline ends after {MOST_NODES:,} lines.</p>" if budget[0] < 0 else ""
    st.html(f"{_STYLE}<div class='outline'>{body}{rest}</div>")


def _html(node: TensorNode, total: int, budget: list[int], depth: int) -> str:
    budget[0] -= 1
    if budget[0] < 0:
        return ""
    if not node.children:
        return f"<div class='leaf'>{_line(node, total)}</div>"
    inner = "".join(_html(child, total, budget, depth + 1) for child in node.children)
    is_open = " open" if depth == 0 else ""
    return f"<details{is_open}><summary>{_line(node, total)}</summary>{inner}</details>"


def _line(node: TensorNode, total: int) -> str:
    name = escape(node.name[:200])
    times = f" <span class='times'>× {node.count}</span>" if node.count > 1 else ""
    if node.shape is None:
        shape = f"{node.num_tensors:,} tensors"
    else:
        shape = f"{' × '.join(map(str, node.shape)) or 'scalar'} {escape(node.dtype or '')}"
    share = 100 * node.num_bytes / total
    return (
        f"<span class='line'><span class='name' title='{name}'>{name}{times}</span>"
        f"<span class='shape'>{shape}</span><span class='count'>{count_text(node.num_parameters)}</span>"
        f"<span class='size'>{bytes_text(node.num_bytes)}</span>"
        f"<span class='bar' title='{share:.3g} %'><i style='width:{share:.2f}%'></i></span></span>"
    )
