"""What stands in the pages of `docs/`, so that a check can run the very thing that a reader copies."""

import os
import re

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "docs")


def blocks(page, language):
    """The code blocks of a page that are marked as being in `language`, in their order."""
    with open(os.path.join(DOCS, page), encoding="utf-8") as file:
        text = file.read()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def replaced(text, changes):
    """`text` with each key of `changes` replaced by its value. A key that does not occur is a mistake."""
    for old, new in changes.items():
        if old not in text:
            raise AssertionError(f"{old!r} does not occur in what was to be changed")
        text = text.replace(old, str(new))
    return text
