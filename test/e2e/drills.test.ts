import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attacks } from "../harness/attacks.ts";
import { Drill } from "../harness/drill.ts";
import { until } from "../harness/until.ts";

// Short forms of `./dev drill`: an honest client beside the attackers is served, each of them costs a bounded amount of memory, and that comes back.
const slack = 512 << 10; // the honest client's own, and what is kept at hand
const window = 1_500; // The gauge of memory is renewed each second.

let d: Drill;
beforeAll(async () => {
	d = await Drill.start();
});
afterAll(() => d?.end());

describe("beside", () => {
	test.each(attacks.map((attack) => [attack.name, attack] as const))("%s", async (_, attack) => {
		// What a connection of HTTP/2 and the first handshake leave at hand is there already.
		const calm = await until("it is calm", async () => (await d.counted("lethe_connections_open")) <= 2 && (await d.used()));
		const shown = attack.shows ? await d.counted(attack.shows) : 0;
		const crowd = d.begin(attack);
		let most = 0;
		for (let i = 0, since = performance.now(); performance.now() - since < window; i++) {
			await d.served(i % 2 === 0, attack.busy ? 5 : 1);
			most = Math.max(most, await d.used());
		}
		if (attack.shows) await until("it is told apart", async () => (await d.counted(attack.shows!)) > shown);
		if (process.env["LETHE_DRILL_FIGURES"]) console.log(`${attack.name}: ${Math.round((most - calm) / attack.connections / 1024)} KiB each, ${crowd.begun} begun, ${crowd.ended} ended`);
		expect(most - calm).toBeLessThanOrEqual(attack.connections * attack.bytes + slack);
		// Who asks all the time does not come just when a connection at rest has had its time.
		const served = () => d.served(false, attack.busy ? 5 : 1);
		if (attack.ends) await until("they are all gone", async () => (await served(), (await d.counted("lethe_connections_open")) <= 2));
		crowd.stop();
		await served();
		await until("memory has come back", async () => (await d.used()) <= calm + slack);
		expect(d.world.lethe.children("edge").length).toBe(1);
	});

	test("and nothing was restarted, and the books are right", async () => {
		expect(await d.counted("lethe_process_restarts_total")).toBe(0);
		await until("all is booked", async () => (await d.counted("lethe_exchanges_open")) === 0);
		expect((await d.world.lethe.verify()).status).toBe(0);
	});
});
