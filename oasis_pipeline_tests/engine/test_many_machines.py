"""A real Ray cluster of four nodes, as processes of this machine, beside one process, on a real PostgreSQL."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import pytest

from benchmarks import bench_engine
from oasis_pipeline.engine import EngineError, open_engine
from oasis_pipeline.settings import load_settings

WELLS, DAYS = 3, 12


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_four_nodes_make_the_rows_of_one_process_also_when_one_is_lost_and_one_joins() -> None:
    if why := bench_engine.missing():
        pytest.skip(why)
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        bench_engine.command(WELLS, DAYS), cwd=root, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    done = json.loads(run.stdout.splitlines()[-1])
    local, ray, hurt = done["local"], done["ray"], done["hurt"]

    assert all(int(each.split()[0]) > 0 for each in local["hashes"].values())
    assert ray["hashes"] == hurt["hashes"] == local["hashes"]

    nodes = [f"127.0.0.{place}" for place in range(3, 3 + bench_engine.NODES)]
    assert sorted(ray["rows_by_node"]) == nodes
    assert min(ray["rows_by_node"].values()) > 0
    assert ray["begun"] == ray["ended"] == ray["batches"]

    # the lost node had a batch under way, which was executed again; the one that joined has worked
    assert done["killed"] == nodes[:1]
    assert hurt["begun"] > hurt["batches"]
    assert f"127.0.0.{3 + bench_engine.NODES}" in hurt["rows_by_node"]
    assert sum(hurt["rows_by_node"].values()) == sum(ray["rows_by_node"].values())
    assert done["left"] == []


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    if why := bench_engine.missing():
        pytest.skip(why)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(EngineError, match=f"there is no Ray cluster at {address}"):
            open_engine(load_settings(tmp_path, engine="ray", ray_address=address))
