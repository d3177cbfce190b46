#!/usr/bin/env bash
# Compares or pushes PROJECT_FOLDER. What it prints is also the summary of the job; its exit code is that of the command.
set -euo pipefail
codewords=${CODEWORDS:-}
if [ -z "$codewords" ]; then
  environment="${RUNNER_TEMP:-/tmp}/codewords"
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check "$PROJECT_PACKAGE"
  codewords="$environment/bin/codewords"
fi
case "$PROJECT_COMMAND" in
  diff) words=(diff "$PROJECT_FOLDER") ;;
  push)
    words=(push "$PROJECT_FOLDER" --yes)
    if [ "${PROJECT_PRUNE:-false}" = true ]; then words+=(--prune); fi
    ;;
  *) echo "command is neither diff nor push: $PROJECT_COMMAND" >&2; exit 2 ;;
esac
code=0
output=$("$codewords" "${words[@]}" 2>&1) || code=$?
printf '%s\n' "$output"
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
  # Four blanks are code in Markdown, whatever the output holds.
  { printf '### codewords %s\n\n' "$PROJECT_COMMAND"; printf '%s\n' "$output" | sed 's/^/    /'; } >> "$GITHUB_STEP_SUMMARY"
fi
exit "$code"
