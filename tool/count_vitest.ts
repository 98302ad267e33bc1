// Prints "passed failed skipped" of a Vitest JSON report. A file that failed before its first test counts as one failure.
import { readFileSync } from "node:fs";

type Assertion = { status: string };
type File = { status: string; assertionResults: Assertion[] };
const report = JSON.parse(readFileSync(process.argv[2]!, "utf8")) as { testResults: File[] };

let passed = 0;
let failed = 0;
let skipped = 0;
for (const file of report.testResults) {
	const results = file.assertionResults.map((a) => a.status);
	passed += results.filter((s) => s === "passed").length;
	skipped += results.filter((s) => s !== "passed" && s !== "failed").length;
	const red = results.filter((s) => s === "failed").length;
	failed += red === 0 && file.status === "failed" ? 1 : red;
}
console.log(passed, failed, skipped);
