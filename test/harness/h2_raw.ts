import { Raw } from "./raw.ts";
import { patienceMs } from "./until.ts";

// HTTP/2 by hand (RFC 9113): frames as they are told, however wrong, and the least that must be understood of what comes back.

export const types = ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"];
export const flags: Record<string, number> = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 };
export const errors = [
	"NO_ERROR",
	"PROTOCOL_ERROR",
	"INTERNAL_ERROR",
	"FLOW_CONTROL_ERROR",
	"SETTINGS_TIMEOUT",
	"STREAM_CLOSED",
	"FRAME_SIZE_ERROR",
	"REFUSED_STREAM",
	"CANCEL",
	"COMPRESSION_ERROR",
	"CONNECT_ERROR",
	"ENHANCE_YOUR_CALM",
	"INADEQUATE_SECURITY",
	"HTTP_1_1_REQUIRED",
];
export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export type Frame = { type: number; flags: number; stream: number; payload: Buffer };

export function frame(type: number, flagBits: number, stream: number, payload: Buffer, length = payload.length): Buffer {
	const head = Buffer.alloc(9);
	head.writeUIntBE(length, 0, 3);
	head[3] = type;
	head[4] = flagBits;
	head.writeUInt32BE(stream >>> 0, 5);
	return Buffer.concat([head, payload]);
}

// RFC 7541 5.1, behind `bits` bits that are taken by `first`.
function integer(first: number, bits: number, value: number): Buffer {
	const most = (1 << bits) - 1;
	if (value < most) return Buffer.from([first | value]);
	const out = [first | most];
	for (value -= most; value >= 128; value = Math.floor(value / 128)) out.push((value % 128) | 128);
	return Buffer.from([...out, value]);
}

// A literal field without indexing, with a new name, in plain letters (RFC 7541 6.2.2).
export function field(name: Buffer, value: Buffer): Buffer {
	return Buffer.concat([Buffer.from([0]), integer(0, 7, name.length), name, integer(0, 7, value.length), value]);
}

// Huffman codes of the digits (RFC 7541, appendix B): 0 to 2 have five bits, the others six.
function digits(bytes: Buffer): string {
	let bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
	let text = "";
	while (bits.length >= 5 && !/^1+$/.test(bits)) {
		const five = Number.parseInt(bits.slice(0, 5), 2);
		const short = five < 3;
		text += short ? five : Number.parseInt(bits.slice(0, 6), 2) - 0x19 + 3;
		bits = bits.slice(short ? 5 : 6);
	}
	return text;
}

const indexed = [200, 204, 206, 304, 400, 404, 500];

// :status of an answer's fields, whose encoder was told to keep no table. It is the first of them.
export function status(block: Buffer): number {
	let at = 0;
	while ((block[at]! & 0xe0) === 0x20) at++; // table size updates: to zero, one byte
	if (block[at]! & 0x80) return indexed[(block[at]! & 0x7f) - 8] ?? 0;
	const length = block[at + 1]! & 0x7f;
	const value = block.subarray(at + 2, at + 2 + length);
	return Number(block[at + 1]! & 0x80 ? digits(value) : value.toString("latin1"));
}

export type Stream = { status: number; body: Buffer; ended: boolean; reset?: string };

// A connection that keeps what each stream got, acknowledges settings and pings, and gives credit when asked to.
export class H2Raw {
	readonly raw: Raw;
	readonly streams = new Map<number, Stream>();
	goaway: string | undefined;
	settings = 0;
	settingsAcked = 0;
	pongs = 0;
	credit = false;
	#blocks = Buffer.alloc(0);

	private constructor(raw: Raw) {
		this.raw = raw;
	}

	static async open(url: string): Promise<H2Raw> {
		return new H2Raw(await Raw.open(url));
	}

	say(bytes: Buffer): void {
		this.raw.say(bytes);
	}

	// Takes in all frames that have come, and asks again with each one that comes until the answer is yes or the connection has ended.
	async until(what: string, probe: () => boolean, withinMs = patienceMs): Promise<void> {
		await this.raw.when(
			what,
			() => {
				for (let next = this.#take(); next; next = this.#take()) this.#on(next);
				return this.raw.closed || probe();
			},
			withinMs,
		);
	}

	#take(): Frame | undefined {
		const bytes = this.raw.received;
		if (bytes.length < 9) return undefined;
		const length = bytes.readUIntBE(0, 3);
		if (bytes.length < 9 + length) return undefined;
		this.raw.received = bytes.subarray(9 + length);
		return { type: bytes[3]!, flags: bytes[4]!, stream: bytes.readUInt32BE(5), payload: bytes.subarray(9, 9 + length) };
	}

	stream(id: number): Stream {
		const found = this.streams.get(id) ?? { status: 0, body: Buffer.alloc(0), ended: false };
		this.streams.set(id, found);
		return found;
	}

	#on(f: Frame): void {
		const name = types[f.type];
		if (name === "SETTINGS" && f.flags & 1) this.settingsAcked++;
		else if (name === "SETTINGS") {
			this.settings++;
			if (!this.raw.socket.writableEnded) this.say(frame(4, 1, 0, Buffer.alloc(0)));
		} else if (name === "PING" && f.flags & 1) this.pongs++;
		else if (name === "GOAWAY") this.goaway = errors[f.payload.readUInt32BE(4)] ?? "unknown";
		else if (name === "RST_STREAM") this.stream(f.stream).reset = errors[f.payload.readUInt32BE(0)] ?? "unknown";
		else if (name === "DATA") this.#data(f);
		else if (name === "HEADERS" || name === "CONTINUATION") this.#headers(f);
	}

	#data(f: Frame): void {
		const stream = this.stream(f.stream);
		stream.body = Buffer.concat([stream.body, f.payload]);
		stream.ended ||= (f.flags & 1) !== 0;
	}

	#headers(f: Frame): void {
		const stream = this.stream(f.stream);
		this.#blocks = Buffer.concat([this.#blocks, f.payload]);
		if (f.flags & 1) stream.ended = true;
		if (!(f.flags & 4)) return;
		stream.status ||= status(this.#blocks);
		this.#blocks = Buffer.alloc(0);
	}

	close(): void {
		this.raw.close();
	}
}
