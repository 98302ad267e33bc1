import { configDefaults, defineConfig } from "vitest/config";

// Nothing new for sanitizers to see: many times the same, for how long it takes or how much memory is left.
const repetitive = ["e2e/after_load.test.ts", "e2e/reload.test.ts", "e2e/upgrade.test.ts"];
const isSanitized = /asan/.test(process.env["LETHE_BUILD"] ?? "");

export default defineConfig({
	test: {
		include: ["e2e/**/*.test.ts", "crash/**/*.test.ts", "privacy/**/*.test.ts"],
		exclude: [...configDefaults.exclude, ...(isSanitized ? repetitive : [])],
		// They wait more than they work: two processors have enough for four, each with its own gateway and simulator.
		maxWorkers: 4,
		testTimeout: 240_000,
		hookTimeout: 240_000,
		// Nothing is tried again: a test that passes on the second try has found something.
		retry: 0,
	},
});
