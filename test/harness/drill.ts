import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Attack, attackersModel, Crowd, type Target } from "./attacks.ts";
import { trustAuthority } from "./certificates.ts";
import { type Account, type Json, upstreamKey } from "./lethe.ts";
import { get, type Metrics, sum } from "./metrics.ts";
import { Sim } from "./sim.ts";
import { world, type World } from "./world.ts";

const bodyBytes = 1 << 20;

// A gateway with one edge and little of everything, so that an attack needs little as well.
export function drillConfig(): Json {
	const files = trustAuthority();
	return {
		listen: ["127.0.0.1:0"],
		metrics: { listen: "127.0.0.1:0" },
		tls: { certificates: [{ certificate: files.certificate, key: files.key }] },
		listeners: [{ at: "127.0.0.1:0", tls: true }, { at: "127.0.0.1:0", proxy_protocol: true }],
		trusted_proxies: ["127.0.0.1"],
		limits: { body_bytes: bodyBytes, content_memory: "24MiB", connections_per_address: 20 },
		timeouts: { head: "1s", idle: "2s", body: "1s", client_write: "1s", request: "4s" },
	};
}

export class Drill {
	readonly world: World;
	readonly #metrics: string;
	readonly target: Target;
	readonly honest: { clear: string; key: string };

	// The attackers' provider.
	readonly theirs: Sim;

	private constructor(w: World, theirs: Sim, honest: Account, attacker: Account) {
		this.world = w;
		this.theirs = theirs;
		const [clear, secure, proxied] = w.lethe.endpoints() as [string, string, string];
		this.#metrics = readFileSync(join(w.lethe.data, "endpoint.metrics"), "utf8").trim();
		this.honest = { clear, key: honest.key };
		this.target = { clear, secure, proxied, key: attacker.key, bodyBytes };
	}

	static async start(): Promise<Drill> {
		const theirs = await Sim.start({ key: upstreamKey });
		const provider = { name: "theirs", url: `${theirs.url}/v1`, keys: [{ env: "SIM_API_KEY" }], pass_headers: ["x-sim"], inject_usage: true };
		const model = { id: attackersModel, upstream: "theirs", provider: "theirs", prices: [{ input: "1.00", output: "10.00" }] };
		const w = await world({ edges: 1, config: drillConfig(), extra: { providers: [provider], models: [model] } }).catch((error) => {
			theirs.stop();
			throw error;
		});
		return new Drill(w, theirs, await w.lethe.account("honest", "100000"), await w.lethe.account("attacker", "100000"));
	}

	metrics(): Promise<Metrics> {
		return get(this.#metrics);
	}

	async used(): Promise<number> {
		return sum(await this.metrics(), "lethe_vault_used_bytes");
	}

	async counted(name: string): Promise<number> {
		return sum(await this.metrics(), name);
	}

	// A request as somebody makes who knows nothing of all this. tries: how often a 503 may be answered by coming again.
	async served(stream: boolean, tries = 1): Promise<void> {
		for (let left = tries; ; left--) {
			const answer = await fetch(`${this.honest.clear}/v1/chat/completions`, {
				method: "POST",
				headers: { authorization: `Bearer ${this.honest.key}`, "content-type": "application/json", "x-sim": "chunks=5" },
				body: JSON.stringify({ model: "exact", stream, messages: [{ role: "user", content: "hi" }] }),
			});
			const text = await answer.text();
			if (answer.status === 200 && (stream ? text.endsWith("data: [DONE]\n\n") : text.includes('"usage"'))) return;
			if (answer.status !== 503 || left <= 1) throw new Error(`${answer.status}: ${text.slice(0, 300)}`);
		}
	}

	begin(attack: Attack, size?: number): Crowd {
		return new Crowd(attack, this.target, size);
	}

	async end(): Promise<void> {
		await this.world.end();
		this.theirs.stop();
	}
}
