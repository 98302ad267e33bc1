import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export const root = resolve(import.meta.dirname, "../..");
export const build = process.env["LETHE_BUILD"] ?? join(root, "build");
export const letheBinary = join(build, "lethe");
export const simBinary = join(build, "lethe-sim");

export function temporaryFolder(): string {
	return mkdtempSync(join(tmpdir(), "lethe-test-"));
}

export function removeFolder(path: string): void {
	rmSync(path, { recursive: true, force: true });
}
