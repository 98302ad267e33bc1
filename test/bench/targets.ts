// What is measured: the direct path, the bare relays, nginx, HAProxy and Lethe, each in front of the same simulator.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Certificates } from "../harness/certificates.ts";
import { serve } from "./lethe_process.ts";
import { driverProcessor, ended, family, proxyProcessors, type Running, start, stop, until } from "./processes.ts";
import { copyStore, makeAccounts, type Store } from "./stores.ts";

export type Target = {
	name: string;
	// Several: connections are shared out between them.
	addresses: string[];
	// Those of the side that clients see; undefined: clear text.
	certificates: Certificates | undefined;
	headers: string[];
	// Requests take turns with these credentials; the headers have the first.
	keysFile?: string | undefined;
	// Whose CPU time is reported, by label. "all" is every process of the target.
	groups: Record<string, number[]>;
	end: () => Promise<void>;
};

export type Tools = {
	sim: string;
	load: string;
	fill: string;
	relay: string;
	relayUring: string;
	nginx: string;
	haproxy: string | undefined;
	h2load: string | undefined;
	lethe: string | undefined;
	// A build of it without lockdown, secret memory and wiping.
	bare: string | undefined;
	templates: string;
};

// How the targets of a cell are set up. Cells with one set-up share their targets.
// crowd: so many streams that no process could open all of them, wherever on their way.
// fresh: two starts of one program differ by more than what is looked for, so that each round has its own.
export type Setup = { name: string; tlsIn: boolean; tlsOut: boolean; h2In: boolean; h2Out: boolean; accounts: number; h2Only?: true; crowd?: true; fresh?: true };

// Simulators, processes of what is in front of them, and addresses that clients are shared out between, where there is a crowd.
export const crowdProcesses = 8;

// The simulator: one process (for a crowd several), in clear text and by TLS. Each is the direct path of its kind. By HTTP/2 it is reached through an nginx beside the
// simulator, that refuses to speak anything else.
export type Provider = { clear: Target; tls: Target; h2: Target; stats: () => Promise<SimStats>; end: () => Promise<void> };
export type SimStats = { handshakes: number; open_exchanges: number };

export function upstreamOf(setup: Setup, provider: Provider): Target {
	return setup.h2Out ? provider.h2 : setup.tlsOut ? provider.tls : provider.clear;
}

export type Start = {
	tools: Tools;
	setup: Setup;
	// What the target asks: the direct path of the provider's side.
	upstream: Target;
	certificates: Certificates;
	// Lethe begins with a copy; undefined: a new store with one account.
	store: Store | undefined;
};

export const descriptors = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 4096);
// The others get a credential of the same length as Lethe's, and pass it on unread.
const placeholderKey = "lethe_live_00000000000000000000000000000000_000000";

function folder(): string {
	const path = mkdtempSync(join(tmpdir(), "lethe-bench-"));
	chmodSync(path, 0o711);
	return path;
}

function bearer(key: string): string[] {
	return [`authorization: Bearer ${key}`];
}

function ending(running: Running[], path: string): () => Promise<void> {
	return async () => {
		for (const one of running) await stop(one);
		rmSync(path, { recursive: true, force: true });
	};
}

async function listening(running: Running, portFile: string): Promise<string[]> {
	const ports = await until("listens", running, () => existsSync(portFile) && readFileSync(portFile, "utf8").trim());
	return ports.split("\n").map((port) => `127.0.0.1:${port}`);
}

// ---- the direct path: the simulator's own CPU time

async function simStats(running: Running, address: string): Promise<SimStats> {
	const answer = await fetch(`http://${address}/stats`).catch(() => {
		throw new Error(`the simulator does not answer: ${running.child.exitCode ?? running.child.signalCode ?? "it runs"}, ${running.output()}`);
	});
	return (await answer.json()) as SimStats;
}

