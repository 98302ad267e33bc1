// The process that has the private keys: what ends with it, and what must not notice.
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { patched } from "../harness/binaries.ts";
import { certificates, trustAuthority } from "../harness/certificates.ts";
import { isSanitized, Lethe } from "../harness/lethe.ts";
import { removeFolder, temporaryFolder } from "../harness/paths.ts";
import { post, Raw } from "../harness/raw.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const mebibyte = 1024; // of kB, as /proc says it
const question = JSON.stringify({ model: "exact", messages: [{ role: "user", content: "hi" }] });

// A full handshake with whoever answers: the serial number of its certificate, or nothing.
function handshake(url: string): Promise<string | undefined> {
	const { hostname, port } = new URL(url);
	return new Promise((resolve) => {
		const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
			const serial = socket.getPeerCertificate().serialNumber;
			socket.destroy();
			resolve(serial);
		});
		socket.on("error", () => resolve(undefined));
		socket.on("close", () => resolve(undefined));
	});
}

// Handshakes without a pause, until it is told to stop.
class Handshakes {
	#going = true;
	done = 0;
	failed = 0;
	readonly serials = new Set<string>();
	readonly #all: Promise<void>[];
	constructor(url: string) {
		this.#all = [1, 2].map(() => this.#go(url));
	}
	async #go(url: string): Promise<void> {
		while (this.#going) {
			const serial = await handshake(url);
			this.done++;
			if (serial === undefined) this.failed++;
			else this.serials.add(serial);
		}
	}
	// So many more.
	async more(n: number): Promise<void> {
		const from = this.done;
		await until("handshakes", () => this.done >= from + n);
	}
	async stop(): Promise<void> {
		this.#going = false;
		await Promise.all(this.#all);
	}
}

const memoryOf = (pid: number) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
const other = temporaryFolder();
let folder: string, w: World, key: string, certificate: string;

function use(from: { certificate: string; key: string }): void {
	copyFileSync(from.certificate, certificate);
	copyFileSync(from.key, key);
}

beforeAll(() => {
	certificates(other);
});
afterAll(() => removeFolder(other));

beforeEach(async () => {
	folder = temporaryFolder();
	[certificate, key] = [join(folder, "c.pem"), join(folder, "k.pem")];
	use(trustAuthority());
	w = await world({ tls: true, edges: 2, config: { tls: { listen: ["127.0.0.1:0"], certificates: [{ certificate, key }] } } });
});
afterEach(async () => {
	await w?.end();
	removeFolder(folder);
});

// It has begun, and takes as long as somebody lets it.
async function running(script: string): Promise<Raw> {
	const raw = await Raw.open(w.lethe.url);
	raw.say(post(w.customer.key, JSON.stringify({ ...JSON.parse(question), stream: true }), { "x-sim": script }));
	await raw.when("it begins", () => raw.received.includes("data: "));
	return raw;
}

describe("the signer", () => {
	test("is one small process beside the edges, and none where nobody speaks TLS", async () => {
		const [pid] = w.lethe.children("signer");
		expect(w.lethe.children("signer")).toHaveLength(1);
		expect(await handshake(w.lethe.url)).toBeDefined();
		if (!isSanitized()) expect(memoryOf(pid!)).toBeLessThanOrEqual(10 * mebibyte);
		expect(await (await fetch(`${w.lethe.url}/transparency`)).json()).toMatchObject({ tls_private_keys: "in the signer alone" });
		const plain = await Lethe.start({ sim: w.sim, edges: 1 });
		expect(plain.children("edge")).toHaveLength(1);
		expect(plain.children("signer")).toEqual([]);
		await plain.finish();
	});

	test("killed under load: handshakes in progress fail, and nothing else; a new one signs", async () => {
		const edges = w.lethe.children("edge");
		const stream = await running("chunks=40,gap_ms=50");
		const load = new Handshakes(w.lethe.url);
		await load.more(10);
		expect(load.failed).toBe(0);
		for (let n = 0; n < 2; n++) {
			const [pid] = w.lethe.children("signer");
			process.kill(pid!, "SIGKILL");
			await until("another signer", () => w.lethe.children("signer").some((one) => one !== pid));
			await until("it signs", async () => (await handshake(w.lethe.url)) !== undefined);
			const failed = load.failed;
			await load.more(10);
			expect(load.failed).toBeLessThanOrEqual(failed + 2); // those that had begun
		}
		await load.stop();
		await stream.when("its end", () => stream.received.includes("[DONE]"));
		stream.close();
		expect(w.lethe.children("edge")).toEqual(edges);
		await until("both deaths are told, and no other", () => w.lethe.events("CHILD_DIED") === 2);
	});

	test("that stands still holds up one handshake of each edge, and who is connected is served; then it goes on", async () => {
		const [pid] = w.lethe.children("signer");
		const connected = await Raw.open(w.lethe.url);
		process.kill(pid!, "SIGSTOP");
		try {
			await until("an edge has waited", async () => (await handshake(w.lethe.url)) === undefined && w.lethe.events("SIGNER_SILENT") > 0);
			connected.say(post(w.customer.key, question));
			expect((await connected.answer()).status).toBe(200);
		} finally {
			process.kill(pid!, "SIGCONT");
		}
		await until("it signs", async () => (await handshake(w.lethe.url)) !== undefined);
		expect(w.lethe.children("signer")).toEqual([pid]);
		expect(w.lethe.events("CHILD_DIED")).toBe(0);
		connected.close();
	});
});

