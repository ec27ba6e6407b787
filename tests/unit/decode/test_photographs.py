"""A fixed sample of shared photographs: what was read is still read, and negatives are not."""

import json

import pytest

from edge.capture import picture_files
from edge.decode.ladder import Ladder
from edge.decode.qr.quad import as_quad, centre, contains
from edge.decode.rungs import DEEP
from tests.support.shared_data import shared_data

# Neither of the two libraries reads these by itself.
READ_BY_RECOVERY = [
    "boofcv-curved/image017.jpg",
    "boofcv-curved/image034.jpg",
    "boofcv-damaged/image009.jpg",
    "boofcv-damaged/image005.jpg",
    "boofcv-damaged/image030.jpg",
    "boofcv-glare/image014.jpg",
    "boofcv-glare/image025.jpg",
    "boofcv-noncompliant/image016.jpg",
    "boofcv-perspective/image027.jpg",
    "boofcv-perspective/image031.jpg",
    "boofcv-blurred/image021.jpg",
]
TEXTS = [
    "zxcpp-4/05.png",
    "zxcpp-4/13.png",
    "zxcpp-4/30.png",
    "zxcpp-4/33.png",
    "zxcpp-2/qr-inv-1.png",
    "zxcpp-1/1.png",
]


def truth(name):
    folder, file = name.split("/")
    return json.loads(
        (shared_data("qr-photos", folder) / "truth.json").read_text(encoding="utf-8")
    )[file]


@pytest.mark.parametrize("name", READ_BY_RECOVERY)
def test_a_photograph_that_was_read_is_still_read(name):
    symbols = Ladder().decode(picture_files.load(shared_data("qr-photos", name)))
    places = [as_quad(marker) for marker in truth(name)["markers"]]
    assert symbols
    assert all(any(contains(place, centre(symbol.quad)) for place in places) for symbol in symbols)


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_read_correctly(name):
    symbols = Ladder().decode(picture_files.load(shared_data("qr-photos", name)))
    assert {symbol.text for symbol in symbols} <= set(truth(name)["texts"])
    assert symbols


def test_nothing_is_read_where_there_is_no_qr_code():
    folders = [
        shared_data("qr-photos", name) for name in ("neg-falsepos-1", "neg-other-symbologies")
    ]
    ladder = Ladder(DEEP)
    files = [file for folder in folders for file in sorted(folder.glob("*.png"))[::12]]
    assert len(files) > 30
    assert {file.name: ladder.decode(picture_files.load(file)) for file in files} == dict.fromkeys(
        (f.name for f in files), ()
    )


@pytest.mark.slow
def test_nothing_is_read_in_any_negative():
    folders = [
        shared_data("qr-photos", name) for name in ("neg-falsepos-1", "neg-other-symbologies")
    ]
    ladder = Ladder(DEEP)
    for file in (file for folder in folders for file in sorted(folder.glob("*.png"))):
        assert ladder.decode(picture_files.load(file)) == (), file.name
