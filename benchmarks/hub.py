"""Measuring a model on the hub without a download: bytes, memory and time against a plain stream of the same bytes.

`python -m benchmarks.hub [--quick] [--json]`. A process of its own serves, over loopback, a model of the tensor shapes
of Llama 3.1 70B but fewer layers, whose bytes it makes up as it sends them, at the pace of a fast line of 2 Gbit/s that
all connections share. On a slower line the time tends to that of the stream; on loopback as fast as it goes, measuring
after fetching shows fully, and that ratio is reported without a target.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np

from benchmarks.harness import Result, Timing, anonymous_bytes, main, peak_bytes, timings_in_turns
from engine.measures.reading import warm_up
from storage.store import Store
from tests.hub.server import SENT_AT_ONCE, Content, HubServer
from workflows.extract import extract

NAME = "weightscope/llama-70b-shaped"
HIDDEN, KEY_VALUE, FEED_FORWARD, VOCABULARY = 8192, 1024, 28_672, 128_256
PATTERN_BYTES = 16 << 20


@dataclass(frozen=True)
class Scale:
    """How much of the model there is. Every scale has the whole width of the 70B model; quick has fewer tokens."""

    num_layers: int
    vocabulary: int
    repetitions: int


FULL, QUICK = Scale(2, VOCABULARY, 5), Scale(0, VOCABULARY // 6, 5)

LINE_BYTES_PER_S = 250e6


class Generated(Content):
    """A file that is made up while it is sent: its header, then one block of plausible bf16 weights again and again."""

    def __init__(self, header: bytes, num_bytes: int, pattern: memoryview) -> None:
        super().__init__(header)
        self._size, self._pattern = len(header) + num_bytes, pattern

    @property
    def size(self) -> int:
        return self._size

    @property
    def sha256(self) -> str:
        return hashlib.sha256(f"{self._size} {hashlib.sha256(self._data).hexdigest()}".encode()).hexdigest()

    def read(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        yield from super().read(start, min(stop, len(self._data)))
        at = max(start, len(self._data))
        while at < stop:
            offset = (at - len(self._data)) % len(self._pattern)
            piece = self._pattern[offset : offset + min(SENT_AT_ONCE, stop - at)]
            yield piece
            at += len(piece)


def shapes(scale: Scale) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shard -> tensor -> shape, as the model's own files have them."""
    shards = {"embedding": {"model.embed_tokens.weight": (scale.vocabulary, HIDDEN)}}
    for layer in range(scale.num_layers):
        prefix = f"model.layers.{layer}"
        shards[f"layer {layer}"] = {
            f"{prefix}.input_layernorm.weight": (HIDDEN,),
            f"{prefix}.mlp.down_proj.weight": (HIDDEN, FEED_FORWARD),
            f"{prefix}.mlp.gate_proj.weight": (FEED_FORWARD, HIDDEN),
            f"{prefix}.mlp.up_proj.weight": (FEED_FORWARD, HIDDEN),
            f"{prefix}.post_attention_layernorm.weight": (HIDDEN,),
            f"{prefix}.self_attn.k_proj.weight": (KEY_VALUE, HIDDEN),
            f"{prefix}.self_attn.o_proj.weight": (HIDDEN, HIDDEN),
            f"{prefix}.self_attn.q_proj.weight": (HIDDEN, HIDDEN),
            f"{prefix}.self_attn.v_proj.weight": (KEY_VALUE, HIDDEN),
        }
    shards["head"] = {"model.norm.weight": (HIDDEN,), "lm_head.weight": (scale.vocabulary, HIDDEN)}
    return shards


