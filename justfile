# The developer's whole interface. `just` alone lists it; each line also works pasted into a shell.

python := ".venv/bin/python"

# set everything up in .venv
install:
    ./scripts/setup --dev

# lint, format, types, import contracts
check:
    ./scripts/check

# the quick suite: each part by itself, and the repository's rules; four at once on two cores, since half of a worker's time is waiting
quick:
    .venv/bin/pytest -n 4 -m "not slow" tests/unit tests/test_*.py

# everything
test:
    ./scripts/test

# every benchmark, quickly, into benchmarks/results; names of some measure only those
bench *names:
    {{python}} benchmarks/all.py --quick {{names}}

# resolve constraints.txt again, which keeps its versions where they still fit; with --upgrade it takes the newest
pins *options:
    printf -- '-e .[dev,e2b,otel,redis,s3]\n-e packages/codewords-testing\n' | .venv/bin/uv pip compile --quiet --universal --python-version 3.11 \
      --no-header --no-annotate --no-emit-package codewords-mcp --no-emit-package codewords-testing {{options}} -o constraints.txt -

# write the generated parts of the docs again
docs:
    {{python}} docs/reference/generate.py

# the documentation as a site, into site
site:
    ./scripts/site

# the wheel, the source archive and the bundle for one-click installation, into dist
package:
    ./scripts/package
