// A strict reader of what Prometheus is given: the text format 0.0.4 and OpenMetrics 1.0, with the rules of both and those of good names.
// It throws at the first thing that is wrong.

export type Sample = { name: string; labels: Record<string, string>; value: string };
export type Family = { name: string; type: string; help: string; samples: Sample[] };

const nameRule = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const valueRule = /^(?:[+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf)|NaN)$/;
const suffixes: Record<string, string[]> = {
	counter: ["_total"],
	gauge: [""],
	info: ["_info"],
	histogram: ["_bucket", "_sum", "_count"],
};
// Units that are not base units, and what a type's own suffix may not be.
const badName = /_(ms|milliseconds|us|minutes|hours|nano|cents|kib|mib|percent)(_|$)/;

function fail(line: string, why: string): never {
	throw new Error(`${why}: ${line}`);
}

function parseLabels(text: string, line: string): Record<string, string> {
	const labels: Record<string, string> = {};
	const rule = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/y;
	while (rule.lastIndex < text.length) {
		const match = rule.exec(text);
		if (!match) fail(line, "labels are malformed");
		const [, name, value, comma] = match;
		if (name! in labels) fail(line, "a label stands twice");
		if (name!.startsWith("__")) fail(line, "a label that is reserved");
		labels[name!] = value!.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
		if (comma && rule.lastIndex === text.length) fail(line, "a comma at the end");
	}
	return labels;
}

function parseSample(line: string): Sample {
	const match = /^([^ {]+)(?:\{([^}]*(?:"[^"]*\}[^"]*"[^}]*)*)\})? (\S+)$/.exec(line);
	if (!match) fail(line, "not a sample");
	const [, name, labels, value] = match;
	if (!nameRule.test(name!)) fail(line, "not a metric's name");
	if (labels === "") fail(line, "empty brackets");
	if (!valueRule.test(value!)) fail(line, "not a value");
	return { name: name!, labels: labels ? parseLabels(labels, line) : {}, value: value! };
}

const keyOf = (labels: Record<string, string>, but = "") =>
	JSON.stringify(
		Object.entries(labels)
			.filter(([name]) => name !== but)
			.sort(([a], [b]) => (a < b ? -1 : 1)),
	);

function checkHistogram(family: Family): void {
	const series = new Map<string, { bounds: number[]; counts: number[]; sum?: number; count?: number }>();
	for (const sample of family.samples) {
		const key = keyOf(sample.labels, "le");
		const entry = series.get(key) ?? { bounds: [], counts: [] };
		series.set(key, entry);
		if (sample.name.endsWith("_sum")) entry.sum = Number(sample.value);
		else if (sample.name.endsWith("_count")) entry.count = Number(sample.value);
		else {
			const le = sample.labels["le"] ?? fail(sample.name, "a bucket without a bound");
			entry.bounds.push(le === "+Inf" ? Infinity : Number(le));
			entry.counts.push(Number(sample.value));
		}
	}
	for (const [key, s] of series) {
		const rises = (list: number[], strictly: boolean) => list.every((n, i) => i === 0 || (strictly ? n > list[i - 1]! : n >= list[i - 1]!));
		if (!rises(s.bounds, true) || s.bounds.at(-1) !== Infinity) fail(family.name + key, "bounds don't rise to +Inf");
		if (!rises(s.counts, false)) fail(family.name + key, "buckets are not cumulative");
		if (s.count !== s.counts.at(-1) || s.sum === undefined) fail(family.name + key, "count is not the last bucket, or there is no sum");
	}
}

function checkFamily(family: Family, openmetrics: boolean): void {
	const suffix = suffixes[family.type] ?? fail(family.name, `type ${family.type}`);
	if (badName.test(family.name)) fail(family.name, "not in base units");
	if (!openmetrics && family.type === "counter" && !family.name.endsWith("_total")) fail(family.name, "a counter ends with _total");
	if (family.type !== "counter" && family.name.endsWith("_total")) fail(family.name, "only counters end with _total");
	if (!/^[A-Z0-9].*\.$/.test(family.help)) fail(family.name, `help is no sentence: ${family.help}`);
	const allowed = openmetrics || family.type === "histogram" ? suffix.map((s) => family.name + s) : [family.name];
	const seen = new Set<string>();
	for (const sample of family.samples) {
		if (!allowed.includes(sample.name)) fail(sample.name, `not a sample of ${family.name}`);
		const key = sample.name + keyOf(sample.labels);
		if (seen.has(key)) fail(key, "a series stands twice");
		seen.add(key);
		if (family.type !== "gauge" && !(Number(sample.value) >= 0)) fail(key, "below zero");
		if (family.type !== "histogram" && "le" in sample.labels) fail(key, "le belongs to histograms");
	}
	if (family.type === "histogram") checkHistogram(family);
}

export function parse(text: string, openmetrics = false): Map<string, Family> {
	const families = new Map<string, Family>();
	if (!text.endsWith("\n")) throw new Error("the last line has no end");
	const lines = text.slice(0, -1).split("\n");
	if (openmetrics && lines.pop() !== "# EOF") throw new Error("OpenMetrics ends with # EOF");
	let family: Family | undefined;
	for (const line of lines) {
		const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
		if (comment?.[1] === "HELP") {
			if (families.has(comment[2]!)) fail(line, "a family stands twice");
			family = { name: comment[2]!, type: "", help: comment[3]!, samples: [] };
			families.set(family.name, family);
		} else if (comment) {
			if (!family || family.name !== comment[2] || family.type || family.samples.length) fail(line, "TYPE follows its HELP");
			family.type = comment[3]!;
		} else if (line.startsWith("#") || !family?.type) {
			fail(line, "neither HELP, TYPE nor a sample of a family");
		} else {
			family.samples.push(parseSample(line));
		}
	}
	for (const f of families.values()) checkFamily(f, openmetrics);
	return families;
}

// What a query names: each metric with the labels that are asked of it.
export function named(query: string): { metric: string; labels: string[] }[] {
	const found: { metric: string; labels: string[] }[] = [];
	const by = [...query.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(",").map((label) => label.trim()));
	for (const [, metric, matchers] of query.matchAll(/\b(lethe_[a-z0-9_]+)(?:\{([^}]*)\})?/g)) {
		const own = [...(matchers ?? "").matchAll(/([a-z_]+)(?:=~|!~|!=|=)/g)].map(([, label]) => label!);
		found.push({ metric: metric!, labels: [...own, ...by] });
	}
	return found;
}
