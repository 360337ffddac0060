"""What mkdocs does for the site beyond its pages: hooks that mkdocs.yml names.

Pages are made of the public modules (reference/) and of the files at the root that concern users.
Links to other files of the repository go to it, if GENZOO_REPOSITORY gives its address,
https://HOST/OWNER/NAME, and are plain text otherwise. Formulas become MathML: no script is needed.
"""

import ast
import functools
import os
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
# Files at the root that are pages of the site.
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#:\s]+)(#[^)]*)?\)")
FENCE = re.compile(r"(^ *```.*?^ *```)", re.M | re.S)
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)
# What the converter does not know, and what looks the same.
INSTEAD = {r"\Big\Vert": r"\Vert", r"\arg\min": r"\operatorname{arg\,min}"}
MODULE = re.compile(r"^\| `(genzoo[\w.]*)` \| (.*) \|$", re.M)


def source(module: str) -> Path:
    """The file of a module; the stub, where a package has one."""
    place = ROOT.joinpath(*module.split("."))
    files = [place / "__init__.pyi", place / "__init__.py", place.with_suffix(".py")]
    return next(file for file in files if file.is_file())


def is_module(name: str) -> bool:
    """Whether this is a file or a package."""
    place = ROOT.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


@functools.cache
def imported(module: str) -> dict[str, str]:
    """The names that a module takes from other modules of genzoo, and from which."""
    tree = ast.parse(source(module).read_text(encoding="utf-8"))
    taken = [n for n in tree.body if isinstance(n, ast.ImportFrom)]
    names = {a.asname or a.name: n.module for n in taken for a in n.names if "genzoo" in n.module}
    return {name: origin for name, origin in names.items() if not is_module(f"{origin}.{name}")}


def public_names(module: str) -> list[str]:
    """The names that a module declares public, in its stub or in ``__all__``; [] if in neither."""
    if source(module).suffix == ".pyi":
        return sorted(imported(module))
    for node in ast.parse(source(module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return sorted(n for n in ast.literal_eval(node.value) if not is_module(f"{module}.{n}"))
    return []


def home(module: str, name: str) -> str:
    """The full name of what ``module`` calls ``name``, where it is defined."""
    while origin := imported(module).get(name):
        module = origin
    return f"{module}.{name}"


def entry(module: str, name: str) -> str:
    """The place of a name on the page; a value that has no docstring is its line of code."""
    full = home(module, name)
    text = source(full.rpartition(".")[0]).read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and re.search(
            rf"\b{name}\b", ast.unparse(node).partition("=")[0]
        ):
            return f"## `{name}`\n\n```python\n{ast.get_source_segment(text, node)}\n```"
    return f"::: {full}"


def reference(module: str, purpose: str) -> str:
    """The page of a public module: functions, then classes and values."""
    names = sorted(public_names(module), key=lambda name: (name[0].isupper(), name))
    entries = [entry(module, name) for name in names] or [f"::: {module}"]
    return f"# {module}\n\nFor {purpose}.\n\n" + "\n\n".join(entries) + "\n"


def modules() -> list[tuple[str, str]]:
    """The public modules, and what each is for, as docs/plugins.md lists them."""
    return MODULE.findall((ROOT / "docs/plugins.md").read_text(encoding="utf-8"))


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are no files of docs/."""
    made = {f"reference/{m}.md": reference(m, purpose) for m, purpose in modules()}
    here = {name: page for name, page in PAGES.items() if (ROOT / name).is_file()}
    made |= {page: (ROOT / name).read_text(encoding="utf-8") for name, page in here.items()}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def moved(source: str, files: Files, repository: str) -> Any:
    """What replaces each link of a page that is ``source`` in the repository."""
    here = PAGES.get(source) or source.removeprefix("docs/")

    def link(match: re.Match[str]) -> str:
        words, target, place = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        page = PAGES.get(path) or (
            "index.md" if path == "README.md" else path.removeprefix("docs/")
        )
        if (path != page or source == path) and files.get_file_from_path(page):
            relative = posixpath.relpath(page, posixpath.dirname(here) or ".")
            return f"[{words}]({relative}{place or ''})"
        if not (ROOT / path).exists():
            return match[0]  # mkdocs says that it leads nowhere
        return f"[{words}]({repository}/blob/main/{path}{place or ''})" if repository else words

    return link


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links lead where the site has the page, to the repository, or nowhere."""
    names = {made: name for name, made in PAGES.items()}
    source = names.get(page.file.src_uri) or f"docs/{page.file.src_uri}"
    link = moved(source, files, config.repo_url or "")
    parts = FENCE.split(markdown)
    return "".join(p if FENCE.fullmatch(p) else LINK.sub(link, p) for p in parts)


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Formulas as MathML, which browsers draw themselves."""

    def formula(match: re.Match[str]) -> str:
        text = match[2].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        for known, instead in INSTEAD.items():
            text = text.strip().replace(known, instead)
        drawn = convert(text, display="block" if match[1] == "div" else "inline")
        if unknown := re.findall(r"\\[A-Za-z]+", re.sub("<annotation.*?</annotation>", "", drawn)):
            raise PluginError(f"{page.file.src_uri}: no MathML for {unknown[0]} in {text}")
        return drawn

    return FORMULA.sub(formula, html)


def on_config(config: Any) -> Any:
    """The repository, where it is known."""
    config.repo_url = os.environ.get("GENZOO_REPOSITORY") or None
    if config.repo_url:
        config.repo_name = "Repository"
    return config
