"""Servers and networks that fail, refuse, change or lie: either the right bytes come, or a named error."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import engine.sources
from engine.errors import AccessDeniedError, Cancelled, ContentChangedError, HubError, SourceNotFoundError
from engine.sources import hub_patience, hub_ranges


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(4).normal(size=(600, 500)).astype(np.float32)


@pytest.fixture
def weights(tmp_path, write_safetensors, array):
    return write_safetensors(tmp_path / "model.safetensors", {"w": array})


@pytest.fixture
def uri(hub_server, weights) -> str:
    hub_server.add("o/m", {"model.safetensors": weights})
    return "hf://o/m"


def test_a_dropped_connection_goes_on_where_it_broke(uri, hub_server, array, monkeypatch):
    with engine.sources.open(uri) as source:
        before = hub_server.served_bytes()
        hub_server.trouble(drop_after=300_000, times=3)
        np.testing.assert_array_equal(source.read("w"), array)
        asked = [each.range for each in hub_server.requests if each.where == "storage"][-4:]
        assert len(set(asked)) == 4  # each begins further on
        assert hub_server.served_bytes() - before <= array.nbytes + 3 * 256 * 1024  # what was on the wire at the break


def test_pieces_that_break_together_are_all_mended(uri, hub_server, array, monkeypatch):
    monkeypatch.setattr(hub_ranges, "PIECE_BYTES", 100_000)
    with engine.sources.open(uri) as source:
        hub_server.trouble(drop_after=50_000, times=9)
        np.testing.assert_array_equal(source.read("w"), array)


@pytest.mark.parametrize("where", ["api", "hub", "storage"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(where, status, uri, hub_server, array):
    trouble = hub_server.trouble(where=where, status=status, times=2)
    with engine.sources.open(uri) as source:
        np.testing.assert_array_equal(source.read("w"), array)
    assert trouble.times == 0


def test_retry_after_is_honoured_and_a_long_one_is_an_error(uri, hub_server, monkeypatch):
    waited = []
    monkeypatch.setattr(hub_patience.time, "sleep", waited.append)
    with engine.sources.open(uri) as source:
        hub_server.trouble(status=429, headers={"Retry-After": "7"})
        monkeypatch.setattr(hub_ranges.time, "sleep", waited.append)
        source.read_rows("w", 0, 1)
        assert 7.0 in waited
        hub_server.trouble(status=429, headers={"Retry-After": "4000"}, times=-1)
        with pytest.raises(HubError, match=r"fewer requests.*token"):
            source.read_rows("w", 0, 1)
        assert max(waited) == 7.0


def test_waits_double_with_jitter_up_to_a_limit(monkeypatch):
    import httpx2

    waited = []
    monkeypatch.setattr(hub_patience, "FIRST_WAIT_S", 0.4)
    patience = hub_patience.Patience(waited.append)
    error = httpx2.ReadTimeout("slow")
    for _ in range(hub_patience.RETRIES):
        patience.bear(error)
    with pytest.raises(httpx2.ReadTimeout):
        patience.bear(error)
    for number, wait_s in enumerate(waited):
        longest_s = min(0.4 * 2**number, hub_patience.LONGEST_WAIT_S)
        assert longest_s / 2 <= wait_s <= longest_s


def test_a_server_that_always_fails_is_given_up(uri, hub_server):
    with engine.sources.open(uri) as source:
        hub_server.trouble(status=503, times=-1)
        before = len(hub_server.requests)
        with pytest.raises(HubError, match=r"status 503.*kept"):
            source.read("w")
        assert len(hub_server.requests) - before == hub_patience.RETRIES + 1


def test_a_server_that_never_gets_far_is_given_up(uri, hub_server):
    with engine.sources.open(uri) as source:
        hub_server.trouble(drop_after=10, times=-1)
        with pytest.raises(HubError, match="cannot be reached"):
            source.read("w")


def test_a_hub_that_is_not_there_is_an_error_with_a_hint(monkeypatch, hub_settings):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"cannot be reached.*Check the network"):
        engine.sources.open("hf://o/m")


def test_offline_mode_asks_nobody(uri, hub_server, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match=r"offline mode.*HF_HUB_OFFLINE"):
        engine.sources.open(uri)
    assert not hub_server.requests


def test_addresses_that_expire_are_asked_for_again(uri, hub_server, array):
    with engine.sources.open(uri) as source:
        hub_server.expire()
        np.testing.assert_array_equal(source.read("w"), array)
        hub_server.expire()
        np.testing.assert_array_equal(source.read_rows("w", 3, 5), array[3:5])


def test_a_file_that_changes_between_two_ranges_is_an_error_and_never_a_mixture(uri, hub_server, weights):
    with engine.sources.open(uri) as source:
        hub_server.replace_stored(weights, weights.read_bytes()[:-4] + b"\1\1\1\1")
        with pytest.raises(ContentChangedError, match=r"model\.safetensors changed on the hub while it was read"):
            source.read("w")


def test_a_file_that_changes_between_two_pieces_is_an_error(uri, hub_server, weights, monkeypatch):
    monkeypatch.setattr(hub_ranges, "PIECE_BYTES", 100_000)
    monkeypatch.setattr(hub_ranges, "CONNECTIONS", 1)
    with engine.sources.open(uri) as source:
        hub_server.trouble(etag='"another"', skip=3)
        with pytest.raises(ContentChangedError):
            source.read("w")


def test_a_file_that_grows_or_shrinks_is_an_error(uri, hub_server, weights):
    with engine.sources.open(uri) as source:
        for data in (weights.read_bytes() + b"\0" * 8, weights.read_bytes()[:-8]):
            hub_server.replace_stored(weights, data)
            with pytest.raises(HubError):
                source.read("w")


def test_a_file_of_another_size_is_an_error_even_under_the_same_version(uri, hub_server, weights):
    with engine.sources.open(uri) as source:
        version = source._parts["model.safetensors"].ranged._etag
        hub_server.replace_stored(weights, weights.read_bytes() + b"\0" * 8)
        hub_server.trouble(etag=version, times=-1)
        with pytest.raises(ContentChangedError, match="it has 1200088 bytes, expected 1200080"):
            source.read("w")


def test_a_hub_that_lists_one_hash_and_serves_another_is_an_error(hub_server, weights, monkeypatch):
    from tests.hub.server import Content

    content = Content(weights.read_bytes())
    hub_server.add("o/lies", {"model.safetensors": content})
    monkeypatch.setattr("tests.hub.server._entry", lambda path, found: lying_entry(path, found))
    with pytest.raises(ContentChangedError, match="its hash was listed as ff"):
        engine.sources.open("hf://o/lies")


def lying_entry(path, content) -> dict:
    lfs = {"oid": "f" * 64, "size": content.size, "pointerSize": 1}
    return {"type": "file", "oid": "0" * 40, "size": content.size, "path": path, "lfs": lfs}


def test_a_server_that_ignores_ranges_is_named_after_little_was_sent(uri, hub_server, array, monkeypatch):
    with engine.sources.open(uri) as source:
        hub_server.trouble(whole=True, times=-1)
        with pytest.raises(HubError, match=r"does not give parts.*workflows download o/m"):
            source.read("w")
    hub_server.calm()


def test_a_small_model_is_read_even_where_ranges_are_ignored(hub_server, tmp_path, write_safetensors):
    path = write_safetensors(tmp_path / "small" / "model.safetensors", {"w": np.ones((4, 4), np.float32)})
    hub_server.add("o/small", {"model.safetensors": path})
    hub_server.trouble(whole=True)
    with engine.sources.open("hf://o/small") as source:
        assert source.info("w").shape == (4, 4)


def test_a_slow_answer_is_waited_for_and_one_that_never_comes_is_an_error(uri, hub_server, array, monkeypatch):
    with engine.sources.open(uri) as source:
        hub_server.trouble(delay_s=0.3)
        np.testing.assert_array_equal(source.read_rows("w", 0, 2), array[:2])
        client = hub_ranges._client()
        monkeypatch.setattr(client, "timeout", 0.1)
        monkeypatch.setattr(hub_patience, "RETRIES", 1)
        hub_server.trouble(delay_s=0.5, times=-1)
        with pytest.raises(HubError, match="cannot be reached"):
            source.read_rows("w", 0, 2)


def test_a_gated_model_asks_for_licence_and_token(hub_server, weights, array, monkeypatch):
    hub_server.add("o/gated", {"model.safetensors": weights}, gated=True, token="hf_secret_1")
    with pytest.raises(AccessDeniedError, match=r"gated.*huggingface\.co/o/gated.*HF_TOKEN"):
        engine.sources.open("hf://o/gated")
    with pytest.raises(AccessDeniedError, match="gated"):
        engine.sources.open("hf://o/gated", token="hf_of_somebody_else")
    with engine.sources.open("hf://o/gated", token="hf_secret_1") as source:
        np.testing.assert_array_equal(source.read("w"), array)
    monkeypatch.setenv("HF_TOKEN", "hf_secret_1")
    with engine.sources.open("hf://o/gated") as source:
        np.testing.assert_array_equal(source.read("w"), array)


def test_a_private_model_is_not_there_without_a_token(hub_server, weights):
    hub_server.add("o/private", {"model.safetensors": weights}, private=True, token="hf_secret_2")
    with pytest.raises(SourceNotFoundError, match=r"or it is private.*token"):
        engine.sources.open("hf://o/private")
    with engine.sources.open("hf://o/private", token="hf_secret_2") as source:
        assert source.info("w")


def test_the_token_goes_to_the_hub_only_and_is_shown_nowhere(hub_server, weights, caplog):
    token = "hf_secret_3"
    hub_server.add("o/gated", {"model.safetensors": weights}, gated=True, token=token)
    with caplog.at_level(0), engine.sources.open("hf://o/gated", token=token) as source:
        source.read("w")
        source.close()  # what it held is gone
        hub_server.trouble(status=500, times=-1)
        with pytest.raises(HubError) as caught:
            source.read("w")
    assert {each.where for each in hub_server.requests if "authorization" in each.headers} == {"api", "hub"}
    assert any(each.where == "storage" for each in hub_server.requests)
    shown = [repr(source), source.uri, str(caught.value), repr(source.__dict__), repr(source._access), caplog.text]
    assert not any(token in text for text in shown)


def test_a_read_that_is_cancelled_ends_and_leaves_no_thread_behind(uri, hub_server, monkeypatch):
    monkeypatch.setattr(hub_ranges, "PIECE_BYTES", 100_000)
    monkeypatch.setattr(hub_ranges, "_TOLD_EVERY_S", 0.02)
    hub_server.bytes_per_s = 400_000
    before = threading.active_count()

    def stop(_) -> None:
        raise Cancelled("enough")

    with engine.sources.open(uri) as source:
        source.on_fetch = stop
        with pytest.raises(Cancelled):
            source.read("w")
        hub_server.bytes_per_s = None
        deadline_s = time.monotonic() + 5
        while any(thread.name.startswith("hub_") for thread in threading.enumerate()):
            assert time.monotonic() < deadline_s, (before, threading.enumerate())
            time.sleep(0.01)


@pytest.mark.parametrize(
    "answer",
    [b"<html>captive portal</html>", b"[]", b'{"sha": 3}', b'{"sha": "../../x", "id": "o/m"}', b"{}", b'"text"', b""],
)
def test_answers_that_are_none_are_named(answer, hub_settings, monkeypatch):
    import http.server

    class Portal(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(HubError, match="makes no sense"):
            engine.sources.open("hf://o/m")
        server.shutdown()
