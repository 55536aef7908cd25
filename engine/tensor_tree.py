"""The tensors of a checkpoint as a tree by their dotted names, with repeated layers folded into one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.sources.base import TensorInfo


@dataclass(frozen=True)
class TensorNode:
    """A module or a tensor.

    Attributes:
        name: its own part of the dotted name; "0 … 31" for numbered siblings of equal structure.
        count: how many siblings it stands for, 1 if only itself.
        num_tensors, num_parameters, num_bytes: of all of them together, with everything below.
        shape, dtype: of a tensor; None of a module.
        children: in the checkpoint's order; those of the first sibling where several were folded.
    """

    name: str
    count: int
    num_tensors: int
    num_parameters: int
    num_bytes: int
    shape: tuple[int, ...] | None
    dtype: str | None
    children: tuple[TensorNode, ...] = ()


def tensor_tree(infos: Iterable[TensorInfo]) -> tuple[TensorNode, ...]:
    """The top of the tree.

    Numbered siblings in a row with the same names, shapes and types below them become one node, so that a model of 80
    layers or 256 experts reads like one of one. A module that holds nothing but one other module is joined with it.

    Returns: nodes in the checkpoint's order, numbers in their own; their sums are those of all tensors.
    """
    top: dict = {}
    for info in infos:
        branch = top
        *modules, leaf = info.name.split(".")
        for module in modules:
            inner = branch.get(module)
            if not isinstance(inner, dict):  # a tensor called like a module: keep both
                module = module if inner is None else f"{module}."
                inner = branch.setdefault(module, {})
            branch = inner
        branch[leaf if leaf not in branch else f"{leaf} ({info.name})"] = info
    return _folded([_node(name, value) for name, value in _sorted(top)])


def _sorted(branch: dict) -> list[tuple[str, object]]:
    """A module's parts in order; numbers by value, since some files sort layer 10 before layer 2."""
    items = list(branch.items())
    if all(name.isdecimal() for name, _ in items):
        items.sort(key=lambda item: int(item[0]))
    return items


def _node(name: str, value: dict | TensorInfo) -> TensorNode:
    if isinstance(value, TensorInfo):
        return TensorNode(name, 1, 1, value.num_elements, value.num_bytes, value.shape, value.dtype)
    while len(value) == 1:
        part, inner = next(iter(value.items()))
        if not isinstance(inner, dict) or name.isdecimal() or part.isdecimal():  # numbers stay by themselves, to fold
            break
        name, value = f"{name}.{part}", inner
    children = _folded([_node(part, below) for part, below in _sorted(value)])
    sums = [sum(getattr(child, field) for child in children) for field in _SUMS]
    return TensorNode(name, 1, *sums, None, None, children)


_SUMS = ("num_tensors", "num_parameters", "num_bytes")


def _folded(nodes: list[TensorNode]) -> tuple[TensorNode, ...]:
    """Runs of numbered nodes of equal structure become one each."""
    done: list[TensorNode] = []
    start = 0
    while start < len(nodes):
        first, stop = nodes[start], start + 1
        if first.name.isdecimal() and first.children:
            key = _structure(first)
            while stop < len(nodes) and nodes[stop].name.isdecimal() and _structure(nodes[stop]) == key:
                stop += 1
        run = nodes[start:stop]
        sums = [sum(getattr(node, field) for node in run) for field in _SUMS]
        name = first.name if len(run) == 1 else f"{first.name} … {run[-1].name}"
        done.append(TensorNode(name, len(run), *sums, first.shape, first.dtype, first.children))
        start = stop
    return tuple(done)


def _structure(node: TensorNode) -> tuple:
    """What two siblings must share to be folded: everything but their own name."""
    return (node.shape, node.dtype, tuple((child.name, child.count, _structure(child)) for child in node.children))
