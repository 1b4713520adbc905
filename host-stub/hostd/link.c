// SPDX-License-Identifier: BSD-3-Clause
//
// The link to the agent: see link.h. One thread sends Hellos and calls greeted(); the state is
// under one mutex, which is never held over a call.

#include "hostd/link.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostd/clock.h"
#include "proto/base/log.h"

// An agent that restarts is away for about a second: look often. After that once in two seconds,
// which on loopback or a local wire costs nothing.
enum { RECONNECT_MIN_MS = 50, RECONNECT_MAX_MS = 1000 };

enum state { LINK_DOWN, LINK_STARTING, LINK_UP };

struct agent_link {
	struct link_config config;
	char url[LIMIT_PATH + 1];
	struct wire_client *client;
	pthread_t thread;
	bool started;

	pthread_mutex_t mutex; // of all below
	pthread_cond_t wake;
	_Atomic bool stopping;
	bool connected;           // says nng
	unsigned int connections; // so far; tells a new connection from the one a Hello went by
	bool nudged;
	enum state state;
	uint64_t changed_ms;     // when up became down or the reverse
	uint64_t last_answer_ms; // of the agent; start-up if never
	char why[LIMIT_TEXT + 1];
	char instance_id[LIMIT_ID + 1];
};

// The mutex is held. Returns whether others must be told.
static bool set_state(struct agent_link *link, enum state state, const char *why)
{
	bool was_up = link->state == LINK_UP;

	snprintf(link->why, sizeof(link->why), "%s", why);
	if (link->state == state)
		return false;
	link->state = state;
	if (was_up || state == LINK_UP)
		link->changed_ms = clock_ms();
	return true;
}

static void go_down(struct agent_link *link, const char *why)
{
	bool news, changed;

	pthread_mutex_lock(&link->mutex);
	news = link->state == LINK_UP || strcmp(link->why, why) != 0;
	changed = set_state(link, LINK_DOWN, why);
	pthread_mutex_unlock(&link->mutex);
	if (news)
		log_warning("agent is away", "url=%s reason=\"%s\"", link->url, why);
	if (changed)
		link->config.changed(link->config.arg);
}

// Unless the connection that this was found out by is gone: then the state is down already, and
// the next connection has to find out by itself.
static void go_forward(struct agent_link *link, enum state state, unsigned int connection)
{
	bool changed = false;

	pthread_mutex_lock(&link->mutex);
	if (link->connected && link->connections == connection)
		changed = set_state(link, state, "");
	pthread_mutex_unlock(&link->mutex);
	if (!changed)
		return;
	if (state == LINK_UP)
		log_info("agent is there", "url=%s instance=%s", link->url, link->instance_id);
	link->config.changed(link->config.arg);
}

// On a thread of nng's.
static void on_link(bool up, void *arg)
{
	struct agent_link *link = arg;

	pthread_mutex_lock(&link->mutex);
	link->connected = up;
	link->connections += up;
	pthread_cond_signal(&link->wake);
	pthread_mutex_unlock(&link->mutex);
	if (!up)
		go_down(link, "the connection was lost");
}

// ---- the thread ----------------------------------------------------------------------------------

// Until it is time for a Hello: at once when a connection comes, else by the second while there is
// one. false: stop.
static bool wait_for_turn(struct agent_link *link, uint64_t next_ms)
{
	struct timespec until = {.tv_sec = (time_t)(next_ms / 1000),
				 .tv_nsec = (long)(next_ms % 1000) * 1000000};

	pthread_mutex_lock(&link->mutex);
	while (!link->stopping) {
		if (!link->connected)
			pthread_cond_wait(&link->wake, &link->mutex);
		else if (link->state == LINK_DOWN || link->nudged || clock_ms() >= next_ms)
			break;
		else
			pthread_cond_timedwait(&link->wake, &link->mutex, &until);
	}
	link->nudged = false;
	pthread_mutex_unlock(&link->mutex);
	return !link->stopping;
}

