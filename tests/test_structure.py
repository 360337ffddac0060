"""What design.md promises of the source text, read off it: order, sizes, names, discipline."""

import ast
import functools
import importlib
import io
import itertools
import re
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from genzoo import families
from genzoo.testing.structure_checks import unbounded
from genzoo.zoo import installed

ROOT = Path(__file__).parents[1]
# A file of the ground imports only from those before it; a package from the ground and from the
# packages before it. Inside a package there is no circle.
GROUND = ["version", "text", "errors", "files", "schemas", "options", "devices"]
PACKAGES = ["models", "training", "families", "data", "zoo", "runs", "features", "editing"]
PACKAGES += ["metrics", "evaluation", "exports", "testing", "demo", "cli"]
# Their importers may be a listing, which must not wait for torch.
TORCHLESS = [*GROUND, "families", "families.family", "families.registry", "data", "data.catalogue"]
TORCHLESS += [
    "zoo.installed",
    "zoo.manifest",
    "zoo.weights",
    "zoo.folder",
    "zoo.hub_client",
    "zoo.hub",
    "zoo.names",
]
TORCHLESS += [
    "zoo.card",
    "zoo.publish",
    "zoo.citation",
    "zoo.provenance",
    "evaluation.published",
    "evaluation.reference",
    "data.contents",
]
TORCHLESS += ["zoo.reader", "zoo.readme", "zoo.metadata", "testing.status", "testing.scaffold"]
FAMILIES = re.compile(
    "pixelcnn|pixelrnn|genzoo.made|made-mnist|rbm|gmm|realnvp|autoencoder|vae|dcgan|wgan|sagan|cgan|cyclegan|ae.?gan",
    re.IGNORECASE,
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "genzoo").with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


CORE = {module_name(path): path for path in (ROOT / "genzoo").rglob("*.py")}
FILES = sorted((ROOT / "plugins").glob("*/genzoo_*.py"))
FAST = [path for path in FILES if path.stem.endswith("_fast")]
PLUGINS = [path for path in FILES if path not in FAST]
# Installed by their own tests alone, so that no test here imports them.
EXAMPLES = sorted((ROOT / "docs/examples").glob("*/genzoo_*.py"))
TREES = {path: ast.parse(path.read_text()) for path in [*CORE.values(), *FILES, *EXAMPLES]}
SOURCES = {str(path.relative_to(ROOT)): path for path in TREES}


# -------------------------------------------------------------------------------- who imports whom


