# Turns SQL files into C: migrations (NNN_*.sql, in order) into LEDGER_MIGRATIONS(X) with X("text"), and the named statements of
# statements.sql ("-- name: x") into LEDGER_SQL(X) with X(name, "text").
function quoted(line) {
	gsub(/\\/, "\\\\", line)
	gsub(/"/, "\\\"", line)
	return "\t\"" line "\\n\" \\\n"
}
function close_statement() {
	if (name != "")
		statements = statements "X(" name ", \\\n" body ") \\\n"
	name = ""
	body = ""
}
FNR == 1 {
	named = FILENAME ~ /statements\.sql$/
	if (!named)
		migrations = migrations (migrations == "" ? "" : ") \\\n") "X( \\\n"
}
named && /^-- name: / { close_statement(); name = $3; next }
/^--/ || /^$/ { next }
!named { migrations = migrations quoted($0); next }
{ body = body quoted($0) }
END {
	close_statement()
	print "/* Made from sql/ledger by sql/embed.awk. */"
	print "#define LEDGER_MIGRATIONS(X) \\"
	print migrations ")\n"
	print "#define LEDGER_SQL(X) \\"
	print statements
}
