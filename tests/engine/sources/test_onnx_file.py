"""ONNX against the `onnx` package itself: every type in every way of storing it, graphs in graphs, data beside."""

from __future__ import annotations

import mmap
import os
import tracemalloc

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as from_numpy
from onnx import TensorProto, helper, numpy_helper

from engine.dtypes import KNOWN_TYPES, ElementType, unpack
from engine.errors import MalformedHeaderError, SourceError, SourceNotFoundError, UnsupportedFormatError
from engine.heatmaps import full_view, read_grid
from engine.measures.reading import measure_tensor
from engine.sources import open as open_source
from engine.sources.onnx_tensors import MIN_CONSTANT_ELEMENTS
from tests.engine.sources.writers import onnx_model, write_onnx

NAMES = {
    **{"FLOAT": "F32", "DOUBLE": "F64", "FLOAT16": "F16", "BFLOAT16": "BF16", "BOOL": "BOOL", "COMPLEX64": "C64"},
    **{"INT8": "I8", "INT16": "I16", "INT32": "I32", "INT64": "I64", "INT4": "I4", "INT2": "I2"},
    **{"UINT8": "U8", "UINT16": "U16", "UINT32": "U32", "UINT64": "U64", "UINT4": "U4", "UINT2": "U2"},
    **{"FLOAT8E4M3FN": "F8_E4M3", "FLOAT8E4M3FNUZ": "F8_E4M3FNUZ", "FLOAT8E5M2": "F8_E5M2"},
    **{"FLOAT8E5M2FNUZ": "F8_E5M2FNUZ", "FLOAT8E8M0": "F8_E8M0", "FLOAT4E2M1": "F4"},
    **{"FLOAT6E2M3": "F6_E2M3", "FLOAT6E3M2": "F6_E3M2"},
}
PACKED = {name: kind for name, kind in KNOWN_TYPES.items() if kind.is_packed}


def save(path, initializers, nodes=None):
    path.write_bytes(onnx_model(initializers, nodes).SerializeToString())
    return path


def test_every_type_of_the_package_is_known_or_no_number():
    assert set(TensorProto.DataType.keys()) - set(NAMES) == {"UNDEFINED", "STRING", "COMPLEX128"}


def values_of(name: str) -> np.ndarray:
    """(5, 3) small numbers that every type can hold, of an odd count for the packed types."""
    kind = KNOWN_TYPES[NAMES[name]]
    small = np.arange(15).reshape(5, 3) % (2 if kind.bits <= 2 or name == "BOOL" else 4)
    return np.maximum(small, 1).astype(kind.dtype) if name == "FLOAT8E8M0" else small.astype(kind.dtype)


@pytest.mark.parametrize("is_raw", [True, False], ids=["raw", "typed"])
@pytest.mark.parametrize("name", NAMES)
def test_every_type_equals_the_packages_own_decoding(name, is_raw, tmp_path):
    values = values_of(name)
    proto = numpy_helper.from_array(values, "x")
    if not is_raw:
        proto = helper.make_tensor("x", getattr(TensorProto, name), values.shape, values.reshape(-1).tolist())
    assert proto.HasField("raw_data") == is_raw and proto.data_type == getattr(TensorProto, name)
    expected = numpy_helper.to_array(proto)
    with open_source(save(tmp_path / "x.onnx", [proto])) as source:
        info, found = source.info("x"), source.read("x")
        assert (info.dtype, info.shape) == (NAMES[name], (5, 3))
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.astype(np.complex128).tolist() == expected.astype(np.complex128).tolist()
        assert not found.flags.writeable and found.flags.c_contiguous
        assert (
            source.read_rows("x", 1, 4).astype(np.complex128).tolist() == expected[1:4].astype(np.complex128).tolist()
        )
        if is_raw:
            assert info.num_bytes == len(proto.raw_data) == info.stop - info.start
            assert (tmp_path / "x.onnx").read_bytes()[info.start : info.stop] == proto.raw_data


@pytest.mark.parametrize("name", PACKED)
def test_packed_types_are_measured_and_shown(name, tmp_path):
    onnx_name = next(key for key, value in NAMES.items() if value == name)
    values = values_of(onnx_name)
    with open_source(save(tmp_path / "x.onnx", [numpy_helper.from_array(values, "x")])) as source:
        reading = measure_tensor(source, source.info("x"), threads=1)
        exact = values.astype(np.float64)
        assert reading.distribution.mean == pytest.approx(exact.mean(), rel=1e-12)
        assert reading.distribution.maximum == exact.max()
        assert np.array_equal(read_grid(source, source.info("x"), full_view(source.info("x"))).values, exact)


