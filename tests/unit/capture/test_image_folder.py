"""Folders of pictures as a camera."""

import cv2
import numpy as np
import pytest

from edge.capture.image_folder import PictureFolder
from edge.ports import CameraEnded, CameraError


def grey(value, size=(4, 4)):
    return np.full(size, value, np.uint8)


def test_pictures_come_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 1):
        cv2.imwrite(str(tmp_path / f"shot {number}.png"), grey(number))
    camera = PictureFolder(tmp_path)
    assert [camera.read().grey[0, 0] for _ in range(3)] == [1, 9, 10]
    assert [path.name for path in camera.paths] == ["shot 1.png", "shot 9.png", "shot 10.png"]


def test_an_unreadable_file_is_skipped_listed_and_counted(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    (tmp_path / "b.png").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "c.png"), grey(7))
    (tmp_path / "truth.json").write_text("{}")
    camera = PictureFolder(tmp_path)
    frame = camera.read()
    assert (frame.grey[0, 0], frame.number) == (7, 2)
    assert [path.name for path in camera.unreadable] == ["a.jpg", "b.png"]
    with pytest.raises(CameraEnded, match="2 unreadable"):
        camera.read()


def test_a_picture_of_any_size_is_a_frame(tmp_path):
    cv2.imwrite(str(tmp_path / "large.png"), grey(200, (3000, 4500)))
    assert PictureFolder(tmp_path / "large.png").read().grey.shape == (3000, 4500)


@pytest.mark.parametrize("name", ["missing", "."])
def test_the_error_of_a_folder_without_pictures_says_what_to_give(tmp_path, name):
    with pytest.raises(CameraError, match="pictures"):
        PictureFolder(tmp_path / name)