def imports(node: ast.AST, within: bool = False, typed: bool = False) -> Iterator[tuple[str, bool]]:
    """(what is imported, whether inside a function); with ``typed``, for type checkers too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, within) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: a relative import"
            yield from ((f"{child.module}.{alias.name}", within) for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            body = [*child.body, *child.orelse] if typed else child.orelse
            yield from imports(ast.Module(body, []), within, typed)
        else:
            inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(child, within or inner, typed)


def own(imported: str) -> str | None:
    """The file of the core that ``imported`` comes from: "" is genzoo/__init__.py."""
    top, _, rest = imported.partition(".")
    if top != "genzoo":
        return None
    return rest if rest in CORE else rest.rpartition(".")[0]


def uses(name: str) -> set[str]:
    """The files of the core that a file imports: anywhere in it, and for type checkers too."""
    return {file for i, _ in imports(TREES[CORE[name]], typed=True) if (file := own(i)) is not None}


def test_the_reader_of_imports_reads_right():
    tree = ast.parse(
        "import a\nfrom genzoo.cli import app\nif TYPE_CHECKING:\n    import b\nelse:\n"
        "    import c\nclass K:\n    from d import e\n    def f(self):\n        import g.h\n"
    )
    found = [("a", False), ("genzoo.cli.app", False), ("c", False), ("d.e", False), ("g.h", True)]
    assert [*imports(tree)] == found
    assert [*imports(tree, typed=True)] == [*found[:2], ("b", False), *found[2:]]
    homes = ["genzoo.cli.app", "genzoo.zoo.hub.fetch", "genzoo.load", "genzoo.training.Batch", "os"]
    assert [own(name) for name in homes] == ["cli.app", "zoo.hub", "", "training", None]


def test_the_house_has_these_rooms_and_no_other():
    tops = {name.partition(".")[0] for name in CORE} - {"", "__main__"}
    assert tops == {*GROUND, *PACKAGES}
    assert len(GROUND) <= 7


def test_the_design_shows_this_order():
    text = (ROOT / "docs/design.md").read_text().partition("## The order")[2]
    shown = re.findall(r"^\| `([a-z]+/?)` \|", text.partition("\n## ")[0], re.MULTILINE)
    assert shown == [*GROUND, *(f"{name}/" for name in PACKAGES)]


@pytest.mark.parametrize("name", sorted({*CORE} - {""}))
def test_imports_only_from_above(name):
    """At module level, in functions and for type checkers: no import goes upward."""
    order = [*GROUND, *PACKAGES, "__main__"]
    top = name.partition(".")[0]
    above = order[: order.index(top)] + ([top] if top in PACKAGES else [])
    found = {file.partition(".")[0] for file in uses(name)}
    # The door itself: every package makes its own of it, and commands call the public names.
    assert not (below := sorted(found - {"", *above})), f"{name} imports {below}"
    by_name = {i.rpartition(".")[2] for i, _ in imports(TREES[CORE[name]]) if own(i) == ""}
    assert by_name <= {"lazy", *(["load"] if top == "cli" else [])}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_inside_a_package(package):
    left = {name: uses(name) for name in CORE if name.partition(".")[0] == package}
    left.pop(package, None)  # its door imports nothing, or (training) is imported by none of it
    while left:
        free = [name for name, used in left.items() if not used & {*left} - {name}]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize("package", sorted({*PACKAGES} - {"training"}))
def test_a_packages_door_opens_lazily(package):
    assert uses(package) <= {""}


def test_the_door_opens_lazily():
    assert uses("") == {"version"}


PARTS = {f"models.{name}" for name in ("networks", "equalised", "spectral", "flows", "laws")}
PUBLIC = {"", "schemas", "options", "training", *PARTS}


def test_no_plugin_reaches_past_the_public_files():
    assert EXAMPLES
    for path in [*FILES, *EXAMPLES]:
        found = {own(imported) for imported, _ in imports(TREES[path])} - {None}
        assert found <= PUBLIC, f"{path.name} imports {sorted(found)}"


@pytest.mark.parametrize("name", CORE)
def test_a_file_is_read_in_one_sitting(name):
    assert len(CORE[name].read_text().splitlines()) <= 450


@functools.cache
def _at_the_top(name: str) -> tuple[str, ...]:
    """What a file of the core imports at module level."""
    return tuple(i for i, within in imports(TREES[CORE[name]]) if not within)


def _reaches(name: str, package: str) -> list[str]:
    """The chain of module-level imports from a file of the core to ``package``, if there is one."""
    chains, seen = [[name]], {name}
    for chain in chains:
        found = _at_the_top(chain[-1])
        if any(i.split(".")[0] == package for i in found):
            return [*chain, package]
        new = {mine for i in found if (mine := own(i)) is not None} - seen
        chains += [[*chain, mine] for mine in sorted(new)]
        seen |= new
    return []


@pytest.mark.parametrize("name", [*TORCHLESS, *sorted(n for n in CORE if n.startswith("cli"))])
@pytest.mark.parametrize("package", ["torch", "torchvision", "huggingface_hub"])
def test_only_functions_import_what_is_slow(name, package):
    assert not (chain := _reaches(name, package)), " imports ".join(chain)


def test_what_is_slow_or_an_extra_is_nowhere_imported_at_the_top():
    slow = ("torchvision", "sklearn", "torch_fidelity", "pytorch_fid", "scipy")
    assert [n for n in CORE if any(_reaches(n, package) for package in slow)] == []


# ------------------------------------------------------------------------------------------- names


def spoken(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, text) of every identifier and string, but for docstrings and words of help."""
    told = set()
    for node in ast.walk(tree):
        is_help = isinstance(node, ast.keyword) and node.arg in ("help", "examples")
        if is_help or isinstance(node, ast.Expr):
            told |= {node.value, *(node.value.elts if isinstance(node.value, ast.List) else ())}
    for node in ast.walk(tree):
        if node in told:
            continue
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield line, node.value
        for field in ("id", "name", "attr", "arg", "asname", "module"):
            if isinstance(text := getattr(node, field, None), str):
                yield line, text


def test_the_reader_of_names_reads_right():
    source = '"""vae"""\n# vae\nOption(help="vae", examples=["vae"])\nclass VAE:\n    """vae"""\n'
    source += '    x: int = 1\n    """vae"""\n    def f(self, vae):\n'
    source += '        return self.vae + "vae"'
    found = [line for line, text in spoken(ast.parse(source)) if FAMILIES.search(text)]
    assert sorted(found) == [4, 8, 9, 9]


