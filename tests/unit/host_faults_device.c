/*
 * Lives of devices under a supervisor: see host_faults_device.h.
 */
#include "host_faults_device.h"

#include <signal.h>
#include <string.h>

#include "fake_xenstore.h"

struct faults_device faults_device;

static void hurry(bool all)
{
    struct supervisor *sup = faults_device.sup;
    struct supervised *dev = sup->devices;

    for (unsigned int i = 0; i < SUPERVISOR_CLASSES_MAX; i++) {
        faults_fire(sup->loop, &sup->classes[i].watch.again);
    }
    if (dev == NULL) {
        return;
    }
    faults_fire(sup->loop, &dev->later);
    faults_fire(sup->loop, &dev->retry);
    if (all || dev->life.phase == LIFE_PAUSING) {
        faults_fire(sup->loop, &dev->life.deadline);
    }
}

void faults_until(bool (*reached)(void), const char *what)
{
    faults_run(faults_device.sup->loop, reached, hurry, what);
}

bool faults_store_has(const char *path, const char *value)
{
    const char *found = fake_get(path);

    return found != NULL && strcmp(found, value) == 0;
}

bool faults_closed(void)
{
    return faults_store_has(faults_device.back_state, "6");
}

bool faults_offered(void)
{
    return faults_store_has(faults_device.back_state, "2") || faults_closed();
}

bool faults_connected(void)
{
    const struct supervised *dev = faults_device.sup->devices;

    return (faults_store_has(faults_device.back_state, "4") && dev != NULL &&
            dev->life.phase == LIFE_CONNECTED) ||
           faults_closed();
}

bool faults_served_anew(void)
{
    return faults_closed() || (faults_connected() && faults_device.sup->devices->crew.child.pid !=
                                                         faults_device.worker_before);
}

bool faults_forgotten(void)
{
    return faults_device.sup->nr_devices == 0;
}

bool faults_stopped(void)
{
    return faults_device.sup->devices == NULL;
}

bool faults_goes_on(void)
{
    const char *error = fake_get(faults_device.error);

    if (!faults_closed()) {
        return true;
    }
    if (error == NULL) {
        faults_fail("closed, and the store does not say why");
    }
    if (faults_device.was_connected && faults_pass()) {
        faults_fail("a guest that was connected lost its device by what passes: %s", error);
    }
    return false;
}

void faults_stop(void)
{
    faults_live(true);
    supervisor_stop(faults_device.sup);
    faults_live(false);
    if (!faults_stopped()) {
        faults_until(faults_stopped, "the daemon stops");
    }
}

void faults_forgive(void)
{
    faults_device.sup->devices->crew.starts = (struct pace){.last_ns = 0};
    faults_device.sup->devices->crew.deaths = 0;
}

void faults_lose(pid_t pid, const char *what)
{
    faults_forgive();
    faults_device.worker_before = faults_device.sup->devices->crew.child.pid;
    kill(pid, SIGKILL);
    faults_until(faults_served_anew, what);
}
