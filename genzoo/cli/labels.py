"""--label: one class, or several."""

from collections.abc import Sequence

from genzoo.text import nfc


def parse_labels(text: str | None, classes: Sequence[str] = ()) -> list[str] | str | None:
    """One class for all, or those that commas separate; names in ``classes`` may have commas."""
    known = {nfc(name).casefold() for name in classes}
    if text is None or "," not in text or nfc(text.strip()).casefold() in known:
        return text
    parts, labels = text.split(","), []
    while parts:
        ends = range(len(parts), 1, -1)  # the longest name first
        names = {end: ",".join(parts[:end]).strip() for end in ends}
        end = next((end for end in ends if nfc(names[end]).casefold() in known), 1)
        labels.append(names.get(end, parts[0].strip()))
        parts = parts[end:]
    return labels
