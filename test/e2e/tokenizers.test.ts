// The tables that tokens are counted by are what their sources give: the vocabularies of the package js-tiktoken, and Unicode's classes.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../harness/paths.ts";

test("the kept vocabularies, classes and counts are those that their generator writes", () => {
	const fresh = mkdtempSync(join(tmpdir(), "lethe-tokenizers-"));
	const kept = join(root, "src/dialect/tokenizers");
	try {
		execFileSync(process.execPath, [join(root, "tool/tokenizers.ts"), fresh]);
		expect(readdirSync(kept).sort()).toEqual(readdirSync(fresh).sort());
		for (const file of readdirSync(fresh)) expect(readFileSync(join(kept, file)).equals(readFileSync(join(fresh, file))), file).toBe(true);
	} finally {
		rmSync(fresh, { recursive: true, force: true });
	}
});
