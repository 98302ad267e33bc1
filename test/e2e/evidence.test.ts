// The list of parts that a release carries has what SPDX 2.3 wants, and names every library that the program is linked with.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { root } from "../harness/paths.ts";

type Package = {
	SPDXID: string;
	name: string;
	versionInfo: string;
	downloadLocation: string;
	licenseConcluded: string;
	licenseDeclared: string;
	copyrightText: string;
	checksums?: { algorithm: string; checksumValue: string }[];
	externalRefs: { referenceType: string; referenceLocator: string }[];
};
type Relationship = { spdxElementId: string; relationshipType: string; relatedSpdxElement: string };
type Document = Record<string, unknown> & { packages: Package[]; relationships: Relationship[]; creationInfo: { created: string; creators: string[] } };

const run = (command: string, ...args: string[]): string => execFileSync(command, args, { cwd: root, encoding: "utf8" });

test("the list of parts is complete by SPDX 2.3", () => {
	const list = JSON.parse(run("tool/sbom.sh")) as Document;
	expect(list["spdxVersion"]).toBe("SPDX-2.3");
	expect(list["dataLicense"]).toBe("CC0-1.0");
	expect(list["SPDXID"]).toBe("SPDXRef-DOCUMENT");
	expect(list["name"]).toBeTruthy();
	expect(list["documentNamespace"]).toMatch(/^https:\/\/[^#]+$/);
	expect(list.creationInfo.created).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
	expect(list.creationInfo.creators.every((c) => /^(Tool|Person|Organization): ./.test(c))).toBe(true);
	for (const p of list.packages) {
		expect(p.SPDXID).toMatch(/^SPDXRef-[A-Za-z0-9.-]+$/);
		for (const field of [p.name, p.versionInfo, p.downloadLocation, p.licenseConcluded, p.licenseDeclared, p.copyrightText]) expect(field).toBeTruthy();
		expect(p.externalRefs[0]!.referenceLocator).toMatch(/^pkg:(deb\/debian|generic|npm)\/[a-z0-9.+-]+@[^:+]+$/);
	}
	const ids = new Set(list.packages.map((p) => p.SPDXID));
	expect(ids.size).toBe(list.packages.length);
	expect(list.relationships.filter((r) => r.relationshipType === "DESCRIBES").map((r) => r.relatedSpdxElement)).toEqual(["SPDXRef-lethe"]);
	const linked = list.relationships.filter((r) => /_LINK$|^CONTAINS$/.test(r.relationshipType)).map((r) => r.relatedSpdxElement);
	expect(new Set([...linked, "SPDXRef-lethe"])).toEqual(ids);
	expect(list.packages[0]!.checksums![0]!.checksumValue).toBe(createHash("sha256").update(readFileSync(`${root}/build/lethe`)).digest("hex"));
});

test("each library that the program needs when it starts is on it, and those that are within it", () => {
	const list = JSON.parse(run("tool/sbom.sh")) as Document;
	const names = list.packages.map((p) => p.name);
	for (const part of ["libc6", "libssl3", "libnghttp2-14", "libsodium-dev", "libsqlite3-dev", "libjansson-dev", "libcyaml-dev", "libyaml-dev", "libc-ares-dev", "js-tiktoken"])
		expect(names).toContain(part);
	const needed = run("readelf", "-d", "build/lethe").match(/NEEDED/g)!.length;
	expect(needed).toBeGreaterThan(3);
});
