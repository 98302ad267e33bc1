/* Disks: where memory is swapped to, and where the books are. */
#include "proc/doctor_priv.h"

#include "core/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DISK_WANTED (1ULL << 30)
#define DISK_LEAST (64ULL << 20)

enum { SWAPS_BYTES = 4096,
	PAGE_KEPT = 4096,
	SLOW_US = 50000, /* of one page: a request of a strict ledger waits for it */
	SYNCS = 3 };

/* ---- swap ---- */

/* "/dev/mapper/x" is a link to "/dev/dm-3"; who it is, the kernel says by that name. False: there is no such device. */
static bool
block_name(const struct doctor *d, const char *device, char out[NAME_MAX + 1])
{
	char path[PATH_MAX], real[PATH_MAX];
	if ((size_t)snprintf(path, sizeof path, "%s%s", d->root, device) >= sizeof path || !realpath(path, real))
		return false;
	const char *slash = strrchr(real, '/');
	snprintf(out, NAME_MAX + 1, "%.255s", slash ? slash + 1 : real);
	return true;
}

/* dm-crypt, or memory itself (zram without a disk behind it): nothing readable reaches a disk. */
static bool
swap_is_safe(const struct doctor *d, const char *device)
{
	char name[NAME_MAX + 1], path[PATH_MAX], what[128];
	if (!block_name(d, device, name))
		return false;
	snprintf(path, sizeof path, "/sys/class/block/%s/dm/uuid", name);
	doctor_read(d, path, what, sizeof what);
	if (strncmp(what, "CRYPT-", 6) == 0)
		return true;
	snprintf(path, sizeof path, "/sys/class/block/%s/backing_dev", name);
	doctor_read(d, path, what, sizeof what);
	return strncmp(name, "zram", 4) == 0 && (what[0] == '\0' || strncmp(what, "none", 4) == 0);
}

/*
 * Secret and locked memory never swaps; what the kernel buffers for sockets does not either. Swap is a risk for the plain grade, and for the numbers of
 * the other processes.
 */
void
doctor_look_at_swap(const struct doctor *d, struct fact *f)
{
	char text[SWAPS_BYTES], *save = NULL, first[160] = "", room[DOCTOR_BYTES_MAX];
	unsigned count = 0;
	doctor_read(d, "/proc/swaps", text, sizeof text);
	(void)strtok_r(text, "\n", &save); /* the heading */
	for (char *line; (line = strtok_r(NULL, "\n", &save));) {
		char device[160];
		unsigned long long kib;
		if (sscanf(line, "%159s %*s %llu", device, &kib) != 2)
			continue;
		count++;
		if (swap_is_safe(d, device))
			continue;
		f->number += kib << 10;
		if (first[0] == '\0')
			memcpy(first, device, sizeof first);
	}
	doctor_bytes(f->number, room);
	if (first[0] == '\0') {
		doctor_say(f, FACT_OK, "%s", count ? "encrypted, or in memory" : "none");
		return;
	}
	doctor_say(f, FACT_WARN, "%.80s, not encrypted (%s): memory of processes other than edges can reach the disk", first, room);
	doctor_advise(f, "swapoff %.150s, and remove it from /etc/fstab; or encrypt it (/etc/crypttab with /dev/urandom as key)", first);
}

/* ---- room ---- */

/* By errno: it is not there, or this user may not look. */
static void
say_no_folder(const struct doctor *d, struct fact *f)
{
	int error = errno;
	doctor_say(f, FACT_WARN, "%.80s: %s", d->data_dir, strerror(error));
	if (error == EACCES || error == EPERM)
		doctor_advise(f, "run this as the server's user: sudo -u lethe lethe doctor --data %.160s", d->data_dir);
	else
		doctor_advise(f, "mkdir -m 700 %.160s, or give another with --data or LETHE_DATA", d->data_dir);
}

void
doctor_look_at_disk(const struct doctor *d, struct fact *f)
{
	struct statvfs v;
	char room[DOCTOR_BYTES_MAX];
	if (statvfs(d->data_dir, &v) != 0) {
		say_no_folder(d, f);
		return;
	}
	f->number = (uint64_t)v.f_bavail * v.f_frsize;
	doctor_bytes(f->number, room);
	doctor_say(f, f->number >= DISK_WANTED ? FACT_OK : f->number >= DISK_LEAST ? FACT_WARN
																			   : FACT_BAD,
		"%.80s: %s free", d->data_dir, room);
	if (f->state != FACT_OK)
		doctor_advise(f, "a request takes about 300 bytes, and without room none is accepted: free space on %.160s", d->data_dir);
}

