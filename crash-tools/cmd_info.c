/*
 * info and vcpus: what the core is of, and the registers of each vCPU.
 */
#include <inttypes.h>
#include <stdio.h>

#include "crash.h"
#include "value.h"

static int info_run(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why)
{
    uint32_t version = core_xen_version(s->core);
    char text[32];

    (void)argc;
    (void)argv;
    (void)why;
    snprintf(text, sizeof(text), "%u.%u", version >> 16, version & 0xffff);
    cJSON_AddStringToObject(answer, "xen", text);
    cJSON_AddNumberToObject(answer, "vcpus", core_vcpu_count(s->core));
    cJSON_AddNumberToObject(answer, "pages", (double)core_page_count(s->core));
    cJSON_AddNumberToObject(answer, "kib",
                            (double)core_page_count(s->core) * CORE_PAGE_SIZE / 1024);
    cJSON_AddBoolToObject(answer, "live", core_is_live(s->core));
    cJSON_AddBoolToObject(answer, "running", core_moves(s->core));
    cJSON_AddBoolToObject(answer, "shared_info", core_shared_info(s->core) != NULL);
    cJSON_AddStringToObject(answer, "kernel",
                            s->image == NULL                      ? "not found"
                            : image_build_id(s->image)[0] == '\0' ? "agrees by its constants"
                                                                  : "agrees by its build id");
    if (s->image != NULL) {
        cJSON_AddStringToObject(answer, "build_id", image_build_id(s->image));
    }
    return CRASH_DONE;
}

static double number(const cJSON *object, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(object, key));
}

static void info_show(const cJSON *answer)
{
    const char *kind = !cJSON_IsTrue(cJSON_GetObjectItem(answer, "live"))     ? "core of a"
                       : cJSON_IsTrue(cJSON_GetObjectItem(answer, "running")) ? "running"
                                                                              : "paused";

    printf("a %s PV domain under Xen %s: %.0f vCPUs, %.0f pages (%.0f KiB)%s\nkernel: %s %s\n",
           kind, crash_text(answer, "xen"), number(answer, "vcpus"), number(answer, "pages"),
           number(answer, "kib"),
           cJSON_IsTrue(cJSON_GetObjectItem(answer, "shared_info")) ? "" : ", no shared_info",
           crash_text(answer, "kernel"), crash_text(answer, "build_id"));
}

const struct command cmd_info = {
    .name = "info",
    .synopsis = "",
    .summary = "what the core is of",
    .run = info_run,
    .show = info_show,
};

static cJSON *vcpu_json(const struct session *s, unsigned int id)
{
    const struct vcpu_guest_context *v = core_vcpu(s->core, id);
    cJSON *json = cJSON_CreateObject();
    char place[VALUE_TEXT_MAX];
    struct regs regs;

    regs_of_vcpu(v, &regs);
    cJSON_AddNumberToObject(json, "vcpu", id);
    cJSON_AddBoolToObject(json, "kernel_mode", (v->flags & VGCF_in_kernel) != 0);
    value_address(s, regs.value[REG_RIP], place, sizeof(place));
    cJSON_AddStringToObject(json, "place", place);
    cJSON *registers = cJSON_AddObjectToObject(json, "registers");
    for (enum reg reg = 0; reg < REG_COUNT; reg++) {
        json_add_hex(registers, reg_name(reg), regs.value[reg]);
    }
    json_add_hex(registers, "rflags", v->user_regs.rflags);
    json_add_hex(registers, "cs", v->user_regs.cs);
    json_add_hex(registers, "ss", v->user_regs.ss);
    json_add_hex(registers, "cr2", v->ctrlreg[2]);
    json_add_hex(registers, "cr3", v->ctrlreg[3]);
    json_add_hex(registers, "gs_base", v->gs_base_kernel);
    json_add_hex(registers, "kernel_sp", v->kernel_sp);
    return json;
}

static int vcpus_run(struct session *s, int argc, char **argv, cJSON *answer, struct excuse *why)
{
    cJSON *list = cJSON_AddArrayToObject(answer, "vcpus");
    uint64_t only = 0;

    if (argc == 1 && (!crash_number(argv[0], &only) || only >= core_vcpu_count(s->core))) {
        return crash_fail(why, CRASH_USAGE, "there is no vCPU '%s'", argv[0]);
    }
    for (unsigned int id = 0; id < core_vcpu_count(s->core); id++) {
        if (argc == 0 || id == only) {
            cJSON_AddItemToArray(list, vcpu_json(s, id));
        }
    }
    return CRASH_DONE;
}

static void vcpus_show(const cJSON *answer)
{
    const cJSON *vcpu, *reg;

    cJSON_ArrayForEach (vcpu, cJSON_GetObjectItem(answer, "vcpus")) {
        unsigned int column = 0;

        printf("vCPU %.0f at %s%s\n", number(vcpu, "vcpu"), crash_text(vcpu, "place"),
               cJSON_IsTrue(cJSON_GetObjectItem(vcpu, "kernel_mode")) ? "" : " (a program's code)");
        cJSON_ArrayForEach (reg, cJSON_GetObjectItem(vcpu, "registers")) {
            printf("%9s %-18s%s", reg->string, reg->valuestring, ++column % 3 == 0 ? "\n" : "  ");
        }
        printf("%s", column % 3 == 0 ? "" : "\n");
    }
}

const struct command cmd_vcpus = {
    .name = "vcpus",
    .synopsis = "[N]",
    .summary = "registers",
    .max_args = 1,
    .run = vcpus_run,
    .show = vcpus_show,
};
