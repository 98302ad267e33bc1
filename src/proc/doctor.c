#include "proc/doctor_priv.h"

#include "core/sandbox.h"
#include "core/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define VAULT_TRIED (64ULL << 20) /* memory of one edge for a busy start: what the limits must allow at least */
#define MEMLOCK_WANTED (1ULL << 30)
#define NOFILE_WANTED 20000

void
doctor_say(struct fact *f, enum fact_state state, const char *format, ...)
{
	va_list list;
	f->state = state;
	va_start(list, format);
	vsnprintf(f->value, sizeof f->value, format, list);
	va_end(list);
}

void
doctor_advise(struct fact *f, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(f->remedy, sizeof f->remedy, format, list);
	va_end(list);
}

void
doctor_read(const struct doctor *d, const char *path, char *out, size_t cap)
{
	char whole[PATH_MAX];
	out[0] = '\0';
	if ((size_t)snprintf(whole, sizeof whole, "%s%s", d->root, path) >= sizeof whole)
		return;
	int fd = open(whole, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = read(fd, out, cap - 1);
	close(fd);
	out[n > 0 ? n : 0] = '\0';
}

/* First line of a small file of the kernel; empty when there is none. */
static void
read_line(const struct doctor *d, const char *path, char *out, size_t cap)
{
	doctor_read(d, path, out, cap);
	out[strcspn(out, "\n")] = '\0';
}

void
doctor_bytes(uint64_t bytes, char out[DOCTOR_BYTES_MAX])
{
	if (bytes >= 10ULL << 30)
		snprintf(out, DOCTOR_BYTES_MAX, "%llu GiB", (unsigned long long)(bytes >> 30));
	else
		snprintf(out, DOCTOR_BYTES_MAX, "%llu MiB", (unsigned long long)(bytes >> 20));
}

/* ---- memory ---- */

static void
look_at_memory(const struct doctor *d, struct fact *f)
{
	const char *why = NULL;
	enum vault_grade grade = vault_grade_available(VAULT_TRIED, &why);
	f->number = grade == VAULT_SEALED ? 2 : grade == VAULT_LOCKED;
	if (grade == VAULT_SEALED) {
		doctor_say(f, FACT_OK, "sealed: content is unreadable even for root (memfd_secret)");
		return;
	}
	bool locked = grade == VAULT_LOCKED;
	doctor_say(f, locked ? FACT_WARN : FACT_BAD, "%s%s%s",
		locked ? "locked: never swapped, but root can read it"
			   : "plain: root can read content, and it can be swapped out",
		why == NULL ? "" : "; missing: ", why == NULL ? "" : why);
	if (locked && why != NULL && strstr(why, "filter") != NULL)
		doctor_advise(f, "let memfd_secret pass: Docker Engine 20.10.18 or later does, and SystemCallFilter=memfd_secret in a unit");
	else if (locked)
		doctor_advise(f,
			"kernel 6.5 or later has secret memory; before that add secretmem.enable=1 to the kernel's command line "
			"(GRUB_CMDLINE_LINUX in /etc/default/grub, update-grub, reboot)");
	else
		doctor_advise(f,
			"raise the limit: LimitMEMLOCK=infinity in the unit (systemctl edit lethe), --ulimit memlock=-1 for a container, or ulimit -l unlimited; or start with --allow-plain-memory");
}

/* Root in a shell has it, and a unit may give it: then the limit does not count. */
static bool
may_lock_memory(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0}};
	return syscall(SYS_capget, &head, data) == 0 && (data[0].effective >> CAP_IPC_LOCK & 1);
}

static void
look_at_memlock(const struct doctor *d, struct fact *f)
{
	struct rlimit r;
	char now[DOCTOR_BYTES_MAX];
	if (getrlimit(RLIMIT_MEMLOCK, &r) != 0) {
		doctor_say(f, FACT_WARN, "unknown: %s", strerror(errno));
		return;
	}
	if (r.rlim_cur == RLIM_INFINITY) {
		doctor_say(f, FACT_OK, "unlimited");
		return;
	}
	f->number = r.rlim_cur;
	doctor_bytes(r.rlim_cur, now);
	if (may_lock_memory()) {
		doctor_say(f, FACT_OK, "%s, from which CAP_IPC_LOCK exempts", now);
		return;
	}
	doctor_say(f, r.rlim_cur >= MEMLOCK_WANTED ? FACT_OK : FACT_WARN, "%s", now);
	if (f->state != FACT_OK)
		doctor_advise(f,
			"secret memory counts against it: LimitMEMLOCK=infinity in the unit (systemctl edit lethe), --ulimit memlock=-1 for a container, or ulimit -l unlimited");
}

