// Minimum, median and maximum over rounds; ratios are taken within a round and only then summarised, because rounds differ more than
// targets within one do.
export type Spread = { min: number; median: number; max: number };

export function median(values: number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	const middle = sorted.length >> 1;
	return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function spread(values: number[]): Spread | undefined {
	const finite = values.filter(Number.isFinite);
	if (!finite.length) return undefined;
	return { min: Math.min(...finite), median: median(finite), max: Math.max(...finite) };
}

export function ratios(of: number[], to: number[]): number[] {
	return of.map((value, round) => value / to[round]!);
}

// Smallest of the sorted values that this share of them does not exceed; NaN when there are none.
export function percentile(sorted: number[], share: number): number {
	return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
