/*
 * window.c - what a peer's window does to the size of segments.
 *
 * lwIP cuts segments for half the widest window that the peer has had, unless that is nothing: then
 * for whole ones. So a peer whose window was a byte and is three has it cut shorter ones than those
 * that wait already, which it asserts not to be: the peer would stop the kernel. Here every window
 * counts as two segments wide at least; what is longer than the window is split when it is sent.
 * Locks: lwIP's is held.
 */
#include "lwip/tcp.h"

#include "net/port/hooks.h"

err_t window_keep(struct tcp_pcb *pcb)
{
    if (pcb->state != LISTEN && pcb->snd_wnd_max < 2 * (tcpwnd_size_t)pcb->mss) {
        pcb->snd_wnd_max = 2 * (tcpwnd_size_t)pcb->mss;
    }
    return ERR_OK;
}
