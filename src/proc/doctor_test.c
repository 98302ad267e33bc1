/* The doctor on machines that are folders, and on files of its own. */
#include "proc/doctor.h"

#include "proc/tls_files.h"

#include <sodium.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/lethe-doctor-XXXXXX";
static char data_dir[64];
static struct fact facts[MACHINE_FACT_COUNT];

static void
make(const char *path, const char *text)
{
	char whole[256];
	snprintf(whole, sizeof whole, "%s%s", root, path);
	for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')); *at++ = '/') {
		*at = '\0';
		(void)mkdir(whole, 0700);
	}
	FILE *to = fopen(whole, "w");
	assert_non_null(to);
	fputs(text, to);
	assert_int_equal(fclose(to), 0);
}

static const struct fact *
look(enum machine_fact which)
{
	doctor_facts(&(struct doctor){.root = root, .data_dir = data_dir}, facts);
	return &facts[which];
}

static void
assert_fact(enum machine_fact which, enum fact_state state, uint64_t number, const char *says)
{
	const struct fact *f = look(which);
	if (f->state != state || f->number != number || !strstr(f->value, says))
		fail_msg("%s: state %d, number %llu, `%s`", f->name, f->state, (unsigned long long)f->number, f->value);
	assert_int_equal(f->state != FACT_OK, f->remedy[0] != '\0');
}

#define HEADING "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

static void
swap_on_a_bare_disk_is_told_of_and_encrypted_swap_is_not(void **state)
{
	make("/dev/sda2", "");
	make("/dev/dm-3", "");
	make("/dev/zram0", "");
	make("/sys/class/block/dm-3/dm/uuid", "CRYPT-PLAIN-cryptswap1\n");
	make("/sys/class/block/zram0/backing_dev", "none\n");
	make("/proc/swaps", HEADING);
	assert_fact(MACHINE_SWAP, FACT_OK, 0, "none");
	make("/proc/swaps", HEADING "/dev/sda2 partition 1048576 0 -2\n");
	assert_fact(MACHINE_SWAP, FACT_WARN, 1ULL << 30, "/dev/sda2");
	make("/proc/swaps", HEADING "/dev/dm-3 partition 1048576 0 -2\n/dev/zram0 partition 2048 0 -2\n");
	assert_fact(MACHINE_SWAP, FACT_OK, 0, "encrypted");
	make("/proc/swaps", HEADING "/dev/dm-3 partition 1048576 0 -2\n/swapfile file 1024 0 -2\n");
	assert_fact(MACHINE_SWAP, FACT_WARN, 1 << 20, "/swapfile");
	make("/sys/class/block/dm-3/dm/uuid", "LVM-abcdef\n");
	make("/sys/class/block/zram0/backing_dev", "/dev/sda3\n");
	make("/proc/swaps", HEADING "/dev/dm-3 partition 1024 0 -2\n/dev/zram0 partition 1024 0 -2\n");
	assert_fact(MACHINE_SWAP, FACT_WARN, 2 << 20, "/dev/dm-3");
}

static void
who_gets_core_dumps_and_may_attach_is_told(void **state)
{
	make("/proc/sys/kernel/core_pattern", "core\n");
	assert_fact(MACHINE_CORE_DUMPS, FACT_OK, 0, "core");
	make("/proc/sys/kernel/core_pattern", "|/usr/lib/systemd/systemd-coredump %P\n");
	assert_fact(MACHINE_CORE_DUMPS, FACT_WARN, 1, "systemd-coredump");
	assert_fact(MACHINE_DEBUGGERS, FACT_WARN, 0, "no Yama");
	assert_non_null(strstr(facts[MACHINE_DEBUGGERS].remedy, "lsm=")); /* there is no such setting yet */
	make("/proc/sys/kernel/yama/ptrace_scope", "0\n");
	assert_fact(MACHINE_DEBUGGERS, FACT_WARN, 0, "ptrace_scope 0");
	assert_null(strstr(facts[MACHINE_DEBUGGERS].remedy, "lsm="));
	make("/proc/sys/kernel/yama/ptrace_scope", "2\n");
	assert_fact(MACHINE_DEBUGGERS, FACT_OK, 2, "restricted");
}

