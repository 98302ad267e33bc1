// Lethe as it is measured: everything that a request costs in production is on (authentication, hold, metering, durable booking, lockdown).
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandName, family, proxyProcessors, type Running, start, until } from "./processes.ts";
import type { Certificates } from "../harness/certificates.ts";
import type { Target } from "./targets.ts";

const upstreamKey = "sk-bench-upstream-0123456789abcdef";

export type Serve = {
	upstream: Target;
	// Speaks TLS towards clients, with these.
	certificates?: Certificates | undefined;
	edges: number;
	// 1 unless said.
	listeners?: number | undefined;
	data: string;
	log: string;
};

// All load of a cell may come over one account, and over few edges: the hard case for an account's slot.
function config(o: Serve): object {
	const listen = Array.from({ length: o.listeners ?? 1 }, () => "127.0.0.1:0");
	const { certificates, upstream } = o;
	const url = `${upstream.certificates ? "https" : "http"}://${upstream.addresses[0]}/v1`;
	const authority = upstream.certificates ? { ca_file: upstream.certificates.ca } : {};
	// A stream has a connection towards the provider of its own; those of a crowd, by HTTP/2, have not.
	const streams_per_edge = o.listeners === undefined ? 9_900 : 19_600;
	const identity = certificates && { tls: { listen, certificates: [{ certificate: certificates.certificate, key: certificates.key }] } };
	return {
		...(identity ?? { listen }),
		edges: o.edges,
		allow_plain_memory: true,
		limits: { streams_per_account_percent: 100, streams_per_edge, connections_per_edge: 19_600 },
		log: { file: o.log },
		providers: [{ name: "sim", url, ...authority, keys: [{ env: "SIM_API_KEY" }], pass_headers: ["x-sim"], inject_usage: true }],
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

function groups(root: number): Record<string, number[]> {
	const all = family(root);
	const found: Record<string, number[]> = { all };
	for (const pid of all) {
		const role = /^lethe-(.+)$/.exec(commandName(pid))?.[1];
		if (role) (found[role] ??= []).push(pid);
	}
	if (!found["edge"]) throw new Error(`no process named lethe-edge among ${all.map(commandName).join(", ")}`);
	return found;
}

export async function serve(lethe: string, o: Serve): Promise<{ running: Running; addresses: string[]; groups: Record<string, number[]> }> {
	const command = lethe.split(/\s+/);
	const file = `${o.log}.yaml`;
	const endpoint = join(o.data, "endpoint");
	rmSync(endpoint, { force: true });
	writeFileSync(file, JSON.stringify(config(o), null, "\t"));
	const env = { PATH: process.env["PATH"], SIM_API_KEY: upstreamKey };
	const running = start("lethe", proxyProcessors(o.edges), [...command, "serve", "--config", file, "--data", o.data], { env });
	const urls = await until("it says its endpoints", running, () => existsSync(endpoint) && readFileSync(endpoint, "utf8").trim());
	return { running, addresses: urls.split("\n").map((url) => new URL(url).host), groups: groups(running.child.pid!) };
}
