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
