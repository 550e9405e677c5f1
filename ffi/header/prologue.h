#ifndef EVSTREAM_H
#define EVSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

@VERSION@

/** Begins an enumeration whose values are uint32_t, also where the language leaves that open. */
#if defined(__cplusplus)
#define EVS_ENUM(name) enum name : uint32_t
#elif __STDC_VERSION__ >= 202311L
#define EVS_ENUM(name) enum name : uint32_t; typedef enum name name; enum name : uint32_t
#else
#define EVS_ENUM(name) typedef uint32_t name; enum name
#endif

#ifdef __cplusplus
extern "C" {
#endif
