// What is left behind a load: bodies of every size and many exchanges at once, then memory as it was before. `./dev memory` is the long form.
import { afterAll, beforeAll, expect, test } from "vitest";
import { AfterLoad, segments, total } from "../harness/after_load.ts";
import { isSanitized } from "../harness/lethe.ts";
import { until } from "../harness/until.ts";

const isJudged = process.getuid!() === 0 && !isSanitized();
// A connection to a provider may lie in a segment for 10 s, and an empty one is kept for 30; the rest is for machines with much to do.
const calmMs = 90_000;

let l: AfterLoad;
beforeAll(async () => {
	l = await AfterLoad.start();
});
afterAll(() => l?.end());

test("bodies of 1 B to 64 MiB and a crowd leave two segments at most, and memory but for 10 %", async () => {
	await l.warm();
	const before = isJudged ? total(l.memory()) : 0;
	for (const [size, status] of await l.bodies()) expect(status, `${size} bytes`).toBe(size < 256 ? 400 : 200);
	// It did need more; an edge states what it has once a second.
	await until("more than two segments are mapped", async () => (await l.mapped()) > segments.first + segments.next);
	expect(await l.crowd(300)).toBe(0);
	await l.quiet();
	await until("two segments at most are mapped", async () => (await l.mapped()) <= segments.first + segments.next, calmMs);
	const most = before * 1.1;
	if (isJudged) await until("memory is as it was", () => total(l.memory()) <= most, calmMs).catch(() => expect(total(l.memory())).toBeLessThanOrEqual(most));
	expect((await l.world.lethe.verify()).status).toBe(0);
}, 240_000);