void
doctor_look_at_mode(const struct doctor *d, struct fact *f)
{
	struct stat st;
	if (stat(d->data_dir, &st) != 0) {
		say_no_folder(d, f);
		return;
	}
	bool others = (st.st_mode & 0077) != 0, mine = st.st_uid == geteuid() || geteuid() == 0;
	f->number = st.st_mode & 07777;
	doctor_say(f, others || !mine ? FACT_WARN : FACT_OK, "mode %04o, owner %u", (unsigned)f->number, (unsigned)st.st_uid);
	if (!mine)
		doctor_advise(f, "it belongs to another user: run this as that user, or chown -R %u %.160s", (unsigned)geteuid(), d->data_dir);
	else if (others)
		doctor_advise(f, "others may look into it: chmod 700 %.160s", d->data_dir);
}

/* ---- does it keep what it is given? ---- */

/* X(magic of statfs(2), name, may the books lie there?, why not) */
#define FILE_SYSTEMS(X) \
	X(0x01021994, "tmpfs", BAD, "it is memory, gone with the next start of the machine") \
	X(0x858458f6, "ramfs", BAD, "it is memory, gone with the next start of the machine") \
	X(0x6969, "NFS", BAD, "it is on another machine, and locks and mapped memory don't hold there as SQLite needs them") \
	X(0xff534d42, "CIFS", BAD, "it is on another machine, and locks and mapped memory don't hold there as SQLite needs them") \
	X(0xfe534d42, "SMB", BAD, "it is on another machine, and locks and mapped memory don't hold there as SQLite needs them") \
	X(0x794c7630, "overlayfs", WARN, "it is the container's own layer, gone with the container")

static const struct {
	uint32_t magic;
	enum fact_state state;
	const char *name, *why;
} file_systems[] = {
#define X(number, name_, state_, why_) {.magic = (number), .state = FACT_##state_, .name = (name_), .why = (why_)},
	FILE_SYSTEMS(X)
#undef X
};

/* The shortest of a few: what the disk takes, not what else it has to do. 0: errno says why it does not. */
static uint64_t
sync_us(const char *dir)
{
	static const char page[PAGE_KEPT];
	uint64_t least = UINT64_MAX;
	int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	for (int i = 0; fd >= 0 && i < SYNCS; i++) {
		uint64_t began_us = clock_monotonic_us();
		if (pwrite(fd, page, sizeof page, 0) != (ssize_t)sizeof page || fdatasync(fd) != 0) {
			least = UINT64_MAX;
			break;
		}
		uint64_t took = clock_monotonic_us() - began_us;
		least = took < least ? took : least;
	}
	int error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return least == UINT64_MAX ? 0 : least ? least
										   : 1;
}

static bool
look_at_file_system(const struct doctor *d, struct fact *f)
{
	struct statfs s;
	if (statfs(d->data_dir, &s) != 0) {
		say_no_folder(d, f);
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(file_systems); i++)
		if ((uint32_t)s.f_type == file_systems[i].magic) {
			doctor_say(f, file_systems[i].state, "%s: %s", file_systems[i].name, file_systems[i].why);
			doctor_advise(f, "put the data directory on a disk of this machine (ext4, XFS): --data, LETHE_DATA or a volume");
			return false;
		}
	return true;
}

void
doctor_look_at_store(const struct doctor *d, struct fact *f)
{
	if (!look_at_file_system(d, f))
		return;
	f->number = sync_us(d->data_dir);
	if (!f->number && (errno == EACCES || errno == EPERM)) {
		doctor_say(f, FACT_WARN, "not tried: %s", strerror(errno));
		doctor_advise(f, "run this as the server's user: sudo -u lethe lethe doctor");
	} else if (!f->number && (errno == EOPNOTSUPP || errno == EISDIR)) {
		doctor_say(f, FACT_OK, "not tried: the file system has no files without a name");
	} else if (!f->number) {
		doctor_say(f, FACT_BAD, "the disk does not take a page: %s", strerror(errno));
		doctor_advise(f, "without it no request can be booked: dmesg tells of a disk that fails, df %.160s of one that is full", d->data_dir);
	} else {
		doctor_say(f, f->number > SLOW_US ? FACT_WARN : FACT_OK, "a page is kept after %llu.%03llu ms", (unsigned long long)f->number / 1000,
			(unsigned long long)f->number % 1000);
		if (f->state != FACT_OK)
			doctor_advise(f, "slow for `durability: strict`, where each request waits for it: a disk that is nearer, or `batched`");
	}
}
