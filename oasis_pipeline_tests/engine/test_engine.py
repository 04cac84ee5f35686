"""The way of batches through an engine, without a cluster; see ``test_many_machines`` for one with."""

from __future__ import annotations

import pickle
import sys
import threading
from datetime import datetime
from pathlib import Path

import pytest

from oasis_pipeline import engine
from oasis_pipeline.engine import LOCAL, EngineError, LocalEngine, open_engine
from oasis_pipeline.operations.wells import EquipmentStates
from oasis_pipeline.settings import SettingsError, load_settings


def test_batches_come_back_in_order_and_only_some_are_read_ahead() -> None:
    read: list[int] = []
    narrow = LocalEngine()
    narrow.threads = 2
    first_may_end = threading.Event()

    def compute(shared: int, inputs: int) -> int:
        if inputs == 0:
            assert first_may_end.wait(30)
        elif inputs == 1:
            first_may_end.set()
        return shared + inputs

    def note(batch: int) -> int:
        read.append(batch)
        return batch

    answers = narrow.each(range(20), note, compute, 100)
    for batch in range(20):
        assert next(answers) == (batch, 100 + batch)
        assert max(read) <= batch + 2
    assert next(answers, None) is None


def test_the_error_of_a_batch_comes_to_who_asked_for_it() -> None:
    answers = LOCAL.each([1, 0, 2], lambda batch: batch, lambda shared, inputs: shared // inputs, 4)
    assert next(answers) == (1, 4)
    with pytest.raises(ZeroDivisionError):
        next(answers)


def test_the_engine_is_chosen_by_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_engine(load_settings(tmp_path)) is LOCAL
    monkeypatch.setenv("OASIS_ENGINE", "bogus")
    with pytest.raises(SettingsError, match="OASIS_ENGINE: input should be 'local' or 'ray'"):
        load_settings(tmp_path)
    monkeypatch.setenv("OASIS_ENGINE", "ray")
    with pytest.raises(SettingsError, match="OASIS_RAY_ADDRESS is not set, and OASIS_ENGINE=ray needs it"):
        load_settings(tmp_path)
    monkeypatch.setenv("OASIS_RAY_ADDRESS", "head")
    with pytest.raises(SettingsError, match="OASIS_RAY_ADDRESS is not a host:port address"):
        load_settings(tmp_path)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "oasis_pipeline.engine.on_ray", raising=False)
    monkeypatch.delattr(engine, "on_ray", raising=False)
    with pytest.raises(EngineError, match=r"pip install 'oasis-pipeline\[ray\]'"):
        open_engine(load_settings(tmp_path, engine="ray", ray_address="127.0.0.2:6379"))


def test_equipment_goes_to_another_process_as_it_was_read() -> None:
    row = {"NodeID": "A 1", "ValidFrom": datetime(2025, 1, 1), "SPM": 7.0, "TubingAnchored": True}
    states = EquipmentStates(
        {
            "welldetails": {"A 1": [(datetime(2025, 1, 1), [row])]},
            "rods": {},
            "deviations": {},
            "pumpingunits": {},
        }
    )
    states.index("A 1", datetime(2025, 2, 1))
    there = pickle.loads(pickle.dumps(states))
    assert there.found == []
    assert there.index("A 1", datetime(2025, 2, 1)) == 0
    assert there.found[0].well.spm == 7.0
