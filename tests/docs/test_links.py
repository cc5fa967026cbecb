"""Links within the documentation lead somewhere, headings included."""

from pathlib import Path

import pytest

from tests.docs.pages import PROJECT, anchors, links

PAGES = [
    *sorted((PROJECT / "docs").rglob("*.md")),
    *(PROJECT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_to_pages_and_headings(page: Path) -> None:
    broken = [
        f"{path}#{anchor}"
        for path, anchor in links(page.read_text("utf-8"))
        if not leads_somewhere(page, path, anchor)
    ]
    assert broken == []


def leads_somewhere(page: Path, path: str, anchor: str) -> bool:
    target = page.parent / path if path else page
    if not target.exists():
        return False
    return not anchor or anchor in anchors(target.read_text("utf-8"))


def test_the_index_names_every_page() -> None:
    index = PROJECT / "docs" / "README.md"
    linked = {
        (index.parent / path).resolve() for path, _ in links(index.read_text("utf-8")) if path
    }
    pages = set((PROJECT / "docs").glob("*.md")) - {index}
    assert sorted(page.name for page in pages - linked) == []


def test_a_link_to_nowhere_is_found() -> None:
    page = PROJECT / "README.md"
    assert not leads_somewhere(page, "docs/no-such-page.md", "")
    assert not leads_somewhere(page, "docs/concepts.md", "no-such-heading")
