// Checks a receipt of GET /v1/receipts/{id}, offline, with nothing but Node's crypto:
//   node verify_receipt.mts receipt.json PUBLIC_KEY_HEX     the key is what the gateway published (`lethe receipt key`); Node 22.18 or later
// or one that came with an answer (`lethe-receipt: inline`): the header's value, the stream's last comment, or all that was answered.
// Holds: the row is what was signed; it is in the log whose head was signed; usage × price row is at least what was charged.
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

type Field = [name: string, bytes: number, value: string];
export type Receipt = {
	receipt: string;
	request: string;
	cost: string;
	row: Field[];
	price: Field[] | null;
	leaf: { number: number; hash: string };
	proof: string[];
	head: { origin: string; size: number; root: string; time_us: number; signature: string };
};

const sha256 = (...parts: Uint8Array[]) => createHash("sha256").update(Buffer.concat(parts)).digest();
const hex = (text: string) => {
	if (!/^([0-9a-f]{2})*$/.test(text)) throw new Error(`not hexadecimal: ${text}`);
	return Buffer.from(text, "hex");
};
const must = (holds: boolean, otherwise: string) => {
	if (!holds) throw new Error(otherwise);
};

// Names and widths are hashed in front of the values: a value can't be shown under another name.
const encode = (fields: Field[]) => {
	must(new Set(fields.map((f) => f[0])).size === fields.length, "a field stands twice");
	must(fields.every(([name, bytes]) => /^[a-z0-9_]+$/.test(name) && [1, 2, 4, 8, 32].includes(bytes)), "not a field");
	const values = fields.map(([name, bytes, value]) => {
		must(bytes === 32 ? value.length === 64 : /^(0|[1-9]\d*)$/.test(value) && BigInt(value) < 1n << BigInt(8 * bytes), `${name} does not fit`);
		return hex(bytes === 32 ? value : BigInt(value).toString(16).padStart(2 * bytes, "0"));
	});
	return Buffer.concat([sha256(Buffer.from(fields.map(([name, bytes]) => `${name}:${bytes}\n`).join(""))), ...values]);
};
const number = (fields: Field[], name: string) => BigInt(fields.find((f) => f[0] === name)?.[2] ?? 0);

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
	const leaf = sha256(Buffer.from([0]), encode(r.row));
	must(leaf.toString("hex") === r.leaf.hash, "the row is not what its leaf says");
	const root = hex(r.head.root);
	must(rootOf(leaf, r.leaf.number, r.head.size, r.proof).equals(root), "the leaf is not in the tree");
	const text = `${r.head.origin}\n${r.head.size}\n${root.toString("base64")}\ntime_us ${r.head.time_us}\n`;
	const key = createPublicKey({ key: Buffer.concat([hex("302a300506032b6570032100"), hex(publicKey)]), format: "der", type: "spki" });
	must(verify(null, Buffer.from(text), key, hex(r.head.signature)), "the head was not signed with this key");
	const cost = number(r.row, "cost_nano");
	must(r.cost === `${cost / 1000000000n}.${(cost % 1000000000n).toString().padStart(9, "0")}`, "the cost in front is not the one that was signed");
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
	console.log(`holds: ${receipt.request} was booked for $${receipt.cost}`);
}
