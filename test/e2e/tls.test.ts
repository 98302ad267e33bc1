import { execFile, spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { request as httpsRequest, Agent } from "node:https";
import { join } from "node:path";
import { connect, type PeerCertificate, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { certificates, trustAuthority } from "../harness/certificates.ts";
import { type Json, Lethe, sim, tag, upstreamKey } from "../harness/lethe.ts";
import { Nobody } from "../harness/nobody.ts";
import { letheBinary, removeFolder, temporaryFolder } from "../harness/paths.ts";
import { json, Provider } from "../harness/provider.ts";
import { post, Raw } from "../harness/raw.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const hi = [{ role: "user" as const, content: "hi" }];
const exact = (more: object = {}) => ({ model: "exact", messages: hi, ...more });

let other: string; // an authority that nobody trusts
let w: World;
beforeAll(async () => {
	other = temporaryFolder();
	certificates(other);
	w = await world({ tls: true, upstreamTls: true });
});
afterAll(async () => {
	await w?.end();
	removeFolder(other);
});

async function asked(base: string, key: string, body: object, script: string): Promise<string> {
	const answer = await fetch(`${base}/v1/chat/completions`, {
		method: "POST",
		headers: { authorization: `Bearer ${key}`, "content-type": "application/json", "x-sim": script },
		body: JSON.stringify(body),
	});
	return answer.text();
}

const comparable = (answer: string) =>
	answer
		.replace(/chatcmpl-[A-Za-z0-9]{29}/g, "chatcmpl-ID")
		.replace(/call_[A-Za-z0-9]{24}/g, "call_ID")
		.replace(/"created":( ?)\d{10}/g, '"created":$1TIME');

// A bare handshake: who answers, by which version, resumed or not.
type Handshake = { version: string; certificate: PeerCertificate; resumed: boolean; session: Buffer | undefined };
function handshake(url: string, options: object = {}): Promise<Handshake> {
	const { hostname, port } = new URL(url);
	return new Promise((resolve, reject) => {
		let session: Buffer | undefined;
		const socket: TLSSocket = connect({ host: hostname, port: Number(port), ...options });
		socket.on("session", (s) => (session = s));
		socket.on("error", reject);
		socket.on("secureConnect", () => socket.write("GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"));
		socket.on("data", () => {
			resolve({ version: socket.getProtocol()!, certificate: socket.getPeerCertificate(), resumed: socket.isSessionReused(), session });
			socket.destroy();
		});
		socket.on("close", () => reject(new Error("closed without an answer")));
	});
}

// Once everything before is booked: only then is nothing held any more.
async function settled(): Promise<Json> {
	await until("nothing is held", async () => {
		const account = await w.lethe.command("account", "show", w.customer.id);
		return account["available"] === account["balance"];
	});
	return w.lethe.usage(w.customer.id);
}

describe("bytes", () => {
	test.each([
		["plain", {}, "echo=1"],
		["streamed", { stream: true }, "chunks=30,split=7"],
		["with a long answer", {}, "length=1,chunk_bytes=50000"],
		["streamed in large events", { stream: true }, "chunks=3,chunk_bytes=50000"],
		["with tools", { stream: true }, "tools=2"],
		["with an error in the middle", { stream: true }, "mid_error=2"],
	])("%s: the same as without Lethe", async (_, more, script) => {
		const options = { stream_options: { include_usage: true } };
		const body = exact("stream" in more ? { ...more, ...options } : more);
		const [through, straight] = [await asked(w.lethe.url, w.customer.key, body, script), await asked(w.sim.tlsUrl, upstreamKey, body, script)];
		expect(comparable(through)).toBe(comparable(straight));
		expect(through.length).toBeGreaterThan(20);
	});

	test("a body of several megabytes arrives whole and is metered", async () => {
		const text = "word ".repeat(800_000);
		const before = await settled();
		const answer = await w.lethe.client(w.customer.key).chat.completions.create({ model: "exact", messages: [{ role: "user", content: text }] });
		const counted = async () => (await w.lethe.usage(w.customer.id))["tokens"]["input"] - before["tokens"]["input"];
		await until("it is booked", async () => (await counted()) > 500_000);
		expect(await counted()).toBe(answer.usage!.prompt_tokens);
		expect(answer.usage!.prompt_tokens).toBeGreaterThan(500_000);
	});

	test("requests that come in one record are answered in order", async () => {
		const raw = await Raw.open(w.lethe.url);
		const one = (words: string) => post(w.customer.key, JSON.stringify({ model: "exact", messages: [{ role: "user", content: words }] }), { "x-sim": "echo=1" });
		raw.say(one("first") + one("second") + one("third"));
		for (const words of ["first", "second", "third"]) expect((await raw.answer()).body.toString()).toContain(words);
		raw.close();
	});

	test("a request that comes byte by byte, each in a record of its own", async () => {
		const raw = await Raw.open(w.lethe.url);
		for (const byte of post(w.customer.key, JSON.stringify(exact()))) raw.say(byte);
		expect((await raw.answer()).status).toBe(200);
		raw.close();
	});
});

describe("clients", () => {
	test("who speaks HTTP in clear text is told to use https", async () => {
		const answer = await fetch(`${w.lethe.url.replace("https:", "http:")}/v1/models`);
		expect(answer.status).toBe(400);
		expect(((await answer.json()) as { error: object }).error).toMatchObject({ code: "https_expected", message: expect.stringContaining("https://") });
	});

	test("sessions are resumed, by whichever edge", async () => {
		let session = (await handshake(w.lethe.url)).session;
		for (let i = 0; i < 8; i++) {
			const next = await handshake(w.lethe.url, { session });
			expect(next.resumed).toBe(true);
			session = next.session;
		}
	});

	test("TLS 1.2 and 1.3 are spoken; 1.1 is not", async () => {
		expect((await handshake(w.lethe.url, { maxVersion: "TLSv1.2" })).version).toBe("TLSv1.2");
		expect((await handshake(w.lethe.url)).version).toBe("TLSv1.3");
		await expect(handshake(w.lethe.url, { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" })).rejects.toThrow();
	});

	test("min_version 1.3 refuses 1.2", async () => {
		const files = trustAuthority();
		const strict = await Lethe.start({
			sim: w.sim,
			tls: true,
			config: { tls: { listen: ["127.0.0.1:0"], min_version: "1.3", certificates: [{ certificate: files.certificate, key: files.key }] } },
		});
		await expect(handshake(strict.url, { maxVersion: "TLSv1.2" })).rejects.toThrow();
		expect((await handshake(strict.url)).version).toBe("TLSv1.3");
		await strict.finish();
	});

	test("a protocol that is not HTTP/1.1 is refused in the handshake", async () => {
		await expect(handshake(w.lethe.url, { ALPNProtocols: ["spdy/1"] })).rejects.toThrow(/alert|closed|reset/i);
		expect((await handshake(w.lethe.url, { ALPNProtocols: ["h9", "http/1.1"] })).version).toBe("TLSv1.3");
	});

	test("certificates of clients are asked for and checked", async () => {
		const files = trustAuthority();
		const mutual = await world({
			sim: w.sim,
			tls: true,
			config: {
				listen: ["127.0.0.1:0"],
				tls: {
					listen: ["127.0.0.1:0"],
					client_certificates: "required",
					client_ca: files.ca,
					certificates: [{ certificate: files.certificate, key: files.key }],
				},
			},
		});
		const url = mutual.lethe.endpoints()[1]!;
		const models = (options: object) =>
			new Promise<number>((resolve, reject) => {
				const agent = new Agent({ ...options, ca: readFileSync(files.ca) });
				httpsRequest(`${url}/v1/models`, { agent, headers: { authorization: `Bearer ${mutual.customer.key}` } }, (answer) => {
					answer.resume();
					resolve(answer.statusCode!);
				})
					.on("error", reject)
					.end();
			});
		await expect(models({})).rejects.toThrow();
		await expect(models({ cert: readFileSync(join(other, "server.pem")), key: readFileSync(join(other, "server-key.pem")) })).rejects.toThrow();
		expect(await models({ cert: readFileSync(files.certificate), key: readFileSync(files.key) })).toBe(200);
		await mutual.lethe.finish();
	});
});

describe("renewal", () => {
	test("with other authorities for clients, a session of one that they don't know is not gone on with", async () => {
		const files = trustAuthority();
		const folder = temporaryFolder();
		const authority = join(folder, "clients.pem");
		copyFileSync(files.ca, authority);
		const config = {
			listen: ["127.0.0.1:0"],
			tls: {
				listen: ["127.0.0.1:0"],
				client_certificates: "required",
				client_ca: authority,
				certificates: [{ certificate: files.certificate, key: files.key }],
			},
		};
		const lethe = await Lethe.start({ sim: w.sim, edges: 1, config });
		const url = lethe.endpoints()[1]!;
		const shown = { cert: readFileSync(files.certificate), key: readFileSync(files.key) };
		const session = (await handshake(url, shown)).session;
		expect((await handshake(url, { ...shown, session })).resumed).toBe(true);
		copyFileSync(join(other, "ca.pem"), authority);
		lethe.signal("SIGHUP");
		await until("the edge has it", () => lethe.log().includes('"event":"TLS_RENEWED"'));
		await expect(handshake(url, { ...shown, session })).rejects.toThrow();
		const known = { cert: readFileSync(join(other, "server.pem")), key: readFileSync(join(other, "server-key.pem")) };
		expect((await handshake(url, { ...known, session })).resumed).toBe(false);
		await lethe.finish();
		removeFolder(folder);
	});

	test("SIGHUP takes a new certificate for new connections, and running ones go on; one that can't be used is refused", async () => {
		const files = trustAuthority();
		const folder = temporaryFolder();
		const [certificate, key] = [join(folder, "c.pem"), join(folder, "k.pem")];
		const use = (from: { certificate: string; key: string }) => {
			copyFileSync(from.certificate, certificate);
			copyFileSync(from.key, key);
		};
		use(files);
		const lethe = await Lethe.start({ sim: w.sim, tls: true, edges: 2, config: { tls: { listen: ["127.0.0.1:0"], certificates: [{ certificate, key }] } } });
		const customer = await lethe.account("renewed", "1");
		const events = (name: string) => lethe.log().split(`"event":"${name}"`).length - 1;
		const old = await Raw.open(lethe.url);
		const serial = async () => (await handshake(lethe.url, { rejectUnauthorized: false })).certificate.serialNumber;
		const before = await serial();

		use({ certificate: join(other, "server.pem"), key: join(other, "server-key.pem") });
		lethe.signal("SIGHUP");
		await until("both edges have it", () => events("TLS_RENEWED") === 2);
		const renewed = await serial();
		expect(renewed).not.toBe(before);
		old.say(post(customer.key, JSON.stringify(exact())));
		expect((await old.answer()).status).toBe(200);
		old.close();

		writeFileSync(key, "not a key");
		lethe.signal("SIGHUP");
		await until("it is told", () => lethe.output().includes("certificates are not renewed"));
		expect(lethe.output()).toContain(certificate);
		expect(await serial()).toBe(renewed);
		await lethe.finish();
		removeFolder(folder);
	});
});

describe("providers", () => {
	// A gateway whose provider has this URL and this authority, asked once.
	async function refused(provider: object): Promise<{ status: number; log: string; cost: number }> {
		const bad = await world({ sim: w.sim, config: { providers: [{ name: "sim", keys: [{ env: "SIM_API_KEY" }], ...provider }] } });
		const before = await bad.lethe.balance(bad.customer.id);
		const status = await bad.lethe
			.client(bad.customer.key)
			.chat.completions.create(exact())
			.then(
				() => 200,
				(error: { status: number }) => error.status,
			);
		await until("it is reported", () => bad.lethe.log().includes("PROVIDER_TLS"));
		const result = { status, log: bad.lethe.log(), cost: before - (await bad.lethe.balance(bad.customer.id)) };
		await bad.lethe.finish();
		return result;
	}

	test("one whose authority is not trusted gets no key and no request", async () => {
		const before = (await w.sim.stats())["requests"];
		expect(await refused({ url: `${w.sim.tlsUrl}/v1`, ca_file: join(other, "ca.pem") })).toMatchObject({ status: 502, cost: 0 });
		expect((await w.sim.stats())["requests"]).toBe(before! + 1); // this question
	});

	test("one that speaks no TLS is unreachable", async () => {
		expect(await refused({ url: `${w.sim.url.replace("http:", "https:")}/v1` })).toMatchObject({ status: 502, cost: 0 });
	});

	test("connections are kept, and further ones resume the session", async () => {
		const gateway = await world({ sim: w.sim, upstreamTls: true, edges: 1 });
		const client = gateway.lethe.client(gateway.customer.key);
		const before = await w.sim.stats();
		for (let i = 0; i < 5; i++) await client.chat.completions.create(exact());
		const one = await w.sim.stats();
		expect(one["handshakes"]! - before["handshakes"]!).toBe(1);
		await Promise.all(Array.from({ length: 8 }, () => client.chat.completions.create(exact(), sim("delay_ms=300"))));
		const eight = await w.sim.stats();
		expect(eight["handshakes"]! - one["handshakes"]!).toBe(7);
		expect(eight["resumed"]! - one["resumed"]!).toBe(7);
		await gateway.lethe.finish();
	});

	test.each(["close=1,cut_after=300", "close=1,cut_after=300,reset=1", "cut_after=300"])("%s: one that goes without goodbye has not finished", async (script) => {
		const customer = await w.lethe.account(tag("cut"), "1");
		const text = await asked(w.lethe.url, customer.key, exact({ stream: true }), script).catch(() => "");
		expect(text).not.toContain("[DONE]");
		const row = await until("it is booked", async () => (await w.lethe.command("usage", "--account", customer.id, "--by", "end_reason"))["rows"][0] as Json);
		expect(row["end_reason"]).toBe("PROVIDER_CUT");
	});
});

describe("provider check", () => {
	test("says which keys work, and why others don't", async () => {
		const nobody = await Nobody.start();
		onTestFinished(() => nobody.stop());
		const file = join(other, "check.yaml");
		const key = { keys: [{ env: "CHECK_KEY" }] };
		const config = {
			listen: ["127.0.0.1:0"],
			providers: [
				{ name: "good", url: `${w.sim.tlsUrl}/v1`, ca_file: trustAuthority().ca, ...key },
				{ name: "untrusted", url: `${w.sim.tlsUrl}/v1`, ca_file: join(other, "ca.pem"), ...key },
				{ name: "away", url: `${nobody.url}/v1`, ...key },
				{ name: "unset", url: `${w.sim.url}/v1`, keys: [{ env: "CHECK_KEY_THAT_IS_NOT_SET" }] },
			],
			models: [{ id: "m", provider: "good", context: 1000, output: 100, prices: [{ from: "2026-01-01", input: "1", output: "1" }] }],
		};
		writeFileSync(file, JSON.stringify(config));
		const results = (secret: string, ...more: string[]) => {
			const { stdout } = spawnSync(letheBinary, ["provider", "check", file, "--json", ...more], { encoding: "utf8", env: { CHECK_KEY: secret } });
			return Object.fromEntries(JSON.parse(stdout).providers.map((row: { provider: string; result: string }) => [row.provider, row.result]));
		};
		expect(results(upstreamKey)).toEqual({ good: "ok", untrusted: "no TLS", away: "unreachable", unset: "no key" });
		expect(results("sk-another", "--provider", "good")).toEqual({ good: "refused" });
		expect(results(upstreamKey, "--provider", "good", "--spend")).toEqual({ good: "ok" });
	});

	test("tells what the account has left where the provider does, and fails when that is too little", async () => {
		const provider = await Provider.start();
		onTestFinished(() => provider.stop());
		const file = join(other, "balance.yaml");
		const answers: Record<string, unknown> = {
			"/user/balance": { is_available: true, balance_infos: [{ currency: "CNY", total_balance: "110.00" }, { currency: "USD", total_balance: "3.205" }] },
			"/api/v1/credits": { data: { total_credits: 100.5, total_usage: 25.75 } },
			"/poor/credits": { data: { total_credits: 1, total_usage: 3.5 } },
		};
		const asked: string[] = [];
		provider.answers((request) => {
			asked.push(request.url);
			if (request.url.endsWith("/models")) return json({ object: "list", data: [] });
			return answers[request.url] ? json(answers[request.url] as Json) : json({ error: { message: "no" } }, 404);
		});
		const one = (name: string, path: string, more: Json) => ({ name, url: `${provider.url}${path}`, keys: [{ env: "CHECK_KEY" }], ...more });
		const check = (providers: Json[], ...args: string[]) => {
			const models = [{ id: "m", provider: providers[0]!["name"], context: 1000, output: 100, prices: [{ from: "2026-01-01", input: "1", output: "1" }] }];
			writeFileSync(file, JSON.stringify({ listen: ["127.0.0.1:0"], providers, models }));
			return new Promise<{ status: number; out: string }>((resolve) => {
				execFile(letheBinary, ["provider", "check", file, "--json", ...args], { env: { CHECK_KEY: "sk-1" } }, (error, stdout, stderr) => resolve({ status: error ? Number(error.code) : 0, out: stdout + stderr }));
			});
		};
		const fine = await check([
			one("plain", "/v1", {}),
			one("deep", "/beta", { balance: "deepseek", low_balance: "3.20" }),
			one("router", "/api/v1", { balance: "openrouter" }),
			one("mute", "/mute", { balance: "openrouter" }),
		]);
		expect(JSON.parse(fine.out).providers).toMatchObject([
			{ provider: "plain", result: "ok", balance: null },
			{ provider: "deep", result: "ok", balance: "3.20 USD" },
			{ provider: "router", result: "ok", balance: "74.75 USD" },
			{ provider: "mute", result: "ok", balance: null },
		]);
		expect(fine.status).toBe(0);
		expect(asked).toEqual(["/v1/models", "/beta/models", "/user/balance", "/api/v1/models", "/api/v1/credits", "/mute/models", "/mute/credits"]);
		const low = await check([one("deep", "/v1", { balance: "deepseek", low_balance: "3.21" }), one("router", "/poor", { balance: "openrouter", low_balance: "0.01" })]);
		expect(JSON.parse(low.out).providers).toMatchObject([{ result: "low balance", balance: "3.20 USD" }, { result: "low balance", balance: "-2.50 USD" }]);
		expect(low.status).toBe(1);
		// A server whose provider has that name raises the alarm.
		const before = w.lethe.events("PROVIDER_LOW");
		await check([one("sim", "/v1", { balance: "deepseek", low_balance: "3.21" })], "--data", w.lethe.data);
		await until("the alarm stands in the log", () => w.lethe.events("PROVIDER_LOW") === before + 1);
		expect(w.lethe.log()).toMatch(/"severity":"alarm"[^\n]*PROVIDER_LOW|PROVIDER_LOW[^\n]*"severity":"alarm"/);
		expect(w.lethe.log()).toMatch(/ 320 cents left/);
		const wrong = await check([one("plain", "/v1", { low_balance: "1.00" })]);
		expect(wrong.status).toBe(1);
		expect(wrong.out).toContain("is not asked what its account has left");
	});
});

test("the books balance", async () => {
	expect((await w.lethe.verify()).status).toBe(0);
});