@pytest.mark.parametrize("name", CORE)
def test_the_core_names_no_family(name):
    tree = TREES[CORE[name]]
    found = [f"line {n}: {text[:60]}" for n, text in spoken(tree) if FAMILIES.search(text)]
    assert found == []


@pytest.mark.parametrize("name", SOURCES)
def test_names_say_what_a_thing_is(name):
    vague = r"(^|_)(utils?|helpers?|common|base|managers?|misc)(_|$)"
    assert not re.search(vague, Path(name).stem.lower()), f"{name}: a name that says nothing"
    classes = [n.name for n in ast.walk(TREES[SOURCES[name]]) if isinstance(n, ast.ClassDef)]
    odd = [c for c in classes if re.match("_*Base|.*(Manager|Helper|Utils?)$", c)]
    assert odd == []


# ------------------------------------------------------------------------------------------- sizes


def code_lines(source: str) -> int:
    """Lines of code: blank ones, comments and docstrings don't count."""
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    nothing |= {tokenize.ENCODING, tokenize.ENDMARKER}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in nothing:
            lines |= {*range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= {*range(node.lineno, (node.end_lineno or 0) + 1)}
    return len(lines)


def test_the_counter_of_lines_counts_right():
    source = '"""A\n\nB"""\n# c\n\nx = 1  # c\ny = (\n    2\n)\n\n\ndef f():\n    """D\n    E"""\n'
    assert code_lines(source + "    return '''\n\n'''\n") == 1 + 3 + 1 + 3


# A family of many parts.
LONGER = {"genzoo_stylegan": 200}


@pytest.mark.parametrize("path", [*FILES, *EXAMPLES], ids=lambda path: path.stem)
def test_a_family_s_files_are_short(path):
    most = LONGER.get(path.stem, 150)
    assert (n := code_lines(path.read_text())) <= most, f"{n} lines of code"


@pytest.mark.parametrize("path", [*PLUGINS, *EXAMPLES], ids=lambda path: path.stem)
def test_a_family_is_one_file_and_one_line(path):
    """And at most one more file, that does the same faster."""
    modules = [p for p in path.parent.rglob("*.py") if "tests" not in p.parts]
    fast = path.with_name(f"{path.stem}_fast.py")
    assert {path} <= {*modules} <= {path, fast}
    wheel = _pyproject(path)["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sorted(wheel["only-include"]) == sorted(p.name for p in modules)
    doors = _project(path)["entry-points"]
    assert len(doors) == 1, f"more than one kind: {doors}"
    assert {*doors} <= {*families.GROUPS.values()}


@pytest.mark.parametrize("path", FAST, ids=lambda path: path.stem)
def test_a_fast_file_is_held_equal_by_its_plugin_s_tests(path):
    """A test of the plugin compares what a function of the fast file gives."""
    tests = [ast.parse(p.read_text()) for p in path.parent.glob("tests/test_*.py")]
    found = [
        f.name
        for tree in tests
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef)
        and f.name.startswith("test_")
        and f"{path.stem}." in (text := ast.unparse(f))
        and re.search(r"assert torch\.(equal|allclose)", text)
    ]
    assert found, f"no test compares {path.name} with the family's own file"


@pytest.mark.parametrize("path", [ROOT / "genzoo", *PLUGINS], ids=lambda path: path.stem)
def test_the_classifiers_name_the_versions_that_are_tried(path):
    """The license is an expression of SPDX: no classifier stands beside it."""
    project = _project(path)
    first = int(project["requires-python"].removeprefix(">=3."))
    versions = [f"Programming Language :: Python :: 3.{n}" for n in range(first, 15)]
    assert {*versions, "Operating System :: OS Independent"} <= {*project["classifiers"]}
    assert not [c for c in project["classifiers"] if c.startswith("License ::")]


def _pyproject(path: Path) -> dict:
    return tomllib.loads((path.parent / "pyproject.toml").read_text())


def _project(path: Path) -> dict:
    return _pyproject(path)["project"]


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(name, lines) of every function: its docstring does not count, nor a command's options."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        is_command = any("app.co" in ast.unparse(d) for d in node.decorator_list)
        head = 1 if is_command else node.body[0].lineno - node.lineno
        lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
        yield node.name, head + lines


@pytest.mark.parametrize("name", SOURCES)
def test_functions_are_short(name):
    long = {f: n for f, n in functions(TREES[SOURCES[name]]) if n > 40}
    assert long == {}


# -------------------------------------------------------------------------------------- discipline


def _is_final(node: ast.ClassDef | ast.FunctionDef) -> bool:
    return any(ast.unparse(d) in ("final", "typing.final") for d in node.decorator_list)


def finals() -> tuple[dict[type, ast.ClassDef], dict[type, set[str]]]:
    """Every class of the core and the plugins, and the names of its final methods."""
    classes, methods = {}, {}
    for path in [*CORE.values(), *FILES]:
        tree = TREES[path]
        home = path.stem if path in FILES else f"genzoo.{module_name(path)}".rstrip(".")
        module = importlib.import_module(home)
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                kind = getattr(module, node.name)
                classes[kind] = node
                mine = [n for n in node.body if isinstance(n, ast.FunctionDef)]
                methods[kind] = {n.name for n in mine if _is_final(n)}
    return classes, methods


def test_nothing_final_is_subclassed_or_overridden():
    classes, methods = finals()
    assert sum(map(_is_final, classes.values())) > 10
    assert sum(map(len, methods.values())) > 10
    wrong = []
    for kind, node in classes.items():
        above = [c for c in kind.__mro__[1:] if c in classes]
        wrong += [f"{kind.__name__}({c.__name__})" for c in above if _is_final(classes[c])]
        defined = {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
        wrong += [f"{kind.__name__}.{m}" for c in above for m in sorted(methods[c] & defined)]
    assert wrong == []


def test_a_concrete_model_or_trainer_is_subclassed_by_nobody():
    """Abstract or final: what does something is wrapped, not refined."""
    from genzoo.models.model import Discriminator, Model
    from genzoo.training import Trainer

    classes, _ = finals()
    for kind in [k for k in classes if issubclass(k, Model | Trainer | Discriminator)]:
        concrete = [c for c in kind.__mro__[1:] if c in classes and not c.__abstractmethods__]
        # ``Model`` has no abstract method of its own: its abilities have.
        assert concrete in ([], [Model]), f"{kind.__name__} refines {concrete}"


# ---------------------------------------------------------------------------------------- families


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_a_family_stands_where_its_metadata_say(path):
    project = _project(path)
    words = [word.split(":") for word in project["keywords"]]
    for name, value in project["entry-points"]["genzoo.families"].items():
        (branch, year), *more = [word[1:] for word in words if word[0] == name]
        assert not more
        assert branch in families.BRANCHES
        assert re.fullmatch("(19|20)[0-9]{2}", year)
        assert value.partition(":")[0] == path.stem
        listed = next(p for p in families.plugins() if p.name == name)
        assert (listed.branch, listed.year) == (branch, year), "installed from other metadata"


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_the_distribution_brings_its_families(path):
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    name = _project(path)["name"]
    assert any(re.split("[<>=~! ]", w)[0] == name for w in wanted), f"genzoo does not need {name}"
    assert f"-e plugins/{path.parent.name}" in (ROOT / "plugins/editable.txt").read_text()
    assert name == f"genzoo-{path.parent.name}", (
        "the message about a missing family names this folder"
    )


@pytest.mark.parametrize(("name", "place"), installed.OWN.items())
def test_genzoo_requires_its_models(name, place):
    folder = ROOT / place
    project = tomllib.loads((folder.parent / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["entry-points"]) == (
        name,
        {"genzoo.models": {name: folder.name}},
    )
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert any(re.split("[<>=]", line)[0] == name for line in wanted)
    editable = (ROOT / "plugins/editable.txt").read_text().splitlines()
    assert f"-e {folder.parent.relative_to(ROOT)}" in editable


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        ({"type": "integer", "minimum": 0}, 1),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0),
        ({"anyOf": [{"type": "null"}, {"type": "number"}]}, 1),
        ({"type": "array", "items": {"$ref": "#/$defs/N"}, "maxItems": 2}, 1),
        ({"type": "array", "items": {"type": "string"}}, 1),
        ({"type": "integer", "enum": [1, 3]}, 0),
    ],
)
def test_the_finder_of_unbounded_numbers_finds_them(rule, count):
    assert len(unbounded(rule, {"N": {"type": "integer"}}, "field")) == count