describe("no handshake fails", () => {
	test("while certificates are renewed: the keys are there before them", async () => {
		const load = new Handshakes(w.lethe.url);
		for (let n = 1; n <= 6; n++) {
			use(n % 2 ? { certificate: join(other, "server.pem"), key: join(other, "server-key.pem") } : trustAuthority());
			w.lethe.signal("SIGHUP");
			await until("both edges have it", () => w.lethe.events("TLS_RENEWED") === 2 * n);
			await load.more(8);
		}
		await load.stop();
		expect(load.failed).toBe(0);
		expect(load.serials.size).toBe(2);
		expect(w.lethe.events("CHILD_DIED")).toBe(0);
	});

	test("when the signer dies over a renewal, but its own: its successor takes the keys up, and the certificates follow", async () => {
		const before = await handshake(w.lethe.url);
		const [pid] = w.lethe.children("signer");
		process.kill(pid!, "SIGSTOP"); // the keys lie before it, unread
		use({ certificate: join(other, "server.pem"), key: join(other, "server-key.pem") });
		w.lethe.signal("SIGHUP");
		process.kill(pid!, "SIGKILL");
		await until("the new certificate is shown, and signed for", async () => ![undefined, before].includes(await handshake(w.lethe.url)));
		const [next] = w.lethe.children("signer");
		process.kill(next!, "SIGKILL"); // what is in force now, its successor starts with
		await until("another signer", () => w.lethe.children("signer").some((one) => one !== next));
		await until("it signs", async () => (await handshake(w.lethe.url)) !== undefined);
		expect(await handshake(w.lethe.url)).not.toBe(before);
		await until("both deaths are told, and no other", () => w.lethe.events("CHILD_DIED") === 2);
	});

	test("while a generation follows another, with a signer of its own", async () => {
		const load = new Handshakes(w.lethe.url);
		await load.more(4);
		const [before] = w.lethe.children("signer");
		w.lethe.configure((config) => Object.assign(config, { timeouts: { drain: "5s" } }));
		expect((await w.lethe.reload()).status).toBe(0);
		await until("the old ones have ended", () => w.lethe.children("signer").length === 1 && !w.lethe.children("signer").includes(before!));
		await load.more(8);
		await load.stop();
		expect(load.failed).toBe(0);
		expect(w.lethe.events("CHILD_DIED")).toBe(0);
	});

	test("while the binary is replaced", async () => {
		const load = new Handshakes(w.lethe.url);
		await load.more(4);
		const [before] = w.lethe.children("signer");
		expect((await w.lethe.upgrade()).status).toBe(0);
		await until("the old ones have ended", () => w.lethe.children("signer").length === 1 && !w.lethe.children("signer").includes(before!));
		await load.more(8);
		await load.stop();
		expect(load.failed).toBe(0);
		expect(w.lethe.events("CHILD_DIED")).toBe(0);
	});

	test.each([
		["whose children can't be started", "/proc/self/exe", "/proc/self/exf"],
		["whose supervisor ends before it is one", "wake_eventfd", "wake_eventfb"],
	])("while a binary is tried %s, and afterwards", async (_, from, to) => {
		const load = new Handshakes(w.lethe.url);
		await load.more(4);
		const signers = w.lethe.children("signer");
		expect((await w.lethe.upgrade(patched(w.lethe.dir, "bad", from, to))).status).toBe(1);
		expect(w.lethe.children("signer")).toEqual(signers);
		await load.more(4);
		// What the old binary has become hands over renewed keys, and starts who dies.
		use({ certificate: join(other, "server.pem"), key: join(other, "server-key.pem") });
		const before = load.serials.size;
		w.lethe.signal("SIGHUP");
		await until("the new certificate is shown", () => load.serials.size > before);
		await load.more(8);
		await load.stop();
		expect(load.failed).toBe(0);
		process.kill(signers[0]!, "SIGKILL");
		await until("it signs", async () => (await handshake(w.lethe.url)) !== undefined);
		expect(w.lethe.children("signer")).not.toEqual(signers);
	});
});
