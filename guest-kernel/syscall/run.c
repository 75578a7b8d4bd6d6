/*
 * run.c - running a program from the kernel: see run.h.
 */
#include "syscall/run.h"

#include "io/xencons/xencons.h"
#include "kern/mem.h"
#include "kern/string.h"
#include "syscall/console.h"
#include "syscall/epoll.h"
#include "syscall/rootfs.h"
#include "syscall/task.h"

static const char *const environment[] = {"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/",
                                          "TERM=linux"};

void syscall_boot(void)
{
    console_boot();
    epoll_boot();
    rootfs_boot();
}

static int collect_args(struct exec_args *args, int argc, char **argv)
{
    int rc = exec_args_init(args);

    for (int i = 0; i < argc && rc == 0; i++) {
        rc = exec_args_add(args, argv[i], strlen(argv[i]), false);
    }
    for (size_t i = 0; i < ARRAY_SIZE(environment) && rc == 0; i++) {
        rc = exec_args_add(args, environment[i], strlen(environment[i]), true);
    }
    return rc;
}

/* The console as descriptors 0, 1 and 2. */
static int open_console(struct task *t)
{
    struct file *f = file_new(&console_ops, O_RDWR);
    int fd = 0;

    if (f == NULL) {
        return -ENOMEM;
    }
    while (fd >= 0 && fd < 2) {
        fd = fd_install(&t->fds, file_get(f), false, 0);
    }
    file_put(f);
    return 0;
}

/* Load and start. On an error the process and its task are the caller's still. */
static int begin(struct proc *p, int argc, char **argv, const char **why)
{
    struct exec_args args = {0};
    struct trap_frame frame;
    struct task *t = p->own;
    int rc = open_console(t);

    rc = rc == 0 ? collect_args(&args, argc, argv) : rc;
    rc = rc == 0 ? task_exec(proc_leader(p), t, argv[0], &args, &frame, why) : rc;
    exec_args_free(&args);
    return rc == 0 ? uthread_start(proc_leader(p), &frame, NULL) : rc;
}

static bool program_over(void *p)
{
    return proc_has_ended(p);
}

static void program_ended(void *arg __unused)
{
    xencons_look_again();
}

int program_run(int argc, char **argv, int *status, const char **why)
{
    struct task *t = task_create();
    struct proc *p = t == NULL ? NULL : proc_create(argv[0], &task_personality, NULL);

    *why = NULL;
    if (p == NULL) {
        task_free(t);
        return -ENOMEM;
    }
    p->own = t;
    p->on_end = program_ended;
    console_begin(p);
    int rc = begin(p, argc, argv, why);
    if (rc != 0) {
        console_end();
        proc_discard(p);
        task_free(t);
        return rc;
    }
    console_serve(program_over, p);
    console_end();
    int ended = proc_reap(p);
    *status = (ended & 0x7f) != 0 ? 128 + (ended & 0x7f) : ended >> 8 & 0xff;
    return 0;
}
