import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { trustAuthority } from "../harness/certificates.ts";
import { letheGives } from "../harness/lethe.ts";
import { type Pattern, searchProcess } from "../harness/search.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const isRoot = process.getuid!() === 0;

let w: World;
beforeAll(async () => {
	w = await world({ tls: true, edges: 1 });
});
afterAll(() => w?.end());

// The supervisor reads the key of a certificate, tries it, and hands it to the edges. Afterwards it has the text of the file, in memory that is locked and
// never dumped, and nowhere the number itself; nobody else but the edges has either.
test.skipIf(!isRoot || letheGives() === "plain")("a certificate's key is left in no ordinary memory, nor after a renewal", async () => {
	const pem = readFileSync(trustAuthority().key, "utf8");
	const number = Buffer.from(createPrivateKey(pem).export({ format: "jwk" }).d!, "base64url");
	const marks: Pattern[] = [["number", number], ["number backwards", Buffer.from(number).reverse()]];
	const text: Pattern[] = [["text", Buffer.from(pem.split("\n")[1]!)]];
	expect(searchProcess(w.lethe.pid, text).found).toHaveLength(1); // the search finds what is there
	for (const renewed of [false, true]) {
		if (renewed) {
			w.lethe.signal("SIGHUP");
			await until("the edge has it", () => w.lethe.log().includes('"event":"TLS_RENEWED"'));
		}
		for (const pid of [w.lethe.pid, ...["dialer", "ledger", "scribe"].flatMap((role) => w.lethe.children(role))])
			expect(searchProcess(pid, marks).found).toEqual([]);
	}
});
