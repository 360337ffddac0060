"""Families are found by metadata alone; a broken plugin breaks nothing but itself."""

import importlib
import json
import re
import signal
import sys
from dataclasses import replace
from typing import Annotated, Literal

import pytest
import torch
from pydantic import Field

from genzoo import cli, families, files, schemas
from genzoo.cli import families as families_command
from genzoo.errors import OperationFailed, Stopped, UnknownName
from genzoo.families import registry
from genzoo.options import Options
from genzoo.schemas import Count, Schema
from genzoo.testing import status
from genzoo.training import Adversarial
from genzoo.version import VERSION

GOOD = """
import genzoo
from genzoo.families import Family
from genzoo.options import Options
from genzoo.schemas import Schema

class Config(Schema):
    pass

def family(paper="fine", **more):
    fields = {"config": Config, "options": Options, "tiny": Config(), "api": 2}
    fields |= {"model": print, "trainer": print, "paper": paper}
    return Family(**{k: v for k, v in {**fields, **more}.items() if v is not ...})
"""
HOOK = GOOD + "\n@genzoo.hookimpl\ndef genzoo_family():\n    return "
# Entry point: its module's text, the state that `inspect` gives it, a pattern of the reason.
BAD = {
    "no-import": ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
    "no-syntax": ("def (", "SyntaxError"),
    "quits": ("raise SystemExit(3)", "SystemExit: 3"),
    "raises-what-ctrl-c-does": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "interrupts-later": (HOOK + "exec('raise KeyboardInterrupt(1)')", "KeyboardInterrupt: 1"),
    "no-exception": ("raise BaseException('x')", "BaseException: x"),
    "a-closed-generator": ("raise GeneratorExit", "GeneratorExit"),
    "an-error-without-text": (
        "class E(Exception):\n    def __str__(self):\n        raise SystemExit\nraise E",
        "is broken: E:",
    ),
    "quits-later": (HOOK + "exit(4)", "SystemExit: 4"),
    "closes-stdout": ("import sys\nsys.stdout.close()", "is broken: .*closes sys.stdout"),
    "closes-stderr": ("import sys\nsys.stderr.close()", "is broken: .*closes sys.stdout or"),
    "raises": (HOOK + "1 / 0", "ZeroDivisionError: division by zero"),
    "wrong-type": (HOOK + "{'name': 'x'}", "must return a genzoo.Family, got a dict"),
    "returns-none": (HOOK + "None", "must return a genzoo.Family, got nothing"),
    "no-trainer": (HOOK + "family(trainer=None)", "trainer is missing"),
    "wrong-tiny": (HOOK + "family(tiny=Options())", "tiny must be a Config, got Options"),
    "extra-argument": (
        HOOK.replace("genzoo_family()", "genzoo_family(name, colour)") + "family()",
        "PluginValidationError.*genzoo_family",
    ),
    "unknown-hook": (
        HOOK.replace("genzoo_family()", "genzoo_famly()") + "family()",
        "unknown hook 'genzoo_famly'",
    ),
    "no-hook": (GOOD, "its genzoo_family is missing"),
    "no-mark": (
        GOOD + "\ndef genzoo_family():\n    return family()",
        "its genzoo_family is not marked with @genzoo.hookimpl",
    ),
    "too-new": (HOOK + "family(api=3)", "plugin API 3.* API 2: upgrade genzoo$"),
    "too-old": (HOOK + "family(api=1)", "plugin API 1.* API 2: upgrade the plugin$"),
    "no-number": (HOOK + "family(api='2')", "api must be a whole number, got '2'"),
    "no-api": (HOOK + "family(api=...)", "its Family lacks api: add api=2, or upgrade the plugin"),
    "wrong-field": (
        HOOK + "family(trainners=None)",
        "Family has no field 'trainners', did you mean trainer",
    ),
    # As API 1 had it: these fields are the package's metadata now.
    "old-fields": (
        HOOK + "family(branch='x', summary='y')",
        "not written for plugin API 2: upgrade the plugin .*'branch'",
    ),
}
TWINS = (
    GOOD
    + """
class Hand:
    def __init__(self, side):
        self.side = side

    @genzoo.hookimpl
    def genzoo_family(self):
        return family(self.side)

left, right = Hand("left"), Hand("right")
"""
)


