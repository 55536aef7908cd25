"""Tensors as a tree: sums are kept, equal layers fold, odd names survive."""

from hypothesis import given
from hypothesis import strategies as st

from engine.sources.base import TensorInfo
from engine.tensor_tree import tensor_tree


def info(name, shape=(2, 3)):
    size = 1
    for length in shape:
        size *= length
    return TensorInfo(name, shape, "F32", 4 * size, "model.safetensors")


def layers(count, odd=None):
    for layer in range(count):
        yield info(f"model.layers.{layer}.mlp.up.weight", (4, 8) if layer != odd else (4, 9))
        yield info(f"model.layers.{layer}.norm.weight", (8,))


def test_equal_layers_are_one_node_with_the_sums_of_all():
    embedding, model = tensor_tree([info("embed.weight", (10, 8)), *layers(32)])
    assert embedding.name == "embed"
    assert model.name == "model.layers"
    (folded,) = model.children
    assert (folded.name, folded.count, folded.num_tensors) == ("0 … 31", 32, 64)
    assert folded.num_parameters == 32 * (32 + 8)
    assert folded.num_bytes == 4 * folded.num_parameters
    assert [child.name for child in folded.children] == ["mlp.up", "norm"]
    assert folded.children[0].num_parameters == 32  # of the first layer alone


def test_a_layer_that_differs_stands_by_itself():
    (model,) = tensor_tree(layers(5, odd=2))
    assert [(node.name, node.count) for node in model.children] == [("0 … 1", 2), ("2", 1), ("3 … 4", 2)]


def test_layers_fold_in_the_order_of_their_numbers_whatever_the_file_says():
    infos = sorted(layers(12), key=lambda each: each.name)  # layer 10 before layer 2
    (model,) = tensor_tree(infos)
    assert [node.name for node in model.children] == ["0 … 11"]


def test_experts_fold_inside_folded_layers():
    infos = [info(f"layers.{layer}.experts.{expert}.w") for layer in range(3) for expert in range(8)]
    (top,) = tensor_tree(infos)
    (layer,) = top.children
    assert (layer.name, layer.num_tensors) == ("0 … 2", 24)
    (experts,) = layer.children
    assert [(node.name, node.count) for node in experts.children] == [("0 … 7", 8)]


def test_a_tensor_that_is_called_like_a_module_is_kept():
    nodes = tensor_tree([info("a"), info("a.b"), info("a.b.c"), info("")])
    assert sum(node.num_tensors for node in nodes) == 4


def test_no_tensors_are_no_tree():
    assert tensor_tree([]) == ()


words = st.lists(st.sampled_from(["a", "b", "0", "1", "2", "", "w"]), min_size=1, max_size=5).map(".".join)


@given(st.lists(words, unique=True, max_size=40))
def test_every_tensor_is_counted_once(names):
    infos = [info(name, (3, index)) for index, name in enumerate(names)]
    nodes = tensor_tree(infos)
    assert sum(node.num_tensors for node in nodes) == len(infos)
    assert sum(node.num_parameters for node in nodes) == sum(each.num_elements for each in infos)
    assert sum(node.num_bytes for node in nodes) == sum(each.num_bytes for each in infos)
