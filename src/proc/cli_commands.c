#include "proc/cli_priv.h"

#include "proc/lint_rules.h"
#include "ticket/end_reasons.h"
#include "ticket/usage.h"

#define ACCOUNT_ARG "ACCOUNT", NULL, "account", true, false, "name or id (acc_…) of the account", CLI_ACCOUNT
#define PROVIDER_ARG "PROVIDER", NULL, "provider", true, false, "name of a provider of the configuration"
#define FILE_ARG "FILE", NULL, "file", true, false, "path of the configuration file", CLI_FILE
#define KEY_MEANING "id (key_…) or the key itself; '-' reads it from standard input, so that no list of processes shows it"
#define KEY_ARG "KEY", NULL, "key", true, false, KEY_MEANING, CLI_KEY
#define TOKEN_COLUMN(name, meaning, fallback) ",tokens." #name
#define REASON_WORD(name, number, status, severity, type, code, billing, text) "|" #name
#define REASON_WORDS END_REASONS(REASON_WORD)
#define RULE_WORD(scope, function, name, meaning) "," name
#define RULE_LINE(scope, function, name, meaning) "  " name ": " meaning "\n"
#define LIMIT_ARG "--limit", "N", "limit", false, true, "at most N rows (100)"
#define AFTER_ARG "--after", "ID", "after", false, false, "go on behind this id"
#define REPEAT_ARG "--id", "TEXT", "id", false, false, "your own id for this order: sent twice, it is done once"
#define DOLLARS_ARG "AMOUNT", NULL, "amount", true, false, "dollars, for example 25.00"
#define REASON_ARG "--reason", "TEXT", "reason", false, false, "why; kept with the booking"
#define ACTOR_ARG "--actor", "NAME", "actor", false, false, "who gives the order; kept with the booking; your user name without it"
#define ACCOUNT_FILTER "--account", "ACCOUNT", "account", false, false, "of this account only", CLI_ACCOUNT
#define OPEN_ARG "--open", NULL, "open", false, false, "only what is not resolved yet"
#define HOLD_ARG "HOLD", NULL, "hold", true, false, "id of the standing hold (hold_…)"
#define DISPUTE_ARG "DISPUTE", NULL, "dispute", true, false, "id of the dispute (dsp_…)"

#define LANE_ARG "--lane", "LANE", "lane", false, false, "by which lane requests go that name none; none: the first that the model has"
#define LIMIT_ARGS \
	{"--requests-per-minute", "N", "requests_per_minute", false, false, "so many requests a minute"}, \
		{"--requests-per-day", "N", "requests_per_day", false, false, "so many requests a day (UTC)"}, \
		{"--input-tokens-per-minute", "N", "input_tokens_per_minute", false, false, "so many tokens of prompts a minute, without those read from a cache"}, \
		{"--output-tokens-per-minute", "N", "output_tokens_per_minute", false, false, "so many tokens of answers a minute"}, \
		{"--streams", "N", "streams", false, false, "so many requests at the same time"}, \
		{"--dollars-per-minute", "AMOUNT", "dollars_per_minute", false, false, "so much money a minute"}, \
		{"--dollars-per-hour", "AMOUNT", "dollars_per_hour", false, false, "… an hour"}, \
		{"--dollars-per-day", "AMOUNT", "dollars_per_day", false, false, "… a day (UTC)"}, \
		{"--dollars-per-week", "AMOUNT", "dollars_per_week", false, false, "… a week, from Monday (UTC)"}, \
		{"--dollars-per-month", "AMOUNT", "dollars_per_month", false, false, "… a month (UTC)"}, \
		{"--policy", "LIST", "policy", false, false, "only to targets declared so, whatever a request says: zero-retention, region=WORD, with a comma between; none: any"}, \
		{LANE_ARG}, \
		{"--models", "LIST", "models", false, false, "only these: ids or aliases with commas between, '*' for any characters; any: all"}, \
	{ \
		"--addresses", "LIST", "addresses", false, false, "only from these: addresses and ranges with commas between, 10.0.0.0/8; any: all" \
	}
#define LIMIT_WORDS \
	"What is not named stays as it is; `none` takes a limit off. Requests and tokens a minute come back evenly, so that a minute's worth may come at once.\n" \
	"Money is counted by UTC's calendar, in the window in which a request began; what was spent today, this week or this month already counts. A request can\n" \
	"be under three limits of money at most, its key's and its account's together. Too much is refused with 429, and says when to try again.\n"