static void
the_data_directory_is_closed_to_others_and_keeps_what_it_is_given(void **state)
{
	make("/data/x", "");
	assert_int_equal(chmod(data_dir, 0700), 0);
	assert_fact(MACHINE_DATA_MODE, FACT_OK, 0700, "0700");
	assert_int_equal(chmod(data_dir, 0755), 0);
	assert_fact(MACHINE_DATA_MODE, FACT_WARN, 0755, "0755");
	const struct fact *kept = look(MACHINE_DATA_STORE);
	assert_true(kept->value[0] != '\0');
	assert_true(kept->number > 0 || kept->remedy[0] != '\0' || strstr(kept->value, "not tried"));
	strcat(data_dir, "/nothing");
	(void)look(MACHINE_DISK);
	static const enum machine_fact of_folder[] = {MACHINE_DISK, MACHINE_DATA_MODE, MACHINE_DATA_STORE};
	for (size_t i = 0; i < sizeof of_folder / sizeof *of_folder; i++) {
		assert_int_equal(facts[of_folder[i]].state, FACT_WARN);
		assert_non_null(strstr(facts[of_folder[i]].remedy, "mkdir -m 700"));
	}
	data_dir[strlen(data_dir) - strlen("/nothing")] = '\0';
}

static void
where_the_books_are_is_told_by_a_number(void **state)
{
	static const struct {
		const char *address;
		uint64_t number;
	} rows[] = {
		{NULL, 0},
		{"", 0},
		{"postgres://lethe@/lethe?host=/var/run/postgresql", 1},
		{"postgres://lethe@%2Fvar%2Frun/lethe", 1},
		{"postgresql:///lethe", 1},
		{"postgres://lethe:a@b@127.0.0.1:5432/lethe?sslmode=disable", 1},
		{"postgres://lethe@[::1]:5432/lethe", 1},
		{"postgres://lethe@localhost/lethe?connect_timeout=3", 1},
		{"postgres://lethe@db.example/lethe", 2},
		{"postgres://lethe@db.example:5433/lethe?sslmode=verify-full", 2},
		{"postgres://lethe@/lethe?host=db.example", 2},
		{"postgres://lethe@localhost/lethe?hostaddr=10.0.0.1&sslmode=require", 3},
		{"postgres://lethe@db.example/lethe?sslrootcert=x&sslmode=disable", 3},
		{"postgres://lethe@localhost,db.example/lethe?sslmode=require", 3},
		{"postgres://lethe@127.example/lethe?sslmode=prefer", 3},
		{"postgres://secret-word", 2},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		doctor_facts(&(struct doctor){.root = root, .data_dir = data_dir, .store = rows[i].address}, facts);
		const struct fact *f = &facts[MACHINE_BOOKS];
		if (f->number != rows[i].number)
			fail_msg("%s: %llu", rows[i].address, (unsigned long long)f->number);
		assert_int_equal(f->state, f->number == 3 ? FACT_WARN : FACT_OK);
		assert_int_equal(f->state != FACT_OK, f->remedy[0] != '\0');
		assert_null(strstr(f->value, "example"));
		assert_null(strstr(f->value, "secret-word"));
	}
}

/* Whatever this machine is, on one without a folder, with bare swap, no Yama and a program for its dumps. */
static void
what_is_not_well_comes_with_what_mends_it(void **state)
{
	make("/proc/swaps", HEADING "/dev/sda2 partition 1048576 0 -2\n");
	make("/proc/sys/kernel/core_pattern", "|/usr/share/apport/apport %p\n");
	const struct doctor d = {.root = root, .data_dir = "/nowhere/lethe", .store = "postgres://lethe@db.example/lethe?sslmode=disable", .configured = true, .tls_why = "x.pem: no such file"};
	unsigned unwell = 0;
	doctor_facts(&d, facts);
	for (size_t i = 0; i < MACHINE_FACT_COUNT; i++) {
		if ((facts[i].state == FACT_OK) != (facts[i].remedy[0] == '\0'))
			fail_msg("%s: state %d, `%s`, remedy `%s`", facts[i].name, facts[i].state, facts[i].value, facts[i].remedy);
		unwell += facts[i].state != FACT_OK;
	}
	assert_in_range(unwell, 7, MACHINE_FACT_COUNT);
}

/* ---- certificates ---- */

static void
certificate(const char *days, const char *mode)
{
	char line[512];
	snprintf(line, sizeof line,
		"cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k.pem -out c.pem -subj /CN=localhost -days %s 2>/dev/null && chmod %s k.pem",
		root, days, mode);
	assert_int_equal(system(line), 0);
}

