// What ./dev bench --bars says about figures.
import { expect, test } from "vitest";
import type { Held } from "../bench/cells.ts";
import { bars, barText, type CellReport } from "../bench/report.ts";

function report(cell: string, toNginx: number, reasons: string[] = []): CellReport {
	const spread = (median: number) => ({ min: median, median, max: median });
	const rest = { cpu: undefined, toRelay: undefined, perSecond: undefined, p50: undefined, p99: undefined, addedP50: undefined, addedP99: undefined };
	const rows = ["lethe all", "lethe edge"].map((name) => ({ name, toNginx: spread(toNginx), ...rest }));
	return { cell, title: cell, unit: "request", rows, void: reasons, rounds: {} };
}

function held(perStreamKiB: number, streams: number): Held[] {
	return [{ perStreamKiB, streams, idleKiB: 0, totalKiB: 0, kind: "PSS" }];
}

function verdict(reports: CellReport[], memories: Record<string, Record<string, Held[]>>, what: string): string {
	const bar = bars(reports, memories).find((one) => one.name.includes(what))!;
	return barText(bar).replace(bar.name, "").replace(/\s+/g, " ");
}

test("more than a bar allows fails, what it allows passes", () => {
	expect(verdict([report("request_1k", 1.5)], {}, "1 KB request, all")).toBe("pass : 1.50, at most 1.5");
	expect(verdict([report("request_1k", 1.51)], {}, "1 KB request, all")).toBe("FAIL : 1.51, at most 1.5");
	expect(verdict([report("tls_request_1k", 1.11)], {}, "TLS, 1 KB")).toBe("FAIL : 1.11, at most 1.1");
});

test("handshakes that cost more CPU time are fewer in a second of it", () => {
	expect(verdict([report("tls_handshakes", 0.8)], {}, "handshakes")).toBe("pass : 1.25, at least 0.9");
	expect(verdict([report("tls_handshakes", 1.25)], {}, "handshakes")).toBe("FAIL : 0.80, at least 0.9");
});

test("memory is judged with as many streams as were agreed", () => {
	expect(verdict([], { tls_memory: { lethe: held(47, 5000) } }, "KiB")).toBe("pass : 47.00, at most 48");
	expect(verdict([], { tls_memory: { lethe: held(49, 5000) } }, "KiB")).toBe("FAIL : 49.00, at most 48");
	expect(verdict([], { tls_memory: { lethe: held(47, 1000) } }, "KiB")).toBe("FAIL : not measured, at most 48");
});

test("a void cell passes nothing; one that was not asked for neither passes nor fails", () => {
	expect(verdict([report("request_1k", 1, ["nginx differs from itself"])], {}, "1 KB request, all")).toBe("FAIL : not measured, at most 1.5");
	expect(verdict([], {}, "1 KB request, all")).toBe("---- : not measured, at most 1.5");
});