@given(st.binary(min_size=4, max_size=24), st.sampled_from(["I2", "U2", "I4", "U4"]), st.data())
def test_packed_integers_equal_the_packages_unpacking(data, name, draw):
    kind: ElementType = KNOWN_TYPES[name]
    count = len(data) * 8 // kind.bits
    number = {"I2": TensorProto.INT2, "U2": TensorProto.UINT2, "I4": TensorProto.INT4, "U4": TensorProto.UINT4}[name]
    expected = numpy_helper.to_array(helper.make_tensor("x", number, [count], data, raw=True))
    start = draw.draw(st.integers(0, count))
    stop = draw.draw(st.integers(start, count))
    found = unpack(np.frombuffer(data, np.uint8), kind, start, stop)
    assert found.astype(np.int32).tolist() == expected.astype(np.int32)[start:stop].tolist()


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), min_size=1, max_size=20),
        from_numpy.arrays(
            st.sampled_from([np.float32, np.float16, np.int8, np.int64, ml_dtypes.bfloat16]),
            from_numpy.array_shapes(min_dims=0, min_side=0, max_side=4),
            elements=st.integers(-3, 3),
        ),
        max_size=5,
    )
)
def test_whatever_the_package_writes_is_read_back_the_same(tmp_path_factory, arrays):
    path = write_onnx(tmp_path_factory.mktemp("any") / "x.onnx", arrays)
    with open_source(path) as source:
        assert [info.name for info in source.infos()] == list(arrays)
        for name, array in arrays.items():
            assert source.read(name).shape == array.shape
            assert source.read(name).tobytes() == array.tobytes()


def test_initializers_are_mapped_and_not_copied(tmp_path):
    path = write_onnx(tmp_path / "x.onnx", {"x": np.ones((512, 1024), np.float32)})
    floats = helper.make_tensor("floats", TensorProto.FLOAT, [512, 1024], np.ones(512 * 1024, np.float32))
    other = save(tmp_path / "y.onnx", [floats])
    for file, name in ((path, "x"), (other, "floats")):
        tracemalloc.start()
        try:
            with open_source(file) as source:
                array = source.read(name)
                assert array.sum() == 512 * 1024
                assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
        base = array
        while isinstance(base, np.ndarray):
            base = base.base
        assert isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)


def branch(name: str, arrays: dict[str, np.ndarray]):
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])
    return helper.make_graph([], name, [], [output], [numpy_helper.from_array(a, n) for n, a in arrays.items()])


def test_initializers_of_subgraphs_are_named_after_their_branch(tmp_path):
    small, large = np.ones(2, np.float32), np.zeros((3, 3), np.float32)
    inner = branch("inner", {"w": large})
    inner.node.append(helper.make_node("Loop", [], ["z"], body=branch("body", {"w": small})))
    nodes = [
        helper.make_node("If", ["c"], ["y"], name="by_rate", then_branch=branch("a", {"w": small}), else_branch=inner),
        helper.make_node("If", ["c"], ["v"], then_branch=branch("a", {"w": small}), else_branch=branch("b", {})),
    ]
    with open_source(save(tmp_path / "x.onnx", [numpy_helper.from_array(large, "w")], nodes)) as source:
        names = [info.name for info in source.infos()]
        assert sorted(names) == sorted(
            [
                *("w", "by_rate.then_branch.w", "by_rate.else_branch.w", "by_rate.else_branch.Loop_0.body.w"),
                "If_1.then_branch.w",
            ]
        )
        assert np.array_equal(source.read("by_rate.else_branch.w"), large)
        assert np.array_equal(source.read("by_rate.else_branch.Loop_0.body.w"), small)


def test_constants_count_from_64_elements_under_the_name_of_their_value(tmp_path):
    def constant(name: str, size: int):
        return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.ones(size, np.float32), "t"))

    other = helper.make_node("ConstantOfShape", ["s"], ["f"], value=numpy_helper.from_array(np.ones(100, np.float32)))
    nodes = [constant("weight", MIN_CONSTANT_ELEMENTS), constant("shape", MIN_CONSTANT_ELEMENTS - 1), other]
    nodes.append(helper.make_node("Constant", [], ["scalar"], value_float=1.0))
    with open_source(save(tmp_path / "x.onnx", [], nodes)) as source:
        assert [info.name for info in source.infos()] == ["weight"]
        assert source.read("weight").sum() == MIN_CONSTANT_ELEMENTS


def test_of_a_sparse_initializer_the_stored_values_are_shown(tmp_path):
    values = numpy_helper.from_array(np.array([1, 2, 3], np.float32), "sparse")
    indices = numpy_helper.from_array(np.array([0, 5, 9]), "i")
    model = onnx_model([])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [10]))
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    assert open_source(tmp_path / "x.onnx").read("sparse").tolist() == [1, 2, 3]


