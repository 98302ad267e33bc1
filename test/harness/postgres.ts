import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { root } from "./paths.ts";
import { until } from "./until.ts";

// A PostgreSQL of the test's own, in a temporary folder, behind a Unix socket.
export class Postgres {
	readonly #child: ChildProcess;
	readonly #address: string;
	#databases = 0;
	#restarted: ChildProcess | undefined;

	private constructor(child: ChildProcess, address: string) {
		this.#child = child;
		this.#address = address;
	}

	static async start(): Promise<Postgres> {
		const child = spawn(join(root, "tool/with_postgres.sh"), ["sh", "-c", 'echo "$LETHE_TEST_POSTGRES" && exec cat'], { stdio: ["pipe", "pipe", "inherit"] });
		for await (const line of createInterface({ input: child.stdout! })) return new Postgres(child, line);
		throw new Error("PostgreSQL does not start");
	}

	// The address of a new database.
	async database(): Promise<string> {
		const name = `store_${++this.#databases}`;
		await this.ask(this.#address, `CREATE DATABASE ${name}`);
		return this.#address.replace("/postgres?", `/${name}?`);
	}

	ask(address: string, sql: string): Promise<string> {
		return new Promise((resolve, reject) => {
			execFile("psql", ["--no-psqlrc", "--tuples-only", "--no-align", "--command", sql, address], (error, stdout, stderr) =>
				error ? reject(new Error(stderr)) : resolve(stdout.trim()),
			);
		});
	}

	// Every connection that a ledger has to this database is cut.
	cut(address: string): Promise<string> {
		return this.ask(
			address,
			"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'lethe-ledger' AND datname = current_database()",
		);
	}

	// It ends at once, as in a crash. The answer begins it again.
	async fall(): Promise<() => Promise<void>> {
		const folder = new URL(this.#address.replace("@/", "@localhost/")).searchParams.get("host")!;
		const data = join(folder, "data");
		const pid = Number(readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")[0]);
		const [program, ...args] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
		const { uid, gid } = statSync(data);
		const ended = this.#restarted && new Promise((resolve) => this.#restarted!.once("exit", resolve));
		process.kill(pid, "SIGQUIT");
		await (ended ?? until("PostgreSQL has ended", () => hasEnded(pid)));
		return async () => {
			this.#restarted = spawn(program!, args, { uid, gid, cwd: folder, stdio: "ignore" });
			await until("PostgreSQL answers", () => this.ask(this.#address, "SELECT 1").catch(() => undefined));
		};
	}

	async restart(): Promise<void> {
		await (await this.fall())();
	}

	async stop(): Promise<unknown> {
		const again = this.#restarted && new Promise((resolve) => this.#restarted!.once("exit", resolve));
		this.#restarted?.kill("SIGINT");
		await again;
		const ended = new Promise((resolve) => this.#child.once("exit", resolve));
		this.#child.stdin!.end();
		return ended;
	}
}

// The shell that started it has yet to notice.
function hasEnded(pid: number): boolean {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		return stat[stat.lastIndexOf(")") + 2] === "Z";
	} catch {
		return true;
	}
}
