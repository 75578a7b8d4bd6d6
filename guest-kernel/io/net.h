/*
 * net.h - network interfaces, as their users see them.
 *
 * An interface is found by its name ("eth0"), opened by one user (the TCP/IP stack), sends frames
 * at once or not at all, and hands received ones to its user. It may vanish while open.
 * A frame begins with its Ethernet header and has no check sequence at its end.
 * Locks: spinlocks of net.c (the table and reference counts; users), leaves; not held in a user's
 * functions. Suspend: the driver drops what is under way; users see the carrier go and come back.
 */
#ifndef IO_NET_H
#define IO_NET_H

#include "io/roster.h"
#include "kern/types.h"

#define NET_NAME_MAX      16
#define NET_MAC_LEN       6
#define NET_HEADER_LEN    14
#define NET_FRAME_MAX     65535 /* with segmentation offload; else the MTU and the header */
#define NET_PIECES_MAX    18    /* of one frame, in either direction */
#define NET_IP_MAX        128
#define NET_MULTICAST_MAX 64 /* addresses that an interface listens to */

enum net_gso { NET_GSO_NONE, NET_GSO_TCPV4, NET_GSO_TCPV6 };

/**
 * struct net_frame - what is known of a frame besides its bytes
 * @len: bytes of all pieces
 * @csum_blank: TCP's or UDP's checksum holds that of the pseudo header only
 * @csum_valid: received: whoever sent it vouches for its data
 * @gso: the frame is to become several, or was made of several, each with @gso_size bytes of data
 */
struct net_frame {
    uint32_t len;
    bool csum_blank, csum_valid;
    enum net_gso gso;
    uint16_t gso_size;
};

struct net_piece {
    void *base;
    size_t len;
};

/* What is known of an interface. */
struct net_info {
    uint8_t mac[NET_MAC_LEN];
    uint16_t mtu;
    bool carrier;          /* frames can be sent */
    bool csum_v4, csum_v6; /* the other end fills in blank checksums */
    bool gso_v4, gso_v6;   /* the other end segments */
    unsigned queues;       /* that are in use */
    char ip[NET_IP_MAX];   /* the toolstack's ip=, "" if it says nothing: not checked */
    uint64_t rx_frames, rx_bytes, rx_dropped, rx_errors;
    uint64_t tx_frames, tx_bytes, tx_dropped, tx_errors;
};

struct net_dev;
struct thread;

/**
 * struct net_user - who opened an interface; called by the driver
 * @receive: a frame came. Its bytes belong to the back end, which may change them, until this
 *           returns: to be copied once and looked at in the copy. Interrupt context: must not
 *           sleep; calls for one interface come one after the other
 * @writable: there is room again after net_transmit() said -EAGAIN. Any context
 * @changed: carrier or MTU changed; net_get_info() tells. Thread context
 * @gone: the interface has vanished; the user lets go of it, now or later. Thread context
 */
struct net_user {
    void (*receive)(void *arg, const struct net_frame *frame, const struct net_piece *pieces,
                    unsigned n);
    void (*writable)(void *arg);
    void (*changed)(void *arg);
    void (*gone)(void *arg);
};

/**
 * struct net_ops - the driver's side
 * @transmit: see net_transmit(); pieces and frame agree
 * @info: fill in everything. Any context
 * @multicast: see net_set_multicast(); NULL: everything comes anyway
 * @release: the last reference is gone; free the interface. Thread context
 */
struct net_ops {
    int (*transmit)(struct net_dev *dev, const struct net_frame *frame,
                    const struct net_piece *pieces, unsigned n);
    void (*info)(struct net_dev *dev, struct net_info *info);
    int (*multicast)(struct net_dev *dev, const uint8_t (*macs)[NET_MAC_LEN], unsigned n);
    void (*release)(struct net_dev *dev);
};

struct net_dev {
    char name[NET_NAME_MAX];
    const struct net_ops *ops;

    const struct net_user *user; /* the rest belongs to net.c */
    void *user_arg;
    unsigned calls;
    struct thread *teller; /* runs the user's @gone now */
    bool announced;
    struct rostered entry;
};

/* ---- for drivers ---- */

/** net_init() - fill in an interface that is not listed yet; the caller holds one reference. */
void net_init(struct net_dev *dev, const char *name, const struct net_ops *ops);

/** net_register() - list it under its name. -EEXIST: the name is taken. Thread context. */
int net_register(struct net_dev *dev) __must_check;

/** net_withdraw() - nobody finds it any more, and its user is told that it is gone. May sleep. */
void net_withdraw(struct net_dev *dev);

/** net_receive() - hand a frame to the user; dropped if there is none. Interrupt context. */
void net_receive(struct net_dev *dev, const struct net_frame *frame, const struct net_piece *pieces,
                 unsigned n);

/** net_writable() - there is room again. Any context. */
void net_writable(struct net_dev *dev);

/** net_changed() - carrier or MTU changed. Thread context. */
void net_changed(struct net_dev *dev);

/* ---- for users ---- */

/** net_get() - find an interface by name and hold on to it; NULL if there is none. Any context. */
struct net_dev *net_get(const char *name);

/** net_put() - let go of it. Thread context. */
void net_put(struct net_dev *dev);

/**
 * net_next() - walk the interfaces by name
 * @prev: where the walk stands, NULL to begin; this call lets go of it
 *
 * Return: the next one, held on to for the caller; NULL at the end. Thread context.
 */
struct net_dev *net_next(struct net_dev *prev);

/**
 * net_set_arrival() - have a function called for every interface that is there or appears
 *
 * For the one who opens all of them. @arrived is called in thread context, with the interface held
 * only while it runs.
 */
void net_set_arrival(void (*arrived)(struct net_dev *dev));

/**
 * net_open() - become its user
 * @user: all of its functions are there
 *
 * An open interface is held on to until net_close(). Return: 0, -EBUSY if it has a user, -ENODEV.
 * Any context.
 */
int net_open(struct net_dev *dev, const struct net_user *user, void *arg) __must_check;

/**
 * net_close() - the reverse; when it returns, none of the user's functions runs
 *
 * Of these only @gone may call it. May sleep.
 */
void net_close(struct net_dev *dev);

/** net_get_info() - what is known of it. Any context. */
void net_get_info(struct net_dev *dev, struct net_info *info);

/**
 * net_transmit() - send a frame
 *
 * The bytes are copied before this returns. Return: 0, -EAGAIN (no room: @writable will be
 * called), -ENOTCONN (no carrier), -EMSGSIZE, -ENODEV. Any context.
 */
int net_transmit(struct net_dev *dev, const struct net_frame *frame, const struct net_piece *pieces,
                 unsigned n) __must_check;

/**
 * net_set_multicast() - which multicast addresses the user listens to: all of them, each time
 *
 * None before the first call; broadcast is not among them and always comes. Frames to others may
 * come as well. It holds for the interface's life, whatever back end it has. Return: 0, -ENOSPC
 * with nothing changed when they are more than NET_MULTICAST_MAX. Any context.
 */
int net_set_multicast(struct net_dev *dev, const uint8_t (*macs)[NET_MAC_LEN],
                      unsigned n) __must_check;

#endif /* IO_NET_H */
