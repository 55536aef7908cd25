import engine.sources
import numpy as np


def test_a(hub_model, tmp_path):
    from huggingface_hub import snapshot_download
    import os

    local = snapshot_download(hub_model.name, endpoint=os.environ.get("HF_ENDPOINT"), cache_dir=tmp_path / "c2")
    with engine.sources.open(hub_model.uri) as r, engine.sources.open(local) as l:
        assert r.infos() == l.infos()
        assert r.content_hash() == l.content_hash()
        assert r.config == l.config
        for i in l.infos():
            np.testing.assert_array_equal(r.read(i.name), l.read(i.name))
            if i.shape:
                np.testing.assert_array_equal(r.read_rows(i.name, 1, 3), l.read_rows(i.name, 1, 3))
        if hub_model.server:
            for q in hub_model.server.requests:
                print(q.where, q.method, q.path, q.range, q.status, q.num_bytes)
