#!/usr/bin/env bash
# ./dev package-test: the package in a clean Debian that is booted with its own systemd (systemd-nspawn) and knows no network. The system
# is made once, in build/package-root, and never written: each run sees it through an overlay in memory.
set -euo pipefail
cd "$(dirname "$0")/.."

deb=${1:?which package? ./dev package-test builds one}
root=build/package-root
out=build/package-test
include=systemd,systemd-sysv,ca-certificates,curl,logrotate
limit_s=400

skip() {
	printf 'package-test: skipped: %s\n' "$*"
	exit 0
}

# The mirror and suite that apt uses here, and its proxy.
mirror() {
	apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
		awk -v suite="$suite" '$2 == suite && $3 == "main" && $4 == "Debian" { print $1; exit }'
}

make_root() {
	local uri proxy="" Acquire_http_Proxy=""
	[ -f "$root/complete" ] && [ "$(cat "$root/complete")" = "$suite $include" ] && return
	uri=$(mirror)
	eval "$(apt-config shell Acquire_http_Proxy Acquire::http::Proxy)"
	proxy=${http_proxy:-$Acquire_http_Proxy}
	rm -rf "$root"
	mkdir -p "$root"
	printf 'package-test: making a minimal %s in %s, once\n' "$suite" "$root" >&2
	http_proxy=$proxy debootstrap --variant=minbase --include="$include" "$suite" "$root/system" "${uri:?apt has no Debian mirror for $suite}" \
		>"$root/log" 2>&1 || {
		tail -n 20 "$root/log" >&2
		[ -z "${PACKAGE_TEST_MAY_SKIP:-}" ] || skip "no Debian could be made here"
		exit 1
	}
	rm -f "$root"/system/var/cache/apt/archives/*.deb
	printf '%s %s' "$suite" "$include" >"$root/complete"
}

# The same package with the next version, for an upgrade.
next_version() {
	local tree=$out/next
	dpkg-deb -R "$deb" "$tree"
	sed -i -E 's/^Version: (.*)/Version: \1+next/' "$tree/DEBIAN/control"
	dpkg-deb --root-owner-group -b "$tree" "$out/in/next.deb" >/dev/null
	rm -rf "$tree"
}

# Where systemd runs here, the container becomes a scope of it.
nspawn() {
	local how=(--register=no --keep-unit)
	[ -d /run/systemd/system ] && how=()
	timeout --kill-after=10 "$limit_s" systemd-nspawn --quiet --directory="$root/system" --volatile=overlay --private-network \
		--machine="lethe-package-$$" --console=pipe "${how[@]}" \
		--system-call-filter="memfd_secret landlock_create_ruleset landlock_add_rule landlock_restrict_self adjtimex clock_adjtime" \
		"${rights[@]}" "$@" </dev/null
}

rights=()
[ "$(id -u)" = 0 ] || skip "it boots a Debian, which only root may"
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ "$(. /etc/os-release && echo "${ID:-}")" = debian ] || skip "it wants a Debian to take packages from"
make_root
nspawn --as-pid2 true >/dev/null 2>&1 || skip "systemd-nspawn can't run anything here"

rm -rf "$out"
mkdir -p "$out/in" "$out/out"
cp "$deb" "$out/in/lethe.deb"
cp build/lethe-sim tool/package_inside.sh tool/certificate.sh "$out/in/"
next_version
# Where even root may not raise limits, LimitMEMLOCK= can't be tried; the right to lock memory stands in for it.
if ! prlimit --memlock=unlimited:unlimited true 2>/dev/null; then
	echo "package-test: limits can't be raised here: the service gets CAP_IPC_LOCK in place of LimitMEMLOCK=infinity"
	printf '[Service]\nAmbientCapabilities=CAP_IPC_LOCK\nCapabilityBoundingSet=CAP_IPC_LOCK\n' >"$out/in/limits.conf"
	rights=(--capability=CAP_IPC_LOCK --bind-ro="$PWD/$out/in/limits.conf:/etc/systemd/system/lethe.service.d/limits.conf")
fi
status=0
nspawn --boot --bind-ro="$PWD/$out/in:/in" --bind="$PWD/$out/out:/out" \
	--bind-ro="$PWD/tool/package_test.service:/etc/systemd/system/package-test.service" systemd.wants=package-test.service \
	>"$out/console" 2>&1 || status=$?
cat "$out/out/log" 2>/dev/null || cat "$out/console"
[ $status != 124 ] || echo "package-test: not done after $limit_s seconds"
[ $status = 0 ] || echo "package-test: failed ($status); journal and answers: $out/out"
exit $status
