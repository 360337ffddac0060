"""data: what can be learnt from."""

from genzoo.cli.app import Json, app, as_json, as_table


@app.command("data")
def list_data(json: Json = False) -> None:
    """List the data sets that have a name; any folder or zip of images will do, too."""
    from genzoo import data as sets
    from genzoo.testing import status

    status.refuse_broken("dataset")
    found = sets.listed()
    if json:
        as_json([s._asdict() for s in found])
    else:
        as_table([(s.name, s.summary) for s in found], ("name", ""))
