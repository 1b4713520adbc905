// SPDX-License-Identifier: BSD-3-Clause
//
// What libpodport.so asks, and what it makes of good answers.

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "libpodport/client_test_helpers.h"

// ---- what is asked, and what is answered ---------------------------------------------------------

static void add_passes_every_wish_and_the_sandbox_itself(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 1234);
	struct podport_add_request request = some_add();
	const uint8_t mac[6] = {0x02, 0, 0x5e, 0, 0, 7};
	struct podport_attachment *attachment;
	struct podport_error error;
	struct in6_addr ipv6;
	struct in_addr ipv4;
	struct fake_call call;
	struct stat netns;

	inet_pton(AF_INET, "10.88.0.7", &ipv4);
	inet_pton(AF_INET6, "fd00:88::7", &ipv6);
	request.pod_namespace = "shop";
	request.pod_name = "till-7";
	request.pod_uid = "6f9d1c2e";
	request.ipv4 = &ipv4;
	request.ipv6 = &ipv6;
	request.mac = mac;
	request.mtu = 1400;
	if (podport_add(client, &request, &attachment, &error) < 0)
		fail_msg("%s", error.message);

	fake_hostd_calls(fake, &call);
	const struct attach_request *asked = &call.request.body.attach;
	assert_int_equal(call.request.call, CALL_ATTACH);
	assert_int_equal(call.request.timeout_ms, 1234);
	assert_string_equal(asked->key.network, "pods");
	assert_string_equal(asked->key.container_id, "c0ffee");
	assert_string_equal(asked->key.ifname, "eth0");
	assert_string_equal(asked->pod.namespace_, "shop");
	assert_string_equal(asked->pod.name, "till-7");
	assert_string_equal(asked->pod.uid, "6f9d1c2e");
	assert_true(asked->wants_ipv4 && asked->wants_ipv6 && asked->wants_mac);
	assert_memory_equal(&asked->requested_ipv4, &ipv4, sizeof(ipv4));
	assert_memory_equal(&asked->requested_ipv6, &ipv6, sizeof(ipv6));
	assert_memory_equal(asked->requested_mac.bytes, mac, sizeof(mac));
	assert_int_equal(asked->requested_mtu, 1400);
	assert_int_equal(stat(OWN_NETNS, &netns), 0);
	assert_string_equal(asked->sandbox.path, OWN_NETNS);
	assert_int_equal(asked->sandbox.inode, netns.st_ino);
	assert_int_equal(call.netns_inode, netns.st_ino);

	// What the samples of the codec answer.
	assert_string_equal(attachment->key.container_id, "c0ffee");
	assert_string_equal(attachment->pod_name, "till-7");
	assert_string_equal(attachment->pod_uid, "6f9d1c2e");
	assert_string_equal(attachment->netns, OWN_NETNS);
	assert_int_equal(attachment->netns_inode, netns.st_ino);
	assert_int_equal(attachment->pf, 1);
	assert_int_equal(attachment->vf, 7);
	assert_true(attachment->has_ipv4 && attachment->has_ipv6);
	assert_int_equal(attachment->ipv4.s_addr, inet_addr("10.88.0.2"));
	assert_int_equal(attachment->gateway_ipv4.s_addr, inet_addr("10.88.0.1"));
	inet_pton(AF_INET6, "fd00:88::2", &ipv6);
	assert_memory_equal(&attachment->ipv6, &ipv6, sizeof(ipv6));
	inet_pton(AF_INET6, "fd00:88::1", &ipv6);
	assert_memory_equal(&attachment->gateway_ipv6, &ipv6, sizeof(ipv6));
	assert_memory_equal(attachment->mac, "\x02\x00\x5e\x10\x20\x30", 6);
	assert_memory_equal(attachment->gateway_mac, "\x02\x00\x5e\x10\x20\x30", 6);
	assert_int_equal(attachment->mtu, 1500);
	assert_int_equal(attachment->link_group, 42);
	assert_int_equal(attachment->created_unix_ms, 1795900000000);
	podport_attachment_free(attachment);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void without_wishes_none_are_sent(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_add_request request = some_add();
	struct podport_attachment *attachment;
	struct fake_call call;

	assert_int_equal(podport_add(client, &request, &attachment, NULL), 0);
	podport_attachment_free(attachment);
	fake_hostd_calls(fake, &call);
	const struct attach_request *asked = &call.request.body.attach;
	assert_false(asked->wants_ipv4 || asked->wants_ipv6 || asked->wants_mac);
	assert_int_equal(asked->requested_mtu, 0);
	assert_string_equal(asked->pod.name, "");
	assert_int_equal(call.request.timeout_ms, PODPORT_TIMEOUT_DEFAULT_MS);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void a_caller_of_an_older_library_is_understood(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_add_request request = some_add();
	struct podport_attachment *attachment;
	struct podport_error error;
	struct fake_call call;

	// It knew nothing behind netns; what is there is none of ours.
	memset(&request.pod_namespace, 0xff,
	       sizeof(request) - offsetof(struct podport_add_request, pod_namespace));
	request.size = offsetof(struct podport_add_request, pod_namespace);
	if (podport_add(client, &request, &attachment, &error) < 0)
		fail_msg("%s", error.message);
	podport_attachment_free(attachment);
	fake_hostd_calls(fake, &call);
	assert_false(call.request.body.attach.wants_mac);
	request.size = 0;
	assert_int_equal(podport_add(client, &request, &attachment, &error), -EINVAL);
	assert_int_equal(error.code, PODPORT_BAD_REQUEST);
	assert_int_equal(podport_add(client, NULL, &attachment, &error), -EINVAL);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void what_is_wrong_in_a_request_is_named_and_not_sent(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	const uint8_t multicast[6] = {1, 0, 0x5e, 0, 0, 1};
	char too_long[600];
	const struct {
		const char *named;
		struct podport_key key;
		const char *pod_name;
		const uint8_t *mac;
		uint32_t mtu;
	} cases[] = {
		{"network", {NULL, "c", "eth0"}, NULL, NULL, 0},
		{"network", {"../x", "c", "eth0"}, NULL, NULL, 0},
		{"network", {too_long, "c", "eth0"}, NULL, NULL, 0},
		{"container_id", {"n", "", "eth0"}, NULL, NULL, 0},
		{"ifname", {"n", "c", "sixteen-letters-"}, NULL, NULL, 0},
		{"ifname", {"n", "c", NULL}, NULL, NULL, 0},
		{"pod_name", {"n", "c", "eth0"}, too_long, NULL, 0},
		{"pod_name", {"n", "c", "eth0"}, "a\nb", NULL, 0},
		{"pod_name", {"n", "c", "eth0"}, "\xff", NULL, 0},
		{"mac", {"n", "c", "eth0"}, NULL, multicast, 0},
		{"mtu", {"n", "c", "eth0"}, NULL, NULL, 1279},
		{"mtu", {"n", "c", "eth0"}, NULL, NULL, 9001},
	};
	struct podport_attachment *attachment;
	struct podport_error error;

	memset(too_long, 'x', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct podport_add_request request = some_add();

		request.key = cases[i].key;
		request.pod_name = cases[i].pod_name;
		request.mac = cases[i].mac;
		request.mtu = cases[i].mtu;
		assert_int_equal(podport_add(client, &request, &attachment, &error), -EINVAL);
		assert_int_equal(error.code, PODPORT_BAD_REQUEST);
		if (strncmp(error.message, cases[i].named, strlen(cases[i].named)) != 0)
			fail_msg("case %zu: '%s' does not begin with %s", i, error.message,
				 cases[i].named);
	}
	assert_int_equal(fake_hostd_calls(fake, NULL), 0);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void a_sandbox_that_is_none_is_refused_before_anything_is_done(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	char fifo[128], too_long[700];
	struct podport_attachment *attachment;
	struct podport_error error;

	memset(too_long, 'x', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	snprintf(fifo, sizeof(fifo), "%s.fifo", fake_hostd_path(fake));
	assert_int_equal(mkfifo(fifo, 0600), 0);
	// A FIFO: opening it must not wait for a writer.
	const char *const paths[] = {"/run/no/such", "/etc/hostname",    "/run", "/dev/null",
				     fifo,           "/proc/self/ns/mnt"};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct podport_add_request request = some_add();

		request.netns = paths[i];
		assert_true(podport_add(client, &request, &attachment, &error) < 0);
		assert_int_equal(error.code, PODPORT_NETNS);
		assert_non_null(strstr(error.message, paths[i]));
	}

	struct podport_add_request request = some_add();
	request.netns = too_long;
	assert_true(podport_add(client, &request, &attachment, &error) < 0);
	assert_non_null(strstr(error.message, "netns"));
	request.netns = NULL;
	assert_true(podport_add(client, &request, &attachment, &error) < 0);
	assert_int_equal(error.code, PODPORT_NETNS);
	assert_int_equal(fake_hostd_calls(fake, NULL), 0);
	unlink(fifo);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void del_goes_on_without_a_sandbox(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_del_request request = PODPORT_DEL_REQUEST_INIT;
	const char *const gone[] = {NULL, "", "/run/no/such", "/etc/hostname"};
	struct podport_error error;
	struct fake_call call;

	request.key = some_key();
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		request.netns = gone[i];
		if (podport_del(client, &request, &error) < 0)
			fail_msg("%s", error.message);
		fake_hostd_calls(fake, &call);
		assert_int_equal(call.request.call, CALL_DETACH);
		assert_int_equal(call.netns_inode, 0);
		assert_int_equal(call.request.body.detach.sandbox.inode, 0);
		assert_string_equal(call.request.body.detach.sandbox.path,
				    gone[i] != NULL ? gone[i] : "");
	}
	request.netns = OWN_NETNS;
	assert_int_equal(podport_del(client, &request, &error), 0);
	fake_hostd_calls(fake, &call);
	assert_int_not_equal(call.netns_inode, 0);
	assert_int_equal(call.request.body.detach.sandbox.inode, call.netns_inode);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void check_returns_what_was_attached(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_check_request request = PODPORT_CHECK_REQUEST_INIT;
	struct podport_attachment *attachment;
	struct podport_error error;
	struct fake_call call;

	request.key = some_key();
	request.netns = OWN_NETNS;
	if (podport_check(client, &request, &attachment, &error) < 0)
		fail_msg("%s", error.message);
	assert_string_equal(attachment->key.container_id, "c0ffee");
	assert_int_equal(attachment->ipv4.s_addr, inet_addr("10.88.0.2"));
	fake_hostd_calls(fake, &call);
	assert_int_equal(call.request.call, CALL_CHECK);
	assert_int_not_equal(call.netns_inode, 0);
	podport_attachment_free(attachment);
	podport_free(client);
	fake_hostd_stop(fake);
}

// ---- lists, status, addresses --------------------------------------------------------------------

enum { MANY = 2 * LIMIT_PAGE + 5 };

// MANY attachments or ports in pages, as the agent pages them.
static enum fake_answer many(const struct fake_call *call, struct reply *reply, void *arg)
{
	const struct request *request = &call->request;

	if (request->call == CALL_LIST) {
		struct list_reply *list = &reply->body.list;
		const struct list_request *asked = &request->body.list;
		unsigned int first =
			asked->has_after ? (unsigned int)atoi(asked->after.container_id) + 1 : 0;
		struct list_item model = list->items[0];

		free(list->items);
		list->items = calloc(asked->limit, sizeof(model));
		list->count = 0;
		for (unsigned int i = first; i < MANY && list->count < asked->limit; i++) {
			struct attachment_key *key = &model.attachment.key;

			snprintf(key->container_id, sizeof(key->container_id), "%04u", i);
			list->items[list->count++] = model;
		}
		list->more = first + list->count < MANY;
	} else if (request->call == CALL_LIST_FLOWS) {
		struct flows_reply *flows = &reply->body.flows;
		const struct list_flows_request *asked = &request->body.list_flows;
		struct flow_info model = flows->flows[0];

		free(flows->flows);
		flows->flows = calloc(asked->limit, sizeof(model));
		flows->count = 0;
		// IDs have gaps where rules were removed: 10, 20, 30 ...
		for (model.id = (asked->after / 10 + 1) * 10;
		     model.id <= MANY * 10 && flows->count < asked->limit; model.id += 10)
			flows->flows[flows->count++] = model;
		flows->more = model.id <= MANY * 10;
	} else {
		struct ports_reply *ports = &reply->body.ports;
		const struct list_ports_request *asked = &request->body.list_ports;
		struct port_info model = ports->ports[0];

		free(ports->ports);
		ports->ports = calloc(asked->limit, sizeof(model));
		ports->count = 0;
		for (uint32_t slot = asked->after; slot < MANY && ports->count < asked->limit;
		     slot++) {
			model.slot = slot;
			ports->ports[ports->count++] = model;
		}
		ports->more = asked->after + ports->count < MANY;
	}
	return FAKE_REPLY;
}

static void lists_of_several_pages_are_whole(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, many, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_ports *ports;
	struct podport_flows *flows;
	struct podport_pods *pods;
	struct podport_error error;

	if (podport_list_pods(client, &pods, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(podport_pods_count(pods), MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(atoi(podport_pods_get(pods, i)->key.container_id), i);
	assert_null(podport_pods_get(pods, MANY));
	podport_pods_free(pods);
	if (podport_list_ports(client, &ports, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(podport_ports_count(ports), MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(podport_ports_get(ports, i)->slot, i);
	assert_null(podport_ports_get(ports, MANY));
	podport_ports_free(ports);
	if (podport_list_flows(client, &flows, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(podport_flows_count(flows), MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(podport_flows_get(flows, i)->id, (i + 1) * 10);
	assert_null(podport_flows_get(flows, MANY));
	podport_flows_free(flows);
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer nothing_and_more(const struct fake_call *call, struct reply *reply,
					 void *arg)
{
	if (call->request.call == CALL_LIST)
		reply->body.list.more = true;
	else if (call->request.call == CALL_LIST_FLOWS)
		reply->body.flows.more = true;
	else
		reply->body.ports.more = true;
	return FAKE_REPLY;
}

static void a_list_that_does_not_move_on_ends(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, nothing_and_more, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_ports *ports;
	struct podport_flows *flows;
	struct podport_pods *pods;
	struct podport_error error;

	assert_int_equal(podport_list_pods(client, &pods, &error), -EBADMSG);
	assert_int_equal(error.code, PODPORT_INTERNAL);
	assert_int_equal(podport_list_ports(client, &ports, &error), -EBADMSG);
	assert_int_equal(podport_list_flows(client, &flows, &error), -EBADMSG);
	assert_int_equal(fake_hostd_calls(fake, NULL), 6); // two pages each
	podport_free(client);
	fake_hostd_stop(fake);
}

static void a_port_tells_whom_it_serves_and_what_it_dropped(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_ports *ports;

	assert_int_equal(podport_list_ports(client, &ports, NULL), 0);
	assert_int_equal(podport_ports_count(ports), 3);
	const struct podport_port *port = podport_ports_get(ports, 1);
	assert_int_equal(port->slot, 1);
	assert_string_equal(port->kind, "function");
	assert_string_equal(port->name, "net_simnic0_representor_3");
	assert_int_equal(port->pf, 1);
	assert_int_equal(port->vf, 7);
	assert_true(port->has_key && port->link_up);
	assert_string_equal(port->key.container_id, "c1");
	assert_int_equal(port->mtu, 1500);
	assert_memory_equal(port->mac, "\x02\x00\x5e\x10\x20\x30", 6);
	assert_int_equal(port->rx_packets, 1000);
	assert_int_equal(port->rx_bytes, 64000);
	assert_int_equal(port->tx_packets, 2000);
	assert_int_equal(port->tx_bytes, 128000);
	assert_int_equal(port->offloaded_rx_packets, 900);
	assert_int_equal(port->offloaded_rx_bytes, 57600);
	assert_int_equal(port->offloaded_tx_packets, 1500);
	assert_int_equal(port->offloaded_tx_bytes, 96000);
	assert_int_equal(port->drop_count, 3);
	assert_string_equal(port->drops[2].reason, "ipv4-source");
	assert_int_equal(port->drops[2].packets, 5);
	podport_ports_free(ports);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void assert_summary(const struct podport_offload_summary *summary)
{
	assert_non_null(summary);
	assert_true(summary->enabled && summary->usable);
	assert_string_equal(summary->why_not, "the NIC cannot match ethernet");
	assert_string_equal(summary->api, "asynchronous");
	assert_int_equal(summary->rules, 74);
	assert_int_equal(summary->rules_missing, 2);
	assert_string_equal(summary->missing_reason, "table full");
	assert_int_equal(summary->pods_full, 11);
	assert_int_equal(summary->pods_partial, 1);
	assert_int_equal(summary->pods_none, 3);
	assert_int_equal(summary->inserted, 80);
	assert_int_equal(summary->removed, 6);
	assert_int_equal(summary->failed, 4);
}

static void a_rule_tells_what_it_does_and_for_whom(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_flows *flows;

	assert_int_equal(podport_list_flows(client, &flows, NULL), 0);
	assert_int_equal(podport_flows_count(flows), 3);
	const struct podport_flow *flow = podport_flows_get(flows, 2);
	assert_int_equal(flow->id, 1002);
	assert_int_equal(flow->group, 2);
	assert_int_equal(flow->priority, 1);
	assert_string_equal(flow->match, "from pf0vf7 ipv4 src 10.88.0.2");
	assert_string_equal(flow->actions, "count, jump 3");
	assert_true(flow->counted && flow->has_function && flow->has_key);
	assert_int_equal(flow->packets, 1500);
	assert_int_equal(flow->bytes, 126000);
	assert_int_equal(flow->age_ms, 61000);
	assert_int_equal(flow->pf, 1);
	assert_int_equal(flow->vf, 7);
	assert_string_equal(flow->key.container_id, "c2");
	podport_flows_free(flows);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void offload_has_the_summary_and_what_the_nic_can_do(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_offload *offload;

	assert_int_equal(podport_get_offload(client, &offload, NULL), 0);
	assert_summary(offload->summary);
	assert_int_equal(offload->capability_count, 3);
	assert_string_equal(offload->capabilities[2].name, "decrement TTL");
	assert_string_equal(offload->capabilities[2].remark, "by MODIFY_FIELD");
	assert_true(offload->capabilities[2].supported && offload->capabilities[2].needed);
	podport_offload_free(offload);
	podport_free(client);
	fake_hostd_stop(fake);
}

// ---- garbage collection --------------------------------------------------------------------------

// Answers as a hostd that has the containers "c00" to "c99" and looks at ten at a time; those that
// are not valid are released, but "c7." cannot be.
struct gc_model {
	unsigned int calls;
	bool seen[100]; // looked at
	char kept[101];
};

static bool names(const struct gc_request *gc, const char *id)
{
	for (size_t i = 0; i < gc->count; i++)
		if (strcmp(gc->valid[i].container_id, id) == 0)
			return true;
	return false;
}

static enum fake_answer collect(const struct fake_call *call, struct reply *reply, void *arg)
{
	const struct gc_request *gc = &call->request.body.gc;
	struct gc_reply *body = &reply->body.gc;
	struct gc_model *model = arg;
	unsigned int looked_at = 0;

	assert_string_equal(gc->network, "pods");
	model->calls++;
	memset(body, 0, sizeof(*body));
	for (int n = 0; n < 100; n++) {
		struct endpoint this = {.ifname = "eth0"};

		snprintf(this.container_id, sizeof(this.container_id), "c%02d", n);
		if (gc->has_after && endpoint_compare(&this, &gc->after) <= 0)
			continue;
		if (gc->more && endpoint_compare(&this, &gc->valid[gc->count - 1]) > 0)
			break;
		if (looked_at++ == 10 || body->failure_count == LIMIT_FAILURES) {
			body->has_next = true;
			break;
		}
		body->next = this;
		assert_false(model->seen[n]);
		model->seen[n] = true;
		model->kept[n] = names(gc, this.container_id) ? 'v' : n / 10 == 7 ? 'f' : '-';
		if (model->kept[n] == 'f') {
			struct gc_failure *failure = &body->failures[body->failure_count++];

			strcpy(failure->key.network, "pods");
			strcpy(failure->key.container_id, this.container_id);
			strcpy(failure->key.ifname, this.ifname);
			failure->code = CODE_WIRING;
			snprintf(failure->message, sizeof(failure->message), "busy %d", n);
		}
		body->released += model->kept[n] == '-';
	}
	return FAKE_REPLY;
}

static void gc_asks_about_everything_once_in_as_many_parts_as_it_takes(void **state)
{
	struct gc_model model = {0};
	struct fake_hostd *fake = fake_hostd_start(NULL, collect, &model);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_gc_request request = PODPORT_GC_REQUEST_INIT;
	struct podport_endpoint valid[80];
	struct podport_gc_result *result;
	char ids[80][16];

	// Every second one, from the last to the first; some twice; and some that hostd does not have.
	request.network = "pods";
	request.valid = valid;
	for (int n = 98; n >= 0; n -= 2) {
		snprintf(ids[request.valid_count], 16, "c%02d", n);
		valid[request.valid_count] =
			(struct podport_endpoint){ids[request.valid_count], "eth0"};
		request.valid_count++;
	}
	for (int n = 0; n < 30; n++) {
		snprintf(ids[request.valid_count], 16, n < 15 ? "c%02d" : "z%02d", 2 * n);
		valid[request.valid_count] =
			(struct podport_endpoint){ids[request.valid_count], "eth0"};
		request.valid_count++;
	}
	assert_int_equal(podport_gc(client, &request, &result, NULL), 0);
	for (int n = 0; n < 100; n++) {
		assert_true(model.seen[n]);
		assert_int_equal(model.kept[n], n % 2 == 0 ? 'v' : n / 10 == 7 ? 'f' : '-');
	}
	assert_int_equal(result->released, 45);
	assert_int_equal(result->failure_count, 5);
	assert_string_equal(result->failures[0].key.container_id, "c71");
	assert_string_equal(result->failures[0].key.network, "pods");
	assert_int_equal(result->failures[4].code, PODPORT_WIRING);
	assert_string_equal(result->failures[4].message, "busy 79");
	podport_gc_result_free(result);

	// Nothing is valid.
	memset(&model, 0, sizeof(model));
	request.valid_count = 0;
	assert_int_equal(podport_gc(client, &request, &result, NULL), 0);
	assert_int_equal(result->released, 90);
	assert_int_equal(result->failure_count, 10);
	podport_gc_result_free(result);
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer stands_still(const struct fake_call *call, struct reply *reply, void *arg)
{
	reply->body.gc.has_next = true;
	strcpy(reply->body.gc.next.container_id, "c");
	strcpy(reply->body.gc.next.ifname, "eth0");
	return FAKE_REPLY;
}

static void gc_refuses_what_is_no_attachment_and_a_hostd_that_stands_still(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, stands_still, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_gc_request request = PODPORT_GC_REQUEST_INIT;
	const struct podport_endpoint bad[] = {{"../x", "eth0"}}, worse[] = {{"x", NULL}};
	struct podport_gc_result *result;
	struct podport_error error;

	assert_int_equal(podport_gc(client, &request, &result, &error), -EINVAL); // no network
	request.network = "pods";
	request.valid = bad;
	request.valid_count = 1;
	assert_int_equal(podport_gc(client, &request, &result, &error), -EINVAL);
	assert_non_null(strstr(error.message, "valid.container_id"));
	request.valid = worse;
	assert_int_equal(podport_gc(client, &request, &result, &error), -EINVAL);
	assert_non_null(strstr(error.message, "valid.ifname"));
	request.valid_count = PODPORT_GC_VALID_MAX + 1;
	assert_int_equal(podport_gc(client, &request, &result, &error), -EINVAL);
	assert_int_equal(fake_hostd_calls(fake, NULL), 0);
	request.valid_count = 0;
	assert_int_equal(podport_gc(client, &request, &result, &error), -EBADMSG);
	assert_int_equal(fake_hostd_calls(fake, NULL), 2);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void set_network_passes_the_prefixes_and_tells_what_came_of_it(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_set_network_request request = PODPORT_SET_NETWORK_REQUEST_INIT;
	struct podport_pod_network *network;
	struct podport_error error;
	struct fake_call call;
	struct in_addr ipv4;

	assert_int_equal(podport_set_network(client, &request, &network, &error), -EINVAL);
	inet_pton(AF_INET, "10.99.0.0", &ipv4);
	request.ipv4 = &ipv4;
	request.ipv4_prefix_length = 20;
	request.mtu = 9001;
	assert_int_equal(podport_set_network(client, &request, &network, &error), -EINVAL);
	request.mtu = 9000;
	assert_int_equal(podport_set_network(client, &request, &network, &error), 0);
	fake_hostd_calls(fake, &call);
	assert_int_equal(call.request.body.set_pod_network.ipv4.s_addr, ipv4.s_addr);
	assert_int_equal(call.request.body.set_pod_network.ipv4_prefix_length, 20);
	assert_false(call.request.body.set_pod_network.has_ipv6);
	assert_int_equal(call.request.body.set_pod_network.mtu, 9000);
	assert_int_equal(network->ipv4_prefix_length, 24); // the sample's
	assert_int_equal(network->gateway_ipv4.s_addr, inet_addr("10.88.0.1"));
	podport_pod_network_free(network);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void reconcile_tells_all_its_numbers(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_reconciliation *told;

	assert_int_equal(podport_reconcile(client, &told, NULL), 0);
	assert_int_equal(told->attachments, 12);
	assert_int_equal(told->without_port, 1);
	assert_int_equal(told->leaving, 2);
	assert_int_equal(told->rules_missing, 3);
	assert_int_equal(told->suspects, 4);
	assert_int_equal(told->reclaimed, 5);
	assert_int_equal(told->strays, 6);
	assert_int_equal(told->queued_deletes, 7);
	podport_reconciliation_free(told);
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer older(const struct fake_call *call, struct reply *reply, void *arg)
{
	if (call->request.call == CALL_LIST) {
		reply->body.list.items[0].has_offload = false;
		memset(&reply->body.list.items[0].offload, 0,
		       sizeof(reply->body.list.items[0].offload));
	} else {
		reply->body.status.agent.has_offload = false;
	}
	return FAKE_REPLY;
}

static void pods_tell_how_far_they_are_offloaded(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, older, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_status *status;
	struct podport_pods *pods;

	assert_int_equal(podport_list_pods(client, &pods, NULL), 0);
	assert_string_equal(podport_pods_get(pods, 0)->offload, "");
	assert_string_equal(podport_pods_get(pods, 0)->offload_reason, "");
	assert_string_equal(podport_pods_get(pods, 1)->offload, "partial");
	assert_string_equal(podport_pods_get(pods, 1)->offload_reason, "table full");
	podport_pods_free(pods);
	assert_int_equal(podport_get_status(client, &status, NULL), 0);
	assert_null(status->agent->offload);
	podport_status_free(status);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void status_has_both_sides(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_status *status;

	assert_int_equal(podport_get_status(client, &status, NULL), 0);
	assert_string_equal(status->host->version, "0.1.0");
	assert_string_equal(status->host->agent_url, "ipc:///run/podport/agent.sock");
	assert_true(status->host->link_up);
	assert_int_equal(status->host->link_changed_ms_ago, 12345);
	assert_string_equal(status->host->link_error, "refused");
	assert_int_equal(status->host->queued_deletes, 2);
	assert_int_equal(status->host->calls_in_flight, 1);
	assert_string_equal(status->host->host_port, "podport0");
	assert_true(status->host->host_port_ready);
	assert_string_equal(status->host->host_port_error, "no such interface");
	assert_non_null(status->agent);
	assert_string_equal(status->agent->version, "0.1.0");
	assert_string_equal(status->agent->instance_id, "3f2504e0");
	assert_int_equal(status->agent->uptime_ms, 777);
	assert_true(status->agent->ready);
	assert_string_equal(status->agent->nic_device, "net_simnic0,card=/run/podport/card.sock");
	assert_string_equal(status->agent->nic_driver, "net_simnic");
	assert_int_equal(status->agent->functions, 256);
	assert_int_equal(status->agent->functions_used, 12);
	assert_int_equal(status->agent->attachments, 12);
	assert_int_equal(status->agent->workers, 2);
	assert_int_equal(status->agent->ipv4_free, 241);
	assert_int_equal(status->agent->ipv6_free, 65000);
	assert_summary(status->agent->offload);
	const struct podport_pod_network *network = status->agent->pod_network;
	assert_non_null(network);
	assert_true(network->has_ipv4 && network->has_ipv6);
	assert_int_equal(network->ipv4.s_addr, inet_addr("10.88.0.0"));
	assert_int_equal(network->gateway_ipv4.s_addr, inet_addr("10.88.0.1"));
	assert_int_equal(network->ipv4_prefix_length, 24);
	podport_status_free(status);
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer agent_away(const struct fake_call *call, struct reply *reply, void *arg)
{
	reply->body.status.has_agent = false;
	return FAKE_REPLY;
}

static enum fake_answer no_pod_network(const struct fake_call *call, struct reply *reply, void *arg)
{
	reply->body.status.agent.has_pod_network = false;
	return FAKE_REPLY;
}

static enum fake_answer no_host(const struct fake_call *call, struct reply *reply, void *arg)
{
	reply->body.status.has_host = false;
	return FAKE_REPLY;
}

static void status_without_an_agent_is_an_answer(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, agent_away, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_status *status;

	assert_int_equal(podport_get_status(client, &status, NULL), 0);
	assert_null(status->agent);
	assert_non_null(status->host);
	podport_status_free(status);
	podport_free(client);
	fake_hostd_stop(fake);
}

static void status_without_a_pod_network_or_a_host_is_no_crash(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, no_pod_network, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_status *status;

	assert_int_equal(podport_get_status(client, &status, NULL), 0);
	assert_null(status->agent->pod_network);
	podport_status_free(status);
	podport_free(client);
	fake_hostd_stop(fake);

	fake = fake_hostd_start(NULL, no_host, NULL);
	client = connect_to(fake, 0);
	assert_int_equal(podport_get_status(client, &status, NULL), -EBADMSG);
	podport_free(client);
	fake_hostd_stop(fake);
}

static enum fake_answer no_ipv6(const struct fake_call *call, struct reply *reply, void *arg)
{
	memset(&reply->body.ipam.ipv6, 0, sizeof(reply->body.ipam.ipv6));
	reply->body.ipam.ipv4.has_next = false;
	return FAKE_REPLY;
}

static void ipam_has_the_families_that_there_are(void **state)
{
	struct fake_hostd *fake = fake_hostd_start(NULL, NULL, NULL);
	struct podport_client *client = connect_to(fake, 0);
	struct podport_ipam *ipam;
	uint8_t address[16];

	assert_int_equal(podport_get_ipam(client, &ipam, NULL), 0);
	assert_int_equal(ipam->ipv4->family, AF_INET);
	assert_int_equal(ipam->ipv6->family, AF_INET6);
	inet_pton(AF_INET, "10.88.0.9", address);
	assert_true(ipam->ipv4->has_next);
	assert_memory_equal(ipam->ipv4->next, address, 4);
	inet_pton(AF_INET6, "fd00:88::1", address);
	assert_memory_equal(ipam->ipv6->gateway, address, 16);
	assert_int_equal(ipam->ipv6->prefix_length, 64);
	assert_int_equal(ipam->ipv4->total, 253);
	assert_int_equal(ipam->ipv4->allocated, 11);
	assert_int_equal(ipam->ipv4->never_used, 200);
	assert_int_equal(ipam->ipv4->released, 42);
	podport_ipam_free(ipam);
	podport_free(client);
	fake_hostd_stop(fake);

	fake = fake_hostd_start(NULL, no_ipv6, NULL);
	client = connect_to(fake, 0);
	assert_int_equal(podport_get_ipam(client, &ipam, NULL), 0);
	assert_non_null(ipam->ipv4);
	assert_false(ipam->ipv4->has_next);
	assert_null(ipam->ipv6);
	podport_ipam_free(ipam);
	podport_free(client);
	fake_hostd_stop(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(add_passes_every_wish_and_the_sandbox_itself),
		cmocka_unit_test(without_wishes_none_are_sent),
		cmocka_unit_test(a_caller_of_an_older_library_is_understood),
		cmocka_unit_test(what_is_wrong_in_a_request_is_named_and_not_sent),
		cmocka_unit_test(a_sandbox_that_is_none_is_refused_before_anything_is_done),
		cmocka_unit_test(del_goes_on_without_a_sandbox),
		cmocka_unit_test(check_returns_what_was_attached),
		cmocka_unit_test(lists_of_several_pages_are_whole),
		cmocka_unit_test(a_list_that_does_not_move_on_ends),
		cmocka_unit_test(a_port_tells_whom_it_serves_and_what_it_dropped),
		cmocka_unit_test(a_rule_tells_what_it_does_and_for_whom),
		cmocka_unit_test(offload_has_the_summary_and_what_the_nic_can_do),
		cmocka_unit_test(pods_tell_how_far_they_are_offloaded),
		cmocka_unit_test(gc_asks_about_everything_once_in_as_many_parts_as_it_takes),
		cmocka_unit_test(gc_refuses_what_is_no_attachment_and_a_hostd_that_stands_still),
		cmocka_unit_test(set_network_passes_the_prefixes_and_tells_what_came_of_it),
		cmocka_unit_test(reconcile_tells_all_its_numbers),
		cmocka_unit_test(status_has_both_sides),
		cmocka_unit_test(status_without_an_agent_is_an_answer),
		cmocka_unit_test(status_without_a_pod_network_or_a_host_is_no_crash),
		cmocka_unit_test(ipam_has_the_families_that_there_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
