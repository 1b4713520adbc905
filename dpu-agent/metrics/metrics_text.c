// SPDX-License-Identifier: BSD-3-Clause
//
// The text of /metrics. What it tells it asks control for by the operator's calls, so that it is what
// podportctl shows.

#include "metrics/metrics_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/datapath.h"
#include "datapath/masquerade.h"

// A pod's share of the counters.
struct sample {
	struct attachment_key key;
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes; // by both paths
	uint64_t offloaded_rx_packets, offloaded_rx_bytes, offloaded_tx_packets, offloaded_tx_bytes;
	uint64_t dropped;
	bool is_vhost; // a vhost-user or virtio-user port: the next lines are about it
	bool connected;
	uint32_t queue_pairs;
	uint64_t tx_full;
	struct meter_info ingress, egress;
};

struct scrape {
	struct agent_status status;
	struct list_item *pods; // by key
	size_t pod_count;
	struct sample *samples;
	size_t sample_count;
	bool failed; // out of memory
};

// ---- asking control --------------------------------------------------------------------------------

struct question {
	struct control_call base;
	struct request request;
	struct scrape *scrape;
	bool more;
};

static int64_t remaining_ms(const struct control_call *call)
{
	return 1; // it is processed at once
}

static void take_pods(struct question *question, const struct list_reply *page)
{
	struct scrape *scrape = question->scrape;
	struct list_item *pods =
		reallocarray(scrape->pods, scrape->pod_count + page->count + 1, sizeof(*pods));

	scrape->failed = scrape->failed || pods == NULL;
	if (pods == NULL)
		return;
	scrape->pods = pods;
	memcpy(pods + scrape->pod_count, page->items, page->count * sizeof(*pods));
	scrape->pod_count += page->count;
	question->more = page->more && page->count > 0;
	if (!question->more)
		return;
	question->request.body.list.has_after = true;
	question->request.body.list.after = page->items[page->count - 1].attachment.key;
}

static bool is_vhost(const struct port_info *port)
{
	return strcmp(port->kind, port_choice_name(PORT_CHOICE_VHOST_USER)) == 0 ||
	       strcmp(port->kind, port_choice_name(PORT_CHOICE_VIRTIO_USER)) == 0;
}

static void take_ports(struct question *question, const struct ports_reply *page)
{
	struct scrape *scrape = question->scrape;
	struct sample *samples = reallocarray(
		scrape->samples, scrape->sample_count + page->count + 1, sizeof(*samples));

	scrape->failed = scrape->failed || samples == NULL;
	if (samples == NULL)
		return;
	scrape->samples = samples;
	for (size_t i = 0; i < page->count; i++) {
		const struct port_info *port = &page->ports[i];
		struct sample *sample = &samples[scrape->sample_count];

		if (!port->has_key)
			continue;
		scrape->sample_count++;
		*sample = (struct sample){
			.key = port->key,
			.rx_packets = port->rx_packets,
			.rx_bytes = port->rx_bytes,
			.tx_packets = port->tx_packets,
			.tx_bytes = port->tx_bytes,
			.offloaded_rx_packets = port->offloaded_rx_packets,
			.offloaded_rx_bytes = port->offloaded_rx_bytes,
			.offloaded_tx_packets = port->offloaded_tx_packets,
			.offloaded_tx_bytes = port->offloaded_tx_bytes,
			.is_vhost = is_vhost(port),
			.connected = port->link_up,
			.queue_pairs = port->queue_pairs,
			.tx_full = port->tx_full_packets,
			.ingress = port->ingress,
			.egress = port->egress,
		};
		for (size_t j = 0; j < port->drop_count; j++)
			sample->dropped += port->drops[j].packets;
	}
	question->more = page->more && page->count > 0;
	if (question->more)
		question->request.body.list_ports.after = page->ports[page->count - 1].slot + 1;
}

