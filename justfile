# The developer's whole interface. `just` alone lists it; each line also works pasted into a shell.

python := ".venv/bin/python"

# set everything up in .venv
install:
    ./scripts/setup

# lint, format, types, import contracts
check:
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/pyright
    .venv/bin/lint-imports

# the quick suite
quick:
    .venv/bin/pytest -n 2 -m "not slow"

# everything
test:
    ./scripts/test

# every benchmark, quickly
bench:
    for script in benchmarks/[a-z]*.py; do {{python}} $script --quick; done

# write the generated parts of the docs again
docs:
    {{python}} docs/reference/generate.py

# the wheel, the source archive and the bundle for one-click installation, into dist
package:
    ./scripts/package
