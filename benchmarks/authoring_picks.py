"""Does a wish in plain words lead to the right library services and the right template?

The hundred wishes of authoring_wishes.txt were written before the choice was tuned. The odd ones were looked at while tuning,
the even ones only counted. A wish holds if every service that it needs is among the three that are proposed, and one of its
templates among the first three.

    python benchmarks/authoring_picks.py [--quick] [--json] [--misses]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

WISHES = Path(__file__).with_name("authoring_wishes.txt")
SHOWN = 3
TARGET = 0.9


class Wish(NamedTuple):
    """A wish. `services`: of each group one is needed; `templates`: any of them is right."""

    text: str
    services: tuple[frozenset[str], ...]
    templates: frozenset[str]


class Pick(NamedTuple):
    """The proposals for a wish, the best first, and the milliseconds that it took."""

    wish: Wish
    services: list[str]
    templates: list[str]
    took_ms: float

    @property
    def right_services(self) -> bool:
        return all(group & set(self.services) for group in self.wish.services)

    @property
    def right_template(self) -> bool:
        return bool(self.wish.templates & set(self.templates))

    @property
    def right(self) -> bool:
        return self.right_services and self.right_template


def read_wishes() -> list[Wish]:
    """Read the hundred wishes, in order."""
    wishes: list[Wish] = []
    for line in WISHES.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        text, services, templates = (part.strip() for part in line.split("|"))
        groups = [] if services == "-" else services.split("+")
        wishes.append(
            Wish(text, tuple(frozenset(group.split("/")) for group in groups), frozenset(templates.split()))
        )
    return wishes


def pick(wish: Wish) -> Pick:
    """Choose for a wish as a brief does."""
    from codewords_mcp.runtime.authoring.service_choice import choose_services
    from codewords_mcp.runtime.authoring.template_choice import matching_templates
    from codewords_mcp.runtime.authoring.templates import templates
    from codewords_mcp.runtime.services.describe import describe
    from codewords_mcp.runtime.services.registry import Registry

    known = [describe(service) for service in Registry().all()]
    began = time.perf_counter()
    services = [service.name for service in choose_services(known, wish.text)]
    found = [template.id for template in matching_templates(templates(), wish.text)]
    return Pick(wish, services[:SHOWN], found[:SHOWN], (time.perf_counter() - began) * 1000)


def rows_of(name: str, picks: list[Pick]) -> list[dict[str, Any]]:
    """Shares of the wishes that hold."""
    shares = {
        f"{name}: services and template": statistics.fmean(one.right for one in picks),
        f"{name}: services": statistics.fmean(one.right_services for one in picks),
        f"{name}: template": statistics.fmean(one.right_template for one in picks),
        f"{name}: the first template": statistics.fmean(
            bool(one.wish.templates & set(one.templates[:1])) for one in picks
        ),
    }
    rows: list[dict[str, Any]] = [
        {"question": question, "ours": round(share, 3), "unit": f"of {len(picks)}", "holds": None}
        for question, share in shares.items()
    ]
    rows[0] |= {"target": f">= {TARGET}", "holds": rows[0]["ours"] >= TARGET}
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the same: it takes a second")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--misses", action="store_true", help="the misses of the wishes for tuning")
    options = parser.parse_args()
    picks = [pick(wish) for wish in read_wishes()]
    tuned, held_out = picks[::2], picks[1::2]
    noise = statistics.fmean(
        len([name for name in one.services if not any(name in group for group in one.wish.services)])
        for one in picks
    )
    rows = [*rows_of("tuned", tuned), *rows_of("held out", held_out)]
    rows += [
        {"question": "services that were not meant, a wish", "ours": round(noise, 2), "unit": "mean"},
        {
            "question": "time of a choice, median",
            "ours": round(statistics.median(one.took_ms for one in picks), 2),
            "unit": "ms",
        },
    ]
    for row in rows:
        if options.json:
            print(json.dumps(row))
        else:
            holds = "" if row.get("holds") is None else "yes" if row["holds"] else "NO"
            print(
                f"{row['question']:<42} {row['ours']:>7} {row['unit']:<8} {row.get('target', ''):<8} {holds}".rstrip()
            )
    if options.misses:
        for one in tuned:
            if not one.right:
                needed = ["/".join(sorted(group)) for group in one.wish.services]
                print(f"\n{one.wish.text}\n  needs {needed}, proposed {one.services}")
                print(f"  right {sorted(one.wish.templates)}, proposed {one.templates}")
    return 1 if any(row.get("holds") is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