static int say_hello(struct agent_link *link, struct reply *ret_reply, struct error *err)
{
	struct request request = {.timeout_ms = LINK_HELLO_TIMEOUT_MS,
				  .call = CALL_HELLO,
				  .body.hello = link->config.hello};
	int r = wire_client_call(link->client, &request, request.timeout_ms, ret_reply, err);

	if (r < 0)
		return r;
	if (ret_reply->code != CODE_OK) {
		r = reply_to_error(ret_reply, err);
	} else if (ret_reply->body.hello.protocol_version != PROTOCOL_VERSION) {
		r = error_set(err, EPROTO, CODE_UNSUPPORTED,
			      "the agent speaks protocol version %u, this is %u",
			      ret_reply->body.hello.protocol_version, PROTOCOL_VERSION);
	}
	if (r < 0)
		reply_clear(ret_reply);
	return r;
}

// One Hello and what follows from it. 0, or negative: the link is down.
static int take_turn(struct agent_link *link, struct error *err)
{
	struct reply reply;
	unsigned int connection;
	bool fresh;
	int r;

	pthread_mutex_lock(&link->mutex);
	connection = link->connections;
	pthread_mutex_unlock(&link->mutex);
	r = say_hello(link, &reply, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&link->mutex);
	link->last_answer_ms = clock_ms();
	fresh = link->state != LINK_UP || strcmp(link->instance_id, reply.instance_id) != 0;
	snprintf(link->instance_id, sizeof(link->instance_id), "%s", reply.instance_id);
	pthread_mutex_unlock(&link->mutex);
	if (fresh)
		go_forward(link, LINK_STARTING, connection);
	r = link->config.greeted(&reply.body.hello, fresh, link->config.arg, err);
	reply_clear(&reply);
	if (r < 0)
		return r;
	if (fresh)
		go_forward(link, LINK_UP, connection);
	return 0;
}

static void *run(void *arg)
{
	struct agent_link *link = arg;
	struct error error;
	uint64_t next_ms = 0;

	pthread_setname_np(pthread_self(), "link");
	while (wait_for_turn(link, next_ms)) {
		next_ms = clock_ms() + LINK_HELLO_MS;
		if (take_turn(link, &error) == 0)
			continue;
		go_down(link, error.message);
		// What refuses at once would be asked in a loop.
		pthread_mutex_lock(&link->mutex);
		if (!link->stopping) {
			struct timespec until;
			uint64_t retry_ms = clock_ms() + RECONNECT_MIN_MS;

			until.tv_sec = (time_t)(retry_ms / 1000);
			until.tv_nsec = (long)(retry_ms % 1000) * 1000000;
			pthread_cond_timedwait(&link->wake, &link->mutex, &until);
		}
		pthread_mutex_unlock(&link->mutex);
	}
	return NULL;
}

// ---- life ----------------------------------------------------------------------------------------

