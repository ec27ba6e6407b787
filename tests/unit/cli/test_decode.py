"""``edge-scanner decode``: one line for each picture."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edge.cli.decode import decode
from tests.support.drawn_codes import drawn


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(decode, [str(argument) for argument in arguments])


def saved(path, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), grey)
    return path


def test_json_has_the_agreed_form(run, tmp_path):
    path = saved(tmp_path / "label.png", drawn("Größe".encode())[0])
    result = run("--json", path)
    (line,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.exit_code, line["image"]) == (0, str(path))
    (code,) = line["symbols"]
    assert (code["text"], bytes.fromhex(code["bytes_hex"]).decode()) == ("Größe", "Größe")
    assert [len(corner) for corner in code["quad"]] == [2, 2, 2, 2]
    assert code["decoder"]
    assert line["elapsed_ms"] > 0


def test_the_pictures_of_a_folder_are_read_in_order_of_name(run, tmp_path):
    for name in ("b/2.png", "a/1.jpg", "3.bmp"):
        saved(tmp_path / name, drawn(name)[0])
    (tmp_path / "notes.txt").write_text("no picture")
    result = run("--json", tmp_path)
    texts = [json.loads(line)["symbols"][0]["text"] for line in result.stdout.splitlines()]
    assert texts == ["3.bmp", "a/1.jpg", "b/2.png"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(b"", "not a picture", id="empty"),
        pytest.param(b"GIF89a but not really", "not a picture", id="not a picture"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\x00" * 40, "not a picture", id="damaged"),
    ],
)
def test_an_unreadable_file_is_reported_with_exit_1_and_the_rest_is_read(
    run, tmp_path, content, says
):
    bad, good = tmp_path / "bad.png", saved(tmp_path / "good.png", drawn("GOOD")[0])
    if content is not None:
        bad.write_bytes(content)
    result = run("--json", bad, good)
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert result.exit_code == 1
    assert first["image"] == str(bad)
    assert says in first["error"]
    assert second["symbols"][0]["text"] == "GOOD"


def test_a_picture_without_a_code_is_a_success(run, tmp_path):
    result = run(saved(tmp_path / "wall.png", np.full((80, 80), 128, np.uint8)))
    assert (result.exit_code, "no code read" in result.stdout) == (0, True)


def test_deep_and_budget_are_options(run, tmp_path):
    path = saved(tmp_path / "a.png", drawn("A")[0])
    assert run("--deep", "--budget-ms", 5, path).exit_code == 0
    assert run("--budget-ms", -1, path).exit_code == 2
    assert run().exit_code == 2


@pytest.mark.parametrize("kind", ["colour", "alpha", "16 bits"])
def test_colour_transparency_and_depth_are_read(run, tmp_path, kind):
    grey = drawn("DEPTH")[0]
    pictures = {
        "colour": cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR),
        "alpha": np.dstack([np.zeros_like(grey)] * 3 + [255 - grey]),
        "16 bits": grey.astype(np.uint16) * 257,
    }
    result = run("--json", saved(tmp_path / "deep.png", pictures[kind]))
    assert json.loads(result.stdout)["symbols"][0]["text"] == "DEPTH"
