#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct sim_fixture fixture;

static char folder[] = "/tmp/lethe-sim-test-XXXXXX";
static pid_t simulator;

const char *
fixture_file(const char *name)
{
	static char path[4][64];
	static unsigned next;
	char *at = path[next++ % ARRAY_LEN(path)];
	snprintf(at, sizeof path[0], "%s/%s", folder, name);
	return at;
}

bool
fixture_certificate(const char *tool)
{
	int status = 0;
	pid_t pid = mkdtemp(folder) ? fork() : -1;
	if (pid == 0) {
		execl(tool, tool, folder, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

void
fixture_finish(void)
{
	static const char *const FILES[] = {"ca.pem", "ca-key.pem", "server.pem", "server-key.pem"};
	for (size_t i = 0; i < ARRAY_LEN(FILES); i++)
		unlink(fixture_file(FILES[i]));
	rmdir(folder);
}

/* The next line's. */
static bool
read_address(FILE *f, struct net_address *ret)
{
	unsigned port = 0;
	char text[32];
	if (fscanf(f, "%*[^:]:%u", &port) != 1)
		return false;
	snprintf(text, sizeof text, "127.0.0.1:%u", port);
	return net_address_parse(text, ret);
}

bool
fixture_start(const char *executable)
{
	int out[2];
	if (pipe(out) != 0 || (simulator = fork()) < 0)
		return false;
	if (simulator == 0) {
		dup2(out[1], STDOUT_FILENO);
		execl(executable, executable, "--listen", "127.0.0.1:0", "--key", "k1", "--listen-tls", "127.0.0.1:0",
			"--tls-certificate", fixture_file("server.pem"), "--tls-key", fixture_file("server-key.pem"), (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	if (!f)
		return false;
	bool said = read_address(f, &fixture.clear) && read_address(f, &fixture.tls);
	fclose(f);
	return said;
}

bool
fixture_stop(void)
{
	int status = 0;
	kill(simulator, SIGTERM);
	return waitpid(simulator, &status, 0) == simulator && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
