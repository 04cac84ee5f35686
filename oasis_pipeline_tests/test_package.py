"""The wheel: it has everything that the checkout has, and runs without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON = os.environ.get("OASIS_PACKAGE_PYTHON", sys.executable)
"""An interpreter whose environment has the packages that the wheel needs, such as one of another version."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "oasis_pipeline", "dbt_sql"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    inside = {
        name.replace("dbt_sql/", "oasis_pipeline/dbt_sql/", 1) if name.startswith("dbt_sql/") else name
        for name in tracked
    }
    inside.discard("oasis_pipeline/dbt_sql")
    missing = inside - set(zipfile.ZipFile(wheel).namelist())
    assert missing == set()


LONG = "a folder whose path is longer than that of a socket may be, with letters of elsewhere: žluťoučký kůň, Ölfeld"


@pytest.mark.server
def test_commands_run_from_the_wheel_alone_wherever_the_home_is(wheel: Path, server_folder: Path) -> None:
    site, home = server_folder / "site", str(server_folder / LONG / "home")
    zipfile.ZipFile(wheel).extractall(site)
    run = (
        "import sys, oasis_pipeline; from oasis_pipeline.commands.main import main;"
        "assert oasis_pipeline.__file__.startswith(sys.argv.pop(1)); main()"
    )
    environment = {
        "HOME": str(server_folder / LONG),
        "PATH": "/usr/bin:/bin",
        "LANG": "C",
        "TZ": "America/Chicago",
        "PYTHONPATH": str(site),
        "PYTHONSAFEPATH": "1",
    }

    def oasis(*arguments: str) -> str:
        done = subprocess.run(
            [PYTHON, "-c", run, str(site), *arguments],
            cwd=server_folder, env=environment, capture_output=True, text=True, check=False, umask=0o077,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "NODEID" in oasis("wells", "--help")
    # an empty field: tables, views of dbt and the base models, but no solver is compiled anew
    made = json.loads(oasis("run", "--home", home, "--json"))
    assert any("xspoc/merged" in run["assets"] for run in made["runs"])
    told = json.loads(oasis("status", "--home", home, "--json"))
    assert "analysis/economics" in {row["asset"] for row in told["assets"]}