export async function startSim(tools: Tools, certificates: Certificates, processes = 1): Promise<Provider> {
	const path = folder();
	const identity = ["--tls-certificate", certificates.certificate, "--tls-key", certificates.key];
	const running: Running[] = [];
	const clear: string[] = [];
	const tls: string[] = [];
	for (let i = 0; i < processes; i++) {
		const ports = ["--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0", "--port-file", join(path, `port-${i}`), "--quiet"];
		running.push(start("lethe-sim", driverProcessor, [tools.sim, ...ports, ...identity]));
		const addresses = await listening(running[i]!, join(path, `port-${i}`));
		clear.push(addresses[0]!);
		tls.push(addresses[1]!);
	}
	const pids = running.map((one) => one.child.pid!);
	const common = { name: "direct", headers: bearer(placeholderKey), groups: { all: pids }, end: ending(running, path) };
	const stats = async () => {
		const all = await Promise.all(running.map((one, i) => simStats(one, clear[i]!)));
		const sum = (what: (stats: SimStats) => number) => all.reduce((total, one) => total + what(one), 0);
		// The question itself is an exchange.
		return { handshakes: sum((one) => one.handshakes), open_exchanges: sum((one) => one.open_exchanges - 1) };
	};
	const plain = { ...common, addresses: clear, certificates: undefined };
	const setup = { name: "provider", tlsIn: true, tlsOut: false, h2In: true, h2Out: false, accounts: 1, h2Only: true as const };
	const front = await startNginx({ tools, setup, upstream: plain, certificates, store: undefined }, "direct", processes, driverProcessor);
	const end = async () => {
		await front.end();
		await common.end();
	};
	const h2 = { ...front, groups: { all: [...front.groups["all"]!, ...common.groups.all] } };
	return { clear: plain, tls: { ...common, addresses: tls, certificates }, h2, stats, end };
}

// ---- bare relays: they speak no TLS, so both sides are alike

async function startRelay(o: Start, name: string, executable: string, processes: number): Promise<Target> {
	const path = folder();
	const running: Running[] = [];
	const addresses: string[] = [];
	for (let i = 0; i < processes; i++) {
		const portFile = join(path, `port-${i}`);
		running.push(start(name, proxyProcessors(processes), [executable, "--connect", o.upstream.addresses[0]!, "--port-file", portFile]));
		addresses.push(...(await listening(running[i]!, portFile)));
	}
	const groups = { all: running.map((one) => one.child.pid!) };
	return { name, addresses, certificates: undefined, headers: bearer(placeholderKey), groups, end: ending(running, path) };
}

// ---- nginx and HAProxy

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const port = (server.address() as { port: number }).port;
	await new Promise((resolve) => server.close(resolve));
	return port;
}