def test_texts_are_left_out_and_what_cannot_be_measured_is_listed_but_not_read(tmp_path):
    text = helper.make_tensor("text", TensorProto.STRING, [1], [b"hello"])
    wide = numpy_helper.from_array(np.ones(3, np.complex128), "wide")
    with open_source(save(tmp_path / "x.onnx", [text, wide])) as source:
        assert [(info.name, info.dtype, info.num_bytes) for info in source.infos()] == [("wide", "C128", 48)]
        with pytest.raises(UnsupportedFormatError) as caught:
            source.read("wide")
        assert caught.value.hint


def test_metadata_says_who_wrote_it_and_what_it_needs(tmp_path):
    model = onnx_model([])
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    helper.set_model_props(model, {"source": "a test"})
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    said = open_source(tmp_path / "x.onnx").metadata
    assert said["producer_name"] == "tests" and said["source"] == "a test"
    assert said["opset_import"] == "ai.onnx 21, com.microsoft 1"


@pytest.fixture
def beside(tmp_path):
    arrays = {name: np.full((16, 64), i, np.float32) for i, name in enumerate(("a", "b", "c"))}
    model = onnx_model([numpy_helper.from_array(array, name) for name, array in arrays.items()])
    onnx.save_model(model, tmp_path / "model.onnx", save_as_external_data=True, location="model.onnx_data")
    return tmp_path / "model.onnx"


def test_external_data_is_mapped_hashed_and_watched(beside):
    with open_source(beside) as source:
        assert [path.name for path in source.files] == ["model.onnx", "model.onnx_data"]
        assert {info.file for info in source.infos()} == {"model.onnx_data"}
        assert source.read("c")[15, 63] == 2 and source.read_rows("b", 3, 5).tolist() == [[1.0] * 64] * 2
        first, before = source.content_hash(), source.fingerprint
        info = source.info("b")
    data = beside.with_name("model.onnx_data")
    content = bytearray(data.read_bytes())
    content[info.start : info.stop] = np.full((16, 64), 7, np.float32).tobytes()
    data.write_bytes(content)
    os.utime(data, ns=(9, 9))
    with open_source(beside) as source:
        assert source.content_hash() != first and source.fingerprint != before
        assert source.read("b")[0, 0] == 7


def test_external_data_opens_from_the_folder_and_beside_other_models(beside, tmp_path):
    assert open_source(tmp_path).read("c")[0, 0] == 2
    write_onnx(tmp_path / "decoder.onnx", {"a": np.ones(3, np.float32)})
    assert open_source(tmp_path).read("c")[0, 0] == 2  # the file called model.onnx is the model
    beside.unlink()
    assert open_source(tmp_path).read("a").tolist() == [1, 1, 1]
    write_onnx(tmp_path / "encoder.onnx", {"a": np.ones(3, np.float32)})
    with pytest.raises(SourceError, match="several onnx models"):
        open_source(tmp_path)


def test_missing_external_data_is_named(beside):
    beside.with_name("model.onnx_data").unlink()
    with pytest.raises(SourceNotFoundError, match=r"'model\.onnx_data'") as caught:
        open_source(beside)
    assert caught.value.hint


def test_a_location_may_begin_with_the_folder_itself(beside):
    model = onnx.load(beside, load_external_data=False)
    for tensor in model.graph.initializer:
        tensor.external_data[0].value = "./model.onnx_data"
    beside.write_bytes(model.SerializeToString())
    assert open_source(beside).read("c")[0, 0] == 2


def test_two_tensors_of_one_name_are_refused(tmp_path):
    twice = [numpy_helper.from_array(np.ones(i, np.float32), "w") for i in (1, 2)]
    with pytest.raises(MalformedHeaderError, match="'w'"):
        open_source(save(tmp_path / "x.onnx", twice))


def test_a_model_is_known_by_its_beginning_whatever_its_name(tmp_path):
    path = write_onnx(tmp_path / "weights.bin", {"a": np.ones(3, np.float32)})
    assert open_source(path).format == "onnx"


@pytest.mark.real
def test_a_real_model_equals_the_packages_reading_and_float64_statistics(real_dir):
    path = real_dir / "silero-vad" / "silero_vad_16k_op15.onnx"
    expected = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    with open_source(path) as source:
        assert [info.name for info in source.infos()] == list(expected)
        for info in source.infos():
            exact = expected[info.name]
            assert source.read(info.name).tobytes() == exact.tobytes()
            reading, exact = measure_tensor(source, info, threads=1), exact.astype(np.float64)
            assert reading.distribution.mean == pytest.approx(exact.mean(), rel=1e-12, abs=1e-18)
            assert reading.values["std"] == pytest.approx(exact.std(), rel=1e-12)
            assert reading.distribution.quantiles[7] == np.median(exact)
