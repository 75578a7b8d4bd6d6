/*
 * task.c - what a process has for its system calls; programs by their paths: see task.h.
 */
#include "syscall/task.h"

#include "kern/mem.h"
#include "kern/string.h"
#include "syscall/rootfs.h"

struct task *task_create(void)
{
    struct task *t = kzalloc(sizeof(*t));

    if (t != NULL) {
        fd_table_init(&t->fds);
        mutex_init(&t->folder, "folder");
        t->cwd[0] = '/';
    }
    return t;
}

struct task *task_clone(struct task *t)
{
    struct task *clone = task_create();

    if (clone != NULL) {
        mutex_lock(&t->folder);
        strlcpy(clone->cwd, t->cwd, sizeof(clone->cwd));
        mutex_unlock(&t->folder);
        fd_copy(&clone->fds, &t->fds);
    }
    return clone;
}

void task_free(struct task *t)
{
    if (t != NULL) {
        fd_close_all(&t->fds);
        kfree(t);
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* A file's pages as a program. */
static int exec_file(struct uthread *u, const char *path, const struct file *f,
                     const struct exec_args *args, struct trap_frame *frame, const char **why)
{
    struct program program;

    if (f->entry == NULL || (f->entry->mode & CPIO_TYPE) != CPIO_FILE ||
        (f->entry->mode & 0111) == 0) {
        return -EACCES;
    }
    program.source = f->ops->source(f);
    program.size = f->entry->size;
    if (program.source == NULL) {
        return -ENOMEM;
    }
    int rc = proc_load(u, base_name(path), &program, args, frame, why);
    vm_source_put(program.source);
    return rc;
}

int task_exec(struct uthread *u, struct task *t, const char *path, const struct exec_args *args,
              struct trap_frame *frame, const char **why)
{
    struct file *f;

    mutex_lock(&t->folder);
    int rc = rootfs_open(t->cwd, path, O_RDONLY, &f);
    mutex_unlock(&t->folder);

    *why = NULL;
    if (rc != 0) {
        return rc;
    }
    rc = exec_file(u, path, f, args, frame, why);
    file_put(f);
    if (rc == 0) {
        fd_close_exec(&t->fds);
        signals_exec(&u->signals);
    }
    return rc;
}