def distribution(folder, package, doors, *, module=None, source=None, **metadata):
    """An installed package as pip leaves it: its module, METADATA and entry_points.txt."""
    if source is not None:
        (folder / f"{module}.py").write_text(source)
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {package}", "Version: 1.0"]
    for key, value in metadata.items():
        values = [value] if isinstance(value, str) else value
        lines += [f"{key.replace('_', '-')}: {v}" for v in values]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    entries = "".join(f"{name} = {value}\n" for name, value in doors.items())
    (info / "entry_points.txt").write_text(f"[genzoo.families]\n{entries}")
    importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of packages, searched before the real ones."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delenv("GENZOO_DISABLE_PLUGINS", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = {*sys.modules}
    registry._load.cache_clear()
    yield folder
    registry._load.cache_clear()
    for name in {*sys.modules} - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def good(site):
    distribution(
        site,
        "good-package",
        {"alpha": "good_alpha"},
        module="good_alpha",
        source=HOOK + "family('a fine one')",
        Summary="A fine one",
        Keywords="genzoo,alpha:implicit/direct:2031",
        Requires_Dist="genzoo>=0.2",
    )
    return site


@pytest.fixture
def crowd(good):
    """One environment with everything that can be wrong in it, and some that are right."""
    for name, (source, _) in BAD.items():
        module = f"bad_{name.replace('-', '_')}"
        distribution(good, f"pkg-{name}", {name: module}, module=module, source=source)
    distribution(good, "pkg-absent", {"absent": "bad_absent"})
    distribution(good, "pkg-garbled", {"garbled": "!!"})
    distribution(good, "pkg-attribute", {"attribute": "good_alpha:nowhere"})
    distribution(good, "claim-one", {"claimed": "good_alpha"})
    distribution(good, "claim-two", {"claimed": "claim_two"}, module="claim_two", source=HOOK)
    distribution(good, "twins", {"left": "twins:left", "right": "twins:right"})
    (good / "twins.py").write_text(TWINS)
    return good


def state(name):
    return [(p.package, p.state, p.error) for p in status.inspect() if p.name == name]


def test_metadata_alone_make_the_list(crowd):
    before = {*sys.modules}
    listed = {p.name: p for p in families.plugins()}
    assert {*BAD, "alpha", "left", "right", "claimed", "vae", "dcgan"} <= {*listed}
    assert families.names() == sorted({*listed})
    alpha = listed["alpha"]
    assert (alpha.package, alpha.version, alpha.value) == ("good-package", "1.0", "good_alpha")
    assert (alpha.branch, alpha.year) == ("implicit/direct", "2031")
    assert (alpha.summary, alpha.state, alpha.error) == ("A fine one", "listed", "")
    assert families.metadata("alpha") == alpha
    assert families_command.tree(families.plugins())
    assert {*sys.modules} == before


def test_get_imports_one_plugin(crowd):
    before = {*sys.modules}
    alpha = families.get("alpha")
    assert {*sys.modules} - before - {"genzoo.families.hooks"} == {"good_alpha"}
    assert isinstance(alpha, families.Family)
    assert alpha.paper == "a fine one"
    assert families.get("alpha") is alpha


@pytest.mark.parametrize("name", BAD)
def test_a_broken_plugin_is_told_by_name(crowd, name):
    with pytest.raises(OperationFailed) as caught:
        families.get(name)
    told = str(caught.value)
    reason = BAD[name][1].removesuffix("$")
    assert re.search(rf"^plugin pkg-{name} \(bad_{name.replace('-', '_')}\) is broken: ", told)
    assert re.search(reason, told)
    if not reason.startswith(("must return", "plugin API")):
        assert told.endswith(". See genzoo.list_plugins()")
    if BAD[name][1].endswith("$"):
        assert re.search(BAD[name][1], told)
    assert families.get("alpha").paper == "a fine one"


