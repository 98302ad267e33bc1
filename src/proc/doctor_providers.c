/* Providers, as the requests of the last minutes found them: nobody is asked for it. `lethe doctor --network` asks each. */
#include "proc/doctor_priv.h"

#include "core/loop.h"

void
doctor_look_at_providers(const struct doctor *d, struct fact *f)
{
	if (!d->circuits || !d->catalogue) {
		doctor_say(f, FACT_OK, "not looked at: --network with --config FILE asks each of them");
		return;
	}
	f->number = circuits_troubled(d->circuits, d->catalogue, clock_monotonic_ms());
	doctor_say(f, f->number ? FACT_WARN : FACT_OK, "%llu targets and keys fail now", (unsigned long long)f->number);
	if (f->number)
		doctor_advise(f, "lethe provider list says which, lethe provider check FILE why");
}
