/**
 * @file evstream.h
 *
 * evstream: live event streams (server-sent events) for the web endpoints that an application already has.
 *
 * A whole program:
 *
 * @code
 * #include <evstream.h>
 * #include <stdio.h>
 * #include <unistd.h>
 *
 * int main(void) {
 *   evs_error *error = NULL;
 *   evs_events *events = NULL;
 *   evs_server *server = NULL;
 *   evs_status status = evs_events_new(NULL, &events, &error);
 *   if (status == EVS_STATUS_OK) status = evs_server_new(events, &server, &error);
 *   if (status == EVS_STATUS_OK) status = evs_server_mount(server, EVS_LITERAL("/events/"), &error);
 *   if (status == EVS_STATUS_OK) status = evs_server_listen(server, EVS_LITERAL("127.0.0.1:8000"), &error);
 *   if (status == EVS_STATUS_OK) {
 *     printf("curl -N 'http://%s/events/?channel=numbers'\n", evs_server_address(server).ptr);
 *     fflush(stdout);
 *   }
 *   for (int number = 0; number < 60 && status == EVS_STATUS_OK; number++) {
 *     char data[16];
 *     snprintf(data, sizeof data, "%d", number);
 *     evs_event event = EVS_EVENT_INIT;
 *     event.name = evs_str_z("number");
 *     event.data = evs_str_z(data);
 *     status = evs_events_publish(events, EVS_LITERAL("numbers"), &event, NULL, &error);
 *     sleep(1);
 *   }
 *   if (status != EVS_STATUS_OK) fprintf(stderr, "%s\n", evs_error_message(error));
 *   evs_error_free(error);
 *   evs_events_close(events, 2000, NULL, NULL);
 *   evs_server_free(server);
 *   evs_events_free(events);
 *   return status == EVS_STATUS_OK ? 0 : 1;
 * }
 * @endcode
 *
 * Rules that hold for all of it:
 *
 *  1. Errors. Functions that can fail return a status, and their last parameter takes an error with a text for people. It may
 *     be NULL if the status is enough. After success the error is NULL; after a failure it is yours, to be freed with
 *     evs_error_free. The comment of each function names its statuses without the EVS_STATUS_ before them; besides, any
 *     can return INTERNAL and PANIC, which are bugs of evstream.
 *  2. Objects. What a function puts into its parameter `evs_thing **thing` is yours, to be freed once with evs_thing_free;
 *     when the function fails it puts NULL there. Every _free function takes NULL, never fails and never blocks. Objects may
 *     be freed in any order, and must not be used afterwards.
 *  3. Texts go in as address and length in bytes, without NUL: UTF-8, NULL only with length 0. EVS_LITERAL("text") stands for
 *     both. They must stay unchanged until the function returns, and no longer: what is kept is copied.
 *  4. Texts and bytes come out as views of something that lives as long as the comment says.
 *  5. Structures that begin with struct_size grow in later versions. Start with EVS_..._INIT, or set struct_size to the
 *     sizeof the structure and all else to zero, and a program works with an older and a newer library.
 *  6. Threads. A parameter `const evs_thing *` may be used by several threads at the same time, `evs_thing *` by one.
 *  7. Callbacks come as three parameters: the function, the user_data it is called with, and user_data_free, which may be
 *     NULL. user_data_free runs exactly once, when the callback is not running and will not be called any more; also when
 *     the function that was given the three fails. Callbacks run on threads of evstream's unless their comment says otherwise.
 *     They must return: no longjmp, no C++ exception. They may call every function of evstream but those that wait for them,
 *     which then return EVS_STATUS_IN_CALLBACK, and they may free every object, also those they were given, which are left
 *     alone.
 *  8. Fork. Objects that a process made before it forked cannot be used by the child, which gets EVS_STATUS_FORKED, but can be
 *     freed there. The child can make new ones.
 *  9. Times are in milliseconds. Enumerations other than evs_status are passed as uint32_t.
 *
 * Shutting down:
 *
 *  1. Stop what publishes, or be ready for EVS_STATUS_CLOSED.
 *  2. Call evs_events_close from a thread that is in no callback. Clients are asked to come back, every call that blocks
 *     returns, and the threads end.
 *  3. Streams that you send yourself have their last bytes by now: have your server send them before you stop it.
 *  4. Free what you own, in any order: subscriptions, replies, channels, servers, events.
 *
 * If evs_events_close returned OK and all is freed, every user_data_free has run, but that of evs_log_set.
 */

#ifndef EVSTREAM_H
#define EVSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** The version that a program is compiled for; evs_version is the one that it runs with. */
#define EVS_VERSION "0.1.0"
#define EVS_VERSION_MAJOR 0
#define EVS_VERSION_MINOR 1
#define EVS_VERSION_PATCH 0

/** A literal as the two arguments for a text: its address and its length in bytes. */
#define EVS_LITERAL(literal) ("" literal), (sizeof("" literal) - 1)

/*
 * Settings, for the evs_config_set_... functions. Each stands for two arguments, its name and the length of that.
 */

/**
 * Events each channel keeps for clients that come back. 0 turns history off: then a client that missed an
 * event is told so with a stream-reset. An integer from 0 to 10000000; default 1000.
 */
#define EVS_OPTION_HISTORY_EVENTS EVS_LITERAL("history_events")

/** How long an event is kept, in milliseconds. An integer from 1 to 86400000; default 300000. */
#define EVS_OPTION_HISTORY_AGE_MS EVS_LITERAL("history_age_ms")

/**
 * Bytes that all channels together keep; the oldest events of all channels make room first. The newest event
 * is kept whatever its size. An integer from 4096 to 1099511627776; default 67108864.
 */
#define EVS_OPTION_HISTORY_BYTES EVS_LITERAL("history_bytes")

/**
 * Events a channel with open streams keeps at least, which is how far a slow stream may fall behind. An
 * integer from 1 to 10000000; default 16384.
 */
#define EVS_OPTION_BACKLOG_EVENTS EVS_LITERAL("backlog_events")

/** Channels one stream may have; 19 at most with a GRIP proxy. An integer from 1 to 1000; default 10. */
#define EVS_OPTION_CHANNEL_LIMIT EVS_LITERAL("channel_limit")

/** Largest event, in bytes of data and comment. An integer from 1 to 1073741824; default 1048576. */
#define EVS_OPTION_MAX_EVENT_BYTES EVS_LITERAL("max_event_bytes")

/**
 * Milliseconds without an event after which a keep-alive is sent. 0 turns keep-alives off. An integer from 0
 * to 3600000; default 20000.
 */
#define EVS_OPTION_KEEP_ALIVE_MS EVS_LITERAL("keep_alive_ms")

/**
 * Sends keep-alives as a comment, which a page does not see, instead of a keep-alive event. A flag; default
 * false.
 */
#define EVS_OPTION_KEEP_ALIVE_COMMENT EVS_LITERAL("keep_alive_comment")

/**
 * Milliseconds in which a client's socket must accept at least one byte before the stream is closed. An
 * integer from 10 to 3600000; default 30000.
 */
#define EVS_OPTION_WRITE_TIMEOUT_MS EVS_LITERAL("write_timeout_ms")

/**
 * What a stream that has fallen behind the backlog gets: reset tells it and goes on, close closes it so that
 * the client comes back. A text, one of reset, close; default reset.
 */
#define EVS_OPTION_SLOW_CLIENT EVS_LITERAL("slow_client")

/**
 * Milliseconds after which a stream is closed so that the client comes back; up to a tenth is added at
 * random. 0 lets streams live for ever. An integer from 0 to 604800000; default 0.
 */
#define EVS_OPTION_MAX_AGE_MS EVS_LITERAL("max_age_ms")

/**
 * Milliseconds a client is asked to wait when the server closes its stream; up to as much again is added,
 * another part of it for each client, so that they do not come back all at once. An integer from 0 to
 * 3600000; default 2000.
 */
#define EVS_OPTION_RETRY_MS EVS_LITERAL("retry_ms")

/**
 * Streams open at once; one more is answered with 503. 0 sets no limit. An integer from 0 to 100000000;
 * default 0.
 */
#define EVS_OPTION_MAX_STREAMS EVS_LITERAL("max_streams")

/**
 * Streams open at once from one client address, or from one /64 network of IPv6; one more is answered with
 * 429. 0 sets no limit. An integer from 0 to 100000000; default 0.
 */
#define EVS_OPTION_MAX_STREAMS_PER_ADDRESS EVS_LITERAL("max_streams_per_address")

/**
 * Origins that may read streams across sites: exact, as browsers send them, such as https://example.com, or
 * * for any. A list of texts; default none.
 */
#define EVS_OPTION_CORS_ORIGINS EVS_LITERAL("cors_origins")

/**
 * Lets pages of those origins send cookies. WARNING: with * any site can then read what its visitors may
 * read. A flag; default false.
 */
#define EVS_OPTION_CORS_CREDENTIALS EVS_LITERAL("cors_credentials")

