/* deskreel.h - the contract between Deskreel and a plugin written in C. Version 1.0.
 *
 * A plugin is a shared library that contains
 *   - its descriptor, the text of plugin.toml, in the section ".deskreelmeta" (see DESKREEL_DESCRIPTOR);
 *   - one exported symbol, the constant table `deskreel_entry`. Hide everything else (-fvisibility=hidden).
 * The host reads the descriptor without loading the library: `deskreel plugins` and `deskreel check` run none
 * of its code. docs/plugin-contract.md lists the methods of each kind of plugin and their JSON.
 *
 * Rules for all functions:
 *   - Text is a pointer and a length, UTF-8, without a terminating zero. It is borrowed: valid until the
 *     function returns, so copy it if you need it longer. Neither side frees what the other allocated.
 *   - Write a result to the `deskreel_out` that came with the call, in as many pieces as you like.
 *   - Functions return 0 (DESKREEL_OK) or one of the negative DESKREEL_ERROR_* numbers. With an error, the
 *     text written to the `deskreel_out` is its message: one sentence for people, in lower case, without a
 *     full stop. A positive number (except DESKREEL_END from `frame`) is reported as a bug in the plugin.
 *   - Structs that may grow begin with their size. A field beyond that size does not exist.
 *   - Never let a C++ exception or a longjmp leave one of these functions.
 *   - The library is never unloaded.
 *
 * Brackets tell from which threads and when a function is called:
 *   [any thread]   from any thread of the host, but never two calls at once on one instance
 *   [thread-safe]  from any thread, at any time, also concurrently
 */
#ifndef DESKREEL_H
#define DESKREEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DESKREEL_CONTRACT_MAJOR 1
#define DESKREEL_CONTRACT_MINOR 0

/* Borrowed text. */
typedef struct deskreel_str {
    const char *ptr;
    size_t len;
} deskreel_str;

/* A string literal as an initializer of a deskreel_str. */
#define DESKREEL_STR(literal) { (literal), sizeof(literal) - 1 }

/* Receives a result or an error message. Valid until the call returns. */
typedef struct deskreel_out {
    void *ctx;
    /* Appends bytes. [any thread; only during the call that it came with] */
    void (*put)(void *ctx, const char *ptr, size_t len);
} deskreel_out;

typedef int32_t deskreel_status;
enum {
    DESKREEL_OK = 0,
    DESKREEL_END = 1,                /* from `frame` only: there are no more frames */
    DESKREEL_ERROR_SETTINGS = -1,    /* the deployer can repair it: the settings are wrong */
    DESKREEL_ERROR_UNAVAILABLE = -2, /* the machine lacks what the plugin needs */
    DESKREEL_ERROR_FAILED = -3,      /* anything else */
    DESKREEL_ERROR_UNSUPPORTED = -5  /* the plugin has no such method */
};

/* The host's services for a plugin. The one passed to `init` is valid forever; the one passed to `create`,
 * until `destroy` of that instance has returned. */
typedef struct deskreel_host {
    uint32_t size; /* sizeof(deskreel_host) of the host */
    void *ctx;     /* first argument of the functions below */
    /* Writes to the host's log. `level` is 1 (error), 2 (warning), 3 (information), 4 (debug) or 5 (trace);
     * `target` names the part of the plugin that logs. [thread-safe] */
    void (*log)(void *ctx, int32_t level, deskreel_str target, deskreel_str message);
    /* The highest level that is logged now; ask before you format something expensive. [thread-safe] */
    int32_t (*max_level)(void *ctx);
    /* Emits a feed's event or a source's notice, as JSON. [thread-safe] */
    void (*emit)(void *ctx, deskreel_str json);
} deskreel_host;

/* One plugin of the library: its kind ("source") and its id ("acme.source.grabber"). If they differ from the
 * descriptor, the host refuses the library. */
typedef struct deskreel_provides {
    deskreel_str kind;
    deskreel_str id;
} deskreel_provides;

typedef struct deskreel_entry_table {
    uint32_t size;           /* sizeof(deskreel_entry_table) */
    uint32_t contract_major; /* DESKREEL_CONTRACT_MAJOR */
    uint32_t contract_minor; /* DESKREEL_CONTRACT_MINOR */
    uint32_t provides_len;   /* number of plugins in `provides` */
    const deskreel_provides *provides;

    /* Called once, after loading and before everything else: register GStreamer elements here. May be NULL.
     * [any thread; once] */
    deskreel_status (*init)(const deskreel_host *host, const deskreel_out *error);

    /* Makes an instance of the plugin `id` with its settings, a JSON object, and stores it in `*instance`.
     * The instance belongs to the plugin until `destroy`. Must be cheap and touch no device: it runs before
     * each part of a recording, and for a source at each `deskreel devices` and `deskreel doctor`, but never
     * for `deskreel check`.
     * [any thread; concurrently with calls on other instances] */
    deskreel_status (*create)(deskreel_str id, deskreel_str settings_json, const deskreel_host *host,
                              void **instance, const deskreel_out *error);

    /* Calls a method of the plugin's kind. `json` is its argument; write its answer as JSON.
     * [any thread; between create and destroy] */
    deskreel_status (*call)(void *instance, deskreel_str method, deskreel_str json,
                            const deskreel_out *answer_or_error);

    /* Paints frame `number` (from 0, without gaps), which will be shown `time_ns` nanoseconds after the
     * first. `pixels` has `len` bytes, the size of one frame in the recipe's format, with planes without
     * padding; it belongs to the host. Returns DESKREEL_OK or DESKREEL_END. May be NULL if no recipe says
     * `frames`.
     * [any thread; between create and destroy, after a call of `recipe`] */
    deskreel_status (*frame)(void *instance, uint64_t number, uint64_t time_ns, uint8_t *pixels, size_t len,
                             const deskreel_out *error);

    /* Ends the instance. Afterwards none of its threads may use its host. [any thread; last] */
    void (*destroy)(void *instance);
} deskreel_entry_table;

#if defined(_WIN32)
#define DESKREEL_EXPORT __declspec(dllexport)
#else
#define DESKREEL_EXPORT __attribute__((visibility("default")))
#endif

/* The exported table; define it once:
 *     const deskreel_entry_table deskreel_entry = { sizeof deskreel_entry, ... }; */
extern DESKREEL_EXPORT const deskreel_entry_table deskreel_entry;

/* Nothing refers to the descriptor, so a linker that drops unused sections (--gc-sections) drops it unless
 * the compiler marks it to be kept, as GCC 11, clang 13 and newer can. With older ones, leave that option
 * out. */
#define DESKREEL_RETAIN
#if defined(__has_attribute)
#if __has_attribute(retain)
#undef DESKREEL_RETAIN
#define DESKREEL_RETAIN retain,
#endif
#endif

/* Embeds the descriptor. Put it before the array that holds the text of plugin.toml:
 *     DESKREEL_DESCRIPTOR static const char descriptor[] = "schema = 1\n" ...; */
#define DESKREEL_DESCRIPTOR __attribute__((used, DESKREEL_RETAIN section(".deskreelmeta")))

#ifdef __cplusplus
}
#endif

#endif
