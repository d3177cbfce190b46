"""Media types of text, by which an answer is shown and not only linked."""

from __future__ import annotations

import re
from functools import lru_cache

_TEXT = re.compile(
    r"text/.*|.*[/+](json|xml|yaml)|application/"
    r"(javascript|ecmascript|x-ndjson|jsonl|json-seq|toml|yaml|x-yaml|sql|graphql|rtf|x-sh|x-www-form-urlencoded)"
)


@lru_cache(maxsize=256)
def is_type_of_text(kind: str) -> bool:
    """Whether a media type, in lower case and without parameters, is one of text."""
    return _TEXT.fullmatch(kind) is not None
