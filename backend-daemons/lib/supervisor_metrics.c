/*
 * What a supervisor tells of its devices: see supervisor_metrics.h.
 */
#include "supervisor_metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "metrics.h"
#include "supervisor.h"

/* A device's row. What its worker has counted is looked at now. */
static void supervisor_metrics_row(struct supervised *dev, struct metric_row *row)
{
    struct crew *crew = &dev->crew;
    const bool connected = dev->life.phase == LIFE_CONNECTED;
    struct figures now;

    figures_read(&crew->figures, &dev->sup->bounds, &now);
    *row = (struct metric_row){.domid = dev->key.domid,
                               .domain = dev->domain,
                               .value = {[METRIC_CONNECTED] = connected ? 1 : 0,
                                         [METRIC_UP] = connected && crew_moves(crew) ? 1 : 0,
                                         [METRIC_RESTARTS] = crew->restarts}};
    snprintf(row->device, sizeof(row->device), "%s/%d", dev->id.class, dev->key.device);
    metric_put(row, &now);
    if (!connected) {
        metric_drop_gauges(row, &dev->sup->bounds);
    }
}

static char *supervisor_metrics_text(void *arg, unsigned long *len)
{
    struct supervisor *sup = arg;
    struct supervised *dev = NULL, *tmp = NULL;
    struct metric_row *rows = calloc(sup->nr_devices + 1UL, sizeof(*rows));
    unsigned int nr = 0;
    char *text;

    if (rows == NULL) {
        return NULL;
    }
    HASH_ITER (hh, sup->devices, dev, tmp) {
        supervisor_metrics_row(dev, &rows[nr++]);
    }
    text = metrics_text(sup->ops->metrics, rows, nr, sup->ops->wire->daemon, sup->began_s, len);
    free(rows);
    return text;
}

void supervisor_metrics_follow(struct supervisor *sup)
{
    metrics_move(&sup->metrics, sup->loop, sup->metrics_at, supervisor_metrics_text, sup);
}

void supervisor_metrics_end(struct supervisor *sup)
{
    metrics_close(&sup->metrics);
}
