// SPDX-License-Identifier: BSD-3-Clause
//
// See test_agent.h.

#include "control/test_agent.h"

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control_private.h"
#include "control/fake_trace.h"
#include "proto/base/log.h"

void test_agent_init(struct test_agent *agent, uint32_t functions, const char *ipv4,
		     const char *ipv6)
{
	memset(agent, 0, sizeof(*agent));
	strcpy(agent->dir, "/dev/shm/podport-control-XXXXXX");
	assert_non_null(mkdtemp(agent->dir));
	agent->functions = functions;
	agent->has_network = ipv4 != NULL || ipv6 != NULL;
	agent->network.common.mtu = 1500;
	agent->network.common.router_mac = (struct mac){{0x02, 0x70, 0x70, 0, 0, 1}};
	if (ipv4 != NULL)
		assert_int_equal(0, network_parse_ipv4(ipv4, &agent->network, NULL));
	if (ipv6 != NULL)
		assert_int_equal(0, network_parse_ipv6(ipv6, &agent->network, NULL));
	fake_nic_reset(functions);
	fake_offload_reset();
	test_agent_start(agent);
}

int test_agent_try_start(struct test_agent *agent, struct error *err)
{
	static unsigned int instance;
	struct control_config config = {
		.nic = fake_nic_handle(),
		.instance_id = agent->instance_id,
		.nic_device = "net_fake0",
		.workers = 1,
		.host_port = true,
		.vhost_socket_dir = "/run/vhost",
		.network = &agent->configured,
		.uplink = &agent->uplink,
	};
	struct restored restored = {0};
	int r;

	fake_nic.vhosts = agent->vhosts;
	fake_nic.virtios = agent->virtios;
	agent->configured = agent->network;
	if (!agent->has_network)
		agent->configured.common.has_ipv4 = agent->configured.common.has_ipv6 = false;
	snprintf(agent->instance_id, sizeof(agent->instance_id), "instance%u", ++instance);
	r = store_open(agent->dir, &agent->store, err);
	if (r < 0)
		return r;
	config.store = agent->store;
	config.offload = fake_offload_new();
	r = restore(agent->store,
		    &(struct pods_ports){agent->functions, fake_nic.vhosts, fake_nic.virtios},
		    agent->has_network ? &agent->network : NULL, &restored, err);
	if (r == 0)
		r = control_new(&config, &restored, &agent->control, err);
	if (r < 0) {
		pods_free(restored.pods);
		offload_free(config.offload);
		store_close(agent->store);
		agent->store = NULL;
	}
	return r;
}

void test_agent_start(struct test_agent *agent)
{
	struct error err = {0};

	if (test_agent_try_start(agent, &err) < 0)
		fail_msg("start: %s", err.message);
}

void test_agent_stop(struct test_agent *agent)
{
	control_free(agent->control);
	assert_int_equal(0, fake_trace_open_count());
	store_close(agent->store);
	agent->control = NULL;
	agent->store = NULL;
}

void test_agent_restart(struct test_agent *agent)
{
	test_agent_stop(agent);
	assert_int_equal(0, fake_nic_started_functions());
	fake_nic_reset(agent->functions);
	test_agent_start(agent);
}

void test_agent_destroy(struct test_agent *agent)
{
	char line[128];

	test_agent_stop(agent);
	snprintf(line, sizeof(line), "rm -rf %s", agent->dir);
	assert_int_equal(0, system(line));
}

// ---- calls -----------------------------------------------------------------------------------------

void (*test_on_answer)(const struct test_call *call);

static struct test_call *test_call_of(struct control_call *call)
{
	return (struct test_call *)((char *)call - offsetof(struct test_call, base));
}

static int64_t remaining_ms(const struct control_call *base)
{
	struct test_call *call = test_call_of((struct control_call *)(uintptr_t)base);

	if (call->patience > 0 && --call->patience == 0)
		call->remaining_ms = 0;
	return call->remaining_ms;
}

