"""From the Hub: one commit, as few requests as can be, and what stays when the Hub does not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from loopback import silence, status

import genzoo
from genzoo.errors import BadInput, InvalidModel, NetworkError, UnknownName
from genzoo.zoo import folder as folders
from genzoo.zoo import hub, manifest
from genzoo.zoo import names as model_names

NAME = "zoo/dcgan-tiny"
PLAIN = {"config.json", "model.safetensors", "README.md", "metrics.json"}


def changed(files, **values):
    """The same model, its config.json saying something else."""
    config = json.loads(files["config.json"]) | values
    return {**files, "config.json": json.dumps(config).encode()}


# --------------------------------------------------------------------------------------- load


def test_a_model_of_the_hub_draws_what_its_folder_draws(published, folder):
    ours, theirs = (genzoo.load(name, device="cpu") for name in (folder, NAME))
    assert torch.equal(ours.sample(2, seed=1).tensor, theirs.sample(2, seed=1).tensor)


def test_its_samples_say_of_which_commit_it_is(published, folder, tmp_path):
    from PIL import Image

    model = genzoo.load(NAME, device="cpu")
    assert model.origin.revision == published
    model.sample(1, seed=0).save(tmp_path / "one.png")
    told = json.loads(Image.open(tmp_path / "one.png").text["genzoo"])
    assert told["origin"]["revision"] == published
    assert genzoo.load(folder, device="cpu").origin.revision is None


def test_nothing_but_a_models_files_is_downloaded(web, files):
    others = {"modeling.py": b"raise SystemExit", "model.bin": b"\x80\x02", ".env": b"x"}
    web.add(NAME, files | others)
    folder = hub.fetch(NAME)
    assert {path.name for path in folder.iterdir()} == PLAIN
    got = {line.rpartition("/")[2] for line in web.asked if "/resolve/" in line}
    assert got == PLAIN


def test_the_files_are_plain(published):
    folder = hub.fetch(NAME)
    assert all(path.is_file() and not path.is_symlink() for path in folder.iterdir())
    assert folder.name == "dcgan-tiny"


def test_the_discriminator_comes_where_it_is_asked_for(web, published, files):
    first = hub.fetch(NAME)
    again = hub.fetch(f"{NAME}@{published}", discriminator=True)
    assert again == first
    assert (again / manifest.DISCRIMINATOR).read_bytes() == files[manifest.DISCRIMINATOR]
    folders.load_discriminator(again, "cpu")
    web.asked.clear()
    hub.fetch(f"{NAME}@{published}", discriminator=True)
    assert web.asked == []


def test_a_discriminator_that_there_is_not(web, files):
    files = changed(files, discriminator_sha256=None)
    web.add(NAME, files)
    with pytest.raises(BadInput, match="this model has no discriminator"):
        hub.fetch(NAME, discriminator=True)


def test_what_stands_beside_a_model_may_be_missing(web, files):
    web.add(NAME, {name: files[name] for name in manifest.FILES[:2]})
    assert {path.name for path in hub.fetch(NAME).iterdir()} == {*manifest.FILES[:2]}


# ----------------------------------------------------------------------------------- revisions


def test_one_commit_a_load(web, published, files):
    """A push between two requests changes nothing of the load that has begun."""
    newer = changed(files, license="apache-2.0")

    def push_first(request):
        web.repos[NAME].commit(newer)
        request.file(NAME, published, "config.json")

    web.on(r"GET /zoo/dcgan-tiny/resolve/\w+/config.json", push_first, times=1)
    folder = hub.fetch(NAME)
    assert web.repos[NAME].head != published
    assert folder.parent.name == published
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {n: files[n] for n in PLAIN}
    resolved = [line for line in web.asked if "/resolve/" in line]
    assert all(f"/resolve/{published}/" in line for line in resolved)


def test_a_new_commit_is_seen_and_an_old_one_stays(web, published, files):
    first = hub.fetch(NAME)
    newer = web.repos[NAME].commit(changed(files, license="apache-2.0"))
    second = hub.fetch(NAME)
    assert [p.parent.name for p in (first, second)] == [published, newer]
    assert manifest.read_manifest(second).license == "apache-2.0"
    assert manifest.read_manifest(hub.fetch(f"{NAME}@{published}")).license == "mit"


def test_what_did_not_change_is_not_sent_again(web, published, files):
    hub.fetch(NAME)
    web.repos[NAME].commit(changed(files, license="apache-2.0"))
    web.asked.clear()
    hub.fetch(NAME)
    got = [line.rpartition("/")[2] for line in web.asked if line.startswith("GET /zoo")]
    assert got == ["config.json"]


def test_a_tag(web, published, files):
    web.repos[NAME].tags["v1"] = published
    web.repos[NAME].commit(changed(files, license="apache-2.0"))
    assert hub.fetch(f"{NAME}@v1").parent.name == published


def test_a_pinned_model_that_is_here_asks_nothing(web, published):
    pinned = f"{NAME}@{published}"
    hub.fetch(pinned)
    web.asked.clear()
    hub.fetch(pinned)
    genzoo.load(pinned, device="cpu")
    assert web.asked == []


def test_a_revision_that_is_known_costs_one_request(web, published):
    hub.fetch(NAME)
    web.asked.clear()
    hub.fetch(NAME)
    assert web.asked == [f"GET /api/models/{NAME}"]


def test_the_hub_may_not_answer_with_another_commit(web, published, files):
    newer = web.repos[NAME].commit(changed(files, license="apache-2.0"))
    repo = web.repos[NAME]
    web.on("GET /api/models/.*revision", lambda r: r.answer(200, repo.described(newer)))
    with pytest.raises(InvalidModel, match=newer[:7]):
        hub.fetch(f"{NAME}@{published}")


# ------------------------------------------------------------------------------------ bare names


def test_a_bare_name_is_the_organisations(web, files, monkeypatch):
    web.add("genzoo/dcgan-tiny", files)
    assert genzoo.load("dcgan-tiny", device="cpu").origin.model == "dcgan-tiny"
    web.add("club/dcgan-tiny", changed(files, license="bsd"))
    monkeypatch.setenv("GENZOO_HUB_ORG", "club")
    assert manifest.read_manifest(model_names.find("dcgan-tiny")).license == "bsd"
    commit = web.repos["club/dcgan-tiny"].head
    assert model_names.find(f"dcgan-tiny@{commit}").parent.name == commit


@pytest.mark.parametrize("name", ["vae-mnist", "vae", "dcgan", "./nothing", "/nothing"])
def test_what_is_here_asks_nobody(web, name):
    model_names.find(name)
    assert web.asked == []


def test_an_unknown_name_is_looked_for_and_near_ones_are_said(web):
    with pytest.raises(UnknownName, match=r"mean vae-mnist.* genzoo "):
        model_names.find("vae-mnit")
    assert web.asked == ["GET /api/models/genzoo/vae-mnit"]


def test_a_hub_that_is_gone_hides_no_hint(web):
    web.die()
    with pytest.raises(UnknownName, match=r"mean vae-mnist.* ./vae-mnit\.$"):
        model_names.find("vae-mnit")
    with pytest.raises(UnknownName, match=r"available: .* \(genzoo/qqq: cannot reach the Hub"):
        model_names.find("qqq")


# -------------------------------------------------------------------------------------- offline


@pytest.fixture(params=["argument", "environment"])
def cut(request, monkeypatch):
    """A way to say that the network may not be asked; what ``load`` takes then."""

    def cut():
        if request.param == "argument":
            return {"local_files_only": True}
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        return {}

    return cut


def test_offline_serves_what_is_here(web, published, files, cut):
    web.repos[NAME].tags["v1"] = published
    names = (NAME, f"{NAME}@v1", f"{NAME}@{published}")
    for name in names[:2]:
        hub.fetch(name)
    web.repos[NAME].commit(changed(files, license="apache-2.0"))
    web.asked.clear()
    options = cut()
    for name in names:
        assert genzoo.load(name, device="cpu", **options).origin.revision == published
    assert web.asked == []


def test_offline_what_is_not_here_is_said(web, published, cut):
    options = cut()
    for name in (NAME, f"{NAME}@{published}", f"{NAME}@v1"):
        with pytest.raises(NetworkError, match=f"{NAME}.* not in the cache"):
            genzoo.load(name, device="cpu", **options)
    assert web.asked == []


@pytest.mark.parametrize("trouble", ["dead", "busy", "silent"])
def test_a_hub_that_does_not_answer_leaves_what_was_fetched(
    web, published, trouble, caplog, request
):
    hub.fetch(NAME)
    request.getfixturevalue("impatient")
    if trouble == "dead":
        web.die()
    else:
        web.on("/api/models", status(503) if trouble == "busy" else silence(2))
    assert hub.fetch(NAME).parent.name == published
    assert len(caplog.messages) == 1
    assert f"commit {published[:7]} from the cache" in caplog.messages[0]


# --------------------------------------------------------------------------------- hostile names


@pytest.mark.parametrize(
    "name",
    [
        "zoo/m@../x", "zoo/m@../../../../pwn", "zoo/m@main/../../x", "zoo/m@/etc", "zoo/m@a//b",
        "zoo/m@a\\b", "zoo/m@a\0b", "zoo/m@", "zoo/m@a b", "zoo/m@.", "zoo/m@-x", "zoo/m@a/.b",
        "zoo/m@%2e%2e", "zoo/m@v1\n", "zoo/m@a@b", "zoo/m@a..b", f"zoo/m@{'a' * 300}", "zoo/m@é",
        "../m", "./m@x", None, 3,
        "zoo/..", "zoo/.m", "zoo/m.", "zoo/m.git", "zoo/a--b", "zoo/a..b", "zoo/m\0", "zoo\\m/x",
        "zoo/m\n", "/m", "zoo/", "a/b/c", "-zoo/m", "zoo/m?x", "zoo/m#x", f"{'z' * 99}/m", "",
    ],
)  # fmt: skip
def test_hostile_names_and_revisions_are_refused(web, name, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match=r"is not the name of a|is not a revision|is a name, got a"):
        hub.fetch(name)
    assert web.asked == []
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["o/n", "a.b/c-d_e@v1.0", "o/n@refs/pr/1", "o/n@" + "a" * 40, "n"])
def test_what_a_name_may_look_like(name):
    repo, _, revision = name.partition("@")
    found = hub.address(name)
    assert (found.repo, found.revision or "") == (repo if "/" in repo else "genzoo/n", revision)


# ------------------------------------------------------------------------------- two at a time

TWICE = """
import sys
from genzoo.zoo import hub
print(hub.fetch(sys.argv[1]))
"""


def test_two_processes_at_once(web, published, files, tmp_path, monkeypatch):
    env = {**os.environ, "HF_HOME": str(tmp_path / "shared"), "HF_HUB_DISABLE_XET": "1"}
    env |= {"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    line = [sys.executable, "-c", TWICE, NAME]
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=env) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]
    assert {p.name: p.read_bytes() for p in Path(said[0]).iterdir()} == {n: files[n] for n in PLAIN}
