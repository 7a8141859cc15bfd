#!/usr/bin/env bash
# make_venv.sh FOLDER INSTALL_ARGUMENTS...: create a virtual environment with a Python that Wordmask supports and install into it.
# By uv, which needs a third of pip's time, where it can; else by pip, which knows of mirrors and certificates that are set up for it.
# Their output goes to FOLDER/install.log; it is shown only when something fails.
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

install() {
  "$folder/bin/python" -m pip install --no-input uv==0.13.9 && "$folder/bin/uv" pip install --python "$folder/bin/python" "$@" && return
  echo "uv could not do it; pip tries"
  "$folder/bin/python" -m pip install --no-input "$@"
}

if ! install "$@" >"$folder/install.log" 2>&1; then
  tail -n 30 "$folder/install.log" >&2
  echo "the installation failed; the whole output is in $folder/install.log" >&2
  exit 1
fi
