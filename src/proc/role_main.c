#include "proc/role_main.h"

#include "core/ipc.h"
#include "proc/role_priv.h"
#include "proc/role_user.h"
#include "ticket/events.h"

#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

bool
role_is_child(int argc, char **argv)
{
	return argc == 1 && strncmp(argv[0], ROLE_ARGV0, strlen(ROLE_ARGV0)) == 0;
}

/* To the supervisor's pipe. Before the first byte from outside, so it can hold nothing of anybody's. */
static void
complain(const char *what, const char *more)
{
	(void)!write(STDERR_FILENO, what, strlen(what));
	(void)!write(STDERR_FILENO, more, strlen(more));
	(void)!write(STDERR_FILENO, "\n", 1);
}

_Noreturn void
role_run(void)
{
	static struct handover h;
	prctl(PR_SET_DUMPABLE, 0);
	if (!handover_read(&h)) {
		complain("this process is started by `lethe serve` only", "");
		_exit(2);
	}
	const struct role *role = role_of((enum message_end)h.role);
	if (!role)
		_exit(2);
	prctl(PR_SET_NAME, role->comm);
	/* Not exit(): handlers of libraries have no place in a locked-down process. */
	_exit(role->main(&h));
}

static void
report_started(const struct handover *h, unsigned landlock_abi)
{
	struct message_event m = MESSAGE_INIT(EVENT, message_event);
	int scribe = handover_peer_fd(h, END_OF_SCRIBE, 0);
	m.event = EVENT_STARTED;
	m.role = h->role;
	m.instance = h->instance;
	m.numbers[0] = h->vault_grade;
	m.numbers[1] = landlock_abi;
	if (scribe >= 0)
		(void)!ipc_send(scribe, &m, sizeof m, -1); /* lost when the scribe is away */
}

void
role_lock_down(void *arg)
{
	const struct handover *h = arg;
	const struct role *role = role_of((enum message_end)h->role);
	struct profile profile;
	struct sandbox_facts facts;
	struct profile_settings settings = {
		.data_dir = h->ledger_data_dir[0] ? h->ledger_data_dir : NULL,
		.keep_ipc_lock = h->vault_grade != VAULT_PLAIN,
	};
	settings.change_user = role_user(role->profile, h->instance, &settings.uid);
	settings.gid = settings.uid;
	profile_prepare(role->profile, &settings, &profile);
	if (!sandbox_enter(&profile.sandbox, &facts)) {
		complain("the process can't be locked down: ", facts.failed);
		_exit(1);
	}
	report_started(h, facts.landlock_abi);
}

int
role_fail(const char *what)
{
	complain("handed over, but not usable: ", what);
	return 1;
}
