"""Sphinx's settings: one site of the Markdown pages and of an API reference from the docstrings.

The build needs no network, and neither does a reader: Mermaid diagrams become SVG while the site
is built.
`make docs` treats each warning as an error: a broken link, anchor or diagram, or a page that no
menu lists.
"""

import os
import re
import sys
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(ROOT / "hardware-sim")]

project = "Edge scanner"
author = "the maintainers"
project_copyright = "the maintainers, Apache-2.0"
release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinxcontrib.mermaid"]

# --- pages: Markdown as Git hosts show it; a heading is an anchor, a Mermaid fence a diagram
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4
mermaid_output_format = "svg"
mermaid_cmd = str(Path(sys.executable).with_name("mermaidx"))

# --- API: a page for each room, its modules one after the other
apidoc_modules = [
    {"path": f"../{folder}", "destination": f"api/{Path(folder).name}"}
    for folder in ("edge", "sync", "hardware-sim/hardware_sim")
]
apidoc_module_first = True
exclude_patterns = ["README.md", "api/*/modules.rst"]  # shown by index; a second menu
autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
toc_object_entries = False
# autodoc guesses at short names in annotations, and two fields may have one name.
suppress_warnings = ["ref.python"]

# --- form
html_theme = "furo"
html_title = f"Edge scanner {release}"
html_copy_source = False
html_show_sourcelink = False

# Files that the repository keeps elsewhere, and the page of the site that shows each.
SHOWN_AS = {
    DOCS / "README.md": "index",
    ROOT / "CHANGELOG.md": "project/changelog",
    ROOT / "CONTRIBUTING.md": "project/contributing",
    ROOT / "SECURITY.md": "project/security",
}
DECISIONS = "\n```{toctree}\n:glob:\n:hidden:\n\n0*\n```\n"
API_TITLE = re.compile(r"^([\w.\\]+) (?:package|module)$|^Submodules\n-+$", re.MULTILINE)
RELATIVE_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")


def read_page(_app: Sphinx, page: str, source: list[str]) -> None:
    """Change the source of a page where the site differs from the repository."""
    if page.startswith("api/"):
        source[0] = API_TITLE.sub(r"\1", source[0])
        return
    source[0] = with_site_links(page, source[0])
    if page == "adr/README":
        source[0] += DECISIONS


def with_site_links(page: str, text: str) -> str:
    """Return the text of a page with relative links that work on the site, too.

    A link out of the documentation leads to the page that shows the file, or downloads the file.
    """
    origin = next((path for path, shown_as in SHOWN_AS.items() if shown_as == page), None)
    if origin is not None:
        text = origin.read_text(encoding="utf-8") + "\n" + text
    folder = (origin or DOCS / page).parent

    def target(link: re.Match[str]) -> str:
        path, anchor = (folder / link[1]).resolve(), link[2] or ""
        if path.is_dir():
            path /= "README.md"
        shown_as = DOCS / f"{SHOWN_AS[path]}.md" if path in SHOWN_AS else path
        relative = os.path.relpath(shown_as, (DOCS / page).parent)
        return relative + anchor if shown_as.is_relative_to(DOCS) else f"path:{relative}"

    return RELATIVE_LINK.sub(target, text)


def setup(app: Sphinx) -> None:
    """Register what happens to each page when it is read."""
    app.connect("source-read", read_page)
