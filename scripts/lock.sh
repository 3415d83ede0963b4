#!/usr/bin/env bash
# Writes constraints.txt: the exact version of every dependency, as a fresh environment resolves them today.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
fresh=$(mktemp -d)
python3 -m venv "$fresh/venv"
"$fresh/venv/bin/pip" install -q -e '.[test,fast]'
{
  echo "# Every dependency, pinned. Made by scripts/lock.sh; do not edit."
  "$fresh/venv/bin/pip" freeze --exclude-editable --exclude kruise-rollouts
} >constraints.txt
rm -rf "$fresh"