function filled(template: string, values: Record<string, string>, setup: Setup): string {
	let text = template;
	if (setup.tlsIn) text = text.replaceAll(/^(\s*)#tls-in /gm, "$1");
	if (setup.tlsOut) text = text.replaceAll(/^(\s*)#tls-out /gm, "$1");
	if (setup.h2Only) text = text.replaceAll(/^(\s*)#h2-only /gm, "$1");
	return text.replace(/@([A-Z]+)@/g, (_, name: string) => values[name] ?? "");
}

async function startNginx(o: Start, name: string, processes: number, processors = proxyProcessors(processes)): Promise<Target> {
	const path = folder();
	const address = `127.0.0.1:${await freePort()}`;
	const { setup, certificates } = o;
	const bind = [setup.tlsIn ? "ssl" : "", setup.h2In ? "http2" : "", processes > 1 ? "reuseport" : ""];
	const values = {
		WORKERS: String(processes),
		LISTEN: address,
		SERVERS: o.upstream.addresses.map((one) => `server ${one} max_fails=0;`).join(" "),
		BIND: bind.join(" "),
		SCHEME: setup.tlsOut ? "https" : "http",
		CERTIFICATE: certificates.certificate,
		KEY: certificates.key,
		CA: certificates.ca,
		DESCRIPTORS: String(descriptors),
		CONNECTIONS: String(Math.min(descriptors - 100, 19_900)),
	};
	writeFileSync(join(path, "nginx.conf"), filled(readFileSync(join(o.tools.templates, "nginx.conf"), "utf8"), values, setup));
	const running = start("nginx", processors, [o.tools.nginx, "-p", path, "-c", join(path, "nginx.conf")]);
	const pids = await until("its workers run", running, () => {
		const all = family(running.child.pid!);
		return existsSync(join(path, "nginx.pid")) && all.length === 1 + processes && all;
	});
	const own = setup.tlsIn ? certificates : undefined;
	return { name, addresses: [address], certificates: own, headers: bearer(placeholderKey), groups: { all: pids }, end: ending([running], path) };
}

async function answers(running: Running, address: string): Promise<void> {
	const [host, port] = address.split(":");
	await until("it listens", running, () => readFileSync("/proc/net/tcp", "utf8").includes(`:${Number(port).toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 0A`) && host);
}

// A file with the certificate and its key, as HAProxy wants them.
function together(path: string, certificates: Certificates): string {
	const file = join(path, "server.pem");
	writeFileSync(file, readFileSync(certificates.certificate, "utf8") + readFileSync(certificates.key, "utf8"), { mode: 0o600 });
	return file;
}

// Several: processes of their own, each with its address. Its threads would share an event loop's locks that nginx's workers do not have.
async function startHaproxy(o: Start, name: string, processes: number): Promise<Target> {
	const path = folder();
	const { setup, certificates } = o;
	const running: Running[] = [];
	const addresses: string[] = [];
	for (let i = 0; i < processes; i++) {
		const address = `127.0.0.1:${await freePort()}`;
		const file = join(path, `haproxy-${i}.cfg`);
		const values = {
			LISTEN: address,
			UPSTREAM: o.upstream.addresses[0]!,
			CONNECTIONS: String(Math.floor((descriptors - 200) / 2)),
			BIND: [setup.tlsIn ? `ssl crt ${together(path, certificates)} alpn ${setup.h2In ? "h2," : ""}http/1.1` : setup.h2In ? "proto h2" : ""].join(" "),
			// As Lethe asks its providers: verified, by name, sessions resumed.
			SERVER: setup.tlsOut ? `ssl verify required ca-file ${certificates.ca} sni str(localhost) verifyhost localhost${setup.h2Out ? " alpn h2" : ""}` : "",
		};
		writeFileSync(file, filled(readFileSync(join(o.tools.templates, "haproxy.cfg"), "utf8"), values, setup));
		running.push(start(name, proxyProcessors(processes), [o.tools.haproxy!, "-db", "-f", file]));
		await answers(running[i]!, address);
		addresses.push(address);
	}
	const groups = { all: running.flatMap((one) => family(one.child.pid!)) };
	return { name, addresses, certificates: setup.tlsIn ? certificates : undefined, headers: bearer(placeholderKey), groups, end: ending(running, path) };
}

// ---- Lethe

async function startLethe(o: Start, name: string, processes: number, command = o.tools.lethe!): Promise<Target> {
	const path = folder();
	const data = join(path, "data");
	const { setup, certificates, store } = o;
	mkdirSync(data, { mode: 0o700 });
	if (store) copyStore(store.data, data);
	const own = setup.tlsIn ? certificates : undefined;
	// One address has not the ports for a crowd of clients.
	const listeners = setup.crowd && crowdProcesses;
	const served = await serve(command, { upstream: o.upstream, certificates: own, edges: processes, listeners, data, log: join(path, "lethe.log") });
	const keys = store?.keys ?? (await makeAccounts(join(data, "control.sock"), 1));
	if (ended(served.running)) throw new Error(`lethe ended: ${served.running.output()}`);
	const keysFile = setup.accounts > 1 ? store?.keysFile : undefined;
	const end = ending([served.running], path);
	const { addresses } = served;
	return { name, addresses, certificates: own, headers: bearer(keys[0]!), keysFile, groups: served.groups, end };
}

// ---- all of them

type Kind = { processes: number; missing: (tools: Tools) => string | undefined; start: (o: Start, name: string, processes: number) => Promise<Target> };

const relay = (executable: (tools: Tools) => string, processes: number): Kind => ({
	processes, missing: () => undefined,
	start: (o, name) => startRelay(o, name, executable(o.tools), processes),
});
const nginx = (processes: number): Kind => ({ processes, missing: () => undefined, start: startNginx });
const haproxy = (processes: number): Kind => ({
	processes, missing: (tools) => (tools.haproxy ? undefined : "haproxy is not installed"), start: startHaproxy,
});
const lethe = (processes: number): Kind => ({
	processes, missing: (tools) => (tools.lethe ? undefined : "it was not built, or not wanted"), start: startLethe,
});
const bare: Kind = {
	processes: 1, missing: (tools) => (tools.bare ? undefined : "build-bare/lethe is not built"),
	start: (o, name, processes) => startLethe(o, name, processes, o.tools.bare),
};

// By name; -2: two processes of it, and so on. The direct path is the provider itself, and started before all.
export const kinds = {
	relay: relay((tools) => tools.relay, 1),
	"relay-2": relay((tools) => tools.relay, 2),
	"relay-uring": relay((tools) => tools.relayUring, 1),
	nginx: nginx(1),
	"nginx-2": nginx(2),
	haproxy: haproxy(1),
	"haproxy-2": haproxy(2),
	lethe: lethe(1),
	"lethe-2": lethe(2),
	"lethe-7": lethe(7),
	"lethe-translates": lethe(1),
	"lethe-bare": bare,
} satisfies Record<string, Kind>;

export type TargetName = "direct" | keyof typeof kinds;

export function startTarget(o: Start, name: Exclude<TargetName, "direct">): Promise<Target> {
	return kinds[name].start(o, name, kinds[name].processes);
}
