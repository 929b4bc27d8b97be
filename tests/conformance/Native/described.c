/* A factory in plain C, by the C form of the header: its descriptions are whatever the test defines, and it makes nothing. */
#include "comanche.h"

#include <stdlib.h>

static const char* const descriptions[] = {DESCRIPTIONS};

static int32_t query_interface(comanche_factory_t* self, const comanche_guid_t* id, void** result) {
    *result = NULL;
    if (memcmp(id, &COMANCHE_IID_FACTORY, sizeof *id) != 0 && memcmp(id, &COMANCHE_IID_UNKNOWN, sizeof *id) != 0) return COMANCHE_E_NOINTERFACE;
    *result = self;
    return COMANCHE_OK;
}

static uint32_t add_ref(comanche_factory_t* self) {
    (void)self;
    return 2;
}

static int32_t get_count(comanche_factory_t* self) {
    (void)self;
    return (int32_t)(sizeof descriptions / sizeof *descriptions);
}

static int32_t describe(comanche_factory_t* self, int32_t index, char** result) {
    (void)self;
    size_t length = strlen(descriptions[index]) + 1;
    *result = malloc(length);
    if (*result == NULL) return COMANCHE_E_OUTOFMEMORY;
    memcpy(*result, descriptions[index], length);
    return COMANCHE_OK;
}

static int32_t create(comanche_factory_t* self, const comanche_guid_t* id, comanche_host_t* host, const char* json, comanche_base_t** result) {
    (void)self, (void)id, (void)json;
    *result = NULL;
    host->vtable->fail(host, "this factory makes nothing");
    return COMANCHE_E_FAIL;
}

int32_t comanche_factory(void** factory) {
    static const comanche_factory_vtable_t vtable = {query_interface, add_ref, add_ref, get_count, describe, create};
    static comanche_factory_t object = {&vtable};
    *factory = &object;
    return COMANCHE_OK;
}
