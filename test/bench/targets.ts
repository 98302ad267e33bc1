// What is measured: the direct path, the bare relay, nginx and Lethe, each in front of the same simulator.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Certificates } from "../harness/certificates.ts";
import { commandName, driverProcessor, ended, family, proxyProcessor, type Running, start, stop, until } from "./processes.ts";

export type Target = {
	name: string;
	address: string;
	// It speaks TLS, and asks its provider by TLS; undefined: clear text on both sides.
	certificates: Certificates | undefined;
	headers: string[];
	// Whose CPU time is reported, by label. "all" is every process of the target.
	groups: Record<string, number[]>;
	end: () => Promise<void>;
};

export type Tools = { sim: string; load: string; relay: string; nginx: string; lethe: string | undefined; nginxTemplate: string };

// The simulator: one process, in clear text and by TLS. Each is the direct path of its kind.
export type Provider = { clear: Target; tls: Target; handshakes: () => Promise<number>; end: () => Promise<void> };

const descriptors = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 4096);
const upstreamKey = "sk-bench-upstream-0123456789abcdef";
// nginx and relay get a credential of the same length as Lethe's, and pass it on unread.
const placeholderKey = "lethe_live_00000000000000000000000000000000_000000";

function folder(): string {
	const path = mkdtempSync(join(tmpdir(), "lethe-bench-"));
	chmodSync(path, 0o711);
	return path;
}

function bearer(key: string): string[] {
	return [`authorization: Bearer ${key}`];
}

function ending(running: Running, path: string): () => Promise<void> {
	return async () => {
		await stop(running);
		rmSync(path, { recursive: true, force: true });
	};
}

async function listening(running: Running, portFile: string): Promise<string[]> {
	const ports = await until("listens", running, () => existsSync(portFile) && readFileSync(portFile, "utf8").trim());
	return ports.split("\n").map((port) => `127.0.0.1:${port}`);
}

// The direct path: the simulator's own CPU time.
export async function startSim(tools: Tools, certificates: Certificates): Promise<Provider> {
	const path = folder();
	const ports = ["--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0", "--port-file", join(path, "port"), "--quiet"];
	const identity = ["--tls-certificate", certificates.certificate, "--tls-key", certificates.key];
	const running = start("lethe-sim", driverProcessor, [tools.sim, ...ports, ...identity]);
	const [clear, tls] = await listening(running, join(path, "port"));
	const end = ending(running, path);
	const common = { name: "direct", headers: bearer(placeholderKey), groups: { all: [running.child.pid!] }, end };
	const handshakes = async () => {
		const answer = await fetch(`http://${clear}/stats`).catch(() => {
			throw new Error(`the simulator does not answer: ${running.child.exitCode ?? running.child.signalCode ?? "it runs"}, ${running.output()}`);
		});
		return ((await answer.json()) as { handshakes: number }).handshakes;
	};
	return { clear: { ...common, address: clear!, certificates: undefined }, tls: { ...common, address: tls!, certificates }, handshakes, end };
}

export async function startRelay(tools: Tools, upstream: Target): Promise<Target> {
	const path = folder();
	const running = start("lethe-relay", proxyProcessor, [tools.relay, "--connect", upstream.address, "--port-file", join(path, "port")]);
	const [address] = await listening(running, join(path, "port"));
	const groups = { all: [running.child.pid!] };
	return { name: "relay", address: address!, certificates: undefined, headers: bearer(placeholderKey), groups, end: ending(running, path) };
}

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const port = (server.address() as { port: number }).port;
	await new Promise((resolve) => server.close(resolve));
	return port;
}

