"""To the Hub and back: what is looked at before, what is sent, what is found; how to cite it."""

import json
import os
import re

import pytest
import yaml
from huggingface_hub import ModelCard
from loopback import status

import genzoo
from genzoo.errors import BadInput, InvalidModel, NetworkError, UnknownName
from genzoo.zoo import card, citation, hub, manifest, publish

REPO = "zoo/dcgan-tiny"
OWN = {*manifest.FILES} - {manifest.SOUND}  # the files of a model of images
# The client's own, of how it hands bytes to httpx.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
WRITES = ("POST", "PUT", "DELETE")


@pytest.fixture(autouse=True)
def token(monkeypatch, web):
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    web.token = "hf_test"


def sent(web):
    """The files on the Hub, at the newest commit."""
    repo = web.repos[REPO]
    return repo.commits[repo.head]


def edit(folder, **values):
    """Change config.json by hand; what is None goes."""
    config = json.loads((folder / "config.json").read_text()) | values
    kept = {key: value for key, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))


def refused(kind, web, *given, says, **options):
    """A push that sends nothing."""
    with pytest.raises(kind, match=says) as caught:
        genzoo.push(*given, **options)
    assert "\n" not in str(caught.value)
    assert not [line for line in web.asked if line.startswith(WRITES)]


# ---------------------------------------------------------------------------------------- there


def test_there_and_back(web, folder, tmp_path, files):
    pushed = genzoo.push(folder, REPO)
    assert pushed.commit == web.repos[REPO].head
    assert pushed.url == f"{web.url}/{REPO}/tree/{pushed.commit}"
    back = genzoo.pull(REPO, tmp_path / "back", discriminator=True)
    for name in (manifest.CONFIG, manifest.WEIGHTS, manifest.DISCRIMINATOR, "metrics.json"):
        assert (back / name).read_bytes() == files[name]
    assert "samples.png" in sent(web)
    assert sorted(p.name for p in back.iterdir()) == sorted(OWN - {"samples.png"})
    ours, theirs = (genzoo.load(f, device="cpu").sample(2, seed=0) for f in (folder, back))
    assert ours.tensor.equal(theirs.tensor)


def test_samples_png_can_be_drawn_again_after_a_pull(web, folder, tmp_path, files):
    """Why it need not be fetched: the same seed draws the same."""
    from PIL import Image

    genzoo.push(folder, REPO)
    back = genzoo.pull(REPO, tmp_path / "back")
    drawn = genzoo.load(back, device="cpu").sample(16, seed=0).save(back / "samples.png")
    assert Image.open(drawn).tobytes() == Image.open(folder / "samples.png").tobytes()


def test_a_push_is_one_commit_and_shows_no_bars_where_nobody_watches(web, folder, capsys):
    genzoo.push(folder, REPO)
    assert capsys.readouterr().err == ""
    assert len([line for line in web.asked if "/commit/" in line]) == 1
    assert len(web.repos[REPO].commits) == 2  # the empty one that the repository begins with


def test_a_push_of_the_same_makes_no_commit(web, folder):
    first, second = genzoo.push(folder, REPO), genzoo.push(folder, REPO)
    assert first == second
    assert len(web.repos[REPO].commits) == 2


def test_an_update_sends_what_changed_and_takes_away_what_went(web, folder):
    first = genzoo.push(folder, REPO)
    (folder / manifest.DISCRIMINATOR).unlink()
    edit(folder, discriminator_sha256=None, license="bsd")
    web.asked.clear()
    second = genzoo.push(folder, REPO)
    assert second.commit != first.commit
    assert {*sent(web)} == OWN - {manifest.DISCRIMINATOR}
    assert not [line for line in web.asked if line.startswith("PUT")]
    assert hub.fetch(REPO).parent.name == second.commit


