"""Load is shed in order, taken back slowly, and never see-saws."""

from __future__ import annotations

from pipeline.shedding import LEVELS, LoadShedder


def run(shedder: LoadShedder, seconds: float, delay: float, kept_up: float = 1.0, start: float = 0.0) -> list[int]:
    """Levels once a second."""
    levels = []
    for second in range(int(seconds)):
        shedder.update(start + second, delay, kept_up)
        levels.append(shedder.level)
    return levels


def test_readings_get_rarer_before_frames_are_skipped_before_pictures_shrink() -> None:
    cadences = [load.cadence for load in LEVELS]
    strides = [load.stride for load in LEVELS]
    assert cadences == sorted(cadences)
    assert strides == sorted(strides)
    assert all(load.cadence == max(cadences) for load in LEVELS if load.stride > 1)
    assert [load.small for load in LEVELS].index(True) == len(LEVELS) - 1


def test_a_late_run_sheds_step_by_step_to_the_end() -> None:
    levels = run(LoadShedder(1.0), 60, delay=2.0)
    assert sorted(set(levels)) == list(range(len(LEVELS)))
    assert levels == sorted(levels)


def test_a_low_frame_rate_costs_readings_but_no_more_frames() -> None:
    assert max(run(LoadShedder(1.0), 120, delay=0.3, kept_up=0.3)) == 2


def test_a_run_that_keeps_up_sheds_nothing_and_comes_back() -> None:
    shedder = LoadShedder(1.0)
    assert set(run(shedder, 30, delay=0.2)) == {0}
    run(shedder, 20, delay=1.5, start=30)
    assert shedder.level > 0
    run(shedder, 120, delay=0.2, start=50)
    assert shedder.level == 0


def test_a_level_that_is_needed_again_at_once_is_left_more_slowly() -> None:
    shedder = LoadShedder(1.0)
    changes = 0
    for second in range(600):
        # Level 0 is too much for the machine, level 1 is not.
        changes += shedder.update(float(second), 1.5 if shedder.level == 0 else 0.2, 1.0)
    assert changes < 16


def test_a_moment_of_trouble_is_no_load() -> None:
    shedder = LoadShedder(1.0)
    for tenth in range(600):
        # Half a second in every five.
        late = tenth % 50 < 5
        shedder.update(tenth / 10, 3.0 if late else 0.2, 0.3 if late else 1.0)
        assert shedder.level == 0


def test_trouble_before_an_outage_is_not_added_to_trouble_after_it() -> None:
    shedder = LoadShedder(1.0)
    run(shedder, 30, delay=0.2)
    shedder.update(30.0, 3.0, 1.0)
    shedder.update(31.0, None, None)
    shedder.update(90.0, 3.0, 1.0)
    assert shedder.level == 0


def test_nothing_is_decided_without_frames() -> None:
    assert not LoadShedder(1.0).update(100.0, None, None)
