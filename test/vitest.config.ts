import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		include: ["e2e/**/*.test.ts", "crash/**/*.test.ts", "privacy/**/*.test.ts"],
		// They wait more than they work: two processors have enough for four, each with its own gateway and simulator.
		maxWorkers: 4,
		testTimeout: 60_000,
		hookTimeout: 60_000,
		// Nothing is tried again: a test that passes on the second try has found something.
		retry: 0,
	},
});
