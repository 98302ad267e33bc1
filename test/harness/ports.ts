// Ports that fetch refuses to ask, and each SDK with it, among those that a system may give to who asks for any
// (Fetch standard, section 2.9 "Port blocking": "bad ports" from 1024 on).
const refused = new Set([1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080]);

export function isRefusedByFetch(url: string): boolean {
	return URL.canParse(url) && refused.has(Number(new URL(url).port));
}
