#!/bin/sh
# Tries what `scripts/package` built (default dist/) as somebody does who has never had it: each Python from 3.11 to 3.13 that is here,
# `uvx --from WHEEL codewords-mcp demo`, `uv tool install` by the install script. As root, by a Unix user that is made for it and removed
# again. Says how long each took, with the load of the machine. The first round of each Python is for the downloads and is not told.
set -eu
cd "$(dirname "$0")/.."
dist=$(cd "${1:-dist}" && pwd)
uv=$(pwd)/.venv/bin/uv
[ -x "$uv" ] || { echo "rehearse.sh: ./scripts/setup comes first" >&2; exit 1; }
work=$(mktemp -d)
user=
[ "$(id -u)" != 0 ] || user=codewords-rehearsal

# Nothing of this environment but the way to the index.
clean() {
    env -i HOME="$home" PATH="$home/.local/bin:$work/bin:/usr/bin:/bin" UV_PYTHON="$python" TERM=dumb \
        SSL_CERT_FILE="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" CODEWORDS_OPEN_BROWSER=never CODEWORDS_PORT=0 \
        CODEWORDS_RELEASE="$work/release" UV_CACHE_DIR="$cache" ROOT_HOME="$HOME" "$@"
}
fresh() {
    if [ -n "$user" ]; then
        clean unshare --mount sh "$work/bin/visible" "$base" "$work/python" setpriv --reuid "$user" --regid "$user" --init-groups --inh-caps=-all --bounding-set=-all "$@"
    else
        clean "$@"
    fi
}
finish() {
    if [ -n "$user" ] && id "$user" >/dev/null 2>&1; then
        # After a failure its runtime still serves.
        setpriv --reuid "$user" --clear-groups --regid "$user" sh -c 'kill -9 -1' 2>/dev/null || true
        userdel "$user"
    fi
    rm -rf "$work"
}
trap finish EXIT

chmod 755 "$work"
mkdir "$work/bin" "$work/release" "$work/cache" "$work/homes" "$work/python"
cp "$uv" "$work/bin"
printf '#!/bin/sh\nexec "%s/bin/uv" tool run "$@"\n' "$work" >"$work/bin/uvx"
chmod 755 "$work/bin/uvx"
cp "$dist"/codewords_mcp-*.whl "$dist/SHA256SUMS" packaging/install.sh "$work/release"
chmod -R a+rX "$work/release"
# Another user may not look into root's home, where this Python may be: they see that Python there and nothing else.
cat >"$work/bin/visible" <<'END'
base=$1 place=$2
shift 2
case $base in
"$ROOT_HOME"/*)
    mount --bind "$base" "$place"
    mount -t tmpfs -o mode=755 none "$ROOT_HOME"
    mkdir -p "$base"
    mount --bind "$place" "$base"
    ;;
esac
exec "$@"
END
name=$(basename "$work"/release/*.whl)
cache=$work/cache
if [ -n "$user" ]; then
    useradd --no-create-home "$user"
    chown "$user:" "$work/cache" "$work/homes"
    where="the new Unix user $user"
else
    where="a new home"
fi

for version in 3.11 3.12 3.13; do
    python=$("$uv" python find "$version" 2>/dev/null || ls "$HOME/.pyenv/versions/$version".*/bin/python 2>/dev/null || true)
    python=${python%%
*}
    [ -n "$python" ] || { echo "python $version: not here"; continue; }
    base=$("$python" -c 'import sys; print(sys.base_prefix)')
    for round in downloads measured; do
        home=$work/homes/$version-$round
        [ -z "$user" ] || install -d -o "$user" -m 700 "$home"
        mkdir -p "$home"
        # An environment of uvx is kept for a wheel at its path.
        mkdir "$work/release/$version-$round"
        cp "$work/release/$name" "$work/release/$version-$round"
        wheel=$work/release/$version-$round/$name
        began=$(date +%s)
        fresh uvx --from "$wheel" codewords-mcp demo --json >"$work/demo.json" || { cat "$work/demo.json"; exit 1; }
        seconds=$(($(date +%s) - began))
        fresh uvx --from "$wheel" codewords-mcp stop >/dev/null
        [ "$round" = measured ] || continue

        tier=$(sed -n 's/.*"isolation": "\([A-D]\)".*/\1/p' "$work/demo.json")
        echo "python $version, $where: uvx … demo, its first result and all else, in $seconds s, tier $tier; load $(cut -d ' ' -f 1 /proc/loadavg)"
        began=$(date +%s)
        fresh sh "$work/release/install.sh" >/dev/null 2>&1
        echo "python $version, $where: install.sh in $(($(date +%s) - began)) s, $(fresh codewords-mcp --version)"
    done
done