/**
 * Request headers those pages may set besides Last-Event-ID and Cache-Control. A list of texts; default
 * none.
 */
#define EVS_OPTION_CORS_HEADERS EVS_LITERAL("cors_headers")

/**
 * GRIP proxies, as GRIP_URL has them: http://localhost:5561?key=.... Streams of requests that come through
 * one are handed over to it, and events are published to all. A list of texts; default none.
 */
#define EVS_OPTION_GRIP EVS_LITERAL("grip")

/**
 * The key that verifies the Grip-Sig of requests, for proxies whose URL has none: text, base64:, PEM or JWK.
 * A text; default none.
 */
#define EVS_OPTION_GRIP_VERIFY_KEY EVS_LITERAL("grip_verify_key")

/** Put before the name of every channel on the proxies. A text; default events-. */
#define EVS_OPTION_GRIP_PREFIX EVS_LITERAL("grip_prefix")

/** Answers requests that did not come through a proxy with 501. A flag; default false. */
#define EVS_OPTION_GRIP_REQUIRED EVS_LITERAL("grip_required")

/**
 * Believes any Grip-Sig where no key can verify it. Only safe when clients cannot reach the application
 * itself. A flag; default false.
 */
#define EVS_OPTION_GRIP_TRUST_UNVERIFIED EVS_LITERAL("grip_trust_unverified")

/**
 * Milliseconds after which a proxy asks for what it may have missed, which bounds how late a lost event
 * comes. An integer from 1000 to 3600000; default 45000.
 */
#define EVS_OPTION_GRIP_LINK_TIMEOUT_MS EVS_LITERAL("grip_link_timeout_ms")

/**
 * Milliseconds for which a stream at a proxy is repaired without asking the application again. An integer
 * from 60000 to 2592000000; default 86400000.
 */
#define EVS_OPTION_GRIP_LINK_LIFETIME_MS EVS_LITERAL("grip_link_lifetime_ms")

/**
 * The secret that signs links, 16 bytes or more, the same in all processes; derived from the keys of the
 * proxies when it is not set. A text; default none.
 */
#define EVS_OPTION_GRIP_LINK_SECRET EVS_LITERAL("grip_link_secret")

/**
 * Events that may wait for one proxy; one more fails with queue-full. An integer from 1 to 10000000; default
 * 10000.
 */
#define EVS_OPTION_GRIP_QUEUE_EVENTS EVS_LITERAL("grip_queue_events")

/**
 * Milliseconds for which delivering an event to a proxy is tried. An integer from 100 to 3600000; default
 * 10000.
 */
#define EVS_OPTION_GRIP_DEADLINE_MS EVS_LITERAL("grip_deadline_ms")

/**
 * Threads that write to sockets. 0 means one per two processors, at least one. An integer from 0 to 256;
 * default 0.
 */
#define EVS_OPTION_SHARDS EVS_LITERAL("shards")

/**
 * Threads that accept connections and read requests. 0 means one per two processors, at least one. An
 * integer from 0 to 256; default 0.
 */
#define EVS_OPTION_SERVER_THREADS EVS_LITERAL("server_threads")

/**
 * Milliseconds in which a client must send a whole request head. An integer from 10 to 3600000; default
 * 10000.
 */
#define EVS_OPTION_HEADER_TIMEOUT_MS EVS_LITERAL("header_timeout_ms")

/** Largest request head, in bytes, its first line included. An integer from 8192 to 1048576; default 16384. */
#define EVS_OPTION_MAX_HEADER_BYTES EVS_LITERAL("max_header_bytes")

/**
 * Largest request target (path and query), in bytes; a longer one is answered with 414. An integer from 64
 * to 65534; default 8192.
 */
#define EVS_OPTION_MAX_URL_BYTES EVS_LITERAL("max_url_bytes")

/**
 * Largest request body that a server's fallback is given, in bytes; a larger one is answered with 413. An
 * integer from 0 to 1073741824; default 1048576.
 */
#define EVS_OPTION_MAX_BODY_BYTES EVS_LITERAL("max_body_bytes")

/**
 * Milliseconds in which a client must send a whole request body. An integer from 10 to 3600000; default
 * 30000.
 */
#define EVS_OPTION_BODY_TIMEOUT_MS EVS_LITERAL("body_timeout_ms")



/** Waits for as long as it takes. */
#define EVS_FOREVER UINT64_MAX

/** Bytes for a position as text, with the NUL at its end. */
#define EVS_POSITION_BYTES 24

/**
 * What programs rely on when they are compiled: the functions, the layout of the structures, the numbers. It grows
 * whenever a program compiled before would no longer work.
 */
#define EVS_ABI_VERSION 1

/**
 * What a function says of its success. The numbers are stable.
 *
 * Everything from 100 on is an error. New codes may come with any version: treat one you do not know as an error.
 */
enum evs_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /** It was done. */
  EVS_STATUS_OK = 0,
  /** Not an error: the stream or subscription has ended, and nothing more will come. */
  EVS_STATUS_ENDED = 1,
  /** Not an error: there is nothing yet, and the callback will tell when there is. */
  EVS_STATUS_PENDING = 2,
  /** A setting has a value that is not allowed, or does not exist. */
  EVS_STATUS_INVALID_CONFIG = 100,
  /** A channel name is empty, too long or holds a control character. */
  EVS_STATUS_INVALID_CHANNEL = 101,
  /** An event cannot be written as a server-sent event. */
  EVS_STATUS_INVALID_EVENT = 102,
  /** An event is larger than the setting max_event_bytes. */
  EVS_STATUS_TOO_LARGE = 103,
  /**
   * An argument is not one of those allowed: NULL where something is needed, a text that is not UTF-8, a call that
   * the object is not ready for.
   */
  EVS_STATUS_INVALID_ARGUMENT = 104,
  /** The events, server or subscription is closed. */
  EVS_STATUS_CLOSED = 200,
  /** The time given was not enough. */
  EVS_STATUS_TIMEOUT = 201,
  /** A bounded queue is full. */
  EVS_STATUS_QUEUE_FULL = 202,
  /** The object belongs to the process that forked this one. */
  EVS_STATUS_FORKED = 203,
  /** The operating system refused. */
  EVS_STATUS_IO = 300,
  /** A GRIP proxy could not be reached, or failed; trying again may help. */
  EVS_STATUS_PROXY_UNAVAILABLE = 400,
  /** A GRIP proxy refused what was sent; trying again will not help. */
  EVS_STATUS_PROXY_REJECTED = 401,
  /** A signature is missing, invalid or expired. */
  EVS_STATUS_UNAUTHORIZED = 402,
  /** A bug in evstream. */
  EVS_STATUS_INTERNAL = 500,
  /** A bug in evstream that interrupted the call. The objects it was given can still be freed. */
  EVS_STATUS_PANIC = 501,
  /** The library is not one that the program was compiled for. */
  EVS_STATUS_ABI_MISMATCH = 600,
  /** The call waits for something that cannot happen before the callback that makes it has returned. */
  EVS_STATUS_IN_CALLBACK = 601,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum evs_status evs_status;
#else
typedef uint32_t evs_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** Why a stream ended. New reasons may come with any version. */
enum evs_close_reason
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /** The client closed the connection, or it broke. */
  EVS_CLOSE_REASON_CLIENT = 1,
  /** The client's socket took no byte for the setting write_timeout_ms. */
  EVS_CLOSE_REASON_WRITE_TIMEOUT = 2,
  /** The stream fell behind, and the setting slow_client is "close". */
  EVS_CLOSE_REASON_SLOW = 3,
  /** The stream reached the setting max_age_ms. */
  EVS_CLOSE_REASON_MAX_AGE = 4,
  /** The events or their server were closed. */
  EVS_CLOSE_REASON_SHUTDOWN = 5,
  /** The application let go of the stream. */
  EVS_CLOSE_REASON_DROPPED = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum evs_close_reason evs_close_reason;
#else
typedef uint32_t evs_close_reason;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** How the end of a response's body is marked. */
enum evs_framing
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /** With "Transfer-Encoding: chunked", which needs HTTP/1.1. */
  EVS_FRAMING_CHUNKED = 1,
  /** By closing the connection, as in HTTP/1.0. */
  EVS_FRAMING_CLOSE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum evs_framing evs_framing;
#else
typedef uint32_t evs_framing;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** How much a line of the log matters. */
enum evs_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /** Nothing is logged. */
  EVS_LOG_LEVEL_OFF = 0,
  /** Something failed that should not. */
  EVS_LOG_LEVEL_ERROR = 1,
  /** Something is wrong with the settings, a proxy or the system. */
  EVS_LOG_LEVEL_WARN = 2,
  /** What an operator may want to know. */
  EVS_LOG_LEVEL_INFO = 3,
  /** What helps to find a fault. */
  EVS_LOG_LEVEL_DEBUG = 4,
  /** Everything. */
  EVS_LOG_LEVEL_TRACE = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum evs_log_level evs_log_level;
