"""The machine as the system says it, inside and outside of containers, with and without GPUs."""

import stat
import subprocess
import sys

import psutil
import pytest

from engine import machine as module
from engine.machine import container_memory, machine, parse_driver_answer


def test_the_machine_agrees_with_psutil(tmp_path):
    found = machine(tmp_path / "not" / "there" / "yet")
    assert 0 < found.ram_free_bytes <= found.ram_bytes <= psutil.virtual_memory().total
    assert found.disk_bytes == psutil.disk_usage(str(tmp_path)).total
    assert 1 <= found.num_cpus <= psutil.cpu_count()
    assert 0 <= found.cpu_percent <= 100


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_a_container_of_the_second_kind_limits_the_memory(tmp_path):
    write(tmp_path, memory__max="1000000\n", memory__current="600000\n", memory__stat="anon 5\ninactive_file 200000\n")
    assert container_memory(tmp_path) == (1_000_000, 400_000)


def test_a_container_of_the_first_kind_limits_the_memory(tmp_path):
    folder = tmp_path / "memory"
    write(folder, memory__limit_in_bytes="1000\n", memory__usage_in_bytes="700\n")
    write(folder, memory__stat="total_inactive_file 800\n")
    assert container_memory(tmp_path) == (1000, 0)


@pytest.mark.parametrize("text", ["max\n", "", "x"])
def test_no_limit_is_no_container(tmp_path, text):
    write(tmp_path, memory__max=text, memory__current="1", memory__stat="anon 1\n")
    assert container_memory(tmp_path) is None
    assert container_memory(tmp_path / "nowhere") is None


def test_the_smaller_of_container_and_machine_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "container_memory", lambda: (10**6, 4 * 10**5))
    found = machine(tmp_path)
    assert (found.ram_bytes, found.ram_free_bytes) == (10**6, 6 * 10**5)
    monkeypatch.setattr(module, "container_memory", lambda: (2**62, 0))
    assert machine(tmp_path).ram_bytes == psutil.virtual_memory().total


def test_the_driver_answers_are_read_in_bytes():
    answer = "NVIDIA H100 80GB HBM3, 81559, 81000, 3\nOdd, named, card, 1024, 512, [N/A]\n"
    answer += "broken line\nTegra, [N/A], [N/A], 5\n"
    first, second = parse_driver_answer(answer)
    assert (first.name, first.total_bytes, first.free_bytes) == ("NVIDIA H100 80GB HBM3", 81559 << 20, 81000 << 20)
    assert first.busy_percent == 3
    assert (second.name, second.busy_percent) == ("Odd, named, card", None)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script")
@pytest.mark.parametrize(("script", "count"), [("echo 'GPU, 100, 50, 1'", 1), ("exit 9", 0), ("echo nothing", 0)])
def test_the_drivers_tool_is_asked_where_it_is(tmp_path, monkeypatch, script, count):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert len(module._asked_from_driver()) == count


def test_looking_at_the_machine_never_loads_torch():
    code = "import sys; from pathlib import Path; from engine.machine import machine; machine(Path('.')); "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
