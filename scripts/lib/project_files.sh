# shellcheck shell=bash
# The files that belong to the project.

# project_files [PATHSPEC...]   regular files, committed or new, without what git ignores, what was deleted, and links
project_files() {
    local file
    # The checkout may belong to somebody else than who runs this, as on a build machine.
    git -c safe.directory='*' ls-files --cached --others --exclude-standard -- "$@" | while IFS= read -r file; do
        if [[ -f $file && ! -L $file ]]; then printf '%s\n' "$file"; fi
    done
}

# A list without files would let every check pass.
must_be_a_checkout() {
    if [[ -z $(project_files .) ]]; then
        echo "this is not a git checkout: clone the project, so that it is known which files belong to it" >&2
        exit 1
    fi
}
