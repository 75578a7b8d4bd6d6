/*
 * A child process that does one thing. It inherits no descriptors but those named here, is spoken
 * to over one SOCK_SEQPACKET socket, and is reaped through the event loop.
 *
 * The child finds the socket as descriptor CHILD_SOCKET_FD. It shares standard error; its standard
 * input and output are /dev/null. Signals that an administrator sends to a whole unit (HUP, INT,
 * USR1, USR2) are blocked in it from the start, so that none kills it before it has said what is to
 * become of them. When the parent dies, the child sees the end of file on the socket.
 * Its place in the order of the kernel's OOM killer is the usual one (oom_score_adj 0), whatever
 * the parent's.
 *
 * A child is not trusted: it is listened to in turns, so that one that talks without end holds up
 * nobody, and one that says more than anybody needs is killed.
 *
 * Types: struct child, which lives in its user's structure.
 */
#ifndef DUET_LIB_CHILD_H
#define DUET_LIB_CHILD_H

#include <sys/types.h>

#include "bucket.h"
#include "loop.h"

#define CHILD_SOCKET_FD   3
#define CHILD_MESSAGE_MAX 4096
#define CHILD_FDS_MAX     16

/* A whole message of `len` bytes from the child; it carries no descriptors. */
typedef void child_message_fn(void *arg, const void *msg, unsigned long len);

/* The child is gone and reaped; `status` as waitpid() gives it. */
typedef void child_exit_fn(void *arg, int status);

/* Zero-initialise. */
struct child {
    struct loop *loop;
    pid_t pid; /* 0: not running */
    struct loop_fd pidfd;
    struct loop_fd socket;
    struct bucket messages; /* that it may send; set by child_start(), and to be set anew */
    child_message_fn *on_message;
    child_exit_fn *on_exit;
    void *arg;
};

/*
 * Finds a program now, so that child_start() starts this one later, whatever its path names by
 * then. Returns a descriptor, which no child inherits, or -errno.
 */
int child_find_program(const char *path);

/*
 * Starts `program`, from child_find_program(), or `argv[0]` when it is -1. Callbacks come from the
 * loop; everything the child sent before it ended is delivered before on_exit, which is called
 * exactly once and after which `c` may be used again or freed. A child that sends more than
 * `messages` allows is killed, and not heard any more. Returns 0 or -errno.
 */
int child_start(struct child *c, struct loop *loop, int program, char *const argv[],
                child_message_fn *on_message, child_exit_fn *on_exit, void *arg);

/*
 * Sends one message and up to CHILD_FDS_MAX descriptors (which stay the caller's own).
 * Returns 0 or -errno; never waits: -EAGAIN when the child does not read.
 */
int child_send(struct child *c, const void *msg, unsigned long len, const int *fds,
               unsigned int nr_fds);

/* Kills it; no more is heard of it than how it ended. Harmless when it is not running. */
void child_give_up(struct child *c);

/* Sends a signal. Harmless when it is not running. */
void child_signal(struct child *c, int signo);

/*
 * In the child: receives one message of at most `size` bytes and up to `max_fds` descriptors, whose
 * number it leaves in *nr_fds. Blocks. Returns its length, 0 at the end of file, or -errno
 * (-EPROTO: more than that; nothing stays open then).
 */
long child_receive_any(int sock, void *msg, unsigned long size, int *fds, unsigned int max_fds,
                       unsigned int *nr_fds);

/*
 * In the child: receives one message of at most `size` bytes and `nr_fds` descriptors, no more and
 * no fewer. Blocks. Returns its length, 0 at the end of file, or -errno (-EPROTO: not the
 * descriptors that were expected).
 */
long child_receive(int sock, void *msg, unsigned long size, int *fds, unsigned int nr_fds);

/*
 * Sends one message and descriptors, as child_send() does, over any socket of that kind. May wait
 * when the other end does not read. Returns 0 or -errno.
 */
int child_send_over(int sock, const void *msg, unsigned long len, const int *fds,
                    unsigned int nr_fds);

/*
 * In a child that was started by descriptor: it is known by its name again, and not by a number, to
 * ps(1) and pkill(1).
 */
void child_take_name(void);

/* Describes a wait status, e.g. "killed by signal 9 (Killed)". */
void child_describe_status(int status, char *out, unsigned long size);

#endif
