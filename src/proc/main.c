/* `lethe`: a child of the supervisor when it was started as one, else the command line. */
#include "core/sanitized.h"
#include "proc/cli.h"
#include "proc/role_main.h"
#include "proc/takeover.h"

#include <unistd.h>

/*
 * A locked-down process can't be looked at by the second process that searches for leaks, and has no
 * environment that could say so.
 */
#if SANITIZED
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

int
main(int argc, char **argv)
{
	if (argc > 0 && role_is_child(argc, argv))
		role_run();
	static const char bare[] = "lethe: built without lockdown, secret memory and wiping: only to measure what they cost\n";
	if (BARE) /* by these words tool/release.sh and tool/package.sh know such a build */
		(void)!write(STDERR_FILENO, bare, sizeof bare - 1);
	takeover_begin();
	return cli_main(argc, argv);
}
