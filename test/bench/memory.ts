// The long form of test/e2e/after_load.test.ts: what a load leaves of memory in each process, by kind. As root.
//   memory.ts [--crowd N] [--rounds N] [--wait SECONDS]   so many at once, so many times, and how long behind the last until it is judged
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { AfterLoad, type Memory, segments, total } from "../harness/after_load.ts";

const bar = 1.1;

const { values } = parseArgs({ options: { crowd: { type: "string", default: "5000" }, rounds: { type: "string", default: "1" }, wait: { type: "string", default: "60" }, help: { type: "boolean" } } });
if (values.help) {
	console.log("./dev memory [--crowd N] [--rounds N] [--wait SECONDS]: bodies of 1 B to 64 MiB, then N streams at once (5,000); what is left of memory 60 s later, by process. As root.");
	process.exit(0);
}
if (process.getuid!() !== 0) {
	console.error("memory: run as root: nobody else may look into the memory of the gateway's processes");
	process.exit(1);
}

function print(before: Map<string, Memory>, after: Map<string, Memory>): void {
	console.log("process        kind            before      after  KiB");
	for (const [process, now] of after)
		for (const [kind, kib] of now) {
			const was = before.get(process)?.get(kind) ?? 0;
			if (Math.abs(kib - was) >= 16) console.log(`${process.padEnd(14)} ${kind.padEnd(12)} ${String(was).padStart(9)}  ${String(kib).padStart(9)}  ${kib > was ? "+" : ""}${kib - was}`);
		}
	const [was, now] = [total(before), total(after)];
	console.log(`all                         ${String(was).padStart(9)}  ${String(now).padStart(9)}  ${(100 * (now / was - 1)).toFixed(1)} %`);
}

const l = await AfterLoad.start();
let good = true;
try {
	await l.warm();
	await l.quiet();
	await wait(2000);
	const before = l.memory();
	for (let round = 1; round <= Number(values.rounds); round++) {
		const sizes = await l.bodies();
		const failed = await l.crowd(Number(values.crowd));
		await l.quiet();
		await wait(Number(values.wait) * 1000);
		const after = l.memory(), mapped = await l.mapped();
		console.log(`round ${round}: ${sizes.size} sizes, ${values.crowd} at once, ${failed} failed; ${mapped} bytes of vault mapped`);
		print(before, after);
		good &&= failed === 0 && mapped <= segments.first + segments.next && total(after) <= total(before) * bar;
	}
} finally {
	await l.end();
}
console.log(good ? `good: at most two segments, and at most ${Math.round(100 * (bar - 1))} % more than before` : "BAD");
process.exit(good ? 0 : 1);
