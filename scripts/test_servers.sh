#!/bin/sh
# See to the programs that the tests start: a Redis (or Valkey), a RabbitMQ and a Chromium.
#
# Says what is missing and how large it is. As root on Debian and its relatives it installs
# that through apt, without starting or enabling any service; elsewhere it prints the command
# and ends with 4. What is there is left alone.
set -eu

POLICY=/usr/sbin/policy-rc.d
SAVED=

find_rabbitmq() {
    for path in /usr/lib/rabbitmq/bin /opt/rabbitmq/sbin /opt/homebrew/opt/rabbitmq/sbin \
        /usr/local/opt/rabbitmq/sbin /usr/local/sbin; do
        [ -x "$path/rabbitmq-server" ] && return 0
    done
    return 1
}

find_browser() {
    for name in chromium chromium-browser google-chrome-stable google-chrome \
        "/Applications/Chromium.app/Contents/MacOS/Chromium" \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
        command -v "$name" >/dev/null && return 0
    done
    return 1
}

missing() {
    command -v redis-server >/dev/null || command -v valkey-server >/dev/null || echo redis-server
    find_rabbitmq || echo rabbitmq-server
    find_browser || echo chromium
    # A Debian python3 without its venv package cannot make .venv.
    [ -d .venv ] || "${PYTHON:-python3}" -c 'import ensurepip' 2>/dev/null || echo python3-venv
}

# Packages that apt would add, their download and their size on disk.
say_sizes() {
    added=$(LC_ALL=C apt-get -s install --no-install-recommends "$@" 2>/dev/null |
        awk '$1 == "Inst" { print $2 }')
    if [ -z "$added" ]; then
        echo "size unknown: apt's package lists are empty (apt-get update fills them)"
        return
    fi
    # shellcheck disable=SC2086
    apt-cache show --no-all-versions $added | awk '
        $1 == "Package:" { packages++ }
        $1 == "Size:" { fetched += $2 }
        $1 == "Installed-Size:" { kept += $2 }
        END { printf "%d packages: %.0f MB to fetch, %.0f MB on disk\n",
              packages, fetched / 1e6, kept / 1e3 }'
}

print_command() {
    if command -v apt-get >/dev/null; then
        say_sizes "$@"
        echo "run: sudo apt-get install --no-install-recommends $*"
    elif command -v brew >/dev/null; then
        echo "run: brew install redis rabbitmq, and for a browser: brew install --cask chromium"
    else
        echo "install with your system's package manager: $*"
    fi
}

enabled_units() {
    find /etc/systemd/system /etc/rc?.d -type l \( -path '*.d/S*' -o -path '/etc/systemd/*' \) \
        2>/dev/null | sort
}

# Undo what a package's scripts switched on, and put the policy back.
restore() {
    enabled_units | comm -13 "$BEFORE" - | while read -r link; do
        case $link in
        /etc/systemd/system/*)
            deb-systemd-helper disable "${link##*/}" >/dev/null 2>&1 || true
            rm -f "$link"
            ;;
        *) update-rc.d "${link##*/S[0-9][0-9]}" disable >/dev/null 2>&1 || true ;;
        esac
    done
    rm -f "$POLICY" "$BEFORE"
    [ -z "$SAVED" ] || mv "$SAVED" "$POLICY"
}

install_quietly() {
    BEFORE=$(mktemp)
    enabled_units >"$BEFORE"
    if [ -e "$POLICY" ]; then
        SAVED=$POLICY.tapewire-saved
        mv "$POLICY" "$SAVED"
    fi
    trap restore EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # 101: no package may start a service.
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
}

needed=$(missing | tr '\n' ' ')
[ -n "$needed" ] || exit 0
echo "the tests need, and this machine lacks: $needed"
# shellcheck disable=SC2086
if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    say_sizes $needed
    install_quietly $needed
else
    print_command $needed
    exit 4
fi
