# Virtual environments for the tools from PyPI. Sourced; needs `headline` and `fail`.

# Prints the first Python that is new enough.
find_python() {
  local candidate
  for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail 'needs Python 3.11 or newer'
}

# make_environment DIR: a virtual environment with pip in it. Debian's python3 comes without ensurepip, so pip is taken
# from the system's own where there is one, else Debian's package brings ensurepip.
make_environment() {
  local directory=$1 python
  python=$(find_python)
  rm -rf "$directory"
  "$python" -m venv "$directory" >/dev/null 2>&1 && return
  if "$python" -m venv --clear --without-pip "$directory" &&
    "$python" -m pip --python "$directory/bin/python" install --quiet pip 2>/dev/null; then
    return
  fi
  if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
    python=$(find_python)
    "$python" -m venv --clear "$directory" && return
  fi
  fail "cannot make a virtual environment with $python: install the package python3-venv"
}

# install_tools DIR NAME: what NAME.in asks for, in exactly the versions and files that NAME.txt locks; once per lock.
install_tools() {
  local directory=$1 name=$2
  cmp -s "$name.txt" "$directory/installed.txt" && return
  headline "install $(grep -v '^#' "$name.in" | tr '\n' ' ')"
  make_environment "$directory"
  "$directory/bin/python" -m pip install --quiet --no-deps --require-hashes --requirement "$name.txt"
  cp "$name.txt" "$directory/installed.txt"
}