function nginxConfig(template: string, values: Record<string, string>, tls: boolean): string {
	const text = tls ? template.replaceAll(/^(\s*)#tls /gm, "$1") : template;
	return text.replace(/@([A-Z]+)@/g, (_, name: string) => values[name] ?? "");
}

export async function startNginx(tools: Tools, upstream: Target): Promise<Target> {
	const path = folder();
	const address = `127.0.0.1:${await freePort()}`;
	const certificates = upstream.certificates;
	const values: Record<string, string> = {
		LISTEN: address,
		UPSTREAM: upstream.address,
		SSL: certificates ? "ssl" : "",
		SCHEME: certificates ? "https" : "http",
		CERTIFICATE: certificates?.certificate ?? "",
		KEY: certificates?.key ?? "",
		CA: certificates?.ca ?? "",
		DESCRIPTORS: String(descriptors),
		CONNECTIONS: String(Math.min(descriptors - 100, 19_000)),
	};
	writeFileSync(join(path, "nginx.conf"), nginxConfig(readFileSync(tools.nginxTemplate, "utf8"), values, certificates !== undefined));
	const running = start("nginx", proxyProcessor, [tools.nginx, "-p", path, "-c", join(path, "nginx.conf")]);
	const pids = await until("its worker runs", running, () => {
		const all = family(running.child.pid!);
		return existsSync(join(path, "nginx.pid")) && all.length === 2 && all;
	});
	return { name: "nginx", address, certificates, headers: bearer(placeholderKey), groups: { all: pids }, end: ending(running, path) };
}

// Everything that a request costs in production is on: authentication, hold, metering, durable booking, lockdown. One edge, like nginx's
// one worker.
function lethe_config(upstream: Target, log: string): object {
	const files = upstream.certificates;
	const listen = ["127.0.0.1:0"];
	const url = `${files ? "https" : "http"}://${upstream.address}/v1`;
	return {
		...(files ? { tls: { listen, ca_file: files.ca, certificates: [{ certificate: files.certificate, key: files.key }] } } : { listen }),
		edges: 1,
		limits: { streams_per_account_percent: 100 }, // all load comes over one account: the hard case for its slot
		log: { file: log },
		providers: [{ name: "sim", url, keys: [{ env: "SIM_API_KEY" }], pass_headers: ["x-sim"], inject_usage: true }],
		models: [
			{
				id: "gpt-sim",
				provider: "sim",
				upstream: "gpt-sim",
				context: 400_000,
				output: 128_000,
				prices: [{ from: "2026-01-01", input: "1.00", cached: "0.10", output: "10.00" }],
			},
		],
	};
}

function lethe_key(command: string[], data: string): string {
	const run = (...args: string[]) =>
		JSON.parse(execFileSync(command[0]!, [...command.slice(1), ...args, "--data", data, "--json"], { encoding: "utf8" }));
	const created = run("account", "create", "bench");
	const account: string = created.account?.id ?? created.account ?? created.id;
	run("credit", "add", account, "1000000", "--reason", "bench");
	const secret = /lethe_live_[0-9A-Za-z]{32}_[0-9A-Za-z]{6}/.exec(JSON.stringify(run("key", "create", account)));
	if (!secret) throw new Error("lethe key create printed no key");
	return secret[0];
}

function lethe_groups(root: number): Record<string, number[]> {
	const all = family(root);
	const groups: Record<string, number[]> = { all };
	for (const pid of all) {
		const role = /^lethe-(.+)$/.exec(commandName(pid))?.[1];
		if (role) (groups[role] ??= []).push(pid);
	}
	if (!groups["edge"]) throw new Error(`no process named lethe-edge among ${all.map(commandName).join(", ")}`);
	return groups;
}

export async function startLethe(tools: Tools, upstream: Target): Promise<Target> {
	const command = tools.lethe!.split(/\s+/);
	const path = folder();
	const data = join(path, "data");
	mkdirSync(data, { mode: 0o700 });
	writeFileSync(join(path, "lethe.yaml"), JSON.stringify(lethe_config(upstream, join(path, "lethe.log")), null, "\t"));
	const env = { PATH: process.env["PATH"], SIM_API_KEY: upstreamKey };
	const running = start("lethe", proxyProcessor, [...command, "serve", "--config", join(path, "lethe.yaml"), "--data", data], { env });
	const endpoint = join(data, "endpoint");
	const url = await until("it says its endpoint", running, () => existsSync(endpoint) && readFileSync(endpoint, "utf8").trim());
	const key = lethe_key(command, data);
	if (ended(running)) throw new Error(`lethe ended: ${running.output()}`);
	const groups = lethe_groups(running.child.pid!);
	return { name: "lethe", address: new URL(url).host, certificates: upstream.certificates, headers: bearer(key), groups, end: ending(running, path) };
}
