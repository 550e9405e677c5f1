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
