"""Rendered frames, checked with a real decoder."""

import numpy as np
import pytest
import zxingcpp
from hardware_sim.vision.render import draw, empty, modules, render, render_many
from hardware_sim.vision.video_clip import clip
from hardware_sim.vision.view_condition import CLEAN, READABLE, TILTED, UNREADABLE, ViewCondition

TOKEN = "ES1:" + "A1B2C3%*" * 27  # length and alphabet of a real token


def rng(seed=0):
    return np.random.default_rng(seed)


def read(grey):
    codes = zxingcpp.read_barcodes(
        grey, formats=zxingcpp.BarcodeFormat.QRCodeModel2, try_invert=False
    )
    return [code.bytes for code in codes]


def test_a_frame_is_grey_and_has_the_requested_size():
    frame = render("ES1:A", CLEAN, rng=rng(), width_px=640, height_px=480)
    assert (frame.shape, frame.dtype) == ((480, 640), np.uint8)


def test_the_same_seed_gives_the_same_frame():
    condition = READABLE["hard"]
    first, again, other = (render(TOKEN, condition, rng=rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", READABLE)
def test_a_readable_condition_can_be_read(name):
    frames = (render(TOKEN, READABLE[name], rng=rng(seed)) for seed in range(4))
    assert [TOKEN.encode()] in map(read, frames)


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_condition_cannot_be_read(name):
    assert read(render(TOKEN, UNREADABLE[name], rng=rng())) == []


@pytest.mark.parametrize("clutter", [0.0, 0.5, 1.0])
def test_an_empty_frame_holds_no_code(clutter):
    assert read(empty(ViewCondition(clutter=clutter), rng=rng())) == []


@pytest.mark.parametrize("content", ["https://example.com/ä?q=1", "取件码 A1", bytes(range(256))])
def test_any_text_and_any_bytes_can_be_shown(content):
    expected = content if isinstance(content, bytes) else content.encode()
    assert read(render(content, CLEAN, rng=rng())) == [expected]


def test_a_token_is_drawn_in_alphanumeric_mode_at_level_m():
    """ISO/IEC 18004 table 7: 8-M (49 modules) holds 221 alphanumeric characters or 152 bytes."""
    assert len(TOKEN) == 220
    assert len(modules(TOKEN)) == 49
    assert len(modules(TOKEN.lower())) > 49


def test_several_codes_are_drawn_side_by_side():
    texts = ["ES1:A", "ES1:B", "ES1:C"]
    assert sorted(read(render_many(texts, TILTED, rng=rng()))) == [text.encode() for text in texts]


def test_the_corners_of_a_drawn_code_are_returned():
    picture = draw([(TOKEN, TILTED)], rng=rng())
    found = zxingcpp.read_barcodes(picture.grey)[0].position
    corners = [found.top_left, found.top_right, found.bottom_right, found.bottom_left]
    for drawn, read in zip(picture.quads[0], corners, strict=True):
        assert abs(drawn[0] - read.x) < 6
        assert abs(drawn[1] - read.y) < 6


def test_the_error_for_a_code_that_does_not_fit_says_what_to_do():
    with pytest.raises(ValueError, match="px_per_module"):
        render(TOKEN, ViewCondition(px_per_module=20), rng=rng())


def test_a_clip_goes_from_an_unreadable_to_a_readable_phone():
    frames = list(clip(TOKEN, rng=rng(), frames=16))
    readable = [read(frame) == [TOKEN.encode()] for frame in frames]
    assert not any(readable[:4])
    assert all(readable[-3:])
