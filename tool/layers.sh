#!/usr/bin/env bash
# Who may include whom: core <- ticket <- ledger, dialect <- edge, dialer, signer, scribe, console, lab <- proc. Nobody else's _priv.h.
set -uo pipefail
cd "$(dirname "$0")/.."

declare -A may=(
	[core]="core"
	[ticket]="core ticket"
	[ledger]="core ticket ledger"
	[dialect]="core ticket dialect"
	[edge]="core ticket dialect edge"
	[dialer]="core ticket dialer"
	[signer]="core ticket signer"
	[scribe]="core ticket scribe"
	[console]="core ticket ledger console"
	[lab]="core ticket dialect lab"
	[prove]="core prove"
	[proc]="core ticket ledger dialect edge dialer signer scribe prove console lab proc"
)

bad=0
complain() {
	printf 'layers: %s\n' "$*"
	bad=1
}

while IFS=: read -r file line text; do
	from=${file#src/} from=${from%%/*}
	# A test beside the code may use what test/ has for it.
	[[ $file =~ _(test|fuzz)\.c$ ]] && to=${text#*\"} && [ -e "test/${to%%\"*}" ] && continue
	to=${text#*\"} to=${to%%\"*}
	case $to in */*) room=${to%%/*} ;; *) complain "$file:$line includes \"$to\" without its folder" && continue ;; esac
	[ -e "src/$to" ] || [[ $to == *generated* ]] || [ -d "src/$room" ] || complain "$file:$line includes \"$to\", which is nowhere"
	case " ${may[$from]:-} " in
	*" $room "*) ;;
	*) complain "$file:$line: $from may not use $room (\"$to\")" ;;
	esac
	[[ $to == *_priv.h && $room != "$from" ]] && complain "$file:$line: \"$to\" belongs to $room alone"
done < <(grep -rnE '^[ \t]*#[ \t]*include[ \t]+"' src --include='*.c' --include='*.h')

for folder in src/*/; do
	room=$(basename "$folder")
	[ -n "${may[$room]:-}" ] || complain "$folder is not in the map of tool/layers.sh"
done
[ $bad = 0 ] && echo "layers: ok"
exit $bad
