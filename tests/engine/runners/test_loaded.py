"""The cache of loaded models: its budget, its order, and many threads."""

import gc
import shutil
import threading
import time
import weakref
from dataclasses import dataclass

import pytest

from engine.errors import RunnerError
from engine.runners import GenerationSettings, LoadedModels, lease, load, shared_models
from engine.runners.contract import Facts, Runner


@dataclass
class Weight(Runner):
    """A runner of a stated size that does nothing."""

    is_closed: bool = False

    def close(self) -> None:
        assert not self.is_closed, "closed twice"
        self.is_closed = True


def weight(num_bytes: int) -> Weight:
    return Weight(Facts("arrays", "onnx", "nowhere", "cpu", "float32", num_bytes))


def use(models: LoadedModels, name: str, num_bytes: int = 10) -> Weight:
    with models.lease((name,), lambda: weight(num_bytes)) as runner:
        return runner


def names(models: LoadedModels) -> list[str]:
    return [each.key[0] for each in models.loaded()]


def test_a_model_is_loaded_once():
    models = LoadedModels(100)
    assert use(models, "a") is use(models, "a")


def test_the_least_recently_used_goes_first():
    released = []
    models = LoadedModels(30, on_release=released.append)
    first = {name: use(models, name) for name in "abc"}
    use(models, "a")
    use(models, "d")
    assert names(models) == ["d", "a", "c"]
    assert first["b"].is_closed
    assert released == [first["b"]]
    assert models.num_bytes == 30


def test_as_many_go_as_are_needed_and_no_more():
    models = LoadedModels(30)
    for name in "abc":
        use(models, name)
    use(models, "big", 20)
    assert names(models) == ["big", "c"]


def test_a_model_in_use_stays_whatever_else_is_loaded():
    models = LoadedModels(30)
    with models.lease(("a",), lambda: weight(20)) as runner:
        use(models, "b", 20)
        assert not runner.is_closed
        assert set(names(models)) == {"a", "b"}
    use(models, "c", 20)
    assert runner.is_closed


def test_a_model_beyond_the_whole_budget_is_refused_before_and_after_loading():
    models = LoadedModels(10)
    with pytest.raises(RunnerError, match="budget"), models.lease(("a",), lambda: pytest.fail("loaded"), 11):
        pass
    made = weight(11)
    with pytest.raises(RunnerError, match="set aside"), models.lease(("a",), lambda: made):
        pass
    assert names(models) == []
    assert made.is_closed


def test_what_fails_to_load_is_tried_again():
    models, attempts = LoadedModels(100), []

    def sometimes():
        attempts.append(1)
        if len(attempts) == 1:
            raise RunnerError("not yet")
        return weight(1)

    with pytest.raises(RunnerError, match="not yet"), models.lease(("a",), sometimes):
        pass
    with models.lease(("a",), sometimes) as runner:
        assert isinstance(runner, Weight)
    assert len(attempts) == 2


def test_many_threads_share_one_loading():
    models, loads, runners = LoadedModels(100), [], []
    gate = threading.Barrier(8)

    def slow():
        loads.append(1)
        time.sleep(0.1)
        return weight(10)

    def ask():
        gate.wait(10)
        with models.lease(("a",), slow) as runner:
            runners.append(runner)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(loads) == 1
    assert len(runners) == 8
    assert len(set(map(id, runners))) == 1
    assert models.loaded()[0].num_users == 0


def test_all_who_wait_for_a_loading_that_fails_are_told():
    models, told = LoadedModels(100), []
    gate = threading.Barrier(4)

    def fails():
        time.sleep(0.1)
        raise RunnerError("broken")

    def ask():
        gate.wait(10)
        try:
            with models.lease(("a",), fails):
                pass
        except RunnerError as error:
            told.append(error.message)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert told == ["broken"] * 4
    assert names(models) == []


def test_releasing_a_model_in_use_waits_for_its_last_user():
    models = LoadedModels(100)
    with models.lease(("a",), lambda: weight(1)) as runner:
        assert models.release(("a",))
        assert not runner.is_closed
        assert names(models) == []
        assert use(models, "a") is not runner, "a new one is loaded beside it"
    assert runner.is_closed
    assert not models.release(("b",))
    models.release_all()
    assert names(models) == []


def test_threads_that_load_use_and_release_at_random_leave_nothing_open():
    made, lock = [], threading.Lock()
    models = LoadedModels(35)

    def make():
        runner = weight(10)
        with lock:
            made.append(runner)
        return runner

    def work(seed: int) -> None:
        for step in range(200):
            name = str((seed * 7 + step * 3) % 6)
            if step % 17 == 0:
                models.release((name,))
            with models.lease((name,), make) as runner:
                assert not runner.is_closed

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert models.num_bytes <= 35
    models.release_all()
    assert all(runner.is_closed for runner in made)


def test_a_released_model_gives_its_memory_back(starter):
    models = LoadedModels(10**9)
    with models.lease(("starter",), lambda: load(starter, "text-generation", device="cpu")) as runner:
        network = weakref.ref(runner.decoder.model)
        assert list(runner.stream("a", GenerationSettings(max_new_tokens=2)))
        assert models.num_bytes == runner.facts.num_bytes
    del runner
    models.release_all()
    gc.collect()
    assert network() is None


def test_the_process_has_one_shared_cache_with_a_budget():
    assert shared_models() is shared_models()
    assert shared_models().budget_bytes > 0


def test_a_lease_loads_once_and_again_when_a_file_was_replaced(starter, tmp_path):
    models, folder = LoadedModels(10**9), tmp_path / "model"
    shutil.copytree(starter, folder)
    with lease(folder, "text-generation", device="cpu", models=models) as first:
        pass
    with lease(folder / "model.safetensors", "text-generation", device="cpu", models=models) as second:
        assert second is first
    (folder / "generation_config.json").unlink()
    with lease(folder, "text-generation", device="cpu", models=models) as third:
        assert third is not first


def test_two_models_may_be_leased_at_once(starter):
    models = LoadedModels(10**9)
    with (
        lease(starter, "text-generation", device="cpu", models=models) as one,
        lease(starter, "embeddings", device="cpu", models=models) as other,
    ):
        assert one.facts.task != other.facts.task
        assert [each.num_users for each in models.loaded()] == [1, 1]
