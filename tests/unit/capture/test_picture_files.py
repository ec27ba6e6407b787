"""Files that are no pictures are refused at once, whatever they are; strange ones are read without a word."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.capture import picture_files
from edge.capture.picture_files import UnreadablePictureError, load


@pytest.mark.parametrize("path", [Path("/dev/zero"), Path("/dev/null"), Path("/")], ids=str)
def test_a_device_or_a_folder_is_no_picture(path):
    with pytest.raises(UnreadablePictureError, match="not a file"):
        load(path)


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadablePictureError, match="not a file"):
        load(tmp_path / "pipe.png")


def test_a_file_beyond_any_picture_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_files, "LARGEST_BYTES", 1 << 20)
    (tmp_path / "large.png").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(UnreadablePictureError, match="larger than 1 MiB"):
        load(tmp_path / "large.png")


def test_floats_that_are_no_numbers_are_paper(tmp_path):
    cv2.imwrite(
        str(tmp_path / "f.tiff"), np.array([[np.nan, 0.0], [0.5, np.inf]], dtype=np.float32)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grey = load(tmp_path / "f.tiff")
    assert grey.tolist() == [[255, 0], [127, 255]]


def test_ctrl_c_ends_decode_with_a_word(tmp_path):
    cv2.imwrite(
        str(tmp_path / "a.png"),
        np.random.default_rng(1).integers(0, 255, (1500, 1500), dtype=np.uint8),
    )
    program = Path(sys.executable).with_name("edge-scanner")
    command = [program, "decode", "--deep", *([tmp_path / "a.png"] * 500)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline(), "it is under way"
    time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=20)
    assert child.returncode == 1
    assert "Aborted!" in said
    assert "Traceback" not in said
