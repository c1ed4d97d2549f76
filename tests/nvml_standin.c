/* A stand-in for libnvidia-ml.so.1 with its real calls and structures (those of the public nvml.h that
 * nodeagent/gpu/nvml_library.py uses). What it answers stands in the file that NVML_STANDIN names, which
 * is read anew with each nvmlDeviceGetCount_v2:
 *
 *   driver 590.48.01
 *   hang_ms 60000
 *   init 9
 *   gpu uuid=GPU-… minor=1 bus=00000000:3B:00.0 name=NVIDIA_H100 util=80 power=350000 …
 *   mig uuid=MIG-… gi=1 ci=0 slices=3 …            (an instance of the gpu above it)
 *
 * What a line does not say is not supported.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, SHORT = 7, TIMEOUT = 10, LOST = 15 };

typedef struct { char bus_legacy[16]; unsigned domain, bus, device, pci, sub; char bus_id[32]; } Pci;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef union { double d; int i; unsigned u; unsigned long ul; unsigned long long ull; } Value;
typedef struct { unsigned id, scope; long long at, latency; unsigned type; int result; Value value; } Field;
typedef struct { unsigned long long at; Value value; } Sample;
typedef struct { unsigned sm, ce, dec, enc, jpeg, ofa, gi, ci; unsigned long long mib; } Attributes;
typedef struct { void *device; unsigned long long type, data; unsigned gi, ci; } Event;
typedef struct { unsigned id; int result; double value; char *name, *long_name, *unit; } Metric;
typedef struct { unsigned version, count; void *first, *second; Metric metrics[98]; } MetricsGet;
typedef struct { unsigned version, supported; } Support;

_Static_assert(sizeof(Pci) == 68 && sizeof(MemoryV2) == 40 && sizeof(Field) == 40, "nvml.h");
_Static_assert(sizeof(Sample) == 16 && sizeof(Attributes) == 40 && sizeof(Event) == 32, "nvml.h");
_Static_assert(sizeof(Metric) == 40 && sizeof(Support) == 8 && sizeof(Utilization) == 8, "nvml.h");

#define MOST 64
typedef struct Device { char line[2048]; struct Device *parent; int instances, alive; long told; } Device;
typedef struct { Device *device; double at; } GpmSample;
static Device devices[MOST];
static Device *whole[MOST], *instance[MOST][16];
static int count, init_result;
static char driver[64];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* The text behind ` key=`; 0 when the line does not say. */
static int text(Device *d, const char *key, char *to, size_t room) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, " %s=", key);
    char *found = strstr(d->line, wanted);
    if (!found) return 0;
    found += strlen(wanted);
    size_t n = strcspn(found, " \n");
    if (n >= room) return 0;
    memcpy(to, found, n);
    to[n] = 0;
    return 1;
}

static int real(Device *d, const char *key, double *to) {
    char found[512];
    if (!text(d, key, found, sizeof found)) return 0;
    *to = strtod(found, NULL);
    return 1;
}

static int answer_text(Device *d, const char *key, char *to, unsigned room) {
    char found[128];
    if (!text(d, key, found, sizeof found)) return NOT_SUPPORTED;
    if (strlen(found) >= room) return SHORT;
    for (char *c = found; *c; c++) if (*c == '_') *c = ' ';
    strcpy(to, found);
    return SUCCESS;
}

static int answer(Device *d, const char *key, unsigned *to) {
    double found;
    if (text(d, "lost", (char[8]){0}, 8)) return LOST;
    if (!real(d, key, &found)) return NOT_SUPPORTED;
    *to = (unsigned)found;
    return SUCCESS;
}

static int answer_long(Device *d, const char *key, unsigned long long *to) {
    double found;
    if (!real(d, key, &found)) return NOT_SUPPORTED;
    *to = (unsigned long long)found;
    return SUCCESS;
}

static Device *slot(const char *line) {
    char uuid[128], known[128];
    Device probe;
    snprintf(probe.line, sizeof probe.line, "%s", line);
    if (!text(&probe, "uuid", uuid, sizeof uuid)) return NULL;
    for (int n = 0; n < MOST; n++) {
        Device *d = &devices[n];
        if (!d->line[0] || (text(d, "uuid", known, sizeof known) && !strcmp(known, uuid))) {
            if (!d->line[0]) d->told = -1;
            memcpy(d->line, probe.line, sizeof d->line);
            return d;
        }
    }
    return NULL;
}

