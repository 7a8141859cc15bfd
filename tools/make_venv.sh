#!/usr/bin/env bash
# make_venv.sh FOLDER PIP_ARGUMENTS...: create a virtual environment with a Python that Wordmask supports and install into it.
# pip's output goes to FOLDER/install.log; it is shown only when something fails.
set -euo pipefail
folder=$1
shift

supported='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

find_python() {
  local name
  for name in ${PYTHON:-python3.11 python3.12 python3.13 python3 python}; do
    if "$name" -c "$supported" >/dev/null 2>&1; then echo "$name"; return; fi
  done
  echo "No Python 3.11, 3.12 or 3.13 with the venv module found. Install one (Debian: apt-get install python3 python3-venv)" >&2
  echo "or name it: make PYTHON=/path/to/python3.12 ..." >&2
  return 1
}

if ! "$folder/bin/python" -c "$supported" >/dev/null 2>&1; then
  python=$(find_python)
  "$python" -m venv --clear "$folder"
fi
if ! "$folder/bin/python" -m pip install --no-input "$@" >"$folder/install.log" 2>&1; then
  tail -n 30 "$folder/install.log" >&2
  echo "pip install failed; the whole output is in $folder/install.log" >&2
  exit 1
fi
