// Checks a receipt of GET /v1/receipts/{id}, offline, with nothing but Node's crypto:
//   node verify_receipt.mts receipt.json PUBLIC_KEY_HEX     the key is what the gateway published (`lethe receipt key`); Node 22.18 or later
// or one that came with an answer (`lethe-receipt: inline`): the header's value, the stream's last comment, or all that was answered.
// Holds: the row is what was signed; it is in the log whose head was signed; usage × price row is at least what was charged; what stands in front for people
// is what the row says. But the names of model and provider, and `means`: nobody signed them, the row has numbers of theirs. They are not checked.
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
type Field = [name: string, bytes: number, value: string];
export type Receipt = Record<"receipt" | "request" | "account" | "cost" | "end_reason", string> & {
	started: string | null;
	row: Field[]; price: Field[] | null;
	leaf: { number: number; hash: string };
	proof: string[];
	head: { origin: string; size: number; root: string; time_us: number; time: string | null; text: string; signature: string };
};
const sha256 = (...parts: Uint8Array[]) => createHash("sha256").update(Buffer.concat(parts)).digest();
const must = (holds: boolean, otherwise: string) => { if (!holds) throw new Error(otherwise); };
const hex = (text: string) => (must(/^([0-9a-f]{2})*$/.test(text), `not hexadecimal: ${text}`), Buffer.from(text, "hex"));

// Names and widths are hashed in front of the values: a value can't be shown under another name.
const encode = (fields: Field[]) => {
	must(new Set(fields.map((f) => f[0])).size === fields.length, "a field stands twice");
	const isNumber = (bytes: number, value: string) => [1, 2, 4, 8].includes(bytes) && /^(0|[1-9]\d*)$/.test(value) && BigInt(value) < 1n << BigInt(8 * bytes);
	must(fields.every(([name, bytes, value]) => /^[a-z0-9_]+$/.test(name) && (bytes === 32 ? value.length === 64 : isNumber(bytes, value))), "not a field");
	const values = fields.map(([, bytes, value]) => hex(bytes === 32 ? value : BigInt(value).toString(16).padStart(2 * bytes, "0")));
	return Buffer.concat([sha256(Buffer.from(fields.map(([name, bytes]) => `${name}:${bytes}\n`).join(""))), ...values]);
};
const number = (fields: Field[], name: string) => BigInt(fields.find((f) => f[0] === name)?.[2] ?? 0);

// How an exchange can end, by the number in the row: UNKNOWN is a number that no exchange has, or none of this version.
export const endReasons = `NONE COMPLETED CLIENT_GONE CLIENT_GONE_EARLY PROVIDER_CUT PROVIDER_ERROR PROVIDER_ERROR_INSIDE PROVIDER_MALFORMED PROVIDER_UNREACHABLE
	PROVIDER_TIMEOUT PROVIDER_STALLED PROVIDER_ACCOUNT PROVIDER_ENCODED INTERRUPTED BUDGET_EXHAUSTED TOO_FAST SESSION_IDLE BAD_WEBSOCKET BAD_MESSAGE BAD_LANE BAD_HTTP
	BAD_BODY BODY_TOO_LARGE NO_KEY BAD_KEY KEY_REVOKED NOT_FOUND BAD_METHOD NO_MODEL NO_PRICE NO_MONEY UNKNOWN OVERLOADED LEDGER_AWAY HEAD_TIMEOUT BODY_TIMEOUT DRAINING
	CLIENT_SLOW RATE_LIMITED TRACED BAD_HEADER TOO_MANY_BAD_KEYS REQUEST_TIMEOUT KEY_QUARANTINED BODY_ENCODED NO_OBJECT OTHER_PROVIDER UPGRADE_REQUIRED NO_TARGET UNKNOWN
	LIMIT_SPENT ADDRESS_REFUSED SCOPE_REFUSED NODE_FORGOTTEN`.split(/\s+/);