int link_open(const struct link_config *config, struct agent_link **ret_link, struct error *err)
{
	struct agent_link *link = calloc(1, sizeof(*link));
	pthread_condattr_t attributes;
	int r;

	if (link == NULL)
		return error_set(err, ENOMEM, CODE_INTERNAL, "open the link: no memory");
	link->config = *config;
	snprintf(link->url, sizeof(link->url), "%s", config->wire.url);
	pthread_mutex_init(&link->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&link->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	link->changed_ms = link->last_answer_ms = clock_ms();
	snprintf(link->why, sizeof(link->why), "no connection yet");
	link->config.wire.reconnect_min_ms = RECONNECT_MIN_MS;
	link->config.wire.reconnect_max_ms = RECONNECT_MAX_MS;
	link->config.wire.on_link = on_link;
	link->config.wire.arg = link;
	r = wire_client_open(&link->config.wire, &link->client, err);
	if (r < 0) {
		link_close(link);
		return r;
	}
	*ret_link = link;
	return 0;
}

int link_start(struct agent_link *link, struct error *err)
{
	int r = pthread_create(&link->thread, NULL, run, link);

	if (r != 0)
		return error_set(err, r, CODE_INTERNAL, "start the link's thread: %s", strerror(r));
	link->started = true;
	return 0;
}

void link_stop(struct agent_link *link)
{
	pthread_mutex_lock(&link->mutex);
	link->stopping = true;
	pthread_cond_signal(&link->wake);
	pthread_mutex_unlock(&link->mutex);
}

bool link_stopping(const struct agent_link *link)
{
	return link->stopping;
}

void link_close(struct agent_link *link)
{
	if (link == NULL)
		return;
	link_stop(link);
	if (link->started)
		pthread_join(link->thread, NULL);
	wire_client_close(link->client);
	pthread_cond_destroy(&link->wake);
	pthread_mutex_destroy(&link->mutex);
	free(link);
}

// ---- use -----------------------------------------------------------------------------------------

bool link_is_up(struct agent_link *link)
{
	bool up;

	pthread_mutex_lock(&link->mutex);
	up = link->state == LINK_UP;
	pthread_mutex_unlock(&link->mutex);
	return up;
}

int link_renew(struct agent_link *link, struct error *err)
{
	return wire_client_renew(link->client, &link->config.wire.tls, err);
}

void link_nudge(struct agent_link *link)
{
	pthread_mutex_lock(&link->mutex);
	link->nudged = true;
	pthread_cond_signal(&link->wake);
	pthread_mutex_unlock(&link->mutex);
}

// Where no connection comes, why it does not says more than that it was lost. Not under the mutex: the
// client has one of its own, under which it reports the connection.
static void say_why(struct agent_link *link, char ret_why[LIMIT_TEXT + 1])
{
	bool connected;

	pthread_mutex_lock(&link->mutex);
	connected = link->connected;
	snprintf(ret_why, LIMIT_TEXT + 1, "%s", link->why);
	pthread_mutex_unlock(&link->mutex);
	if (!connected)
		(void)wire_client_refusal(link->client, ret_why);
}

// Of the error of a call that had no answer only what "has not answered for N s" does not say.
static const char *say_more(const char *why)
{
	const char *told = strstr(why, " has not answered for ");

	if (told == NULL)
		return why;
	told = strstr(told, ": ");
	return told != NULL ? told + 2 : "";
}

int link_away_error(struct agent_link *link, struct error *err)
{
	uint64_t seconds;
	const char *more;
	char why[LIMIT_TEXT + 1];

	pthread_mutex_lock(&link->mutex);
	seconds = (clock_ms() - link->last_answer_ms) / 1000;
	pthread_mutex_unlock(&link->mutex);
	say_why(link, why);
	more = say_more(why);
	return error_set(err, ENOTCONN, CODE_AGENT_AWAY,
			 "the agent at %s has not answered for %llu s%s%.300s%s", link->url,
			 (unsigned long long)seconds, more[0] == '\0' ? "" : " (", more,
			 more[0] == '\0' ? "" : ")");
}

int link_call(struct agent_link *link, struct request *request, uint32_t timeout_ms,
	      struct reply *ret_reply, struct error *err)
{
	bool down;
	int r;

	pthread_mutex_lock(&link->mutex);
	down = link->state == LINK_DOWN;
	pthread_mutex_unlock(&link->mutex);
	if (down)
		return link_away_error(link, err);
	if (timeout_ms == 0)
		return error_set(err, ENOTCONN, CODE_AGENT_AWAY,
				 "no time was left to ask the agent at %s", link->url);
	request->timeout_ms = timeout_ms;
	memcpy(request->host_id, link->config.hello.host_id, sizeof(request->host_id));
	r = wire_client_call(link->client, request, timeout_ms, ret_reply, err);
	if (r < 0) {
		if (r == -ETIMEDOUT || r == -ECONNRESET || r == -ECANCELED)
			link_away_error(link, err);
		return r;
	}
	pthread_mutex_lock(&link->mutex);
	link->last_answer_ms = clock_ms();
	pthread_mutex_unlock(&link->mutex);
	return 0;
}

void link_status(struct agent_link *link, struct host_status *status)
{
	snprintf(status->agent_url, sizeof(status->agent_url), "%s", link->url);
	pthread_mutex_lock(&link->mutex);
	status->link_up = link->state == LINK_UP;
	status->link_changed_ms_ago = clock_ms() - link->changed_ms;
	pthread_mutex_unlock(&link->mutex);
	say_why(link, status->link_error);
}
