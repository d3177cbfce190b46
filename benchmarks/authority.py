"""What do authority checks add to a synchronous run?

All that one run adds which calls a library service and a model: its authority is built, looked up by its key, asked for two
calls, a target and the hosts of its sandbox, and forgotten. Beside it the same calls of a person, whose authority answers
without a check, so that the difference is the checks. Then the largest manifest that the question shows, for growth.

    python benchmarks/authority.py [--quick] [--json]
"""

from __future__ import annotations

import sys
import time

from _bench import Question, interleave, options, report

from codewords_mcp.runtime.auth.authority import Authorities, CallTarget, Permissions
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.manifest import Manifest, StoredSecret

AT_ONCE = 1000
USUAL = Manifest(
    hosts=("api.stripe.com", "hooks.slack.com"),
    models=("openai",),
    services=("firecrawl", "send_email"),
    schedules=("0 9 * * *",),
    secrets=(StoredSecret(name="STRIPE_API_KEY", hosts=("api.stripe.com",)),),
)
LARGE = Manifest(
    hosts=(*(f"api{n}.some-vendor.example.com" for n in range(200)), "api.stripe.com"),
    models=("openai",),
    services=("firecrawl",),
    workflows=tuple(f"a_longer_name_{n}_0a1b2c3d" for n in range(200)),
)
RUN, PERSON = Caller("ann", "run", run_id="r1"), Caller("ann", "user")


def checked(manifest: Manifest) -> float:
    """Milliseconds of one run's checks, the mean of many."""
    permissions, authorities = Permissions.of("flow_0a1b2c3d", "ann", manifest), Authorities()
    began = time.perf_counter()
    for _ in range(AT_ONCE):
        authorities.begin("r1", "ann", permissions, manifest.hosts)
        authority = authorities.of(RUN)
        authority.require_call("firecrawl")
        authority.require_call("openai")
        authority.require_target("firecrawl", CallTarget("host", "api.stripe.com"))
        assert authority.hosts_of("firecrawl") == manifest.hosts
        authorities.end("r1")
    return (time.perf_counter() - began) * 1000 / AT_ONCE


def unchecked() -> float:
    """Milliseconds of the same calls of a person."""
    authorities = Authorities()
    began = time.perf_counter()
    for _ in range(AT_ONCE):
        authority = authorities.of(PERSON)
        authority.require_call("firecrawl")
        authority.require_call("openai")
        authority.require_target("firecrawl", CallTarget("host", "api.stripe.com"))
        assert authority.hosts_of("firecrawl") is None
    return (time.perf_counter() - began) * 1000 / AT_ONCE


def main() -> int:
    chosen = options(__doc__ or "", runs=40, quick_runs=15)
    questions: list[Question] = []
    for name, manifest in (("a usual manifest", USUAL), ("200 hosts and 200 workflows", LARGE)):
        question = Question(
            f"all checks of one run, {name}", "the same calls without checks", "ms", None, at_most=0.1
        )
        interleave(question, lambda manifest=manifest: checked(manifest), unchecked, chosen.runs)
        questions.append(question)
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
