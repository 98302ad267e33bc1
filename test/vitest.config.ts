import { configDefaults, defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

// What takes longest begins first, so that all workers end together; the rest in any order.
const longest = ["e2e/upgrade", "e2e/after_load", "e2e/reload", "e2e/drills", "e2e/otlp", "e2e/wire", "e2e/signer", "crash/kill", "e2e/matrix",
	"e2e/messages_batches", "e2e/responses", "e2e/postgres", "e2e/bodies", "e2e/batches", "e2e/nodes", "e2e/doors", "e2e/tls", "e2e/broken", "crash/cut", "e2e/sdk", "e2e/limits"];
const rank = (file: TestSpecification): number => (longest.findIndex((name) => file.moduleId.endsWith(`/${name}.test.ts`)) + 1 || longest.length + 1);

class LongestFirst extends BaseSequencer {
	override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
		return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
	}
}

// Nothing new for sanitizers to see: many times the same, for how long it takes or how much memory is left.
const repetitive = ["e2e/after_load.test.ts", "e2e/reload.test.ts", "e2e/upgrade.test.ts"];
const isSanitized = /asan/.test(process.env["LETHE_BUILD"] ?? "");

export default defineConfig({
	test: {
		include: ["e2e/**/*.test.ts", "crash/**/*.test.ts", "privacy/**/*.test.ts"],
		exclude: [...configDefaults.exclude, ...(isSanitized ? repetitive : [])],
		// They wait more than they work: two processors have enough for four, each with its own gateway and simulator.
		maxWorkers: 4,
		sequence: { sequencer: LongestFirst },
		testTimeout: 240_000,
		hookTimeout: 240_000,
		// Nothing is tried again: a test that passes on the second try has found something.
		retry: 0,
	},
});
