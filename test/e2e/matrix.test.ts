// Every SDK, each thing that it can do, over every scheme and grade of memory; and after each request the booking, to the last digit.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Grade, letheGives, nano } from "../harness/lethe.ts";
import { money, type Scheme, Stand } from "../harness/stand.ts";
import type { Turn } from "../harness/turns.ts";
import { type Ask, type Driver, drivers, schema, toolName, toolResult } from "./matrix/drivers.ts";
import { cases } from "./matrix/cases.ts";
import { troubles } from "./matrix/troubles.ts";

const schemes: Scheme[] = ["http", "https"];
const grades: Grade[] = ["sealed", "locked"];
const settings = schemes.flatMap((scheme) => grades.map((grade) => ({ scheme, grade })));

const pixels = Buffer.alloc(20_000, 0x5a).toString("base64");
// Long enough that what is reserved for it covers what the answers claim that it had.
const words = "hi ".repeat(1500);
const said = "Grüße, \u{1F44B}\u{1F3FD} \"quoted\" \\ and a longer rest";
const json = '{"city":"Rome","degrees":21}';
const call = (city: string) => ({ name: toolName, input: { city } });

type Row = { name: string; ask: Omit<Ask, "stream">; turn: Turn; sent: (driver: Driver) => string };
const rows: Row[] = [
	{ name: "a text", ask: { text: words }, turn: { text: said }, sent: () => words },
	{ name: "a tool", ask: { text: words, tools: true }, turn: { calls: [call('San Francisco, "CA"')] }, sent: () => toolName },
	{ name: "two tools at once, after a text", ask: { text: words, tools: true }, turn: { text: said, calls: [call("Rome"), call("Oslo")] }, sent: () => toolName },
	{ name: "an image", ask: { text: words, image: pixels }, turn: { text: said }, sent: (driver) => driver.image(pixels) },
	{ name: "a JSON schema", ask: { text: words, schema: true }, turn: { text: json }, sent: () => JSON.stringify(schema.properties) },
	{ name: "reasoning", ask: { text: words, thinking: true }, turn: { thinking: "a long thought", text: said }, sent: (driver) => driver.thinks ?? words },
];

async function roundTrip(s: Stand, driver: Driver, stream: boolean): Promise<void> {
	const answers = [{ calls: [call("Rome"), call("Oslo")] }, { text: said }].map((turn) => driver.say(turn, stream));
	s.provider.answers(() => answers.shift()!);
	if (driver.loop) expect(await driver.loop(s, stream)).toEqual({ text: said });
	else {
		const ask = { stream, text: words, tools: true };
		const first = await driver.ask(s, ask);
		expect((await driver.ask(s, ask, first.past())).turn).toEqual({ text: said });
	}
	expect(s.provider.last.raw.split(toolResult)).toHaveLength(3);
	await s.booked([driver.costs, driver.costs]);
}

describe.each(settings.filter(({ grade }) => grade !== "sealed" || letheGives() === "sealed"))("$scheme, $grade memory", (setting) => {
	let s: Stand;
	beforeAll(async () => (s = await Stand.start(setting)) && undefined);
	afterAll(() => s?.stop());
	beforeEach(() => s.begin());

	describe.each(drivers)("$name", (driver) => {
		describe.each([{ way: "plain", stream: false }, { way: "streamed", stream: true }])("$way", ({ stream }) => {
			const able = rows.filter((row) => !driver.cannot?.some((what) => row.ask[what as keyof Row["ask"]]));
			test.each(able)("$name", async (row) => {
				s.provider.answers(driver.say(row.turn, stream));
				const { turn } = await driver.ask(s, { ...row.ask, stream });
				expect(turn).toEqual(row.turn);
				expect(s.provider.last.raw).toContain(row.sent(driver));
				expect(s.provider.last.raw).not.toContain(s.customer.key);
				await s.booked([driver.costs]);
			});

			test("tools and their results", () => roundTrip(s, driver, stream));
		});
	});

	describe.each(Object.entries({ ...cases, ...troubles }))("%s", (_, list) => {
		test.each(list)("$name", async ({ says, does, costs }) => {
			if (says) s.provider.answers(says);
			await does(s);
			await s.booked(costs);
		});
	});

	// Last: nothing was booked that no test above expected.
	test("the books show what was expected and nothing else", async () => {
		await s.booked([]);
		expect(await s.lethe.balance(s.customer.id)).toBe(nano(money) - s.charged);
		expect((await s.lethe.verify()).json).toMatchObject({ tickets_with_an_unexplained_difference: 0 });
	});
});
