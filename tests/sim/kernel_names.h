/*
 * Put before each file of the guest kernel that the simulation is built from: names that a library
 * of dom0 has as well get another one, and what the kernel keeps between two calls lies in sections
 * of its own, so that a guest can be made anew.
 */
#ifndef DUET_SIM_KERNEL_NAMES_H
#define DUET_SIM_KERNEL_NAMES_H

#define xs_read            kernel_xs_read
#define xs_write           kernel_xs_write
#define xs_rm              kernel_xs_rm
#define xs_mkdir           kernel_xs_mkdir
#define xs_directory       kernel_xs_directory
#define xenbus_read_state  kernel_xenbus_read_state
#define xenbus_write_state kernel_xenbus_write_state
#define xenbus_state_name  kernel_xenbus_state_name

#ifdef SIM_KERNEL
#pragma clang section bss = "sim_guest_bss" data = "sim_guest_data"
#endif

#endif