def test_a_tag_and_the_newest(web, folder):
    first = genzoo.push(folder, REPO, tag="v1")
    assert first.url.endswith("/tree/v1")
    edit(folder, license="bsd")
    second = genzoo.push(folder, REPO, tag="v2")
    found = {v: hub.fetch(f"{REPO}@{v}").parent.name for v in ("v1", "v2", "main")}
    assert found == {"v1": first.commit, "v2": second.commit, "main": second.commit}


def test_a_tag_that_is_taken(web, folder):
    genzoo.push(folder, REPO, tag="v1")
    edit(folder, license="bsd")
    head = web.repos[REPO].head
    with pytest.raises(BadInput, match="a tag v1: nothing was pushed"):
        genzoo.push(folder, REPO, tag="v1")
    assert web.repos[REPO].head == head


def test_a_private_push(web, folder, monkeypatch):
    genzoo.push(folder, REPO, private=True)
    assert web.repos[REPO].private
    assert hub.search() == []
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UnknownName, match="private"):
        hub.fetch(REPO)


def test_nothing_private_goes_where_all_may_look(web, folder):
    web.add(REPO, {})
    with pytest.raises(BadInput, match="public: nothing was pushed"):
        genzoo.push(folder, REPO, private=True)
    assert sent(web) == {}


# ------------------------------------------------------------------------------- what is not sent


def test_only_a_models_own_files_are_sent(web, folder):
    (folder / ".env").write_text("SECRET=1")
    (folder / "notes.txt").write_text("")
    (folder / "run").mkdir()
    (folder / "run" / "config.json").write_text("{}")
    genzoo.push(folder, REPO)
    assert {*sent(web)} == OWN


@pytest.mark.parametrize("name", manifest.FILES)
def test_no_link_is_followed(web, folder, tmp_path, name):
    (folder / name).touch()
    (folder / name).rename(tmp_path / "secret")
    (folder / name).symlink_to(tmp_path / "secret")
    refused(InvalidModel, web, folder, REPO, says=f"{re.escape(name)} is a link")


def test_a_link_that_leads_nowhere_is_one_too(web, folder):
    (folder / "samples.png").unlink()
    (folder / "samples.png").symlink_to("nowhere")
    refused(InvalidModel, web, folder, REPO, says=r"samples\.png is a link")


def test_a_pipe_is_not_read(web, folder):
    (folder / "samples.png").unlink()
    os.mkfifo(folder / "samples.png")
    refused(InvalidModel, web, folder, REPO, says=r"samples\.png is not a plain file")


def test_a_link_to_the_folder_is_the_folder(web, folder, tmp_path):
    (tmp_path / "latest").symlink_to(folder)
    genzoo.push(tmp_path / "latest", REPO)
    assert {*sent(web)} == OWN


# --------------------------------------------------------------------------------- what is checked


@pytest.mark.parametrize(
    ("repo", "says"),
    [
        ("dcgan-tiny", "'dcgan-tiny'"),
        ("zoo/dcgan-tiny@v1", "'zoo/dcgan-tiny@v1'"),
        ("./zoo", "'./zoo'"),
        ("zoo/../x", "'zoo/../x'"),
        ("", "''"),
    ],
)
def test_where_it_goes(web, folder, repo, says):
    refused(BadInput, web, folder, repo, says=says)


@pytest.mark.parametrize("tag", ["", "../x", "a b", "-v", "v1\n"])
def test_what_a_tag_may_be(web, folder, tag):
    refused(BadInput, web, folder, REPO, tag=tag, says=re.escape(repr(tag)))


def test_a_folder_that_is_not_there(web, tmp_path):
    refused(UnknownName, web, tmp_path / "none", REPO, says="none")


def test_weights_that_are_not_what_they_were(web, folder):
    content = (folder / manifest.WEIGHTS).read_bytes()
    (folder / manifest.WEIGHTS).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused(InvalidModel, web, folder, REPO, says=rf"{folder}/{manifest.WEIGHTS}: checksum")


