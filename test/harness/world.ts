import { type Account, Lethe, type Options, upstreamKey } from "./lethe.ts";
import { Sim } from "./sim.ts";

// A simulator, a gateway in front of it, and a customer with money: what most test files need.
export type World = { sim: Sim; lethe: Lethe; customer: Account; end: () => Promise<void> };

export async function world(options: Partial<Options> & { dollars?: string } = {}): Promise<World> {
	const { dollars, ...rest } = options;
	const sim = options.sim ?? (await Sim.start({ key: upstreamKey, tls: options.upstreamTls ?? false }));
	const lethe = await Lethe.start({ ...rest, sim }).catch((error) => {
		sim.stop();
		throw error;
	});
	const customer = await lethe.account("customer", dollars ?? "100");
	const end = async () => {
		await lethe.finish();
		sim.stop();
	};
	return { sim, lethe, customer, end };
}
