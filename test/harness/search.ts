import { closeSync, openSync, readFileSync, readSync } from "node:fs";

// What is looked for: a name and its bytes.
export type Pattern = [string, Buffer];
export type MemorySearch = { found: string[]; readBytes: number };

const page = 4096;
const step = 4 << 20;
const overlap = 256;

// For single secrets in the memory of one process; for content there is `lethe prove`. Secret memory answers with an error and is passed over.
export function searchProcess(pid: number, patterns: Pattern[]): MemorySearch {
	const result: MemorySearch = { found: [], readBytes: 0 };
	const memory = openSync(`/proc/${pid}/mem`, "r");
	const pagemap = openSync(`/proc/${pid}/pagemap`, "r");
	try {
		for (const line of readFileSync(`/proc/${pid}/maps`, "utf8").split("\n")) {
			const match = /^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \d+\s*(.*)$/.exec(line);
			if (!match || match[3] === "[vvar]" || match[3] === "[vvar_vclock]" || match[3] === "[vsyscall]") continue;
			for (const [from, to] of touched(pagemap, Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)))
				searchRange(memory, from, to, `process ${pid}, ${match[3] || "anonymous"}`, patterns, result);
		}
	} finally {
		closeSync(memory);
		closeSync(pagemap);
	}
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

function searchRange(memory: number, from: number, to: number, where: string, patterns: Pattern[], result: MemorySearch): void {
	const buffer = Buffer.alloc(Math.min(step + overlap, to - from));
	for (let at = from; at < to; at += step) {
		const want = Math.min(step + overlap, to - at);
		try {
			const got = readSync(memory, buffer, 0, want, at);
			for (const [name, bytes] of patterns) if (buffer.subarray(0, got).includes(bytes)) result.found.push(`${name} in ${where}`);
			result.readBytes += got;
		} catch {
			// Sealed.
		}
	}
}
