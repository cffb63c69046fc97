/* An encoder whose library never finishes loading: its constructor holds the dynamic loader's lock, so that
 * nothing else can be loaded in the process, and the process does not end by itself. */

#include <unistd.h>

#include "deskreel.h"

DESKREEL_DESCRIPTOR static const char descriptor[] =
    "schema = 1\n"
    "name = \"broken-hanging-encoder\"\n"
    "version = \"1.0.0\"\n"
    "license = \"MIT OR Apache-2.0\"\n"
    "about = \"Never finishes loading.\"\n"
    "contract = \"1.0\"\n"
    "[[provides]]\n"
    "id = \"broken.encoder.hanging\"\n"
    "interface = \"encoder/1\"\n"
    "about = \"Never finishes loading.\"\n";

__attribute__((constructor)) static void hang(void)
{
    for (;;)
        pause();
}

static deskreel_status create(deskreel_str id, deskreel_str settings, const deskreel_host *host, void **instance,
                              const deskreel_out *error)
{
    (void)id, (void)settings, (void)host, (void)instance, (void)error;
    return DESKREEL_OK;
}

static deskreel_status call(void *instance, deskreel_str method, deskreel_str json, const deskreel_out *out)
{
    (void)instance, (void)method, (void)json, (void)out;
    return DESKREEL_OK;
}

static void destroy(void *instance)
{
    (void)instance;
}

static const deskreel_provides provides[] = {{DESKREEL_STR("encoder"), DESKREEL_STR("broken.encoder.hanging")}};

const deskreel_entry_table deskreel_entry = {
    .size = sizeof deskreel_entry,
    .contract_major = 1,
    .provides_len = 1,
    .provides = provides,
    .create = create,
    .call = call,
    .destroy = destroy,
};
