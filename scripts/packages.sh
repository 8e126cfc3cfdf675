# Sourced by demo.sh and test.sh: installs the packages of packages.txt that are missing.
#
# Says what it will install first. On a terminal it asks, unless -y was given or CI=true. Needs root (or sudo) only when
# something is missing.

packages_missing() {
    local package
    grep -v '^#' packages.txt | while read -r package; do
        [ -n "$package" ] || continue
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || echo "$package"
    done
}

packages_install() {  # packages_install YES
    if ! command -v dpkg-query >/dev/null; then
        echo "This is neither Debian nor Ubuntu: install the equivalents of packages.txt by hand if the build asks for them." >&2
        return 0
    fi
    local missing sudo=
    missing=$(packages_missing)
    [ -n "$missing" ] || return 0
    echo "These packages will be installed with apt-get:" >&2
    echo $missing | fold -s -w 100 | sed 's/^/  /' >&2
    if [ "$1" != yes ] && [ "${CI:-}" != true ]; then
        if [ ! -t 0 ]; then
            echo "Run again with -y to install them without being asked." >&2
            return 2
        fi
        read -r -p "Install them? [Y/n] " answer
        case "$answer" in "" | y | Y | yes) ;; *) return 2 ;; esac
    fi
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "Installing packages needs root: run as root once, or ask for the packages above." >&2; return 2; }
        sudo=sudo
    fi
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
