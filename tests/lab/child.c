/* child PARENT PROGRAM [ARGUMENT...]: becomes the program, which the kernel kills when the thread that started this
 * ends. Linked statically: an LD_PRELOAD in its environment is the program's. Only for tests. */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	char *end = NULL;
	long parent = argc < 3 ? 0 : strtol(argv[1], &end, 10);

	if (argc < 3 || *end != '\0' || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != (pid_t)parent)
		return 127; /* the parent has ended before the call */
	(void)execvp(argv[2], argv + 2);
	return 127;
}