@pytest.mark.parametrize("name", families.names())
def test_every_number_of_a_family_is_bounded(name):
    family = families.get(name)
    for schema in (family.config, family.options, family.sampling):
        found = schema.model_json_schema()
        known, rules = found.get("$defs", {}), found.get("properties", {})
        wrong = [unbounded(rule, known, field) for field, rule in rules.items()]
        assert [*itertools.chain(*wrong)] == [], schema.__name__


# ------------------------------------------------------------------------------- what others wrote

# Who may open a file or parse JSON itself, and how often: files of genzoo's own, of this machine,
# and the doors that check what they read. All others go through those doors.
DOORS = {
    "schemas": {"json.loads": 3},
    "zoo.reader": {"open": 1},
}
OWN_FILES = {
    "evaluation.comparison": "its own page; a PNG just drawn",
    "evaluation.published": "published.json of the package",
    "exports.page": "the page's sources in the package",
    "families.facts": "notes in the cache, which are checked",
    "features.classifiers": "files of the package; a network of the user's code",
    "features.inception": "weights whose hash is known",
    "devices": "what Linux says of its cores",
    "files": "what was just written",
    "metrics.stored_reference": "the cache",
    "models.pdf": "the user's picture, after the reader's checks",
    "models.picture_files": "the user's picture, after the reader's checks",
    "models.sample_folders": "what it writes",
    "models.threads": "what Linux says runs",
    "models.writing": "what it writes",
    "runs.checkpoints": "runs of this machine, with a hash",
    "runs.plots": "its own page; grids through the reader",
    "runs.run": "the run that is training",
    "testing.scaffold": "templates of the package",
    "cli.entry": "the null device",
    "testing.environment": "what Linux says of its processor",
    "zoo.readme": "a template of the package",
    "zoo.checkpoint_files": "others' weights, after the reader's checks, as plain tensors",
    "zoo.hub": "the note of a commit, which is checked",
    "zoo.provenance": "the user's picture, after the reader's checks",
    "zoo.publish": "a copy that it writes",
}
OPENERS = re.compile(
    r"(^|\.)(read_bytes|read_text|safe_open|load_file|memmap|fdopen)$"
    r"|^(open|os\.open|io\.open|json\.load|Image\.open|wave\.open|gzip\.open|np\.load|torch\.load)$"
    r"|^(path|file|aside|target|source|p|archives\[name\]|Path\(.*\)|\(?folder / .*)\.open$"
)