static void
look_at_core_pattern(const struct doctor *d, struct fact *f)
{
	char pattern[128];
	read_line(d, "/proc/sys/kernel/core_pattern", pattern, sizeof pattern);
	doctor_say(f, FACT_OK, "%.120s", pattern[0] == '\0' ? "none" : pattern);
	f->number = pattern[0] == '|';
	if (!f->number)
		return;
	f->state = FACT_WARN;
	doctor_advise(f,
		"edges are not dumpable and their content is in no dump, but a program receives every other crash: sysctl -w kernel.core_pattern=core");
}

/* ---- walls ---- */

static void
look_at_landlock(const struct doctor *d, struct fact *f)
{
	unsigned abi = sandbox_landlock_abi();
	f->number = abi;
	if (abi >= 4) {
		doctor_say(f, FACT_OK, "ABI %u: files and network", abi);
		return;
	}
	if (abi >= 1) {
		doctor_say(f, FACT_WARN, "ABI %u: files only; the network is closed by the system call filter alone", abi);
		doctor_advise(f, "kernel 6.7 or later closes the network as well: apt-get install linux-image-amd64, or a newer release of the system");
		return;
	}
	doctor_say(f, FACT_WARN, "not available; the system call filter holds alone");
	doctor_advise(f,
		"kernel 5.13 or later with lsm=…,landlock on its command line, behind what cat /sys/kernel/security/lsm tells (GRUB_CMDLINE_LINUX in /etc/default/grub, update-grub, reboot)");
}

static void
look_at_seccomp(const struct doctor *d, struct fact *f)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) {
		f->number = 1;
		doctor_say(f, FACT_OK, "filters available");
		return;
	}
	doctor_say(f, FACT_BAD, "not available: %s; edges can't be locked in and will not start", strerror(errno));
	doctor_advise(f,
		"run a kernel with CONFIG_SECCOMP_FILTER, and allow seccomp in the container (--security-opt seccomp=unconfined lets Lethe set its own)");
}

static void
look_at_ptrace(const struct doctor *d, struct fact *f)
{
	char scope[16];
	read_line(d, "/proc/sys/kernel/yama/ptrace_scope", scope, sizeof scope);
	f->number = scope[0] >= '0' && scope[0] <= '9' ? (uint64_t)(scope[0] - '0') : 0;
	if (f->number) {
		doctor_say(f, FACT_OK, "restricted (yama.ptrace_scope %s)", scope);
		return;
	}
	bool yama = scope[0] != '\0';
	doctor_say(f, FACT_WARN, yama ? "not restricted (yama.ptrace_scope 0)" : "not restricted (no Yama)");
	/* Without Yama there is no such setting, and nothing to set. */
	doctor_advise(f, "an attached debugger ends an edge, but can be kept out: %s",
		yama ? "sysctl -w kernel.yama.ptrace_scope=2"
			 : "lsm=…,yama on the kernel's command line, behind what cat /sys/kernel/security/lsm tells (GRUB_CMDLINE_LINUX in /etc/default/grub, update-grub, reboot), then sysctl -w kernel.yama.ptrace_scope=2");
}

static void
look_at_user(const struct doctor *d, struct fact *f)
{
	const struct passwd *who = getpwuid(geteuid());
	doctor_say(f, FACT_OK, "%.60s (%u)", who == NULL ? "without a name" : who->pw_name, (unsigned)geteuid());
	f->number = geteuid() == 0;
	if (!f->number)
		return;
	f->state = FACT_WARN;
	doctor_advise(
		f, "nothing needs root, and its supervisor stays it: User=lethe in the unit, or sudo -u lethe lethe serve …");
}

/* ---- room ---- */

