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
 *   evs_hub *hub = NULL;
 *   evs_server *server = NULL;
 *   evs_status status = evs_hub_new(NULL, &hub, &error);
 *   if (status == EVS_STATUS_OK) status = evs_server_new(hub, &server, &error);
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
 *     status = evs_hub_publish(hub, EVS_LITERAL("numbers"), &event, NULL, &error);
 *     sleep(1);
 *   }
 *   if (status != EVS_STATUS_OK) fprintf(stderr, "%s\n", evs_error_message(error));
 *   evs_error_free(error);
 *   evs_hub_close(hub, 2000, NULL, NULL);
 *   evs_server_free(server);
 *   evs_hub_free(hub);
 *   return status == EVS_STATUS_OK ? 0 : 1;
 * }
 * @endcode
 *
 * Rules for all functions:
 *
 *  1. Errors. A function that can fail returns an evs_status and takes, as its last parameter, where to store an
 *     error with a message for people; pass NULL if the status is enough. After success NULL is stored there; after a
 *     failure, an error that you free with evs_error_free. Only a TIMEOUT of evs_reply_next and evs_subscription_next
 *     leaves none. Comments name statuses without EVS_STATUS_; besides those that they name, any function can return
 *     INTERNAL and PANIC, which are bugs of evstream. errno tells nothing: calls may change it.
 *  2. Objects. What a function stores through a parameter `evs_thing **thing` is yours, to be freed once with
 *     evs_thing_free; when the function fails, it stores NULL. Functions that free take NULL, never fail and never
 *     block. Free in any order, on any thread, also in a callback, but only when no other call uses the object.
 *  3. Texts that you pass are UTF-8, as address and length in bytes, like all that comes as `x` and `x_len`.
 *     EVS_LITERAL("text") stands for both. The length EVS_ZSTR means that the text ends at its NUL, also in an
 *     evs_str. NULL is allowed with length 0. A text must not change until the function returns; what evstream keeps
 *     it has copied.
 *  4. Texts and bytes that you are given are views of memory that lives as long as the comment says. An empty view is
 *     the address of a NUL, and an empty array is NULL; where "none" differs from "empty", the comment says that none
 *     is NULL.
 *  5. Structures that begin with struct_size grow in later versions. Start with EVS_..._INIT, or set struct_size to
 *     the sizeof the structure and all else to zero, and a program works with older and newer libraries.
 *  6. Times are in milliseconds. Enumerations other than evs_status are passed as uint32_t.
 *  7. Your threads. "Threads: any" with "also at the same time" allows calls for one object that overlap; "one at a
 *     time" does not.
 *  8. Callbacks come as three parameters: a function, the user_data that it is called with, and user_data_free, which
 *     may be NULL. user_data_free runs exactly once, when the callback is not running and will not be called any
 *     more. That may be before a call of yours returns: of the function that was given the three, when it fails or
 *     calls back at once, and of any that makes a callback useless, by freeing its object or setting another in its
 *     place. So hold no lock that user_data_free takes. Callbacks must return: no longjmp, and an exception that
 *     leaves one ends the program. They may call every function except those that would wait for them, which then
 *     return IN_CALLBACK, and may free every object.
 *  9. evstream's threads. There are some for streams (setting shards), some for servers and proxies (server_threads),
 *     one for each subscription that calls back, and one for each authorize or respond callback that is running (of
 *     each kind at most hook_threads; requests beyond that wait for hook_wait_ms). Callbacks that "must be short" run
 *     on the first two kinds. Their stacks are 8 MiB. They block all signals but those for faults and for profilers,
 *     so that yours go to your threads, also when you read them by signalfd. In a callback they block what the thread
 *     blocked that had them started, and a process that is started there inherits that. What evstream writes never
 *     raises SIGPIPE.
 * 10. Forks. What a process made before it forked cannot be used by the child, which gets FORKED, but can be freed
 *     there. The child can make new objects.
 *
 * Shutting down:
 *
 *  1. Stop publishing, or be ready for CLOSED.
 *  2. Call evs_hub_close on a thread that is in no callback. Clients are asked to come back, blocking calls return,
 *     and the threads end. On TIMEOUT a callback of yours is still running; call it again to wait on.
 *  3. Replies that you read yourself have their last bytes then: have your server send them before you stop it.
 *  4. Free what you own, in any order.
 *
 * When evs_hub_close has returned OK and all is freed, every user_data_free has run, except that of evs_log_set.
 *
 * Linking: the shared library is complete. The static one needs what `pkg-config --libs evstream-static` and the
 * CMake target evstream::static say. It is written in Rust, so a program can take it with another static Rust library
 * only where the two do not define the same symbols; ffi/README.md tells how. Linux with glibc is what is tested.
 */

#ifndef EVSTREAM_H
#define EVSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** The version of this header. */
#define EVS_VERSION "0.1.0"
#define EVS_VERSION_MAJOR 0
#define EVS_VERSION_MINOR 1
#define EVS_VERSION_PATCH 0

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

/**
 * @defgroup statuses_and_errors Statuses and errors
 * @{
 */

/**
 * How a call has ended. The numbers are stable.
 *
 * Every status from 100 on is a failure, and comes with an error; only TIMEOUT of evs_reply_next and
 * evs_subscription_next does not. New ones may come with any version: treat one that you do not know as a failure.
 */
EVS_ENUM(evs_status) {
  /** Success. */
  EVS_STATUS_OK = 0,
  /** Not an error: the stream or subscription has ended, and nothing more will come. */
  EVS_STATUS_ENDED = 1,
  /** Not an error: there is nothing yet; the callback or ready queue will tell when there is. */
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
   * the object is not in the state for.
   */
  EVS_STATUS_INVALID_ARGUMENT = 104,
  /** The hub, server or subscription is closed. */
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
  /** The journal could not be reached, or failed; trying again may help. */
  EVS_STATUS_JOURNAL_UNAVAILABLE = 403,
  /** The journal refused what was to be appended, or how it is set up; trying again will not help. */
  EVS_STATUS_JOURNAL_REJECTED = 404,
  /** A bug in evstream. */
  EVS_STATUS_INTERNAL = 500,
  /** A bug in evstream that interrupted the call. The objects it was given can still be freed. */
  EVS_STATUS_PANIC = 501,
  /** The library is not one that the program was compiled for. */
  EVS_STATUS_ABI_MISMATCH = 600,
  /** The call would wait for something that cannot happen before the callback that makes it has returned. */
  EVS_STATUS_IN_CALLBACK = 601,
};

/**
 * Names a status.
 *
 * @return Its stable name, such as "invalid-event"; "unknown" if there is no such status. It lives for ever.
 * @note Threads: any.
 */
const char *evs_status_name(uint32_t status);

/**
 * Tells failures that may pass from those that will not.
 *
 * @return true if the same call may succeed later without a change by the caller.
 * @note Threads: any.
 */
bool evs_status_is_retryable(uint32_t status);

/** What went wrong, in words for people. */
typedef struct evs_error evs_error;

/**
 * @return The status that the failed function returned; INVALID_ARGUMENT if error is NULL.
 * @note Threads: any.
 */
evs_status evs_error_status(const evs_error *error);

/**
 * Says what was wrong and what is allowed, in one or two sentences without secrets. The wording may change with any
 * version.
 *
 * @return A text ended by NUL, never NULL; "" if error is NULL. It lives as long as the error.
 * @note Threads: any.
 */
const char *evs_error_message(const evs_error *error);

/**
 * Frees an error. One that a callback was given is left alone.
 *
 * @note Threads: any.
 */
void evs_error_free(evs_error *error);

/** @} */

/**
 * @defgroup versions Versions
 *
 * EVS_VERSION is the version of the header that the program was compiled with, evs_version that of the library that
 * it has loaded. Where the two are installed apart, call evs_check_abi first.
 * @{
 */

/**
 * What a compiled program relies on: the functions, the layout of the structures, the numbers. It goes up whenever a
 * program that was compiled before would no longer work.
 */
#define EVS_ABI_VERSION 1

/**
 * The version of the library that is loaded.
 *
 * @return "0.1.0" or the like. It lives for ever.
 * @note Threads: any.
 */
const char *evs_version(void);

/**
 * The ABI of the library that is loaded.
 *
 * @return EVS_ABI_VERSION as the library was built with it.
 * @note Threads: any.
 */
uint32_t evs_abi_version(void);

/**
 * Checks that the library that is loaded has the ABI that the program was compiled for.
 *
 * @param abi_version  EVS_ABI_VERSION.
 *
 * @return OK, ABI_MISMATCH.
 * @note Threads: any.
 */
evs_status evs_check_abi(uint32_t abi_version, evs_error **error);

/** @} */

/**
 * @defgroup texts_and_bytes Texts and bytes
 * @{
 */

/**
 * A view of a text that lies elsewhere: len bytes of UTF-8, not ended by NUL unless the comment says so.
 *
 * Print it with printf("%.*s", (int)text.len, text.ptr).
 */
typedef struct evs_str {
  /** Where it begins. In what evstream gives, an empty text begins at a NUL, unless NULL is said to stand for none. */
  const char *ptr;
  /** Its length in bytes. */
  size_t len;
} evs_str;

/** A view of bytes that lie elsewhere. */
typedef struct evs_bytes {
  /** Where they begin: memory that can be read, also if there are none. */
  const uint8_t *ptr;
  /** How many they are. */
  size_t len;
} evs_bytes;

/** A text that evstream has made. */
typedef struct evs_text evs_text;

/**
 * @return What the text says, not ended by NUL. It lives as long as the text. NULL if text is NULL.
 * @note Threads: any, also at the same time.
 */
evs_str evs_text_str(const evs_text *text);

/**
 * Frees a text.
 *
 * @note Threads: any.
 */
void evs_text_free(evs_text *text);

/** A literal as the two arguments for a text: its address and its length in bytes. */
#define EVS_LITERAL(literal) ("" literal), (sizeof("" literal) - 1)

/** As the length of a text that you pass: it ends at its NUL. */
#define EVS_ZSTR SIZE_MAX

/** A view of a text that is ended by NUL, which must live as long as the view is used. NULL is an empty text. */
static inline evs_str evs_str_z(const char *text) {
  evs_str view = {text, text != NULL ? strlen(text) : 0};
  return view;
}

/** @} */

/**
 * @defgroup callbacks Callbacks
 * @{
 */

/**
 * Frees what you have given as user_data.
 *
 * It is called exactly once, when no callback with that user_data is running or will run any more. When the function
 * that was given it fails, that is before the function returns.
 *
 * It may run on one of evstream's threads, must be short and must not block. It may free objects of evstream's.
 */
typedef void (*evs_free_fn)(void *user_data);

/** @} */

/**
 * @defgroup hubs Hubs
 * @{
 */

/** Settings. They are all at their defaults until they are set; evs_hub_new copies them. */
typedef struct evs_config evs_config;

/**
 * What an application publishes to and its clients read from: channels with their history, streams, settings. Make
 * one for each application.
 *
 * Threads are started when they are first needed: by a stream, a server, a subscription, or an event for a GRIP
 * proxy or a journal. What is made from a hub, such as a server or a channel, keeps it alive.
 *
 * What was published last gets into the journal also when the hub is freed or the program returns, which waits for two
 * seconds at most. evs_hub_close waits for longer, and says what was not delivered.
 */
typedef struct evs_hub evs_hub;

/** As a timeout: wait for as long as it takes. */
#define EVS_FOREVER 18446744073709551615u

/**
 * Makes a hub.
 *
 * @param config  The settings, copied; NULL for all defaults.
 * @param hub     Where to store it; free with evs_hub_free.
 *
 * @return OK, INVALID_CONFIG, INVALID_ARGUMENT; IO when the system gives no random numbers.
 * @note Threads: any.
 */
evs_status evs_hub_new(const evs_config *config, evs_hub **hub, evs_error **error);

/**
 * Ends everything: publishing is refused from now on, clients are asked to come back later, streams, servers
 * and subscriptions end, events that wait for the journal or GRIP proxies are delivered, and the threads end.
 * Blocking calls on what was made from the hub return.
 *
 * @param hub          The hub.
 * @param timeout_ms   How long it may take, in milliseconds, or EVS_FOREVER.
 * @param undelivered  NULL, or where to store how many events the journal or a GRIP proxy did not get in that time,
 *                     counted once for each proxy.
 *
 * @return OK when all threads and callbacks of the hub have ended; TIMEOUT when one was still running, and then you
 *         may call it again to wait on; IN_CALLBACK in a callback; INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_close(evs_hub *hub,
                         uint64_t timeout_ms,
                         uint64_t *undelivered,
                         evs_error **error);

/**
 * Frees a hub. If it was not closed before, its streams end at once, and its threads soon after.
 *
 * What was made from it and is not freed yet keeps it alive and can still be used.
 *
 * @note Threads: any, also a callback.
 */
void evs_hub_free(evs_hub *hub);

/** @} */

/**
 * @defgroup publishing Publishing
 * @{
 */

