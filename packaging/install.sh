#!/bin/sh
# Installs codewords-mcp for this user with uv, from a release whose hash is checked first. Works once a release is there:
#
#     curl -LsSf https://github.com/codewords-mcp/codewords-mcp/releases/latest/download/install.sh | sh
#
# CODEWORDS_RELEASE names another place: an address, or a folder that `scripts/package` has filled.
set -eu

release=${CODEWORDS_RELEASE:-https://github.com/codewords-mcp/codewords-mcp/releases/latest/download}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

get() {
    case $release in
    https://* | http://127.0.0.1:*) curl -LsSf "$release/$1" -o "$2" ;;
    http://*) fail "$release is not read: it is neither https nor on this machine." ;;
    *) cp "$release/$1" "$2" ;;
    esac || fail "$1 could not be fetched from $release."
}

check() {
    if command -v sha256sum >/dev/null; then
        sha256sum "$1" | cut -d ' ' -f 1
    else
        shasum -a 256 "$1" | cut -d ' ' -f 1
    fi
}

# In a function: a script that arrives in part does nothing.
main() {
    command -v uv >/dev/null || fail "uv is needed: https://docs.astral.sh/uv/getting-started/installation/ says how to get it."
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT

    get SHA256SUMS "$folder/SHA256SUMS"
    line=$(grep -E '^[0-9a-f]{64} [ *]codewords_mcp-[0-9A-Za-z.]+-py3-none-any\.whl$' "$folder/SHA256SUMS") || fail "SHA256SUMS names no wheel."
    [ "$(echo "$line" | wc -l)" -eq 1 ] || fail "SHA256SUMS names more than one wheel."
    expected=${line%% *}
    wheel=${line##*[ *]}

    get "$wheel" "$folder/$wheel"
    found=$(check "$folder/$wheel")
    [ "$found" = "$expected" ] || fail "$wheel has the hash $found, and $expected is expected. Nothing was installed."

    uv tool install --force "$folder/$wheel"
    echo "Now: codewords-mcp install"
}

main
