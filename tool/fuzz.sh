#!/bin/bash
# Fuzz the parsers: tool/fuzz.sh [--seconds N] [--ci] [--coverage] [--uncovered] [--mutants] [name...]
#
#   (nothing)    each fuzzer for N seconds (60), from test/corpus/NAME; what it finds is kept in the build folder
#   --ci         each for a fixed number of runs from a fixed seed: the same every time, and short
#   --coverage   how many lines of its parser each corpus reaches; fails below 90 %
#   --uncovered  the same, and prints the lines that are not reached
#   --mutants    plants each bug of test/mutants/NAME-*.patch in a copy of the tree; fails when one is not found within N seconds (60)
#
# LETHE_FUZZ_BUILD names the build folder (build-fuzz). Needs clang, and llvm-profdata and llvm-cov for --coverage.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=${LETHE_FUZZ_BUILD:-$root/build-fuzz}
llvm=${LLVM_SUFFIX--14}
seconds=60
mode=run
uncovered=
names=()
least_coverage=90

while [ $# -gt 0 ]; do
	case $1 in
	--seconds) seconds=$2; shift ;;
	--ci) mode=ci ;;
	--coverage) mode=coverage ;;
	--uncovered) mode=coverage uncovered=yes ;;
	--mutants) mode=mutants ;;
	-*) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
	*) names+=("$1") ;;
	esac
	shift
done

# A fuzzer is a file x_fuzz.c with seeds; its executable stands at the same place in the build folder.
source_of() {
	(cd "$root" && find src test -name "$1_fuzz.c" -not -path '*/node_modules/*') | head -n 1
}

target_of() {
	local s
	s=$(source_of "$1")
	echo "${s%.c}"
}