/** An event to publish. Start with EVS_EVENT_INIT. */
typedef struct evs_event {
  /** sizeof(evs_event). */
  size_t struct_size;
  /**
   * Its type, which a page listens for; NULL for none, which browsers take as "message". It must not contain CR, LF
   * or NUL, nor begin with "stream-".
   */
  evs_str name;
  /** Its data, sent as it is. CR, LF and CRLF each end a line; clients see LF between lines. */
  evs_str data;
  /** A comment, which clients ignore; NULL for none. */
  evs_str comment;
  /** How long clients should wait before they reconnect, in milliseconds, if has_retry is true. */
  uint64_t retry_ms;
  /** Whether retry_ms is sent. */
  bool has_retry;
} evs_event;

/** An empty evs_event; also by a function, for languages that cannot use the macro. */
#define EVS_EVENT_INIT \
  {sizeof(evs_event), {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, false}
static inline evs_event evs_event_init(void) {
  evs_event empty = EVS_EVENT_INIT;
  return empty;
}

/**
 * Bytes of a position as text, with the NUL at its end. Positions of one hub compare as strings in the order of
 * publishing.
 */
#define EVS_POSITION_BYTES 24

/** What publishing tells. Start with EVS_RECEIPT_INIT. */
typedef struct evs_receipt {
  /** sizeof(evs_receipt). */
  size_t struct_size;
  /**
   * The position of the event, which clients see as its id: a text ended by NUL. Empty as long as it is not
   * known: with a journal it is when the journal has the event.
   */
  char position[EVS_POSITION_BYTES];
  /** Streams and subscriptions of this process that will get the event. */
  uint64_t streams;
  /** GRIP proxies that are sent it. */
  uint64_t proxies;
  /** Those of them that did not take it; 0 when publishing has not waited for them. */
  uint64_t proxies_failed;
} evs_receipt;

/** An empty evs_receipt; also by a function, for languages that cannot use the macro. */
#define EVS_RECEIPT_INIT \
  {sizeof(evs_receipt), {0}, 0, 0, 0}
static inline evs_receipt evs_receipt_init(void) {
  evs_receipt empty = EVS_RECEIPT_INIT;
  return empty;
}

/**
 * Called when every GRIP proxy, or the journal, has taken an event or failed.
 *
 * It runs once: on one of evstream's threads, or, when there is nothing to wait for, on the thread that publishes,
 * before the publishing function returns. So hold no lock that it takes. It must be short and must not block.
 *
 * @param user_data  As you gave it.
 * @param status     OK when all have taken it, or the first failure: PROXY_UNAVAILABLE, PROXY_REJECTED,
 *                   JOURNAL_UNAVAILABLE, JOURNAL_REJECTED, QUEUE_FULL or CLOSED.
 * @param receipt    What became of it. It lives until the callback returns.
 * @param error      NULL if status is OK, or else what went wrong. It lives until the callback returns.
 */
typedef void (*evs_published_fn)(void *user_data,
                                 evs_status status,
                                 const evs_receipt *receipt,
                                 const evs_error *error);

/**
 * Publishes an event to a channel. It never waits for a client or a proxy: when it returns, the streams of this
 * process have the event queued, and GRIP proxies are sent it in the background.
 *
 * @param hub      The hub.
 * @param channel  The name of the channel: 1 to 256 bytes without control characters.
 * @param event    The event, copied.
 * @param receipt  NULL, or a structure started with EVS_RECEIPT_INIT, for what is known now.
 *
 * @return OK, INVALID_CHANNEL, INVALID_EVENT, TOO_LARGE, INVALID_ARGUMENT, CLOSED, FORKED; IO when the threads that
 *         publish to proxies cannot be started.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_publish(evs_hub *hub,
                           const char *channel,
                           size_t channel_len,
                           const evs_event *event,
                           evs_receipt *receipt,
                           evs_error **error);

/**
 * Publishes an event to a channel, and waits until every GRIP proxy has taken it or failed. Without proxies it does
 * the same as evs_hub_publish.
 *
 * @param hub         The hub.
 * @param channel     The name of the channel.
 * @param event       The event, copied.
 * @param timeout_ms  How long to wait, in milliseconds, or EVS_FOREVER.
 * @param receipt     NULL, or a structure started with EVS_RECEIPT_INIT, for what became of the event. It is also
 *                    filled in when the event was published but not taken by all proxies.
 *
 * @return OK; PROXY_UNAVAILABLE, PROXY_REJECTED or QUEUE_FULL of the first proxy that failed, with an error that
 *         tells of all; TIMEOUT, and delivery goes on all the same; IN_CALLBACK in a callback that must be short;
 *         those of evs_hub_publish.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_publish_wait(evs_hub *hub,
                                const char *channel,
                                size_t channel_len,
                                const evs_event *event,
                                uint64_t timeout_ms,
                                evs_receipt *receipt,
                                evs_error **error);

/**
 * Publishes an event to a channel, and calls back when every GRIP proxy has taken it or failed.
 *
 * @param hub             The hub.
 * @param channel         The name of the channel.
 * @param event           The event, copied.
 * @param receipt         NULL, or a structure started with EVS_RECEIPT_INIT, for what is known now.
 * @param published       What to call: once if this returns OK, else never.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data.
 *
 * @return Those of evs_hub_publish.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_publish_async(evs_hub *hub,
                                 const char *channel,
                                 size_t channel_len,
                                 const evs_event *event,
                                 evs_receipt *receipt,
                                 evs_published_fn published,
                                 void *user_data,
                                 evs_free_fn user_data_free,
                                 evs_error **error);

/**
 * Gives the position of the newest event that was published, on any channel.
 *
 * It is for a page that shows stored data and then follows its changes. Take the position before you read the data,
 * and have the page resume from it, as in /events/?channel=rows&last_event_id=POSITION: it gets every change that was
 * published after the data was read, and perhaps some that the data already shows. Store a change before you publish
 * it.
 *
 * @param hub       The hub.
 * @param position  Where to store it: an array of your own, as &array. A text ended by NUL.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_position(evs_hub *hub,
                            char (*position)[EVS_POSITION_BYTES],
                            evs_error **error);

/** A channel, for publishing to it often: it saves looking up the name. */
typedef struct evs_channel evs_channel;

/**
 * Gives the channel of a name, which is made if there is none.
 *
 * @param hub      The hub.
 * @param name     The name: 1 to 256 bytes without control characters.
 * @param channel  Where to store it; free with evs_channel_free.
 *
 * @return OK, INVALID_CHANNEL, INVALID_ARGUMENT, CLOSED, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_channel(evs_hub *hub,
                           const char *name,
                           size_t name_len,
                           evs_channel **channel,
                           evs_error **error);

/**
 * Gives the channel that streams of a user read beside their others, with the setting user_channel. No client can ask
 * for it. It is for publishing to one user often, or for waiting; otherwise use evs_hub_publish_to_user.
 *
 * @param hub      The hub.
 * @param user     The user, as evs_access_set_user has it.
 * @param channel  Where to store it; free with evs_channel_free.
 *
 * @return OK; INVALID_CONFIG without the setting, for then nobody would read it; INVALID_ARGUMENT, CLOSED, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_user_channel(evs_hub *hub,
                                const char *user,
                                size_t user_len,
                                evs_channel **channel,
                                evs_error **error);

/**
 * Publishes an event to all streams of a user, as evs_hub_publish does to a channel: with the setting user_channel
 * they read the user's own channel, which no client can ask for.
 *
 * @param hub      The hub.
 * @param user     The user, as evs_access_set_user has it.
 * @param event    The event, copied.
 * @param receipt  NULL, or a structure started with EVS_RECEIPT_INIT, for what is known now.
 *
 * @return Those of evs_hub_publish; INVALID_CONFIG without the setting, for then nobody would get it.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_publish_to_user(evs_hub *hub,
                                   const char *user,
                                   size_t user_len,
                                   const evs_event *event,
                                   evs_receipt *receipt,
                                   evs_error **error);

/**
 * @return Its name, which lives as long as the object; empty if channel is NULL.
 * @note Threads: any, also at the same time.
 */
evs_str evs_channel_name(const evs_channel *channel);

/**
 * Counts who reads it.
 *
 * @return Streams and subscriptions of this process that read the channel now; 0 if channel is NULL.
 * @note Threads: any, also at the same time.
 */
uint64_t evs_channel_streams(const evs_channel *channel);

/**
 * Publishes an event to it, as evs_hub_publish does.
 *
 * @param channel  The channel.
 * @param event    The event, copied.
 * @param receipt  NULL, or a structure started with EVS_RECEIPT_INIT, for what is known now.
 *
 * @return OK, INVALID_EVENT, TOO_LARGE, INVALID_ARGUMENT, CLOSED, FORKED, IO.
 * @note Threads: any, also at the same time.
 */
evs_status evs_channel_publish(evs_channel *channel,
                               const evs_event *event,
                               evs_receipt *receipt,
                               evs_error **error);

/**
 * Publishes an event to it and waits for the GRIP proxies, as evs_hub_publish_wait does.
 *
 * @param channel     The channel.
 * @param event       The event, copied.
 * @param timeout_ms  How long to wait, in milliseconds, or EVS_FOREVER.
 * @param receipt     NULL, or a structure started with EVS_RECEIPT_INIT, for what became of the event.
 *
 * @return Those of evs_channel_publish; PROXY_UNAVAILABLE, PROXY_REJECTED, QUEUE_FULL, TIMEOUT, IN_CALLBACK.
 * @note Threads: any, also at the same time.
 */
evs_status evs_channel_publish_wait(evs_channel *channel,
                                    const evs_event *event,
                                    uint64_t timeout_ms,
                                    evs_receipt *receipt,
                                    evs_error **error);

/**
 * Publishes an event to it and calls back when the GRIP proxies have answered, as evs_hub_publish_async does.
 *
 * @param channel         The channel.
 * @param event           The event, copied.
 * @param receipt         NULL, or a structure started with EVS_RECEIPT_INIT, for what is known now.
 * @param published       What to call: once if this returns OK, else never.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data.
 *
 * @return Those of evs_channel_publish.
 * @note Threads: any, also at the same time.
 */
evs_status evs_channel_publish_async(evs_channel *channel,
                                     const evs_event *event,
                                     evs_receipt *receipt,
                                     evs_published_fn published,
                                     void *user_data,
                                     evs_free_fn user_data_free,
                                     evs_error **error);

/**
 * Frees the object. The channel itself and its history stay.
 *
 * @note Threads: any, also a callback.
 */
void evs_channel_free(evs_channel *channel);

/** @} */

/**
 * @defgroup streams_in_a_server_of_your_own Streams in a server of your own
 *
 * Your server receives a request: make an evs_request of it, decide on access, and have evs_hub_open make the reply.
 * Send its status and headers in your own way, or as evs_reply_head writes them. Then there are two ways to send the
 * body:
 *
 *  - evs_reply_adopt_fd: evstream writes it to the socket, which costs you nothing more.
 *  - evs_reply_next, evs_reply_poll or a ready queue: you take it piece by piece and send it, which works with TLS,
 *    with HTTP/2 and in any server.
 * @{
 */

/** A request that an HTTP server has received: yours, made with evs_request_new, or evstream's, shown to a callback. */
typedef struct evs_request evs_request;

/**
 * Makes a request from what your HTTP server has received.
 *
 * @param method   The method, such as "GET", copied.
 * @param target   The path, with "?" and the query if there is one, as they came: still percent-encoded. Copied.
 * @param request  Where to store it; free with evs_request_free.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: any.
 */
evs_status evs_request_new(const char *method,
                           size_t method_len,
                           const char *target,
                           size_t target_len,
                           evs_request **request,
                           evs_error **error);

/**
 * Adds a header. Add all that came, in their order, including those that came more than once.
 *
 * @param request  The request.
 * @param name     Its name, in any case, copied.
 * @param value    Its value, copied: any bytes but CR, LF and NUL. It need not be UTF-8, but is then ignored where a
 *                 text is expected.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: one at a time for this request.
 */
evs_status evs_request_add_header(evs_request *request,
                                  const char *name,
                                  size_t name_len,
                                  const char *value,
                                  size_t value_len,
                                  evs_error **error);

/**
 * Says which address the request came from. The setting max_streams_per_address counts by it, unless it is that of
 * one of trusted_proxies, who says whose request it is.
 *
 * @param request  The request.
 * @param address  An IPv4 or IPv6 address without a port, such as "192.0.2.1" or "2001:db8::1".
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: one at a time for this request.
 */
evs_status evs_request_set_peer(evs_request *request,
                                const char *address,
                                size_t address_len,
                                evs_error **error);

/**
 * @return Its method, which lives as long as the request; empty if request is NULL.
 * @note Threads: any, also at the same time.
 */
evs_str evs_request_method(const evs_request *request);

/**
 * @return Its path, still percent-encoded, which lives as long as the request; empty if request is NULL.
 * @note Threads: any, also at the same time.
 */
evs_str evs_request_path(const evs_request *request);

/**
 * @return Its query without the "?", still percent-encoded, which lives as long as the request; empty if there is
 *         none or request is NULL.
 * @note Threads: any, also at the same time.
 */
evs_str evs_request_query(const evs_request *request);

/**
 * @return The address it came from, which lives as long as the request, and until it is changed or screened again;
 *         empty if that is not known or request is NULL. It is the client's, as trusted_proxies say, when an
 *         evs_authorize_fn is shown the request, and when evs_hub_screen has left it to the application.
 * @note Threads: any, also at the same time.
 */
evs_str evs_request_peer(const evs_request *request);

/**
 * Looks up a header by its name.
 *
 * @param request  The request.
 * @param name     The name, in any case.
 * @param value    NULL, or where to store the value of the first one, which lives as long as the request. It may not
 *                 be UTF-8. Empty if there is none.
 *
 * @return true if there is one; false also if request is NULL.
 * @note Threads: any, also at the same time.
 */
bool evs_request_header(const evs_request *request,
                        const char *name,
                        size_t name_len,
                        evs_str *value);

/**
 * @return How many headers it has; 0 if request is NULL.
 * @note Threads: any, also at the same time.
 */
size_t evs_request_header_count(const evs_request *request);

/**
 * Gives a header by its place.
 *
 * @param request  The request.
 * @param index    Its place, from 0 on.
 * @param name     NULL, or where to store its name, which lives as long as the request. Empty if there is none.
 * @param value    NULL, or where to store its value, which lives as long as the request. It may not be UTF-8. Empty
 *                 if there is none.
 *
 * @return true if there is one; false also if request is NULL.
 * @note Threads: any, also at the same time.
 */
bool evs_request_header_at(const evs_request *request,
                           size_t index,
                           evs_str *name,
                           evs_str *value);

/**
 * @return The body, which lives as long as the request. Only requests that an evs_respond_fn is shown have one; it is
 *         empty for others.
 * @note Threads: any, also at the same time.
 */
evs_bytes evs_request_body(const evs_request *request);

/**
 * The channels that the client names in its query, decoded, in its order and each once. They are known of a request
 * that an evs_authorize_fn is shown, or that evs_hub_screen has left to the application. Just these are what
 * evs_access_allow allows.
 *
 * @param request       The request.
 * @param channels_len  NULL, or where to store how many they are.
 *
 * @return The channels, which live as long as the request, and until it is changed or screened again; NULL if there
 *         are none or they are not known.
 * @note Threads: any, also at the same time.
 */
const evs_str *evs_request_channels(const evs_request *request,
                                    size_t *channels_len);

/**
 * Tells a GRIP proxy's request for a stream that it is going to hold. It is known where the channels are.
 *
 * @return true if it is one.
 * @note Threads: any, also at the same time.
 */
bool evs_request_is_held(const evs_request *request);

/**
 * Frees it. One that a callback was given is left alone.
 *
 * @note Threads: any.
 */
void evs_request_free(evs_request *request);

/** Whether a client gets a stream, and of which channels. It starts as a refusal. The last call that decides counts. */
typedef struct evs_access evs_access;

/**
 * Makes an access for evs_hub_open. Callbacks are given one.
 *
 * @param access  Where to store it; free with evs_access_free.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: any.
 */
evs_status evs_access_new(evs_access **access, evs_error **error);

/**
 * Allows the channels that the client names in the query, whatever they are.
 *
 * @param access  The access.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: one at a time for this access.
 */
evs_status evs_access_allow(evs_access *access, evs_error **error);

/**
 * Allows these channels, whatever the client names in the query.
 *
 * @param access    The access.
 * @param channels  The names of the channels, copied. What is wrong with one, beyond UTF-8, shows when the stream is
 *                  opened; with none, the client is told that there is no channel.
 *
 * @return OK, INVALID_CHANNEL, INVALID_ARGUMENT.
 * @note Threads: one at a time for this access.
 */
evs_status evs_access_set_channels(evs_access *access,
                                   const evs_str *channels,
                                   size_t channels_len,
                                   evs_error **error);

/**
 * Names the user behind the stream.
 *
 * @param access  The access.
 * @param user    The user, copied.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: one at a time for this access.
 */
evs_status evs_access_set_user(evs_access *access, const char *user, size_t user_len, evs_error **error);

/**
 * Ends the stream before that moment: the client comes back, and is decided on anew. Up to a tenth of the time
 * is taken off at random, and a minute at most. A moment in the past refuses.
 *
 * @param access  The access.
 * @param unix_s  Seconds since 1970-01-01 UTC.
 *
 * @return OK, INVALID_ARGUMENT, also when it looks like milliseconds.
 * @note Threads: one at a time for this access.
 */
evs_status evs_access_set_expiry(evs_access *access,
                                 uint64_t unix_s,
                                 evs_error **error);

/**
 * Begins with what was published after that position, wherever the client was. Take it with evs_hub_position
 * before you read the data that the client is greeted with.
 *
 * @param access    The access.
 * @param position  The position, as text.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: one at a time for this access.
 */
evs_status evs_access_set_since(evs_access *access,
                                const char *position,
                                size_t position_len,
                                evs_error **error);

/**
 * Sends an event to this client alone, before all others: the data that the events after evs_access_set_since
 * change. Once for each event; a hundred at most.
 *
 * @param access  The access.
 * @param event   The event, copied.
 *
 * @return OK, INVALID_EVENT, INVALID_ARGUMENT.
 * @note Threads: one at a time for this access.
 */
evs_status evs_access_greet(evs_access *access, const evs_event *event, evs_error **error);

/**
 * Refuses: the client is told "forbidden" in a stream-error, and does not come back.
 *
 * @param access  The access.
 * @param text    What to tell the client, copied.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: one at a time for this access.
 */
evs_status evs_access_forbid(evs_access *access, const char *text, size_t text_len, evs_error **error);

/**
 * Says that the application cannot decide now, because a database is down or the like. The client is told "failed" in
 * a stream-close, and comes back later. One that does not ask for text/event-stream by name gets a 503 with the text.
 *
 * @param access  The access.
 * @param text    What to tell the client, copied.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: one at a time for this access.
 */
evs_status evs_access_fail(evs_access *access,
                           const char *text,
                           size_t text_len,
                           evs_error **error);

/**
 * Frees it. One that a callback was given is left alone.
 *
 * @note Threads: any.
 */
void evs_access_free(evs_access *access);

/**
 * What to answer a request with: a status, headers, and a body, which goes on for as long as there is a stream.
 * Freeing it ends the stream if it was not adopted.
 */
typedef struct evs_reply evs_reply;

/** How the end of a response's body is marked. */
EVS_ENUM(evs_framing) {
  /** With "Transfer-Encoding: chunked", which needs HTTP/1.1. */
  EVS_FRAMING_CHUNKED = 1,
  /** By closing the connection, as in HTTP/1.0. */
  EVS_FRAMING_CLOSE = 2,
};

/**
 * Answers a request. One that is refused gets a reply too, which tells the client why; so does one that comes when
 * the hub is closed, and then the client comes back later.
 *
 * @param hub      The hub.
 * @param request  The request.
 * @param access   Who the client is and what it may read; never NULL. One may serve many requests: where everybody may
 *                 read everything, make one with evs_access_allow and keep it.
 * @param reply    Where to store the reply; free with evs_reply_free.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_open(evs_hub *hub,
                        const evs_request *request,
                        const evs_access *access,
                        evs_reply **reply,
                        evs_error **error);

/**
 * Answers a request for which the application need not be asked: a preflight, a malformed one, or what a GRIP proxy
 * asks for on behalf of a stream it holds. Of others it makes known what they ask for: evs_request_channels.
 *
 * evs_hub_open does this too, if it was not done. Call it first when the decision depends on the channels, is costly,
 * or must not be made for a proxy's request, which carries no cookies.
 *
 * @param hub      The hub.
 * @param request  The request.
 * @param reply    Where to store the reply, to be freed with evs_reply_free, or NULL if the application is to decide.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: one at a time for this request.
 */
evs_status evs_hub_screen(evs_hub *hub,
                          evs_request *request,
                          evs_reply **reply,
                          evs_error **error);

/**
 * @return Its HTTP status, such as 200; 0 if reply is NULL.
 * @note Threads: any, also at the same time.
 */
uint32_t evs_reply_status(const evs_reply *reply);

/**
 * @return How many headers it has; 0 if reply is NULL.
 * @note Threads: any, also at the same time.
 */
size_t evs_reply_header_count(const evs_reply *reply);

/**
 * Gives a header by its place. None of them is about framing, which is yours to choose.
 *
 * @param reply  The reply.
 * @param index  Its place, from 0 on. Send them in this order.
 * @param name   NULL, or where to store its name, ended by NUL, which lives as long as the reply. Empty if there is
 *               none.
 * @param value  NULL, or where to store its value, ended by NUL, which lives as long as the reply. Empty if there is
 *               none.
 *
 * @return true if there is one; false also if reply is NULL.
 * @note Threads: any, also at the same time.
 */
bool evs_reply_header_at(const evs_reply *reply,
                         size_t index,
                         evs_str *name,
                         evs_str *value);

/**
 * Tells a body that goes on from one that is complete.
 *
 * @return true if more follows the first bytes of the body, and was not adopted or read to its end.
 * @note Threads: any, also at the same time.
 */
bool evs_reply_has_stream(const evs_reply *reply);

/**
 * Gives the first bytes of the body, for servers that send them with the head. Then call evs_reply_skip_body:
 * evs_reply_next and evs_reply_adopt_fd would send them again.
 *
 * @return The bytes, which live as long as the reply; all of the body if it has no stream.
 * @note Threads: any, also at the same time.
 */
evs_bytes evs_reply_body(const evs_reply *reply);

/**
 * Says that you have sent the first bytes of the body yourself. NULL is allowed.
 *
 * @note Threads: one at a time for this reply.
 */
void evs_reply_skip_body(evs_reply *reply);

/**
 * Writes the head: the status line and headers of HTTP/1.1, with the framing and the empty line at the end. It is for
 * servers that write to a socket themselves.
 *
 * @param reply    The reply.
 * @param framing  An evs_framing. A body without a stream gets a Content-Length in any case.
 * @param head     Where to store it. It lives as long as the reply, and until the next call of this function.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: one at a time for this reply.
 */
evs_status evs_reply_head(evs_reply *reply,
                          uint32_t framing,
                          evs_str *head,
                          evs_error **error);

/**
 * Has evstream write the body to the client's socket from now on, which costs you nothing more.
 *
 * Before it, send the head, with the framing that it announces, and leave nothing of it in a buffer. The first bytes
 * of the body are sent for you, unless you have called evs_reply_skip_body.
 *
 * The socket is plain TCP or Unix, without TLS. evstream works on a duplicate of the descriptor, which it closes when
 * the stream ends, and makes the socket non-blocking. Close yours after this call; do not write to it, shut it down
 * or adopt it twice.
 *
 * @param reply    The reply. Afterwards only its status and headers are left.
 * @param fd       The socket.
 * @param framing  An evs_framing: what the head has announced.
 *
 * @return OK; INVALID_ARGUMENT when there is no stream, or it was read or adopted already, or when fd is not open or
 *         not a connected stream socket; IO when the system refuses; FORKED. On failure the reply and the socket are as
 *         they were, and the stream can still be adopted or read. A client that has left is no failure, nor is a hub
 *         that was closed since: the stream ends, and in the latter case says when to come back.
 * @note Threads: one at a time for this reply.
 */
evs_status evs_reply_adopt_fd(evs_reply *reply,
                              int fd,
                              uint32_t framing,
                              evs_error **error);

/**
 * Frees it. A stream that was not adopted ends; an adopted one goes on.
 *
 * @note Threads: any, also a callback.
 */
void evs_reply_free(evs_reply *reply);

/** @} */

/**
 * @defgroup reading_streams_yourself Reading streams yourself
 *
 * evs_reply_next and evs_subscription_next can wait. An event loop must not: it is told when to read on, by a ready
 * queue or by a callback of evs_reply_poll and evs_subscription_poll.
 *
 * With a queue everything stays on the thread of the loop, and needs no lock. Watch evs_ready_queue_fd, attach each
 * reply with what stands for its connection, and read it with evs_reply_next until that returns PENDING. When the
 * descriptor is readable, pop, and read on what comes out.
 *
 * Back-pressure: read on only while your transport takes more. What you have not taken costs you nothing, because it
 * lies in the log, where all clients share it; what you have taken and cannot send piles up in your memory, for each
 * client. A client that lets its reply fall behind gets a stream-reset. One whose reply has something to read that
 * you do not take for write_timeout_ms is ended, so a connection that does not move needs no clock of yours.
 * @{
 */

/**
 * A queue of what is worth reading on, with a descriptor for an event loop to watch.
 *
 * It keeps nothing alive that is attached to it, and is kept alive by nothing: what was freed never comes out of it,
 * and nothing comes out once the queue is freed.
 */
typedef struct evs_ready_queue evs_ready_queue;

/**
 * Called when it is worth polling again.
 *
 * It runs on one of evstream's threads, which other streams need, must be short and must not block. Most do no more
 * than wake an event loop. It may still be running when the reply or subscription is freed, until user_data_free is
 * called.
 *
 * @param user_data  As you gave it.
 */
typedef void (*evs_ready_fn)(void *user_data);

/**
 * Makes a ready queue, which takes two descriptors.
 *
 * @param queue  Where to store it; free with evs_ready_queue_free.
 *
 * @return OK, INVALID_ARGUMENT; IO when there are no descriptors.
 * @note Threads: any.
 */
evs_status evs_ready_queue_new(evs_ready_queue **queue, evs_error **error);

/**
 * Gives the descriptor that is readable while evs_ready_queue_pop has something to give, and once more when all of
 * that was freed instead. Only watch it, with poll, epoll or your event loop: the queue reads and closes it.
 *
 * @return The descriptor; -1 if queue is NULL.
 * @note Threads: any, also at the same time.
 */
int evs_ready_queue_fd(const evs_ready_queue *queue);

/**
 * Takes out the next reply or subscription that is worth reading on. Once in a while there is nothing to read after
 * all.
 *
 * @param queue      The queue.
 * @param user_data  NULL, or where to store the user_data that it was attached with; NULL is stored if there is none.
 *
 * @return true if there is one.
 * @note Threads: any, also at the same time. Free what is attached on the thread that pops: another thread could free
 *       it between this call and your use of user_data.
 */
bool evs_ready_queue_pop(evs_ready_queue *queue,
                         void **user_data);

/**
 * Frees it and closes its descriptor: have the event loop forget that first. What is still attached can be read on,
 * but nobody is told when.
 *
 * @note Threads: any.
 */
void evs_ready_queue_free(evs_ready_queue *queue);

/**
 * Takes the next bytes of the body, without framing, and waits for them if need be. The first come at once.
 *
 * @param reply       The reply.
 * @param timeout_ms  How long to wait, in milliseconds. 0 does not wait; EVS_FOREVER waits until the hub is closed.
 *                    When the reply is attached to a ready queue, 0 is all that is allowed.
 * @param chunk       Where to store them. They live until the next call for this reply, and are never empty.
 *
 * @return OK; ENDED when the body is complete; TIMEOUT, without an error, when nothing came in time; PENDING in its
 *         place when the reply is attached, and the queue tells when to call again; IN_CALLBACK when it would wait in
 *         a callback that must be short; INVALID_ARGUMENT, IO,
 *         FORKED. When the hub is closed, a last chunk asks the client to come back, and then it is ENDED.
 * @note Threads: one at a time for this reply.
 */
evs_status evs_reply_next(evs_reply *reply,
                          uint64_t timeout_ms,
                          evs_bytes *chunk,
                          evs_error **error);

/**
 * Takes the next bytes of the body if there are any, or else calls back when there may be.
 *
 * @param reply           The reply, which is not attached to a ready queue.
 * @param chunk           Where to store the bytes. They live until the next call for this reply, and are never empty.
 * @param ready           What to call when it is worth calling this again: at most once, and, unless it is running
 *                        already, not after the next call for this reply.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data. When ready will not be called, it runs before this function
 *                        returns, and so does that of an earlier poll: hold no lock that it takes.
 *
 * @return OK, ENDED, and ready is not called; PENDING, and it is; INVALID_ARGUMENT, IO, FORKED.
 * @note Threads: one at a time for this reply.
 */
evs_status evs_reply_poll(evs_reply *reply,
                          evs_bytes *chunk,
                          evs_ready_fn ready,
                          void *user_data,
                          evs_free_fn user_data_free,
                          evs_error **error);

/**
 * Attaches a reply to a ready queue, in place of the one before. From then on evs_reply_next does not wait: where it
 * would, it returns PENDING, and the queue gives user_data when it is worth calling it again.
 *
 * @param reply      The reply, which is not adopted.
 * @param queue      The queue.
 * @param user_data  What evs_ready_queue_pop is to give, such as your connection. evstream does not look at it, and
 *                   does not give it any more once the reply is freed.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: one at a time for this reply.
 */
evs_status evs_reply_attach(evs_reply *reply,
                            evs_ready_queue *queue,
                            void *user_data,
                            evs_error **error);

/**
 * Has the system give up a client of yours that has vanished or takes nothing: within twice write_timeout_ms, and 10
 * s at least, on Linux. It is for the connections of a server that has no such deadline; sockets that are adopted
 * have it.
 *
 * @param hub  The hub.
 * @param fd   The socket, which stays yours. Unix sockets are left as they are.
 *
 * @return OK; INVALID_ARGUMENT, also when fd is not open; IO when the system refuses.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_tune_fd(evs_hub *hub,
                           int fd,
                           evs_error **error);

/** @} */

/**
 * @defgroup a_server_of_evstreams_own A server of evstream's own
 * @{
 */

/**
 * Which JSON Web Tokens (RFC 7519) are accepted, and from where: from "Authorization: Bearer", or the cookie
 * "__Secure-evstream", never from the query. The key alone decides on the algorithm. "exp" is required and ends the
 * stream, "sub" is the user, and the list "channels" in the object "evstream" has the channels, of which the client
 * reads those that it names, or all.
 */
typedef struct evs_jwt evs_jwt;

/**
 * Tickets of one kind: what evs_hub_ticket makes with them, evs_server_mount_tickets and evs_access_set_ticket take,
 * and no others.
 *
 * A ticket is for "?ticket=" in the URL of an EventSource, which sends no headers. Such a URL ends up in logs, and a
 * browser comes back with the same one: so it opens a new stream for a short time only, and lets a client that has
 * read from these events before go on for longer. It has one stream at a time in a process, the newest.
 */
typedef struct evs_tickets evs_tickets;

/** What an evs_respond_fn answers. It starts as a 404 without a body, and belongs to evstream. */
typedef struct evs_response evs_response;

/**
 * Sets the HTTP status.
 *
 * @param response  The response.
 * @param status    The status, 200 to 999.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: that of the callback.
 */
evs_status evs_response_set_status(evs_response *response, uint32_t status, evs_error **error);

/**
 * Adds a header. Content-Length and Transfer-Encoding follow from the body; yours are ignored.
 *
 * @param response  The response.
 * @param name      Its name, copied.
 * @param value     Its value, copied. If name or value is not valid HTTP, the client gets a 500.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: that of the callback.
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
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: that of the callback.
 */
evs_status evs_response_set_body(evs_response *response,
                                 const void *body,
                                 size_t body_len,
                                 evs_error **error);

/** An HTTP server of evstream's own. Make it, say what it serves, and let it listen. */
typedef struct evs_server evs_server;

/**
 * Called at each request for a stream of a mount: who is the client, and what may it read?
 *
 * It runs on a thread of its own and may block. Several may run at the same time.
 *
 * @param user_data  As you gave it.
 * @param request    The request. It lives until the callback returns.
 * @param access     Where to decide, with evs_access_allow, evs_access_set_channels and the like. If you decide
 *                   nothing, the client is refused. It lives until the callback returns.
 */
typedef void (*evs_authorize_fn)(void *user_data, const evs_request *request, evs_access *access);

/**
 * Called at each request that is for no mount.
 *
 * It runs on a thread of its own and may block. Several may run at the same time.
 *
 * @param user_data  As you gave it.
 * @param request    The request, with its body. It lives until the callback returns.
 * @param response   What to answer: a 404 without a body until you change it. It lives until the callback returns.
 */
typedef void (*evs_respond_fn)(void *user_data, const evs_request *request, evs_response *response);

/**
 * Makes a server, which does not listen yet.
 *
 * @param hub     The hub that it serves.
 * @param server  Where to store it; free with evs_server_free.
 *
 * @return OK, INVALID_ARGUMENT, CLOSED, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_new(evs_hub *hub, evs_server **server, evs_error **error);

/**
 * Serves streams at a path, of the channels that clients name: /events/?channel=a&channel=b.
 *
 * That may be any, also those that other mounts guard: see evs_server_mount_public. A server that has both kinds warns.
 *
 * @param server  The server, which does not listen yet.
 * @param path    The path, beginning with "/". Clients may leave out a "/" at its end. Whether it is valid is checked
 *                when the server listens.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_mount(evs_server *server,
                            const char *path,
                            size_t path_len,
                            evs_error **error);

/**
 * Serves metrics at a path, as evs_hub_metrics writes them: OpenMetrics where the client prefers it.
 *
 * Without a callback the server can only listen on a loopback address or a Unix socket.
 *
 * @param server          The server, which does not listen yet.
 * @param path            The path, as for evs_server_mount.
 * @param authorize       NULL, or what decides who may read them: the channels of the access do not matter.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_mount_metrics(evs_server *server,
                                    const char *path,
                                    size_t path_len,
                                    evs_authorize_fn authorize,
                                    void *user_data,
                                    evs_free_fn user_data_free,
                                    evs_error **error);

/**
 * Serves health at a path, as evs_hub_health writes it: with the status 200 when it is ready, or else 503; with "?live"
 * after the path, 200 as long as it is live.
 *
 * Without a callback the server can only listen on a loopback address or a Unix socket.
 *
 * @param server          The server, which does not listen yet.
 * @param path            The path, as for evs_server_mount.
 * @param authorize       NULL, or what decides who may read it: the channels of the access do not matter.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_mount_health(evs_server *server,
                                   const char *path,
                                   size_t path_len,
                                   evs_authorize_fn authorize,
                                   void *user_data,
                                   evs_free_fn user_data_free,
                                   evs_error **error);

/**
 * Serves streams at a path, always of these channels.
 *
 * @param server    The server, which does not listen yet.
 * @param path      The path, as for evs_server_mount.
 * @param channels  The names of the channels, copied. What is wrong with one, beyond UTF-8, shows when a client
 *                  comes.
 *
 * @return OK, INVALID_CHANNEL, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_mount_channels(evs_server *server,
                                     const char *path,
                                     size_t path_len,
                                     const evs_str *channels,
                                     size_t channels_len,
                                     evs_error **error);

/**
 * Serves streams at a path, as a callback decides at each request.
 *
 * @param server          The server, which does not listen yet.
 * @param path            The path, as for evs_server_mount.
 * @param authorize       What decides.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_mount_authorize(evs_server *server,
                                      const char *path,
                                      size_t path_len,
                                      evs_authorize_fn authorize,
                                      void *user_data,
                                      evs_free_fn user_data_free,
                                      evs_error **error);

/**
 * Serves streams at a path, of those of these channels that clients name in the query.
 *
 * @param server    The server, which does not listen yet.
 * @param path      The path, as for evs_server_mount.
 * @param channels  Names, and beginnings of names such as "news-*", copied. "*" is every channel.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_mount_public(evs_server *server,
                                   const char *path,
                                   size_t path_len,
                                   const evs_str *channels,
                                   size_t channels_len,
                                   evs_error **error);

/**
 * Serves streams at a path, as tokens grant them.
 *
 * @param server  The server, which does not listen yet.
 * @param path    The path, as for evs_server_mount.
 * @param jwt     Which tokens are accepted, copied.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_mount_jwt(evs_server *server,
                                const char *path,
                                size_t path_len,
                                const evs_jwt *jwt,
                                evs_error **error);

/**
 * Serves streams at a path, as tickets grant them.
 *
 * @param server   The server, which does not listen yet.
 * @param path     The path, as for evs_server_mount.
 * @param tickets  Which tickets are accepted, copied.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_mount_tickets(evs_server *server,
                                    const char *path,
                                    size_t path_len,
                                    const evs_tickets *tickets,
                                    evs_error **error);

/**
 * Answers requests that are for no mount by a callback, so that an application without a web framework can serve a
 * page and take what is posted. Without it they are answered with 404.
 *
 * The settings max_body_bytes, max_bodies_bytes and body_timeout_ms bound the bodies.
 *
 * @param server          The server, which does not listen yet.
 * @param respond         What answers, in place of the one before.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_fallback(evs_server *server,
                               evs_respond_fn respond,
                               void *user_data,
                               evs_free_fn user_data_free,
                               evs_error **error);

/**
 * Has the server listen, until it or its hub is closed, or it is freed.
 *
 * @param server   The server. After a failure you may try again, also with another address.
 * @param address  "host:port", such as "127.0.0.1:8000", "[::]:80" or "localhost:0", where port 0 takes a free one;
 *                 or "unix:PATH".
 *
 * @return OK; INVALID_CONFIG when the path of a mount is not valid; INVALID_ARGUMENT when the address is not, or the
 *         server listens already; IO when the address is taken or the like; CLOSED, FORKED.
 * @note Threads: any.
 */
evs_status evs_server_listen(evs_server *server,
                             const char *address,
                             size_t address_len,
                             evs_error **error);

/**
 * @return Where it listens, with the port that it was given, ended by NUL: "127.0.0.1:8000", "[::1]:8000" or
 *         "unix:PATH". It lives as long as the server. Empty before it listens or if server is NULL.
 * @note Threads: any, also at the same time.
 */
evs_str evs_server_address(const evs_server *server);

/**
 * @return The port it listens on; 0 before it listens, for a Unix socket, or if server is NULL.
 * @note Threads: any, also at the same time.
 */
uint16_t evs_server_port(const evs_server *server);

/**
 * Ends it: it takes no more connections, finishes the requests that it is answering, and asks the clients of its
 * streams to come back later. evs_hub_close does this too.
 *
 * @param server      The server.
 * @param timeout_ms  How long it may take, in milliseconds, or EVS_FOREVER.
 *
 * @return OK; TIMEOUT when a request or stream did not end in that time; IN_CALLBACK in a callback; INVALID_ARGUMENT,
 *         FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_close(evs_server *server,
                            uint64_t timeout_ms,
                            evs_error **error);

/**
 * Frees it. If it was not closed before, it ends at once.
 *
 * @note Threads: any, also a callback.
 */
void evs_server_free(evs_server *server);

/** @} */

/**
 * @defgroup tokens_and_tickets_that_decide_who_may_read_what Tokens and tickets that decide who may read what
 * @{
 */

/**
 * Accepts tokens of a key. evs_server_mount_jwt and evs_access_set_jwt have such tokens decide.
 *
 * @param key  A shared secret of 16 bytes or more (HS256); or an EC P-256 (ES256) or RSA key (RS256) as PEM or JSON Web
 *             Key. "base64:" may stand before the base64 of one. Or the address of a set of such keys, "https://...",
 *             which is fetched in the background, every ten minutes, and when a token names a key that it lacks;
 *             before the first answer clients are told to come back.
 * @param jwt  Where to store it; free with evs_jwt_free.
 *
 * @return OK; INVALID_CONFIG when it is no key, or can be guessed; INVALID_ARGUMENT.
 * @note Threads: any.
 */
evs_status evs_jwt_new(const char *key,
                       size_t key_len,
                       evs_jwt **jwt,
                       evs_error **error);

/**
 * Accepts tokens of another key too, such as the next one. There may be eight, and one address.
 *
 * @param jwt  The object.
 * @param key  The key, as for evs_jwt_new.
 *
 * @return OK, INVALID_CONFIG, INVALID_ARGUMENT.
 * @note Threads: one at a time for this object.
 */
evs_status evs_jwt_add_key(evs_jwt *jwt, const char *key, size_t key_len, evs_error **error);

/**
 * Requires that a token's "iss" is this.
 *
 * @param jwt     The object.
 * @param issuer  The issuer, copied.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: one at a time for this object.
 */
evs_status evs_jwt_set_issuer(evs_jwt *jwt, const char *issuer, size_t issuer_len, evs_error **error);

/**
 * Requires that a token's "aud" is or holds this, or another that was added so. Without any a token must not have
 * an audience.
 *
 * @param jwt       The object.
 * @param audience  The audience, copied.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: one at a time for this object.
 */
evs_status evs_jwt_add_audience(evs_jwt *jwt,
                                const char *audience,
                                size_t audience_len,
                                evs_error **error);

/**
 * Names the cookie that has the token, in place of "__Secure-evstream".
 *
 * @param jwt   The object.
 * @param name  The name, copied, which begins with "__Secure-" or "__Host-".
 *
 * @return OK, INVALID_CONFIG, INVALID_ARGUMENT.
 * @note Threads: one at a time for this object.
 */
evs_status evs_jwt_set_cookie(evs_jwt *jwt, const char *name, size_t name_len, evs_error **error);

/**
 * Decides on an access as the token of a request grants it, in place of evs_access_allow and the like. Without a
 * token that is accepted it is a refusal: 401, or "forbidden" in the stream of a client that asks for one, counted in
 * evs_stats.tokens_refused and logged.
 *
 * @param access   The access.
 * @param hub      The hub of which evs_hub_open is asked.
 * @param jwt      Which tokens are accepted.
 * @param request  A request that an evs_authorize_fn is shown, or that evs_hub_screen has left to the application.
 *
 * @return OK, also when it is a refusal; INVALID_ARGUMENT, FORKED.
 * @note Threads: one at a time for this access.
 */
evs_status evs_access_set_jwt(evs_access *access,
                              evs_hub *hub,
                              const evs_jwt *jwt,
                              const evs_request *request,
                              evs_error **error);

/**
 * Frees it. Servers that have been given it keep theirs.
 *
 * @note Threads: any.
 */
void evs_jwt_free(evs_jwt *jwt);

/**
 * Makes a kind of tickets.
 *
 * @param name           Tells them from those for other mounts: 1 to 200 bytes, copied.
 * @param open_within_s  How many seconds after it was made a ticket opens a new stream: 1 to 3,600, or 0 for 30.
 * @param lasts_s        How many seconds after it was made a ticket ends, and its stream with it: 1 to 604,800, or 0
 *                       for 3,600.
 * @param tickets        Where to store it; free with evs_tickets_free.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: any.
 */
evs_status evs_tickets_new(const char *name,
                           size_t name_len,
                           uint64_t open_within_s,
                           uint64_t lasts_s,
                           evs_tickets **tickets,
                           evs_error **error);

/**
 * Makes a ticket, signed with the option "ticket_secret" but not encrypted: letters, digits, "-" and "_".
 *
 * @param hub      The hub.
 * @param tickets  Its kind.
 * @param access   What it grants: channels (evs_access_set_channels), and perhaps a user and an expiry.
 * @param text     Where to store it; free with evs_text_free.
 *
 * @return OK; INVALID_ARGUMENT also for an access that is a refusal, allows what the client names, or has first
 *         events; TOO_LARGE when it would not fit into a URL; INVALID_CONFIG when there is a journal but no
 *         "ticket_secret"; FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_ticket(evs_hub *hub,
                          const evs_tickets *tickets,
                          const evs_access *access,
                          evs_text **text,
                          evs_error **error);

/**
 * Decides on an access as the ticket of a request grants it, in place of evs_access_allow and the like. Without a
 * ticket that is accepted it is a refusal: 401, or "forbidden" in the stream of a client that asks for one, counted in
 * evs_stats.tokens_refused and logged.
 *
 * @param access   The access.
 * @param hub      The hub of which evs_hub_open is asked.
 * @param tickets  Which tickets are accepted.
 * @param request  A request that an evs_authorize_fn is shown, or that evs_hub_screen has left to the application.
 *
 * @return OK, also when it is a refusal; INVALID_ARGUMENT, FORKED.
 * @note Threads: one at a time for this access.
 */
evs_status evs_access_set_ticket(evs_access *access,
                                 evs_hub *hub,
                                 const evs_tickets *tickets,
                                 const evs_request *request,
                                 evs_error **error);

/**
 * Frees it. Servers that have been given it keep theirs.
 *
 * @note Threads: any.
 */
void evs_tickets_free(evs_tickets *tickets);

/** @} */

/**
 * @defgroup a_server_of_evstreams_own A server of evstream's own
 * @{
 */

/**
 * Also takes events at POST /publish/, as GRIP proxies do, from anybody who reaches the server, which can then only
 * listen on a loopback address or a Unix socket. Channels are named there with the setting grip_prefix before them.
 *
 * @param server  The server, which does not listen yet.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_accept_publish(evs_server *server,
                                     evs_error **error);

/**
 * Also takes events at POST /publish/, from publishers with a user and a password.
 *
 * @param server    The server, which does not listen yet.
 * @param user      The user, copied; without a colon.
 * @param password  The password, copied.
 *
 * @return OK, INVALID_CONFIG, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_accept_publish_basic(evs_server *server,
                                           const char *user,
                                           size_t user_len,
                                           const char *password,
                                           size_t password_len,
                                           evs_error **error);

/**
 * Also takes events at POST /publish/, from publishers with a token.
 *
 * @param server  The server, which does not listen yet.
 * @param token   The token, copied: printable ASCII without blanks.
 *
 * @return OK, INVALID_CONFIG, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_accept_publish_bearer(evs_server *server,
                                            const char *token,
                                            size_t token_len,
                                            evs_error **error);

/**
 * Also takes events at POST /publish/, from publishers with a signed token (JWT).
 *
 * @param server  The server, which does not listen yet.
 * @param iss     Who signs: the claim "iss" of the token. Copied.
 * @param key     The key, as in GRIP settings: a secret, "base64:" and a secret, PEM or JWK. Copied; no error shows
 *                it.
 *
 * @return OK, INVALID_CONFIG, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_server_accept_publish_jwt(evs_server *server,
                                         const char *iss,
                                         size_t iss_len,
                                         const char *key,
                                         size_t key_len,
                                         evs_error **error);

/** @} */

/**
 * @defgroup subscriptions Subscriptions
 * @{
 */

/** What a message of a subscription is. New kinds may come with any version: ignore one that you do not know. */
EVS_ENUM(evs_message_kind) {
  /** An event that was published. */
  EVS_MESSAGE_KIND_EVENT = 1,
  /** Events were missed because the subscription was read too slowly. Reading goes on after position. */
  EVS_MESSAGE_KIND_RESET = 2,
};

/** What a subscription gives. Start with EVS_MESSAGE_INIT. */
typedef struct evs_message {
  /** sizeof(evs_message). */
  size_t struct_size;
  /** What it is; an evs_message_kind. */
  uint32_t kind;
  /** The position of the event, or that after which reading goes on: a text ended by NUL. */
  char position[EVS_POSITION_BYTES];
  /** The channel of an event; empty for a reset. */
  evs_str channel;
  /** The type of an event; NULL if it has none. */
  evs_str name;
  /** The data of an event, with LF between its lines. */
  evs_str data;
  /** The channels that have lost events, for a reset; NULL for an event. */
  const evs_str *channels;
  /** How many they are; 0 for an event. */
  size_t channels_len;
} evs_message;

/** An empty evs_message; also by a function, for languages that cannot use the macro. */
#define EVS_MESSAGE_INIT \
  {sizeof(evs_message), 0, {0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, NULL, 0}
static inline evs_message evs_message_init(void) {
  evs_message empty = EVS_MESSAGE_INIT;
  return empty;
}

/**
 * A reader of channels in this process. Like a client's stream it is a place in the channels' history: one that is
 * read too slowly gets a reset, and costs nothing.
 */
typedef struct evs_subscription evs_subscription;

/**
 * Called with each message of a subscription, one after the other.
 *
 * It runs on a thread of the subscription's own and may block. It is not called any more, unless it is running
 * already, when the hub is closed or the subscription is freed.
 *
 * @param user_data  As you gave it.
 * @param message    The message. It lives until the callback returns.
 */
typedef void (*evs_message_fn)(void *user_data, const evs_message *message);

/**
 * Reads channels from now on, with evs_subscription_next or evs_subscription_poll.
 *
 * @param hub           The hub.
 * @param channels      The names of the channels, one or more.
 * @param subscription  Where to store it; free with evs_subscription_free.
 *
 * @return OK, INVALID_CHANNEL, INVALID_ARGUMENT, CLOSED, FORKED; IO when threads cannot be started.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_subscribe(evs_hub *hub,
                             const evs_str *channels,
                             size_t channels_len,
                             evs_subscription **subscription,
                             evs_error **error);

/**
 * Reads channels from now on, and calls back with each message, on a thread that this starts.
 *
 * @param hub             The hub.
 * @param channels        The names of the channels, one or more.
 * @param on_message      What to call.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data.
 * @param subscription    Where to store it; evs_subscription_free ends it.
 *
 * @return OK, INVALID_CHANNEL, INVALID_ARGUMENT, CLOSED, FORKED; IO when threads cannot be started.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_subscribe_callback(evs_hub *hub,
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
 * @param timeout_ms    How long to wait, in milliseconds. 0 does not wait; EVS_FOREVER waits until the hub is closed.
 *                      When the subscription is attached to a ready queue, 0 is all that is allowed.
 * @param message       A structure started with EVS_MESSAGE_INIT. What it refers to lives until the next call for
 *                      this subscription.
 *
 * @return OK; ENDED when the hub is closed and all was read; TIMEOUT, without an error, when nothing came in time;
 *         PENDING in its place when the subscription is attached, and the queue tells when to call again; IN_CALLBACK
 *         when it would wait in a callback that must be short; INVALID_ARGUMENT, FORKED.
 * @note Threads: one at a time for this subscription.
 */
evs_status evs_subscription_next(evs_subscription *subscription,
                                 uint64_t timeout_ms,
                                 evs_message *message,
                                 evs_error **error);

/**
 * Takes the next message if there is one, or else calls back when there may be.
 *
 * @param subscription    A subscription without a callback, which is not attached to a ready queue.
 * @param message         A structure started with EVS_MESSAGE_INIT. What it refers to lives until the next call for
 *                        this subscription.
 * @param ready           What to call when it is worth calling this again: at most once, and, unless it is running
 *                        already, not after the next call for this subscription.
 * @param user_data       What to call it with.
 * @param user_data_free  NULL, or what frees user_data. When ready will not be called, it runs before this function
 *                        returns, and so does that of an earlier poll: hold no lock that it takes.
 *
 * @return OK, ENDED, and ready is not called; PENDING, and it is; INVALID_ARGUMENT, FORKED.
 * @note Threads: one at a time for this subscription.
 */
evs_status evs_subscription_poll(evs_subscription *subscription,
                                 evs_message *message,
                                 evs_ready_fn ready,
                                 void *user_data,
                                 evs_free_fn user_data_free,
                                 evs_error **error);

/**
 * Attaches a subscription to a ready queue, in place of the one before. From then on evs_subscription_next does not
 * wait: where it would, it returns PENDING, and the queue gives user_data when it is worth calling it again.
 *
 * @param subscription  A subscription without a callback.
 * @param queue         The queue.
 * @param user_data     What evs_ready_queue_pop is to give. evstream does not look at it, and does not give it any
 *                      more once the subscription is freed.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: one at a time for this subscription.
 */
evs_status evs_subscription_attach(evs_subscription *subscription,
                                   evs_ready_queue *queue,
                                   void *user_data,
                                   evs_error **error);

/**
 * Ends and frees it. A callback may still be running, until user_data_free is called.
 *
 * @note Threads: any, also its own callback.
 */
void evs_subscription_free(evs_subscription *subscription);

/** @} */

/**
 * @defgroup observers Observers
 * @{
 */

/** Why a stream ended. New reasons may come with any version. */
EVS_ENUM(evs_close_reason) {
  /** The client closed the connection, or it broke. */
  EVS_CLOSE_REASON_CLIENT = 1,
  /** The client's socket took no byte for the setting write_timeout_ms. */
  EVS_CLOSE_REASON_WRITE_TIMEOUT = 2,
  /** The stream fell behind, and the setting slow_client is "close". */
  EVS_CLOSE_REASON_SLOW = 3,
  /** The stream reached the setting max_age_ms. */
  EVS_CLOSE_REASON_MAX_AGE = 4,
  /** The hub or its server was closed. */
  EVS_CLOSE_REASON_SHUTDOWN = 5,
  /** The application let go of the stream. */
  EVS_CLOSE_REASON_DROPPED = 6,
  /** The right to read came to its end. */
  EVS_CLOSE_REASON_EXPIRED = 7,
  /** The application is to decide anew. */
  EVS_CLOSE_REASON_REAUTHORIZE = 8,
  /** Another stream of the same user has taken its place. */
  EVS_CLOSE_REASON_REPLACED = 9,
  /** The application has disconnected it. */
  EVS_CLOSE_REASON_DISCONNECTED = 10,
};

/** A client's stream, as observers and evs_hub_streams show it. */
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
  /** What it is called in evs_who. */
  evs_str id;
  /** How long it has been open, in milliseconds. */
  uint64_t age_ms;
  /**
   * How many events of its channels it was not given yet, of those that are kept: above 0 for long, its client is
   * too slow.
   */
  uint64_t behind;
} evs_stream_info;

/** An event that a GRIP proxy did not get, as observers are shown it. */
typedef struct evs_publish_failure {
  /** sizeof(evs_publish_failure) of the library. */
  size_t struct_size;
  /** The proxy, by its control URI; empty when it was the journal. */
  evs_str proxy;
  /** The channel, by its name on the proxy or in the journal. */
  evs_str channel;
  /** The place of the event: text, ended by NUL; empty when it has none. */
  char position[EVS_POSITION_BYTES];
  /** What went wrong. */
  const evs_error *error;
} evs_publish_failure;

/**
 * What to call when streams open and close, and when a GRIP proxy or the journal did not get an event. Start
 * with EVS_OBSERVER_INIT and set what you want to hear of.
 *
 * The callbacks run on evstream's threads, which other streams need, several at the same time. They must be short and
 * must not block. What they are shown lives until they return.
 */
typedef struct evs_observer {
  /** sizeof(evs_observer). */
  size_t struct_size;
  /** A client has opened a stream. */
  void (*stream_opened)(void *user_data, const evs_stream_info *stream);
  /** A stream has ended. The reason is an evs_close_reason. */
  void (*stream_closed)(void *user_data, const evs_stream_info *stream, uint32_t reason);
  /** A GRIP proxy, or the journal, did not get an event. */
  void (*publish_failed)(void *user_data, const evs_publish_failure *failure);
} evs_observer;

/** An empty evs_observer; also by a function, for languages that cannot use the macro. */
#define EVS_OBSERVER_INIT \
  {sizeof(evs_observer), NULL, NULL, NULL}
static inline evs_observer evs_observer_init(void) {
  evs_observer empty = EVS_OBSERVER_INIT;
  return empty;
}

/**
 * Has an observer told from now on. A hub takes one.
 *
 * @param hub             The hub.
 * @param observer        What to call, copied.
 * @param user_data       What to call it with. It is freed when the hub and all that was made from it are gone.
 * @param user_data_free  NULL, or what frees user_data.
 *
 * @return OK; INVALID_ARGUMENT, also when there is an observer already; CLOSED, FORKED.
 * @note Threads: any.
 */
evs_status evs_hub_observe(evs_hub *hub,
                           const evs_observer *observer,
                           void *user_data,
                           evs_free_fn user_data_free,
                           evs_error **error);

/** @} */

/**
 * @defgroup rights_that_change__and_who_is_there Rights that change, and who is there
 * @{
 */

/** Which streams are meant: those that have all of its parts. Start with EVS_WHO_INIT. */
typedef struct evs_who {
  /** sizeof(evs_who). */
  size_t struct_size;
  /** Streams of this user, as evs_access_set_user has named them; NULL for any. */
  evs_str user;
  /** Streams that read this channel, among others perhaps; NULL for any. */
  evs_str channel;
  /** The stream with this id, as observers are shown it; NULL for any. */
  evs_str stream;
  /** Says that all streams are meant, when nothing is named. */
  bool everyone;
} evs_who;

/** An empty evs_who; also by a function, for languages that cannot use the macro. */
#define EVS_WHO_INIT \
  {sizeof(evs_who), {NULL, 0}, {NULL, 0}, {NULL, 0}, false}
static inline evs_who evs_who_init(void) {
  evs_who empty = EVS_WHO_INIT;
  return empty;
}

/**
 * Has clients come back, and be decided on anew: after a change of rights or of channels. They miss nothing by
 * that. In all processes that share a journal.
 *
 * @param hub  The hub.
 * @param who  Whose streams.
 *
 * @return OK; INVALID_ARGUMENT, also when nobody is named; CLOSED, FORKED.
 * @note Threads: any, also at the same time. It does not wait.
 */
evs_status evs_hub_reopen(evs_hub *hub,
                          const evs_who *who,
                          evs_error **error);

/**
 * Ends streams whose clients are not to come back: they are told "forbidden" with the text, and get nothing
 * that is published after this call. In all processes that share a journal. It does not keep anyone from
 * asking again, which is for your callback to refuse.
 *
 * @param hub   The hub.
 * @param who   Whose streams.
 * @param text  What to tell the clients, of 1024 bytes at most.
 *
 * @return OK; INVALID_ARGUMENT, also when nobody is named; CLOSED, FORKED.
 * @note Threads: any, also at the same time. It does not wait.
 */
evs_status evs_hub_disconnect(evs_hub *hub,
                              const evs_who *who,
                              const char *text,
                              size_t text_len,
                              evs_error **error);

/** What is shown streams, one by one. */
typedef void (*evs_stream_fn)(void *user_data, const evs_stream_info *stream);

/** What is shown users, one by one. */
typedef void (*evs_user_fn)(void *user_data, evs_str user);

/**
 * Shows the streams of this process that are meant, from the oldest to the newest: for a list of who is there, and to
 * find the clients that are behind. Those that GRIP proxies hold are not among them.
 *
 * It waits for the threads that write the streams, which takes a millisecond or less; so an observer must not call it.
 *
 * @param hub        The hub.
 * @param who        Whose streams.
 * @param show       What to call with each, before this returns, on this thread.
 * @param user_data  What to call it with.
 *
 * @return OK; INVALID_ARGUMENT, also when nobody is named, or an observer asks; TIMEOUT when an observer has blocked
 *         those threads for 5 s; CLOSED, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_streams(evs_hub *hub,
                           const evs_who *who,
                           evs_stream_fn show,
                           void *user_data,
                           evs_error **error);

/**
 * Shows the users who have streams of a channel open in this process, each once, by their names. Otherwise as
 * evs_hub_streams.
 *
 * @param hub        The hub.
 * @param channel    The name of the channel.
 * @param show       What to call with each, before this returns, on this thread.
 * @param user_data  What to call it with.
 *
 * @return As evs_hub_streams.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_users(evs_hub *hub,
                         const char *channel,
                         size_t channel_len,
                         evs_user_fn show,
                         void *user_data,
                         evs_error **error);

/** @} */

/**
 * @defgroup figures Figures
 * @{
 */

/** Figures of a hub at one moment. Start with EVS_STATS_INIT. "So far" counts from evs_hub_new on. */
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
  /** Streams ended so far because the hub or the server was closed. */
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
  /** stream-reset events so far because a position was of another lifetime of the hub. */
  uint64_t resets_epoch;
  /** Requests refused so far because of max_streams, max_streams_per_address or max_streams_per_user. */
  uint64_t refused;
  /** Connections to servers of evstream that carry no stream: a request is being read or answered. */
  uint64_t connections;
  /**
   * Connections closed unread so far because of max_connections, max_connections_per_address or
   * proxy_protocol.
   */
  uint64_t connections_refused;
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
  uint64_t published;
  /** Bytes of history in memory now. */
  uint64_t history_bytes;
  /** 1 when the journal can be reached, as far as is known; 0 also without one. */
  uint64_t journal_connected;
  /** Milliseconds that the last event took from its place in the journal to here. */
  uint64_t journal_lag_ms;
  /** Times that the journal was followed from another beginning: 1 after the start. */
  uint64_t journal_epochs;
  /** Events of this process that wait to be appended to the journal. */
  uint64_t journal_waiting;
  /** Events of this process so far that the journal did not get. */
  uint64_t journal_failed;
  /** Requests refused so far because of their tokens. */
  uint64_t tokens_refused;
  /** Times so far that keys of tokens could not be fetched. */
  uint64_t key_failures;
} evs_stats;

