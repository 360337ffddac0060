"""Writes the README of each family's package: from its metadata and its page in docs/families.

With ``--check`` it only fails where one differs.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TRAINING = re.compile(r"^<!-- slow: [^>]+-->\n```bash\n(genzoo train [^\n]+--out (\S+))\n", re.M)
TEXT = """\
# {package}

{summary}.

A family of genzoo, a zoo of generative models with one interface for all. `pip install genzoo`
brings it along. A first training, and sixteen samples:

```bash
pip install "genzoo[digits]"
{training}
genzoo sample ./{folder}
```

`genzoo info {family}` lists its options.
[The page of this family](../../docs/families/{family}.md) says how it works, by which paper, and
shows samples.
"""


def readme(folder: Path) -> str:
    """The README of the family in ``folder``."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = ROOT / f"docs/families/{folder.name}.md"
    training = TRAINING.search(page.read_text(encoding="utf-8")) if page.is_file() else None
    if training is None:
        sys.exit(f"{page.relative_to(ROOT)}: expected a first training, marked <!-- slow: ... -->")
    return TEXT.format(
        package=project["name"],
        summary=project["description"],
        family=folder.name,
        training=training[1],
        folder=training[2],
    )


def main() -> None:
    """Write all, or check them."""
    wrong = []
    for folder in sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml")):
        path, text = folder / "README.md", readme(folder)
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        wrong.append(str(path.relative_to(ROOT)))
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8", newline="\n")
    if wrong and "--check" in sys.argv[1:]:
        sys.exit(f"not as .ci/readmes.py writes them: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
