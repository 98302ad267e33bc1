import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { chownSync, closeSync, copyFileSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import OpenAI, { type ClientOptions } from "openai";
import { type Certificates, trustAuthority } from "./certificates.ts";
import { letheBinary, removeFolder, temporaryFolder } from "./paths.ts";
import { isRefusedByFetch } from "./ports.ts";
import type { Sim } from "./sim.ts";
import { patienceMs, until } from "./until.ts";

export type Json = Record<string, any>;
export type CommandResult = { status: number; json: Json; stdout: string; stderr: string };
export type Account = { id: string; key: string; keyId: string };

export const upstreamKey = "sk-test-upstream-0123456789abcdef";

// Of the memory for content; "auto" is the best that the machine gives.
export type Grade = "auto" | "sealed" | "locked";

// Prices in dollars per million tokens. "exact" makes sums easy, "dear" is as dear as models get, "thinker" hides its reasoning.
export const models: Json[] = [
	{ id: "exact", upstream: "exact", aliases: ["exact-alias"], prices: [{ input: "1.00", cached: "0.10", output: "10.00" }] },
	{ id: "renamed", upstream: "provider-name-2026-01-01", prices: [{ input: "1.00", output: "10.00" }] },
	{ id: "thinker", upstream: "thinker", reasoning: true, prices: [{ input: "1.00", output: "10.00" }] },
	{ id: "dear", upstream: "dear", reasoning: true, context: 200_000, output: 100_000, prices: [{ input: "150.00", output: "600.00" }] },
	{ id: "tomorrow", upstream: "tomorrow", prices: [{ from: "2099-01-01", input: "1.00", output: "1.00" }] },
];

export type Options = {
	// Left out when the configuration names its own providers.
	sim?: Sim;
	config?: Json;
	// Beside the simulator and its models.
	extra?: { providers: Json[]; models: Json[] };
	provider?: Json;
	environment?: Record<string, string>;
	grade?: Grade;
	edges?: number;
	// Clients come by TLS, and this process trusts the certificate: `url` is an https one, which any SDK takes as it is.
	tls?: boolean;
	// The simulator, which was started with `tls`, is asked by TLS.
	upstreamTls?: boolean;
	// Run as this user, without privileges and without the right to lock memory: content lies in plain memory then. Root only.
	plainAs?: number;
	// Its data folder, before it starts for the first time.
	furnish?: (data: string) => void;
};

// The files copied, so that whoever Lethe runs as can read them.
function ownCertificates(folder: string): Certificates {
	const files = Object.entries(trustAuthority()).map(([name, path]) => {
		const own = join(folder, basename(path));
		copyFileSync(path, own);
		return [name, own];
	});
	return Object.fromEntries(files) as Certificates;
}

function listeners(files: Certificates | undefined): Json {
	if (!files) return { listen: ["127.0.0.1:0"] };
	return { tls: { listen: ["127.0.0.1:0"], certificates: [{ certificate: files.certificate, key: files.key }] } };
}

function simulated(o: Options, files: Certificates | undefined): Json {
	const target = files ? { url: `${o.sim!.tlsUrl}/v1`, ca_file: files.ca } : { url: `${o.sim!.url}/v1` };
	return { name: "sim", ...target, keys: [{ env: "SIM_API_KEY" }], pass_headers: ["x-sim"], inject_usage: true, ...o.provider };
}

function configuration(o: Options, folder: string): Json {
	const files = o.tls || o.upstreamTls ? ownCertificates(folder) : undefined;
	return {
		...listeners(o.tls ? files : undefined),
		edges: o.edges ?? 2,
		...(o.grade ? { content_memory_grade: o.grade } : {}),
		log: { file: join(folder, "lethe.log") },
		providers: o.config?.["providers"] ?? [
			simulated(o, o.upstreamTls ? files : undefined),
			...(o.extra?.providers ?? []),
		],
		models: [...models, ...(o.extra?.models ?? [])].map(({ prices, ...model }) => ({
			provider: "sim",
			context: 400_000,
			output: 128_000,
			...model,
			prices: prices.map((price: Json) => ({ from: "2026-01-01", ...price })),
		})),
		...o.config,
	};
}

// One gateway with a data folder of its own. `dir` holds everything that Lethe ever writes.
export class Lethe {
	readonly dir: string;
	readonly data: string;
	readonly #configFile: string;
	readonly #options: Options;
	#child: ChildProcess | undefined;
	#ended: Promise<number | null> = Promise.resolve(null);
	url = "";

	private constructor(options: Options) {
		this.#options = options;
		this.dir = temporaryFolder();
		this.data = join(this.dir, "data");
		this.#configFile = join(this.dir, "lethe.yaml");
		writeFileSync(this.#configFile, JSON.stringify(configuration(options, this.dir), null, "\t"));
	}

	static async start(options: Options): Promise<Lethe> {
		const lethe = new Lethe(options);
		if (options.furnish) {
			mkdirSync(lethe.data, { mode: 0o700 });
			options.furnish(lethe.data);
		}
		await lethe.up().catch(async (error) => {
			await lethe.finish();
			throw error;
		});
		return lethe;
	}

	async up(): Promise<void> {
		do {
			await this.stop();
			this.#spawn();
			await this.#until("listens", () => this.#listens());
		} while ([...this.endpoints(), ...this.#metricsEndpoint()].some(isRefusedByFetch));
		this.url = this.endpoints()[0]!;
		await this.#until("answers", () => this.#answers());
	}

	async #until(does: string, probe: () => boolean | Promise<boolean>): Promise<void> {
		const tried = () => {
			if (this.#child!.exitCode !== null || this.#child!.signalCode !== null) throw new Error("lethe serve ended");
			return probe();
		};
		await until(`Lethe ${does}`, tried).catch((error: Error) => {
			const where = existsSync(this.#endpointFile) ? this.endpoints().join(", ") : "nothing";
			throw new Error(`${error.message}; it listens on ${where}, and said: ${this.output()}`);
		});
	}

	#spawn(): void {
		for (const file of [this.#endpointFile, this.#metricsFile]) rmSync(file, { force: true });
		const [program, ...before] = this.#program();
		// Straight into the file: what it said is there as soon as it has ended.
		const output = openSync(join(this.dir, "serve.out"), "a");
		const child = spawn(program!, [...before, "serve", "--config", this.#configFile, "--data", this.data], {
			env: { PATH: process.env["PATH"], SIM_API_KEY: upstreamKey, ...this.#options.environment },
			stdio: ["ignore", output, output],
		});
		closeSync(output);
		this.#child = child;
		this.#ended = new Promise((resolve) => child.once("exit", resolve));
	}

	#program(): string[] {
		const user = this.#options.plainAs;
		if (user === undefined) return [letheBinary];
		const binary = join(this.dir, "lethe");
		copyFileSync(letheBinary, binary);
		const pems = readdirSync(this.dir).filter((name) => name.endsWith(".pem"));
		for (const path of [this.dir, binary, this.#configFile, ...pems.map((name) => join(this.dir, name))]) chownSync(path, user, user);
		const asUser = ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups", "--inh-caps=-all"];
		return ["prlimit", "--memlock=65536:65536", ...asUser, binary];
	}

	#listens(): boolean {
		return existsSync(this.#endpointFile) && readFileSync(this.#endpointFile, "utf8").endsWith("\n");
	}

	#answers(): Promise<boolean> {
		return fetch(`${this.url}/v1/models`).then(
			() => true,
			() => false,
		);
	}

	output(): string {
		const file = join(this.dir, "serve.out");
		return existsSync(file) ? readFileSync(file, "utf8") : "";
	}

	log(): string {
		const file = join(this.dir, "lethe.log");
		return existsSync(file) ? readFileSync(file, "utf8") : "";
	}

	get pid(): number {
		return this.#child!.pid!;
	}

	// Process ids of one role ("edge", "dialer", "ledger", "scribe"), or of all children.
	children(role = ""): number[] {
		return readdirSync("/proc")
			.filter((name) => /^\d+$/.test(name))
			.map(Number)
			.filter((pid) => this.#isChild(pid, role))
			.sort((a, b) => a - b);
	}

	#isChild(pid: number, role: string): boolean {
		try {
			const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
			const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
			return parent === this.pid && readFileSync(`/proc/${pid}/comm`, "utf8").startsWith(`lethe-${role}`);
		} catch {
			return false;
		}
	}

	// A command with --json; what it refuses comes back as well.
	run(...args: string[]): Promise<CommandResult> {
		return new Promise((resolve) => {
			execFile(letheBinary, [...args, ...(args.includes("--data") ? [] : ["--data", this.data]), "--json"], { env: { PATH: process.env["PATH"] } }, (error, stdout, stderr) => {
				let json: Json = {};
				try {
					json = JSON.parse(stdout || stderr);
				} catch {
					// Left to the caller: status and text tell.
				}
				resolve({ status: error ? Number(error.code ?? 1) : 0, json, stdout, stderr });
			});
		});
	}

	async command(...args: string[]): Promise<Json> {
		const result = await this.run(...args);
		if (result.status !== 0) throw new Error(`lethe ${args.join(" ")}: ${result.stderr || result.stdout}`);
		return result.json;
	}

	// An account with that much money and one key.
	async account(name: string, dollars: string): Promise<Account> {
		const id = (await this.command("account", "create", name))["account"] as string;
		if (Number(dollars) !== 0) await this.credit(id, dollars);
		const key = await this.command("key", "create", id);
		return { id, key: key["secret"] as string, keyId: key["key"] as string };
	}

	async credit(account: string, dollars: string): Promise<void> {
		await this.command("credit", "add", account, dollars, "--reason", "test");
	}

	async balance(account: string): Promise<number> {
		return nano((await this.command("account", "show", account))["balance"] as string);
	}

	// All of one account's requests, summed up.
	async usage(account: string): Promise<Json> {
		return (await this.command("usage", "--account", account))["total"] as Json;
	}

	// The books, derived anew.
	async verify(): Promise<CommandResult> {
		return this.run("ledger", "verify");
	}

	client(key: string, options: ClientOptions = {}): OpenAI {
		return new OpenAI({ apiKey: key, baseURL: `${this.url}/v1`, maxRetries: 0, timeout: patienceMs, ...options });
	}

	// The configuration's file, changed; `reload` applies it.
	configure(change: (config: Json) => void): void {
		const config = JSON.parse(readFileSync(this.#configFile, "utf8"));
		change(config);
		writeFileSync(this.#configFile, JSON.stringify(config, null, "\t"));
	}

	reload(): Promise<CommandResult> {
		return this.run("reload");
	}

	// To the binary that is installed, or to another.
	upgrade(binary?: string): Promise<CommandResult> {
		return this.run("upgrade", ...(binary ? ["--binary", binary] : []));
	}

	// Where clients come in now: the URL or path of each listener, in the order of the configuration.
	endpoints(): string[] {
		return readFileSync(this.#endpointFile, "utf8").trim().split("\n");
	}

	get #endpointFile(): string {
		return join(this.data, "endpoint");
	}

	get #metricsFile(): string {
		return `${this.#endpointFile}.metrics`;
	}

	#metricsEndpoint(): string[] {
		return existsSync(this.#metricsFile) ? [readFileSync(this.#metricsFile, "utf8").trim()] : [];
	}

	// How often the log has this event.
	events(name: string): number {
		return this.log().split(`"event":"${name}"`).length - 1;
	}

	signal(signal: NodeJS.Signals): void {
		this.#child!.kill(signal);
	}

	ended(): Promise<number | null> {
		return this.#ended;
	}

	// SIGTERM; the exit status.
	async stop(): Promise<number | null> {
		if (this.#child?.exitCode === null && this.#child.signalCode === null) this.signal("SIGTERM");
		return this.#ended;
	}

	async finish(): Promise<void> {
		const child = this.#child;
		if (child && child.exitCode === null && child.signalCode === null) {
			child.kill("SIGTERM");
			await Promise.race([this.#ended, until("Lethe stops", () => child.exitCode !== null).catch(() => child.kill("SIGKILL"))]);
		}
		if (process.env["LETHE_KEEP"]) console.log(`kept: ${this.dir}`);
		else removeFolder(this.dir);
	}
}

// A sanitizer keeps what was freed and has memory of its own: how much such a build uses tells nothing.
export const isSanitized = (): boolean => readFileSync(letheBinary).includes("__asan_init");

// The best grade of memory that this machine gives.
export function letheGives(): string {
	const { stdout } = spawnSync(letheBinary, ["doctor", "--json"], { encoding: "utf8" });
	return /"(sealed|locked|plain): /.exec(stdout)?.[1] ?? "unknown";
}

// "1.25" dollars as nano-dollars.
export function nano(dollars: string): number {
	const match = /^(-?)\$?(\d+)(?:\.(\d{1,9}))?$/.exec(String(dollars).trim());
	if (!match) throw new Error(`not an amount: ${dollars}`);
	const value = Number(match[2]) * 1e9 + Number((match[3] ?? "").padEnd(9, "0"));
	return match[1] ? -value : value;
}

export function sim(script: string): { headers: { "x-sim": string } } {
	return { headers: { "x-sim": script } };
}

let tags = 0;
export function tag(name: string): string {
	return `${name}-${process.pid}-${++tags}`;
}