static void take_reply(struct control_call *base, const struct reply *reply)
{
	struct test_call *call = test_call_of(base);

	call->answers++;
	call->reply = *reply;
	// Lists stay control's: take a copy.
	if (reply->call == CALL_LIST) {
		size_t size = reply->body.list.count * sizeof(struct list_item);

		call->reply.body.list.items = malloc(size + 1);
		memcpy(call->reply.body.list.items, reply->body.list.items, size);
	} else if (reply->call == CALL_LIST_FLOWS) {
		size_t size = reply->body.flows.count * sizeof(struct flow_info);

		call->reply.body.flows.flows = malloc(size + 1);
		memcpy(call->reply.body.flows.flows, reply->body.flows.flows, size);
	} else if (reply->call == CALL_GET_OFFLOAD) {
		size_t size = reply->body.offload.count * sizeof(struct capability_info);

		call->reply.body.offload.capabilities = malloc(size + 1);
		memcpy(call->reply.body.offload.capabilities, reply->body.offload.capabilities,
		       size);
	} else if (reply->call == CALL_LIST_CONNECTIONS) {
		size_t size = reply->body.connections.count * sizeof(struct connection_row);

		call->reply.body.connections.connections = malloc(size + 1);
		memcpy(call->reply.body.connections.connections,
		       reply->body.connections.connections, size);
	} else if (reply->call == CALL_LIST_NAT) {
		size_t size = reply->body.nat.count * sizeof(struct published_row);

		call->reply.body.nat.ports = malloc(size + 1);
		memcpy(call->reply.body.nat.ports, reply->body.nat.ports, size);
	} else if (reply->call == CALL_LIST_NEIGHBOURS) {
		size_t size = reply->body.neighbours.count * sizeof(struct neighbour_row);

		call->reply.body.neighbours.neighbours = malloc(size + 1);
		memcpy(call->reply.body.neighbours.neighbours, reply->body.neighbours.neighbours,
		       size);
	} else if (reply->call == CALL_LIST_PORTS) {
		size_t size = reply->body.ports.count * sizeof(struct port_info);

		call->reply.body.ports.ports = malloc(size + 1);
		memcpy(call->reply.body.ports.ports, reply->body.ports.ports, size);
	}
	if (reply->call == CALL_READ_WATCH && reply->body.read_watch.page != NULL) {
		call->reply.body.read_watch.page = malloc(sizeof(struct watch_page));
		*call->reply.body.read_watch.page = *reply->body.read_watch.page;
	}
	if (test_on_answer != NULL)
		test_on_answer(call);
}

static void prepare(struct test_call *call, enum call which)
{
	memset(call, 0, sizeof(*call));
	call->base.request = &call->request;
	call->base.remaining_ms = remaining_ms;
	call->base.reply = take_reply;
	call->request.call = which;
	call->request.timeout_ms = 5000;
	call->remaining_ms = 5000;
}

static void set_key(struct attachment_key *key, const char *container_id)
{
	strcpy(key->network, "podport");
	snprintf(key->container_id, sizeof(key->container_id), "%s", container_id);
	strcpy(key->ifname, "eth0");
}

void test_attach(struct test_call *call, const char *container_id)
{
	prepare(call, CALL_ATTACH);
	set_key(&call->request.body.attach.key, container_id);
	strcpy(call->request.body.attach.sandbox.path, "/run/netns/test");
	call->request.body.attach.sandbox.inode = 4026531840;
}

void test_detach(struct test_call *call, const char *container_id)
{
	prepare(call, CALL_DETACH);
	set_key(&call->request.body.detach.key, container_id);
}

void test_hello(struct test_call *call, const char *host_id, const char *boot_id)
{
	prepare(call, CALL_HELLO);
	call->request.body.hello.protocol_version = PROTOCOL_VERSION;
	strcpy(call->request.body.hello.host_id, host_id);
	strcpy(call->request.body.hello.boot_id, boot_id);
}

void test_simple(struct test_call *call, enum call which)
{
	prepare(call, which);
	if (which == CALL_LIST)
		call->request.body.list.limit = LIMIT_PAGE;
	else if (which == CALL_LIST_PORTS)
		call->request.body.list_ports.limit = LIMIT_PORTS_PAGE;
	else if (which == CALL_LIST_FLOWS)
		call->request.body.list_flows.limit = LIMIT_FLOWS_PAGE;
	else if (which == CALL_LIST_CONNECTIONS)
		call->request.body.list_connections.limit = LIMIT_CONNECTIONS_PAGE;
	else if (which == CALL_LIST_NEIGHBOURS)
		call->request.body.list_neighbours.limit = LIMIT_NEIGHBOURS_PAGE;
	else if (which == CALL_CHECK)
		set_key(&call->request.body.check.key, "");
}

void test_call_clear(struct test_call *call)
{
	reply_clear(&call->reply);
}

void test_run(struct test_agent *agent, struct test_call *calls, size_t count)
{
	struct control_call **pointers = calloc(count, sizeof(struct control_call *));

	assert_non_null(pointers);
	for (size_t i = 0; i < count; i++) {
		calls[i].answers = 0;
		pointers[i] = &calls[i].base;
	}
	control_process(agent->control, pointers, count);
	for (size_t i = 0; i < count; i++) {
		const struct reply *reply = &calls[i].reply;

		assert_int_equal(1, calls[i].answers);
		assert_string_equal(agent->instance_id, reply->instance_id);
		assert_int_equal(reply->code == CODE_OK ? calls[i].request.call : CALL_NONE,
				 reply->call);
		assert_int_equal(reply->code == CODE_OK, reply->message[0] == '\0');
	}
	free(pointers);
}

