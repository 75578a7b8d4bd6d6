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
        t->cwd = node_get(tree_root());
        t->umask = 022;
    }
    return t;
}

struct node *task_cwd(struct task *t)
{
    tree_lock();
    struct node *cwd = node_get(t->cwd);
    tree_unlock();
    return cwd;
}

struct task *task_clone(struct task *t)
{
    struct task *clone = task_create();

    if (clone != NULL) {
        node_put(clone->cwd);
        clone->cwd = task_cwd(t);
        clone->exe = t->exe == NULL ? NULL : node_get(t->exe);
        clone->umask = t->umask;
        fd_copy(&clone->fds, &t->fds);
    }
    return clone;
}

void task_free(struct task *t)
{
    if (t != NULL) {
        fd_close_all(&t->fds);
        node_put(t->cwd);
        node_put(t->exe);
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

    if (f->node == NULL || !node_is_plain(f->node) || (f->node->mode & 0111) == 0) {
        return -EACCES;
    }
    program.source = rootfs_source(f->node);
    program.size = READ_ONCE(f->node->size);
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
    struct node *cwd = task_cwd(t);
    char *room = kmalloc(PATH_SIZE);
    struct file *f;

    *why = NULL;
    int rc = room == NULL ? -ENOMEM : 0;
    if (rc == 0) {
        strlcpy(room, path, PATH_SIZE);
        rc = rootfs_open(cwd, room, O_RDONLY, 0, &f);
    }
    kfree(room);
    node_put(cwd);
    if (rc != 0) {
        return rc;
    }
    rc = exec_file(u, path, f, args, frame, why);
    if (rc == 0) {
        node_put(t->exe);
        t->exe = node_get(f->node);
    }
    file_put(f);
    if (rc == 0) {
        fd_close_exec(&t->fds);
        signals_exec(&u->signals);
    }
    return rc;
}