def openers(tree: ast.Module) -> list[str]:
    """Every call that opens a file or parses JSON, as it is written."""
    calls = [ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)]
    return [c for c in calls if OPENERS.search(c) or c == "json.loads"]


def test_the_finder_of_openers_finds_them():
    source = "json.loads(x)\nopen(p)\n(folder / 'a').read_text()\nImage.open(p)\npath.open('rb')\n"
    assert len(openers(ast.parse(source))) == 5
    assert openers(ast.parse("sets.open(x)\nread_json(y)\nopen_inside(p)\n")) == []


# Data sets are the user's, and have bounds of their own.
OTHERS = sorted(n for n in {*CORE} - {*OWN_FILES} if not n.startswith("data."))


@pytest.mark.parametrize("name", OTHERS)
def test_files_of_others_are_opened_by_one_reader(name):
    """config.json, metrics.json, README.md, weights, directions, records: nothing past the door."""
    found = {c: n for c, n in Counter(openers(TREES[CORE[name]])).items() if c != "os.open"}
    assert found == DOORS.get(name, {})


@pytest.mark.parametrize("name", sorted({*CORE} - {*DOORS, "data.cache", "features.classifiers"}))
def test_json_of_others_is_parsed_by_one_function(name):
    """It refuses NaN, duplicate keys and endless nesting, and a schema checks what it returns."""
    assert not {"json.loads", "json.load"} & {*openers(TREES[CORE[name]])}


def test_each_exception_is_one():
    """No file stands in the list for nothing."""
    assert [name for name in OWN_FILES if not openers(TREES[CORE[name]])] == []


def test_others_json_meets_a_schema():
    """Whoever reads JSON hands it to a schema."""
    for name in {n for n in CORE if not n.startswith("data.")}:  # label files: own checks
        text = CORE[name].read_text()
        if "read_json(" in text and name not in ("schemas", "zoo.weights", "zoo.manifest"):
            assert "checked(" in text, f"{name} reads JSON without a schema"
