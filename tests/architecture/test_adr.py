"""The decision records: their form, their index, and what refers to them (docs/adr/README.md)."""

import re

import pytest

from tests.support.paths import DOCS, ROOT

FOLDER = DOCS / "adr"
INDEX = FOLDER / "README.md"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))
SECTIONS = ["Context", "Decision", "Alternatives considered", "Consequences"]
STATUS = re.compile(
    r"Accepted|Proposed|(?:Superseded|Accepted, in part superseded) by \[\d{4}\]\(.+\)"
)
SEARCHED = ("docs", "edge", "firmware-config", "packaging", "sync", "systemd", "tests")
TEXT = {".json", ".md", ".py", ".service", ".toml", ".txt"}
DATE = re.compile(r"\d{4}-\d\d-\d\d(?:, revised \d{4}-\d\d-\d\d)?")

every_record = pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)


def field(text: str, name: str) -> str:
    (value,) = re.findall(rf"^\* {name}: (.+)$", text, re.MULTILINE)
    return value


def title(text: str) -> str:
    return text.splitlines()[0].removeprefix("# ")


def test_there_are_records():
    assert RECORDS


@every_record
def test_a_record_has_its_fields_and_sections(record):
    text = record.read_text(encoding="utf-8")
    assert title(text).startswith(f"{record.stem[:4]}: ")
    assert STATUS.fullmatch(field(text, "Status"))
    assert DATE.fullmatch(field(text, "Date"))
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [name for name in sections if name in SECTIONS] == SECTIONS
    bodies = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
    assert all(body.strip() for body in bodies)


@every_record
def test_a_record_is_in_the_index_as_it_says_itself(record):
    text = record.read_text(encoding="utf-8")
    number, heading = title(text).split(": ", maxsplit=1)
    status = field(text, "Status").split(" by ")[0]
    rows = [line for line in INDEX.read_text(encoding="utf-8").splitlines() if record.name in line]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[:4] for row in cells] == [
        [number, f"[{heading}]({record.name})", status, field(text, "Date")[:10]]
    ]
    assert cells[0][4], "a summary of one line"


def test_a_number_is_given_once_and_the_index_is_in_order():
    numbers = [record.stem[:4] for record in RECORDS]
    listed = re.findall(r"^\| (\d{4}) \|", INDEX.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == numbers == sorted(set(numbers))


def test_a_reference_names_a_record_that_exists():
    files = [*ROOT.glob("*.md")] + [
        path for folder in SEARCHED for path in (ROOT / folder).rglob("*") if path.suffix in TEXT
    ]
    named = {
        number
        for path in files
        for number in re.findall(r"\badr/(\d{4})", path.read_text(encoding="utf-8"))
    }
    assert named, "the search finds what there is"
    assert named <= {record.stem[:4] for record in RECORDS}
