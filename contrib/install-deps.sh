#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs what a job needs from Debian, if something is missing:
#     contrib/install-deps.sh build|test|bench|demo
# Says nothing and changes nothing when all is there. Needs no terminal; safe to run twice or at once.
# shellcheck disable=SC2086,SC2046  # lists are split into words on purpose, no item holds a space
set -u -f

# One word an item: "command@package" is satisfied by a command of that name, whoever installed it;
# "a|b" by either package (Debian 13 | Debian 12); a plain name by that package.
build='gcc@gcc make@make pkg-config@pkg-config libc6-dev libev-dev libssl-dev libcap-dev libcrypt-dev
    libc-ares-dev libjansson-dev libyaml-dev zlib1g-dev uthash-dev libllhttp-dev|node-llhttp'
demo='python3@python3 bc@bc mawk@mawk /usr/games/stockfish@stockfish /usr/games/tetris-bsd@bsdgames npm@npm'
tests='clang@clang libclang-rt-dev clang-format@clang-format shellcheck@shellcheck
    libcmocka-dev python3-pytest python3-prometheus-client python3-websocket python3-websockets python3-yaml
    novnc Xtigervnc@tigervnc-standalone-server xsetroot@x11-xserver-utils xev@x11-utils htop@htop
    python3-jsonschema ca-certificates node@nodejs npm@npm
    chromium@chromium redis-server@redis-server mosquitto@mosquitto socat@socat strace@strace
    clangd@clangd asciinema@asciinema ps@procps vim@vim less@less python3-pyte
    vi@vim-tiny zsh@zsh fish@fish readelf@binutils scdoc@scdoc
    haproxy@haproxy nginx@nginx-light libnginx-mod-stream systemd-analyze@systemd testssl@testssl.sh
    ngircd@ngircd dnsmasq@dnsmasq-base ip@iproute2 /usr/games/teeworlds-server@teeworlds-server
    apache2@apache2 caddy@caddy lighttpd@lighttpd websocketd@websocketd websockify@websockify openssl@openssl git@git fail2ban-regex@fail2ban'
bench='websocketd@websocketd websockify@websockify lighttpd@lighttpd haproxy@haproxy
    nginx@nginx-light socat@socat ps@procps openssl@openssl'
# These packages bring a service that starts by itself. We only want the program.
services='redis-server mosquitto lighttpd haproxy nginx ngircd teeworlds-server apache2 caddy fail2ban'

case ${1-} in
    build) wanted=$build ;;
    demo) wanted="$build $demo" ;;
    test) wanted="$build $demo $tests" ;;
    bench) wanted="$build $demo $bench" ;;
    *) echo "usage: $0 build|test|bench|demo" >&2; exit 2 ;;
esac

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # where servers are, not on every user's PATH

say() { echo "install-deps: $*" >&2; }
die() { say "$@"; exit 1; }
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Prints the items of $wanted that are not there, as packages.
missing()
{
    local item package
    for item in $wanted; do
        case $item in
            *@*) command -v "${item%%@*}" >/dev/null && continue ;;
        esac
        for package in ${item//|/ }; do
            installed "${package#*@}" && continue 2
        done
        echo "${item#*@}"
    done
}

# Prints one package for each item: the first alternative that apt knows. Fails if it knows none.
choose()
{
    local item package
    for item in "$@"; do
        for package in ${item//|/ }; do
            apt-cache show "$package" >/dev/null 2>&1 && echo "$package" && continue 2
        done
        say "apt knows no package $item"
        return 1
    done
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say 'not a Debian system, so nothing is installed; check that you have:' $(missing)
    exit 0
fi

items=$(missing)
[ -n "$items" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
    sudo=sudo
    # sudo may ask for a password only where there is somebody to ask
    if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        die 'missing packages; install them as root: apt-get install --no-install-recommends' \
            $(choose $items 2>/dev/null || echo $items)
    fi
fi

# One at a time on the whole machine; the second finds nothing left to do. The lock is on the
# directory itself and leaves nothing behind.
exec 9</var/lib/dpkg
flock -w 900 9 || die 'another installation has not ended in 15 minutes'
items=$(missing)
[ -n "$items" ] || exit 0

before=
for service in $services; do
    installed "$service" && before="$before $service "
done

# policy-rc.d is Debian's switch against starting services on installation. If the system has one,
# it decides; else ours stands for the time of the installation.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '$sudo rm -f $policy' EXIT
    trap 'exit 1' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null && $sudo chmod 755 $policy
fi

apt()
{
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
        "$@" </dev/null 9<&-
}

install()
{
    local packages
    packages=$(choose $items) || return 1
    say installing $packages
    apt install --no-install-recommends $packages
}

if ! install; then
    say 'refreshing the package lists, then once more'
    apt update
    install || die 'could not install all of' $items '- see above for what apt-get said'
fi

# nor at the next boot, if it was we who brought them
for service in $services; do
    if [[ $before != *" $service "* ]] && installed "$service" && command -v systemctl >/dev/null; then
        $sudo systemctl disable --quiet "$service" 2>/dev/null && say "service $service stays off"
    fi
done

items=$(missing)
[ -z "$items" ] || die 'still missing:' $items