static void
look_at_nofile(const struct doctor *d, struct fact *f)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0) {
		doctor_say(f, FACT_WARN, "unknown: %s", strerror(errno));
		return;
	}
	f->number = r.rlim_max;
	doctor_say(f, r.rlim_max >= NOFILE_WANTED ? FACT_OK : FACT_WARN, "%llu (may be raised to %llu)",
		(unsigned long long)r.rlim_cur, (unsigned long long)r.rlim_max);
	if (f->state != FACT_OK)
		doctor_advise(f,
			"each stream of an edge needs two: LimitNOFILE=20000 in the unit (systemctl edit lethe), --ulimit nofile=20000 for a container, or ulimit -n 20000");
}

/* ---- time ---- */

static void
look_at_clock(const struct doctor *d, struct fact *f)
{
	struct timex t = {0};
	int state = adjtimex(&t);
	if (state != -1 && state != TIME_ERROR && (t.status & STA_UNSYNC) == 0) {
		f->number = 1;
		doctor_say(f, FACT_OK, "synchronised");
		return;
	}
	doctor_say(f, FACT_WARN, state == -1 ? "unknown" : "not synchronised: days and price changes follow this clock");
	doctor_advise(f, "timedatectl set-ntp true, or install chrony");
}

/* The oldest on which it is tried: memory that is dumped, secret or unreadable, and the calls that the loop needs. */
enum { KERNEL_LEAST = 5 * 1000 + 14 };

static void
look_at_kernel(const struct doctor *d, struct fact *f)
{
	struct utsname u;
	unsigned major = 0, minor = 0;
	if (uname(&u) != 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2) {
		doctor_say(f, FACT_WARN, "unknown");
		return;
	}
	f->number = major * 1000 + minor;
	doctor_say(f, f->number >= KERNEL_LEAST ? FACT_OK : FACT_WARN, "%.60s %.60s %.30s", u.sysname, u.release, u.machine);
	if (f->state != FACT_OK)
		doctor_advise(f, "older than 5.14, which has secret memory and Landlock: apt-get install linux-image-amd64, or a newer release of the system");
}

#define ONCE false
#define AGAIN true

static const struct {
	const char *name;
	void (*look)(const struct doctor *d, struct fact *f);
	bool again;
} looks[] = {
#define X(NAME, label, when, number) [MACHINE_##NAME] = {.again = (when)},
	MACHINE_FACTS(X)
#undef X
#define LOOK(NAME, name_, look_) [MACHINE_##NAME].name = (name_), [MACHINE_##NAME].look = (look_)
		LOOK(KERNEL, "kernel", look_at_kernel),
	LOOK(USER, "user", look_at_user),
	LOOK(SECRET_MEMORY, "secret memory", look_at_memory),
	LOOK(MEMLOCK, "locked memory limit", look_at_memlock),
	LOOK(SWAP, "swap", doctor_look_at_swap),
	LOOK(CORE_DUMPS, "core dumps", look_at_core_pattern),
	LOOK(DEBUGGERS, "debuggers", look_at_ptrace),
	LOOK(SECCOMP, "system call filter", look_at_seccomp),
	LOOK(LANDLOCK, "Landlock", look_at_landlock),
	LOOK(OPEN_FILES, "open files", look_at_nofile),
	LOOK(DISK, "disk space", doctor_look_at_disk),
	LOOK(DATA_MODE, "data directory", doctor_look_at_mode),
	LOOK(DATA_STORE, "data on disk", doctor_look_at_store),
	LOOK(BOOKS, "books", doctor_look_at_books),
	LOOK(CLOCK, "clock", look_at_clock),
	LOOK(CERTIFICATES, "certificates", doctor_look_at_certificates),
	LOOK(PROVIDERS, "providers", doctor_look_at_providers),
};

void
doctor_facts(const struct doctor *d, struct fact out[MACHINE_FACT_COUNT])
{
	for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
		out[i] = (struct fact){.name = looks[i].name};
		looks[i].look(d, &out[i]);
	}
}

void
doctor_look(const struct doctor *d, bool again, struct machine *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
		struct fact f = {0};
		if (again && !looks[i].again)
			continue;
		looks[i].look(d, &f);
		ret->fact[i].state = f.state;
		ret->fact[i].number = f.number;
	}
	ret->looked_ms = (uint64_t)time(NULL) * 1000;
}
