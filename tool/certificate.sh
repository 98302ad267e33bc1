#!/usr/bin/env bash
# tool/certificate.sh DIR: an authority and a certificate for this machine alone (./dev run --tls, tests, bench), by openssl.
#   DIR/ca.pem, ca-key.pem          the authority. Its certificates count for localhost and loopback addresses only, whoever trusts it.
#   DIR/server.pem, server-key.pem  the certificate with the one between it and the authority; its key
# Does nothing when they are there, belong together and are good for 30 more days. An authority that is still good is kept.
set -euo pipefail

[ $# = 1 ] && [ -n "$1" ] || {
	echo "usage: tool/certificate.sh DIR" >&2
	exit 2
}
dir=$1
names="DNS:localhost,DNS:api.localhost,DNS:*.sim.localhost,IP:127.0.0.1,IP:::1"
only="critical,permitted;DNS:localhost,permitted;IP:127.0.0.0/255.0.0.0,permitted;IP:::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
spare=$((30 * 24 * 3600))

command -v openssl >/dev/null || {
	echo "certificate: no openssl command. As root: apt-get install openssl" >&2
	exit 1
}

# belongs CERTIFICATE KEY: there, good for a while, and the key is the certificate's.
belongs() {
	[ -s "$1" ] && [ -s "$2" ] && openssl x509 -in "$1" -noout -checkend "$spare" >/dev/null 2>&1 &&
		[ "$(openssl x509 -in "$1" -noout -pubkey 2>&1)" = "$(openssl pkey -in "$2" -pubout 2>&1)" ]
}

has_server() {
	belongs "$dir/server.pem" "$dir/server-key.pem" &&
		openssl verify -CAfile "$dir/ca.pem" -untrusted "$dir/server.pem" "$dir/server.pem" >/dev/null 2>&1 &&
		openssl x509 -in "$dir/server.pem" -noout -checkip 127.0.0.1 | grep -q ' does match'
}

# make NAME SUBJECT DAYS [openssl x509 option...]: $new/NAME.pem and $new/NAME-key.pem; extensions from the standard input.
make() {
	local name=$1 subject=$2 days=$3
	shift 3
	cat >"$new/$name.ext"
	openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$new/$name-key.pem"
	openssl req -new -key "$new/$name-key.pem" -subj "$subject" -out "$new/$name.req"
	openssl x509 -req -in "$new/$name.req" -days "$days" -set_serial "0x$(openssl rand -hex 16)" -sha256 -extfile "$new/$name.ext" \
		-out "$new/$name.pem" "$@" 2>"$new/said" || {
		cat "$new/said" >&2
		return 1
	}
}

make_authority() {
	make ca "/O=Lethe on this machine/CN=Lethe local authority $(openssl rand -hex 4)" 3650 -signkey "$new/ca-key.pem" <<-TEXT
		basicConstraints = critical,CA:true
		keyUsage = critical,keyCertSign,cRLSign
		subjectKeyIdentifier = hash
		nameConstraints = $only
	TEXT
	mv "$new/ca-key.pem" "$new/ca.pem" "$dir/"
}

# With one authority between, as public ones have: who serves the certificate must send the whole file.
make_server() {
	local ca=(-CA "$dir/ca.pem" -CAkey "$dir/ca-key.pem") between=(-CA "$new/between.pem" -CAkey "$new/between-key.pem")
	make between "/O=Lethe on this machine/CN=Lethe local issuer" 500 "${ca[@]}" <<-TEXT
		basicConstraints = critical,CA:true,pathlen:0
		keyUsage = critical,keyCertSign,cRLSign
		subjectKeyIdentifier = hash
		authorityKeyIdentifier = keyid
	TEXT
	make server "/CN=localhost" 397 "${between[@]}" <<-TEXT
		basicConstraints = critical,CA:false
		keyUsage = critical,digitalSignature
		extendedKeyUsage = serverAuth,clientAuth
		subjectKeyIdentifier = hash
		authorityKeyIdentifier = keyid
		subjectAltName = $names
	TEXT
	cat "$new/between.pem" >>"$new/server.pem"
	mv "$new/server-key.pem" "$new/server.pem" "$dir/"
}

mkdir -p "$dir"
exec 9<"$dir"
flock 9 # two at once: the second finds all done
has_authority=1
belongs "$dir/ca.pem" "$dir/ca-key.pem" || has_authority=0
if [ $has_authority = 1 ] && has_server; then exit 0; fi

umask 077
new=$(mktemp -d "$dir/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
if [ $has_authority = 0 ]; then make_authority; fi
make_server
chmod 644 "$dir/ca.pem" "$dir/server.pem"
