"""Links of the built pages, without a network: every page, file and anchor that they name is there.

    python doc/check_links.py doc/_build/html

What a page needs to be shown (scripts, styles, pictures) has to be a file of the build, too. Links
to other sites are not followed: `make -C doc linkcheck` does that where there is a network.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# A page cannot be drawn as meant without these.
NEEDED = {"script": "src", "img": "src", "source": "src", "iframe": "src"}


class Page(HTMLParser):
    """Anchors, links and needs of one page."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.needs = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors.update(given[name] for name in ("id", "name") if given.get(name))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "link" and "stylesheet" in (given.get("rel") or ""):
            self.needs.append(given["href"])
        if given.get(NEEDED.get(tag)):
            self.needs.append(given[NEEDED[tag]])


def broken(root):
    """One line for every link of the pages below `root` that leads nowhere."""
    root = Path(root).resolve()
    pages = {path: Page(path.read_text()) for path in sorted(root.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(root)
        # Templates of the theme, and listings whose links the extension for them makes.
        if name.parts[0] in ("_static", "_modules"):
            continue
        for url in page.needs:
            parts = urlsplit(url)
            if parts.scheme in ("http", "https") or parts.netloc:
                found.append(f"{name}: needs {url} from the network")
        for url in dict.fromkeys((*page.links, *page.needs)):
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.is_file():
                found.append(f"{name}: {url} is not there")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                found.append(f"{name}: {url} has no such anchor")
    return found


def main():
    found = broken(sys.argv[1])
    print("\n".join(found) if found else "every link leads somewhere")
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
