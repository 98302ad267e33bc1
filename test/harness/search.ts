import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";

const letters = (n: number) => Array.from({ length: n }, () => "abcdefghijkmnpqrstuvwxyz"[Math.floor(Math.random() * 24)]).join("");

// Every mark of one set carries the same sixteen random letters, so that one search looks for all of them.
export class Marks {
	// A k makes its two hex forms differ, whatever the other letters are.
	readonly common = `k${letters(15)}`;
	readonly words: string[] = [];
	// In every form in which it could lie around.
	readonly forms: [string, Buffer][];

	constructor() {
		const hex = Buffer.from(this.common).toString("hex");
		this.forms = [
			["raw", Buffer.from(this.common)],
			["UTF-16", Buffer.from(this.common, "utf16le")],
			["hex", Buffer.from(hex)],
			["HEX", Buffer.from(hex.toUpperCase())],
			...[0, 1, 2].map((shift): [string, Buffer] => [`base64 at ${shift}`, base64At(this.common, shift)]),
		];
	}

	// A word to plant. It has a quote and a letter outside ASCII, so that its escaped form differs from the raw one.
	plant(place: string): string {
		const word = `canary-${place}-"${this.common}${letters(8)}"-ö`;
		this.words.push(word);
		return word;
	}

	// The same for where only plain letters go.
	plantPlain(place: string): string {
		const word = `canary${place.replace(/\W/g, "")}${this.common}`;
		this.words.push(word);
		return word;
	}
}

// Where in a group of three the word begins decides its base64; what is certain is its middle.
function base64At(word: string, shift: number): Buffer {
	const text = Buffer.concat([Buffer.alloc(shift), Buffer.from(word)]).toString("base64").replace(/=+$/, "");
	return Buffer.from(text.slice(shift ? 4 : 0, -2));
}

export type Finding = { form: string; where: string; around: string };

export function searchBytes(bytes: Buffer, marks: Marks, where: string, found: Finding[]): void {
	for (const [form, pattern] of marks.forms) {
		const at = bytes.indexOf(pattern);
		if (at >= 0) found.push({ form, where, around: bytes.toString("latin1", Math.max(0, at - 60), at + 60).replace(/[^\x20-\x7e]/g, ".") });
	}
}

export function searchFolder(folder: string, marks: Marks, found: Finding[] = []): Finding[] {
	for (const entry of readdirSync(folder, { withFileTypes: true })) {
		const path = join(folder, entry.name);
		searchBytes(Buffer.from(entry.name), marks, `the name of ${path}`, found);
		if (entry.isDirectory()) searchFolder(path, marks, found);
		else if (entry.isFile()) searchBytes(readFileSync(path), marks, path, found);
	}
	return found;
}

export type MemorySearch = { found: Finding[]; readBytes: number; sealedBytes: number };

const page = 4096;
const step = 4 << 20;
const overlap = 256;

// Everything that root can read of a process' memory. Secret memory answers with an error: it is counted, not searched.
export function searchProcess(pid: number, marks: Marks): MemorySearch {
	const result: MemorySearch = { found: [], readBytes: 0, sealedBytes: 0 };
	const memory = openSync(`/proc/${pid}/mem`, "r");
	const pagemap = openSync(`/proc/${pid}/pagemap`, "r");
	try {
		for (const line of readFileSync(`/proc/${pid}/maps`, "utf8").split("\n")) {
			const match = /^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \d+\s*(.*)$/.exec(line);
			if (!match || match[3] === "[vvar]" || match[3] === "[vvar_vclock]" || match[3] === "[vsyscall]") continue;
			for (const [from, to] of touched(pagemap, Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)))
				searchRange(memory, from, to, `process ${pid}, ${match[3] || "anonymous"}`, marks, result);
		}
	} finally {
		closeSync(memory);
		closeSync(pagemap);
	}
	for (const file of ["cmdline", "environ", "comm", "status"])
		searchBytes(readFileSync(`/proc/${pid}/${file}`), marks, `/proc/${pid}/${file}`, result.found);
	return result;
}

// Runs of pages that are in memory or in swap: what was never touched holds nothing.
function* touched(pagemap: number, from: number, to: number): Generator<[number, number]> {
	const entries = Buffer.alloc((step / page) * 8);
	let start = -1;
	for (let at = from; at < to; at += step) {
		const pages = Math.min(step, to - at) / page;
		const got = readSync(pagemap, entries, 0, pages * 8, (at / page) * 8) / 8;
		for (let i = 0; i < got; i++) {
			const here = (entries[i * 8 + 7]! & 0xc0) !== 0;
			if (here && start < 0) start = at + i * page;
			if (!here && start >= 0) {
				yield [start, at + i * page];
				start = -1;
			}
		}
	}
	if (start >= 0) yield [start, to];
}

function searchRange(memory: number, from: number, to: number, where: string, marks: Marks, result: MemorySearch): void {
	const buffer = Buffer.alloc(Math.min(step + overlap, to - from));
	for (let at = from; at < to; at += step) {
		const want = Math.min(step + overlap, to - at);
		try {
			const got = readSync(memory, buffer, 0, want, at);
			searchBytes(buffer.subarray(0, got), marks, where, result.found);
			result.readBytes += got;
		} catch {
			result.sealedBytes += want;
		}
	}
}
