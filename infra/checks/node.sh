# Node.js for what is tested with it. Sourced after `environments.sh`.

# use_node: puts a Node.js that is new enough for the locked packages on the path. Debian's can be older than that.
use_node() {
  local oldest=20
  if command -v npm >/dev/null && (($(node --print 'process.versions.node.split(".")[0]') >= oldest)); then
    return
  fi
  install_tools .venv/node infra/checks/requirements-node
  PATH=$PWD/.venv/node/bin:$PATH
  node --version
}
