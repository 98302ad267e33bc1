import { spawn, spawnSync } from "node:child_process";
import { statSync, writeFileSync, existsSync, readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { trustAuthority } from "../harness/certificates.ts";
import { type Json, Lethe } from "../harness/lethe.ts";
import { letheBinary, removeFolder, temporaryFolder } from "../harness/paths.ts";
import { get, sum } from "../harness/metrics.ts";
import { local, proxied, ProxyHeader } from "../harness/proxies.ts";
import { post, Raw } from "../harness/raw.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const folder = temporaryFolder();
afterAll(() => removeFolder(folder));

const hi = JSON.stringify({ model: "exact", messages: [{ role: "user", content: "hi" }] });
const tls = (files = trustAuthority()) => ({ certificates: [{ certificate: files.certificate, key: files.key }] });

describe("listeners", () => {
	let w: World;
	const socket = join(folder, "lethe.sock"), strict = join(folder, "strict.sock");
	beforeAll(async () => {
		w = await world({
			config: {
				listen: ["127.0.0.1:0", `unix:${socket}`],
				tls: { listen: ["127.0.0.1:0"], ...tls() },
				listeners: [{ at: `unix:${strict}`, mode: "600", tls: true }, { at: "[::1]:0", tls: true }, { at: "[::]:0", dual_stack: true }, { at: "[::]:0" }],
			},
		});
	});
	afterAll(() => w?.end());

	const answered = async (raw: Raw) => {
		raw.say(post(w.customer.key, hi));
		const { status } = await raw.answer();
		raw.close();
		return status;
	};

	const allAnswer = async () => {
		const urls = w.lethe.endpoints();
		expect(await answered(await Raw.open(urls[0]!))).toBe(200);
		expect(await answered(await Raw.over(local(socket)))).toBe(200);
		expect(await answered(await Raw.open(urls[2]!))).toBe(200);
		expect(await answered(await Raw.over(local(strict), { tls: true }))).toBe(200);
		expect(await answered(await Raw.open(urls[4]!.replace("[::1]", "localhost"), "::1"))).toBe(200);
	};

	test("all of them answer: IPv4, IPv6, Unix sockets, with TLS and without", async () => {
		const urls = w.lethe.endpoints();
		expect(urls.map((url) => url.replace(/\d+$/, "PORT"))).toEqual([
			"http://127.0.0.1:PORT",
			`unix:${socket}`,
			"https://127.0.0.1:PORT",
			`unix:${strict}`,
			"https://[::1]:PORT",
			"http://[::]:PORT",
			"http://[::]:PORT",
		]);
		await allAnswer();
	});

	test("all of them go on when the server becomes another binary", async () => {
		const before = w.lethe.endpoints(), running = await Raw.open(before[2]!);
		running.say(post(w.customer.key, JSON.stringify({ ...JSON.parse(hi), stream: true }), { "x-sim": "chunks=20,gap_ms=50" }));
		await until("it runs", () => running.received.includes("data:"));
		for (let round = 0; round < 2; round++) expect((await w.lethe.upgrade()).status).toBe(0);
		expect(w.lethe.endpoints()).toEqual(before);
		await allAnswer();
		expect((await running.answer()).body.toString()).toContain("[DONE]");
		expect(existsSync(strict)).toBe(true);
	});

	test("[::] takes IPv4 only where it is told to", async () => {
		const urls = w.lethe.endpoints();
		expect(await answered(await Raw.open(urls[5]!.replace("[::]", "127.0.0.1")))).toBe(200);
		await expect(Raw.open(urls[6]!.replace("[::]", "127.0.0.1"))).rejects.toThrow("refused");
	});

	test("a Unix socket has its mode, and goes with the server", async () => {
		expect((statSync(socket).mode & 0o777).toString(8)).toBe("660");
		expect((statSync(strict).mode & 0o777).toString(8)).toBe("600");
		const own = join(folder, "own.sock");
		const other = await Lethe.start({ sim: w.sim, config: { listen: ["127.0.0.1:0", `unix:${own}`] } });
		expect(existsSync(own)).toBe(true);
		await other.stop();
		expect(existsSync(own)).toBe(false);
		await other.finish();
	});

	test("what is in the way of a Unix socket: a dead server's is replaced, a living one's and a file are not", async () => {
		const start = (path: string) =>
			Lethe.start({ sim: w.sim, config: { listen: ["127.0.0.1:0", `unix:${path}`] } }).then(
				async (lethe) => (await lethe.finish(), "started"),
				(error: Error) => error.message,
			);
		const file = join(folder, "file.sock"), dead = join(folder, "dead.sock");
		writeFileSync(file, "");
		expect(await start(file)).toContain("a file that is no socket is there");
		expect(await start(socket)).toContain("another program serves it");
		expect(await start(join(folder, "nowhere", "x.sock"))).toContain("create its folder");
		const child = spawn(process.execPath, ["-e", `require("net").createServer().listen(${JSON.stringify(dead)}, () => process.kill(process.pid, "SIGKILL"))`]);
		await new Promise((resolve) => child.once("exit", resolve));
		expect(existsSync(dead)).toBe(true);
		expect(await start(dead)).toBe("started");
	});

	test("a socket that systemd has opened is used, by its name", async () => {
		const server = createServer();
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		const fd = (server as unknown as { _handle: { fd: number } })._handle.fd;
		const own = temporaryFolder();
		const serve = (at: string) => {
			writeFileSync(join(own, "lethe.yaml"), JSON.stringify({ listeners: [{ at }], edges: 1, providers: [], models: [] }));
			// The shell's own process becomes the server, so that LISTEN_PID is right.
			const child = spawn("sh", ["-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec "$0" serve --config lethe.yaml --data data`, letheBinary], {
				cwd: own,
				stdio: ["ignore", "ignore", "pipe", fd],
			});
			let said = "";
			child.stderr!.on("data", (text) => (said += text));
			return { child, said: () => said, ended: new Promise((resolve) => child.once("close", resolve)) };
		};
		const wrong = serve("systemd:other");
		expect(await wrong.ended).toBe(1);
		expect(wrong.said()).toContain("FileDescriptorName=other");
		const right = serve("systemd:web");
		const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
		await until("it listens there", () => existsSync(join(own, "data", "endpoint")) && readFileSync(join(own, "data", "endpoint"), "utf8") === `${url}\n`);
		server.close(); // Ours; the server has its own.
		expect((await fetch(`${url}/v1/models`)).status).toBe(401);
		const upgrade = spawnSync(letheBinary, ["upgrade", "--data", join(own, "data")], { encoding: "utf8" });
		expect([upgrade.stderr, upgrade.status]).toEqual(["", 0]);
		expect((await fetch(`${url}/v1/models`)).status).toBe(401);
		right.child.kill("SIGTERM");
		expect(await right.ended).toBe(0);
		removeFolder(own);
	});
});

const bad = (n: number) => `lethe_live_${"0".repeat(32)}_${String(n).padStart(6, "0")}`;

async function status(raw: Raw, key: string, headers: Record<string, string> = {}): Promise<number> {
	raw.say(post(key, hi, headers));
	return (await raw.answer()).status;
}

describe("who a trusted proxy speaks for", () => {
	let w: World;
	beforeAll(async () => {
		w = await world({ edges: 1, config: { trusted_proxies: ["127.0.0.1", "198.51.100.0/24"], limits: { bad_keys_per_minute: 3 } } });
	});
	afterAll(() => w?.end());

	// What one request with a wrong key comes to.
	async function guess(headers: Record<string, string>): Promise<number> {
		const raw = await Raw.open(w.lethe.url);
		const answer = await status(raw, bad(1), headers);
		raw.close();
		return answer;
	}

	test("its header tells clients apart, and wrong keys are counted for each", async () => {
		const from = (address: string) => guess({ "X-Forwarded-For": address });
		for (let i = 0; i < 3; i++) expect(await from("203.0.113.1")).toBe(401);
		expect(await from("203.0.113.1")).toBe(429);
		expect(await from("9.9.9.9, 203.0.113.1, 198.51.100.7")).toBe(429);
		expect(await from("203.0.113.1, 203.0.113.2")).toBe(401);
		expect(await from("2001:db8:1:2::3")).toBe(401);
	});

	test("a client can't write itself out of it", async () => {
		for (let i = 0; i < 3; i++) expect(await guess({ "X-Forwarded-For": "203.0.113.3, nonsense" })).toBe(401);
		expect(await guess({ "X-Forwarded-For": "203.0.113.4, unknown" })).toBe(429);
	});

	test("without a header nobody is counted: it is the proxy itself", async () => {
		for (let i = 0; i < 6; i++) expect(await guess({})).toBe(401);
		for (let i = 0; i < 6; i++) expect(await guess({ "CF-Connecting-IP": "203.0.113.5", Forwarded: "for=203.0.113.5" })).toBe(401);
	});

	test("no key at all counts as a wrong one", async () => {
		const headers = { "X-Forwarded-For": "203.0.113.66" };
		for (const expected of [401, 401, 401, 429]) {
			const raw = await Raw.open(w.lethe.url);
			raw.say(post("", hi, headers));
			const answer = await raw.answer();
			raw.close();
			expect(answer.status).toBe(expected);
		}
		expect(await guess(headers)).toBe(429);
	});

	test("too many wrong keys: 429, a time to wait, and the connection ends", async () => {
		const headers = { "X-Forwarded-For": "203.0.113.6" };
		const raw = await Raw.open(w.lethe.url);
		for (let i = 0; i < 3; i++) expect(await status(raw, bad(i), headers)).toBe(401);
		raw.say(post(bad(4), hi, headers));
		const answer = await raw.answer();
		expect([answer.status, answer.headers.get("connection")]).toEqual([429, "close"]);
		const wait = Number(answer.headers.get("retry-after"));
		expect(wait).toBeGreaterThan(0);
		expect(wait).toBeLessThanOrEqual(20); // three a minute
		expect(JSON.parse(answer.body.toString()).error.code).toBe("too_many_bad_keys");
		await raw.ends();
	});

	test("a key that has worked from there goes on working; another one waits, right or not", async () => {
		const headers = { "X-Forwarded-For": "203.0.113.7" };
		const other = await w.lethe.account("other", "10");
		const one = async (key: string) => {
			const raw = await Raw.open(w.lethe.url);
			const answer = await status(raw, key, headers);
			raw.close();
			return answer;
		};
		expect(await one(w.customer.key)).toBe(200);
		for (let i = 0; i < 3; i++) expect(await one(bad(i))).toBe(401);
		expect([await one(bad(4)), await one(other.key), await one(w.customer.key)]).toEqual([429, 429, 200]);
	});

	test("a header of another kind, when it is the configured one", async () => {
		for (const [kind, header, value] of [
			["forwarded", "Forwarded", 'for=9.9.9.9, for="[2001:db8::1]:80";proto=https'],
			["cf-connecting-ip", "CF-Connecting-IP", "203.0.113.9"],
		] as const) {
			const own = await Lethe.start({ sim: w.sim, edges: 1, config: { trusted_proxies: ["127.0.0.1"], client_address: kind, limits: { bad_keys_per_minute: 1 } } });
			const ask = async (headers: Record<string, string>) => {
				const raw = await Raw.open(own.url);
				const answer = await status(raw, bad(1), headers);
				raw.close();
				return answer;
			};
			expect([await ask({ [header]: value }), await ask({ [header]: value }), await ask({ "X-Forwarded-For": "203.0.113.9" })]).toEqual([401, 429, 401]);
			await own.finish();
		}
	});

	test("none of it reaches the provider or what is kept", async () => {
		const address = "203.0.113.77";
		const raw = await Raw.open(w.lethe.url);
		raw.say(post(w.customer.key, hi, { "X-Forwarded-For": address, Forwarded: `for=${address}`, "CF-Connecting-IP": address, "x-sim": "tag=address" }));
		expect((await raw.answer()).status).toBe(200);
		raw.close();
		expect((await w.sim.last("address")).head).not.toContain(address);
		expect(w.lethe.log() + w.lethe.output()).not.toContain(address);
	});
});

describe("who nobody trusts", () => {
	test("headers change nothing", async () => {
		const w = await world({ edges: 1, config: { limits: { bad_keys_per_minute: 1 } } });
		const raw = await Raw.open(w.lethe.url);
		for (let i = 0; i < 4; i++) expect(await status(raw, bad(i), { "X-Forwarded-For": "203.0.113.1" })).toBe(401); // this machine has no limit
		raw.close();
		await w.end();
	});
});

// Closed, and without a word.
function turnedAway(socket: Socket): Promise<boolean> {
	let silent = true;
	socket.on("data", () => (silent = false));
	socket.on("error", () => {});
	return new Promise((resolve) => socket.on("close", () => resolve(silent)));
}

describe("the PROXY protocol", () => {
	let w: World, clear: string, secure: string, metrics: string;
	beforeAll(async () => {
		w = await world({
			edges: 1,
			config: {
				listen: ["127.0.0.1:0"],
				metrics: { listen: "127.0.0.1:0" },
				tls: tls(),
				listeners: [{ at: "127.0.0.1:0", proxy_protocol: true }, { at: "127.0.0.1:0", proxy_protocol: true, tls: true }, { at: `unix:${join(folder, "proxied.sock")}`, proxy_protocol: true }],
				trusted_proxies: ["127.0.0.1", "unix"],
				limits: { connections_per_address: 3, bad_keys_per_minute: 2 },
			},
		});
		[, clear, secure] = w.lethe.endpoints() as [string, string, string];
		metrics = readFileSync(join(w.lethe.data, "endpoint.metrics"), "utf8").trim();
	});
	afterAll(() => w?.end());

	const counted = async (name: string) => sum(await get(metrics), name);

	test("what follows the header is served, in clear text, by TLS and over a Unix socket", async () => {
		for (const raw of [
			await Raw.over(await proxied(clear, ProxyHeader.tcp4("203.0.113.1"))),
			await Raw.over(await proxied(clear, ProxyHeader.tcp6("2001:db8::1"))),
			await Raw.over(await proxied(clear, ProxyHeader.tcp4("203.0.113.2", Buffer.from("0400010000", "hex")))),
			await Raw.over(await proxied(clear, ProxyHeader.local())),
			await Raw.over(await proxied(secure, ProxyHeader.tcp4("203.0.113.3")), { tls: true }),
			await Raw.over(await proxied(join(folder, "proxied.sock"), ProxyHeader.tcp4("203.0.113.4"))),
		]) {
			expect(await status(raw, w.customer.key)).toBe(200);
			raw.close();
		}
	});

	test("it may come in pieces, and together with the request", async () => {
		const header = ProxyHeader.tcp4("203.0.113.1");
		for (const at of [1, 12, 15, 16, 20, header.length]) {
			const raw = await Raw.over(await proxied(clear, header.subarray(0, at)));
			raw.say(Buffer.concat([header.subarray(at), Buffer.from(post(w.customer.key, hi))]));
			expect((await raw.answer()).status).toBe(200);
			raw.close();
		}
	});

	test("a connection without it, or with a wrong one, is closed without a word", async () => {
		const before = await counted("lethe_proxy_headers_refused_total");
		const wrong = [post(w.customer.key, hi), "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", Buffer.from("\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c", "latin1"), Buffer.from([0x16, 3, 1])];
		for (const bytes of wrong) {
			const raw = await Raw.open(clear);
			raw.say(bytes);
			expect((await raw.ends()).length).toBe(0);
		}
		await until("they are counted", async () => (await counted("lethe_proxy_headers_refused_total")) === before + wrong.length);
	});

	test("an address has its number of connections, and no more; others have theirs", async () => {
		const before = await counted("lethe_connections_refused_total");
		const open = async () => Raw.over(await proxied(clear, ProxyHeader.tcp4("203.0.113.30")));
		const three = [await open(), await open(), await open()];
		for (const raw of three) expect(await status(raw, w.customer.key)).toBe(200);
		expect(await turnedAway(await proxied(clear, ProxyHeader.tcp4("203.0.113.30")))).toBe(true);
		const other = await Raw.over(await proxied(clear, ProxyHeader.tcp4("203.0.113.31")));
		expect(await status(other, w.customer.key)).toBe(200);
		three[0]!.close();
		await until("there is room again", () =>
			open().then(
				(raw) =>
					status(raw, w.customer.key).then(
						() => (raw.close(), true),
						() => false,
					),
				() => false,
			),
		);
		expect(await counted("lethe_connections_refused_total")).toBeGreaterThan(before);
		for (const raw of [...three, other]) raw.close();
	});

	test("wrong keys are counted for the address that it names", async () => {
		const guess = async (address: string) => {
			const raw = await Raw.over(await proxied(clear, ProxyHeader.tcp4(address)));
			const answer = await status(raw, bad(1));
			raw.close();
			return answer;
		};
		expect([await guess("203.0.113.40"), await guess("203.0.113.40"), await guess("203.0.113.40"), await guess("203.0.113.41")]).toEqual([401, 401, 429, 401]);
	});

	test("who is not trusted may not connect there", async () => {
		const own = await Lethe.start({ sim: w.sim, config: { listen: ["127.0.0.1:0"], listeners: [{ at: "127.0.0.1:0", proxy_protocol: true }], trusted_proxies: ["192.0.2.1"] } });
		expect(await turnedAway(await proxied(own.endpoints()[1]!, ProxyHeader.tcp4("203.0.113.1")))).toBe(true);
		await own.finish();
	});
});

describe("a changed configuration", () => {
	let w: World;
	beforeAll(async () => {
		w = await world({ edges: 1, config: { listen: ["127.0.0.1:0"], listeners: [{ at: "[::1]:0" }], tls: tls() } });
	});
	afterAll(() => w?.end());

	test("who is trusted, where a proxy speaks first and how many connections an address has", async () => {
		const door = () => w.lethe.endpoints().find((url) => url.includes("[::1]"))!.replace("[::1]", "localhost");
		const open = (header: Buffer) =>
			new Promise<Socket>((resolve) => {
				const socket = connect(Number(new URL(door()).port), "::1");
				socket.write(header, () => resolve(socket));
			});
		const applied = async (change: (config: Json) => void) => {
			w.lethe.configure(change);
			const said = await w.lethe.reload();
			expect(said.stderr).toBe("");
			expect(said.json["result"]).toBe("applied");
		};
		const plain = async () => {
			const raw = await Raw.open(door(), "::1");
			raw.say(post(w.customer.key, hi));
			return raw;
		};
		const kept = await plain();
		expect((await kept.answer()).status).toBe(200);

		// The same socket, and now a proxy's.
		await applied((config) => {
			config["listeners"][0]["proxy_protocol"] = true;
			config["trusted_proxies"] = ["::1"];
			config["limits"] = { connections_per_address: 1 };
		});
		expect((await (await plain()).ends()).length).toBe(0);
		const one = await Raw.over(await open(ProxyHeader.tcp4("203.0.113.30")));
		expect(await status(one, w.customer.key)).toBe(200);
		expect(await turnedAway(await open(ProxyHeader.tcp4("203.0.113.30")))).toBe(true);
		// Who was there before is still who it was.
		expect(await status(kept, w.customer.key)).toBe(200);

		// In another place of the list: what belongs to it moves along, with TLS on top.
		await applied((config) => {
			config["listeners"].unshift({ at: `unix:${join(folder, "moved.sock")}` });
			config["listeners"][1]["tls"] = true;
			config["limits"] = { connections_per_address: 2 };
		});
		const more = [];
		for (let i = 0; i < 2; i++) more.push(await Raw.over(await open(ProxyHeader.tcp4("203.0.113.30")), { tls: true }));
		for (const raw of more) expect(await status(raw, w.customer.key)).toBe(200);
		expect(await turnedAway(await open(ProxyHeader.tcp4("203.0.113.30")))).toBe(true);
		expect(await status(await Raw.over(local(join(folder, "moved.sock"))), w.customer.key)).toBe(200);

		// Trusted no more.
		await applied((config) => (config["trusted_proxies"] = ["192.0.2.1"]));
		expect(await turnedAway(await open(ProxyHeader.tcp4("203.0.113.31")))).toBe(true);
	});
});

describe("a client that ends its sending side", () => {
	let w: World;
	beforeAll(async () => {
		w = await world({ edges: 1 });
	});
	afterAll(() => w?.end());

	// Everything that comes after the request and our FIN.
	function halfClosed(script: string, more: object = {}): Promise<string> {
		const { port, hostname } = new URL(w.lethe.url);
		const body = JSON.stringify({ ...JSON.parse(hi), ...more });
		const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
		let said = "";
		socket.on("data", (bytes) => (said += bytes));
		socket.end(post(w.customer.key, body, { "x-sim": script }));
		return new Promise((resolve, reject) => socket.on("end", () => resolve(said)).on("error", reject));
	}

	test("is asked whether it listens, and gets its answer", async () => {
		const said = await halfClosed("delay_ms=300");
		expect(said).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
		expect(said).toContain('"usage"');
	});

	test("gets a whole stream", async () => {
		const said = await halfClosed("delay_ms=300,chunks=20", { stream: true });
		expect(said).toContain("HTTP/1.1 200 OK");
		expect(said).toContain("data: [DONE]");
	});

	test("is told apart from one that has gone: that one's request ends at the provider", async () => {
		const raw = await Raw.open(w.lethe.url);
		raw.say(post(w.customer.key, hi, { "x-sim": "tag=gone,delay_ms=20000" }));
		await until("the provider has it", () => w.sim.saw("gone"));
		raw.close();
		await until("it is cancelled", async () => (await w.sim.last("gone")).state === "cancelled");
	});
});
