"""Health of a process, and its file."""

import json

from edge.system.health import Health, write_health


def test_a_part_that_stopped_moving_is_stuck():
    health = Health(limit_s=5.0)
    health.beat("capture", 0.0)
    health.beat("decode", 4.0)
    assert health.stuck(5.0) == []
    assert health.stuck(5.1) == ["capture"]


def test_a_problem_is_reported_once_until_it_changes():
    health = Health(limit_s=5.0)
    assert health.set_problem("camera", "unplugged")
    assert not health.set_problem("camera", "unplugged")
    assert health.state == "degraded"
    assert health.set_problem("camera", None)
    assert not health.set_problem("camera", None)
    assert health.state == "scanning"


def test_the_health_file_is_replaced_whole_and_a_missing_folder_is_ignored(tmp_path):
    write_health(tmp_path / "health.json", {"state": "scanning", "why": "相机"})
    assert json.loads((tmp_path / "health.json").read_text(encoding="utf-8"))["why"] == "相机"
    write_health(tmp_path / "gone" / "health.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["health.json"]
