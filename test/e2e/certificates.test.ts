// tool/certificate.sh, and that clients in this process take what it makes: ./dev run --tls, the tests and the bench stand on it.
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import { afterEach, beforeEach, expect, test } from "vitest";
import { certificates, type Certificates, trustAuthority } from "../harness/certificates.ts";
import { removeFolder, temporaryFolder } from "../harness/paths.ts";
import { Sim } from "../harness/sim.ts";

let folder: string;
let files: Certificates;

beforeEach(() => {
	folder = temporaryFolder();
	files = certificates(folder);
});
afterEach(() => removeFolder(folder));

function openssl(...args: string[]): string {
	return execFileSync("openssl", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

function verified(): string {
	return openssl("verify", "-CAfile", files.ca, "-untrusted", files.certificate, "-verify_hostname", "api.localhost", files.certificate);
}

function content(): string[] {
	return [files.ca, join(folder, "ca-key.pem"), files.certificate, files.key].map((path) => readFileSync(path, "utf8"));
}

// A certificate for the server's key, by the authority's own hand.
function sign(names: string, days: number, to: string): void {
	const request = join(folder, "request.pem");
	const extensions = join(folder, "extensions");
	writeFileSync(extensions, `subjectAltName = ${names}\n`);
	openssl("req", "-new", "-key", files.key, "-subj", "/CN=localhost", "-out", request);
	const by = ["-CA", files.ca, "-CAkey", join(folder, "ca-key.pem"), "-set_serial", "1", "-extfile", extensions];
	openssl("x509", "-req", "-in", request, ...by, "-days", String(days), "-out", to);
}

test("what is there and good is left alone", () => {
	const before = content();
	certificates(folder);
	expect(content()).toEqual(before);
	expect(verified()).toContain("OK");
});

test("keys are their owner's alone", () => {
	for (const key of ["ca-key.pem", "server-key.pem"]) expect(statSync(join(folder, key)).mode & 0o777).toBe(0o600);
});

test("a certificate that ends within 30 days is made anew, by the same authority", () => {
	const [ca] = content();
	sign("DNS:api.localhost,IP:127.0.0.1", 40, files.certificate);
	const good = content();
	certificates(folder);
	expect(content()).toEqual(good);
	sign("DNS:api.localhost,IP:127.0.0.1", 20, files.certificate);
	certificates(folder);
	expect(content()[0]).toBe(ca);
	expect(() => openssl("x509", "-in", files.certificate, "-noout", "-checkend", String(300 * 24 * 3600))).not.toThrow();
	expect(verified()).toContain("OK");
});

test("a lost key and one that belongs to nothing are replaced", () => {
	rmSync(files.key);
	certificates(folder);
	expect(verified()).toContain("OK");
	writeFileSync(join(folder, "ca-key.pem"), "nothing\n");
	certificates(folder);
	expect(verified()).toContain("OK");
	expect(openssl("pkey", "-in", join(folder, "ca-key.pem"), "-pubout")).toBe(openssl("x509", "-in", files.ca, "-noout", "-pubkey"));
});

test("the authority's word counts for this machine only", () => {
	const foreign = join(folder, "foreign.pem");
	sign("DNS:api.openai.com", 90, foreign);
	expect(() => openssl("verify", "-CAfile", files.ca, foreign)).toThrow(/permitted subtree violation/);
});

test("an SDK takes an https URL as it is", async () => {
	const sim = await Sim.start({ key: "sk-test", tls: true });
	try {
		const client = new OpenAI({ apiKey: "sk-test", baseURL: `${sim.tlsUrl}/v1`, maxRetries: 0 });
		await expect(client.models.list()).rejects.toThrow(OpenAI.APIConnectionError);
		trustAuthority();
		expect((await client.models.list()).data.map((model) => model.id)).toContain("gpt-sim");
		expect((await sim.stats())["handshakes"]).toBeGreaterThan(0);
	} finally {
		sim.stop();
	}
});
