// One crowd of attackers, until it is killed or who started it has gone: drill_attackers.ts NAME TARGET (drill.ts)
import { attacks, Crowd } from "../harness/attacks.ts";

const [name, target] = process.argv.slice(2);
const attack = attacks.find((one) => one.name === name);
if (!attack || !target) throw new Error("drill_attackers.ts NAME TARGET");
const begin = () => new Crowd({ ...attack, ends: false }, JSON.parse(target));
let crowd = begin();
process.stdin.resume().on("end", () => process.exit());
setInterval(() => {
	if (!attack.deaf) return;
	crowd.stop();
	crowd = begin();
}, 2_000);
