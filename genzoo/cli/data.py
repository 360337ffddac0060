"""data: list the data sets."""

from genzoo.cli.app import Json, app, as_json, as_table


@app.command("data")
def list_data(json: Json = False) -> None:
    """List the named data sets. A folder or zip of images or .wav files is one, too.

    NAME:CLASS is a part of one (mnist:3). NAME@TRANSFORM is one with all images transformed
    (mnist@edges, @grey, @low2, @low4, @low8); families that learn from pairs take it beside its
    originals. Two domains are A,B (./summer,./winter).
    """
    from genzoo.data import listing
    from genzoo.testing import status

    status.refuse_broken("dataset")
    listings = listing()
    if json:
        as_json([s._asdict() for s in listings])
    else:
        as_table([(s.name, s.summary) for s in listings], ("name", ""))