const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const id = (prefix: string, n: bigint) => prefix + Array.from({ length: 11 }, (_, i) => digits[Number((n / 62n ** BigInt(10 - i)) % 62n)]).join("");
const time = (us: bigint) => (us === 0n ? null : new Date(Number(us / 1000n)).toISOString());
const dollars = (nano: bigint) => `${nano / 1000000000n}.${(nano % 1000000000n).toString().padStart(9, "0")}`;
const wordsOf = (row: Field[]) => ({
	request: id("req_", number(row, "id")), account: id("acc_", number(row, "account")), started: time(number(row, "started_us")),
	cost: dollars(number(row, "cost_nano")), end_reason: endReasons[Number(number(row, "end_reason"))] ?? "UNKNOWN",
});

// RFC 9162 2.1.3.2
const rootOf = (leaf: Buffer, index: number, size: number, proof: string[]) => {
	let at = BigInt(index), last = BigInt(size) - 1n, hash = leaf;
	must(at >= 0n && at <= last, "there is no such leaf");
	for (const step of proof.map(hex)) {
		must(last > 0n && step.length === 32, "the proof is too long");
		if (at & 1n || at === last) {
			hash = sha256(Buffer.from([1]), step, hash);
			while (!(at & 1n) && at) [at, last] = [at >> 1n, last >> 1n];
		} else hash = sha256(Buffer.from([1]), hash, step);
		[at, last] = [at >> 1n, last >> 1n];
	}
	must(last === 0n, "the proof is too short");
	return hash;
};

// Prices are in 1e-12 dollars, amounts in 1e-9: one rounding, up.
const due = (row: Field[], price: Field[]) => {
	const geo = number(row, "flags") & 16n ? number(price, "geo_us_x100") : 100n;
	let tokens = 0n, pico = number(price, "request_nano") * 1000n;
	for (const [name, , value] of row) {
		if (name.startsWith("tokens_")) tokens += BigInt(value) * number(price, `pico_${name.slice(7)}`);
		if (name.startsWith("tools_")) pico += BigInt(value) * 1000n * number(price, `nano_${name.slice(6)}`);
	}
	pico += geo === 0n || geo === 100n ? tokens : (tokens * geo + 99n) / 100n;
	return (pico + 999n) / 1000n + number(row, "legs_nano");
};

export function verifyReceipt(r: Receipt, publicKey: string): void {
	must(r.receipt === "lethe receipt 1", "not a receipt");
	const leaf = sha256(Buffer.from([0]), encode(r.row)), root = hex(r.head.root);
	must(leaf.toString("hex") === r.leaf.hash, "the row is not what its leaf says");
	must(rootOf(leaf, r.leaf.number, r.head.size, r.proof).equals(root), "the leaf is not in the tree");
	const text = `${r.head.origin}\n${r.head.size}\n${root.toString("base64")}\ntime_us ${r.head.time_us}\n`;
	const key = createPublicKey({ key: Buffer.concat([hex("302a300506032b6570032100"), hex(publicKey)]), format: "der", type: "spki" });
	must(verify(null, Buffer.from(text), key, hex(r.head.signature)), "the head was not signed with this key");
	must(r.head.text === text && r.head.time === time(BigInt(r.head.time_us)), "the head's text or time is not what was signed");
	for (const [name, said] of Object.entries(wordsOf(r.row))) must(r[name as keyof Receipt] === said, `${name} in front is not that of the row that was signed`);
	const cost = number(r.row, "cost_nano");
	if (!r.price) return must(cost === 0n, "it charges something and has no price row");
	must(sha256(encode(r.price)).toString("hex") === r.row.find((f) => f[0] === "price_row")?.[2], "the price row is not the one that was signed");
	must(cost <= due(r.row, r.price), "more was charged than the usage costs");
}

// A stream has it at its end, and what stands in the answer before it is anybody's words: the last counts.
export function readReceipt(text: string): Receipt {
	const inline = [...text.matchAll(/\.[0-9a-f]{32}\.(eyJ[\w-]+)/g)].at(-1);
	return JSON.parse(inline ? Buffer.from(inline[1]!, "base64url").toString() : text) as Receipt;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
	const receipt = readReceipt(readFileSync(process.argv[2]!, "utf8"));
	verifyReceipt(receipt, process.argv[3]!);
	console.log(`holds: ${receipt.request} of ${receipt.account}, begun ${receipt.started}, ended as ${receipt.end_reason}, was booked for $${receipt.cost}`);
}
