#!/usr/bin/env bash
# The shape of the code, against the table in STYLE.md: warns in the third column's range, fails beyond the last.
set -uo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(git ls-files --cached --others --exclude-standard '*.c')
mapfile -t headers < <(git ls-files --cached --others --exclude-standard '*.h')
mapfile -t content < <(printf '%s\n' "${sources[@]}" | grep -E '^src/(edge|dialect)/' | grep -vE '_(test|fuzz|bench)\.c$')
mapfile -t product < <(printf '%s\n' "${sources[@]}" "${headers[@]}" | grep -E '^src/' | grep -vE '_(test|fuzz)\.c$')
mapfile -t shipped < <(printf '%s\n' "${sources[@]}" "${headers[@]}" | grep -E '^(src|test/sim|test/bench)/' | grep -vE '_(test|fuzz)\.c$')
findings=$(mktemp)
trap 'rm -f "$findings"' EXIT

# pmccabe: modified complexity, traditional, statements, first line, lines, file(line): function. A switch counts as one decision.
shape_of_functions() {
	pmccabe "${sources[@]}" 2>/dev/null | awk -F'\t' '
	function say(kind, what) { print kind ": " $6 ": " what }
	{
		if ($5 > 100) say("FAIL", $5 " lines")
		else if ($5 > 60) say("warn", $5 " lines")
		if ($1 > 20) say("FAIL", "complexity " $1)
		else if ($1 > 12) say("warn", "complexity " $1)
	}'
}

length_of_files() {
	wc -l "${sources[@]}" | awk '$2 != "total" { if ($1 > 1200) print "FAIL: " $2 ": " $1 " lines"; else if ($1 > 800) print "warn: " $2 ": " $1 " lines" }'
	wc -l "${headers[@]}" | awk '$2 != "total" { if ($1 > 300) print "FAIL: " $2 ": " $1 " lines"; else if ($1 > 200) print "warn: " $2 ": " $1 " lines" }'
}

# Rows of tables (X(...) and initialisers of one row) may be as wide as their content.
columns() {
	awk '
	FNR == 1 { table = 0 }
	{
		line = $0
		gsub(/\t/, "    ", line)
		wide = length(line)
		row = line ~ /^ *(X\(|\{|\[|"|\/\* X\()/ || line ~ /\\$/
		if (wide > 120 && !row) print "warn: " FILENAME ":" FNR ": " wide " columns"
	}' "${sources[@]}" "${headers[@]}"
}

# Depth of a control statement in tabs; parameters between the first parenthesis of a definition and its closing one.
nesting_and_parameters() {
	awk '
	/^\t\t\t\t\t*(if|for|while|switch|do)([ (]|$)/ {
		match($0, /^\t+/)
		depth = RLENGTH
		if (depth > 4) print "FAIL: " FILENAME ":" FNR ": nested " depth " deep"
		else print "warn: " FILENAME ":" FNR ": nested " depth " deep"
	}
	/^[a-z_0-9]+\(/ && FILENAME ~ /\.c$/ { collecting = 1; text = "" }
	collecting {
		text = text $0
		if ($0 ~ /\)[^)]*$/) {
			collecting = 0
			n = gsub(/,/, ",", text)
			if (text ~ /^[a-z_0-9]+\((nghttp2_session|PGconn) /) next # a library decides what its callbacks take
			if (n + 1 >= 7) print "FAIL: " FILENAME ":" FNR ": " n + 1 " parameters"
			else if (n + 1 > 5) print "warn: " FILENAME ":" FNR ": " n + 1 " parameters"
		}
	}' "${sources[@]}"
}

# stdin: file:line:code. Calls inside comments and strings don't count.
calls() { # names as an extended regular expression, why, files...
	local names=$1 why=$2
	shift 2
	[ $# -gt 0 ] || return 0
	awk -v pattern="(^|[^A-Za-z0-9_.>\"])($names)[ \t]*\\(" -v why="$why" '
	FNR == 1 { comment = 0 }
	{
		line = $0
		gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
		if (comment) { if (line !~ /\*\//) next; sub(/^.*\*\//, "", line); comment = 0 }
		gsub(/\/\*([^*]|\*[^\/])*\*\//, "", line)
		sub(/\/\/.*/, "", line)
		if (line ~ /\/\*/) { sub(/\/\*.*/, "", line); comment = 1 }
		if (line ~ pattern) print "FAIL: " FILENAME ":" FNR ": " why ": " $0
	}' "$@"
}

banned() {
	calls 'strcpy|strcat|sprintf|vsprintf|gets|alloca|rand|srand|random|srandom|rand_r|drand48|system|popen|tmpnam|tempnam|mktemp|strtok|asctime|ctime|atoi|atol|atof' \
		'banned function' "${shipped[@]}"
	calls 'printf|fprintf|snprintf|vsnprintf|dprintf|puts|fputs|fwrite|putchar|perror|syslog|fopen|open|openat|creat|socket|connect|getenv' \
		'content-side code neither prints, opens nor connects' "${content[@]}"
	grep -nE '\b(TODO|FIXME|XXX|HACK)\b' "${product[@]}" | sed 's/^/FAIL: unfinished: /'
}

head_comments() {
	local h
	for h in "${headers[@]}"; do
		[[ $h == src/* || $h == test/* ]] || continue
		head -n 3 "$h" | grep -q '^/\*' || printf 'FAIL: %s: a header opens with what it is, who runs it, who owns what it returns\n' "$h"
	done
}

{ shape_of_functions; length_of_files; columns; nesting_and_parameters; banned; head_comments; } >"$findings"
sort -u "$findings" | grep '^warn' || true
sort -u "$findings" | grep '^FAIL' && exit 1
printf 'lint: %d files, %d warnings\n' "$((${#sources[@]} + ${#headers[@]}))" "$(grep -c '^warn' "$findings")"
