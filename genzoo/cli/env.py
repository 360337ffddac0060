"""env: what a report of a bug needs to say about this machine."""

from genzoo.cli.app import app, as_json, as_table
from genzoo.cli.options import Json


@app.command("env", examples=["genzoo env", "genzoo env --json"])
def show_environment(json: Json = False) -> None:
    """Print what a report of a bug needs to say.

    Versions, system, devices, variables and the size of the cache. It names no account: the home
    folder is written ~, and no token is read.
    """
    from genzoo.testing import environment

    found = environment.env()
    if json:
        as_json(found.record())
    else:
        as_table(found.rows)
