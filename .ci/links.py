"""Fails where a link of a built site leads nowhere: .ci/links.py build/site

Links to other hosts are not opened; their number is said.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links of a page, and the places on it that links may name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the attributes of a tag."""
        values = {name: value for name, value in attrs if value}
        self.links += [values[name] for name in ("href", "src") if name in values]
        self.places |= {values[name] for name in ("id", "name") if name in values}


def read(site: Path) -> dict[Path, Page]:
    """All pages of the site."""
    return {p.resolve(): Page(p.read_text(encoding="utf-8")) for p in sorted(site.rglob("*.html"))}


def broken(site: Path) -> tuple[list[str], int, int]:
    """(links that lead nowhere, how many links there are, how many of them to other hosts)."""
    pages, wrong, count, elsewhere = read(site), [], 0, 0
    for path, page in pages.items():
        for link in page.links:
            count += 1
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                elsewhere += 1
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            known = pages.get(target)
            missing = known is not None and parts.fragment and parts.fragment not in known.places
            if path.name == "404.html" and parts.path.startswith("/"):
                continue  # from the root of a host that is not known here
            if not target.is_file() or not target.is_relative_to(site.resolve()) or missing:
                wrong.append(f"{path.relative_to(site.resolve()).as_posix()}: {link}")
    return wrong, count, elsewhere


def main() -> None:
    """The command line."""
    site = Path(sys.argv[1])
    wrong, count, elsewhere = broken(site)
    if wrong or not count:
        sys.exit("\n".join([*wrong, f"{len(wrong)} of {count} links lead nowhere"]))
    print(f"{count} links, {elsewhere} of them to other hosts, none is broken")


if __name__ == "__main__":
    main()
