#include "proc/supervisor_priv.h"

#include "core/sanitized.h"
#include "core/text.h"
#include "scribe/line.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * The processes that see content never write text; what comes from them all the same (a library, a captured
 * edge) is counted and not shown. Builds for developers show it: sanitizers and the system call trap report
 * that way.
 */
#if SANITIZED || defined(SANDBOX_MAY_TRAP)
#define SHOW_ALL 1
#else
#define SHOW_ALL 0
#endif

static void
show_line(struct child *c, struct span said)
{
	char memory[LINE_MAX_BYTES];
	struct text t = text_on(memory, sizeof memory);
	line_text_write(&t, clock_wall_us(), c->role->end, (uint16_t)c->instance, said);
	(void)!write(c->s->log_fd, t.at, t.len); /* a log that takes nothing can't be told of either */
}

/* Shows the lines that are complete; a longer one than the buffer in pieces. */
static void
show_lines(struct child *c)
{
	const char *from = c->said, *end = c->said + c->said_len, *at;
	while ((at = memchr(from, '\n', (size_t)(end - from)))) {
		if (at > from)
			show_line(c, (struct span){from, (size_t)(at - from)});
		from = at + 1;
	}
	if (from == c->said && c->said_len == SAID_MAX) {
		show_line(c, (struct span){from, SAID_MAX});
		from = end;
	}
	c->said_len = (uint32_t)(end - from);
	memmove(c->said, from, c->said_len);
}

void
watch_flush(struct child *c)
{
	if (c->said_len)
		show_line(c, (struct span){c->said, c->said_len});
	c->said_len = 0;
}

static void
report_said(struct child *c)
{
	if (c->said_bytes)
		supervisor_report(c->s, EVENT_CHILD_WROTE, NUMBERS(c->role->end, c->instance, c->said_bytes));
	c->said_bytes = 0;
}

static void
take_said(struct child *c, size_t n)
{
	if (child_is_edge(c) && !SHOW_ALL) {
		c->said_bytes += n;
		explicit_bzero(c->said, n);
		return;
	}
	c->said_len += (uint32_t)n;
	show_lines(c);
}

static void
pipe_ready(struct watch *w)
{
	struct child *c = container_of(w, struct child, pipe);
	ssize_t n = read(w->fd, c->said + c->said_len, SAID_MAX - c->said_len);
	if (n > 0) {
		take_said(c, (size_t)n);
		loop_again(&c->s->loop, w);
	} else if (n < 0 && errno == EINTR) {
		loop_again(&c->s->loop, w);
	} else {
		w->flags = 0;
	}
}

bool
watch_pipe(struct child *c, int fd)
{
	c->said_len = 0;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && loop_watch(&c->s->loop, &c->pipe, fd, pipe_ready))
		return true;
	close(fd);
	c->pipe.fd = -1;
	return false;
}

void
watch_pipe_close(struct child *c)
{
	int fd = c->pipe.fd;
	ssize_t n;
	if (fd < 0)
		return;
	/* Its last words, usually the ones that matter. It is dead, so they end. */
	while ((n = read(fd, c->said + c->said_len, SAID_MAX - c->said_len)) > 0)
		take_said(c, (size_t)n);
	watch_flush(c);
	report_said(c);
	loop_forget(&c->s->loop, &c->pipe);
	close(fd);
}

/* ---- TracerPid ---- */

enum {
	STATUS_BYTES = 2048,
	TRACED_GRACE_MS = 1000,
};

/* The pid of who traces it; 0: nobody, or it is gone. */
static uint64_t
tracer_of(pid_t pid)
{
	static const char key[] = "\nTracerPid:\t";
	char path[40], status[STATUS_BYTES];
	struct text t = text_on(path, sizeof path - 1);
	text_lit(&t, "/proc/");
	text_u64(&t, (uint64_t)pid);
	text_lit(&t, "/status");
	path[t.len] = '\0';
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, status, sizeof status - 1);
	close(fd);
	status[n > 0 ? n : 0] = '\0';
	const char *at = strstr(status, key);
	uint64_t tracer = 0;
	for (at = at ? at + strlen(key) : ""; *at >= '0' && *at <= '9'; at++)
		tracer = tracer * 10 + (uint64_t)(*at - '0');
	return tracer;
}

void
watch_tracers(struct supervisor *s)
{
	for (uint32_t i = 0; i < s->child_count; i++) {
		struct child *c = &s->child[i];
		report_said(c);
		bool has_secrets = child_is_edge(c) || c->role->end == END_OF_SIGNER;
		if (!has_secrets || c->pid == 0 || c->traced || !tracer_of(c->pid))
			continue;
		c->traced = true;
		supervisor_report(s, child_is_edge(c) ? EVENT_TRACED : EVENT_SIGNER_TRACED, NUMBERS(c->instance));
		child_tell(c, MESSAGE_STOP);
		child_kill_after(c, TRACED_GRACE_MS); /* a stopped one can't obey */
	}
}