/** An empty evs_stats; also by a function, for languages that cannot use the macro. */
#define EVS_STATS_INIT \
  {sizeof(evs_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
static inline evs_stats evs_stats_init(void) {
  evs_stats empty = EVS_STATS_INIT;
  return empty;
}

/**
 * Gives the figures of this moment.
 *
 * @param hub    The hub.
 * @param stats  A structure started with EVS_STATS_INIT.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_stats(evs_hub *hub, evs_stats *stats, evs_error **error);

/** @} */

/**
 * @defgroup metrics_and_health Metrics and health
 * @{
 */

/**
 * Writes the metrics of this moment for Prometheus and what reads its format.
 *
 * Counters begin at 0 with the hub. No label has a value that a client can choose.
 *
 * @param hub          The hub.
 * @param openmetrics  true for OpenMetrics 1.0, "application/openmetrics-text; version=1.0.0; charset=utf-8"; false for
 *                     the older format, "text/plain; version=0.0.4; charset=utf-8".
 * @param text         Where to store it; free with evs_text_free.
 *
 * @return OK, INVALID_ARGUMENT, FORKED.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_metrics(evs_hub *hub,
                           bool openmetrics,
                           evs_text **text,
                           evs_error **error);

/**
 * Says whether the process can serve, and what is wrong, as JSON: {"ready":true,"live":true,"problems":[]}.
 *
 * ready: whether new clients should be sent here. live: whether the process can still recover by itself, or should be
 * started anew. problems: what is wrong, in words for people.
 *
 * @param hub    The hub. In a forked child it is not ready.
 * @param ready  NULL, or where to store whether it is ready.
 * @param live   NULL, or where to store whether it is live.
 * @param text   NULL, or where to store the JSON; free with evs_text_free.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: any, also at the same time.
 */
evs_status evs_hub_health(evs_hub *hub,
                          bool *ready,
                          bool *live,
                          evs_text **text,
                          evs_error **error);

/** @} */

/**
 * @defgroup the_log The log
 * @{
 */

/** How much a line of the log matters. */
EVS_ENUM(evs_log_level) {
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

/**
 * Called with each line of the log.
 *
 * It runs on the thread that has something to say, which other streams may need, several at the same time. It must be
 * short and must not block. What evstream would log meanwhile on this thread is left out.
 *
 * @param user_data  As you gave it.
 * @param level      An evs_log_level.
 * @param target     Where it comes from, such as "evstream::server". It lives until the callback returns.
 * @param message    What there is to say, without a line end. It lives until the callback returns.
 */
typedef void (*evs_log_fn)(void *user_data, uint32_t level, evs_str target, evs_str message);

/**
 * Sends the log of the whole process to a callback, in place of the one before. Until it is called, errors go to the
 * standard error: events that are lost, and faults of the library.
 *
 * @param level           An evs_log_level: what is logged, with everything that matters more.
 * @param log             What to call, or NULL to log nothing.
 * @param user_data       What to call it with. It is freed when another callback has taken its place and it is not
 *                        running.
 * @param user_data_free  NULL, or what frees user_data.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: any.
 */
evs_status evs_log_set(uint32_t level,
                       evs_log_fn log,
                       void *user_data,
                       evs_free_fn user_data_free,
                       evs_error **error);

/** @} */

/**
 * @defgroup settings Settings
 * @{
 */

/**
 * Makes settings at their defaults.
 *
 * @param config  Where to store them; free with evs_config_free.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: any.
 */
evs_status evs_config_new(evs_config **config, evs_error **error);

/**
 * Sets a setting that is a number.
 *
 * @param config  The settings.
 * @param option  The setting, as EVS_OPTION_..., which stands for name and length.
 * @param value   Its value, in the unit at the end of its name.
 *
 * @return OK, INVALID_CONFIG, INVALID_ARGUMENT. On failure the setting is as it was, and the error says what is
 *         allowed.
 * @note Threads: one at a time for these settings.
 */
evs_status evs_config_set_integer(evs_config *config,
                                  const char *option,
                                  size_t option_len,
                                  uint64_t value,
                                  evs_error **error);

/**
 * Sets a setting that is a flag.
 *
 * @param config  The settings.
 * @param option  The setting, as EVS_OPTION_..., which stands for name and length.
 * @param value   Its value.
 *
 * @return OK, INVALID_CONFIG, INVALID_ARGUMENT. On failure the setting is as it was, and the error says what is
 *         allowed.
 * @note Threads: one at a time for these settings.
 */
evs_status evs_config_set_flag(evs_config *config,
                               const char *option,
                               size_t option_len,
                               bool value,
                               evs_error **error);

/**
 * Sets any setting by a text: a word or secret as it is, a number in digits, a flag as "true" or "false", a list as
 * its one element. It is for values from the environment or a command line.
 *
 * @param config  The settings.
 * @param option  The setting, as EVS_OPTION_..., which stands for name and length.
 * @param value   Its value, copied.
 *
 * @return OK, INVALID_CONFIG, INVALID_ARGUMENT. On failure the setting is as it was; the error says what is allowed,
 *         and never shows a secret.
 * @note Threads: one at a time for these settings.
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
 * @param config  The settings.
 * @param option  The setting, as EVS_OPTION_..., which stands for name and length.
 * @param values  Its elements, copied. NULL is allowed if values_len is 0.
 *
 * @return OK, INVALID_CONFIG, INVALID_ARGUMENT. On failure the setting is as it was; the error says what is allowed,
 *         and never shows a secret.
 * @note Threads: one at a time for these settings.
 */
evs_status evs_config_set_list(evs_config *config,
                               const char *option,
                               size_t option_len,
                               const evs_str *values,
                               size_t values_len,
                               evs_error **error);

/**
 * Takes the settings grip and grip_verify_key from the environment variables GRIP_URL and GRIP_VERIFY_KEY, as other
 * GRIP libraries do, where these are set and not empty. evs_hub_new checks what they mean.
 *
 * @param config  The settings.
 *
 * @return OK, INVALID_ARGUMENT.
 * @note Threads: one at a time for these settings, and not while another thread changes the environment.
 */
evs_status evs_config_grip_from_env(evs_config *config,
                                    evs_error **error);

/**
 * Frees settings. A hub that was made with them has its copy.
 *
 * @note Threads: any.
 */
void evs_config_free(evs_config *config);

/**
 * Events each channel keeps for clients that come back. 0 turns history off: then a client that missed an
 * event is told so with a stream-reset. An integer from 0 to 10000000; default 1000.
 */
#define EVS_OPTION_HISTORY_EVENTS EVS_LITERAL(EVS_OPTION_HISTORY_EVENTS_NAME)
#define EVS_OPTION_HISTORY_EVENTS_NAME "history_events"

/**
 * How long an event is kept, in milliseconds. An integer from 1 to 86400000; default 300000.
 */
#define EVS_OPTION_HISTORY_AGE_MS EVS_LITERAL(EVS_OPTION_HISTORY_AGE_MS_NAME)
#define EVS_OPTION_HISTORY_AGE_MS_NAME "history_age_ms"

/**
 * Bytes that all channels together keep; the oldest events of all channels make room first. The newest event
 * is kept whatever its size. A channel that has events counts as some 300 bytes, and channels without any,
 * which are kept for three minutes, take an eighth of this at most where there are many. An integer from
 * 4096 to 1099511627776; default 67108864.
 */
#define EVS_OPTION_HISTORY_BYTES EVS_LITERAL(EVS_OPTION_HISTORY_BYTES_NAME)
#define EVS_OPTION_HISTORY_BYTES_NAME "history_bytes"

/**
 * Events a channel with open streams keeps at least, which is how far a slow stream may fall behind. An
 * integer from 1 to 10000000; default 16384.
 */
#define EVS_OPTION_BACKLOG_EVENTS EVS_LITERAL(EVS_OPTION_BACKLOG_EVENTS_NAME)
#define EVS_OPTION_BACKLOG_EVENTS_NAME "backlog_events"

/**
 * Channels one stream may have; 18 at most with a GRIP proxy, 17 with user_channel. An integer from 1 to
 * 1000; default 10.
 */
#define EVS_OPTION_CHANNEL_LIMIT EVS_LITERAL(EVS_OPTION_CHANNEL_LIMIT_NAME)
#define EVS_OPTION_CHANNEL_LIMIT_NAME "channel_limit"

/**
 * Largest event, in bytes of data and comment. An integer from 1 to 1073741824; default 1048576.
 */
#define EVS_OPTION_MAX_EVENT_BYTES EVS_LITERAL(EVS_OPTION_MAX_EVENT_BYTES_NAME)
#define EVS_OPTION_MAX_EVENT_BYTES_NAME "max_event_bytes"

/**
 * Milliseconds without an event after which a keep-alive is sent. 0 turns keep-alives off. An integer from 0
 * to 3600000; default 20000.
 */
#define EVS_OPTION_KEEP_ALIVE_MS EVS_LITERAL(EVS_OPTION_KEEP_ALIVE_MS_NAME)
#define EVS_OPTION_KEEP_ALIVE_MS_NAME "keep_alive_ms"

/**
 * Sends keep-alives as a comment, which a page does not see, instead of a keep-alive event. A flag; default
 * false.
 */
#define EVS_OPTION_KEEP_ALIVE_COMMENT EVS_LITERAL(EVS_OPTION_KEEP_ALIVE_COMMENT_NAME)
#define EVS_OPTION_KEEP_ALIVE_COMMENT_NAME "keep_alive_comment"

/**
 * Milliseconds in which a client's socket must accept at least one byte before its stream, or another
 * answer, is given up and the connection closed. An integer from 10 to 3600000; default 30000.
 */
#define EVS_OPTION_WRITE_TIMEOUT_MS EVS_LITERAL(EVS_OPTION_WRITE_TIMEOUT_MS_NAME)
#define EVS_OPTION_WRITE_TIMEOUT_MS_NAME "write_timeout_ms"

/**
 * What a stream that has fallen behind the backlog gets: reset tells it and goes on, close closes it so that
 * the client comes back. A text, one of reset, close; default reset.
 */
#define EVS_OPTION_SLOW_CLIENT EVS_LITERAL(EVS_OPTION_SLOW_CLIENT_NAME)
#define EVS_OPTION_SLOW_CLIENT_NAME "slow_client"

/**
 * Milliseconds after which a stream is closed so that the client comes back; up to a tenth is added at
 * random. 0 lets streams live for ever. An integer from 0 to 604800000; default 0.
 */
#define EVS_OPTION_MAX_AGE_MS EVS_LITERAL(EVS_OPTION_MAX_AGE_MS_NAME)
#define EVS_OPTION_MAX_AGE_MS_NAME "max_age_ms"

/**
 * Milliseconds after which a stream is closed so that the client comes back and the application decides anew
 * whether it may read; up to a tenth is added at random. 0 lets a decision hold for as long as the stream.
 * An integer from 0 to 604800000; default 0.
 */
#define EVS_OPTION_REAUTHORIZE_MS EVS_LITERAL(EVS_OPTION_REAUTHORIZE_MS_NAME)
#define EVS_OPTION_REAUTHORIZE_MS_NAME "reauthorize_ms"

/**
 * Milliseconds a client is asked to wait when the server closes its stream, or cannot open one now (then a
 * second at least); up to as much again is added, another part of it for each client, so that they do not
 * come back all at once. An integer from 0 to 3600000; default 2000.
 */
#define EVS_OPTION_RETRY_MS EVS_LITERAL(EVS_OPTION_RETRY_MS_NAME)
#define EVS_OPTION_RETRY_MS_NAME "retry_ms"

/**
 * Streams open at once; one more client is asked to come back later. 0 sets no limit. An integer from 0 to
 * 100000000; default 0.
 */
#define EVS_OPTION_MAX_STREAMS EVS_LITERAL(EVS_OPTION_MAX_STREAMS_NAME)
#define EVS_OPTION_MAX_STREAMS_NAME "max_streams"

/**
 * Streams open at once from one client address, or from one /64 network of IPv6; one more client is asked to
 * come back later. 0 sets no limit. An integer from 0 to 100000000; default 0.
 */
#define EVS_OPTION_MAX_STREAMS_PER_ADDRESS EVS_LITERAL(EVS_OPTION_MAX_STREAMS_PER_ADDRESS_NAME)
#define EVS_OPTION_MAX_STREAMS_PER_ADDRESS_NAME "max_streams_per_address"

/**
 * Streams open at once in this process of one user, as the application names them; over_user_limit says what
 * becomes of one more. Streams that a GRIP proxy holds do not count. 0 sets no limit. An integer from 0 to
 * 100000000; default 0.
 */
#define EVS_OPTION_MAX_STREAMS_PER_USER EVS_LITERAL(EVS_OPTION_MAX_STREAMS_PER_USER_NAME)
#define EVS_OPTION_MAX_STREAMS_PER_USER_NAME "max_streams_per_user"

/**
 * Has each stream of a user, as the application names them, read the user's own channel too, which
 * publish_to_user publishes to. It leaves channel_limit one less with a GRIP proxy, and users' names 250
 * bytes. A flag; default false.
 */
#define EVS_OPTION_USER_CHANNEL EVS_LITERAL(EVS_OPTION_USER_CHANNEL_NAME)
#define EVS_OPTION_USER_CHANNEL_NAME "user_channel"

/**
 * The secret that signs tickets, 16 bytes or more, the same in all processes; a random one of this process
 * when it is not set, so that the tickets of others and of before a restart are refused. A journal needs it
 * to be set. A text; default none.
 */
#define EVS_OPTION_TICKET_SECRET EVS_LITERAL(EVS_OPTION_TICKET_SECRET_NAME)
#define EVS_OPTION_TICKET_SECRET_NAME "ticket_secret"

/**
 * What happens when a user opens one stream more: replace ends the oldest, which may be a client that is
 * gone and has not been missed yet, and tells it to come back in a day; refuse asks the new client to come
 * back later. A text, one of replace, refuse; default replace.
 */
#define EVS_OPTION_OVER_USER_LIMIT EVS_LITERAL(EVS_OPTION_OVER_USER_LIMIT_NAME)
#define EVS_OPTION_OVER_USER_LIMIT_NAME "over_user_limit"

/**
 * Proxies whose word on clients' addresses counts: addresses, networks such as 10.0.0.0/8, and unix for
 * requests without an address, as they come by a Unix socket. The client is the right-most in
 * forwarded_header that is none of these; limits per address go by it, and what functions for access are
 * shown. A list of texts; default none.
 */
#define EVS_OPTION_TRUSTED_PROXIES EVS_LITERAL(EVS_OPTION_TRUSTED_PROXIES_NAME)
#define EVS_OPTION_TRUSTED_PROXIES_NAME "trusted_proxies"

/**
 * Where those proxies say whom a request comes from: the one header that they write. A client may write the
 * other. A text, one of x-forwarded-for, forwarded; default x-forwarded-for.
 */
#define EVS_OPTION_FORWARDED_HEADER EVS_LITERAL(EVS_OPTION_FORWARDED_HEADER_NAME)
#define EVS_OPTION_FORWARDED_HEADER_NAME "forwarded_header"

/**
 * Whether each connection to the library's server begins with a header of the PROXY protocol, version 1 or
 * 2, which tells its client's address. Connections are then taken of trusted_proxies alone; others, and
 * those without a header within header_timeout_ms, are closed, and counted as connections_refused. A flag;
 * default false.
 */
#define EVS_OPTION_PROXY_PROTOCOL EVS_LITERAL(EVS_OPTION_PROXY_PROTOCOL_NAME)
#define EVS_OPTION_PROXY_PROTOCOL_NAME "proxy_protocol"

/**
 * Origins that may read streams across sites: exact, as browsers send them, such as https://example.com, or
 * * for any. A list of texts; default none.
 */
#define EVS_OPTION_CORS_ORIGINS EVS_LITERAL(EVS_OPTION_CORS_ORIGINS_NAME)
#define EVS_OPTION_CORS_ORIGINS_NAME "cors_origins"

/**
 * Lets pages of those origins send cookies. WARNING: with * any site can then read what its visitors may
 * read. A flag; default false.
 */
#define EVS_OPTION_CORS_CREDENTIALS EVS_LITERAL(EVS_OPTION_CORS_CREDENTIALS_NAME)
#define EVS_OPTION_CORS_CREDENTIALS_NAME "cors_credentials"

/**
 * Request headers those pages may set besides Last-Event-ID and Cache-Control. A list of texts; default
 * none.
 */
#define EVS_OPTION_CORS_HEADERS EVS_LITERAL(EVS_OPTION_CORS_HEADERS_NAME)
#define EVS_OPTION_CORS_HEADERS_NAME "cors_headers"

/**
 * GRIP proxies, as GRIP_URL has them: http://localhost:5561?key=.... Streams of requests that come through
 * one are handed over to it, and events are published to all. A list of texts; default none.
 */
#define EVS_OPTION_GRIP EVS_LITERAL(EVS_OPTION_GRIP_NAME)
#define EVS_OPTION_GRIP_NAME "grip"

/**
 * The key that verifies the Grip-Sig of requests, for proxies whose URL has none: text, base64:, PEM or JWK.
 * A text; default none.
 */
#define EVS_OPTION_GRIP_VERIFY_KEY EVS_LITERAL(EVS_OPTION_GRIP_VERIFY_KEY_NAME)
#define EVS_OPTION_GRIP_VERIFY_KEY_NAME "grip_verify_key"

/**
 * Put before the name of every channel on the proxies. A text; default events-.
 */
#define EVS_OPTION_GRIP_PREFIX EVS_LITERAL(EVS_OPTION_GRIP_PREFIX_NAME)
#define EVS_OPTION_GRIP_PREFIX_NAME "grip_prefix"

/**
 * Answers requests that did not come through a proxy with 501. A flag; default false.
 */
#define EVS_OPTION_GRIP_REQUIRED EVS_LITERAL(EVS_OPTION_GRIP_REQUIRED_NAME)
#define EVS_OPTION_GRIP_REQUIRED_NAME "grip_required"

/**
 * Says that no other process publishes to these channels: then a proxy notices what it has missed and has it
 * repaired, in order, before a client can come back without it. Set in one of several publishers, it hides
 * the events of the others. Without it what any process publishes arrives live, and what got lost on the way
 * to a proxy stays lost. A flag; default false.
 */
#define EVS_OPTION_GRIP_SOLE_PUBLISHER EVS_LITERAL(EVS_OPTION_GRIP_SOLE_PUBLISHER_NAME)
#define EVS_OPTION_GRIP_SOLE_PUBLISHER_NAME "grip_sole_publisher"

/**
 * Believes any Grip-Sig where no key can verify it. Only safe when clients cannot reach the application
 * itself. A flag; default false.
 */
#define EVS_OPTION_GRIP_TRUST_UNVERIFIED EVS_LITERAL(EVS_OPTION_GRIP_TRUST_UNVERIFIED_NAME)
#define EVS_OPTION_GRIP_TRUST_UNVERIFIED_NAME "grip_trust_unverified"

/**
 * Milliseconds after which a proxy asks for what it may have missed, which bounds how late a lost event
 * comes. An integer from 1000 to 3600000; default 45000.
 */
#define EVS_OPTION_GRIP_LINK_TIMEOUT_MS EVS_LITERAL(EVS_OPTION_GRIP_LINK_TIMEOUT_MS_NAME)
#define EVS_OPTION_GRIP_LINK_TIMEOUT_MS_NAME "grip_link_timeout_ms"

/**
 * Milliseconds for which a stream at a proxy is repaired without asking the application again. An integer
 * from 60000 to 2592000000; default 86400000.
 */
#define EVS_OPTION_GRIP_LINK_LIFETIME_MS EVS_LITERAL(EVS_OPTION_GRIP_LINK_LIFETIME_MS_NAME)
#define EVS_OPTION_GRIP_LINK_LIFETIME_MS_NAME "grip_link_lifetime_ms"

/**
 * The secret that signs links, 16 bytes or more, the same in all processes; derived from the keys of the
 * proxies when it is not set. A text; default none.
 */
#define EVS_OPTION_GRIP_LINK_SECRET EVS_LITERAL(EVS_OPTION_GRIP_LINK_SECRET_NAME)
#define EVS_OPTION_GRIP_LINK_SECRET_NAME "grip_link_secret"

/**
 * Publishes through the HTTP proxy that the environment names for requests (http_proxy, https_proxy,
 * all_proxy, no_proxy), which then sees the key of a GRIP proxy that is reached without TLS. A flag; default
 * false.
 */
#define EVS_OPTION_GRIP_ENV_PROXY EVS_LITERAL(EVS_OPTION_GRIP_ENV_PROXY_NAME)
#define EVS_OPTION_GRIP_ENV_PROXY_NAME "grip_env_proxy"

/**
 * Where the routes of a proxy rewrite the beginning of paths: what they take off, such as /base, or what is
 * in front of the proxy and what is behind it, such as /live/=/events/. Without it the links of such streams
 * lead nowhere. A text; default none.
 */
#define EVS_OPTION_GRIP_PUBLIC_PATH EVS_LITERAL(EVS_OPTION_GRIP_PUBLIC_PATH_NAME)
#define EVS_OPTION_GRIP_PUBLIC_PATH_NAME "grip_public_path"

/**
 * Events that may wait for one proxy; one more fails with queue-full. An integer from 1 to 10000000; default
 * 10000.
 */
#define EVS_OPTION_GRIP_QUEUE_EVENTS EVS_LITERAL(EVS_OPTION_GRIP_QUEUE_EVENTS_NAME)
#define EVS_OPTION_GRIP_QUEUE_EVENTS_NAME "grip_queue_events"

/**
 * Milliseconds for which delivering an event to a proxy is tried. An integer from 100 to 3600000; default
 * 10000.
 */
#define EVS_OPTION_GRIP_DEADLINE_MS EVS_LITERAL(EVS_OPTION_GRIP_DEADLINE_MS_NAME)
#define EVS_OPTION_GRIP_DEADLINE_MS_NAME "grip_deadline_ms"

/**
 * Where the events of several processes are one: file:/run/app/events for the processes of one host, or a
 * Redis, redis://host:6379/0?namespace=app (also rediss://, redis+unix://, redis+sentinel://,
 * redis+cluster://). With rediss://, &ca=/path/ca.pem names authorities that are trusted instead of the
 * system's. Empty takes it from the environment variable EVSTREAM_JOURNAL; without one, and with none, the
 * events are those of this process. A text; default none.
 */
#define EVS_OPTION_JOURNAL EVS_LITERAL(EVS_OPTION_JOURNAL_NAME)
#define EVS_OPTION_JOURNAL_NAME "journal"

/**
 * Bytes that the journal keeps of all channels, for processes that start and for clients that come back to
 * them. Of a file, the first process to use it decides. An integer from 65536 to 1099511627776; default
 * 67108864.
 */
#define EVS_OPTION_JOURNAL_BYTES EVS_LITERAL(EVS_OPTION_JOURNAL_BYTES_NAME)
#define EVS_OPTION_JOURNAL_BYTES_NAME "journal_bytes"

/**
 * Milliseconds for which appending an event to the journal is tried. An integer from 100 to 3600000; default
 * 10000.
 */
#define EVS_OPTION_JOURNAL_DEADLINE_MS EVS_LITERAL(EVS_OPTION_JOURNAL_DEADLINE_MS_NAME)
#define EVS_OPTION_JOURNAL_DEADLINE_MS_NAME "journal_deadline_ms"

/**
 * Events that may wait for the journal; one more fails with queue-full. An integer from 1 to 10000000;
 * default 10000.
 */
#define EVS_OPTION_JOURNAL_QUEUE_EVENTS EVS_LITERAL(EVS_OPTION_JOURNAL_QUEUE_EVENTS_NAME)
#define EVS_OPTION_JOURNAL_QUEUE_EVENTS_NAME "journal_queue_events"

/**
 * Uses a Redis that does not tell what it replicates from (INFO replication): then events that it loses in a
 * failover, or that are not in a snapshot it starts from, are lost silently. A flag; default false.
 */
#define EVS_OPTION_JOURNAL_UNFENCED EVS_LITERAL(EVS_OPTION_JOURNAL_UNFENCED_NAME)
#define EVS_OPTION_JOURNAL_UNFENCED_NAME "journal_unfenced"

/**
 * Threads that write to sockets. 0 means one per two processors, at least one. An integer from 0 to 256;
 * default 0.
 */
#define EVS_OPTION_SHARDS EVS_LITERAL(EVS_OPTION_SHARDS_NAME)
#define EVS_OPTION_SHARDS_NAME "shards"

/**
 * Threads that accept connections and read requests. 0 means one per two processors, at least one. An
 * integer from 0 to 256; default 0.
 */
#define EVS_OPTION_SERVER_THREADS EVS_LITERAL(EVS_OPTION_SERVER_THREADS_NAME)
#define EVS_OPTION_SERVER_THREADS_NAME "server_threads"

/**
 * Threads on which a server's functions for access may run at once, and as many again for its fallback: the
 * one kind does not hold up the other. An integer from 1 to 4096; default 256.
 */
#define EVS_OPTION_HOOK_THREADS EVS_LITERAL(EVS_OPTION_HOOK_THREADS_NAME)
#define EVS_OPTION_HOOK_THREADS_NAME "hook_threads"

/**
 * Milliseconds for which a request may wait for such a thread; then it is asked to come back later, with
 * stream-close or 503. An integer from 10 to 3600000; default 10000.
 */
#define EVS_OPTION_HOOK_WAIT_MS EVS_LITERAL(EVS_OPTION_HOOK_WAIT_MS_NAME)
#define EVS_OPTION_HOOK_WAIT_MS_NAME "hook_wait_ms"

/**
 * Milliseconds in which a client must send a whole request head. An integer from 10 to 3600000; default
 * 10000.
 */
#define EVS_OPTION_HEADER_TIMEOUT_MS EVS_LITERAL(EVS_OPTION_HEADER_TIMEOUT_MS_NAME)
#define EVS_OPTION_HEADER_TIMEOUT_MS_NAME "header_timeout_ms"

/**
 * Largest request head, in bytes, its first line included. An integer from 8192 to 1048576; default 16384.
 */
#define EVS_OPTION_MAX_HEADER_BYTES EVS_LITERAL(EVS_OPTION_MAX_HEADER_BYTES_NAME)
#define EVS_OPTION_MAX_HEADER_BYTES_NAME "max_header_bytes"

/**
 * Largest request target (path and query), in bytes; a longer one is answered with 414. An integer from 64
 * to 65534; default 8192.
 */
#define EVS_OPTION_MAX_URL_BYTES EVS_LITERAL(EVS_OPTION_MAX_URL_BYTES_NAME)
#define EVS_OPTION_MAX_URL_BYTES_NAME "max_url_bytes"

/**
 * Connections that the library's servers read requests from or answer at once; one more is closed, and
 * counted as connections_refused. Those that carry a stream count as streams only. 0 sets no limit. An
 * integer from 0 to 100000000; default 10000.
 */
#define EVS_OPTION_MAX_CONNECTIONS EVS_LITERAL(EVS_OPTION_MAX_CONNECTIONS_NAME)
#define EVS_OPTION_MAX_CONNECTIONS_NAME "max_connections"

/**
 * The same from one client address, or from one /64 network of IPv6. For servers that clients reach
 * directly: a proxy in front is one address, unless it is one of trusted_proxies, whose connections do not
 * count. 0 sets no limit. An integer from 0 to 100000000; default 0.
 */
#define EVS_OPTION_MAX_CONNECTIONS_PER_ADDRESS EVS_LITERAL(EVS_OPTION_MAX_CONNECTIONS_PER_ADDRESS_NAME)
#define EVS_OPTION_MAX_CONNECTIONS_PER_ADDRESS_NAME "max_connections_per_address"

/**
 * Largest request body that a server's fallback is given, in bytes; a larger one is answered with 413. An
 * integer from 0 to 1073741824; default 1048576.
 */
#define EVS_OPTION_MAX_BODY_BYTES EVS_LITERAL(EVS_OPTION_MAX_BODY_BYTES_NAME)
#define EVS_OPTION_MAX_BODY_BYTES_NAME "max_body_bytes"

/**
 * Milliseconds in which a client must send a whole request body. An integer from 10 to 3600000; default
 * 30000.
 */
#define EVS_OPTION_BODY_TIMEOUT_MS EVS_LITERAL(EVS_OPTION_BODY_TIMEOUT_MS_NAME)
#define EVS_OPTION_BODY_TIMEOUT_MS_NAME "body_timeout_ms"

/**
 * Bytes of request bodies that one server keeps in memory at once; a request that would need more is
 * answered with 503, and one that is larger than this with 413. An integer from 0 to 1099511627776; default
 * 67108864.
 */
#define EVS_OPTION_MAX_BODIES_BYTES EVS_LITERAL(EVS_OPTION_MAX_BODIES_BYTES_NAME)
#define EVS_OPTION_MAX_BODIES_BYTES_NAME "max_bodies_bytes"

/** @} */

#ifdef __cplusplus
}
#endif

#endif /* EVSTREAM_H */
