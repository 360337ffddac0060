"""Completion by TAB, through typer's own, in bash and zsh; and env, for reports of bugs."""

import json

import pytest

from genzoo import families
from genzoo.cli import completing, run
from genzoo.families import facts
from genzoo.testing import environment

CASES = [
    ("genzoo train va", ["vae", "vae-gan"]),
    ("genzoo sample dcgan-", ["dcgan-celeba", "dcgan-mnist"]),
    ("genzoo compare vae dcgan-c", ["dcgan-celeba"]),
    ("genzoo train vae --data fash", ["fashion-mnist"]),
    ("genzoo train cyclegan --data mnist,fash", ["mnist,fashion-mnist"]),
    ("genzoo evaluate vae-mnist --metrics fd,rec", ["fd,recall"]),
    ("genzoo evaluate vae-mnist --metrics ki", ["kid"]),
    ("genzoo sample cgan-fashion-mnist --label Sa", ["Sandal"]),
    ("genzoo sample cgan-mnist --label 3,", [f"3,{i}" for i in range(10)]),
    ("genzoo train vae --set latent", ["latent_dim="]),
    ("genzoo train --recipe vae-mnist --set latent", ["latent_dim="]),
    ("genzoo train vae --steps 3 --set lr=1 --set bat", ["batch_size="]),
    ("genzoo sample vae-mnist -n 3 --set ", ["observation_noise=", "temperature=", "truncation="]),
    ("genzoo reference cif", ["cifar10"]),
    ("genzoo outliers vae-mnist --against dig", ["digits", "digits-inverted"]),
    # what is not known has no names, and is no error
    ("genzoo sample --label ", []),
    ("genzoo sample ./gone --label ", []),
    ("genzoo train no-such --set l", []),
    ("genzoo train dcgan --set l", []),
    ("genzoo sample no-such/model --set ", []),
]


@pytest.fixture
def complete(monkeypatch, capsys):
    """The names that a shell is given for the last word of a line."""
    families.facts_of("vae")

    def completed(line, shell):
        monkeypatch.setenv("_GENZOO_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(f"{line}.".split()) - 1))
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        assert run([]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return completed


@pytest.mark.parametrize(("line", "names"), CASES)
def test_tab_completes(line, names, complete):
    assert complete(line, "bash").split() == names


def test_tab_completes_in_zsh(complete):
    assert '"latent_dim="' in complete("genzoo train vae --set latent", "zsh")
    assert '"dcgan-mnist"' in complete("genzoo sample dcgan-m", "zsh")
    assert complete("genzoo train no-such --set l", "zsh").strip() == "_files"


def test_a_damaged_cache_completes_nothing(complete):
    for path in (facts.home() / facts.FOLDER).glob("*.json"):
        path.write_text("{")
    assert complete("genzoo train vae --set l", "bash").split() == []


def test_an_error_completes_nothing(monkeypatch):
    def broken(*args):
        raise RuntimeError("a broken plugin")

    monkeypatch.setattr(families, "names", broken)
    assert completing.complete_family("v") == []
    assert completing.complete_metrics("f") == []


# ------------------------------------------------------------------------------------------- env


def test_env_says_what_a_report_needs(capsys, monkeypatch, tmp_path):
    home = tmp_path / "home-of" / "somebody"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("GENZOO_HOME", str(home / "cache"))
    monkeypatch.setenv("GENZOO_DATA", "/disk/somebody/sets")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("GENZOO_HUB_ORG", "some-account")
    assert run(["env", "--json"]) == 0
    text = capsys.readouterr().out
    facts = json.loads(text)
    assert {"genzoo", "python", "system", "packages", "plugins"} < {*facts}
    assert {"extras", "devices", "variables", "cache"} < {*facts}
    assert facts["packages"]["torch"] == environment._version("torch")
    assert facts["plugins"]["genzoo-vae"] == facts["genzoo"]
    assert "cores" in facts["devices"]["cpu"]
    assert "threads" in facts["devices"]["cpu"]
    assert [*facts["cache"]] == ["~/cache"]
    assert facts["variables"]["GENZOO_DATA"] == "/disk/NAME/sets"
    assert facts["variables"]["GENZOO_HUB_ORG"] == "set"
    assert not [word for word in ("somebody", "hf_secret", "some-account") if word in text]
    assert run(["env"]) == 0
    out = capsys.readouterr().out
    assert "demo" in out
    assert "somebody" not in out


def test_env_works_where_torch_does_not(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    assert "cannot be imported" in environment.env().facts["devices"]["torch"]
