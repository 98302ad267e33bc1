import { scheduler } from "node:timers/promises";

// No test judges how fast a machine is: how long anything is waited for before its absence is a failure, also where all else is stalled.
export const patienceMs = 60_000;

// Asks again and again until `probe` answers something other than undefined or false; no test waits for a fixed time.
export async function until<T>(
	what: string,
	probe: () => T | undefined | false | Promise<T | undefined | false>,
	withinMs = patienceMs,
): Promise<T> {
	const deadline = performance.now() + withinMs;
	for (;;) {
		const answer = await probe();
		if (answer !== undefined && answer !== false) return answer as T;
		if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
		await scheduler.wait(5);
	}
}