void test_must_run(struct test_agent *agent, struct test_call *call)
{
	test_run(agent, call, 1);
	if (call->reply.code != CODE_OK)
		fail_msg("%s: %s", call_name(call->request.call), call->reply.message);
}

struct attachment test_must_attach(struct test_agent *agent, const char *container_id)
{
	struct test_call call;

	test_attach(&call, container_id);
	test_run(agent, &call, 1);
	if (call.reply.code != CODE_OK)
		fail_msg("attach %s: %s", container_id, call.reply.message);
	return call.reply.body.attach;
}

void test_must_detach(struct test_agent *agent, const char *container_id)
{
	struct test_call call;

	test_detach(&call, container_id);
	test_run(agent, &call, 1);
	if (call.reply.code != CODE_OK)
		fail_msg("detach %s: %s", container_id, call.reply.message);
	assert_true(call.reply.body.detach.existed);
}

void test_must_fail(struct test_agent *agent, struct test_call *call, enum code code,
		    const char *sentence_part)
{
	test_run(agent, call, 1);
	if (call->reply.code != code || strstr(call->reply.message, sentence_part) == NULL)
		fail_msg("got %s '%s', not %s '%s'", code_name(call->reply.code),
			 call->reply.message, code_name(code), sentence_part);
}

void test_quiet(bool quiet)
{
	log_set_level(quiet ? (enum log_level)(LOG_LEVEL_ERROR - 1) : LOG_LEVEL_ERROR);
}

// ---- what must hold --------------------------------------------------------------------------------

struct seen {
	const struct pods *pods;
	struct lru_pool *pool; // being compared with its released rows
	uint32_t at;           // the pool's next entry, released ones only
	enum store_pool which;
	size_t records;
};

static int compare_record(const struct store_record *record, void *arg, struct error *err)
{
	struct seen *seen = arg;
	const struct pod *pod = pods_find(seen->pods, &record->attachment.key);

	assert_non_null(pod);
	assert_memory_equal(record, &pod->record, sizeof(*record));
	seen->records++;
	return 0;
}

// The released entry at or after `at`.
static uint32_t next_released(const struct lru_pool *pool, uint32_t at)
{
	while (at != pool->size && !pool->entries[at].used)
		at = pool->entries[at].next;
	return at;
}

static int compare_released(const struct store_released *released, void *arg, struct error *err)
{
	struct seen *seen = arg;
	uint32_t index = released->vf;

	if (released->pool != seen->which)
		return 0;
	if (released->pool == STORE_POOL_IPV4)
		index = ntohl(released->ipv4.s_addr) -
			ntohl(seen->pods->network.common.ipv4.s_addr) - 2;
	else if (released->pool == STORE_POOL_IPV6)
		index = (uint32_t)(released->ipv6.s6_addr[14] << 8) + released->ipv6.s6_addr[15] -
			2;
	seen->at = next_released(seen->pool, seen->at);
	assert_int_equal(seen->at, index);
	seen->at = seen->pool->entries[seen->at].next;
	return 0;
}

static void compare_pool(struct test_agent *agent, struct lru_pool *pool, enum store_pool which)
{
	struct seen seen = {.pods = agent->control->pods, .pool = pool, .which = which};

	if (pool->size == 0)
		return;
	seen.at = pool->entries[pool->size].next;
	assert_int_equal(0, store_each_released(agent->store, compare_released, &seen, NULL));
	assert_int_equal(pool->size, next_released(pool, seen.at));
}

static const struct fake_port *port_of(const struct pod *pod)
{
	switch (pod->record.attachment.port) {
	case PORT_CHOICE_VHOST_USER:
		return &fake_nic.ports[FAKE_VHOST + pod->vhost];
	case PORT_CHOICE_VIRTIO_USER:
		return &fake_nic.ports[FAKE_VIRTIO + pod->vhost];
	default:
		return &fake_nic.ports[pod->record.attachment.function.vf];
	}
}

