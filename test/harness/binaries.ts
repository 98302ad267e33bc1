import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { letheBinary } from "./paths.ts";

// A copy of the program in which that text, wherever it stands by itself or at an end, is another one of the same length.
export function patched(folder: string, name: string, from: string, to: string): string {
	if (from.length !== to.length) throw new Error(`"${from}" and "${to}" differ in length`);
	const bytes = readFileSync(letheBinary);
	const end = Buffer.from([0]);
	const [old, fresh] = [Buffer.concat([Buffer.from(from), end]), Buffer.concat([Buffer.from(to), end])];
	let found = 0;
	for (let at = bytes.indexOf(old); at >= 0; at = bytes.indexOf(old, at + old.length)) {
		fresh.copy(bytes, at);
		found++;
	}
	if (!found) throw new Error(`"${from}" is not in ${letheBinary}`);
	const path = join(folder, name);
	writeFileSync(path, bytes, { mode: 0o755 });
	return path;
}
