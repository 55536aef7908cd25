"""The import contracts hold, and they bite."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("engine", "storage", "figures", "workflows", "ui")


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    command = Path(sys.executable).parent / "lint-imports"
    if not command.exists():
        pytest.skip("import-linter is not installed")
    return subprocess.run([command, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture
def copy_of_the_house(tmp_path):
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__", "*.js", "*.css")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_import_contracts_hold(copy_of_the_house):
    outcome = lint_imports(copy_of_the_house)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("engine/offender.py", "import duckdb", "The engine knows no screen and no database"),
        ("engine/measures/offender.py", "import streamlit", "The engine knows no screen and no database"),
        ("workflows/offender.py", "import streamlit", "Storage and workflows know no screen"),
        ("ui/offender.py", "import duckdb", "Only storage speaks to DuckDB"),
        ("engine/offender.py", "import storage.store", "Imports flow one way"),
        ("figures/offender.py", "import torch", "Figures are pure"),
    ],
)
def test_a_deliberate_offence_breaks_its_contract(copy_of_the_house, file, line, contract):
    (copy_of_the_house / file).write_text(f"{line}\n")
    outcome = lint_imports(copy_of_the_house)
    assert outcome.returncode != 0
    assert any(contract in text and "BROKEN" in text for text in outcome.stdout.splitlines()), outcome.stdout


def test_no_page_imports_torch_or_transformers():
    """Also Chat, as long as nothing is loaded: a small host has under 1 GB of memory."""
    script = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "pages = ('1_Zoo', '2_Chat', '3_Heatmap', '4_3D_Weights', '5_Compare', '6_Discovery',\n"
        "         '7_Self-Play_Trainer', '11_SQL', '12_Report')\n"
        "for page in (None, *(f'pages/{name}.py' for name in pages)):\n"
        "    app = AppTest.from_file('Home.py', default_timeout=120)\n"
        "    app = app.run() if page is None else app.switch_page(page).run()\n"
        "    assert not app.exception, (page, app.exception)\n"
        "    heavy = {'torch', 'transformers'} & sys.modules.keys()\n"
        "    assert not heavy, (page, heavy)\n"
    )
    outcome = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert outcome.returncode == 0, outcome.stderr[-3000:]