#else
typedef uint32_t evs_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** What a message of a subscription is. New kinds may come with any version: ignore one you do not know. */
enum evs_message_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /** An event that was published. */
  EVS_MESSAGE_KIND_EVENT = 1,
  /** Events were missed because the subscription was read too slowly. Reading goes on after position. */
  EVS_MESSAGE_KIND_RESET = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum evs_message_kind evs_message_kind;
#else
typedef uint32_t evs_message_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** Whether a client gets a stream, and of which channels. It starts with no: say what is allowed. The last word counts. */
typedef struct evs_access evs_access;

/** A named sequence of events, for publishing to it often: it saves looking the name up. */
typedef struct evs_channel evs_channel;

/** The settings of an evs_events. A new one has all defaults; evs_events_new copies it. */
typedef struct evs_config evs_config;

/** What went wrong, in words. Given through the last parameter of functions that can fail. */
typedef struct evs_error evs_error;

/**
 * An application's events: its settings, channels, history and streams. Make one per application.
 *
 * No thread is started before a stream is opened, a server listens, a subscription is made or a GRIP proxy is published
 * to. What is made from it, such as a server or a channel, keeps it alive, so the order of freeing does not matter.
 */
typedef struct evs_events evs_events;

/**
 * What to answer a request with: a status, headers, and a body, which goes on for as long as there is a stream.
 *
 * Send the status and headers in your own way, and then the body in one of two ways: let evstream write it to the socket
 * (evs_reply_adopt_fd), which costs you nothing from then on, or take it piece by piece and send it yourself
 * (evs_reply_next, evs_reply_poll), which works with TLS, HTTP/2 and any server. Freeing the reply ends the stream if it
 * was not adopted.
 */
typedef struct evs_reply evs_reply;

/**
 * A request that an HTTP server has received: yours, to be answered by evs_events_open, or evstream's, shown to a
 * callback.
 */
typedef struct evs_request evs_request;

/** What a server's fallback answers. It starts as a 404 without a body, and belongs to evstream. */
typedef struct evs_response evs_response;

/**
 * An HTTP server of evstream's own, for applications that do not mount streams in theirs: make it, say what it serves,
 * and let it listen.
 */
typedef struct evs_server evs_server;

/**
 * A reader of channels inside the process. Like a client's stream it is a place in the channels' history: one that is read
 * too slowly gets a reset, and costs nothing.
 */
typedef struct evs_subscription evs_subscription;

/**
 * A text that lies somewhere else: UTF-8, len bytes, without a NUL at its end unless that is said.
 *
 * Print it with printf("%.*s", (int)text.len, text.ptr).
 */
typedef struct evs_str {
  /** Where it begins. NULL only if len is 0. */
  const char *ptr;
  /** Its length in bytes. */
  size_t len;
} evs_str;

/**
 * What is published: an event of a type, with data. Start with EVS_EVENT_INIT.
 *
 * The library copies what it needs before the function that is given it returns.
 */
typedef struct evs_event {
  /** sizeof(evs_event). */
  size_t struct_size;
  /**
   * Its type, which a browser listens on. NULL for none, which browsers take as "message". It holds no CR, LF or
   * NUL and does not begin with "stream-".
   */
  evs_str name;
  /** Its data: UTF-8, sent as it is. CR, LF and CRLF each end a line, and a client sees LF between lines. */
  evs_str data;
  /** A comment, which clients ignore. NULL for none. */
  evs_str comment;
  /** How long clients should wait before they reconnect, in milliseconds, if has_retry is true. */
  uint64_t retry_ms;
  /** Whether retry_ms is sent. */
  bool has_retry;
} evs_event;

