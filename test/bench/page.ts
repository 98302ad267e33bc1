// The page of a run: its figures as plots, in one file without scripts. Bars are medians, whiskers the least and the most of all rounds.
import { barText, type Bar } from "./bars.ts";
import { cappedText, type CellReport, disturbedText, isWhole, type Memories, thrownText } from "./report.ts";
import { spread, type Spread } from "./statistics.ts";

export type Run = { when: string; about: string; void: string[]; reports: CellReport[]; memories: Memories; bars: Bar[] };

type Line = { name: string; value: Spread };

const width = 720;
const labelWidth = 170;
const valueWidth = 190;
const lineHeight = 24;

function escaped(text: string): string {
	return text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]!);
}

// Of three digits.
function figure(value: number): string {
	const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 1e-2))));
	return value.toFixed(Math.min(2, digits));
}

const colours: [RegExp, string][] = [
	[/^lethe.* all$|^lethe(-\d)?$/, "lethe"],
	[/^lethe/, "part"],
	[/^(direct|relay)/, "floor"],
];

function colour(name: string): string {
	return colours.find(([pattern]) => pattern.test(name))?.[1] ?? "other";
}

// ---- one plot

function mark(line: Line, y: number, scale: (value: number) => number): string {
	const middle = y + lineHeight / 2;
	const { min, median, max } = line.value;
	const from = Math.min(scale(0), scale(median));
	const length = Math.abs(scale(median) - scale(0)).toFixed(1);
	const ends = [min, max].map((value) => `M${scale(value).toFixed(1)} ${middle - 4}v8`).join("");
	return `<text class="label" x="${labelWidth - 8}" y="${middle + 4}">${escaped(line.name)}</text>
<rect class="${colour(line.name)}" x="${from.toFixed(1)}" y="${y + 4}" width="${length}" height="${lineHeight - 8}"/>
<path class="whisker" d="M${scale(min).toFixed(1)} ${middle}H${scale(max).toFixed(1)}${ends}"/>
<text x="${width - valueWidth + 8}" y="${middle + 4}">${figure(median)} (${figure(min)}..${figure(max)})</text>`;
}

export function plot(title: string, lines: Line[]): string {
	if (!lines.length) return "";
	const least = Math.min(0, ...lines.map((line) => line.value.min));
	const most = Math.max(...lines.map((line) => line.value.max), least + 1e-9);
	const scale = (value: number) => labelWidth + ((value - least) / (most - least)) * (width - labelWidth - valueWidth);
	const height = lines.length * lineHeight + 8;
	const marks = lines.map((line, i) => mark(line, 4 + i * lineHeight, scale)).join("\n");
	return `<figure><figcaption>${escaped(title)}</figcaption>
<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">
<path class="axis" d="M${scale(0).toFixed(1)} 0V${height}"/>
${marks}
</svg></figure>`;
}

// ---- the page

function lines(report: CellReport, take: (row: CellReport["rows"][number]) => Spread | undefined, whole: boolean): Line[] {
	return report.rows
		.filter((row) => !whole || isWhole(row))
		.flatMap((row) => {
			const value = take(row);
			return value ? [{ name: row.name, value }] : [];
		});
}

function section(report: CellReport): string {
	const heading = `<h2 id="${escaped(report.cell)}">${escaped(report.cell)}</h2>\n<p>${escaped(report.title)}</p>`;
	if (report.skipped) return `${heading}\n<p class="void">skipped: ${escaped(report.skipped)}</p>`;
	const reasons = report.void.map((reason) => `<p class="void">void: ${escaped(reason)}</p>`).join("\n");
	const plots = [
		plot(`CPU time, µs a ${report.unit}`, lines(report, (row) => row.cpu, false)),
		// Of several at once the delays are those of the others' turns.
		...(report.beside && !report.slices ? [plot(`${report.unit}s a second`, lines(report, (row) => row.perSecond, true))] : [
			plot("delay p50, µs", lines(report, (row) => row.p50, true)),
			plot("delay p99, µs", lines(report, (row) => row.p99, true)),
		]),
	];
	const thrown = report.thrown.length ? `<p>${escaped(thrownText(report))}</p>` : "";
	const capped = [...disturbedText(report), ...cappedText(report)].map((text) => `<p>${escaped(text)}</p>`);
	return [heading, reasons, ...capped, thrown, ...plots].filter(Boolean).join("\n");
}

function memorySection(cell: string, targets: Memories[string]): string {
	const of = (take: (held: Memories[string][string][number]) => number) =>
		Object.entries(targets).flatMap(([name, rounds]) => {
			const value = spread(rounds.map(take));
			return value ? [{ name, value }] : [];
		});
	const streams = Object.values(targets)[0]?.[0]?.streams ?? 0;
	const heading = `<h2 id="${escaped(cell)}">${escaped(cell)}</h2>\n<p>all processes, ${streams} open streams</p>`;
	return [heading, plot("KiB a stream", of((held) => held.perStreamKiB)), plot("idle, MiB", of((held) => held.idleKiB / 1024))].join("\n");
}

const style = `body{font:15px/1.5 system-ui,sans-serif;max-width:760px;margin:2rem auto;padding:0 1rem;color:#1c2430;background:#fff}
h1,h2{line-height:1.2}h2{margin-top:2.5rem}figure{margin:1rem 0}figcaption{font-weight:600}svg{max-width:100%;height:auto}
svg text{font-size:12px;fill:currentColor}.label{text-anchor:end}.axis{stroke:#9aa4b2}.whisker{stroke:#1c2430;stroke-width:1.2;fill:none}
.lethe{fill:#0f766e}.part{fill:#7cc4bd}.other{fill:#c2a36b}.floor{fill:#c3cad4}.void{color:#a4161a;font-weight:600}pre{overflow:auto;background:#f3f5f7;padding:1rem}
@media (prefers-color-scheme:dark){body{color:#dfe5ec;background:#12161c}.whisker{stroke:#dfe5ec}.axis{stroke:#5b6675}.floor{fill:#4b5563}.void{color:#ff8a8a}pre{background:#1b222b}}`;

export function page(run: Run): string {
	const voids = run.void.length ? `<p class="void">This run is void and must not be quoted.</p>` : "";
	const verdicts = run.bars.map((bar) => escaped(barText(bar))).join("\n");
	const body = [...run.reports.map(section), ...Object.entries(run.memories).map(([cell, targets]) => memorySection(cell, targets))];
	return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Lethe's bench</title>
<style>${style}</style>
<h1>Lethe's bench</h1>
<p>${escaped(run.when)}: ${escaped(run.about)}</p>
${voids}
<pre>${verdicts}</pre>
${body.join("\n")}
</html>
`;
}