if [ ${#names[@]} -eq 0 ]; then
	for seeds in "$root"/test/corpus/*/; do
		name=$(basename "$seeds")
		if [ -n "$(source_of "$name")" ]; then names+=("$name"); fi
	done
fi
for name in "${names[@]}"; do
	[ -n "$(source_of "$name")" ] || { echo "no fuzzer ${name}_fuzz.c in src or test" >&2; exit 2; }
done

# What a fuzzer is there to reach, besides the file of its own name.
parser_files() {
	case $1 in
	http1_request | http1_response) echo "src/core/$1.c src/core/http1.c" ;;
	multipart) echo "src/core/multipart.c src/core/multipart_head.c" ;;
	chat_usage) echo "src/dialect/chat_usage.c src/dialect/chat_meter.c" ;;
	request) echo "src/dialect/request.c src/dialect/request_languages.c" ;;
	import) echo "src/proc/import_price.c src/proc/import_litellm.c src/proc/import_genai.c src/proc/import_decimal.c" ;;
	receipt) echo src/proc/receipt_file.c ;;
	config) echo src/proc/config{,_check,_scalar}.c ;;
	h2) echo src/edge/h2{,_common,_up}.c ;;
	translate_request) echo src/dialect/{conversation,conversation_fields,conversation_put,chat_request,responses_request,messages_request,gemini_request,completions_request}.c ;;
	realtime) echo src/dialect/realtime_meter.c ;;
	translate_answer) echo src/dialect/{telling,telling_calls,telling_stream,chat_answer,messages_answer,gemini_answer,responses_answer,completions_answer,translate_error}.c ;;
	languages) echo src/dialect/{reader,media_meter,messages_meter,gemini_meter,responses_meter,counts,meter}.c ;;
	*) local s; s=$(source_of "$1"); echo "${s%_fuzz.c}.c" ;;
	esac
}

# How often --ci runs one: a whole gateway is slower than a parser.
runs_of() {
	case $1 in
	h2) echo 3000 ;;
	translate_request) echo 6000 ;;
	bpe) echo 3000 ;;
	*) echo 15000 ;;
	esac
}

# setup TREE FOLDER [FLAG]: configure once, also a folder that ./dev build made without the flags for coverage feedback. The fuzzers' main comes with the targets; all else only has to be watched by it.
setup() {
	local args="-fsanitize=fuzzer-no-link -fno-sanitize-recover=all ${3-}"
	[ -f "$2/.configured-by-fuzz-sh" ] || CC=clang LLVM_PROFILE_FILE=/dev/null meson setup "$2" "$1" -Dfuzz=true -Dbuildtype=debugoptimized -Db_sanitize=address,undefined \
		-Db_lundef=false -Dc_args="$args" -Dc_link_args="-fsanitize=address,undefined ${3-}" >"$2.log" 2>&1 || { cat "$2.log" >&2; exit 1; }
	touch "$2/.configured-by-fuzz-sh"
}

# compile FOLDER NAME...
compile() {
	local folder=$1 targets=() name
	shift
	for name in "$@"; do targets+=("$(target_of "$name")"); done
	ninja -C "$folder" "${targets[@]}" >"$folder.log" 2>&1 || { tail -n 40 "$folder.log" >&2; return 1; }
}

# fuzz FOLDER NAME SECONDS [OPTION...]: found units go to the folder, crashes too.
fuzz() {
	local folder=$1 name=$2 limit=$3 found=$1/found/$2
	shift 3
	mkdir -p "$found"
	"$folder/$(target_of "$name")" -max_len=4096 -timeout=10 -artifact_prefix="$found." "$@" -max_total_time="$limit" \
		"$found" "$root/test/corpus/$name" >"$folder/$name.log" 2>&1
}

report() {
	grep -E 'ERROR|Assertion|runtime error|SUMMARY|Test unit written' "$build/$1.log" | head -n 8 >&2
}

run_all() {
	local failed=0 name before
	mkdir -p "$build"
	setup "$root" "$build"
	compile "$build" "${names[@]}"
	for name in "${names[@]}"; do
		before=$SECONDS
		if [ $mode = ci ]; then
			rm -rf "$build/found/$name"
			fuzz "$build" "$name" 0 -seed=1 -runs="$(runs_of "$name")" || failed=1
		else
			fuzz "$build" "$name" "$seconds" || failed=1
		fi
		if tail -n 1 "$build/$name.log" | grep -q '^Done'; then
			echo "$name: $(tail -n 1 "$build/$name.log" | cut -d' ' -f2) runs, $((SECONDS - before)) s, nothing found"
		else
			echo "$name: FOUND" && report "$name"
			failed=1
		fi
	done
	return $failed
}

# line_coverage PROFILE EXECUTABLE FILE
line_coverage() {
	"llvm-cov$llvm" export -summary-only -instr-profile="$1" "$2" | python3 -c '
import json, sys
for f in json.load(sys.stdin)["data"][0]["files"]:
    if f["filename"].endswith(sys.argv[1]):
        print("%.1f" % f["summary"]["lines"]["percent"])' "$3"
}

# uncovered_lines PROFILE EXECUTABLE FILE
uncovered_lines() {
	"llvm-cov$llvm" show -instr-profile="$1" "$2" | awk -v file="/$3:" '
		/^\// { here = substr($0, length($0) - length(file) + 1) == file }
		here && /^ *[0-9]+\| *0\|/ { print }'
}

coverage() {
	local failed=0 name target percent file folder=$build-coverage
	mkdir -p "$folder"
	setup "$root" "$folder" "-fprofile-instr-generate -fcoverage-mapping"
	compile "$folder" "${names[@]}"
	for name in "${names[@]}"; do
		target=$folder/$(target_of "$name")
		LLVM_PROFILE_FILE=$folder/$name.raw "$target" -runs=0 "$root/test/corpus/$name" >"$folder/$name.log" 2>&1 ||
			{ tail -n 5 "$folder/$name.log" >&2; failed=1; continue; }
		"llvm-profdata$llvm" merge -o "$folder/$name.prof" "$folder/$name.raw"
		for file in $(parser_files "$name"); do
			percent=$(line_coverage "$folder/$name.prof" "$target" "$file")
			echo "$name: $percent % of $file"
			[ "${percent%.*}" -ge $least_coverage ] || failed=1
			[ -z "$uncovered" ] || uncovered_lines "$folder/$name.prof" "$target" "$file"
		done
	done
	return $failed
}

mutants() {
	local failed=0 count=0 name patch before folder=$build-mutants
	rm -rf "$folder"
	mkdir -p "$folder/tree" "$folder/build"
	(cd "$root" && tar -c --exclude='./build*' --exclude=./.git --exclude=./node_modules .) | tar -x -C "$folder/tree"
	setup "$folder/tree" "$folder/build"
	compile "$folder/build" "${names[@]}"
	for name in "${names[@]}"; do
		fuzz "$folder/build" "$name" 0 -runs=0 || { echo "$name: finds something where nothing is planted" >&2; exit 1; }
		for patch in "$root/test/mutants/$name"-*.patch; do
			[ -f "$patch" ] || { echo "$name: no mutants" >&2; failed=1; continue; }
			count=$((count + 1))
			patch -s -d "$folder/tree" -p1 <"$patch" || { echo "$(basename "$patch"): does not apply" >&2; exit 1; }
			compile "$folder/build" "$name" || { echo "$(basename "$patch"): does not build" >&2; exit 1; }
			rm -rf "$folder/build/found"
			before=$(date +%s%N)
			fuzz "$folder/build" "$name" "$seconds" -seed=1 || true
			if grep -q '^SUMMARY: ' "$folder/build/$name.log"; then
				echo "$(basename "$patch" .patch): found after $((($(date +%s%N) - before) / 1000000)) ms"
			else
				echo "$(basename "$patch" .patch): NOT FOUND in $seconds s"
				failed=1
			fi
			patch -s -R -d "$folder/tree" -p1 <"$patch"
		done
	done
	echo "$count mutants"
	return $failed
}

case $mode in
coverage) coverage ;;
mutants) mutants ;;
*) run_all ;;
esac
