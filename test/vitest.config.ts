import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		include: ["e2e/**/*.test.ts", "crash/**/*.test.ts", "privacy/**/*.test.ts"],
		// Two at a time: each file runs its own gateway and simulator.
		maxWorkers: 2,
		testTimeout: 30_000,
		hookTimeout: 30_000,
		// Nothing is tried again: a test that passes on the second try has found something.
		retry: 0,
	},
});