static void take_reply(struct control_call *call, const struct reply *reply)
{
	struct question *question = (struct question *)call; // base is the first member

	question->more = false;
	if (reply->call == CALL_GET_STATUS)
		question->scrape->status = reply->body.status.agent;
	else if (reply->call == CALL_LIST)
		take_pods(question, &reply->body.list);
	else if (reply->call == CALL_LIST_PORTS)
		take_ports(question, &reply->body.ports);
	else
		question->scrape->failed = true; // these calls fail for want of memory only
}

static void ask(struct control *control, struct scrape *scrape, enum call which)
{
	struct question question = {
		.base = {.request = &question.request,
			 .remaining_ms = remaining_ms,
			 .reply = take_reply},
		.request = {.timeout_ms = 1, .call = which},
		.scrape = scrape,
		.more = true,
	};
	struct control_call *call = &question.base;

	if (which == CALL_LIST)
		question.request.body.list.limit = LIMIT_PAGE;
	else if (which == CALL_LIST_PORTS)
		question.request.body.list_ports.limit = LIMIT_PORTS_PAGE;
	while (question.more && !scrape->failed)
		control_process(control, &call, 1);
}

// ---- the format ------------------------------------------------------------------------------------

// A family's head; its samples must follow it, without another family between them.
static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void value(FILE *out, const char *name, const char *type, const char *help, uint64_t number)
{
	head(out, name, type, help);
	fprintf(out, "%s %llu\n", name, (unsigned long long)number);
}

