import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Lethe } from "./lethe.ts";

export type TicketRow = Record<string, number | bigint>;

// The booked tickets, read from the ledger's database by a reader of its own.
export function tickets(lethe: Lethe): TicketRow[] {
	const file = join(lethe.data, "ledger.db");
	if (!existsSync(file)) return [];
	const database = new DatabaseSync(file, { readOnly: true });
	try {
		const statement = database.prepare("SELECT * FROM ticket ORDER BY id");
		statement.setReadBigInts(true);
		return statement.all() as TicketRow[];
	} finally {
		database.close();
	}
}

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// "req_..." or "acc_..." as the number that the database has.
export function idNumber(text: string): bigint {
	let value = 0n;
	for (const digit of text.slice(text.indexOf("_") + 1)) value = value * 62n + BigInt(digits.indexOf(digit));
	return value;
}

// The edge that gave a request id out.
export const edgeOf = (request: string): number => Number(idNumber(request) & 127n);