def test_a_discriminator_that_is_not_what_it_was(web, folder):
    content = (folder / manifest.DISCRIMINATOR).read_bytes()
    (folder / manifest.DISCRIMINATOR).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused(InvalidModel, web, folder, REPO, says=rf"{manifest.DISCRIMINATOR}: checksum")


def test_a_discriminator_that_is_missing_or_unknown(web, folder):
    edit(folder, discriminator_sha256=None)
    refused(InvalidModel, web, folder, REPO, says=f"has a {manifest.DISCRIMINATOR}")
    edit(folder, discriminator_sha256="0" * 64)
    (folder / manifest.DISCRIMINATOR).unlink()
    refused(InvalidModel, web, folder, REPO, says=f"has no {manifest.DISCRIMINATOR}")


@pytest.mark.parametrize("license", ["", "unknown"])
def test_a_license_is_needed(web, folder, license):
    edit(folder, license=license)
    refused(BadInput, web, folder, REPO, says="license=NAME")


@pytest.mark.parametrize("before", ["unknown", "cc-by-4.0"])
def test_a_license_may_be_said_when_it_is_sent(web, folder, before):
    text = (folder / "README.md").read_text(encoding="utf-8")
    own = manifest.read_manifest(folder).license
    (folder / "README.md").write_text(
        text.replace(f"Weights: {own}.", f"Weights: {before}."), encoding="utf-8"
    )
    edit(folder, license=before)
    publish.push(folder, REPO, license="mit")
    sent = web.repos[REPO].commits[web.repos[REPO].head]
    assert json.loads(sent["config.json"])["license"] == "mit"
    assert manifest.read_manifest(folder).license == before, "the folder stays as it is"
    readme = sent["README.md"].decode()
    assert 'license: "mit"' in readme
    assert "\nWeights: mit.\n" in readme
    assert before not in readme


def test_a_license_of_its_own_says_its_terms(web, folder):
    edit(folder, license="other")
    refused(BadInput, web, folder, REPO, says=r"license is other.*no terms")


def test_metrics_are_needed(web, folder):
    (folder / "metrics.json").unlink()
    refused(BadInput, web, folder, REPO, says=r"has no metrics\.json")


@pytest.mark.parametrize(
    ("score", "says"),
    [
        ({"name": "fd", "value": 1.5}, "protocol is missing"),
        ({"name": "fd", "value": 1.5, "protocol": {}}, "protocol"),
        ({"name": "fd", "value": "1.5", "protocol": {"n": 1}}, "value must be a number"),
        ({"name": "fd", "value": True, "protocol": {"n": 1}}, "value must be a number"),
        ({"name": "fd", "value": 10**400, "protocol": {"n": 1}}, "value"),
        ({"name": "a\x1bb", "value": 1.5, "protocol": {"n": 1}}, "name must have no control"),
        ([], "must be an object"),
        ("fd", "must be an object"),
    ],
)
def test_scores_have_protocols(web, folder, score, says):
    (folder / "metrics.json").write_text(json.dumps({"scores": [score]}))
    refused(InvalidModel, web, folder, REPO, says=rf"metrics\.json: scores.*{says}")


def test_scores_that_are_no_list(web, folder):
    (folder / "metrics.json").write_text('{"scores": {"fd": 3}}')
    refused(InvalidModel, web, folder, REPO, says=r"metrics\.json: scores must be a list")


def test_no_scores_are_a_warning(web, folder, caplog):
    card.write_metrics(folder, {**card.read_metrics(folder), "scores": []})
    genzoo.push(folder, REPO)
    assert f"{REPO} has no scores" in caplog.text
    assert "model-index" not in ModelCard(sent(web)["README.md"].decode()).data.to_dict()


def test_pictures_are_shown(web, folder):
    (folder / "samples.png").unlink()
    says = rf"has no samples\.png.*: genzoo.load\('{folder}'\)\.sample\(16\)\.save"
    refused(BadInput, web, folder, REPO, says=says)
    (folder / "samples.png").write_text("<svg>")
    refused(InvalidModel, web, folder, REPO, says=r"samples\.png.*PNG")


