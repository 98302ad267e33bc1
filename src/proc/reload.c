/*
 * SIGHUP. The log is opened anew, and the configuration is read and checked as a whole. One that has not changed costs no edge: what changed in the
 * files of certificates is handed to those that run. A changed one is a new generation (generation.c).
 *
 * Who asked learns of it from DIR/reload: "BEGUN DONE RESULT PID" in its first line, then sentences. BEGUN and DONE count reloads; RESULT is that of
 * DONE: applied, same, refused; PID is the server's. `lethe reload` reads BEGUN, sends the signal and waits until DONE is beyond it.
 */
#include "proc/supervisor_priv.h"

#include "core/text.h"
#include "proc/tls_hand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
reload_open_log(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
}

/* ---- what came of it ---- */

void
reload_note(struct supervisor *s, const char *a, const char *b)
{
	struct plan_report *r = &s->reload.report;
	supervisor_say(a, b);
	int len = snprintf(r->text + r->len, sizeof r->text - r->len, "%s%s\n", a, b);
	if (len > 0)
		r->len = r->len + (size_t)len < sizeof r->text ? r->len + (size_t)len : sizeof r->text - 1;
}

/* Whole or not at all: the reader polls. A directory that can't be written leaves `lethe reload` waiting, and standard error tells. */
void
reload_write_result(struct supervisor *s, const char *name, const char *result)
{
	const struct reload *r = &s->reload;
	bool upgrade = strcmp(name, "upgrade") == 0;
	unsigned long long begun = upgrade ? s->upgrade.begun : r->begun, finished = upgrade ? s->upgrade.done : r->done;
	char path[PATH_MAX + 32], fresh[PATH_MAX + 32], head[80];
	snprintf(path, sizeof path, "%s/%s", s->plan->data_dir, name);
	snprintf(fresh, sizeof fresh, "%s/%s.new", s->plan->data_dir, name);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int len = snprintf(head, sizeof head, "%llu %llu %s %ld\n", begun, finished, result, (long)getpid());
	bool written = fd >= 0 && write(fd, head, (size_t)len) == len && write(fd, r->report.text, r->report.len) == (ssize_t)r->report.len;
	if (fd >= 0)
		close(fd);
	if (!written || rename(fresh, path) != 0)
		supervisor_say("can't write what came of it into the data directory: ", strerror(errno));
}

static void
done(struct supervisor *s, const char *result)
{
	struct reload *r = &s->reload;
	r->done = r->begun;
	reload_write_result(s, "reload", result);
	if (s->upgrade.step == UPGRADE_RELOADING && !r->again) {
		upgrade_reloaded(s, strcmp(result, "refused") == 0); /* what was noted is part of its answer */
		return;
	}
	r->report = (struct plan_report){0};
	if (r->again) {
		r->again = false;
		supervisor_reload(s);
	}
}

static void
refused(struct supervisor *s)
{
	supervisor_report(s, EVENT_RELOAD_REFUSED, NUMBERS(0));
	done(s, "refused");
}

void
reload_over(struct supervisor *s, const char *why)
{
	if (s->upgrade.step == UPGRADE_TAKING_OVER) {
		upgrade_generation_over(s, why);
		return;
	}
	if (!why) {
		reload_note(s, "the changed configuration is in force", "");
		done(s, "applied");
		return;
	}
	reload_note(s, "the changed configuration can't be used, nothing was changed: ", why);
	refused(s);
}

/* ---- the log ---- */

/* The scribe can't open files: it gets the descriptor. One that is being started finds it in its handover. */
static void
hand_over_log(struct supervisor *s)
{
	struct message_plain m = MESSAGE_INIT(LOG, message_plain);
	struct child *scribe = child_find(s, END_OF_SCRIBE, 0);
	if (scribe->pid == 0 || scribe->state == CHILD_ENDING)
		return;
	int fd = fcntl(s->log_fd, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0 && port_send(&scribe->port, &m, sizeof m, fd) != IPC_OK)
		close(fd);
}

/* After a rotation: the file by that name is another one now, and the old one is not written any more. */
void
reload_log(struct supervisor *s)
{
	if (s->plan->log_file[0] == '\0')
		return;
	int fd = reload_open_log(s->plan->log_file);
	if (fd < 0) {
		supervisor_say("can't open the log anew, the old one is written on: ", s->plan->log_file);
		supervisor_report(s, EVENT_LOG_FAILED, NUMBERS((uint64_t)errno));
		return;
	}
	close(s->log_fd);
	s->log_fd = fd;
	hand_over_log(s);
	supervisor_report(s, EVENT_LOG_OPENED, NUMBERS(0));
}

/* ---- the configuration ---- */

static void
drop_waiting(struct supervisor *s)
{
	struct supervisor_plan *plan = s->reload.waiting;
	s->reload.waiting = NULL;
	if (plan && plan->drop)
		plan->drop(plan);
}

void
reload_go_on(struct supervisor *s)
{
	struct reload *r = &s->reload;
	struct supervisor_plan *plan = r->waiting;
	struct generation *g = generation_free(s);
	if (s->state == SUPERVISOR_RUNNING && r->again && !plan && !s->next) {
		r->again = false;
		supervisor_reload(s);
		return;
	}
	if (s->state != SUPERVISOR_RUNNING || !plan || !g || s->next)
		return;
	r->waiting = NULL;
	if (generation_begin(s, g, plan))
		return;
	if (plan->drop)
		plan->drop(plan);
	reload_over(s, "see above");
}

static void
use(struct supervisor *s, struct supervisor_plan *plan)
{
	s->reload.waiting = plan;
	if (s->generation_count > 1 && !generation_free(s)) {
		supervisor_say("the changed configuration waits until edges of an older one have ended", "");
		supervisor_report(s, EVENT_RELOAD_WAITS, NUMBERS(0));
	}
	reload_go_on(s);
}

void
supervisor_reload(struct supervisor *s)
{
	struct reload *r = &s->reload;
	if (s->state > SUPERVISOR_RUNNING)
		return;
	if (s->state == SUPERVISOR_STARTING || s->next) { /* this one has been read already: it may have changed since */
		r->again = true;
		return;
	}
	drop_waiting(s);
	r->begun++;
	r->report = (struct plan_report){0};
	reload_write_result(s, "reload", "begun");
	reload_log(s);
	struct supervisor_plan *plan = s->plan->again ? s->plan->again(s->plan, &r->report) : NULL;
	if (r->report.len)
		(void)!write(STDERR_FILENO, r->report.text, r->report.len);
	if (plan)
		use(s, plan);
	else if (r->report.refused || !tls_renew(s))
		refused(s);
	else {
		reload_note(s, "the configuration has not changed; the files that it names were opened anew", "");
		done(s, "same");
	}
}
