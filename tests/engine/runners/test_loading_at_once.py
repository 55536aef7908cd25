"""Two sessions that load their first model in the same moment."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
import threading
from engine.runners import load
barrier, failures = threading.Barrier(2), []
def first(name):
    barrier.wait()
    try:
        load(f"models/{name}", "text-generation").close()
    except Exception as error:
        failures.append(repr(error))
threads = [threading.Thread(target=first, args=(name,)) for name in ("starter", "starter-init")]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert not failures, failures
"""


def test_two_threads_may_load_their_first_models_at_once():
    outcome = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert outcome.returncode == 0, outcome.stderr[-2000:]
