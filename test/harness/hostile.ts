import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { build, root } from "./paths.ts";

export type Kind = "request" | "response" | "response to HEAD";
export type Case = { kind: Kind; file: string; line: number; source: string; id: string; expect: string; bytes: Buffer };

const folder = join(root, "test/hostile");

// The corpus as the C runner reads it: that is the one reader of its format.
export function hostileCases(): Case[] {
	const names = readdirSync(folder).filter((name) => name.endsWith(".txt") && !name.startsWith("h2"));
	const files = ["words.txt", ...names.filter((name) => name !== "words.txt").sort()].map((name) => join(folder, name));
	const lines = execFileSync(join(build, "test/hostile/hostile_test"), ["--print", ...files], { encoding: "utf8", maxBuffer: 1 << 28 });
	return lines
		.split("\n")
		.filter((line) => line)
		.map((line) => JSON.parse(line) as Case & { bytes: string })
		.map((one) => ({ ...one, bytes: Buffer.from(one.bytes, "hex") }));
}

const placeholder = Buffer.from("sk-lethe-KEY");

export function withKey(bytes: Buffer, key: string): Buffer {
	const parts: Buffer[] = [];
	let at = 0;
	for (let next = bytes.indexOf(placeholder); next >= 0; next = bytes.indexOf(placeholder, at)) {
		parts.push(bytes.subarray(at, next), Buffer.from(key));
		at = next + placeholder.length;
	}
	return Buffer.concat([...parts, bytes.subarray(at)]);
}

// "http11probe: 215 cases, 215 as specified", by source.
export function report(cases: Case[], failures: Set<Case>): string {
	const sources = [...new Set(cases.map((one) => one.source))];
	return sources
		.map((source) => {
			const all = cases.filter((one) => one.source === source);
			return `${source}: ${all.length} cases, ${all.filter((one) => !failures.has(one)).length} as specified`;
		})
		.join("; ");
}
