# Sourced by ./dev: the one list of Debian packages, by what needs them, and how a missing one is installed.
# An entry is a package, or package=command where any provider of the command will do.

packages_build="gcc libc6-dev make=make meson ninja-build pkg-config=pkg-config curl=curl libsodium-dev libsqlite3-dev libpq-dev postgresql-15
	libcyaml-dev libyaml-dev zlib1g-dev libjansson-dev libc-ares-dev libcmocka-dev libssl-dev libnghttp2-dev
	openssl=openssl"
packages_clang="clang-14 llvm-14 libclang-rt-14-dev clang=clang llvm=llvm-cov patch=patch"
packages_node="nodejs=node npm=npm ca-certificates"
packages_lint="pmccabe clang-format=clang-format binutils=nm"
packages_bench="nginx-light=nginx haproxy=haproxy nghttp2-client=h2load util-linux=taskset"
packages_backends="nginx-light=nginx haproxy=haproxy python3-h11"
packages_tls_audit="testssl.sh=testssl"
packages_package="debhelper dpkg-dev=dpkg-buildpackage"
packages_package_test="debootstrap=debootstrap systemd-container=systemd-nspawn"

packages_missing() {
	local entry
	for entry in "$@"; do
		case $entry in
		*=*) command -v "${entry#*=}" >/dev/null 2>&1 || printf '%s\n' "${entry%%=*}" ;;
		*) [ "$(dpkg-query -W -f='${db:Status-Status}' "$entry" 2>/dev/null)" = installed ] || printf '%s\n' "$entry" ;;
		esac
	done
}

# packages_need build clang ...: silent and quick when all is there.
packages_need() {
	local group list="" missing become=""
	for group in "$@"; do
		group=packages_$group
		list+=" ${!group}"
	done
	command -v dpkg-query >/dev/null 2>&1 || return 0
	# shellcheck disable=SC2086
	missing=$(packages_missing $list | sort -u | tr '\n' ' ')
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null 2>&1 || die "missing packages. As root: apt-get install --no-install-recommends $missing"
		become=sudo
	fi
	say "installing $missing"
	# shellcheck disable=SC2086
	$become apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 && return 0
	$become apt-get update -qq || die "apt-get update failed"
	# shellcheck disable=SC2086
	$become env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
		die "apt-get install $missing failed"
}

# The npm packages of test/, from the lockfiles; again only when these changed. First Node and npm themselves, by whatever npm there is,
# then the rest by these.
packages_npm() {
	local stamp=test/node_modules/.installed own=test/node/node_modules
	cat test/node/package-lock.json test/package-lock.json | cmp -s - "$stamp" && return 0
	packages_need node
	say "installing the test packages"
	npm ci --prefix test/node --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null || die "npm ci failed in test/node"
	"$own"/node-linux-*/bin/node "$own/npm/bin/npm-cli.js" ci --prefix test --ignore-scripts --no-audit --no-fund \
		--loglevel=error >/dev/null || die "npm ci failed in test"
	mkdir -p test/node_modules/.bin
	ln -sfn "../../node/$(cd test/node && ls -d node_modules/node-linux-*)/bin/node" test/node_modules/.bin/node
	cat test/node/package-lock.json test/package-lock.json >"$stamp"
}
