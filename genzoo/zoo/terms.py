"""The terms of a model's data, which limit what may be done with it: said once on a machine."""

import contextlib
import hashlib
import logging
from functools import cache
from pathlib import Path

from genzoo.errors import GenzooError, command
from genzoo.files import file_name, home

# The Hub's word for terms that are no standard license.
RESTRICTED = "other"
log = logging.getLogger("genzoo")


@cache
def warn(name: str | Path, model: str, terms: str) -> None:
    """Warn of the ``terms`` that limit the use of ``model``, which ``name`` means, if nobody here
    was told: the cache notes it.
    """
    from genzoo.data.entries import TERMS

    digest = hashlib.sha256(terms.encode()).hexdigest()[:12]
    with contextlib.suppress(OSError, GenzooError):  # a cache that cannot be written to
        note = home() / TERMS / file_name(model, f"-{digest}")
        if note.exists():
            return
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
    again = f"said once; {command('info', str(name))} repeats it"
    text = "%s was trained on data with terms: %s (%s)"
    log.warning(text, model, terms or "(no terms given)", again)