static struct tls_files *
files_of(void)
{
	char text[1024], why[CONFIG_WHY_MAX];
	static struct problems p;
	struct config *c = NULL;
	struct tls_files *f = NULL;
	snprintf(text, sizeof text,
		"listeners: [{at: '127.0.0.1:8443', tls: true}]\n"
		"tls: {certificates: [{certificate: %s/c.pem, key: %s/k.pem}]}\n"
		"providers: [{name: near, url: 'http://127.0.0.1:1/v1', keys: [{env: LETHE_TEST_KEY}]}]\n"
		"models: [{id: m, provider: near, context: 1, output: 1, prices: [{from: 2026-01-01, input: '1', output: '1'}]}]\n",
		root, root);
	problems_init(&p, "test.yaml");
	if (!config_load_text(text, strlen(text), &p, &c))
		problems_print(&p, stderr);
	assert_non_null(c);
	assert_true(tls_files_read(c, &f, why));
	config_free(&c);
	return f;
}

static struct fact
of_certificates(void)
{
	struct tls_files *f = files_of();
	doctor_facts(&(struct doctor){.root = root, .data_dir = data_dir, .tls = f, .configured = true}, facts);
	tls_files_free(&f);
	return facts[MACHINE_CERTIFICATES];
}

static void
a_certificate_that_ends_soon_or_whose_key_is_open_is_told_of(void **state)
{
	certificate("90", "600");
	struct fact f = of_certificates();
	assert_int_equal(f.state, FACT_OK);
	assert_in_range(f.number, 89 * 86400, 90 * 86400);
	certificate("3", "600");
	f = of_certificates();
	assert_int_equal(f.state, FACT_WARN);
	assert_non_null(strstr(f.remedy, "renew"));
	certificate("90", "644");
	f = of_certificates();
	assert_int_equal(f.state, FACT_WARN);
	assert_non_null(strstr(f.remedy, "chmod 600"));
}

static void
what_changes_is_looked_at_again_and_the_rest_stays(void **state)
{
	struct machine m = {0};
	struct doctor d = {.root = root, .data_dir = data_dir};
	doctor_look(&d, false, &m);
	assert_true(m.looked_ms > 0);
	assert_true(m.fact[MACHINE_KERNEL].number > 0);
	m.fact[MACHINE_KERNEL].number = 1;
	make("/proc/swaps", HEADING "/dev/sda2 partition 7 0 -2\n");
	doctor_look(&d, true, &m);
	assert_int_equal(m.fact[MACHINE_KERNEL].number, 1);
	assert_int_equal(m.fact[MACHINE_SWAP].number, 7 << 10);
	assert_int_equal(m.fact[MACHINE_SWAP].state, FACT_WARN);
}

static void
providers_are_asked_by_nobody_and_counted_where_a_server_knows_of_them(void **state)
{
	static struct circuits circuits;
	static const struct catalogue catalogue; /* no provider: nobody who could fail */
	struct fact f[MACHINE_FACT_COUNT];
	struct doctor d = {.root = root, .data_dir = data_dir};
	doctor_facts(&d, f);
	assert_int_equal(f[MACHINE_PROVIDERS].state, FACT_OK);
	assert_non_null(strstr(f[MACHINE_PROVIDERS].value, "--network"));
	d.catalogue = &catalogue;
	d.circuits = &circuits;
	doctor_facts(&d, f);
	assert_int_equal(f[MACHINE_PROVIDERS].number, 0);
	assert_null(strstr(f[MACHINE_PROVIDERS].value, "--network"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(swap_on_a_bare_disk_is_told_of_and_encrypted_swap_is_not),
		cmocka_unit_test(who_gets_core_dumps_and_may_attach_is_told),
		cmocka_unit_test(where_the_books_are_is_told_by_a_number),
		cmocka_unit_test(what_is_not_well_comes_with_what_mends_it),
		cmocka_unit_test(the_data_directory_is_closed_to_others_and_keeps_what_it_is_given),
		cmocka_unit_test(a_certificate_that_ends_soon_or_whose_key_is_open_is_told_of),
		cmocka_unit_test(what_changes_is_looked_at_again_and_the_rest_stays),
		cmocka_unit_test(providers_are_asked_by_nobody_and_counted_where_a_server_knows_of_them),
	};
	setenv("LETHE_TEST_KEY", "x", 1);
	if (sodium_init() < 0 || !mkdtemp(root))
		return 1;
	snprintf(data_dir, sizeof data_dir, "%s/data", root);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	char line[64];
	snprintf(line, sizeof line, "rm -rf %s", root);
	return system(line) ? 1 : failed;
}
