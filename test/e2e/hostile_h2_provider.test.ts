import { afterAll, beforeAll, expect, test } from "vitest";
import { trustAuthority } from "../harness/certificates.ts";
import { type H2Case, h2Cases } from "../harness/h2_cases.ts";
import { goodFrames, H2WireProvider } from "../harness/h2_wire_provider.ts";
import { Lethe } from "../harness/lethe.ts";
import { type Answer, post, Raw } from "../harness/raw.ts";

const price = { from: "2026-01-01", input: "1.00", output: "10.00" };
const body = '{"model":"hostile","messages":[{"role":"user","content":"hi"}]}';
const filling = { key: "", body: () => "" };

let provider: H2WireProvider;
let lethe: Lethe;
let key: string;

beforeAll(async () => {
	provider = await H2WireProvider.start();
	lethe = await Lethe.start({
		edges: 1,
		config: {
			providers: [{ name: "wire", url: `${provider.url}/v1`, ca_file: trustAuthority().ca, keys: [{ env: "SIM_API_KEY" }] }],
			models: [{ id: "hostile", provider: "wire", context: 100_000, output: 1_000, prices: [price] }],
		},
	});
	key = (await lethe.account("customer", "1000")).key;
});

afterAll(async () => {
	await lethe.finish();
	provider.stop();
});

async function ask(): Promise<Answer | Error> {
	const raw = await Raw.open(lethe.url);
	raw.say(post(key, body));
	const answer = await raw.answer().catch((error: Error) => error);
	const more = raw.received.length;
	raw.close();
	return more && !(answer instanceof Error) ? new Error(`more than an answer: ${raw.received}`) : answer;
}

function said(one: H2Case, stream: number): Buffer {
	const same = h2Cases(filling, "h2_responses.txt", stream - 1).find((other) => other.line === one.line)!;
	return Buffer.concat(same.steps.flatMap((step) => ("say" in step ? [step.say] : [])));
}

// The answer's head is ours: of the provider's fields only its content type is in it.
const ours = /^HTTP\/1\.1 \d{3} [ -~]*(\r\n(content-type|content-length|transfer-encoding|connection|date|x-request-id|lethe-receipt|x-should-retry|x-content-type-options|retry-after|request-id): [^\0-\x08\x0a-\x1f]*)*$/i;

function resultOf(answer: Answer | Error): string {
	if (answer instanceof Error) return /^closed in mid-answer/.test(answer.message) ? "cut" : answer.message;
	if (!ours.test(answer.head)) return `not our head: ${answer.head}`;
	return answer.status === 200 ? `200 ${answer.body.length}` : String(answer.status);
}

async function play(one: H2Case): Promise<string | undefined> {
	const [expected] = one.expect;
	const fate = expected!.split(" ").at(-1);
	const result = expected!.slice(0, expected!.lastIndexOf(" "));
	const before = provider.asked.length;
	provider.answer = (stream) => said(one, stream);
	const got = resultOf(await ask());
	provider.answer = goodFrames;
	const next = await ask();
	const [first, second] = [provider.asked[before], provider.asked.at(-1)];
	const kept = first === second ? "kept" : "dropped";
	if (next instanceof Error || next.status !== 200 || !next.body.includes("hello")) return `the next client gets its own answer: ${resultOf(next)}`;
	if (got !== result && !(result === "cut" && got === "502")) return `${expected}: got ${got}`;
	return fate === "-" || fate === kept ? undefined : `${expected}: ${kept}`;
}

test("hostile providers that speak HTTP/2: nothing ambiguous is passed on", async () => {
	const cases = h2Cases(filling, "h2_responses.txt");
	const failures: string[] = [];
	for (const one of cases) {
		const failure = await play(one);
		if (failure) failures.push(`h2_responses.txt:${one.line} ${one.id}: ${failure}`);
	}
	console.log(`own (answers in HTTP/2): ${cases.length} cases, ${cases.length - failures.length} as specified`);
	expect(failures).toEqual([]);
}, 600_000);
