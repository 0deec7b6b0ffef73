/* A bare relay on uWebSockets: what is sent on a path goes to all others on it. No tokens, no order among
 * publishers' channels, no bound that anybody is told of: the practical limit of one write a delivery.
 *
 *     uwebsockets PORT        listens on 127.0.0.1
 *
 * uWebSockets is C++ and comes in no package of Debian. The one for Python that carries it has a C interface, of which
 * this declares what it needs: the functions, and the layout of what is passed to them, in version 0.0.31.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct tls_options {
    const char *files[6];
    int low_memory;
};

struct listen_options {
    int port;
    const char *host;
    int flags;
};

typedef void (*handler)(void);

/* Compression 0 is none. Sizes in bytes, times in seconds. */
struct behavior {
    int compression;
    unsigned max_payload;
    unsigned short idle_timeout;
    unsigned max_backpressure;
    bool close_on_backpressure;
    bool reset_idle_on_send;
    bool send_pings;
    unsigned short max_lifetime;
    handler upgrade, open, message, drain, ping, pong, close, subscription;
};

void *uws_create_app(int tls, struct tls_options options);
void uws_ws(int tls, void *app, const char *pattern, struct behavior behavior, void *user);
void uws_app_listen_with_config(int tls, void *app, struct listen_options where, handler listening, void *user);
void uws_app_run(int tls, void *app);
size_t uws_req_get_url(void *request, const char **into);
size_t uws_req_get_header(void *request, const char *name, size_t length, const char **into);
void uws_res_upgrade(int tls, void *response, void *user, const char *key, size_t key_length, const char *protocol,
                     size_t protocol_length, const char *extensions, size_t extensions_length, void *context);
void *uws_ws_get_user_data(int tls, void *socket);
bool uws_ws_subscribe(int tls, void *socket, const char *topic, size_t length);
bool uws_ws_publish_with_options(int tls, void *socket, const char *topic, size_t topic_length, const char *message,
                                 size_t length, int opcode, bool compress);

static void upgrade(void *response, void *request, void *context, void *user) {
    static const char KEY[] = "sec-websocket-key";
    const char *path, *key;
    size_t length = uws_req_get_url(request, &path);
    size_t key_length = uws_req_get_header(request, KEY, sizeof KEY - 1, &key);
    (void)user;
    uws_res_upgrade(0, response, strndup(path, length), key, key_length, "", 0, "", 0, context);
}

static void opened(void *socket, void *user) {
    const char *path = uws_ws_get_user_data(0, socket);
    (void)user;
    uws_ws_subscribe(0, socket, path, strlen(path));
}

static void received(void *socket, const char *message, size_t length, int opcode, void *user) {
    const char *path = uws_ws_get_user_data(0, socket);
    (void)user;
    uws_ws_publish_with_options(0, socket, path, strlen(path), message, length, opcode, false);
}

static void closed(void *socket, int code, const char *reason, size_t length, void *user) {
    (void)code, (void)reason, (void)length, (void)user;
    free(uws_ws_get_user_data(0, socket));
}

static void listening(void *socket, struct listen_options where, void *user) {
    (void)user;
    if (!socket) {
        fprintf(stderr, "uwebsockets: 127.0.0.1:%d cannot be listened on\n", where.port);
        exit(1);
    }
}

int main(int count, char **words) {
    int port = count == 2 ? atoi(words[1]) : 0;
    if (port <= 0) {
        fputs("usage: uwebsockets PORT\n", stderr);
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    void *app = uws_create_app(0, (struct tls_options){0});
    /* The defaults of uWebSockets, but for what it lets wait for a connection: 4 MiB, as philote does. */
    struct behavior behavior = {
        .max_payload = 1 << 20,
        .idle_timeout = 120,
        .max_backpressure = 4 << 20,
        .reset_idle_on_send = true,
        .send_pings = true,
        .upgrade = (handler)upgrade,
        .open = (handler)opened,
        .message = (handler)received,
        .close = (handler)closed,
    };
    uws_ws(0, app, "/*", behavior, NULL);
    uws_app_listen_with_config(0, app, (struct listen_options){port, "127.0.0.1", 0}, (handler)listening, NULL);
    uws_app_run(0, app);
    return 0;
}
