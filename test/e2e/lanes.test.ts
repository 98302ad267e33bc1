// By which lane a request goes that names none: its key's, its workspace's, or the first that the model has.
import { execFileSync } from "node:child_process";
import { APIError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Account, type Json, nano } from "../harness/lethe.ts";
import { letheBinary } from "../harness/paths.ts";
import { type Answer, post, Raw } from "../harness/raw.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const script = "prompt_tokens=1000,completion_tokens=100";
const price = { from: "2026-01-01", input: "1.00", output: "10.00" };
const whole = nano("0.002");
const two = {
	id: "two-lanes",
	provider: undefined,
	prices: [price],
	targets: [{ provider: "sim", lanes: ["direct", "economy"] }],
};

let w: World;
beforeAll(async () => {
	w = await world({
		config: { expose_route: true, lanes: [{ name: "direct" }, { name: "economy", times: "0.5" }, { name: "rare", times: "3" }] },
		extra: { providers: [], models: [two] },
	});
});
afterAll(() => w?.end());

const lethe = (...args: string[]) => w.lethe.command(...args);
let people = 0;
const someone = () => w.lethe.account(`somebody-${++people}`, "5.00");

// Over a connection of its own: after a reload that is one of the new edges.
async function say(request: string): Promise<Answer> {
	const raw = await Raw.open(w.lethe.url);
	raw.say(request);
	const answer = await raw.answer();
	raw.close();
	return answer;
}
async function ask(a: Account, model: string, headers: Record<string, string> = {}): Promise<{ lane: string | undefined; status: number; text: string }> {
	const answer = await say(post(a.key, JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] }), { "x-sim": script, ...headers }));
	return { lane: answer.headers.get("lethe-lane"), status: answer.status, text: answer.body.toString() };
}
async function key(a: Account): Promise<Json> {
	return JSON.parse((await say(`GET /v1/key HTTP/1.1\r\nHost: lethe.test\r\nAuthorization: Bearer ${a.key}\r\n\r\n`)).body.toString()) as Json;
}

describe("a lane that is set", () => {
	test("is the account's for all its keys, the key's before it, and the request's before both; and costs what it costs", async () => {
		const a = await someone();
		expect(await ask(a, "two-lanes")).toMatchObject({ status: 200, lane: "direct" });
		expect((await key(a))["lane"]).toBeNull();
		expect((await lethe("account", "limit", a.id, "--lane", "Economy"))["lane"]).toBe("economy");
		expect(await ask(a, "two-lanes")).toMatchObject({ status: 200, lane: "economy" });
		expect((await key(a))["lane"]).toBe("economy");
		expect((await lethe("key", "limit", a.keyId, "--lane", "direct"))["lane"]).toBe("direct");
		expect(await ask(a, "two-lanes")).toMatchObject({ status: 200, lane: "direct" });
		expect((await key(a))["lane"]).toBe("direct");
		expect(await ask(a, "two-lanes:economy")).toMatchObject({ status: 200, lane: "economy" });
		expect(await ask(a, "two-lanes", { "lethe-lane": "economy" })).toMatchObject({ status: 200, lane: "economy" });
		await lethe("key", "limit", a.keyId, "--lane", "none");
		expect(await ask(a, "two-lanes")).toMatchObject({ status: 200, lane: "economy" });
		await until("all is booked", async () => (await w.lethe.usage(a.id))["requests"] === 6);
		expect(nano((await w.lethe.usage(a.id))["cost"])).toBe(2 * whole + 4 * (whole / 2));
	});

	test("is shown, goes along when the key is rotated, and outlives a restart of the ledger", async () => {
		const a = await someone();
		await lethe("key", "limit", a.keyId, "--lane", "economy");
		const shown = execFileSync(letheBinary, ["key", "show", a.keyId, "--data", w.lethe.data], { env: { PATH: process.env["PATH"] }, encoding: "utf8" });
		expect(shown).toMatch(/^lane +economy$/m);
		const next = await lethe("key", "rotate", a.keyId);
		for (const pid of w.lethe.children("ledger")) process.kill(pid, "SIGKILL");
		const again = { ...a, key: next["secret"] as string };
		await until("the ledger is back", async () => (await ask(again, "two-lanes")).status === 200);
		expect(await ask(again, "two-lanes")).toMatchObject({ status: 200, lane: "economy" });
	});

	test("that a model does not have is a refusal, in the words of the SDK, and never another lane", async () => {
		const a = await someone();
		await lethe("key", "limit", a.keyId, "--lane", "rare");
		const error = await w.lethe
			.client(a.key)
			.chat.completions.create({ model: "two-lanes", messages: [{ role: "user", content: "hi" }] })
			.then(
				() => undefined,
				(e: unknown) => e,
			);
		expect(error).toBeInstanceOf(APIError);
		expect(error).toMatchObject({ status: 400, code: "unknown_lane" });
		expect((error as APIError).message).toContain("The model `two-lanes` has no lane `rare`. It has: direct, economy. Requests of this key go by that lane when they name none");
		expect(await ask(a, "two-lanes", { "lethe-lane": "direct" })).toMatchObject({ status: 200, lane: "direct" });
	});

	// The last one: it changes the configuration.
	test("is refused where there is none of that name, and a request is when it has gone", async () => {
		const a = await someone();
		const wrong = await w.lethe.run("key", "limit", a.keyId, "--lane", "econom");
		expect(wrong.status).toBe(1);
		expect(wrong.stderr + wrong.stdout).toContain('there is no lane \\"econom\\": the configuration has direct, economy, rare');
		await lethe("key", "limit", a.keyId, "--lane", "economy");
		w.lethe.configure((config) => {
			config["lanes"] = [{ name: "direct" }, { name: "slow" }];
			for (const model of config["models"]) if (model["id"] === "two-lanes") model["targets"] = [{ provider: "sim", lanes: ["direct", "slow"] }];
		});
		expect((await w.lethe.reload()).json["result"]).toBe("applied");
		const gone = await ask(a, "two-lanes");
		expect(gone.status).toBe(400);
		expect(gone.text).toContain("The model `two-lanes` has no lane `economy`. It has: direct, slow. Requests of this key go by that lane");
		expect((await key(a))["lane"]).toBe("economy");
		await lethe("key", "limit", a.keyId, "--lane", "slow");
		expect(await ask(a, "two-lanes")).toMatchObject({ status: 200, lane: "slow" });
	});
});
