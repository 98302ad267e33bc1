/* `lethe`: a child of the supervisor when it was started as one, else the command line. */
#include "proc/cli.h"
#include "proc/role_main.h"
#include "proc/takeover.h"

/*
 * A locked-down process can't be looked at by the second process that searches for leaks, and has no
 * environment that could say so.
 */
#if defined(__SANITIZE_ADDRESS__)
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
	takeover_begin();
	return cli_main(argc, argv);
}
