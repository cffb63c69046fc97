/* The smallest capture source in C. It paints its own frames: a bar that moves from left to right.
 *
 *     [source.bar]
 *     plugin = "example.source.bar"
 *     speed = 8
 *
 * It links only the C library. README.md has the command that builds it. */
#include "deskreel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

DESKREEL_DESCRIPTOR static const char descriptor[] =
    "schema = 1\n"
    "name = \"example-source-bar\"\n"
    "version = \"1.0.0\"\n"
    "license = \"MIT OR Apache-2.0\"\n"
    "about = \"The smallest capture source in C.\"\n"
    "contract = \"1.0\"\n"
    "[[provides]]\n"
    "id = \"example.source.bar\"\n"
    "interface = \"source/1\"\n"
    "about = \"A white bar that moves across a black picture.\"\n"
    "[provides.settings]\n"
    "type = \"object\"\n"
    "additionalProperties = false\n"
    "properties.speed = { type = \"integer\", default = 4, description = \"Pixels per frame.\" }\n";

enum { WIDTH = 320, HEIGHT = 240, BAR = 16 };

typedef struct {
    const deskreel_host *host;
    uint64_t speed;
} bar;

static deskreel_status put(const deskreel_out *out, deskreel_status status, const char *text) {
    out->put(out->ctx, text, strlen(text));
    return status;
}

static int is(deskreel_str text, const char *name) {
    return text.len == strlen(name) && memcmp(text.ptr, name, text.len) == 0;
}

/* The settings are a JSON object. One number needs no JSON library: {"speed":8} */
static uint64_t read_speed(deskreel_str json) {
    char text[256] = {0};
    memcpy(text, json.ptr, json.len < sizeof text ? json.len : sizeof text - 1);
    const char *key = strstr(text, "\"speed\":");
    return key ? strtoull(key + strlen("\"speed\":"), NULL, 10) : 4;
}

static deskreel_status create(deskreel_str id, deskreel_str settings_json, const deskreel_host *host,
                              void **instance, const deskreel_out *error) {
    if (!is(id, "example.source.bar"))
        return put(error, DESKREEL_ERROR_FAILED, "this library has only example.source.bar");
    uint64_t speed = read_speed(settings_json);
    if (speed == 0 || speed >= WIDTH)
        return put(error, DESKREEL_ERROR_SETTINGS, "`speed` must be from 1 to 319 pixels per frame");
    bar *self = malloc(sizeof *self);
    if (!self)
        return put(error, DESKREEL_ERROR_UNAVAILABLE, "no memory left");
    *self = (bar){ .host = host, .speed = speed };
    *instance = self;
    return DESKREEL_OK;
}

static deskreel_status call(void *instance, deskreel_str method, deskreel_str json, const deskreel_out *out) {
    bar *self = instance;
    (void)json;
    if (is(method, "recipe")) {
        deskreel_str target = DESKREEL_STR("bar"), message = DESKREEL_STR("recipe requested");
        if (self->host->max_level(self->host->ctx) >= 4)
            self->host->log(self->host->ctx, 4, target, message);
        char recipe[128];
        snprintf(recipe, sizeof recipe,
                 "{\"producer\":{\"frames\":{\"format\":\"I420\",\"width\":%d,\"height\":%d,\"fps\":30}}}", WIDTH,
                 HEIGHT);
        return put(out, DESKREEL_OK, recipe);
    }
    if (is(method, "devices"))
        return put(out, DESKREEL_OK, "[]");
    return put(out, DESKREEL_ERROR_UNSUPPORTED, "this plugin has no such method");
}

static deskreel_status frame(void *instance, uint64_t number, uint64_t time_ns, uint8_t *pixels, size_t len,
                             const deskreel_out *error) {
    bar *self = instance;
    (void)time_ns;
    if (len != WIDTH * HEIGHT * 3 / 2)
        return put(error, DESKREEL_ERROR_FAILED, "the size of the frame is not that of the recipe");
    memset(pixels, 16, WIDTH * HEIGHT);                           /* luma: black */
    memset(pixels + WIDTH * HEIGHT, 128, WIDTH * HEIGHT / 2);     /* U and V: no color */
    size_t left = (size_t)(number * self->speed % (WIDTH - BAR));
    for (size_t row = 0; row < HEIGHT; row++)
        memset(pixels + row * WIDTH + left, 235, BAR);
    return DESKREEL_OK;
}

static void destroy(void *instance) {
    free(instance);
}

static const deskreel_provides provides[] = {
    { DESKREEL_STR("source"), DESKREEL_STR("example.source.bar") },
};

const deskreel_entry_table deskreel_entry = {
    .size = sizeof deskreel_entry,
    .contract_major = DESKREEL_CONTRACT_MAJOR,
    .contract_minor = DESKREEL_CONTRACT_MINOR,
    .provides_len = sizeof provides / sizeof provides[0],
    .provides = provides,
    .create = create,
    .call = call,
    .frame = frame,
    .destroy = destroy,
};
