import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { certificates } from "./certificates.ts";
import { removeFolder, simBinary, temporaryFolder } from "./paths.ts";
import { isRefusedByFetch } from "./ports.ts";
import { until } from "./until.ts";

export type SimStats = Record<string, number>;
export type SimNote = {
	tag: string;
	count: number;
	connection: number;
	state: "open" | "done" | "cancelled" | "cut";
	chunks: number;
	body_bytes: number;
	body_sha256: string;
	head: string;
};

// The provider simulator, as a process of its own. What it answers is chosen per request by the header x-sim.
export class Sim {
	readonly url: string;
	// Where it speaks TLS; "" when it does not.
	readonly tlsUrl: string;
	readonly #child: ChildProcess;
	readonly #folder: string;

	private constructor(child: ChildProcess, folder: string, ports: string[]) {
		this.#child = child;
		this.#folder = folder;
		this.url = `http://127.0.0.1:${ports[0]}`;
		this.tlsUrl = ports[1] ? `https://127.0.0.1:${ports[1]}` : "";
	}

	static async start(options: { key?: string; tls?: boolean } = {}): Promise<Sim> {
		for (;;) {
			const sim = await Sim.#begin(options);
			if (![sim.url, sim.tlsUrl].some(isRefusedByFetch)) return sim;
			sim.stop();
		}
	}

	static async #begin(options: { key?: string; tls?: boolean }): Promise<Sim> {
		const folder = temporaryFolder();
		const portFile = join(folder, "port");
		const args = ["--listen", "127.0.0.1:0", "--port-file", portFile, "--quiet"];
		if (options.key) args.push("--key", options.key);
		if (options.tls) {
			const { certificate, key } = certificates();
			args.push("--listen-tls", "127.0.0.1:0", "--tls-certificate", certificate, "--tls-key", key);
		}
		const child = spawn(simBinary, args, { stdio: ["ignore", "ignore", "inherit"] });
		const ports = await until("the simulator listens", () => existsSync(portFile) && readFileSync(portFile, "utf8").trim());
		return new Sim(child, folder, ports.split("\n"));
	}

	get pid(): number {
		return this.#child.pid!;
	}

	async stats(): Promise<SimStats> {
		return (await (await fetch(`${this.url}/stats`)).json()) as SimStats;
	}

	// What the last request with this tag looked like when it arrived here.
	async last(tag: string): Promise<SimNote> {
		const answer = await fetch(`${this.url}/last?tag=${tag}`);
		if (!answer.ok) throw new Error(`the simulator has not seen tag ${tag}`);
		return (await answer.json()) as SimNote;
	}

	async lastBody(tag: string): Promise<string> {
		return (await fetch(`${this.url}/last?tag=${tag}&raw=body`)).text();
	}

	async saw(tag: string): Promise<boolean> {
		return (await fetch(`${this.url}/last?tag=${tag}`)).ok;
	}

	stop(): void {
		this.#child.kill("SIGKILL");
		removeFolder(this.#folder);
	}
}