def test_where_ctrl_c_is_ignored_the_code_raised_it(crowd):
    """In the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(OperationFailed, match="is broken: KeyboardInterrupt"):
            families.get("raises-what-ctrl-c-does")
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_a_command_too_only_ctrl_c_interrupts_others_code(crowd):
    with files.raised_signals():
        for name in ("raises-what-ctrl-c-does", "interrupts-later"):
            with pytest.raises(OperationFailed, match="is broken: KeyboardInterrupt"):
                families.get(name)
        with pytest.raises(Stopped), registry.others_code():
            signal.raise_signal(signal.SIGINT)


def test_a_family_with_a_discriminator_has_a_trainer():
    gan = replace(families.get("gan"), trainer=None)
    trainer = gan.make_trainer(gan.model(gan.tiny), gan.options())
    assert isinstance(trainer, Adversarial)
    assert type(trainer.discriminator) is gan.discriminator
    marked = replace(gan, trainer=lambda model, options: (model, options))
    assert marked.make_trainer("model", "options") == ("model", "options")


def test_a_look_at_the_settings_of_sampling_draws_no_random_numbers():
    """Where a function makes the model, the look makes a tiny one."""
    cgan = families.get("cgan")
    assert not isinstance(cgan.model, type)
    before = torch.get_rng_state()
    assert cgan.sampling is type(cgan.model(cgan.tiny)).sampling
    torch.set_rng_state(before)
    assert cgan.sampling
    assert torch.equal(before, torch.get_rng_state())


def test_inspect_tries_all_and_good_ones_keep_working(crowd):
    found = {(p.name, p.package): p for p in status.inspect()}
    states = {key: p.state for key, p in found.items()}
    assert states.pop(("claimed", "claim-one")) == states.pop(("claimed", "claim-two"))
    bad = {(name, f"pkg-{name}") for name in [*BAD, "absent", "garbled", "attribute"]}
    assert {key for key, s in states.items() if s == "broken"} == bad
    ok = {"alpha", "left", "right", "vae", "dcgan"}
    assert ok <= {name for (name, _), s in states.items() if s == "ok"}
    assert {*states.values()} == {"ok", "broken"}
    for name, (_, reason) in BAD.items():
        assert re.search(reason, found[name, f"pkg-{name}"].error)
    assert "bad_raises.py" in found["raises", "pkg-raises"].detail
    assert "ZeroDivisionError" in found["raises", "pkg-raises"].detail
    assert {p.error for p in found.values() if p.state == "ok"} == {""}
    assert [p.error for p in found.values() if "genzoo plugin list" in p.error] == []
    assert "No module named 'bad_absent'" in found["absent", "pkg-absent"].error
    assert "no attribute 'nowhere'" in found["attribute", "pkg-attribute"].error


def test_a_name_taken_twice_goes_to_nobody(crowd):
    with pytest.raises(OperationFailed, match="'claimed'") as caught:
        families.get("claimed")
    for owner in ("claim-one (good_alpha)", "claim-two (claim_two)"):
        assert owner in str(caught.value)
    (one, two) = state("claimed")
    assert one[:2] == ("claim-one", "conflict")
    assert two[:2] == ("claim-two", "conflict")
    assert one[2] == two[2] == str(caught.value)
    assert "claim_two" not in sys.modules


def test_nobody_replaces_a_family_that_is_there(good):
    distribution(good, "aaa-thief", {"vae": "thief"}, module="thief", source=HOOK + "family()")
    with pytest.raises(OperationFailed, match=r"aaa-thief \(thief\) and genzoo-vae \(genzoo_vae\)"):
        families.get("vae")
    assert "thief" not in sys.modules
    assert {s for _, s, _ in state("vae")} == {"conflict"}
    assert families.get("dcgan").paper == "arXiv:1511.06434"


def test_a_conflict_ends_when_one_package_is_disabled(good, monkeypatch):
    distribution(good, "aaa-thief", {"vae": "thief"}, module="thief", source="raise SystemExit")
    monkeypatch.setenv("GENZOO_DISABLE_PLUGINS", "aaa-thief")
    assert "vae" in families.names()
    assert families.get("vae").paper == "arXiv:1312.6114"
    assert families.metadata("vae").package == "genzoo-vae"
    assert [s[:2] for s in state("vae")] == [("aaa-thief", "disabled"), ("genzoo-vae", "ok")]
    assert "thief" not in sys.modules


@pytest.mark.parametrize("word", ["alpha", "good-package", " other , alpha "])
def test_a_disabled_plugin_is_left_alone(good, monkeypatch, word):
    monkeypatch.setenv("GENZOO_DISABLE_PLUGINS", word)
    assert "alpha" not in families.names()
    assert "vae" in families.names()
    with pytest.raises(OperationFailed, match=r"'alpha' .*GENZOO_DISABLE_PLUGINS"):
        families.get("alpha")
    assert state("alpha") == [("good-package", "disabled", "disabled by GENZOO_DISABLE_PLUGINS")]
    assert "good_alpha" not in sys.modules
    assert state("vae")[0][1] == "ok"


@pytest.mark.parametrize(
    ("requirement", "told"),
    [
        ("genzoo>=9", f"genzoo>=9,.* {VERSION}"),
        ("genzoo (<0.0.1)", f"requires genzoo .* {VERSION}"),
        ("genzoo>=0.2", "AttributeError.*no attribute 'not_yet'"),
        ("other>=9", "AttributeError.*no attribute 'not_yet'"),
        ("???", "AttributeError.*no attribute 'not_yet'"),
    ],
)
def test_a_plugin_for_another_genzoo_says_so(good, requirement, told):
    source = "import genzoo\ngenzoo.not_yet"
    requirements = ["torch", requirement]
    distribution(
        good, "later", {"later": "later"}, module="later", source=source, Requires_Dist=requirements
    )
    with pytest.raises(OperationFailed, match=told):
        families.get("later")
    assert state("later")[0][1] == "broken"


def test_two_families_from_one_file(good):
    distribution(good, "twins", {"left": "twins:left", "right": "twins:right"})
    (good / "twins.py").write_text(TWINS)
    by_name = HOOK.replace("genzoo_family()", "genzoo_family(name)") + "family(f'called {name}')"
    doors = {"echo": "voices", "reverb": "voices"}
    distribution(good, "voices", doors, module="voices", source=by_name)
    assert [families.get(n).paper for n in ("left", "right")] == ["left", "right"]
    assert [families.get(n).paper for n in ("reverb", "echo")] == ["called reverb", "called echo"]


def test_metadata_cannot_drive_the_terminal(good):
    evil = "\x1b[2J\x07\x9b31m\u202e"
    distribution(
        good,
        "evil",
        {"e\x1b[31mvil": "evil_module"},
        module="evil_module",
        source=HOOK + "family()",
        Summary=f"nice{evil}",
        Keywords=f"e[31mvil:impl{evil}icit/direct:20{evil}31",
    )
    mine = next(p for p in status.inspect() if p.package == "evil")
    assert (mine.state, bool(mine.branch), bool(mine.year)) == ("ok", True, True)
    for text in vars(mine).values():
        assert text.isprintable()
    (line,) = [line for line in families_command.tree([mine]) if "nice" in line]
    assert line.isprintable()
    assert families.get(mine.name).paper == "fine"
    with pytest.raises(UnknownName) as caught:
        families.get(f"alfa{evil}")
    assert str(caught.value).isprintable()


def test_of_a_package_that_is_there_twice_the_first_on_the_path_is_listed(good, monkeypatch):
    """It is the one that Python imports."""
    first = good / "first"
    first.mkdir()
    monkeypatch.syspath_prepend(first)
    facts = {"module": "good_alpha", "source": HOOK + "family('finer')", "Summary": "A finer one"}
    distribution(first, "good-package", {"alpha": "good_alpha"}, **facts)
    assert families.metadata("alpha").summary == "A finer one"
    assert families.get("alpha").paper == "finer"


def test_a_package_half_uninstalled_breaks_only_itself(good):
    info = good / "torn-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[genzoo.families]\ntorn = torn_module\n")
    importlib.invalidate_caches()
    assert {"alpha", "torn", "vae"} <= {*families.names()}
    assert [s for _, s, _ in state("torn")] == ["broken"]
    assert families.get("alpha").paper == "a fine one"


def test_an_unknown_name_is_told_the_near_ones(good):
    with pytest.raises(UnknownName, match=r"no family is called 'alhpa': did you mean alpha\?"):
        families.get("alhpa")
    with pytest.raises(UnknownName, match=r"available: .*alpha, .*, vae") as caught:
        families.get("zzzz")
    assert "genzoo.list_families()" in str(caught.value)
    assert "pip" not in str(caught.value)


def test_pip_is_named_for_our_own_packages_alone(good):
    ours = ["torch>=2", "genzoo-vae<1", "genzoo-ghost>=0.1,<0.2", "genzoo-spirit"]
    ours += ["genzoo-models", "genzoo-models-celeba"]  # without a family
    distribution(good, "genzoo", {}, Requires_Dist=ours)
    for name in ("ghost", "spirit"):
        with pytest.raises(
            UnknownName, match=f"not installed: in a checkout pip install ./plugins/{name}$"
        ):
            families.get(name)
    for name in ("gost", "phantom", "genzoo-ghost", "ghos", "torch", "models", "models-celeba"):
        with pytest.raises(UnknownName) as caught:
            families.get(name)
        assert "pip" not in str(caught.value)


def test_kinds_do_not_mix(good):
    info = good / "good_package-1.0.dist-info"
    with (info / "entry_points.txt").open("a") as file:
        file.write("[genzoo.metrics]\nruler = good_ruler\n[genzoo.datasets]\nalpha = good_alpha\n")
    (good / "good_ruler.py").write_text(
        "import genzoo\n@genzoo.hookimpl\ndef genzoo_metric(name):\n    return Answer(name)\n"
        "class Answer(str):\n    api = 2\n"
    )
    importlib.invalidate_caches()
    assert families.names("metric") == ["ruler"]
    assert "ruler" not in families.names()
    text = ("a text", lambda found: isinstance(found, str))
    assert families.load("metric", "ruler", *text) == "ruler"
    said = r"plugin good-package \(good_alpha\) is broken: TypeError: its genzoo_dataset is missing"
    with pytest.raises(OperationFailed, match=said):
        families.load("dataset", "alpha", *text)
    with pytest.raises(UnknownName, match=r"no metric is called 'rule': did you mean ruler\?"):
        families.load("metric", "rule", *text)
    kinds = {(p.name, p.kind, p.state) for p in status.inspect()}
    assert {("ruler", "metric", "broken"), ("alpha", "dataset", "broken")} <= kinds
    assert ("alpha", "family", "ok") in kinds


def test_every_plugin_has_one_leaf_in_the_tree(good):
    odd = {"loner": "", "stranger": "loner:explicit:2030,stranger:quantum/foam:2040"}
    for name, words in odd.items():
        distribution(good, f"pkg-{name}", {name: name}, Keywords=words)
    lines = families_command.tree(families.plugins())
    for name in ("alpha", "loner", "stranger", "vae", "dcgan"):
        (line,) = [i for i, line in enumerate(lines) if re.search(rf"── {name}  ", line)]
        above = [lines[i] for i in range(line) if "──" in lines[i]]
        assert above
    order = [next(i for i, text in enumerate(lines) if word in text) for word in TREE]
    assert order == sorted(order)


TREE = ("explicit", "tractable", "approximate", "vae", "implicit", "direct", "quantum", "foam")


class Odd(Schema):
    needed: int
    maybe: Count | None = None
    pick: Literal["a", "b"] = "a"
    only: Literal["x"] = "x"
    switch: bool = False
    rate: float = 1.0
    least: Annotated[int, Field(ge=0)] = 1
    size: Count = 4
    """how many
    in a row"""


def test_fields_are_told_to_people():
    rows = {r["name"]: r for r in schemas.fields(Odd)}
    assert [*rows] == [*Odd.model_fields]
    assert rows["size"]["allowed"] == "1 to 65536"
    assert rows["size"]["default"] == 4
    assert rows["size"]["about"] == "how many in a row"
    assert rows["pick"]["allowed"] == "a, b"
    assert rows["switch"]["allowed"] == "True, False"
    assert (rows["needed"]["allowed"], rows["needed"]["default"]) == ("integer", "required")
    assert (rows["maybe"]["allowed"], rows["maybe"]["default"]) == ("1 to 65536 or None", None)
    assert (rows["only"]["allowed"], rows["rate"]["allowed"]) == ("x", "number")
    assert rows["least"]["allowed"] == "integer"
    lr = next(r for r in schemas.fields(Options) if r["name"] == "lr")
    assert lr["allowed"] == "above 0 to 10"


def test_what_a_plugin_prints_is_not_the_commands_result(site, capsys):
    source = "print('hello')\n" + HOOK + "family()"
    distribution(site, "loud", {"loud": "loud"}, module="loud", source=source)
    assert cli.run(["info", "loud", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["name"] == "loud"
    assert "hello" in err


def test_an_interrupted_import_says_whose_it_was(site, caplog):
    source = "import signal\nsignal.raise_signal(signal.SIGINT)"
    distribution(site, "slow", {"slow": "slow"}, module="slow", source=source)
    assert cli.run(["plugin", "list"]) == 130
    assert "interrupted in plugin slow" in caplog.text


def test_of_two_with_one_name_the_disabled_one_is_not_drawn(site, monkeypatch, capsys):
    for package in ("one", "two"):
        source = HOOK + f"family({package!r})"
        distribution(
            site, package, {"twin": package}, module=package, source=source, Summary=package
        )
    assert cli.run(["info", "twin"]) == 1
    assert "GENZOO_DISABLE_PLUGINS" in capsys.readouterr().err
    monkeypatch.setenv("GENZOO_DISABLE_PLUGINS", "two")
    registry._load.cache_clear()
    assert cli.run(["list", "families"]) == 0
    drawn = [line for line in capsys.readouterr().out.splitlines() if line.startswith("twin")]
    assert len(drawn) == 1
    assert drawn[0].endswith("one")
