import { type Family, parse } from "./exposition.ts";

export type Metrics = Map<string, Family>;

export async function get(url: string): Promise<Metrics> {
	return parse(await (await fetch(`${url}/metrics`)).text());
}

// Over all series of a metric.
export function sum(metrics: Metrics, name: string): number {
	const family = metrics.get(name);
	if (!family) throw new Error(`no metric ${name}`);
	return family.samples.reduce((all, sample) => all + Number(sample.value), 0);
}
