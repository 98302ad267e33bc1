import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { type Grade, letheGives, type Options } from "../harness/lethe.ts";
import { world, type World } from "../harness/world.ts";

const isRoot = process.getuid!() === 0;
const nobody = 65534;

describe("the grade of the memory for content", () => {
	let w: World | undefined;
	afterEach(async () => {
		await w?.end();
		w = undefined;
	});

	async function edgeWith(options: Partial<Options>) {
		w = await world({ edges: 1, ...options });
		const [pid] = w.lethe.children("edge");
		const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, "utf8");
		return { secret: read("maps").includes("secretmem"), locked: Number(/^VmLck:\s+(\d+) kB/m.exec(read("status"))![1]) };
	}

	test.skipIf(letheGives() !== "sealed")("auto takes secret memory where there is some", async () => {
		expect(await edgeWith({})).toMatchObject({ secret: true });
	});

	test("locked is locked and not secret", async () => {
		const edge = await edgeWith({ grade: "locked" });
		expect(edge.secret).toBe(false);
		expect(edge.locked).toBeGreaterThan(0);
	});

	// Without privileges and without the right to lock memory there is only plain memory.
	test.skipIf(!isRoot).each<[Grade, RegExp]>([
		["sealed", /`content_memory_grade: sealed`, and this machine gives less: RLIMIT_MEMLOCK/],
		["locked", /neither secret nor locked: RLIMIT_MEMLOCK/],
	])("%s is not replaced by something less", async (grade, says) => {
		const failed = await world({ plainAs: nobody, grade }).then(
			(started) => ((w = started), "it started"),
			(error: Error) => error.message,
		);
		expect(failed).toMatch(says);
	});
});
