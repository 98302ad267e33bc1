# Turns SQL files into C: migrations (NNN_*.sql, in order) into LEDGER_MIGRATIONS(X) with X("text"), those of the folder postgres into
# LEDGER_POSTGRES_MIGRATIONS(X), and the named statements of statements.sql ("-- name: x") into LEDGER_SQL(X) with X(name, "text"). Where
# PostgreSQL says a thing differently, its text stands below ("-- postgres:"): LEDGER_POSTGRES_SQL(X).
function quoted(line) {
	gsub(/\\/, "\\\\", line)
	gsub(/"/, "\\\"", line)
	return "\t\"" line "\\n\" \\\n"
}
function close_statement() {
	if (name != "" && other)
		theirs = theirs "X(" name ", \\\n" body ") \\\n"
	else if (name != "")
		statements = statements "X(" name ", \\\n" body ") \\\n"
	body = ""
	other = 0
}
FNR == 1 {
	named = FILENAME ~ /statements\.sql$/
	kind = FILENAME ~ /\/postgres\// ? 1 : 0
	if (!named)
		migrations[kind] = migrations[kind] (migrations[kind] == "" ? "" : ") \\\n") "X( \\\n"
}
named && /^-- name: / { close_statement(); name = $3; next }
named && /^-- postgres:/ { close_statement(); other = 1; next }
/^--/ || /^$/ { next }
!named { migrations[kind] = migrations[kind] quoted($0); next }
{ body = body quoted($0) }
END {
	close_statement()
	print "/* Made from sql/ledger by sql/embed.awk. */"
	print "#define LEDGER_MIGRATIONS(X) \\"
	print migrations[0] ")\n"
	print "#define LEDGER_POSTGRES_MIGRATIONS(X) \\"
	print migrations[1] ")\n"
	print "#define LEDGER_SQL(X) \\"
	print statements
	print "#define LEDGER_POSTGRES_SQL(X) \\"
	print theirs
}