def model_files(scale: Scale) -> dict[str, Content | str]:
    """The repository: shards, their index, and a config."""
    random = np.random.default_rng(0)
    weights = (random.standard_normal(PATTERN_BYTES // 2, np.float32) * 0.02).astype(ml_dtypes.bfloat16)
    pattern = memoryview(weights.view(np.uint8))
    files, weight_map = {}, {}
    shards = shapes(scale)
    for number, tensors in enumerate(shards.values(), start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        entries, end = {}, 0
        for tensor, shape in tensors.items():
            begin, end = end, end + 2 * int(np.prod(shape))
            entries[tensor] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
            weight_map[tensor] = name
        text = json.dumps(entries).encode()
        text += b" " * (-len(text) % 8)
        files[name] = Generated(len(text).to_bytes(8, "little") + text, end, pattern)
    index = json.dumps({"metadata": {}, "weight_map": weight_map})
    return files | {"model.safetensors.index.json": index, "config.json": '{"model_type": "llama"}'}


def serve(pipe, scale: Scale) -> None:
    """In a process of its own: serve the model; set the pace that somebody sends, and say how many bytes were sent."""
    server = HubServer()
    files = model_files(scale)
    server.add(NAME, files)
    shards = [content for content in files.values() if isinstance(content, Content)]
    pipe.send((server.endpoint, [f"{server.storage}{server.storage_path(each)}?signature=0" for each in shards]))
    while (order := pipe.recv()) != "end":
        server.bytes_per_s = order
        pipe.send(server.served_bytes())
    server.close()


def stream(addresses: list[str]) -> int:
    """Plain streaming: one connection, one file after the other, every byte received and dropped."""
    import httpx2

    num_bytes = 0
    with httpx2.Client() as client:
        for address in addresses:
            with client.stream("GET", address, headers={"Accept-Encoding": "identity"}) as response:
                num_bytes += sum(map(len, response.iter_raw()))
    return num_bytes


def measure(is_quick: bool) -> dict[str, Result]:
    """Every metric of this benchmark."""
    scale = QUICK if is_quick else FULL
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=serve, args=(other, scale), daemon=True)
    process.start()
    try:
        os.environ["HF_ENDPOINT"], addresses = pipe.recv()
        os.environ["HF_HUB_OFFLINE"] = "0"
        return _measured(scale, pipe, addresses)
    finally:
        pipe.send("end")
        process.join(5)


def _measured(scale: Scale, pipe, addresses: list[str]) -> dict[str, Result]:
    warm_up(lambda message: print(message, file=sys.stderr))

    def served(bytes_per_s: float | None) -> int:
        pipe.send(bytes_per_s)
        return pipe.recv()

    with tempfile.TemporaryDirectory(prefix="weightscope-") as folder:
        store, outcomes = Store(Path(folder)), []

        def extraction() -> None:
            for model in store.models():
                store.delete_model(model.content_hash)
            outcomes.append(extract(f"hf://{NAME}", store=store))

        extraction()
        before, base = served(None), anonymous_bytes()
        peak = base + peak_bytes(extraction)
        fetched, outcome = served(None) - before, outcomes[-1]
        works = {"extraction": extraction, "stream": lambda: stream(addresses)}
        loopback = timings_in_turns(works, 3, warm_up=False)
        served(LINE_BYTES_PER_S)
        line = timings_in_turns(works, scale.repetitions, warm_up=False)
    needed = outcome.num_bytes
    what = f"{needed / 1e9:.3g} GB in {outcome.num_tensors} tensors as wide as those of a 70B model"
    peer = "whole extraction over a one-connection stream of the same bytes with httpx2"
    return {
        "hub.bytes": Result(fetched / needed, "×", "≤ 1.02", f"bytes sent by the hub over bytes of tensors, {what}"),
        "hub.memory": Result(peak / 2**30, "GiB", "≤ 2", "most anonymous memory of the whole measuring process"),
        "hub.time": Result(_ratio(line), "×", "≤ 1.3", f"{peer}, on a line of {_rate(line, needed)}"),
        "hub.time.loopback": Result(_ratio(loopback), "×", "", f"the same on loopback, {_rate(loopback, needed)}"),
    }


def _ratio(times: dict[str, Timing]) -> float:
    return times["extraction"].wall_s / times["stream"].wall_s


def _rate(times: dict[str, Timing], num_bytes: int) -> str:
    return f"{num_bytes / times['stream'].wall_s / 1e6:.0f} MB/s"


if __name__ == "__main__":
    sys.exit(main("hub", measure, __doc__))
