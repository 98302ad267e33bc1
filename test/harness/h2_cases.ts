import { readFileSync } from "node:fs";
import { join } from "node:path";
import { field, flags, frame, preface, types } from "./h2_raw.ts";
import { root } from "./paths.ts";

// What a case does: bytes to say, or something to wait for.
export type Step = { say: Buffer } | { await: string };
export type H2Case = { source: string; id: string; line: number; tag: string; bare: boolean; steps: Step[]; expect: string[] };

// json and TAG stand for a good request's body and for what tells it from those of other cases: the case's line.
export type Filling = { key: string; body: (tag: string) => string };

// \r \n \0 \s \xNN, and \{TEXT*N}: as in the cases of HTTP/1.
function bytes(text: string): Buffer {
	const escapes: Record<string, string> = { r: "\r", n: "\n", t: "\t", 0: "\0", s: " ", "\\": "\\" };
	const plain = text
		.replace(/\\\{([^}]*)\*(\d+)\}/g, (_, what: string, count: string) => what.repeat(Number(count)))
		.replace(/\\(?:x([0-9a-f]{2})|(.))/g, (_, hex: string | undefined, letter: string) => {
			if (hex) return String.fromCharCode(Number.parseInt(hex, 16));
			if (escapes[letter] === undefined) throw new Error(`not an escape: \\${letter}`);
			return escapes[letter];
		});
	return Buffer.from(plain, "latin1");
}

function u32(value: number): Buffer {
	const out = Buffer.alloc(4);
	out.writeUInt32BE(value >>> 0);
	return out;
}

class Reader {
	readonly words = new Map<string, string[]>();
	readonly cases: H2Case[] = [];
	readonly filling: Filling;
	readonly #base: number;
	#lines: { text: string; line: number }[] = [];
	#tag = "";
	#head: { source: string; id: string; line: number } | undefined;

	// Streams written 1+ begin at 1 + base.
	constructor(filling: Filling, base: number) {
		this.filling = filling;
		this.#base = base;
	}

	read(text: string): H2Case[] {
		let word: string[] | undefined;
		text.split("\n").forEach((line, i) => {
			if (line.startsWith("#") || line === "" || line.startsWith("; ")) return;
			const begins = /^== (\S+) (.*)$/.exec(line);
			const defines = /^@@(.*)$/.exec(line);
			if (begins || defines) this.#end();
			if (begins) this.#head = { source: begins[1]!, id: begins[2]!, line: i + 1 };
			if (defines) this.words.set(defines[1]!, (word = []));
			else if (begins) word = undefined;
			else if (word) word.push(line.trim());
			else this.#lines.push({ text: line, line: i + 1 });
		});
		this.#end();
		return this.cases;
	}

	#end(): void {
		if (this.#head) this.#case(this.#head, this.#lines);
		this.#head = undefined;
		this.#lines = [];
	}

	#case(head: { source: string; id: string; line: number }, lines: { text: string; line: number }[]): void {
		const outcome = lines.find(({ text }) => text.startsWith("-> "));
		if (!outcome) throw new Error(`line ${head.line}: no outcome`);
		this.#tag = String(head.line).padStart(4, "0");
		const steps: Step[] = [];
		const rest = lines.filter((one) => one !== outcome);
		while (rest.length) steps.push(...this.#step(rest));
		const bare = lines[0]?.text === "BARE";
		this.cases.push({ ...head, tag: this.#tag, bare, steps, expect: outcome.text.slice(3).split(", ") });
	}

	// One line, with the indented ones below it, or all up to END. Streams move on by two with each round of a REPEAT.
	#step(rest: { text: string; line: number }[], shift = this.#base): Step[] {
		const { text, line } = rest.shift()!;
		const payload: string[] = [];
		while (rest[0]?.text.startsWith("\t")) payload.push(rest.shift()!.text.trim());
		const [word, ...args] = text.split(" ");
		try {
			if (word === "BARE") return [];
			if (word === "AWAIT") return [{ await: args.join(" ") }];
			if (word === "PREFACE") return [{ say: preface }];
			if (word === "BYTES") return [{ say: this.#payload(payload) }];
			if (word === "REPEAT") return this.#repeat(rest, Number(args[0]));
			return [{ say: this.#frame(word!, args, payload, shift) }];
		} catch (error) {
			throw new Error(`line ${line}: ${text}: ${(error as Error).message}`);
		}
	}

	#repeat(rest: { text: string; line: number }[], count: number): Step[] {
		const end = rest.findIndex(({ text }) => text === "END");
		const block = rest.splice(0, end + 1).slice(0, -1);
		return Array.from({ length: count }, (_, i) => {
			const copy = [...block];
			const out: Step[] = [];
			while (copy.length) out.push(...this.#step(copy, this.#base + 2 * i));
			return out;
		}).flat();
	}

	// TYPE STREAM FLAG... length=N: 7 is a stream, 7+ one that a REPEAT moves, 7= one that only the base does.
	#frame(name: string, args: string[], lines: string[], shift: number): Buffer {
		const type = name.startsWith("0x") ? Number(name) : types.indexOf(name);
		if (type < 0) throw new Error("not a type");
		const [stream, ...more] = args;
		const length = more.find((word) => word.startsWith("length="));
		const bits = more
			.filter((word) => word !== length)
			.map((word) => {
				const bit = word.startsWith("0x") ? Number(word) : flags[word];
				if (bit === undefined) throw new Error(`not a flag: ${word}`);
				return bit;
			});
		const payload = this.#payload(lines);
		const moved = { "+": shift, "=": this.#base }[stream!.at(-1)!] ?? 0;
		const id = Number.parseInt(stream!, 10) + moved;
		return frame(type, bits.reduce((all, bit) => all | bit, 0), id, payload, length ? Number(length.slice(7)) : payload.length);
	}

	#payload(lines: string[]): Buffer {
		return Buffer.concat(lines.map((line) => this.#part(line)));
	}

	#part(line: string): Buffer {
		if (line.startsWith("@")) {
			const word = this.words.get(line.slice(1));
			if (!word) throw new Error(`not a word: ${line}`);
			return this.#payload(word);
		}
		const [what, value] = [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)];
		if (line === "json") return Buffer.from(this.filling.body(this.#tag));
		if (what === "hex") return Buffer.from(value.replaceAll(" ", ""), "hex");
		if (what === "u8") return Buffer.from([Number(value)]);
		if (what === "u32") return u32(Number(value));
		if (what === "text") return bytes(value.replace("TAG", this.#tag));
		if (what === "setting") {
			const [id, number] = value.split(" ");
			return Buffer.concat([Buffer.from([0, Number(id)]), u32(Number(number))]);
		}
		const colon = line.indexOf(": ", 1);
		if (colon < 0) throw new Error(`not a field: ${line}`);
		return field(bytes(line.slice(0, colon)), bytes(line.slice(colon + 2).replace("KEY", this.filling.key)));
	}
}

export function h2Cases(filling: Filling, file = "h2.txt", base = 0): H2Case[] {
	return new Reader(filling, base).read(readFileSync(join(root, "test/hostile", file), "utf8"));
}
