import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { trustAuthority } from "../harness/certificates.ts";
import { letheGives } from "../harness/lethe.ts";
import { type Pattern, searchProcess } from "../harness/search.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const isRoot = process.getuid!() === 0;

// Memory that root can read, so that the search sees all of it.
let w: World;
beforeAll(async () => {
	w = await world({ tls: true, edges: 2, grade: "locked" });
});
afterAll(() => w?.end());

const pem = readFileSync(trustAuthority().key, "utf8");
const number = Buffer.from(createPrivateKey(pem).export({ format: "jwk" }).d!, "base64url");
// As a file has it, and as a library computes with it.
const marks: Pattern[] = [["number", number], ["number backwards", Buffer.from(number).reverse()]];
const text: Pattern[] = [["text", Buffer.from(pem.split("\n")[1]!)]];

const found = (role: string, patterns: Pattern[]): string[] => w.lethe.children(role).flatMap((pid) => searchProcess(pid, patterns).found);

// A full handshake: somebody signs.
function handshake(): Promise<boolean> {
	const { hostname, port } = new URL(w.lethe.url);
	return new Promise((resolve) => {
		const socket = connect({ host: hostname, port: Number(port) }, () => {
			socket.destroy();
			resolve(true);
		});
		socket.on("error", () => resolve(false));
	});
}

async function useIt(): Promise<void> {
	for (let i = 0; i < 8; i++) expect(await handshake()).toBe(true);
}

// The supervisor reads the key of a certificate, tries it, and hands it to the signer. Afterwards it has the text of the file, in memory that is locked and
// never dumped, and nowhere the number itself. The signer has the number; nobody else has either, least of all who talks to strangers.
function onlyTheSignerHasIt(): void {
	expect(searchProcess(w.lethe.pid, text).found).not.toEqual([]); // the search finds what is there
	expect(found("signer", marks)).not.toEqual([]);
	expect(found("signer", text)).toEqual([]);
	expect(searchProcess(w.lethe.pid, marks).found).toEqual([]);
	for (const role of ["edge", "dialer", "ledger", "scribe"]) {
		expect(w.lethe.children(role)).not.toEqual([]);
		expect(found(role, [...marks, ...text])).toEqual([]);
	}
}

async function died(role: string): Promise<void> {
	const before = w.lethe.children(role);
	process.kill(before[0]!, "SIGKILL");
	await until(`another ${role}`, () => w.lethe.children(role).length === before.length && !w.lethe.children(role).includes(before[0]!));
	await until("it signs", handshake);
}

test.skipIf(!isRoot || letheGives() === "plain")("the key of a certificate is in the signer's memory and in nobody else's", async () => {
	await useIt();
	onlyTheSignerHasIt();
	w.lethe.signal("SIGHUP");
	await until("the edges have it", () => w.lethe.log().split('"event":"TLS_RENEWED"').length === 3);
	await useIt();
	onlyTheSignerHasIt();
	for (const role of ["edge", "signer"]) {
		await died(role);
		await useIt();
		onlyTheSignerHasIt();
	}
});

// As root each process that needs no file runs as a user of its own: none may signal, trace or read another, whatever it has become.
test.skipIf(!isRoot)("whoever reads what strangers send, or holds a secret, is a user of its own", () => {
	const users = (role: string): string[] => w.lethe.children(role).map((pid) => /^Uid:\s+(\d+)\s+\1\s+\1/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]!);
	const own = ["edge", "dialer", "scribe", "signer"].flatMap(users);
	expect(own).toHaveLength(5);
	expect(new Set(own).size).toBe(5);
	for (const user of own) expect(Number(user)).toBeGreaterThan(1_800_000_000);
	expect(users("ledger")).toEqual(["0"]); // its files' owner
});
