#!/bin/sh
# Tries what `scripts/package` built (default dist/) as somebody does who has never had it: a home of their own, each Python from 3.11 to
# 3.13 that is here, `uvx --from WHEEL codewords-mcp demo`, `uv tool install` by the install script. Says how long each took.
# Packages come from the index, or from uv's cache where it has them.
set -eu
cd "$(dirname "$0")/.."
dist=$(cd "${1:-dist}" && pwd)
wheel=$(ls "$dist"/codewords_mcp-*.whl)
uv=$(pwd)/.venv/bin
cache=$("$uv/uv" cache dir)

for version in 3.11 3.12 3.13; do
    python=$("$uv/uv" python find "$version" 2>/dev/null) || { echo "python $version: not here"; continue; }
    home=$(mktemp -d)
    # Nothing of this environment but the way to the index.
    fresh() {
        env -i HOME="$home" PATH="$home/.local/bin:$uv:/usr/bin:/bin" UV_CACHE_DIR="$cache" UV_PYTHON="$python" TERM=dumb \
            SSL_CERT_FILE="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" CODEWORDS_OPEN_BROWSER=never CODEWORDS_PORT=0 \
            CODEWORDS_RELEASE="$dist" "$@"
    }
    began=$(date +%s)
    fresh uvx --from "$wheel" codewords-mcp demo --json >"$home/demo.json" || { cat "$home/demo.json"; exit 1; }
    echo "python $version: uvx … demo, its first result and all else, in $(($(date +%s) - began)) s"
    fresh uvx --from "$wheel" codewords-mcp stop >/dev/null
    began=$(date +%s)
    fresh sh packaging/install.sh >/dev/null 2>&1
    echo "python $version: install.sh in $(($(date +%s) - began)) s, $(fresh codewords-mcp --version)"
    rm -rf "$home"
done