// A label's value: \ " and newline are escaped.
static void put_label(FILE *out, const char *name, const char *text)
{
	fprintf(out, "%s=\"", name);
	for (; *text != '\0'; text++) {
		if (*text == '\\' || *text == '"')
			fputc('\\', out);
		if (*text == '\n')
			fputs("\\n", out);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static int compare_item(const void *key, const void *item)
{
	return attachment_key_compare(key, &((const struct list_item *)item)->attachment.key);
}

// The labels that say whose the sample is, and then: more labels may follow.
static void put_pod(FILE *out, const struct scrape *scrape, const struct attachment_key *key)
{
	const struct list_item *item =
		bsearch(key, scrape->pods, scrape->pod_count, sizeof(*scrape->pods), compare_item);

	put_label(out, "network", key->network);
	fputc(',', out);
	put_label(out, "container_id", key->container_id);
	fputc(',', out);
	put_label(out, "ifname", key->ifname);
	fputc(',', out);
	put_label(out, "namespace", item != NULL ? item->attachment.pod.namespace_ : "");
	fputc(',', out);
	put_label(out, "pod", item != NULL ? item->attachment.pod.name : "");
}

static void put_traffic(FILE *out, const struct scrape *scrape, const struct sample *sample,
			const char *name, const char *direction, uint64_t total, uint64_t offloaded)
{
	const struct {
		const char *path;
		uint64_t count;
	} paths[] = {{"e-switch", offloaded}, {"agent", total - offloaded}};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		fprintf(out, "%s{", name);
		put_pod(out, scrape, &sample->key);
		fprintf(out, ",direction=\"%s\",path=\"%s\"} %llu\n", direction, paths[i].path,
			(unsigned long long)paths[i].count);
	}
}

// ---- the families ----------------------------------------------------------------------------------

static void write_agent(FILE *out, const struct agent_status *status)
{
	head(out, "podport_agent_info", "gauge", "The agent and its NIC; always 1.");
	fputs("podport_agent_info{", out);
	put_label(out, "version", status->software_version);
	fputc(',', out);
	put_label(out, "nic_driver", status->nic_driver);
	fputs("} 1\n", out);
	value(out, "podport_agent_uptime_seconds", "gauge", "Since the agent started.",
	      status->uptime_ms / 1000);
	value(out, "podport_agent_ready", "gauge", "1: pods can be attached.", status->ready);
	value(out, "podport_attachments", "gauge", "Pod interfaces that are attached.",
	      status->attachments);
	value(out, "podport_functions", "gauge", "Functions of the NIC for pods.",
	      status->functions);
	value(out, "podport_functions_used", "gauge", "Functions that pods have.",
	      status->functions_used);
	head(out, "podport_vhost_ports", "gauge", "Ports for pods without a function, by kind.");
	fprintf(out, "podport_vhost_ports{kind=\"vhost-user\"} %u\n", status->vhost_ports);
	fprintf(out, "podport_vhost_ports{kind=\"virtio-user\"} %u\n", status->virtio_ports);
	head(out, "podport_vhost_ports_used", "gauge", "Those of them that pods have.");
	fprintf(out, "podport_vhost_ports_used{kind=\"vhost-user\"} %u\n",
		status->vhost_ports_used);
	fprintf(out, "podport_vhost_ports_used{kind=\"virtio-user\"} %u\n",
		status->virtio_ports_used);
	head(out, "podport_addresses_free", "gauge", "Addresses that can be given to pods now.");
	if (status->pod_network.has_ipv4)
		fprintf(out, "podport_addresses_free{family=\"ipv4\"} %u\n", status->ipv4_free);
	if (status->pod_network.has_ipv6)
		fprintf(out, "podport_addresses_free{family=\"ipv6\"} %u\n", status->ipv6_free);
}

static void write_connections(FILE *out, const struct control_counts *counts)
{
	static const char refused[] = "podport_offload_connections_refused_total";

	value(out, "podport_offload_connections", "gauge",
	      "Masqueraded connections in the e-switch.", counts->connections_carried);
	value(out, "podport_offload_connections_max", "gauge", "As many as there may be.",
	      counts->connections_most);
	value(out, "podport_offload_connections_begun_total", "counter",
	      "Connections that the e-switch took.", counts->connections_begun);
	head(out, refused, "counter", "Connections that were left to software.");
	fprintf(out, "%s{reason=\"full\"} %llu\n", refused,
		(unsigned long long)counts->connections_refused_full);
	fprintf(out, "%s{reason=\"nic\"} %llu\n", refused,
		(unsigned long long)counts->connections_refused_nic);
}

static void write_offload(FILE *out, const struct offload_info *offload, uint64_t retries)
{
	value(out, "podport_offload_enabled", "gauge", "1: nic.offload is true.", offload->enabled);
	value(out, "podport_offload_usable", "gauge",
	      "1: the e-switch forwards what it has rules for.", offload->usable);
	value(out, "podport_offload_rules", "gauge", "Rules in the e-switch.", offload->rules);
	value(out, "podport_offload_rules_missing", "gauge",
	      "Rules that pods should have and the NIC has not taken.", offload->rules_missing);
	head(out, "podport_offload_pods", "gauge", "Pods by how far they are offloaded.");
	fprintf(out, "podport_offload_pods{state=\"full\"} %u\n", offload->pods_full);
	fprintf(out, "podport_offload_pods{state=\"partial\"} %u\n", offload->pods_partial);
	fprintf(out, "podport_offload_pods{state=\"none\"} %u\n", offload->pods_none);
	value(out, "podport_offload_rules_inserted_total", "counter", "Rules that the NIC took.",
	      offload->inserted);
	value(out, "podport_offload_rules_removed_total", "counter", "Rules that were removed.",
	      offload->removed);
	value(out, "podport_offload_operations_failed_total", "counter",
	      "Rule operations that the NIC refused.", offload->failed);
	value(out, "podport_offload_retries_total", "counter",
	      "Times that missing rules were tried again.", retries);
}

static void write_pods(FILE *out, const struct scrape *scrape)
{
	static const char packets[] = "podport_pod_packets_total";
	static const char bytes[] = "podport_pod_bytes_total";
	static const char dropped[] = "podport_pod_dropped_packets_total";

	head(out, packets, "counter",
	     "Packets from (rx) and to (tx) a pod, by who forwarded them.");
	for (size_t i = 0; i < scrape->sample_count; i++) {
		const struct sample *s = &scrape->samples[i];

		put_traffic(out, scrape, s, packets, "rx", s->rx_packets, s->offloaded_rx_packets);
		put_traffic(out, scrape, s, packets, "tx", s->tx_packets, s->offloaded_tx_packets);
	}
	head(out, bytes, "counter", "Bytes from (rx) and to (tx) a pod, by who forwarded them.");
	for (size_t i = 0; i < scrape->sample_count; i++) {
		const struct sample *s = &scrape->samples[i];

		put_traffic(out, scrape, s, bytes, "rx", s->rx_bytes, s->offloaded_rx_bytes);
		put_traffic(out, scrape, s, bytes, "tx", s->tx_bytes, s->offloaded_tx_bytes);
	}
	head(out, dropped, "counter", "Packets that a pod sent and the agent dropped.");
	for (size_t i = 0; i < scrape->sample_count; i++) {
		fprintf(out, "%s{", dropped);
		put_pod(out, scrape, &scrape->samples[i].key);
		fprintf(out, "} %llu\n", (unsigned long long)scrape->samples[i].dropped);
	}
}

// Of pods at the other end of a virtio device.
static void write_vhost(FILE *out, const struct scrape *scrape)
{
	static const struct {
		const char *name, *type, *help;
	} families[] = {
		{"podport_vhost_connected", "gauge",
		 "1: a guest is connected to the pod's vhost-user port, or the netdev of its "
		 "virtio-user port is "
		 "there."},
		{"podport_vhost_queue_pairs", "gauge", "Pairs of queues that are in use."},
		{"podport_vhost_ring_full_packets_total", "counter",
		 "Packets to the pod that were dropped: its ring was full, or nobody was "
		 "connected."},
	};

	for (size_t family = 0; family < sizeof(families) / sizeof(families[0]); family++) {
		head(out, families[family].name, families[family].type, families[family].help);
		for (size_t i = 0; i < scrape->sample_count; i++) {
			const struct sample *s = &scrape->samples[i];
			const uint64_t numbers[] = {s->connected, s->queue_pairs, s->tx_full};

			if (!s->is_vhost)
				continue;
			fprintf(out, "%s{", families[family].name);
			put_pod(out, scrape, &s->key);
			fprintf(out, "} %llu\n", (unsigned long long)numbers[family]);
		}
	}
}

static void put_meter(FILE *out, const struct scrape *scrape, const struct sample *sample,
		      const char *name, const char *direction, const struct meter_info *meter,
		      uint64_t number)
{
	if (meter->rate_bps == 0)
		return;
	fprintf(out, "%s{", name);
	put_pod(out, scrape, &sample->key);
	fprintf(out, ",direction=\"%s\"} %llu\n", direction, (unsigned long long)number);
}

// Of pods that have a limit.
static void write_bandwidth(FILE *out, const struct scrape *scrape)
{
	static const char rate[] = "podport_pod_bandwidth_limit_bits_per_second";
	static const char passed[] = "podport_pod_bandwidth_passed_bytes_total";
	static const char dropped[] = "podport_pod_bandwidth_dropped_bytes_total";

	head(out, rate, "gauge", "How fast a pod may receive (ingress) and send (egress).");
	for (size_t i = 0; i < scrape->sample_count; i++) {
		const struct sample *s = &scrape->samples[i];

		put_meter(out, scrape, s, rate, "ingress", &s->ingress, s->ingress.rate_bps);
		put_meter(out, scrape, s, rate, "egress", &s->egress, s->egress.rate_bps);
	}
	head(out, passed, "counter", "What a limited pod was let receive and send.");
	for (size_t i = 0; i < scrape->sample_count; i++) {
		const struct sample *s = &scrape->samples[i];

		put_meter(out, scrape, s, passed, "ingress", &s->ingress, s->ingress.passed_bytes);
		put_meter(out, scrape, s, passed, "egress", &s->egress, s->egress.passed_bytes);
	}
	head(out, dropped, "counter", "What of a limited pod's was beyond the limit.");
	for (size_t i = 0; i < scrape->sample_count; i++) {
		const struct sample *s = &scrape->samples[i];

		put_meter(out, scrape, s, dropped, "ingress", &s->ingress,
			  s->ingress.dropped_bytes);
		put_meter(out, scrape, s, dropped, "egress", &s->egress, s->egress.dropped_bytes);
	}
}

static void write_drops(FILE *out, const struct control_counts *counts)
{
	head(out, "podport_drops_total", "counter", "Packets that the agent dropped, by reason.");
	for (size_t reason = 0; reason < datapath_drop_reason_count() && reason < LIMIT_DROPS;
	     reason++)
		fprintf(out, "podport_drops_total{reason=\"%s\"} %llu\n",
			datapath_drop_reason_name(reason),
			(unsigned long long)counts->drops[reason]);
}

static void write_ports(FILE *out, const struct masquerade_figures *figures)
{
	static const char *const families[] = {"ipv4", "ipv6"};
	static const char *const protocols[MASQUERADE_PROTOCOLS] = {"tcp", "udp", "icmp"};
	static const char size[] = "podport_masquerade_ports",
			  used[] = "podport_masquerade_ports_used";

	for (int which = 0; which < 2; which++) {
		const char *name = which == 0 ? size : used;

		head(out, name, "gauge",
		     which == 0 ? "Ports of the uplink's address for pods; of pings, identifiers."
				: "Ports of the uplink's address that pods have.");
		for (int i = 0; i < 2; i++) {
			for (int j = 0; j < MASQUERADE_PROTOCOLS; j++) {
				const struct masquerade_ports *ports = &figures->ports[i][j];

				if (ports->size > 0)
					fprintf(out, "%s{family=\"%s\",protocol=\"%s\"} %u\n", name,
						families[i], protocols[j],
						which == 0 ? ports->size : ports->used);
			}
		}
	}
}

// Nothing if nothing is masqueraded; nor if its worker is too busy to say: then the scrape is without.
static void write_masquerade(FILE *out)
{
	static const char connections[] = "podport_masquerade_connections";
	static const char refused[] = "podport_masquerade_refused_total";
	struct masquerade_figures figures = {0};
	struct error err;

	if (masquerade_look(NULL, 0, &figures, &err) < 0 || figures.most == 0)
		return;
	head(out, connections, "gauge", "Connections that are followed, by state.");
	for (uint32_t i = 0; i < figures.state_count; i++)
		fprintf(out, "%s{protocol=\"%s\",state=\"%s\"} %u\n", connections,
			figures.states[i].protocol, figures.states[i].state,
			figures.states[i].connections);
	value(out, "podport_masquerade_connections_max", "gauge",
	      "Connections that there is room for.", figures.most);
	value(out, "podport_masquerade_opened_total", "counter", "Connections that began.",
	      figures.opened);
	value(out, "podport_masquerade_ended_total", "counter", "Connections that ended.",
	      figures.ended);
	head(out, refused, "counter", "Connections that were refused, by what was used up.");
	fprintf(out, "%s{reason=\"table-full\"} %llu\n", refused,
		(unsigned long long)figures.refused_full);
	fprintf(out, "%s{reason=\"no-port\"} %llu\n", refused,
		(unsigned long long)figures.refused_ports);
	fprintf(out, "%s{reason=\"limit\"} %llu\n", refused,
		(unsigned long long)figures.refused_limit);
	value(out, "podport_masquerade_fragments_waiting", "gauge",
	      "Fragments that wait for their first.", figures.fragments_held);
	write_ports(out, &figures);
}

int metrics_write(struct control *control, char **ret_text, size_t *ret_size)
{
	struct scrape scrape = {0};
	struct control_counts counts;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return -ENOMEM;
	ask(control, &scrape, CALL_GET_STATUS);
	ask(control, &scrape, CALL_LIST);
	ask(control, &scrape, CALL_LIST_PORTS);
	control_read_counts(control, &counts);
	write_agent(out, &scrape.status);
	write_drops(out, &counts);
	write_offload(out, &scrape.status.offload, counts.offload_retries);
	write_connections(out, &counts);
	write_masquerade(out);
	write_pods(out, &scrape);
	write_vhost(out, &scrape);
	write_bandwidth(out, &scrape);
	free(scrape.pods);
	free(scrape.samples);
	if (fclose(out) != 0 || scrape.failed) {
		free(text);
		return -ENOMEM;
	}
	*ret_text = text;
	*ret_size = size;
	return 0;
}
