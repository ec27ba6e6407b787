"""Every Markdown page: short prose, links that lead somewhere, figures that are the code's own."""

import re

import pytest

from edge.pickup import door_states
from tests.support import figures
from tests.support.paths import DOCS, ROOT
from tests.support.prose import too_long

NOT_OURS = {"build", "node_modules", "shared"}
GENERATED = {"docs/protocol/README.md": "sync.protocol writes it from the models, a field a row"}


def pages():
    for path in sorted(ROOT.rglob("*.md")):
        parts = path.relative_to(ROOT).parts
        if not NOT_OURS.intersection(parts) and not any(
            part.startswith(".") for part in parts[:-1]
        ):
            yield pytest.param(path, id=str(path.relative_to(ROOT)))


PAGES = list(pages())
WRITTEN = [page for page in PAGES if page.id not in GENERATED]


@pytest.mark.parametrize("page", WRITTEN)
def test_prose_is_short(page):
    assert too_long(page.read_text(encoding="utf-8")) == []


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_to_a_file_and_to_a_heading_in_it(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lost = []
    for target, _, anchor in re.findall(r"\]\(([^)#:\s]*)(#([^)]*))?\)", text):
        file = page.parent / target if target else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            lost.append(f"{target}#{anchor}")
    assert lost == []


OURS = re.compile(
    r"`((?:edge|sync|tests|docs|firmware-config|systemd|packaging|benchmarks|hardware-sim)/[\w./-]*)`"
)


@pytest.mark.parametrize("page", [page for page in PAGES if page.id != "CHANGELOG.md"])
def test_a_file_that_a_page_names_is_here(page):
    named = OURS.findall(page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


KINDS = ("tutorial", "how-to", "reference", "explanation")


def test_a_page_is_in_the_folder_of_its_kind_and_on_the_index():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    loose = {path.name for path in DOCS.glob("*.md")}
    assert loose <= {"README.md", "architecture.md", "index.md"}
    listed = [path.relative_to(DOCS) for kind in KINDS for path in (DOCS / kind).glob("*.md")]
    assert [str(path) for path in listed if f"({path})" not in index] == []


def test_the_state_diagram_of_a_door_is_the_programs():
    page = figures.PICKUP.read_text(encoding="utf-8")
    assert page == figures.page_with_door_states(page), "run python -m tests.support.figures"


def test_a_step_that_the_program_adds_is_in_the_state_diagram(monkeypatch):
    step = door_states.DoorStep(door_states.DoorState.COLLECTED)
    key = (door_states.DoorState.UNKNOWN, door_states.DoorEvent.DOOR_CLOSED)
    assert "unknown --> collected" not in figures.door_states()
    monkeypatch.setitem(door_states.TABLE, key, step)
    assert "    unknown --> collected: door_closed" in figures.door_states()


@pytest.mark.parametrize(
    ("file", "drawn"),
    [
        pytest.param(figures.FLOORS, figures.floors_svg, id="floors"),
        pytest.param(figures.LADDER, figures.ladder_svg, id="ladder"),
    ],
)
def test_a_picture_is_drawn_from_what_is_here(file, drawn):
    assert file.read_text(encoding="utf-8") == drawn(), "run python -m tests.support.figures"


def test_rooms_that_import_in_a_circle_have_no_floor():
    with pytest.raises(AssertionError, match="a circle"):
        figures.floors({"edge/a": {"edge/b"}, "edge/b": {"edge/a"}}, "edge")