static void compare_port(const struct pod *pod)
{
	const struct attachment *a = &pod->record.attachment;
	const struct fake_port *port = port_of(pod);

	assert_string_equal(a->socket_path, port->config.socket_path);
	assert_true(port->started);
	assert_memory_equal(&a->mac, &port->config.mac, sizeof(a->mac));
	assert_int_equal(a->mtu, port->config.mtu);
	assert_int_equal(a->has_ipv4, port->config.has_ipv4);
	assert_int_equal(a->has_ipv6, port->config.has_ipv6);
	assert_int_equal(a->ipv4.s_addr, port->config.ipv4.s_addr);
	assert_memory_equal(&a->ipv6, &port->config.ipv6, sizeof(a->ipv6));
}

// Pods whose port is started have their rules wanted, as they are; nobody else has.
static void compare_offload(const struct control *control)
{
	const struct pods *pods = control->pods;
	size_t wanted = 0;

	if (!control->offload_begun) {
		assert_int_equal(0, fake_offload_pod_count());
		return;
	}
	for (size_t i = 0; i < pods->count; i++) {
		const struct attachment *a = &pods->sorted[i]->record.attachment;
		const struct fake_offload_slot *slot = &fake_offload.slots[a->function.vf];

		if (a->port != PORT_CHOICE_FUNCTION)
			continue; // the e-switch has no way to it
		assert_int_equal(pods->sorted[i]->port_started, slot->present);
		if (!slot->present)
			continue;
		wanted++;
		assert_ptr_equal(&fake_nic.ports[a->function.vf], slot->pod.port);
		assert_memory_equal(&a->mac, &slot->pod.mac, sizeof(a->mac));
		assert_int_equal(a->mtu, slot->pod.mtu);
		assert_int_equal(a->has_ipv4, slot->pod.has_ipv4);
		assert_int_equal(a->has_ipv6, slot->pod.has_ipv6);
		assert_int_equal(a->ipv4.s_addr, slot->pod.ipv4.s_addr);
		assert_memory_equal(&a->ipv6, &slot->pod.ipv6, sizeof(a->ipv6));
	}
	assert_int_equal(wanted, fake_offload_pod_count());
}

void test_assert_consistent(struct test_agent *agent, bool ports)
{
	struct pods *pods = agent->control->pods;
	struct seen seen = {.pods = pods};
	size_t ipv4 = 0, ipv6 = 0, functions = 0;

	for (size_t i = 0; i < pods->count; i++) {
		const struct pod *pod = pods->sorted[i];
		const struct attachment *a = &pod->record.attachment;

		for (size_t j = 0; j < i; j++) {
			const struct attachment *b = &pods->sorted[j]->record.attachment;

			assert_true(attachment_key_compare(&b->key, &a->key) < 0 || j + 1 != i);
			assert_ptr_not_equal(port_of(pod), port_of(pods->sorted[j]));
			assert_true(a->port != PORT_CHOICE_VHOST_USER ||
				    strcmp(a->socket_path, b->socket_path) != 0);
			assert_false(mac_equal(&a->mac, &b->mac));
			assert_false(a->has_ipv4 && b->has_ipv4 &&
				     a->ipv4.s_addr == b->ipv4.s_addr);
			assert_false(a->has_ipv6 && b->has_ipv6 &&
				     IN6_ARE_ADDR_EQUAL(&a->ipv6, &b->ipv6));
		}
		if (a->port == PORT_CHOICE_FUNCTION) {
			assert_ptr_equal(pod, pods->by_function[a->function.vf]);
			assert_true(lru_pool_is_taken(&pods->functions, a->function.vf));
			functions++;
		} else {
			assert_true(lru_pool_is_taken(pods_vhost_pool(pods, a->port), pod->vhost));
		}
		assert_true(!a->has_ipv4 || ipam_is_allocated(&pods->ipv4, &a->ipv4));
		assert_true(!a->has_ipv6 || ipam_is_allocated(&pods->ipv6, &a->ipv6));
		ipv4 += a->has_ipv4;
		ipv6 += a->has_ipv6;
		if (ports)
			compare_port(pod);
	}
	assert_int_equal(functions, pods->functions.taken);
	assert_int_equal(pods->count - functions, pods->vhosts.taken + pods->virtios.taken);
	assert_int_equal(ipv4, pods->ipv4.pool.taken);
	assert_int_equal(ipv6, pods->ipv6.pool.taken);
	if (ports)
		assert_int_equal(functions, fake_nic_started_functions());
	compare_offload(agent->control);
	assert_int_equal(0, store_each_record(agent->store, compare_record, &seen, NULL));
	assert_int_equal(pods->count, seen.records);
	compare_pool(agent, &pods->functions, STORE_POOL_FUNCTION);
	compare_pool(agent, &pods->ipv4.pool, STORE_POOL_IPV4);
	compare_pool(agent, &pods->ipv6.pool, STORE_POOL_IPV6);
}