/** An empty evs_event. */
#define EVS_EVENT_INIT \
  {sizeof(evs_event), {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, false}

/** What publishing gives back. Start with EVS_RECEIPT_INIT. */
typedef struct evs_receipt {
  /** sizeof(evs_receipt). */
  size_t struct_size;
  /** The place of the event, which clients see as its id: text, ended by NUL. */
  char position[EVS_POSITION_BYTES];
  /** Streams and subscriptions of this process that will get it. */
  uint64_t streams;
  /** GRIP proxies that are configured. */
  uint64_t proxies;
  /** Those of them that did not take the event. Only known when publishing has waited for them: else 0. */
  uint64_t proxies_failed;
} evs_receipt;

/** An empty evs_receipt. */
#define EVS_RECEIPT_INIT \
  {sizeof(evs_receipt), {0}, 0, 0, 0}

/**
 * Called when every GRIP proxy has taken an event or failed.
 *
 * It runs once, on a thread of evstream's, or before the publishing function returns, on the thread that called it,
 * when there is nothing to wait for: do not hold a lock that it takes. It must be short and must not block.
 *
 * @param user_data  As it was given.
 * @param status     OK when all have taken it, else the first failure: PROXY_UNAVAILABLE, PROXY_REJECTED, QUEUE_FULL
 *                   or CLOSED.
 * @param receipt    What became of it. It lives until the callback returns.
 * @param error      NULL if status is OK, else what went wrong. It lives until the callback returns.
 */
typedef void (*evs_published_fn)(void *user_data,
                                 evs_status status,
                                 const evs_receipt *receipt,
                                 const evs_error *error);

/**
 * Frees what a caller has given as user_data. It is called exactly once, when no callback with that user_data is
 * running or will run any more: also when the function that was given it fails, and then before it returns.
 *
 * It may run on a thread of evstream's, and must be short and must not block. It may free objects of evstream's.
 */
typedef void (*evs_free_fn)(void *user_data);

/**
 * Called with each line of the log.
 *
 * It runs on the thread that has something to say, which other streams may need, and several may run at the same time. It
 * must be short and must not block. What evstream would log meanwhile on this thread is left out.
 *
 * @param user_data  As it was given.
 * @param level      An evs_log_level.
 * @param target     Where it comes from, such as "evstream::server". It lives until the callback returns.
 * @param message    What there is to say, without a line end. It lives until the callback returns.
 */
typedef void (*evs_log_fn)(void *user_data, uint32_t level, evs_str target, evs_str message);

/** A client's stream, as observers are told of it. */
typedef struct evs_stream_info {
  /** sizeof(evs_stream_info) of the library. */
  size_t struct_size;
  /** The user whom the application named; empty if none. */
  evs_str user;
  /** The client's address; empty if it is not known. */
  evs_str peer;
  /** The place of the last event it has read: text, ended by NUL. */
  char position[EVS_POSITION_BYTES];
  /** Its channels. */
  const evs_str *channels;
  /** How many they are. */
  size_t channels_len;
} evs_stream_info;

/** An event that a GRIP proxy did not get, as observers are told of it. */
typedef struct evs_publish_failure {
  /** sizeof(evs_publish_failure) of the library. */
  size_t struct_size;
  /** The proxy, by its control URI. */
  evs_str proxy;
  /** The channel, by its name on the proxy. */
  evs_str channel;
  /** The place of the event: text, ended by NUL. */
  char position[EVS_POSITION_BYTES];
  /** What went wrong. */
  const evs_error *error;
} evs_publish_failure;

/**
 * What is told when streams open and close, whatever drives them, and of events that a GRIP proxy did not get. Start with
 * EVS_OBSERVER_INIT; leave NULL what does not interest.
 *
 * The callbacks run on threads of evstream's that other streams need, several at the same time. They must be short and must
 * not block. What they are shown lives until they return.
 */
typedef struct evs_observer {
  /** sizeof(evs_observer). */
  size_t struct_size;
  /** A client has opened a stream. */
  void (*stream_opened)(void *user_data, const evs_stream_info *stream);
  /** A stream has ended. The reason is an evs_close_reason. */
  void (*stream_closed)(void *user_data, const evs_stream_info *stream, uint32_t reason);
  /** A GRIP proxy did not get an event. */
  void (*publish_failed)(void *user_data, const evs_publish_failure *failure);
} evs_observer;

/** An empty evs_observer. */
#define EVS_OBSERVER_INIT \
  {sizeof(evs_observer), NULL, NULL, NULL}

/** Bytes that lie somewhere else. */
typedef struct evs_bytes {
  /** Where they begin. NULL only if len is 0. */
  const uint8_t *ptr;
  /** How many they are. */
  size_t len;
} evs_bytes;

/**
 * Called when evs_reply_poll is worth calling again.
 *
 * It runs on a thread of evstream's that other streams need, must be short and must not block. Most do no more than to
 * wake an event loop of theirs. It may still be running when the reply is freed, until user_data_free is called.
 *
 * @param user_data  As it was given.
 */
typedef void (*evs_ready_fn)(void *user_data);

/**
 * Called at each request for a stream of a mount: who is the client, and what may it read?
 *
 * It runs on a thread that is there for it, and may block. Several may run at the same time.
 *
 * @param user_data  As it was given.
 * @param request    The request. It lives until the callback returns.
 * @param access     What to decide on: evs_access_allow, evs_access_set_channels and the others. Without a word from the
 *                   callback the client is refused. It lives until the callback returns.
 */
typedef void (*evs_authorize_fn)(void *user_data, const evs_request *request, evs_access *access);

/**
 * Called at each request that is for no mount.
 *
 * It runs on a thread that is there for it, and may block. Several may run at the same time.
 *
 * @param user_data  As it was given.
 * @param request    The request, with its body. It lives until the callback returns.
 * @param response   What to answer; at first a 404 without a body. It lives until the callback returns.
 */
typedef void (*evs_respond_fn)(void *user_data, const evs_request *request, evs_response *response);

/** Figures of an evs_events at one moment. Start with EVS_STATS_INIT. "So far" counts from evs_events_new on. */
typedef struct evs_stats {
  /** sizeof(evs_stats). */
  size_t struct_size;
  /** Streams open now. */
  uint64_t open;
  /** Streams opened so far. */
  uint64_t opened;
  /** Streams ended so far because the client closed the connection, or it broke. */
  uint64_t closed_client;
  /** Streams ended so far because the client's socket took no byte for write_timeout_ms. */
  uint64_t closed_write_timeout;
  /** Streams ended so far because they fell behind, and slow_client is "close". */
  uint64_t closed_slow;
  /** Streams ended so far because they reached max_age_ms. */
  uint64_t closed_max_age;
  /** Streams ended so far because the events or their server were closed. */
  uint64_t closed_shutdown;
  /** Streams ended so far because the application let go of them. */
  uint64_t closed_dropped;
  /** Events handed to streams so far, each counted once per stream. */
  uint64_t deliveries;
  /** Bytes handed to streams so far, framing included. */
  uint64_t bytes;
  /** stream-reset events so far because events were no longer kept. */
  uint64_t resets_expired;
  /** stream-reset events so far because a stream was read too slowly. */
  uint64_t resets_overflow;
  /** stream-reset events so far because a position was of another lifetime of the events. */
  uint64_t resets_epoch;
  /** Requests refused so far because of max_streams or max_streams_per_address. */
  uint64_t refused;
  /** Streams handed over to a GRIP proxy so far. */
  uint64_t held;
  /** Answers so far to GRIP proxies that asked for what they may have missed. */
  uint64_t repairs;
  /** Requests refused so far because of their Grip-Sig or link. */
  uint64_t grip_refused;
  /** Events so far that a GRIP proxy did not get, counted once per proxy. */
  uint64_t publish_failures;
  /** Channels in memory now. */
  uint64_t channels;
  /** Events published so far. */
  uint64_t events;
  /** Bytes of history in memory now. */
  uint64_t history_bytes;
} evs_stats;

/** An empty evs_stats. */
#define EVS_STATS_INIT \
  {sizeof(evs_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** What a subscription gives. Start with EVS_MESSAGE_INIT. */
typedef struct evs_message {
  /** sizeof(evs_message). */
  size_t struct_size;
  /** What it is; an evs_message_kind. */
  uint32_t kind;
  /** The place of the event, or the place after which reading goes on: text, ended by NUL. */
  char position[EVS_POSITION_BYTES];
  /** The channel of an event; empty for a reset. */
  evs_str channel;
  /** The type of an event; NULL if it has none. */
  evs_str name;
  /** The data of an event, with LF between its lines. */
  evs_str data;
  /** The channels that have lost events, for a reset. */
  const evs_str *channels;
  /** How many they are; 0 for an event. */
  size_t channels_len;
} evs_message;

/** An empty evs_message. */
#define EVS_MESSAGE_INIT \
  {sizeof(evs_message), 0, {0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, NULL, 0}

/**
 * Called with each message of a subscription, one after the other.
 *
 * It runs on a thread of the subscription's own, and may block. It is not called any more when the events are closed or the
 * subscription is freed, except that it may be running then, until user_data_free is called.
 *
 * @param user_data  As it was given.
 * @param message    The message. It lives until the callback returns.
 */
typedef void (*evs_message_fn)(void *user_data, const evs_message *message);

/** A view of a text that is ended by NUL, which must live as long as the view is used. NULL is an empty text. */
static inline evs_str evs_str_z(const char *text) {
  evs_str view = {text, text != NULL ? strlen(text) : 0};
  return view;
}

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* ---- Access -------------------------------------------------------------------------------------------- */

/**
 * Makes an access, for evs_events_open. Callbacks are given one and need not make it.
 *
 * @param access  Where to put it. The caller owns it; free with evs_access_free.
 * @param error   NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: any.
 */
evs_status evs_access_new(evs_access **access, evs_error **error);

/**
 * Allows the channels that the client names in the query, whatever they are.
 *
 * @param access  The access.
 * @param error   NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: one at a time for this access.
 */
evs_status evs_access_allow(evs_access *access, evs_error **error);

/**
 * Gives these channels, whatever the client names in the query.
 *
 * @param access        The access.
 * @param channels      The names of the channels, copied. Beyond UTF-8 they are checked when the stream is opened.
 * @param channels_len  How many they are. With none the client is told that there is no channel.
 * @param error         NULL, or where to put the error.
 *
 * Status: OK, INVALID_CHANNEL, INVALID_ARGUMENT.
 * Threads: one at a time for this access.
 */
evs_status evs_access_set_channels(evs_access *access,
                                   const evs_str *channels,
                                   size_t channels_len,
                                   evs_error **error);

/**
 * Names the user behind the stream.
 *
 * @param access    The access.
 * @param user      The user, copied.
 * @param user_len  Its length in bytes.
 * @param error     NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: one at a time for this access.
 */
evs_status evs_access_set_user(evs_access *access, const char *user, size_t user_len, evs_error **error);

/**
 * Refuses: the client is told "forbidden" in a stream-error, and a browser does not come back.
 *
 * @param access    The access.
 * @param text      What to tell the client, copied.
 * @param text_len  Its length in bytes.
 * @param error     NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: one at a time for this access.
 */
evs_status evs_access_forbid(evs_access *access, const char *text, size_t text_len, evs_error **error);

/**
 * Says that the application has failed: the client is told "internal-error" in a stream-error, and does not come back.
 *
 * @param access    The access.
 * @param text      What to tell the client, copied.
 * @param text_len  Its length in bytes.
 * @param error     NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: one at a time for this access.
 */
evs_status evs_access_fail(evs_access *access,
                           const char *text,
                           size_t text_len,
                           evs_error **error);

/**
 * Frees it. NULL is allowed, and so is an access that a callback was given, which is then left alone.
 *
 * Threads: any, but for one object only once, and when no other function uses it.
 */
void evs_access_free(evs_access *access);

/* ---- Channels ------------------------------------------------------------------------------------------ */

/**
 * Gives the channel of a name, which comes to be by this.
 *
 * @param events    The events.
 * @param name      The name: UTF-8, 1 to 256 bytes, no control characters.
 * @param name_len  Its length in bytes.
 * @param channel   Where to put it. The caller owns it; free with evs_channel_free.
 * @param error     NULL, or where to put the error.
 *
 * Status: OK, INVALID_CHANNEL, INVALID_ARGUMENT, CLOSED, FORKED.
 * Threads: any, also at the same time.
 */
evs_status evs_events_channel(const evs_events *events,
                              const char *name,
                              size_t name_len,
                              evs_channel **channel,
                              evs_error **error);

/**
 * Its name, which lives as long as it; empty if channel is NULL.
 *
 * Threads: any, also at the same time.
 */
evs_str evs_channel_name(const evs_channel *channel);

/**
 * Streams and subscriptions of this process that read it now; 0 if channel is NULL.
 *
 * Threads: any, also at the same time.
 */
uint64_t evs_channel_streams(const evs_channel *channel);

/**
 * Publishes an event to it, as evs_events_publish does.
 *
 * @param channel  The channel.
 * @param event    The event.
 * @param receipt  NULL, or a structure for what is known of it now, started with EVS_RECEIPT_INIT.
 * @param error    NULL, or where to put the error.
 *
 * Status: OK, INVALID_EVENT, TOO_LARGE, INVALID_ARGUMENT, CLOSED, FORKED, IO.
 * Threads: any, also at the same time.
 */
evs_status evs_channel_publish(const evs_channel *channel,
                               const evs_event *event,
                               evs_receipt *receipt,
                               evs_error **error);

/**
 * Publishes an event to it and waits for the GRIP proxies, as evs_events_publish_wait does.
 *
 * @param channel     The channel.
 * @param event       The event.
 * @param timeout_ms  How long to wait, in milliseconds, or EVS_FOREVER.
 * @param receipt     NULL, or a structure for what became of it, started with EVS_RECEIPT_INIT.
 * @param error       NULL, or where to put the error.
 *
 * Status: those of evs_channel_publish; PROXY_UNAVAILABLE, PROXY_REJECTED, QUEUE_FULL, TIMEOUT, IN_CALLBACK.
 * Threads: any, also at the same time.
 */
evs_status evs_channel_publish_wait(const evs_channel *channel,
                                    const evs_event *event,
                                    uint64_t timeout_ms,
                                    evs_receipt *receipt,
                                    evs_error **error);

/**
 * Publishes an event to it and calls back when the GRIP proxies have answered, as evs_events_publish_async does.
 *
 * @param channel         The channel.
 * @param event           The event.
 * @param receipt         NULL, or a structure for what is known of it now, started with EVS_RECEIPT_INIT.
 * @param published       What to call. It is called once if this returns OK, and not at all if not.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data.
 * @param error           NULL, or where to put the error.
 *
 * Status: those of evs_channel_publish.
 * Threads: any, also at the same time.
 */
evs_status evs_channel_publish_async(const evs_channel *channel,
                                     const evs_event *event,
                                     evs_receipt *receipt,
                                     evs_published_fn published,
                                     void *user_data,
                                     evs_free_fn user_data_free,
                                     evs_error **error);

/**
 * Frees it. NULL is allowed. The channel itself and its history stay.
 *
 * Threads: any, also a callback, but for one object only once, and when no other function uses it.
 */
void evs_channel_free(evs_channel *channel);

/* ---- Settings ------------------------------------------------------------------------------------------ */

/**
 * Makes settings at their defaults.
 *
 * @param config  Where to put them. The caller owns them; free with evs_config_free.
 * @param error   NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: any.
 */
evs_status evs_config_new(evs_config **config, evs_error **error);

/**
 * Sets a setting that is a number.
 *
 * @param config      The settings.
 * @param option      The setting, as EVS_OPTION_... which stands for its name and length.
 * @param option_len  Length of the name, in bytes.
 * @param value       Its value, in the unit at the end of its name.
 * @param error       NULL, or where to put the error, which says what is allowed.
 *
 * Status: OK, INVALID_CONFIG, INVALID_ARGUMENT. When it fails the setting is as it was.
 * Threads: one at a time for these settings.
 */
evs_status evs_config_set_integer(evs_config *config,
                                  const char *option,
                                  size_t option_len,
                                  uint64_t value,
                                  evs_error **error);

/**
 * Sets a setting that is yes or no.
 *
 * @param config      The settings.
 * @param option      The setting, as EVS_OPTION_... which stands for its name and length.
 * @param option_len  Length of the name, in bytes.
 * @param value       Its value.
 * @param error       NULL, or where to put the error, which says what is allowed.
 *
 * Status: OK, INVALID_CONFIG, INVALID_ARGUMENT. When it fails the setting is as it was.
 * Threads: one at a time for these settings.
 */
evs_status evs_config_set_flag(evs_config *config,
                               const char *option,
                               size_t option_len,
                               bool value,
                               evs_error **error);

/**
 * Sets any setting by a text: a word or secret as it is, a number in digits, yes or no as "true" or "false", a list
 * as its one element. This is for values that come from the environment or a command line.
 *
 * @param config      The settings.
 * @param option      The setting, as EVS_OPTION_... which stands for its name and length.
 * @param option_len  Length of the name, in bytes.
 * @param value       Its value, copied.
 * @param value_len   Length of the value, in bytes.
 * @param error       NULL, or where to put the error, which says what is allowed, and never shows a secret.
 *
 * Status: OK, INVALID_CONFIG, INVALID_ARGUMENT. When it fails the setting is as it was.
 * Threads: one at a time for these settings.
 */
evs_status evs_config_set_text(evs_config *config,
                               const char *option,
                               size_t option_len,
                               const char *value,
                               size_t value_len,
                               evs_error **error);

/**
 * Sets a setting that is a list, in place of what it was.
 *
 * @param config      The settings.
 * @param option      The setting, as EVS_OPTION_... which stands for its name and length.
 * @param option_len  Length of the name, in bytes.
 * @param values      Its elements, copied. NULL is allowed if values_len is 0.
 * @param values_len  How many they are.
 * @param error       NULL, or where to put the error, which says what is allowed, and never shows a secret.
 *
 * Status: OK, INVALID_CONFIG, INVALID_ARGUMENT. When it fails the setting is as it was.
 * Threads: one at a time for these settings.
 */
evs_status evs_config_set_list(evs_config *config,
                               const char *option,
                               size_t option_len,
                               const evs_str *values,
                               size_t values_len,
                               evs_error **error);

/**
 * Takes the settings grip and grip_verify_key from the environment variables GRIP_URL and GRIP_VERIFY_KEY, as other GRIP
 * libraries do, where these are set and not empty.
 *
 * @param config  The settings.
 * @param error   NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT. What the values mean is checked by evs_events_new.
 * Threads: one at a time for these settings, and not while another thread changes the environment.
 */
evs_status evs_config_grip_from_env(evs_config *config,
                                    evs_error **error);

/**
 * Frees settings. NULL is allowed. What was made with them keeps its copy.
 *
 * Threads: any, but for one object only once.
 */
void evs_config_free(evs_config *config);

/* ---- Errors -------------------------------------------------------------------------------------------- */

/**
 * The status that the failed function returned; EVS_STATUS_INVALID_ARGUMENT if error is NULL.
 *
 * Threads: any.
 */
evs_status evs_error_status(const evs_error *error);

/**
 * What was wrong and what is allowed: one or two sentences for people, ended by NUL. Never NULL, and without secrets.
 * The wording may change with any version.
 *
 * The text belongs to the error and lives as long as it; "" if error is NULL.
 *
 * Threads: any.
 */
const char *evs_error_message(const evs_error *error);

/**
 * Frees an error. NULL is allowed, and so is an error that a callback was given, which is then left alone.
 *
 * Threads: any, but for one error only once.
 */
void evs_error_free(evs_error *error);

/* ---- Events of an application -------------------------------------------------------------------------- */

/**
 * Makes an application's events.
 *
 * @param config  The settings, copied. NULL stands for all defaults.
 * @param events  Where to put them. The caller owns them; free with evs_events_free.
 * @param error   NULL, or where to put the error.
 *
 * Status: OK, INVALID_CONFIG, INVALID_ARGUMENT.
 * Threads: any.
 */
evs_status evs_events_new(const evs_config *config, evs_events **events, evs_error **error);

/**
 * Publishes an event to a channel. Never waits for a client or a proxy: streams of this process have it queued when this
 * returns, and GRIP proxies are sent it in the background.
 *
 * @param events       The events.
 * @param channel      The name of the channel: UTF-8, 1 to 256 bytes, no control characters.
 * @param channel_len  Its length in bytes.
 * @param event        The event.
 * @param receipt      NULL, or a structure for what is known of it now, started with EVS_RECEIPT_INIT.
 * @param error        NULL, or where to put the error.
 *
 * Status: OK, INVALID_CHANNEL, INVALID_EVENT, TOO_LARGE, INVALID_ARGUMENT, CLOSED, FORKED; IO when the threads that publish
 * to proxies cannot be started.
 * Threads: any, also at the same time.
 */
evs_status evs_events_publish(const evs_events *events,
                              const char *channel,
                              size_t channel_len,
                              const evs_event *event,
                              evs_receipt *receipt,
                              evs_error **error);

/**
 * Publishes an event to a channel, and waits until every GRIP proxy has taken it or failed. Without proxies it is
 * evs_events_publish.
 *
 * @param events       The events.
 * @param channel      The name of the channel: UTF-8, 1 to 256 bytes, no control characters.
 * @param channel_len  Its length in bytes.
 * @param event        The event.
 * @param timeout_ms   How long to wait, in milliseconds, or EVS_FOREVER.
 * @param receipt      NULL, or a structure for what became of it, started with EVS_RECEIPT_INIT. It is filled in whenever
 *                     the event was published, also if the status is that of a proxy or TIMEOUT.
 * @param error        NULL, or where to put the error, which tells of all proxies that failed.
 *
 * Status: OK; PROXY_UNAVAILABLE, PROXY_REJECTED or QUEUE_FULL of the first proxy that failed; TIMEOUT, after which
 * delivery goes on all the same; IN_CALLBACK in a callback that must be short; and those of evs_events_publish.
 * Threads: any, also at the same time.
 */
evs_status evs_events_publish_wait(const evs_events *events,
                                   const char *channel,
                                   size_t channel_len,
                                   const evs_event *event,
                                   uint64_t timeout_ms,
                                   evs_receipt *receipt,
                                   evs_error **error);

/**
 * Publishes an event to a channel, and calls back when every GRIP proxy has taken it or failed.
 *
 * @param events          The events.
 * @param channel         The name of the channel: UTF-8, 1 to 256 bytes, no control characters.
 * @param channel_len     Its length in bytes.
 * @param event           The event.
 * @param receipt         NULL, or a structure for what is known of it now, started with EVS_RECEIPT_INIT.
 * @param published       What to call. It is called once if this returns OK, and not at all if not.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data.
 * @param error           NULL, or where to put the error.
 *
 * Status: those of evs_events_publish.
 * Threads: any, also at the same time.
 */
evs_status evs_events_publish_async(const evs_events *events,
                                    const char *channel,
                                    size_t channel_len,
                                    const evs_event *event,
                                    evs_receipt *receipt,
                                    evs_published_fn published,
                                    void *user_data,
                                    evs_free_fn user_data_free,
                                    evs_error **error);

/**
 * Ends everything: refuses further publishing, asks each client to come back later, ends the streams, servers and
 * subscriptions, delivers what waits for GRIP proxies, and ends the threads. Closing again does nothing.
 *
 * Every blocking call on what was made from these events returns. When it returns OK no thread of these events is left.
 *
 * @param events       The events.
 * @param timeout_ms   How long it may take, in milliseconds, or EVS_FOREVER.
 * @param undelivered  NULL, or where to put how many events a GRIP proxy did not get in that time, counted once per proxy.
 * @param error        NULL, or where to put the error.
 *
 * Status: OK; TIMEOUT when a callback was still running; INVALID_ARGUMENT, FORKED; IN_CALLBACK when a callback calls it.
 * Threads: any, also at the same time, but from no callback.
 */
evs_status evs_events_close(const evs_events *events,
                            uint64_t timeout_ms,
                            uint64_t *undelivered,
                            evs_error **error);

/**
 * Frees events. NULL is allowed. Never blocks: what was not closed before ends at once, its threads soon after.
 *
 * What was made from the events and is not freed yet can still be used, and keeps them alive.
 *
 * Threads: any, also a callback, but for one object only once, and when no other function uses it.
 */
void evs_events_free(evs_events *events);

/* ---- Log ----------------------------------------------------------------------------------------------- */

/**
 * Sends the log of the whole process to a callback, in place of the one that was set before. At first there is none, and
 * nothing is logged.
 *
 * @param level           An evs_log_level: what is logged, and everything that matters more.
 * @param log             What to call, or NULL to log nothing.
 * @param user_data       What to call it with. It is freed when another callback takes its place and it is not running.
 * @param user_data_free  NULL, or what frees user_data.
 * @param error           NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: any.
 */
evs_status evs_log_set(uint32_t level,
                       evs_log_fn log,
                       void *user_data,
                       evs_free_fn user_data_free,
                       evs_error **error);

/* ---- Observers ----------------------------------------------------------------------------------------- */

/**
 * Has an observer told of streams from now on. There can be one.
 *
 * @param events          The events.
 * @param observer        What to call, copied.
 * @param user_data       What to call it with. It is freed when the events are gone.
 * @param user_data_free  NULL, or what frees user_data.
 * @param error           NULL, or where to put the error.
 *
 * Status: OK; INVALID_ARGUMENT, also when there is an observer already; CLOSED, FORKED.
 * Threads: any.
 */
evs_status evs_events_observe(const evs_events *events,
                              const evs_observer *observer,
                              void *user_data,
                              evs_free_fn user_data_free,
                              evs_error **error);

/* ---- Replies ------------------------------------------------------------------------------------------- */

/**
 * Answers a request that an HTTP server of yours has received.
 *
 * @param events   The events.
 * @param request  The request.
 * @param access   Who the client is and what it may read. NULL allows any channel that it names in the query.
 * @param reply    Where to put the reply. The caller owns it; free with evs_reply_free.
 * @param error    NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT, CLOSED, FORKED. A request that is refused is OK too: the reply says so to the client.
 * Threads: any, also at the same time.
 */
evs_status evs_events_open(const evs_events *events,
                           const evs_request *request,
                           const evs_access *access,
                           evs_reply **reply,
                           evs_error **error);

/**
 * Answers a request that needs no word from the application: preflight, what is malformed, and what a GRIP proxy asks for
 * on behalf of a stream it holds.
 *
 * evs_events_open does this too. Call it first when deciding on access is costly, or must not happen for a proxy's request,
 * which carries no cookies.
 *
 * @param events   The events.
 * @param request  The request.
 * @param reply    Where to put the reply, or NULL if the application is to decide. The caller owns it; free with
 *                 evs_reply_free.
 * @param error    NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT, CLOSED, FORKED.
 * Threads: any, also at the same time.
 */
evs_status evs_events_screen(const evs_events *events,
                             const evs_request *request,
                             evs_reply **reply,
                             evs_error **error);

/**
 * Its HTTP status, such as 200; 0 if reply is NULL.
 *
 * Threads: any, also at the same time.
 */
uint32_t evs_reply_status(const evs_reply *reply);

/**
 * How many headers it has; 0 if reply is NULL.
 *
 * Threads: any, also at the same time.
 */
size_t evs_reply_header_count(const evs_reply *reply);

/**
 * Gives one of its headers. They say nothing of the framing, which is for you to choose.
 *
 * @param reply  The reply.
 * @param index  Which, from 0 on, in the order to send them.
 * @param name   NULL, or where to put the name, ended by NUL, which lives as long as the reply. Empty if there is none.
 * @param value  NULL, or where to put the value, ended by NUL, which lives as long as the reply. Empty if there is none.
 *
 * Gives back whether there is one, which is never so if reply is NULL.
 * Threads: any, also at the same time.
 */
bool evs_reply_header_at(const evs_reply *reply,
                         size_t index,
                         evs_str *name,
                         evs_str *value);

/**
 * Whether the body goes on after its first bytes. If not, the first bytes are all of it.
 *
 * Threads: any, also at the same time.
 */
bool evs_reply_has_stream(const evs_reply *reply);

/**
 * The first bytes of its body, which live as long as it. Send them at once, with the head.
 *
 * evs_reply_next and evs_reply_adopt_fd begin with them, unless evs_reply_skip_body was called.
 *
 * Threads: any, also at the same time.
 */
evs_bytes evs_reply_body(const evs_reply *reply);

/**
 * Says that you have sent the first bytes of the body yourself. NULL is allowed.
 *
 * Threads: one at a time for this reply.
 */
void evs_reply_skip_body(evs_reply *reply);

/**
 * The status line and headers as HTTP/1.1 has them, with the framing and the empty line at the end: for servers that write
 * to a socket themselves.
 *
 * @param reply    The reply.
 * @param framing  An evs_framing. A body without a stream gets a Content-Length in any case.
 * @param head     Where to put it. It lives as long as the reply, and until the next call of this function.
 * @param error    NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: one at a time for this reply.
 */
evs_status evs_reply_head(evs_reply *reply,
                          uint32_t framing,
                          evs_str *head,
                          evs_error **error);

/**
 * Lets evstream write the body to the client's socket from now on.
 *
 * You have sent the head, with the framing it announces, and perhaps the first bytes of the body (evs_reply_skip_body), and
 * nothing of it waits in a buffer. The socket is plain TCP or Unix, without TLS. evstream works on a duplicate of the
 * descriptor, which it closes when the stream ends: close yours after this call, without writing to it or shutting it down.
 * The socket becomes non-blocking for both.
 *
 * @param reply    The reply. What remains of it is its status and headers, and freeing it.
 * @param fd       The socket.
 * @param framing  An evs_framing: what the head has announced.
 * @param error    NULL, or where to put the error.
 *
 * Status: OK; INVALID_ARGUMENT when there is no stream, or it is pulled already, or was given away; IO when the descriptor
 * cannot be used; CLOSED, FORKED. When this fails the reply is as it was, but that after IO its stream may be gone.
 * Threads: one at a time for this reply.
 */
evs_status evs_reply_adopt_fd(evs_reply *reply,
                              int fd,
                              uint32_t framing,
                              evs_error **error);

/**
 * Takes the next bytes of the body, without framing, and waits for them if need be. The first come at once.
 *
 * @param reply       The reply.
 * @param timeout_ms  How long to wait, in milliseconds. 0 does not wait; EVS_FOREVER waits until the events are closed.
 * @param chunk       Where to put them. They live until the next call for this reply, and are never empty.
 * @param error       NULL, or where to put the error.
 *
 * Status: OK; ENDED when the body is complete; TIMEOUT, after which to call it again; IN_CALLBACK when it would wait in a
 * callback that must be short; INVALID_ARGUMENT, IO, FORKED. CLOSED when the events were closed before the stream was read; when
 * they are closed later, a last chunk asks the client to come back, and then it is ENDED.
 * Threads: one at a time for this reply.
 */
evs_status evs_reply_next(evs_reply *reply,
                          uint64_t timeout_ms,
                          evs_bytes *chunk,
                          evs_error **error);

/**
 * Takes the next bytes of the body if there are any, and else calls back when there may be. This is for event loops.
 *
 * @param reply           The reply.
 * @param chunk           Where to put the bytes. They live until the next call for this reply, and are never empty.
 * @param ready           What to call when it is worth calling this again. It is called at most once, and not any more after
 *                        the next call for this reply, except that it may be running.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data.
 * @param error           NULL, or where to put the error.
 *
 * Status: OK and ENDED, and then ready is not called; PENDING, and then it is; INVALID_ARGUMENT, IO, CLOSED, FORKED.
 * Threads: one at a time for this reply.
 */
evs_status evs_reply_poll(evs_reply *reply,
                          evs_bytes *chunk,
                          evs_ready_fn ready,
                          void *user_data,
                          evs_free_fn user_data_free,
                          evs_error **error);

/**
 * Frees it. NULL is allowed. A stream that was not adopted ends; an adopted one goes on.
 *
 * Threads: any, also a callback, but for one object only once, and when no other function uses it.
 */
void evs_reply_free(evs_reply *reply);

/* ---- Requests ------------------------------------------------------------------------------------------ */

/**
 * Makes a request from what an HTTP server of yours has received.
 *
 * @param method      The method, such as "GET", copied.
 * @param method_len  Its length in bytes.
 * @param target      The path, and the query after a "?" if there is one, as they came: still percent-encoded. Copied.
 * @param target_len  Its length in bytes.
 * @param request     Where to put it. The caller owns it; free with evs_request_free.
 * @param error       NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: any.
 */
evs_status evs_request_new(const char *method,
                           size_t method_len,
                           const char *target,
                           size_t target_len,
                           evs_request **request,
                           evs_error **error);

/**
 * Adds a header. Give all that came, in their order, also those that come more than once.
 *
 * @param request    The request.
 * @param name       Its name, in any case, copied.
 * @param name_len   Length of the name in bytes.
 * @param value      Its value: bytes without CR, LF and NUL, copied. One that is not UTF-8 is ignored where a text is expected.
 * @param value_len  Length of the value in bytes.
 * @param error      NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: one at a time for this request.
 */
evs_status evs_request_add_header(evs_request *request,
                                  const char *name,
                                  size_t name_len,
                                  const char *value,
                                  size_t value_len,
                                  evs_error **error);

/**
 * Says which address the request came from, which the setting max_streams_per_address counts by.
 *
 * @param request      The request.
 * @param address      An IPv4 or IPv6 address without a port, such as "192.0.2.1" or "2001:db8::1".
 * @param address_len  Its length in bytes.
 * @param error        NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: one at a time for this request.
 */
evs_status evs_request_set_peer(evs_request *request,
                                const char *address,
                                size_t address_len,
                                evs_error **error);

/**
 * Its method, which lives as long as it; empty if request is NULL.
 *
 * Threads: any, also at the same time.
 */
evs_str evs_request_method(const evs_request *request);

/**
 * Its path, still percent-encoded, which lives as long as it; empty if request is NULL.
 *
 * Threads: any, also at the same time.
 */
evs_str evs_request_path(const evs_request *request);

/**
 * Its query without the "?", still percent-encoded, which lives as long as it; empty if there is none or request is NULL.
 *
 * Threads: any, also at the same time.
 */
evs_str evs_request_query(const evs_request *request);

/**
 * The address it came from, which lives as long as it; empty if that is not known or request is NULL.
 *
 * Threads: any, also at the same time.
 */
evs_str evs_request_peer(const evs_request *request);

/**
 * Finds its first header of a name.
 *
 * @param request   The request.
 * @param name      The name, in any case.
 * @param name_len  Its length in bytes.
 * @param value     NULL, or where to put the value, which lives as long as the request. Empty if there is none.
 *
 * Gives back whether there is one, which is never so if request is NULL.
 * Threads: any, also at the same time.
 */
bool evs_request_header(const evs_request *request,
                        const char *name,
                        size_t name_len,
                        evs_bytes *value);

/**
 * How many headers it has; 0 if request is NULL.
 *
 * Threads: any, also at the same time.
 */
size_t evs_request_header_count(const evs_request *request);

/**
 * Gives one of its headers.
 *
 * @param request  The request.
 * @param index    Which, from 0 on.
 * @param name     NULL, or where to put the name, which lives as long as the request. Empty if there is none.
 * @param value    NULL, or where to put the value, which lives as long as the request. Empty if there is none.
 *
 * Gives back whether there is one, which is never so if request is NULL.
 * Threads: any, also at the same time.
 */
bool evs_request_header_at(const evs_request *request,
                           size_t index,
                           evs_str *name,
                           evs_bytes *value);

/**
 * The body of a request that a server's fallback is shown, which lives as long as the request; empty for others.
 *
 * Threads: any, also at the same time.
 */
evs_bytes evs_request_body(const evs_request *request);

/**
 * Frees it. NULL is allowed, and so is a request that a callback was given, which is then left alone.
 *
 * Threads: any, but for one object only once, and when no other function uses it.
 */
void evs_request_free(evs_request *request);

/* ---- Responses ----------------------------------------------------------------------------------------- */

/**
 * Sets the HTTP status.
 *
 * @param response  The response.
 * @param status    The status, 200 to 999.
 * @param error     NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: that of the callback.
 */
evs_status evs_response_set_status(evs_response *response, uint32_t status, evs_error **error);

/**
 * Adds a header. Content-Length and Transfer-Encoding follow from the body and are ignored.
 *
 * @param response   The response.
 * @param name       Its name, copied.
 * @param name_len   Length of the name in bytes.
 * @param value      Its value, copied. If name or value is not valid HTTP, the client gets a 500.
 * @param value_len  Length of the value in bytes.
 * @param error      NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: that of the callback.
 */
evs_status evs_response_add_header(evs_response *response,
                                   const char *name,
                                   size_t name_len,
                                   const char *value,
                                   size_t value_len,
                                   evs_error **error);

/**
 * Sets the body.
 *
 * @param response  The response.
 * @param body      The bytes, copied. NULL is allowed if body_len is 0.
 * @param body_len  How many they are.
 * @param error     NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: that of the callback.
 */
evs_status evs_response_set_body(evs_response *response,
                                 const void *body,
                                 size_t body_len,
                                 evs_error **error);

/* ---- Server -------------------------------------------------------------------------------------------- */

/**
 * Makes a server, which does not listen yet.
 *
 * @param events  The events that it serves.
 * @param server  Where to put it. The caller owns it; free with evs_server_free.
 * @param error   NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT, CLOSED, FORKED.
 * Threads: any, also at the same time.
 */
evs_status evs_server_new(const evs_events *events, evs_server **server, evs_error **error);

/**
 * Serves streams at a path, of the channels that clients name: /events/?channel=a&channel=b.
 *
 * @param server    The server, which does not listen yet.
 * @param path      The path, beginning with "/". A "/" at its end may be left out by clients.
 * @param path_len  Its length in bytes.
 * @param error     NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT. Whether the path is one is checked when it listens.
 * Threads: any, also at the same time.
 */
evs_status evs_server_mount(const evs_server *server, const char *path, size_t path_len, evs_error **error);

/**
 * Serves streams at a path, always of these channels.
 *
 * @param server        The server, which does not listen yet.
 * @param path          The path, beginning with "/". A "/" at its end may be left out by clients.
 * @param path_len      Its length in bytes.
 * @param channels      The names of the channels, copied.
 * @param channels_len  How many they are.
 * @param error         NULL, or where to put the error.
 *
 * Status: OK; INVALID_CHANNEL when a name is not UTF-8, the rest of it is checked when a client comes; INVALID_ARGUMENT.
 * Whether the path is one is checked when it listens.
 * Threads: any, also at the same time.
 */
evs_status evs_server_mount_channels(const evs_server *server,
                                     const char *path,
                                     size_t path_len,
                                     const evs_str *channels,
                                     size_t channels_len,
                                     evs_error **error);

/**
 * Serves streams at a path, as a callback allows at each request.
 *
 * @param server          The server, which does not listen yet.
 * @param path            The path, beginning with "/". A "/" at its end may be left out by clients.
 * @param path_len        Its length in bytes.
 * @param authorize       What decides.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data.
 * @param error           NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT. Whether the path is one is checked when it listens.
 * Threads: any, also at the same time.
 */
evs_status evs_server_mount_authorize(const evs_server *server,
                                      const char *path,
                                      size_t path_len,
                                      evs_authorize_fn authorize,
                                      void *user_data,
                                      evs_free_fn user_data_free,
                                      evs_error **error);

/**
 * Answers requests that are for no mount by a callback, so that an application without a web framework can serve its page
 * and take what is posted. Without it they are answered with 404.
 *
 * Bodies are bounded by the settings max_body_bytes and body_timeout_ms.
 *
 * @param server          The server, which does not listen yet.
 * @param respond         What answers, in place of what was set before.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data.
 * @param error           NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: any, also at the same time.
 */
evs_status evs_server_fallback(const evs_server *server,
                               evs_respond_fn respond,
                               void *user_data,
                               evs_free_fn user_data_free,
                               evs_error **error);

/**
 * Also takes events at POST /publish/, as GRIP proxies do, from anybody who reaches the server: it can then only listen on
 * a loopback address or a Unix socket. Channels are named there with the setting grip_prefix before them.
 *
 * @param server  The server, which does not listen yet.
 * @param error   NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT.
 * Threads: any, also at the same time.
 */
evs_status evs_server_accept_publish(const evs_server *server,
                                     evs_error **error);

/**
 * Also takes events at POST /publish/, from publishers with a user and a password.
 *
 * @param server        The server, which does not listen yet.
 * @param user          The user, copied; without a colon.
 * @param user_len      Its length in bytes.
 * @param password      The password, copied.
 * @param password_len  Its length in bytes.
 * @param error         NULL, or where to put the error.
 *
 * Status: OK, INVALID_CONFIG, INVALID_ARGUMENT.
 * Threads: any, also at the same time.
 */
evs_status evs_server_accept_publish_basic(const evs_server *server,
                                           const char *user,
                                           size_t user_len,
                                           const char *password,
                                           size_t password_len,
                                           evs_error **error);

/**
 * Also takes events at POST /publish/, from publishers with a token.
 *
 * @param server     The server, which does not listen yet.
 * @param token      The token, copied: printable ASCII without blanks.
 * @param token_len  Its length in bytes.
 * @param error      NULL, or where to put the error.
 *
 * Status: OK, INVALID_CONFIG, INVALID_ARGUMENT.
 * Threads: any, also at the same time.
 */
evs_status evs_server_accept_publish_bearer(const evs_server *server,
                                            const char *token,
                                            size_t token_len,
                                            evs_error **error);

/**
 * Also takes events at POST /publish/, from publishers with a signed token (JWT).
 *
 * @param server   The server, which does not listen yet.
 * @param iss      Who signs: the claim "iss" of the token. Copied.
 * @param iss_len  Its length in bytes.
 * @param key      The key, as GRIP settings have it: a secret, "base64:" and a secret, PEM or JWK. Copied.
 * @param key_len  Its length in bytes.
 * @param error    NULL, or where to put the error, which does not show the key.
 *
 * Status: OK, INVALID_CONFIG, INVALID_ARGUMENT.
 * Threads: any, also at the same time.
 */
evs_status evs_server_accept_publish_jwt(const evs_server *server,
                                         const char *iss,
                                         size_t iss_len,
                                         const char *key,
                                         size_t key_len,
                                         evs_error **error);

/**
 * Lets the server listen, until it or its events are closed, or it is freed.
 *
 * @param server       The server. If this fails, it can be tried again, also with another address.
 * @param address      "host:port", where port 0 takes a free one, such as "127.0.0.1:8000", "[::]:80" or "localhost:0"; or
 *                     "unix:PATH".
 * @param address_len  Its length in bytes.
 * @param error        NULL, or where to put the error.
 *
 * Status: OK; INVALID_CONFIG when the path of a mount is none; INVALID_ARGUMENT when the address is none or it listens
 * already; IO when the address cannot be had; CLOSED, FORKED.
 * Threads: any.
 */
evs_status evs_server_listen(const evs_server *server,
                             const char *address,
                             size_t address_len,
                             evs_error **error);

/**
 * Where it listens, with the port it was given: "127.0.0.1:8000", "[::1]:8000" or "unix:PATH", ended by NUL. It lives as
 * long as the server; empty before it listens or if server is NULL.
 *
 * Threads: any, also at the same time.
 */
evs_str evs_server_address(const evs_server *server);

/**
 * The port it listens on; 0 before it listens, for a Unix socket, or if server is NULL.
 *
 * Threads: any, also at the same time.
 */
uint16_t evs_server_port(const evs_server *server);

/**
 * Ends it: takes no more connections, finishes the requests it is answering, and ends its streams, whose clients are asked
 * to come back later. Closing again does nothing. evs_events_close does this too.
 *
 * @param server      The server.
 * @param timeout_ms  How long it may take, in milliseconds, or EVS_FOREVER.
 * @param error       NULL, or where to put the error.
 *
 * Status: OK; TIMEOUT when a request or stream did not end in that time; INVALID_ARGUMENT, FORKED; IN_CALLBACK when a
 * callback calls it.
 * Threads: any, also at the same time, but from no callback.
 */
evs_status evs_server_close(const evs_server *server,
                            uint64_t timeout_ms,
                            evs_error **error);

/**
 * Frees it. NULL is allowed. Never blocks: if it was not closed before, it ends at once.
 *
 * Threads: any, also a callback, but for one object only once, and when no other function uses it.
 */
void evs_server_free(evs_server *server);

/* ---- Figures ------------------------------------------------------------------------------------------- */

/**
 * Gives the figures of this moment.
 *
 * @param events  The events.
 * @param stats   A structure for the figures, started with EVS_STATS_INIT.
 * @param error   NULL, or where to put the error.
 *
 * Status: OK, INVALID_ARGUMENT, FORKED.
 * Threads: any, also at the same time.
 */
evs_status evs_events_stats(const evs_events *events, evs_stats *stats, evs_error **error);

/* ---- Status codes -------------------------------------------------------------------------------------- */

/**
 * The stable name of a status, such as "invalid-event"; "unknown" if there is none. It lives for ever.
 *
 * Threads: any.
 */
const char *evs_status_name(uint32_t status);

/**
 * Whether the same call may succeed later without a change by the caller.
 *
 * Threads: any.
 */
bool evs_status_is_retryable(uint32_t status);

/* ---- Subscriptions ------------------------------------------------------------------------------------- */

/**
 * Reads channels from now on, with evs_subscription_next.
 *
 * @param events        The events.
 * @param channels      The names of the channels, one or more.
 * @param channels_len  How many they are.
 * @param subscription  Where to put it. The caller owns it; free with evs_subscription_free.
 * @param error         NULL, or where to put the error.
 *
 * Status: OK, INVALID_CHANNEL, INVALID_ARGUMENT, CLOSED, FORKED; IO when threads cannot be started.
 * Threads: any, also at the same time.
 */
evs_status evs_events_subscribe(const evs_events *events,
                                const evs_str *channels,
                                size_t channels_len,
                                evs_subscription **subscription,
                                evs_error **error);

/**
 * Reads channels from now on, and calls back with each message. This starts a thread.
 *
 * @param events          The events.
 * @param channels        The names of the channels, one or more.
 * @param channels_len    How many they are.
 * @param on_message      What to call.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data.
 * @param subscription    Where to put it. The caller owns it; evs_subscription_free ends it.
 * @param error           NULL, or where to put the error.
 *
 * Status: OK, INVALID_CHANNEL, INVALID_ARGUMENT, CLOSED, FORKED; IO when threads cannot be started.
 * Threads: any, also at the same time.
 */
evs_status evs_events_subscribe_callback(const evs_events *events,
                                         const evs_str *channels,
                                         size_t channels_len,
                                         evs_message_fn on_message,
                                         void *user_data,
                                         evs_free_fn user_data_free,
                                         evs_subscription **subscription,
                                         evs_error **error);

/**
 * Takes the next message, and waits for it if need be.
 *
 * @param subscription  A subscription without a callback.
 * @param timeout_ms    How long to wait, in milliseconds. 0 does not wait; EVS_FOREVER waits until the events are closed.
 * @param message       A structure for the message, started with EVS_MESSAGE_INIT. What it refers to lives until the next
 *                      call for this subscription.
 * @param error         NULL, or where to put the error.
 *
 * Status: OK; ENDED when the events are closed and all was read; TIMEOUT, after which to call it again; IN_CALLBACK when it
 * would wait in a callback that must be short; INVALID_ARGUMENT, FORKED.
 * Threads: one at a time for this subscription.
 */
evs_status evs_subscription_next(evs_subscription *subscription,
                                 uint64_t timeout_ms,
                                 evs_message *message,
                                 evs_error **error);

/**
 * Ends it and frees it. NULL is allowed. Never blocks: a callback may still be running, until user_data_free is called.
 *
 * Threads: any, also its own callback, but for one object only once, and when no other function uses it.
 */
void evs_subscription_free(evs_subscription *subscription);

/* ---- Version ------------------------------------------------------------------------------------------- */

/**
 * The version of the library that is loaded, such as "0.1.0". It lives for ever.
 *
 * Compare it with EVS_VERSION, which is the version that the program was compiled for.
 *
 * Threads: any.
 */
const char *evs_version(void);

/**
 * EVS_ABI_VERSION of the library that is loaded.
 *
 * Threads: any.
 */
uint32_t evs_abi_version(void);

/**
 * Whether the library that is loaded is one that the program was compiled for. Call it first, with EVS_ABI_VERSION,
 * where the two can be installed apart.
 *
 * @param abi_version  EVS_ABI_VERSION as the program was compiled with it.
 * @param error        NULL, or where to put the error.
 *
 * Status: OK, ABI_MISMATCH.
 * Threads: any.
 */
evs_status evs_check_abi(uint32_t abi_version,
                         evs_error **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* EVSTREAM_H */
