#include "proc/doctor.h"

#include "core/sandbox.h"
#include "core/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Memory of one edge for a busy start: what the limits must allow at least. */
#define VAULT_TRIED (64ULL << 20)
#define MEMLOCK_WANTED (1ULL << 30)
#define NOFILE_WANTED 20000
#define DISK_WANTED (1ULL << 30)
#define DISK_LEAST (64ULL << 20)

static void
set_value(struct fact *f, enum fact_state state, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void
set_value(struct fact *f, enum fact_state state, const char *format, ...)
{
	va_list list;
	f->state = state;
	va_start(list, format);
	vsnprintf(f->value, sizeof f->value, format, list);
	va_end(list);
}

static void
set_remedy(struct fact *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
set_remedy(struct fact *f, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(f->remedy, sizeof f->remedy, format, list);
	va_end(list);
}

/* First line of a small file of the kernel; empty when there is none. */
static void
read_line(const char *path, char *out, size_t cap)
{
	out[0] = '\0';
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = read(fd, out, cap - 1);
	close(fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

static void
write_bytes(uint64_t bytes, char *out, size_t cap)
{
	if (bytes >= 10ULL << 30)
		snprintf(out, cap, "%llu GiB", (unsigned long long)(bytes >> 30));
	else
		snprintf(out, cap, "%llu MiB", (unsigned long long)(bytes >> 20));
}

/* ---- memory ---- */

static void
look_at_memory(const char *data_dir, struct fact *f)
{
	const char *why = NULL;
	enum vault_grade grade = vault_grade_available(VAULT_TRIED, &why);
	if (grade == VAULT_SEALED) {
		set_value(f, FACT_OK, "sealed: content is unreadable even for root (memfd_secret)");
		return;
	}
	bool locked = grade == VAULT_LOCKED;
	set_value(f, locked ? FACT_WARN : FACT_BAD, "%s%s%s",
		locked ? "locked: never swapped, but root can read it"
			   : "plain: root can read content, and it can be swapped out",
		why == NULL ? "" : "; missing: ", why == NULL ? "" : why);
	if (locked && why != NULL && strstr(why, "filter") != NULL)
		set_remedy(f, "let memfd_secret pass: Docker Engine 20.10.18 or later does, and SystemCallFilter=memfd_secret in a unit");
	else if (locked)
		set_remedy(f,
			"kernel 6.5 or later has secret memory; before that add secretmem.enable=1 to the kernel's command line "
			"(GRUB_CMDLINE_LINUX in /etc/default/grub, update-grub, reboot)");
	else
		set_remedy(f,
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
look_at_memlock(const char *data_dir, struct fact *f)
{
	struct rlimit r;
	char now[32];
	if (getrlimit(RLIMIT_MEMLOCK, &r) != 0) {
		set_value(f, FACT_WARN, "unknown: %s", strerror(errno));
		return;
	}
	if (r.rlim_cur == RLIM_INFINITY) {
		set_value(f, FACT_OK, "unlimited");
		return;
	}
	write_bytes(r.rlim_cur, now, sizeof now);
	if (may_lock_memory()) {
		set_value(f, FACT_OK, "%s, from which CAP_IPC_LOCK exempts", now);
		return;
	}
	set_value(f, r.rlim_cur >= MEMLOCK_WANTED ? FACT_OK : FACT_WARN, "%s", now);
	if (f->state != FACT_OK)
		set_remedy(f,
			"secret memory counts against it: LimitMEMLOCK=infinity in the unit (systemctl edit lethe), --ulimit memlock=-1 for a container, or ulimit -l unlimited");
}

/*
 * Secret and locked memory never swaps; what the kernel buffers for sockets does not either. Swap is a risk for
 * the plain grade only.
 */
static void
look_at_swap(const char *data_dir, struct fact *f)
{
	char text[1024] = "";
	int fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	const char *rows = n > 0 ? strchr(text, '\n') : NULL;
	if (rows == NULL || rows[1] == '\0') {
		set_value(f, FACT_OK, "none");
		return;
	}
	set_value(f, FACT_WARN, "in use: memory of processes other than edges can reach the disk");
	set_remedy(
		f, "swapoff -a, and remove it from /etc/fstab; or encrypt it (/etc/crypttab with /dev/urandom as key)");
}

static void
look_at_core_pattern(const char *data_dir, struct fact *f)
{
	char pattern[128];
	read_line("/proc/sys/kernel/core_pattern", pattern, sizeof pattern);
	set_value(f, FACT_OK, "%.120s", pattern[0] == '\0' ? "none" : pattern);
	if (pattern[0] != '|')
		return;
	f->state = FACT_WARN;
	set_remedy(f,
		"edges are not dumpable and their content is in no dump, but a program receives every other crash: sysctl -w kernel.core_pattern=core");
}

/* ---- walls ---- */

static void
look_at_landlock(const char *data_dir, struct fact *f)
{
	unsigned abi = sandbox_landlock_abi();
	if (abi >= 4) {
		set_value(f, FACT_OK, "ABI %u: files and network", abi);
		return;
	}
	if (abi >= 1) {
		set_value(f, FACT_WARN, "ABI %u: files only; the network is closed by the system call filter alone", abi);
		set_remedy(f, "kernel 6.7 or later closes the network as well");
		return;
	}
	set_value(f, FACT_WARN, "not available; the system call filter holds alone");
	set_remedy(f, "kernel 5.13 or later with lsm=…,landlock on its command line (cat /sys/kernel/security/lsm)");
}

static void
look_at_seccomp(const char *data_dir, struct fact *f)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) {
		set_value(f, FACT_OK, "filters available");
		return;
	}
	set_value(f, FACT_BAD, "not available: %s; edges can't be locked in and will not start", strerror(errno));
	set_remedy(f,
		"run a kernel with CONFIG_SECCOMP_FILTER, and allow seccomp in the container (--security-opt seccomp=unconfined lets Lethe set its own)");
}

static void
look_at_ptrace(const char *data_dir, struct fact *f)
{
	char scope[16];
	read_line("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof scope);
	if (scope[0] >= '1') {
		set_value(f, FACT_OK, "restricted (yama.ptrace_scope %s)", scope);
		return;
	}
	set_value(f, FACT_WARN, scope[0] == '\0' ? "not restricted (no Yama)" : "not restricted (yama.ptrace_scope 0)");
	set_remedy(f, "an attached debugger ends an edge, but can be kept out: sysctl -w kernel.yama.ptrace_scope=2");
}

static void
look_at_user(const char *data_dir, struct fact *f)
{
	const struct passwd *who = getpwuid(geteuid());
	set_value(f, FACT_OK, "%.60s (%u)", who == NULL ? "without a name" : who->pw_name, (unsigned)geteuid());
	if (geteuid() != 0)
		return;
	f->state = FACT_WARN;
	set_remedy(
		f, "the server drops root, but needs it for nothing: User=lethe in the unit, or sudo -u lethe lethe serve …");
}

/* ---- room ---- */

static void
look_at_nofile(const char *data_dir, struct fact *f)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0) {
		set_value(f, FACT_WARN, "unknown: %s", strerror(errno));
		return;
	}
	set_value(f, r.rlim_max >= NOFILE_WANTED ? FACT_OK : FACT_WARN, "%llu (may be raised to %llu)",
		(unsigned long long)r.rlim_cur, (unsigned long long)r.rlim_max);
	if (f->state != FACT_OK)
		set_remedy(f,
			"each stream of an edge needs two: LimitNOFILE=20000 in the unit (systemctl edit lethe), --ulimit nofile=20000 for a container, or ulimit -n 20000");
}

static void
look_at_disk(const char *data_dir, struct fact *f)
{
	struct statvfs v;
	char room[32];
	if (statvfs(data_dir, &v) != 0) {
		set_value(f, FACT_WARN, "%.80s: %s", data_dir, strerror(errno));
		set_remedy(f, "mkdir -m 700 %.160s, or give another with --data or LETHE_DATA", data_dir);
		return;
	}
	uint64_t bytes = (uint64_t)v.f_bavail * v.f_frsize;
	write_bytes(bytes, room, sizeof room);
	set_value(f, bytes >= DISK_WANTED ? FACT_OK : bytes >= DISK_LEAST ? FACT_WARN
																	  : FACT_BAD,
		"%.80s: %s free", data_dir, room);
	if (f->state != FACT_OK)
		set_remedy(
			f, "a request takes about 300 bytes, and without room none is accepted: free space on %.160s", data_dir);
}

static void
look_at_data_mode(const char *data_dir, struct fact *f)
{
	struct stat st;
	if (stat(data_dir, &st) != 0) {
		set_value(f, FACT_WARN, "%.80s: %s", data_dir, strerror(errno));
		return;
	}
	bool others = (st.st_mode & 0077) != 0, mine = st.st_uid == geteuid() || geteuid() == 0;
	set_value(f, others || !mine ? FACT_WARN : FACT_OK, "mode %04o, owner %u", (unsigned)(st.st_mode & 07777),
		(unsigned)st.st_uid);
	if (!mine)
		set_remedy(f, "it belongs to another user: run this as that user, or chown -R %u %.160s", (unsigned)geteuid(),
			data_dir);
	else if (others)
		set_remedy(f, "others may look into it: chmod 700 %.160s", data_dir);
}

/* ---- time ---- */

static void
look_at_clock(const char *data_dir, struct fact *f)
{
	struct timex t = {0};
	int state = adjtimex(&t);
	if (state != -1 && state != TIME_ERROR && (t.status & STA_UNSYNC) == 0) {
		set_value(f, FACT_OK, "synchronised");
		return;
	}
	set_value(f, FACT_WARN, state == -1 ? "unknown" : "not synchronised: days and price changes follow this clock");
	set_remedy(f, "timedatectl set-ntp true, or install chrony");
}

static void
look_at_kernel(const char *data_dir, struct fact *f)
{
	struct utsname u;
	if (uname(&u) == 0)
		set_value(f, FACT_OK, "%.60s %.60s %.30s", u.sysname, u.release, u.machine);
}

static const struct {
	const char *name;
	void (*look)(const char *data_dir, struct fact *f);
} looks[] = {
	{"kernel", look_at_kernel},
	{"user", look_at_user},
	{"secret memory", look_at_memory},
	{"locked memory limit", look_at_memlock},
	{"swap", look_at_swap},
	{"core dumps", look_at_core_pattern},
	{"debuggers", look_at_ptrace},
	{"system call filter", look_at_seccomp},
	{"Landlock", look_at_landlock},
	{"open files", look_at_nofile},
	{"disk space", look_at_disk},
	{"data directory", look_at_data_mode},
	{"clock", look_at_clock},
};

_Static_assert(ARRAY_LEN(looks) <= FACTS_MAX, "FACTS_MAX is too small");

size_t
doctor_facts(const char *data_dir, struct fact *out)
{
	for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
		out[i] = (struct fact){.name = looks[i].name};
		looks[i].look(data_dir, &out[i]);
	}
	return ARRAY_LEN(looks);
}