const struct cli_command cli_commands[] = {
	{
		.name = "serve",
		.run = cli_serve,
		.summary = "run the server",
		.words =
			"Checks the configuration, starts all processes and stays in the foreground until SIGTERM or SIGINT. Running\n"
			"answers then get `timeouts.drain` to finish; a second signal ends at once. To change the\n"
			"configuration: `lethe reload`.",
		.examples = "lethe serve --config /etc/lethe/lethe.yaml --data /var/lib/lethe\n",
		.args = {{"--config", "FILE", "file", true, false, "path of the configuration file", CLI_FILE},
			{"--allow-plain-memory", NULL, "allow_plain_memory", false, false,
				"start although content can be swapped out or read by root"},
			{"--store", "ADDRESS", "store", false, false,
				"keep the books of this data directory in PostgreSQL (postgres://user@host/database), from the first start on; LETHE_STORE too", NULL}},
		.uses_data = true,
	},
	{
		.name = "reload",
		.run = cli_reload,
		.summary = "apply a changed configuration without a restart",
		.words =
			"The server reads its configuration and catalogue again, as at a SIGHUP. What can't be used changes nothing: the problems are shown,\n"
			"the exit status is 1. Else new edges take over the listeners, and old ones finish what they have within `timeouts.drain`: no\n"
			"connection is refused and no answer is cut. Waits until it is done, and says which settings need a restart. A file that has not\n"
			"changed costs nothing: the log and certificates are opened anew.",
		.examples = "lethe reload\nlethe config check /etc/lethe/lethe.yaml && lethe reload --data /var/lib/lethe\n",
		.uses_data = true,
	},
	{
		.name = "upgrade",
		.run = cli_upgrade,
		.summary = "change a running server to another version",
		.words =
			"The server becomes the binary that is installed now under the name of the one that it runs, or --binary, under the same process id.\n"
			"The new binary first looks whether it can take over: memory that both share, the store, the configuration. If it can't, or does not\n"
			"come up, the server goes on as it was, the exit status is 1, and what to do is said. Else edges of the new version take over the\n"
			"listeners, and old ones finish what they have within `timeouts.drain`, as after `lethe reload`, which an upgrade begins with.",
		.examples = "lethe upgrade\nlethe upgrade --binary /opt/lethe-next/bin/lethe --data /var/lib/lethe\n",
		.args = {{"--binary", "FILE", "binary", false, false, "another binary than that which was started", CLI_FILE}},
		.uses_data = true,
	},
	{
		.name = "account create",
		.op = "account.create",
		.summary = "make an account: whoever pays",
		.words = "A new account has no money and no keys.",
		.examples =
			"lethe account create acme\nlethe credit add acme 25.00 --reason \"invoice 17\"\nlethe key create acme\n",
		.args = {{"NAME", NULL, "name", true, false, "its name, unique"}, {LANE_ARG}, {REPEAT_ARG}},
		.show = cli_show_account,
	},
	{
		.name = "account list",
		.op = "account.list",
		.summary = "all accounts with their balances",
		.words = "`held` is what running requests have reserved, `available` the balance without it; `owed` is what a lost dispute left to be paid by the next top-up.",
		.examples = "lethe account list\nlethe account list --json | jq -r '.accounts[].name'\n",
		.args = {{LIMIT_ARG}, {AFTER_ARG}},
		.columns = "account,name,state,balance,held,available,owed,created",
		.empty = "No accounts yet. Create one: lethe account create NAME",
	},
	{
		.name = "account show",
		.op = "account.show",
		.summary = "one account: money, and the limits that hold for it",
		.words = "`held` is what running requests have reserved, `available` the balance without it: the most that a new request may cost.",
		.examples = "lethe account show acme\n",
		.args = {{ACCOUNT_ARG}},
		.show = cli_show_account,
	},
	{
		.name = "account limit",
		.op = "account.limit",
		.summary = "limit what all keys of an account may do together",
		.words = LIMIT_WORDS,
		.examples = "lethe account limit acme --dollars-per-month 500 --streams 50\nlethe account limit acme --streams none\n",
		.args = {{ACCOUNT_ARG}, LIMIT_ARGS},
		.show = cli_show_account,
	},
	{
		.name = "account quota",
		.op = "account.quota",
		.summary = "give an account free credit for each day, week or month",
		.words = "It is a grant at the beginning of each (UTC) that ends with it, paid by the house account `free`: requests use it before other money, and what is left goes\n"
				 "back. The first is given at once, another amount from the next one on. `lethe grant list` and `lethe account statement` show each.",
		.examples = "lethe account quota acme 0.50 --each day\nlethe account quota acme none\n",
		.args = {{ACCOUNT_ARG}, {"AMOUNT", NULL, "amount", true, false, "dollars, for example 0.50, or none: no more from the next one on"},
			{"--each", "TIME", "each", false, false, "day, week or month; a month without it"}},
		.show = cli_show_account,
	},
	{
		.name = "account statement",
		.op = "account.statement",
		.summary = "every movement of an account, with the balance after it",
		.words = "Orders one by one, requests summed up by day, at the day's end (UTC); `lethe usage` has them apart. What was before --since is in the first balance.\n"
				 "An order of 0 stands there as well: a hold that was charged whole, a dispute that was lost, a payment that went into what is owed; where there was\n"
				 "a debt, each line says what is owed after it.",
		.examples = "lethe account statement acme\nlethe account statement acme --since 2026-01-01 --until 2026-01-31 --csv > january.csv\n",
		.args = {{ACCOUNT_ARG}, {"--since", "DATE", "since", false, false, "from this day on"},
			{"--until", "DATE", "until", false, false, "up to and with this day"},
			{"--csv", NULL, "csv", false, false, "as CSV (RFC 4180)"}},
		.columns = "time,what,amount,balance,owed?,requests?,item,booking,reason,actor",
		.csv = "what,amount,balance,owed,requests,item,booking,reason,actor",
		.empty = "Nothing yet.",
	},
	{
		.name = "key create",
		.op = "key.create",
		.summary = "make an API key; it is shown this once",
		.words = "Only a keyed hash of it is stored. With --json the key is the member `secret`.",
		.examples = "lethe key create acme\nlethe key create acme --name ci --expires 2027-01-31\nlethe key create acme --name nightly --lane economy\n",
		.args = {{ACCOUNT_ARG}, {"--name", "TEXT", "name", false, false, "what you call it"},
			{"--expires", "DATE", "expires", false, false,
				"last moment, for example 2027-01-31 or 2027-01-31T12:00:00Z; never without it"},
			{LANE_ARG}, {REPEAT_ARG}},
		.columns = "key,account,name,expires",
	},
	{
		.name = "key list",
		.op = "key.list",
		.summary = "API keys, of one account or all",
		.words = "Keys are told apart by id, name and their last four characters. `last_used` is the day (UTC) of the last request that was counted, - of a key\n"
				 "that was never used. A key with `replaced_by` was rotated and holds until `expires`.",
		.examples = "lethe key list\nlethe key list acme\n",
		.args = {{"ACCOUNT", NULL, "account", false, false, "name or id (acc_…) of the account; all without it", CLI_ACCOUNT},
			{LIMIT_ARG}, {AFTER_ARG}},
		.columns = "key,account_name,name,last4,state,created,expires,last_used,replaced_by,revoked,quarantined",
		.empty = "No keys yet. Create one: lethe key create ACCOUNT",
	},
	{
		.name = "key show",
		.op = "key.show",
		.summary = "one API key and the limits that hold for it",
		.words = "Its own: until when it holds, and which key takes its place. Its account's: money, and how many requests may run at the same time.",
		.examples = "lethe key show key_0123456789\n",
		.args = {{KEY_ARG}},
		.show = cli_show_key,
	},
	{
		.name = "key limit",
		.op = "key.limit",
		.summary = "limit what a key may do, and for whom it works",
		.words = LIMIT_WORDS "Its account's limits hold as well.",
		.examples = "lethe key limit key_0123456789 --requests-per-minute 60 --dollars-per-day 10\n"
					"lethe key limit key_0123456789 --models 'gpt-4o*,claude-*' --addresses 192.0.2.0/24 --scopes inference,models\n",
		.args = {{KEY_ARG}, LIMIT_ARGS,
			{"--scopes", "LIST", "scopes", false, false, "what it may be used for, some of inference, models, usage; any: all", ",any,inference,models,usage"}},
		.show = cli_show_key,
	},
	{
		.name = "key rotate",
		.op = "key.rotate",
		.summary = "make a key that takes another's place; both hold for a while",
		.words = "The new key has the old one's account, name and expiry, and is shown this once. The old one ends after the overlap, or at its own expiry\n"
				 "when that comes first.",
		.examples = "lethe key rotate key_0123456789\nlethe key rotate key_0123456789 --overlap 7d\nlethe key rotate - --overlap 0 < leaked-key.txt\n",
		.args = {{KEY_ARG},
			{"--overlap", "TIME", "overlap", false, false, "how long the old key still holds: 24h, 90m, 7d, 0 for at once; 24h without it"}, {REPEAT_ARG}},
		.columns = "key,account,name,expires,replaces,replaced_expires",
	},
	{
		.name = "key revoke",
		.op = "key.revoke",
		.summary = "refuse a key from now on",
		.words =
			"Within a second no edge accepts it. Requests that already run end normally. It can't be undone: make another key instead.",
		.examples = "lethe key revoke key_0123456789\nlethe key revoke - < leaked-key.txt\n",
		.args = {{KEY_ARG}},
		.columns = "key,account,name,state,revoked",
	},
	{
		.name = "key release",
		.op = "key.release",
		.summary = "let a quarantined key be served again",
		.words =
			"A key is quarantined when two edges died within ten minutes while they served it: what brings down one would bring down the next. Its\n"
			"requests get 503 until it is released. Find out first what it asks for: the log's CHILD_DIED and KEY_QUARANTINED say when.",
		.examples = "lethe key list\nlethe key release key_0123456789\n",
		.args = {{KEY_ARG}},
		.columns = "key,account,name,state",
	},
	{
		.name = "byok add",
		.op = "byok.add",
		.run = cli_byok_add,
		.summary = "let an account use its own key at a provider",
		.words =
			"The key is sealed here under the server's master key (DIR/master.key): the store keeps what only the server's edges can open. From then on the account's\n"
			"requests for models that this provider serves go by its own key, are billed by the provider to the account's owner, and cost here the configuration's\n"
			"`byok_fee`. What the provider says of that key (401, 403, its limits) is passed on. The operator's keys are not used in its place, and no other target of\n"
			"such a model, unless --fallback allows it: then they are asked when the own key's request fails, at the list price, which is what is reserved. Adding\n"
			"another key for the same provider takes the first one's place at once.",
		.examples = "lethe byok add acme openai - < key.txt\nlethe byok add acme anthropic - --fallback < key.txt\n",
		.args = {{ACCOUNT_ARG}, {PROVIDER_ARG}, {"SECRET", NULL, "secret", true, false, "the key; '-' reads it from standard input, so that no list of processes shows it"},
			{"--fallback", NULL, "fallback", false, false, "the operator's keys and other providers may be used when it fails"}},
		.columns = "byok,account_name,provider,last4,fallback",
	},
	{
		.name = "byok list",
		.op = "byok.list",
		.summary = "which accounts have own keys at which providers",
		.words = "A key that is `sealed for another master key` can't be opened any more: DIR/master.key was lost. Add it again.",
		.examples = "lethe byok list\nlethe byok list --account acme --json\n",
		.args = {{ACCOUNT_FILTER}, {LIMIT_ARG}, {AFTER_ARG}},
		.columns = "byok,account_name,provider,last4,fallback,state,created",
		.empty = "No own keys.",
	},
	{
		.name = "byok remove",
		.op = "byok.remove",
		.summary = "forget an account's own key at a provider",
		.words = "When this returns no request begins with it any more; those that run end as they would. The store's copy is gone, and edges wipe theirs within a second.",
		.examples = "lethe byok remove acme openai\n",
		.args = {{ACCOUNT_ARG}, {PROVIDER_ARG}},
		.columns = "byok,account_name,provider,state",
	},
	{
		.name = "credit add",
		.op = "credit.add",
		.summary = "put money on an account, or take it off",
		.words =
			"An adjustment by hand, against the house account of that name; payments are `credit top-up`. A negative amount is taken from what running requests have not reserved;\n"
			"more than that is refused. Free credit that was given by mistake is taken back with `lethe grant revoke`: it would end besides.",
		.examples =
			"lethe credit add acme 25.00 --reason \"invoice 17\" --id invoice-17\nlethe credit add acme -5 --reason \"refund\"\n",
		.args = {{ACCOUNT_ARG}, {"AMOUNT", NULL, "amount", true, false, "dollars, for example 25.00 or -5"},
			{"--reason", "TEXT", "reason", true, false, "why; kept with the booking"}, {REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "booking,account,amount,balance",
	},
	{
		.name = "credit top-up",
		.op = "credit.top_up",
		.summary = "book a payment that arrived",
		.words = "Against `clearing`, not `adjustment`: what a customer paid can be refunded and disputed by the payment's id (pay_…). What the account owes from\n"
				 "lost disputes is paid first.",
		.examples = "lethe credit top-up acme 25.00 --id stripe-ch_17\n",
		.args = {{ACCOUNT_ARG}, {DOLLARS_ARG}, {REASON_ARG}, {REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "item,booking,account,worth,amount,balance",
	},
	{
		.name = "credit refund",
		.op = "credit.refund",
		.summary = "give back part of a payment",
		.words = "At most what of that payment is neither refunded nor disputed, and what the account has that running requests have not reserved.",
		.examples = "lethe payment list --account acme\nlethe credit refund pay_0123456789A 5.00 --reason \"asked for\" --id refund-17\n",
		.args = {{"PAYMENT", NULL, "payment", true, false, "id of the payment (pay_…)"}, {DOLLARS_ARG}, {REASON_ARG}, {REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "item,booking,account,amount,open,balance",
	},
	{
		.name = "credit grant",
		.op = "credit.grant",
		.summary = "give free credit that ends on a date",
		.words = "It is used before other money: what requests cost from now on is taken off the grants, those first that end first. What is left of it then goes\n"
				 "back; what running requests hold of it, when they are done, and what standing holds that were made before its end may yet be charged, when they are\n"
				 "settled or released.",
		.examples = "lethe credit grant acme 5.00 --expires 2027-01-31 --id trial-acme\n",
		.args = {{ACCOUNT_ARG}, {DOLLARS_ARG}, {"--expires", "DATE", "expires", true, false, "until the beginning of that day, for example 2027-01-31 (UTC)"},
			{REASON_ARG}, {REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "item,booking,account,amount,expires,balance",
	},
	{
		.name = "credit transfer",
		.op = "credit.transfer",
		.summary = "move money from one account to another",
		.words = "It leaves in one booking and arrives in the next; in between it is the house account `transit`'s. When the server dies there, it arrives when it is back.\n"
				 "Free credit with an end (`lethe credit grant`) stays where it is.",
		.examples = "lethe credit transfer acme acme-lab 10.00 --reason budget --id move-17\n",
		.args = {{ACCOUNT_ARG}, {"TO", NULL, "to", true, false, "name or id (acc_…) of the account that gets it", CLI_ACCOUNT}, {DOLLARS_ARG},
			{REASON_ARG}, {REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "item,state,booking,account,to,amount,balance",
	},
	{
		.name = "payment list",
		.op = "payment.list",
		.summary = "payments, and what of them can still be refunded",
		.words = "",
		.examples = "lethe payment list --account acme\n",
		.args = {{ACCOUNT_FILTER}, {LIMIT_ARG}, {AFTER_ARG}},
		.columns = "item,account_name,worth,open,created",
		.empty = "No payments.",
	},
	{
		.name = "grant list",
		.op = "grant.list",
		.summary = "free credit, and what of it was not used yet",
		.words = "",
		.examples = "lethe grant list --open\n",
		.args = {{ACCOUNT_FILTER}, {OPEN_ARG}, {LIMIT_ARG}, {AFTER_ARG}},
		.columns = "item,account_name,state,worth,open,created,expires",
		.empty = "No free credit.",
	},
	{
		.name = "grant revoke",
		.op = "grant.revoke",
		.summary = "take back what nobody has used of free credit",
		.words = "What was spent stays spent. What running requests have reserved, or standing holds may yet be charged, comes from the grant first and is not taken, nor what\n"
				 "other servers have of the balance: `open` says how much is left. Give the order again when they are done, or let it end on its day. Of a quota (`lethe account quota`) the next one comes nevertheless.",
		.examples = "lethe grant list --open\nlethe grant revoke grant_0123456789A --reason \"5.00 was meant\" --id oops-17\n",
		.args = {{"GRANT", NULL, "grant", true, false, "id of the grant (grant_…)"}, {REASON_ARG}, {REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "item,state,booking,account,amount,open,balance",
	},
	{
		.name = "transfer list",
		.op = "transfer.list",
		.summary = "transfers between accounts",
		.words = "",
		.examples = "lethe transfer list --open\n",
		.args = {{ACCOUNT_FILTER}, {OPEN_ARG}, {LIMIT_ARG}, {AFTER_ARG}},
		.columns = "item,account_name,to,state,worth,created",
		.empty = "No transfers.",
	},
	{
		.name = "voucher create",
		.op = "voucher.create",
		.summary = "issue a code that is worth credit",
		.words = "Whoever has the code can redeem it, once. It is not kept: given the same --id again, the same code is answered again.",
		.examples = "lethe voucher create 10.00 --expires 2027-01-31 --reason \"spring fair\" --id fair-1\n",
		.args = {{DOLLARS_ARG}, {"--expires", "DATE", "expires", false, false, "until the beginning of that day, for example 2027-01-31 (UTC); for ever without it"}, {REASON_ARG}, {REPEAT_ARG},
			{ACTOR_ARG}},
		.columns = "code,item,booking,worth,expires",
	},
	{
		.name = "voucher redeem",
		.op = "voucher.redeem",
		.summary = "turn a voucher into credit of an account",
		.words = "",
		.examples = "lethe voucher redeem acme 7K3QX-00000-00000-00000\n",
		.args = {{ACCOUNT_ARG}, {"CODE", NULL, "code", true, false, "the voucher's code, in any case, with or without dashes"}, {REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "item,state,booking,account,amount,balance",
	},
	{
		.name = "voucher revoke",
		.op = "voucher.revoke",
		.summary = "take back a voucher that nobody has redeemed",
		.words = "",
		.examples = "lethe voucher list --open\nlethe voucher revoke vch_0123456789A --reason \"lost in the mail\"\n",
		.args = {{"VOUCHER", NULL, "voucher", true, false, "id of the voucher (vch_…)"}, {REASON_ARG}, {REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "item,state,booking,worth",
	},
	{
		.name = "voucher list",
		.op = "voucher.list",
		.summary = "vouchers and what became of them",
		.words = "",
		.examples = "lethe voucher list --open\n",
		.args = {{ACCOUNT_FILTER}, {OPEN_ARG}, {LIMIT_ARG}, {AFTER_ARG}},
		.columns = "item,state,worth,account_name,created,expires,actor,reason",
		.empty = "No vouchers yet. Issue one: lethe voucher create AMOUNT",
	},
	{
		.name = "hold create",
		.op = "hold.create",
		.summary = "set money aside for work that outlives its connection",
		.words = "It leaves the balance, and is the house account `standing`'s until it is settled or released; with --expires it comes back by itself then.",
		.examples = "lethe hold create acme 12.00 --expires 2027-01-31 --reason \"batch 17\" --id batch-17\n",
		.args = {{ACCOUNT_ARG}, {DOLLARS_ARG}, {"--expires", "DATE", "expires", false, false, "until the beginning of that day, for example 2027-01-31 (UTC); for ever without it"}, {REASON_ARG},
			{REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "item,booking,account,amount,expires,balance",
	},
	{
		.name = "hold settle",
		.op = "hold.settle",
		.summary = "charge what that work cost; the rest comes back",
		.words = "At most what is held. A hold is resolved once.",
		.examples = "lethe hold settle hold_0123456789A 9.75 --id batch-17-done\n",
		.args = {{HOLD_ARG}, {"COST", NULL, "cost", true, false, "dollars, for example 9.75"}, {REASON_ARG}, {REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "item,state,booking,account,charged,amount,balance",
	},
	{
		.name = "hold release",
		.op = "hold.release",
		.summary = "give all of a hold back",
		.words = "",
		.examples = "lethe hold release hold_0123456789A --reason \"the batch failed\"\n",
		.args = {{HOLD_ARG}, {REASON_ARG}, {REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "item,state,booking,account,amount,balance",
	},
	{
		.name = "hold list",
		.op = "hold.list",
		.summary = "standing holds and what became of them",
		.words = "What running requests hold is not in it: `lethe account show` has that. Holds of batches have `work`: begun, runs, paid; or why they stand although the batch has ended: "
				 "unmeasured (the provider doesn't say what it used) or refused (the ledger did not take it). Look up what it cost there, and `lethe hold settle` it, or `lethe hold release` it.",
		.examples = "lethe hold list --open\n",
		.args = {{ACCOUNT_FILTER}, {OPEN_ARG}, {LIMIT_ARG}, {AFTER_ARG}},
		.columns = "item,account_name,state,work,worth,open,charged,created,expires",
		.empty = "No standing holds.",
	},
	{
		.name = "dispute open",
		.op = "dispute.open",
		.summary = "a payment is disputed: set aside what there is of it",
		.words = "Takes what the account has and running requests have not reserved, up to the amount; meanwhile that part of the payment can't be refunded.",
		.examples = "lethe dispute open pay_0123456789A 25.00 --reason fraudulent --id dp-17\n",
		.args = {{"PAYMENT", NULL, "payment", true, false, "id of the payment (pay_…)"}, {DOLLARS_ARG}, {REASON_ARG}, {REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "item,booking,account,worth,amount,balance",
	},
	{
		.name = "dispute lost",
		.op = "dispute.lost",
		.summary = "the bank took a disputed payment back",
		.words = "What was set aside goes, then what the account has; what is still missing is owed, and the next top-up pays it first.",
		.examples = "lethe dispute lost dsp_0123456789A --id dp-17-lost\n",
		.args = {{DISPUTE_ARG}, {REASON_ARG}, {REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "item,state,booking,account,worth,amount,balance",
	},
	{
		.name = "dispute won",
		.op = "dispute.won",
		.summary = "a disputed payment stays: what was set aside comes back",
		.words = "",
		.examples = "lethe dispute won dsp_0123456789A --id dp-17-won\n",
		.args = {{DISPUTE_ARG}, {REASON_ARG}, {REPEAT_ARG}, {ACTOR_ARG}},
		.columns = "item,state,booking,account,worth,amount,balance",
	},
	{
		.name = "dispute list",
		.op = "dispute.list",
		.summary = "disputed payments",
		.words = "",
		.examples = "lethe dispute list --open\n",
		.args = {{ACCOUNT_FILTER}, {OPEN_ARG}, {LIMIT_ARG}, {AFTER_ARG}},
		.columns = "item,account_name,payment,state,worth,open,created,actor,reason",
		.empty = "No disputes.",
	},
	{
		.name = "usage",
		.op = "usage",
		.summary = "requests, tokens and cost",
		.words = "DATE is a day (2026-01-31), a time (2026-01-31T12:00:00Z), today, yesterday, or a time ago: 7d and 2w mean the whole of that day, 24h and 90m\n"
				 "are to the second. Days and times are UTC. Token kinds that nobody used are left out of the table, not of --csv and --json.\n"
				 "`failed` counts what did not end as COMPLETED; `--by end_reason` says how. With month, day, account, key and model alone the answer comes from\n"
				 "sums per day; everything else reads the tickets of that time, which takes longer.",
		.examples = "lethe usage --since 30d --by model\nlethe usage --account acme --by day,model\nlethe usage --since 24h --by hour --provider openai\n"
					"lethe usage --since yesterday --until yesterday --by end_reason\nlethe usage --by month,account --csv > usage.csv\n",
		.args = {{"--by", "WHAT", "group", false, false, "one row for each month, day, hour, account, key, model, provider, endpoint, tier, lane, end_reason or status; two with a comma between",
					 "month,day,hour,account,key,model,provider,endpoint,tier,lane,end_reason,status"},
			{"--since", "DATE", "since", false, false, "from this day or time on"},
			{"--until", "DATE", "until", false, false, "up to and with this day, or before this time"},
			{"--account", "ACCOUNT", "account", false, false, "of this account only", CLI_ACCOUNT},
			{"--key", "KEY", "key", false, false, "of this key only (key_…)", CLI_KEY},
			{"--model", "MODEL", "model", false, false, "of this model only", CLI_MODEL},
			{"--provider", "PROVIDER", "provider", false, false, "by this provider only"},
			{"--end-reason", "REASON", "end_reason", false, false, "that ended in this way only, for example CLIENT_GONE", REASON_WORDS},
			{"--status", "STATUS", "status", false, true, "answered with this HTTP status only"},
			{LIMIT_ARG},
			{"--csv", NULL, "csv", false, false, "as CSV (RFC 4180): a header, all kinds of tokens, dollars as plain decimals"}},
		.columns =
			"month,day,hour,account,account_name,key,key_name,model,provider,endpoint,tier,lane,end_reason,status,requests,failed,tokens.input,"
			"tokens.cached?,tokens.cache_write?,tokens.cache_write_1h?,tokens.audio_in?,tokens.image_in?,tokens.video_in?,tokens.cached_audio?,"
			"tokens.cached_image?,tokens.output,tokens.reasoning?,tokens.audio_out?,tokens.image_out?,tool_calls?,cost",
		.csv = "requests,failed" TOKEN_KINDS(TOKEN_COLUMN) ",tool_calls,cost",
		.empty = "No requests in this range.",
	},
	{
		.name = "ticket show",
		.op = "ticket.show",
		.summary = "all that is kept about one request",
		.words = "The id is the answer's x-request-id header. There is no content in it: content is not kept.\n"
				 "`estimated`: the provider reported nothing, or what tells nothing, so that its tokens were counted here. `absurd`: it reported numbers that can't be; the customer\n"
				 "pays at most what was held, and `difference`, what they come to beyond it, is the house account `loss.absurd`'s.",
		.examples = "lethe ticket show req_0123456789\n",
		.args = {{"REQUEST", NULL, "id", true, false, "id of the request (req_…)"}},
	},
	{
		.name = "receipt show",
		.op = "receipt.show",
		.summary = "the signed receipt of a request",
		.words = "With --json it is what `lethe receipt verify` takes, and what the account's keys get at GET /v1/receipts/REQUEST.",
		.examples = "lethe receipt show req_0123456789A --json >receipt.json\n",
		.args = {{"REQUEST", NULL, "id", true, false, "id of the request (req_…)"}},
		.show = cli_show_members,
	},
	{
		.name = "receipt verify",
		.run = cli_receipt_verify,
		.summary = "check a receipt, offline",
		.words = "That its row is what was signed, that it is in the log whose head was signed, and that no more was charged than usage and price row give.\n"
				 "What stands in front of it in the file (request, account, cost, when it began, how it ended) must be what the row says. Not checked are the names of\n"
				 "model and provider: they are for reading, nobody signed them, the row has their numbers. All of an answer may have 64 MiB.\n"
				 "Also what `lethe receipt consistency --json` printed. Exit status 1, and why, when it does not hold.",
		.examples = "lethe receipt verify receipt.json --key 5f0c…\n",
		.args = {{"FILE", NULL, "file", true, false, "the receipt, or the answer that it came with (lethe-receipt: inline); '-' reads it from standard input", CLI_FILE},
			{"--key", "HEX", "key", false, false, "the gateway's public key, as it published it"}},
	},
	{
		.name = "receipt consistency",
		.op = "receipt.growth",
		.run = cli_receipt_consistency,
		.summary = "check that the log between two receipts was only added to",
		.words = "The ledger proves it, this command checks the proof. With --json it prints heads and proof, for `lethe receipt verify` elsewhere.",
		.examples = "lethe receipt consistency january.json june.json\n",
		.args = {{"FROM", NULL, "from", true, false, "a receipt's file, or the size of its head", CLI_FILE},
			{"TO", NULL, "to", true, false, "a later one", CLI_FILE}},
		.uses_data = true,
	},
	{
		.name = "receipt key",
		.op = "receipt.keys",
		.summary = "the public keys that signed receipts",
		.words = "Publish them, the old ones too. The secret is DIR/receipt.key: moved away, the next start makes another, and the log goes on.",
		.examples = "lethe receipt key\n",
		.columns = "number,key,signs,since,from_leaf",
		.empty = "No key yet: it is made when a server starts.",
	},
	{
		.name = "receipt code",
		.op = "receipt.code",
		.summary = "is the code of a lethe-receipt header ours?",
		.words = "It is when this gateway gave this id to a request with the key that the ledger names. One that is not ours exits with 1.",
		.examples = "lethe receipt code req_0123456789A.00112233445566778899aabbccddeeff\n",
		.args = {{"CODE", NULL, "code", true, false, "what the header lethe-receipt had"}},
	},
	{
		.name = "price list",
		.op = "price.list",
		.summary = "the price rows that tickets refer to",
		.words = "Token prices are dollars per million.",
		.examples = "lethe price list\n",
		.columns = "price,model,from,tier,above_tokens,dollars_per_million_tokens.input,dollars_per_million_tokens.cached,"
				   "dollars_per_million_tokens.output,per_request,per_web_search",
		.empty = "No prices yet: the ledger learns them from the configuration when the server starts.",
	},
	{
		.name = "price show",
		.op = "price.show",
		.run = cli_price_show,
		.summary = "what a model costs: every kind, tier and size of prompt",
		.words = "Asks the ledger; while a server runs that knows the catalogue in force, without one what was ever booked with. With --config the file is read\n"
				 "instead, for example before it is put in force. A kind without a price of its own shows that of the kind that stands in for it.",
		.examples = "lethe price show gpt-5-mini\nlethe price show mini --at 2027-01-01 --config /etc/lethe/lethe.yaml\n",
		.args = {{"MODEL", NULL, "model", true, false, "its id or an alias", CLI_MODEL},
			{"--at", "DATE", "at", false, false, "on that day or at that time (UTC): 2026-01-31, 2026-01-31T12:00:00Z, 7d; now without it"},
			{"--config", "FILE", "file", false, false, "from this configuration file", CLI_FILE}},
		.show = cli_show_price,
	},
	{
		.name = "ledger verify",
		.op = "ledger.verify",
		.summary = "derive every balance again and check the books",
		.words = "Exit status 1 when an invariant is broken.",
		.examples = "lethe ledger verify\n",
		.columns = "inv,ok,checked,detail",
		.show = cli_show_books,
	},
	{
		.name = "reconcile run",
		.op = "reconcile.run",
		.summary = "tickets = postings = balances: derive the books again, and keep the outcome",
		.words = "What `lethe ledger verify` looks at, and the three sums that must be one. A server does it by itself every night after 03:00 (UTC): BOOKS_RIGHT or BOOKS_WRONG in\n"
				 "the log. Exit status 1 when something is not right.",
		.examples = "lethe reconcile run\n",
		.columns = "inv,ok,checked,detail",
		.show = cli_show_books,
	},
	{
		.name = "reconcile list",
		.op = "reconcile.list",
		.summary = "when the books were derived again, and what came of it",
		.words = "The newest first. `broken` counts comparisons that did not hold: 0 is right.",
		.examples = "lethe reconcile list --limit 7\n",
		.args = {{LIMIT_ARG}},
		.columns = "time,bookings,tickets,charged,balances,broken",
		.empty = "Not yet: a server does it at night, `lethe reconcile run` at once.",
	},
	{
		.name = "reconcile import",
		.op = "usage",
		.run = cli_reconcile_import,
		.summary = "compare a provider's account of what was used with ours, by day and model",
		.words =
			"FILE is what OpenAI's usage page exports (CSV), or the answer of its usage or costs API, or of Anthropic's usage report (JSON), by day and model. `drift_percent`\n"
			"is by how much we counted more than they; below 0 they counted more. `over` is what was charged beyond their count, at the model's standard price of that\n"
			"day. With --propose that becomes proposals, to each account by what it paid; the same file given again proposes nothing anew. `under` is what they counted\n"
			"beyond ours and `free_attempts`: tokens of attempts that no customer pays for, which they may have counted and `loss.retry` has. That is the house's loss,\n"
			"customers are never charged afterwards: with --propose-losses it becomes proposals of the house's account `loss.estimate`. Propose them only from an\n"
			"export that has no requests of other keys than Lethe's. Requests by customers' own keys are not compared. Requests around midnight may\n"
			"be of another day there: that is what --tolerance is for. An export whose amount is another than what was proposed for that account, model and day before\n"
			"proposes nothing there (`not_proposed`), but all the rest, and exit status is 1. A row that is `unclear` is proposed nothing of: they have none of that\n"
			"model that day, or may have counted it under another of its names.",
		.examples = "lethe reconcile import usage.csv --provider openai\nlethe reconcile import report.json --provider anthropic --tolerance 0.5 --propose\n",
		.args = {{"FILE", NULL, "file", true, false, "the export; '-' reads it from standard input", CLI_FILE},
			{"--provider", "NAME", "provider", true, false, "whose it is, by its name in the catalogue"},
			{"--tolerance", "PERCENT", "tolerance", false, false, "so much more may be counted here (1)"},
			{"--propose", NULL, "propose", false, false, "propose to give back what was charged beyond their count"},
			{"--propose-losses", NULL, "propose_losses", false, false, "propose that the house bears what they counted beyond ours"}},
		.columns = "day,model,requests,provider_requests,prompt,provider_prompt,cached?,provider_cached?,output,provider_output,free_attempts?,drift_percent,charged,provider_charged,over,under?,unclear?,not_proposed?",
		.uses_data = true,
	},
	{
		.name = "reconcile proposals",
		.op = "proposal.list",
		.summary = "what is proposed to be given back or borne, and what was decided",
		.words = "Those of the account `loss.estimate` are the house's own: what it is to bear because a provider counted more.",
		.examples = "lethe reconcile proposals --open\n",
		.args = {{ACCOUNT_FILTER}, {OPEN_ARG}, {LIMIT_ARG}, {AFTER_ARG}},
		.columns = "item,state,account_name,worth,day,provider,model,reason,created,given_back_by,booked_by",
		.empty = "No proposals: lethe reconcile import FILE --provider NAME --propose",
	},
	{
		.name = "reconcile accept",
		.op = "proposal.accept",
		.summary = "book what a proposal says: given back, or borne by the house",
		.words = "It is given back from the house account `revenue`. One of the account `loss.estimate` is booked from there to `revenue`, and no customer's money moves.\n"
				 "A proposal is decided once: accepted again, it is answered again and nothing is booked.",
		.examples = "lethe reconcile accept prp_0123456789A\n",
		.args = {{"PROPOSAL", NULL, "proposal", true, false, "id of the proposal (prp_…)"}, {REASON_ARG}, {ACTOR_ARG}},
		.columns = "item,state,booking,account,account_name,worth,amount,balance",
	},
	{
		.name = "reconcile reject",
		.op = "proposal.reject",
		.summary = "book nothing of what a proposal says",
		.words = "A proposal is decided once.",
		.examples = "lethe reconcile reject prp_0123456789A\n",
		.args = {{"PROPOSAL", NULL, "proposal", true, false, "id of the proposal (prp_…)"}},
		.columns = "item,state,account,worth,day,model",
	},
	{
		.name = "backup",
		.run = cli_backup,
		.summary = "copy the ledger and its secrets into a folder, while the server runs",
		.words =
			"The copy is the ledger at one moment; the server goes on booking meanwhile. Keep the folder where nobody else reads: with the secrets in it, guesses of\n"
			"keys can be checked. --no-secrets leaves them out, to be kept elsewhere: without DIR/pepper no API key works.",
		.examples = "lethe backup /var/backups/lethe/monday --data /var/lib/lethe\n",
		.args = {{"FOLDER", NULL, "folder", true, false, "where to; it must not exist", CLI_DIR},
			{"--no-secrets", NULL, "no_secrets", false, false, "without pepper, receipt.key and master.key"}},
		.columns = "backup,time,tickets,bookings,last_booking,bytes,secrets",
		.uses_data = true,
	},
	{
		.name = "restore",
		.run = cli_restore,
		.summary = "put a backup in the place of the ledger",
		.words =
			"No server may run on the data directory. The backup is copied beside, compared with what was written when it was made, and its books are derived again, as\n"
			"`lethe ledger verify` does; only then it takes the place, and what was there is kept under before-restore-TIME. What was booked after the backup is not in it.",
		.examples = "lethe restore /var/backups/lethe/monday --check\nlethe restore /var/backups/lethe/monday --data /var/lib/lethe --replace\n",
		.args = {{"FOLDER", NULL, "folder", true, false, "what `lethe backup` made", CLI_DIR},
			{"--replace", NULL, "replace", false, false, "although there is a ledger already, which is kept"},
			{"--check", NULL, "check", false, false, "look whether it could be restored, and change nothing"}},
		.columns = "restored,from,time,sound,tickets,bookings,accounts,kept",
		.uses_data = true,
	},
	{
		.name = "store move",
		.run = cli_store_move,
		.summary = "move the books from ledger.db into PostgreSQL, or back",
		.words =
			"No server may run on the data directory. All tables are copied in one transaction, read again and compared, and the books are derived again as `lethe ledger\n"
			"verify` does; only then the old place is marked, so that no server begins there by mistake, and DIR/store says where they are. What is interrupted has moved\n"
			"nothing: give the same command again. The database must be empty. --take-back makes ledger.db the books again, as long as nothing was booked in PostgreSQL.",
		.examples = "lethe store move --to postgres://lethe@/lethe?host=/var/run/postgresql --data /var/lib/lethe\nlethe store move --to file\nlethe store move --take-back\n",
		.args = {{"--to", "ADDRESS", "to", false, false, "postgres://user/database (LETHE_STORE without it), or `file`: back into ledger.db"},
			{"--take-back", NULL, "take_back", false, false, "undo a move to PostgreSQL: what is in ledger.db counts again"},
			{"--discard", NULL, "discard", false, false, "with --take-back: give up what was booked there since, or can't be read"}},
		.show = cli_show_members,
		.uses_data = true,
	},
	{
		.name = "status",
		.op = "status",
		.summary = "what the ledger is doing",
		.words = "",
		.examples = "lethe status --json\n",
	},
	{
		.name = "top",
		.run = cli_top,
		.summary = "watch the server: requests, tokens and money by model, as they come",
		.words = "On a terminal a live screen: q quits, ? explains. Elsewhere, or with --once, one look as text. Rates need two looks, so there are none in a\n"
				 "single one, unless --interval says how far apart two are to be. With --json the numbers as they are counted, since the server's start; with\n"
				 "--json --interval a line of them each time.",
		.examples = "lethe top\nlethe top --once --interval 10 > now.txt\nlethe top --json --interval 60 | jq -r '.models[] | [.model, .cost] | @tsv'\n",
		.args = {{"--interval", "SECONDS", "interval", false, false, "between two looks (1)"},
			{"--once", NULL, "once", false, false, "no live screen, also on a terminal"},
			{"--providers", NULL, "providers", false, false, "begin with a row for each provider instead of each model"}},
		.uses_data = true,
	},
	{
		.name = "config check",
		.run = cli_config_check,
		.summary = "say what is wrong with a configuration file",
		.words = "Also tries to read the providers' keys, without showing them.",
		.examples = "lethe config check /etc/lethe/lethe.yaml\n",
		.args = {{FILE_ARG}},
	},
	{
		.name = "config print",
		.run = cli_config_print,
		.summary = "print the configuration that is in force, with every default",
		.words = "As a file that loads to the same: with the lists of `catalogue`, with the prices that stand in for others and those that `times` makes. Of\n"
				 "secrets it says where they are, as the file does.",
		.examples = "lethe config print /etc/lethe/lethe.yaml\nlethe config print lethe.yaml --json | jq .config.limits\n",
		.args = {{FILE_ARG}},
	},
	{
		.name = "config reference",
		.run = cli_config_reference,
		.summary = "print every setting with default and meaning (Markdown)",
		.words = "",
		.examples = "lethe config reference\n",
		.args = {{"--man", NULL, "man", false, false, "as the manual page lethe.yaml(5)"}},
	},
	{
		.name = "catalogue check",
		.run = cli_catalogue_check,
		.summary = "check models and prices, and print the prices in force",
		.words = "Dollars per million tokens. A model without a price in force is refused at request.",
		.examples = "lethe catalogue check /etc/lethe/lethe.yaml\n",
		.args = {{FILE_ARG}},
		.columns = "model,provider,upstream,input,cached,output,request,since,next",
		.empty = "No models.",
	},
	{
		.name = "catalogue lint",
		.run = cli_catalogue_lint,
		.summary = "find what a catalogue may say and its operator hardly means",
		.words = "Everything that `catalogue check` refuses, and warnings by these rules:\n" LINT_RULES(RULE_LINE) "Exit status 0 also with warnings; 1 when the file is refused, or with --strict when there are any.",
		.examples = "lethe catalogue lint /etc/lethe/lethe.yaml\nlethe catalogue lint lethe.yaml --strict --older 90 --skip free-of-charge,name-shadow\n",
		.args = {{FILE_ARG}, {"--strict", NULL, "strict", false, false, "exit status 1 when there are warnings"},
			{"--older", "DAYS", "older", false, true, "for how long a price may hold before price-old looks at it (365)"},
			{"--skip", "RULES", "skip", false, false, "leave these rules out; with commas between", LINT_RULES(RULE_WORD)}},
	},
	{
		.name = "catalogue import",
		.run = cli_catalogue_import,
		.summary = "compare the catalogue with price lists of others, as a diff",
		.words =
			"Reads LiteLLM's model_prices_and_context_window.json, and providers/NAME.yml or data.json of genai-prices. Prints a unified diff that\n"
			"`patch -p0` and `git apply -p0` take: where a price changed, a row that holds from the date; with --add or --model, models that the\n"
			"catalogue doesn't have. No row that is there is changed, no model is removed; all other lines stay as they are. What was found\n"
			"besides, and what of the lists could not be taken over, goes to standard error. Of several lists the first to say something is taken,\n"
			"and what the others say otherwise is told. Providers are known by the host of their `url`. It opens no connection: fetch the lists with\n"
			"  curl -fLO https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json\n"
			"  curl -fLO https://raw.githubusercontent.com/pydantic/genai-prices/main/prices/data.json\n"
			"Exit status, as diff has it: 0 nothing changes (or --write wrote it), 1 something does, 2 it could not be told.",
		.examples =
			"lethe catalogue import model_prices_and_context_window.json --config lethe.yaml > prices.diff\npatch -p0 < prices.diff\n"
			"lethe catalogue import data.json --config lethe.yaml --provider openai --model 'gpt-5*'\n",
		.args = {{"SOURCE", NULL, "sources", true, false, "file of a list; '-' is standard input", .words = CLI_FILE, .many = true},
			{"--config", "FILE", "file", true, false, "path of the configuration file", .words = CLI_FILE},
			{"--from", "LIST", "from", false, false, "whose list the sources are; found out without it", .words = "litellm|genai-prices"},
			{"--provider", "NAME", "providers", false, false, "only this provider of the configuration; may be repeated", .many = true},
			{"--model", "PATTERN", "models", false, false, "only models whose name fits, new ones too: 'gpt-5*'; '!PATTERN' leaves out; may be repeated", .many = true},
			{"--add", NULL, "add", false, false, "add all models that the catalogue doesn't have"},
			{"--date", "DATE", "date", false, false, "from when new prices hold; today (UTC) without it"},
			{"--write", NULL, "write", false, false, "change the file instead of printing the diff"},
			{"--output", "FILE", "output", false, false, "write the changed file there, too; with `catalogue:` that is the catalogue's", .words = CLI_FILE}},
	},
	{
		.name = "node list",
		.op = "node.list",
		.summary = "servers on this store",
		.words = "`draining`: it takes nothing new, and ends when what it has is over. `away`: nothing was heard of it for longer than its lease, 30 s. `left`: it has ended in order. A store in a file has one server, with no list.",
		.examples = "lethe node list\n",
		.columns = "node,state,fence,joined,seen,waiting_requests",
		.empty = "No server has had this store yet. Where the books are in a file they have one server: `lethe status` shows it.",
	},
	{
		.name = "node share",
		.op = "node.share",
		.summary = "let several servers have this store at once",
		.words = "For a store in PostgreSQL, once, while no server runs; each server then needs a `node` of its own in its configuration and the same pepper, receipt.key and\n"
				 "master.key. It is not taken back.",
		.examples = "lethe node share\n",
		.columns = "node,state,fence,joined,seen,waiting_requests",
		.empty = "No server has had this store yet.",
	},
	{
		.name = "node drain",
		.op = "node.drain",
		.summary = "let a server end in order, from any machine of its store",
		.words = "As SIGTERM there: it takes no new connections and requests, what runs has `timeouts.drain` to finish, all is booked, its shares of balances go back, and it ends; `lethe node\n"
				 "list` says `left` then. It comes back when it is started again.",
		.examples = "lethe node drain 3\nlethe node list\n",
		.args = {{"NODE", NULL, "node", true, false, "its number"}},
		.columns = "node,state,fence,joined,seen,waiting_requests",
	},
	{
		.name = "node forget",
		.op = "node.forget",
		.summary = "settle what a server left that will not come back",
		.words = "What its requests had cost by the last word of it, at most 5 s before its end, is booked (NODE_FORGOTTEN), and what they had used beyond it is on loss.node; from then on it can write nothing. For one that was silent for 30 s or has\n"
				 "ended. Should its machine live after all, its server takes no requests until it is started anew; what its outbox.db brings then is nobody's bill, and is on loss.node as well.",
		.examples = "lethe node forget 3\n",
		.args = {{"NODE", NULL, "node", true, false, "its number"}},
		.columns = "node,state,fence,joined,seen,waiting_requests",
	},
	{
		.name = "provider list",
		.op = "provider.list",
		.summary = "each key and each target of the providers: is it asked, or put behind the others?",
		.words = "As the running server knows it. `refused`: the account of this key is refused (an alarm, KEY_REFUSED): top it up or replace the key. `open`: it failed three\n"
				 "times in a row. `resting`: it said when to come again. `probing`: one request finds out. Keys count from 0, in the order of the configuration.",
		.examples = "lethe provider list\nlethe provider list openai --json\n",
		.args = {{"PROVIDER", NULL, "provider", false, false, "name of one of them; all without it"}},
		.columns = "provider,key,upstream,state,asked_again_in_ms,opened",
		.empty = "No provider is in the configuration.",
	},
	{
		.name = "provider show",
		.op = "provider.list",
		.summary = "the same of one provider",
		.words = "As `lethe provider list`.",
		.examples = "lethe provider show openai\n",
		.args = {{"PROVIDER", NULL, "provider", true, false, "its name"}},
		.columns = "provider,key,upstream,state,asked_again_in_ms,opened",
		.empty = "It has neither keys nor targets.",
	},
	{
		.name = "provider check",
		.run = cli_provider_check,
		.summary = "ask each provider once with each of its keys, and say which work",
		.words = "Asks for the list of models, which costs nothing; with --spend for one token of the provider's cheapest model, which also finds an account\n"
				 "without credit. Where a provider tells what the account has left (DeepSeek, OpenRouter; `balance` in the configuration) that is shown, and less than its\n"
				 "`low_balance` is a failure: run it by a timer, and a server that runs on --data raises the alarm PROVIDER_LOW in its log and metrics. TLS, trust and addresses are those that the server would use. Exit status 1 when a key does not work.",
		.examples = "lethe provider check /etc/lethe/lethe.yaml\nlethe provider check /etc/lethe/lethe.yaml --provider openai --spend\n",
		.args = {{FILE_ARG}, {"--provider", "NAME", "provider", false, false, "this one only"},
			{"--spend", NULL, "spend", false, false, "ask for one token of an answer, and pay for it"}},
		.uses_data = true,
		.columns = "provider,key,result,status,balance?,tls,milliseconds",
		.empty = "No provider to ask: the configuration has none, or none with a key.",
	},
	{
		.name = "metrics reference",
		.run = cli_metrics_reference,
		.summary = "print every metric with type, labels and meaning (Markdown)",
		.words = "The metrics themselves are at `metrics.listen`.",
		.examples = "lethe metrics reference\n",
	},
	{
		.name = "events reference",
		.run = cli_events_reference,
		.summary = "print every event of the log (Markdown)",
		.words = "",
		.examples = "lethe events reference\n",
	},
	{
		.name = "doctor",
		.run = cli_doctor,
		.summary = "what this machine can promise, and what to change",
		.words =
			"Run it as the user and under the limits of the server (in the unit: ExecStartPre). With --config also the certificates are looked at, with --network\n"
			"each provider is asked for its list of models, which costs nothing: name look-up, connection, TLS, key. Books in PostgreSQL are looked at as well: version,\n"
			"settings, rights, tables, round trips, TLS, clock. Exit status 0 when nothing is bad (with\n"
			"--strict: and nothing doubtful), 1 when something is. The machine's numbers are the metrics lethe_machine_state and lethe_machine_value as well, and\n"
			"are on the page /transparency.",
		.examples = "lethe doctor\nlethe doctor --config /etc/lethe/lethe.yaml --network\n"
					"systemd-run -p User=lethe -p LimitMEMLOCK=infinity -P lethe doctor\n",
		.args = {{"--config", "FILE", "config", false, false, "look at this configuration's certificates and providers", CLI_FILE},
			{"--network", NULL, "network", false, false, "ask each provider; waits up to 20 seconds for each key"},
			{"--strict", NULL, "strict", false, false, "exit status 1 also for what is merely doubtful"}},
		.uses_data = true,
		.columns = "state,fact,value",
	},
	{
		.name = "prove",
		.run = cli_prove,
		.summary = "try to find content where none may be",
		.words =
			"Starts a Lethe of its own with a provider inside, in a temporary folder and on free ports; sends marked texts through every endpoint and in\n"
			"every way that an exchange can end, processes killed in mid-stream among them; and looks for sixteen bytes of any mark, in nine forms, in files\n"
			"and their names, logs, metrics, temporary folders, dumps, swap, pipes and the memory of every process. First it looks for what it has planted\n"
			"itself. Memory of processes only root may read: as root there are two more instances, whose content memory root can read as well. Exit status 1\n"
			"when a mark is found, or when the search can't be trusted.",
		.examples = "sudo lethe prove\nsudo lethe prove --marks 10000 --report proof.html --data /var/lib/lethe\n"
					"openssl pkeyutl -verify -pubin -inkey /var/lib/lethe/prove.pub -rawin -in proof.html -sigfile proof.html.sig\n",
		.args = {{"--quick", NULL, "quick", false, false, "one round, and one instance less: half a minute"},
			{"--first", NULL, "first", false, false, "end as soon as something is found, for who has planted it"},
			{"--marks", "N", "marks", false, true, "go on until at least so many marks were sent (2000)"},
			{"--report", "FILE", "report", false, false, "write a page, and FILE.sig: its signature by the key prove.key in the data directory, made when there is none", CLI_FILE},
			{"--target", "URL", "target", false, false, "instead of private instances the server of the data directory, which runs at this address of this machine: http://127.0.0.1:8080. Its providers are asked, and paid"},
			{"--key", "KEY", "key", false, false, "with --target: a key of an account with money; '-' reads it from standard input"},
			{"--model", "MODEL", "model", false, false, "with --target: what is asked for, a cheap one", CLI_MODEL},
			{"--postgres", "FOLDER", "postgres", false, false, "one instance keeps its books in a PostgreSQL of its own, with the programs of this folder: /usr/lib/postgresql/15/bin", CLI_FILE},
			{"--also", "PATH", "also", false, false, "search this file or folder as well, a log for example; may be given several times", CLI_FILE, true}},
		.uses_data = true,
	},
	{
		.name = "version",
		.run = cli_version,
		.summary = "print the version",
		.words = "",
		.examples = "lethe version\n",
	},
	{
		.name = "completion",
		.run = cli_completion,
		.summary = "print the completion script of a shell",
		.words = "For this shell: eval \"$(lethe completion bash)\". For all: write it to /usr/share/bash-completion/completions/lethe,\n"
				 "/usr/share/zsh/vendor-completions/_lethe or /usr/share/fish/vendor_completions.d/lethe.fish. Commands, options and their words come from\n"
				 "this program; accounts, keys and models from the server, while one runs on the data directory.",
		.examples = "eval \"$(lethe completion bash)\"\nlethe completion fish > ~/.config/fish/completions/lethe.fish\n",
		.args = {{"SHELL", NULL, "shell", true, false, "bash, zsh or fish", "bash|zsh|fish"}},
	},
	{
		.name = "complete",
		.run = cli_complete,
		.summary = "what the next word may be: asked by the shells' completion",
		.words = "The words of a line behind `lethe`, the last as far as it is typed. A line for each candidate, with a tab and its meaning behind it;\n"
				 "`:file` or `:dir` for a path.",
		.examples = "lethe complete -- usage --by mo\n",
		.raw = true,
		.hidden = true,
	},
	{
		.name = "help",
		.run = cli_help_command,
		.summary = "explain a command",
		.words = "",
		.examples = "lethe help\nlethe help key create\n",
		.args = {{"COMMAND", NULL, "command", false, false, "for example `key` or `key create`", CLI_COMMAND},
			{"--markdown", NULL, "markdown", false, false, "all of it as docs/reference/cli.md"},
			{"--man", NULL, "man", false, false, "all of it as the manual page lethe(1)"}},
	},
};

const size_t cli_command_count = ARRAY_LEN(cli_commands);
