# Sourced by the scripts that are a list of steps: prints a heading for each and remembers what ran.
# Expects `set -e`, so that the first step that fails ends the script.

ran=()
not_run=()

step() {
    local name=$1
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    if ! "$@"; then
        printf '\n%s: failed at step "%s"\n' "$(basename "$0")" "$name" >&2
        exit 1
    fi
    ran+=("$name")
}

# The last line of the script: what ran, and what did not.
finish() {
    local list
    list=$(printf ', %s' "${ran[@]}")
    printf '\n%s: passed: %s' "$(basename "$0")" "${list:2}"
    if [ ${#not_run[@]} != 0 ]; then
        printf '; NOT RUN:%s' "$(printf ' %s' "${not_run[@]}")"
    fi
    printf '\n'
}