# ------------------------------------------------------------------------------------- the README


def test_the_readme_follows_the_other_files_and_keeps_its_words(web, folder):
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace('license: "mit"', "license: gpl") + "\nMine.\n")
    genzoo.push(folder, REPO)
    told = ModelCard(sent(web)["README.md"].decode())
    assert told.data.license == "mit"
    assert told.text.endswith("\nMine.\n")
    assert (folder / "README.md").read_text().endswith("\nMine.\n"), (
        "the folder itself is as it was"
    )


@pytest.mark.parametrize(
    "text", ["", "Words alone.\n", "---\nbroken: [\n---\nWords\n", "---\nno end"]
)
def test_a_readme_without_metadata_gets_some(web, folder, text):
    (folder / "README.md").write_text(text)
    genzoo.push(folder, REPO)
    told = ModelCard(sent(web)["README.md"].decode())
    assert told.data.library_name == "genzoo"
    assert told.text.strip() == text.removeprefix("---\nbroken: [\n---\n").strip()


def test_a_missing_readme_is_written(web, folder, files):
    (folder / "README.md").unlink()
    genzoo.push(folder, REPO)
    assert b"# dcgan-tiny" in sent(web)["README.md"]


def test_a_readme_in_another_code(web, folder):
    (folder / "README.md").write_bytes(b"\xff\xfe")
    refused(InvalidModel, web, folder, REPO, says=r"README\.md is not UTF-8")


@pytest.mark.parametrize(("repo", "name"), [(REPO, REPO), ("genzoo/dcgan-tiny", "dcgan-tiny")])
def test_the_page_says_how_to_load_it_from_there(web, folder, repo, name):
    genzoo.push(folder, repo)
    head = web.repos[repo]
    assert f'genzoo.load("{name}")' in head.commits[head.head]["README.md"].decode()


# ------------------------------------------------------------------------------------ the Hub's no


@pytest.mark.parametrize(
    ("where", "code", "says"),
    [
        ("POST /api/repos/create", 403, "403"),
        ("POST /api/repos/create", 500, "500"),
        ("POST /api/.*/commit/", 412, "412"),
        ("POST /api/.*/commit/", 403, "403"),
        ("POST /api/.*/commit/", 503, "503"),
        ("POST /api/.*/preupload", 429, "429"),
        ("POST /api/.*/tag/", 403, "403"),
        ("PUT /large", 413, "413"),
    ],
)
def test_a_push_that_the_hub_refuses(web, folder, waits, where, code, says):
    web.on(where, status(code))
    with pytest.raises(NetworkError, match=says):
        genzoo.push(folder, REPO, tag="v1")
    assert sum(waits) < 60


def test_a_wrong_token(web, folder):
    web.token = "hf_another"
    with pytest.raises(NetworkError, match="HF_TOKEN") as caught:
        genzoo.push(folder, REPO)
    assert "hf_test" not in str(caught.value)