static void load(void) {
    char line[2048];
    Device *parent = NULL;
    FILE *file = fopen(getenv("NVML_STANDIN") ? getenv("NVML_STANDIN") : "/dev/null", "r");
    if (!file) return;
    count = init_result = 0;
    while (fgets(line, sizeof line, file)) {
        long value;
        if (sscanf(line, "driver %63s", driver) == 1 || sscanf(line, "init %d", &init_result) == 1) continue;
        if (sscanf(line, "hang_ms %ld", &value) == 1) { usleep(value * 1000); continue; }
        Device *d = slot(line);
        if (!d) continue;
        if (!strncmp(line, "mig ", 4) && parent) {
            d->parent = parent;
            instance[parent - devices][parent->instances++] = d;
        } else {
            d->instances = 0;
            parent = whole[count++] = d;
        }
    }
    fclose(file);
}

const char *nvmlErrorString(int result) {
    switch (result) {
        case LOST: return "GPU is lost";
        case 9: return "Driver Not Loaded";
        case 18: return "Driver/library version mismatch";
        default: return "Unknown Error";
    }
}

int nvmlInit_v2(void) {
    memset(devices, 0, sizeof devices);
    load();
    return init_result;
}
int nvmlSystemGetDriverVersion(char *to, unsigned room) { (void)room; strcpy(to, driver); return driver[0] ? SUCCESS : NOT_SUPPORTED; }
int nvmlDeviceGetCount_v2(unsigned *to) { load(); *to = count; return init_result; }
int nvmlDeviceGetHandleByIndex_v2(unsigned n, Device **to) {
    if (n >= (unsigned)count) return INVALID;
    if (text(whole[n], "fallen", (char[8]){0}, 8)) return LOST;
    *to = whole[n];
    return SUCCESS;
}
int nvmlDeviceGetUUID(Device *d, char *to, unsigned room) { return answer_text(d, "uuid", to, room); }
int nvmlDeviceGetName(Device *d, char *to, unsigned room) { return answer_text(d, "name", to, room); }
int nvmlDeviceGetMinorNumber(Device *d, unsigned *to) { return answer(d, "minor", to); }
int nvmlDeviceGetPciInfo_v3(Device *d, Pci *to) { return answer_text(d, "bus", to->bus_id, 32); }
int nvmlDeviceGetPowerUsage(Device *d, unsigned *to) { return answer(d, "power", to); }
int nvmlDeviceGetEnforcedPowerLimit(Device *d, unsigned *to) { return answer(d, "limit", to); }
int nvmlDeviceGetTemperature(Device *d, unsigned sensor, unsigned *to) { return sensor ? INVALID : answer(d, "temp", to); }
int nvmlDeviceGetClockInfo(Device *d, unsigned kind, unsigned *to) { return answer(d, kind == 1 ? "smclock" : kind == 2 ? "memclock" : "none", to); }
int nvmlDeviceGetFanSpeed(Device *d, unsigned *to) { return answer(d, "fan", to); }
int nvmlDeviceGetEncoderUtilization(Device *d, unsigned *to, unsigned *us) { *us = 167000; return answer(d, "enc", to); }
int nvmlDeviceGetDecoderUtilization(Device *d, unsigned *to, unsigned *us) { *us = 167000; return answer(d, "dec", to); }
int nvmlDeviceGetUtilizationRates(Device *d, Utilization *to) {
    return answer(d, "util", &to->gpu) || answer(d, "mutil", &to->memory) ? NOT_SUPPORTED : SUCCESS;
}
int nvmlDeviceGetMemoryInfo(Device *d, Memory *to) {
    to->free = 0;
    return answer_long(d, "used", &to->used) || answer_long(d, "total", &to->total) ? NOT_SUPPORTED : SUCCESS;
}
#ifndef OLD_DRIVER
int nvmlDeviceGetMemoryInfo_v2(Device *d, MemoryV2 *to) {
    if (to->version != (sizeof *to | 2 << 24)) return 25;
    to->free = to->reserved = 0;
    return answer_long(d, "used", &to->used) || answer_long(d, "total", &to->total) ? NOT_SUPPORTED : SUCCESS;
}
#endif
int nvmlDeviceGetTotalEnergyConsumption(Device *d, unsigned long long *to) {
    double rate;
    if (real(d, "energy_rate", &rate)) { *to = (unsigned long long)(rate * now()); return SUCCESS; }
    return answer_long(d, "energy", to);
}
int nvmlDeviceGetTotalEccErrors(Device *d, unsigned kind, unsigned counter, unsigned long long *to) {
    return counter ? INVALID : answer_long(d, kind ? "uncorrected" : "corrected", to);
}
int nvmlDeviceGetFieldValues(Device *d, int n, Field *fields) {
    for (int k = 0; k < n; k++) {
        char key[32];
        snprintf(key, sizeof key, fields[k].scope == 0xFFFFFFFFu ? "field%ux" : "field%u", fields[k].id);
        fields[k].result = answer_long(d, key, &fields[k].value.ull);
        fields[k].type = 3;
        if (fields[k].id == 82 && !fields[k].result) { fields[k].type = 1; fields[k].value.u = (unsigned)fields[k].value.ull; }
    }
    return SUCCESS;
}
int nvmlDeviceGetSamples(Device *d, unsigned kind, unsigned long long since, unsigned *type, unsigned *n, Sample *to) {
    char key[32], found[512], *rest = found;
    unsigned made = 0, room = *n;
    struct timespec t;
    snprintf(key, sizeof key, "samples%u", kind);
    if (!text(d, key, found, sizeof found)) return NOT_SUPPORTED;
    clock_gettime(CLOCK_REALTIME, &t);
    unsigned long long at = t.tv_sec * 1000000ull + t.tv_nsec / 1000 - 20;
    for (char *part; (part = strsep(&rest, ",")) && made < room; at++)
        if (at > since) { to[made].at = at; to[made++].value.u = (unsigned)atoi(part); }
    *type = 1;
    *n = made;
    return made ? SUCCESS : NOT_FOUND;
}
int nvmlDeviceGetMigMode(Device *d, unsigned *current, unsigned *pending) { *pending = 0; return answer(d, "mig", current); }
int nvmlDeviceGetMaxMigDeviceCount(Device *d, unsigned *to) { return answer(d, "slots", to); }
int nvmlDeviceGetMigDeviceHandleByIndex(Device *d, unsigned n, Device **to) {
    if (n >= (unsigned)d->instances) return NOT_FOUND;
    *to = instance[d - devices][n];
    return SUCCESS;
}
int nvmlDeviceGetGpuInstanceId(Device *d, unsigned *to) { return answer(d, "gi", to); }
int nvmlDeviceGetComputeInstanceId(Device *d, unsigned *to) { return answer(d, "ci", to); }
int nvmlDeviceGetAttributes_v2(Device *d, Attributes *to) {
    memset(to, 0, sizeof *to);
    return answer(d, "slices", &to->ci);
}
int nvmlEventSetCreate(void **to) { *to = &count; return SUCCESS; }
int nvmlDeviceRegisterEvents(Device *d, unsigned long long types, void *set) {
    double xids;
    (void)set;
    if (types != 8 || !real(d, "xids", &xids)) return NOT_SUPPORTED;
    if (d->told < 0) d->told = (long)xids;
    return SUCCESS;
}
int nvmlEventSetWait_v2(void *set, Event *to, unsigned timeout) {
    (void)set, (void)timeout;
    for (int n = 0; n < count; n++) {
        double xids;
        if (real(whole[n], "xids", &xids) && whole[n]->told >= 0 && whole[n]->told < (long)xids) {
            whole[n]->told++;
            *to = (Event){whole[n], 8, 79, 0xFFFFFFFFu, 0xFFFFFFFFu};
            return SUCCESS;
        }
    }
    return TIMEOUT;
}
int nvmlGpmQueryDeviceSupport(Device *d, Support *to) {
    if (to->version != 1) return 25;
    return answer(d, "gpm", &to->supported);
}
int nvmlGpmSampleAlloc(GpmSample **to) { *to = calloc(1, sizeof **to); return SUCCESS; }
int nvmlGpmSampleFree(GpmSample *sample) { free(sample); return SUCCESS; }
int nvmlGpmSampleGet(Device *d, GpmSample *to) { *to = (GpmSample){d, now()}; return SUCCESS; }
int nvmlGpmMigSampleGet(Device *d, unsigned gi, GpmSample *to) {
    for (int n = 0; n < d->instances; n++) {
        double id;
        Device *mig = instance[d - devices][n];
        if (real(mig, "gi", &id) && (unsigned)id == gi) { *to = (GpmSample){mig, now()}; return SUCCESS; }
    }
    return NOT_FOUND;
}
int nvmlGpmMetricsGet(MetricsGet *get) {
    GpmSample *first = get->first, *second = get->second;
    if (get->version != 1 || !first->device || second->at <= first->at) return INVALID;
    for (unsigned n = 0; n < get->count; n++) {
        char key[32];
        snprintf(key, sizeof key, "gpm%u", get->metrics[n].id);
        get->metrics[n].result = real(second->device, key, &get->metrics[n].value) ? SUCCESS : NOT_SUPPORTED;
    }
    return SUCCESS;
}
