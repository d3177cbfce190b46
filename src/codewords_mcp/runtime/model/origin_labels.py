"""The names of workflows' own origins in browsers.

An id is `<slug>_<8 hex digits>`, of lower-case letters, digits and single underscores. Underscores are not for host names, so
the label has hyphens in their place: each id has one label and each label one id. The digits are random and no id is
given twice, so a deleted workflow's origin, with what browsers keep for it, is nobody's afterwards.
"""

from __future__ import annotations

import re

_ID = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*_[0-9a-f]{8}")
_LONGEST = 63
"""Characters of a label (RFC 1035)."""


def label_of(service_id: str) -> str | None:
    """The label of a workflow's origin; None for what is no workflow's id."""
    if len(service_id) <= _LONGEST and _ID.fullmatch(service_id):
        return service_id.replace("_", "-")
    return None


def service_of(label: str) -> str | None:
    """The id of the workflow with this label; None where no workflow can have it."""
    service_id = label.replace("-", "_")
    # A label with an underscore would be a second one of the same id.
    if "_" not in label and label_of(service_id) is not None:
        return service_id
    return None
