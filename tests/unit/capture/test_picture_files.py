"""Files that are not pictures are refused at once; unusual pictures are read without a warning."""

import os
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.capture.picture_files import UnreadablePictureError, load


@pytest.mark.parametrize("path", [Path("/dev/zero"), Path("/dev/null"), Path("/")], ids=str)
def test_a_device_or_a_folder_is_not_a_picture(path):
    with pytest.raises(UnreadablePictureError, match="not a file"):
        load(path)


def test_a_pipe_without_a_writer_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadablePictureError, match="not a file"):
        load(tmp_path / "pipe.png")


def test_a_file_larger_than_any_picture_is_refused(tmp_path):
    (tmp_path / "large.png").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(UnreadablePictureError, match="larger than 1 MiB"):
        load(tmp_path / "large.png", largest_bytes=1 << 20)


def test_pixels_that_are_nan_count_as_white(tmp_path):
    cv2.imwrite(
        str(tmp_path / "f.tiff"), np.array([[np.nan, 0.0], [0.5, np.inf]], dtype=np.float32)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grey = load(tmp_path / "f.tiff")
    assert grey.tolist() == [[255, 0], [127, 255]]