def test_no_token(web, folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(NetworkError, match="HF_TOKEN"):
        genzoo.push(folder, REPO)


def test_two_pushes_at_once(web, folder):
    """The second is told, and takes nothing back of what the first did."""
    genzoo.push(folder, REPO)
    other = {"config.json": b"{}"}

    def be_faster(request):
        web.repos[REPO].commit(other)
        request.plan(REPO, "main")

    web.on("POST /api/.*/preupload", be_faster, times=1)
    edit(folder, license="bsd")
    with pytest.raises(NetworkError, match="412"):
        genzoo.push(folder, REPO)
    assert sent(web) == other


def test_offline_nothing_is_pushed_or_searched(web, folder, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(NetworkError, web, folder, REPO, says="HF_HUB_OFFLINE is set")
    with pytest.raises(NetworkError, match="HF_HUB_OFFLINE is set"):
        hub.search()
    assert web.asked == []


# ------------------------------------------------------------------------------------------- pull


def test_pull_takes_the_models_name(web, folder, tmp_path, monkeypatch):
    genzoo.push(folder, REPO, tag="v1")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert str(genzoo.pull(f"{REPO}@v1")) == "dcgan-tiny"
    assert not (tmp_path / "elsewhere" / "dcgan-tiny" / manifest.DISCRIMINATOR).exists()


def test_pull_writes_over_nothing(web, folder, published):
    web.asked.clear()
    with pytest.raises(BadInput, match=r"config\.json"):
        genzoo.pull(REPO, folder)
    assert web.asked == []
    genzoo.pull(REPO, folder, force=True)
    assert not (folder / manifest.DISCRIMINATOR).exists()


def test_a_pulled_folder_is_ones_own(web, published, tmp_path):
    """To change it changes nothing in the cache."""
    back = genzoo.pull(REPO, tmp_path / "back")
    for path in back.iterdir():
        with path.open("r+b") as file:
            file.write(b"\0\0\0\0")
    genzoo.load(REPO, device="cpu")


def test_a_pulled_model_can_be_pushed_again(web, published, tmp_path):
    back = genzoo.pull(REPO, tmp_path / "back", discriminator=True)
    genzoo.load(back, device="cpu").sample(16, seed=0).save(back / "samples.png")
    genzoo.push(back, "club/fork")
    assert {*web.repos["club/fork"].commits[web.repos["club/fork"].head]} == OWN


# ----------------------------------------------------------------------------------------- search


def tagged(*tags):
    front = yaml.safe_dump({"license": "mit", "tags": [*tags]})
    return {"README.md": f"---\n{front}---\n".encode()}


def test_search_goes_by_tags_over_all_pages(web):
    web.page = 3
    for i in range(8):
        web.add(f"zoo/m{i}", tagged("genzoo", "vae" if i % 2 else "dcgan"))
    web.add("zoo/other", tagged("vae"))
    assert [f.name for f in hub.search()] == [f"zoo/m{i}" for i in range(8)]
    assert len([line for line in web.asked if line == "GET /api/models"]) == 3
    found = hub.search("vae")
    assert [f.name for f in found] == ["zoo/m1", "zoo/m3", "zoo/m5", "zoo/m7"]
    assert found[0] == hub.SearchHit("zoo/m1", "mit", 3, 1, "2026-11-01", ("vae",))
    assert len(hub.search(limit=4)) == 4


def test_a_list_without_end_ends(web):
    again = {"Link": f'<{web.url}/api/models?cursor=0>; rel="next"'}
    web.add("zoo/m", tagged("genzoo"))
    row = web.repos["zoo/m"].described(web.repos["zoo/m"].head)
    web.on("GET /api/models", lambda r: r.answer(200, [row], again))
    assert len(hub.search(limit=7)) == 7


@pytest.mark.parametrize("family", ["", "a b", "../x", "x&author=y", "vae\n", "a/b"])
def test_a_family_that_cannot_be(web, family):
    with pytest.raises(BadInput, match=re.escape(repr(family))):
        hub.search(family)
    assert web.asked == []


def test_a_dead_hub_is_not_searched_for_long(web, waits):
    web.die()
    with pytest.raises(NetworkError, match="the search: cannot reach the Hub"):
        hub.search()
    assert waits == []


# ------------------------------------------------------------------------------------------- cite


def test_how_to_cite_a_card():
    assert citation.cite("dcgan-mnist").splitlines()[:6] == [
        "@misc{genzoo-dcgan-paper,",
        "  note = {The paper of the family dcgan in genzoo},",
        "  eprint = {1511.06434},",
        "  archivePrefix = {arXiv},",
        "  year = {2015},",
        "  url = {https://arxiv.org/abs/1511.06434},",
    ]


def test_how_to_cite_a_commit(web, published, template):
    said = citation.cite(REPO)
    assert f"  url = {{https://huggingface.co/{REPO}/tree/{published}}}," in said
    assert "  author = {zoo}," in said
    assert f"SHA-256 {manifest.read_manifest(template).weights_sha256}" in said
    assert said.count("{") == said.count("}")


def test_names_are_made_harmless_for_tex(folder):
    edit(folder, name=r"50% of {a}_b & \c", data="x,y")
    said = citation.cite(folder)
    assert r"title = {50\% of \{a\}\_b \& \textbackslash{}c: dcgan trained on x,y}" in said
    assert "@misc{genzoo-50--of--a-_b----c," in said


# ------------------------------------------------------------------------------------------- paths

COMMANDS = {
    "genzoo train dcgan --data /home/me/photos --out /home/me/runs/dcgan-tiny": (
        "genzoo train dcgan --data photos --out dcgan-tiny"
    ),
    "genzoo train dcgan --data=/home/me/a,/home/me/b --set x=3": (
        "genzoo train dcgan --data=a,b --set x=3"
    ),
    "/usr/local/bin/genzoo train dcgan --data '/home/me/my photos'": (
        "genzoo train dcgan --data 'my photos'"
    ),
    "genzoo train dcgan --data ../me/photos --out ~/home/x --data-root ~me": (
        "genzoo train dcgan --data photos --out x --data-root ."
    ),
    "genzoo train dcgan --data 'C:\\home\\me\\photos'": "genzoo train dcgan --data photos",
    "genzoo train dcgan --data '/home/me/unclosed": "genzoo train dcgan --data ''\"'\"'unclosed'",
    "genzoo train dcgan --recipe owner/name --out runs/x 'a  b'": (
        "genzoo train dcgan --recipe owner/name --out runs/x 'a  b'"
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_path_of_this_machine_is_published(web, folder, command):
    recipe = {
        "command": command,
        "data_sha256": "0" * 64,
        "config": {},
        "options": {"examples": "/home/me/examples"},
        "seed": 0,
        "steps": 20,
        "seconds": 1.0,
        "machine": "/home/me",
        "versions": {},
    }
    edit(folder, recipe=recipe, data="/home/me/photos")
    (folder / "README.md").unlink()  # it would keep its text, as after a change by hand
    asked = {"data": "/home/me/photos", "seed": 0, "note": "bits / dim"}
    score = {"name": "fd", "value": 1.5, "protocol": {"data": "~/photos"}, "asked": asked}
    card.write_metrics(folder, {**card.read_metrics(folder), "scores": [score]})
    before = {name: (folder / name).read_bytes() for name in OWN}
    assert command not in before["README.md"].decode()
    genzoo.push(folder, REPO)
    for name in ("config.json", "metrics.json", "README.md"):
        text = sent(web)[name].decode()
        assert not [part for part in ("home", "/me", "\\me", "~") if part in text], name
    published = json.loads(sent(web)["config.json"])
    assert published["recipe"]["command"] == COMMANDS[command]
    assert published["recipe"]["options"] == {"examples": "examples"}
    assert published["data"] == "photos"
    (scored,) = json.loads(sent(web)["metrics.json"])["scores"]
    assert scored["asked"] == {"data": "photos", "seed": 0, "note": "bits / dim"}
    assert f"\ngenzoo train --recipe {REPO}\n" in sent(web)["README.md"].decode()
    assert {name: (folder / name).read_bytes() for name in OWN} == before


def test_the_words_of_a_readme_stay_where_no_path_is_hidden(web, folder):
    edit(folder, data="/x")
    text = (folder / "README.md").read_text() + "\nSee https://host/x and a/x.\n"
    (folder / "README.md").write_text(text)
    genzoo.push(folder, REPO)
    assert "\nSee https://host/x and a/x.\n" in sent(web)["README.md"].decode()
