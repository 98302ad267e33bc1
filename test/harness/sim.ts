import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { removeFolder, simBinary, temporaryFolder } from "./paths.ts";
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
	readonly #child: ChildProcess;
	readonly #folder: string;

	private constructor(child: ChildProcess, folder: string, port: string) {
		this.#child = child;
		this.#folder = folder;
		this.url = `http://127.0.0.1:${port}`;
	}

	static async start(options: { key?: string } = {}): Promise<Sim> {
		const folder = temporaryFolder();
		const portFile = join(folder, "port");
		const args = ["--listen", "127.0.0.1:0", "--port-file", portFile, "--quiet"];
		if (options.key) args.push("--key", options.key);
		const child = spawn(simBinary, args, { stdio: ["ignore", "ignore", "inherit"] });
		const port = await until("the simulator listens", () => existsSync(portFile) && readFileSync(portFile, "utf8").trim());
		return new Sim(child, folder, port);
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
