#!/bin/sh
# A hook for the pair of network namespaces that test_namespaces.py makes. Files and marks are the template's work
# (fixtures/hooks/hook.sh, copied beside it); this adds what takes the software of an appliance down and up again.
#
#     ROOT/PAIR/shared/storage/format    the format of the data; software comes up only over one that it reads
#     ROOT/SERIAL.weight                 what keepalived adds to the priority of the member
#     ROOT/SERIAL.pid, ROOT/SERIAL.up    the process that serves, and the version that it said when it came up
#     ROOT/fault                         the step whose new version does not work; or "prepare": the standby has no
#                                        space; "busy": the active never ends its apply; "gate": HA does not form
set -eu
root=$1 verb=$2 pair=$3
here=$root/$pair/${BUNDLEKIT_IDENTITY:-}/appliance
fault=$(cat "$root/fault" 2>/dev/null || true)

stop() { # as an appliance does that reboots: nothing hands the address over before
    if [ -s "$root/$BUNDLEKIT_IDENTITY.pid" ]; then kill "$(cat "$root/$BUNDLEKIT_IDENTITY.pid")" 2>/dev/null || true; fi
    rm -f "$root/$BUNDLEKIT_IDENTITY.pid" "$root/$BUNDLEKIT_IDENTITY.up"
    echo -100 >"$root/$BUNDLEKIT_IDENTITY.weight"
}
start() { # whatever version is the current one; fails where it does not come up
    version=$(cat "$here/current")
    if [ "$fault $version" = "$BUNDLEKIT_STEP $BUNDLEKIT_NEW" ]; then version=broken; fi
    setsid "$root/software" serve "$root" "$BUNDLEKIT_IDENTITY" "$version" </dev/null >/dev/null 2>&1 &
    tries=0
    until [ -s "$root/$BUNDLEKIT_IDENTITY.up" ]; do
        tries=$((tries + 1))
        [ $tries -lt 40 ] || { echo "$version does not come up" >&2; exit 1; }
        sleep 0.1
    done
    echo 0 >"$root/$BUNDLEKIT_IDENTITY.weight"
}
running() { [ "$(cat "$root/$BUNDLEKIT_IDENTITY.up" 2>/dev/null)" = "$(cat "$here/current")" ]; }

case "$fault $verb $BUNDLEKIT_STEP" in
"prepare prepare standby")
    echo "there is no space" >&2
    exit 10
    ;;
"busy apply active")
    : >"$root/busy"
    exec sleep 1000
    ;;
"busy probe active")
    if [ -e "$root/busy" ]; then
        echo '{"result": "busy"}'
        exit 0
    fi
    ;;
"gate gate "*)
    echo "HA does not form" >&2
    exit 75
    ;;
esac
case "$verb ${BUNDLEKIT_ROLE:-}" in
"apply shared")
    "$root/template.sh" "$@"
    echo half >"$root/$pair/shared/storage/format"
    [ "$fault" != storage ] || { echo "disk 3 does not answer" >&2; exit 1; }
    echo 2 >"$root/$pair/shared/storage/format"
    ;;
"revert shared")
    "$root/template.sh" "$@"
    echo 1 >"$root/$pair/shared/storage/format"
    ;;
"probe shared")
    seen=$("$root/template.sh" "$@")
    if [ "$(cat "$root/$pair/shared/storage/format")" = half ]; then
        seen=$(printf '%s' "$seen" | sed 's/"result": "[a-z]*"/"result": "partial"/')
    fi
    printf '%s\n' "$seen"
    ;;
*" shared") exec "$root/template.sh" "$@" ;;
"apply "* | "revert "*)
    "$root/template.sh" "$@"
    if ! running; then
        stop
        start
    fi
    ;;
"probe "*)
    seen=$("$root/template.sh" "$@")
    if ! running; then seen=$(printf '%s' "$seen" | sed 's/"result": "[a-z]*"/"result": "partial"/'); fi
    printf '%s\n' "$seen"
    ;;
"verify "*)
    running || { echo "it is installed, but does not run" >&2; exit 1; }
    exec "$root/template.sh" "$@"
    ;;
"gate "*)
    "$root/template.sh" "$@"
    [ "$(cat "$root"/*.up | sort -u | wc -l)" -eq 1 ] || { echo "the members run different versions" >&2; exit 75; }
    [ "$(cat "$root"/*.up | wc -l)" -eq 2 ] || { echo "a member does not run" >&2; exit 75; }
    [ "$("$root/software" holders "$root")" -eq 1 ] || { echo "the address is not on one member" >&2; exit 75; }
    ;;
*) exec "$root/template.sh" "$@" ;;
esac
