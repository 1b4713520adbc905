// SPDX-License-Identifier: BSD-3-Clause
//
// See meter.h.

#include "datapath/meter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_net.h>

bool meter_init(struct meter *meter, const struct bandwidth_limit *limit)
{
	struct rte_meter_srtcm_params params = {
		.cir = limit->bytes_per_s, .cbs = limit->burst_bytes, .ebs = 0};

	rte_spinlock_init(&meter->lock);
	meter->owed = 0;
	return rte_meter_srtcm_profile_config(&meter->profile, &params) == 0 &&
	       rte_meter_srtcm_config(&meter->bucket, &meter->profile) == 0;
}

int meters_new(const struct bandwidth_limit limits[BANDWIDTH_DIRECTIONS],
	       struct meter *ret_meters[BANDWIDTH_DIRECTIONS], struct error *err)
{
	for (int i = 0; i < BANDWIDTH_DIRECTIONS; i++) {
		if (limits[i].bytes_per_s == 0)
			continue;
		ret_meters[i] = calloc(1, sizeof(*ret_meters[i]));
		if (ret_meters[i] == NULL)
			return error_set(err, ENOMEM, CODE_INTERNAL, "datapath: out of memory");
		if (!meter_init(ret_meters[i], &limits[i]))
			return error_set(err, EINVAL, CODE_INTERNAL,
					 "a meter of %" PRIu64 " bytes/s and %" PRIu64
					 " bytes cannot be",
					 limits[i].bytes_per_s, limits[i].burst_bytes);
	}
	return 0;
}

void meters_free(struct meter *meters[BANDWIDTH_DIRECTIONS])
{
	for (int i = 0; i < BANDWIDTH_DIRECTIONS; i++)
		free(meters[i]);
}

_Atomic bool metered_in_nic[DATAPATH_PORTS_MAX];

void datapath_meter_in_nic(uint32_t slot, bool in_nic)
{
	atomic_store(&metered_in_nic[slot], in_nic);
}

// ---- frames --------------------------------------------------------------------------------------

// The workers' clocks may differ by a little.
static bool take_one(struct meter *meter, uint64_t bytes, uint64_t tsc)
{
	return rte_meter_srtcm_color_blind_check(&meter->bucket, &meter->profile,
						 RTE_MAX(tsc, meter->bucket.time),
						 (uint32_t)bytes) == RTE_COLOR_GREEN;
}

// Packet by packet; returns what is left when one does not pass.
static uint64_t take(struct meter *meter, uint64_t bytes, uint64_t unit, uint64_t tsc)
{
	while (bytes > 0) {
		uint64_t step = RTE_MIN(bytes, unit);

		if (!take_one(meter, step, tsc))
			break;
		bytes -= step;
	}
	return bytes;
}

bool meter_passes(struct meter *meter, uint32_t packets, uint64_t bytes, uint64_t tsc)
{
	const uint64_t unit = (bytes + packets - 1) / packets;
	bool passes;

	rte_spinlock_lock(&meter->lock);
	meter->owed = take(meter, meter->owed, meter->owed_unit, tsc);
	passes = meter->owed == 0 && take_one(meter, unit, tsc);
	if (passes && packets > 1) {
		meter->owed = take(meter, bytes - unit, unit, tsc);
		meter->owed_unit = unit;
	}
	rte_spinlock_unlock(&meter->lock);
	return passes;
}

struct size {
	uint32_t packets;
	uint64_t bytes; // at layer 2
};

// `length` bytes with headers of `header` bytes, which each segment of `segment` bytes has.
static struct size cut(uint32_t length, uint32_t header, uint32_t segment)
{
	uint32_t payload = length > header ? length - header : 0;
	uint32_t packets = segment == 0 || payload == 0 ? 1 : (payload + segment - 1) / segment;

	return (struct size){packets, (uint64_t)packets * header + payload};
}

static bool decide(struct worker *w, const struct graph_port *port, unsigned int direction,
		   const struct size *size)
{
	struct bandwidth_count *count = &w->counters[port->config.slot].metered[direction];
	bool passes =
		meter_passes(port->meters[direction], size->packets, size->bytes, rte_rdtsc());

	if (passes) {
		count->passed_packets += size->packets;
		count->passed_bytes += size->bytes;
	} else {
		count->dropped_packets += size->packets;
		count->dropped_bytes += size->bytes;
	}
	return passes;
}

bool meter_egress(struct worker *w, const struct graph_port *port, const struct rte_mbuf *m)
{
	struct size size = {1, rte_pktmbuf_pkt_len(m)};
	struct rte_net_hdr_lens lengths;

	// What headers there are is looked at later; here only of what each segment will have.
	if ((m->ol_flags & RTE_MBUF_F_RX_LRO) != 0) {
		rte_net_get_ptype(m, &lengths,
				  RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK);
		size = cut(rte_pktmbuf_pkt_len(m),
			   (uint32_t)lengths.l2_len + lengths.l3_len + lengths.l4_len,
			   m->tso_segsz);
	}
	return decide(w, port, BANDWIDTH_EGRESS, &size);
}

bool meter_ingress(struct worker *w, const struct graph_port *port, const struct rte_mbuf *m)
{
	const struct packet_meta *meta = packet_meta(m);
	const uint32_t length = RTE_ETHER_HDR_LEN + rte_pktmbuf_pkt_len(m);
	struct size size = {1, length};

	if (meta->offload == OFFLOAD_TSO)
		size = cut(length, RTE_ETHER_HDR_LEN + meta->l4_offset + meta->l4_size,
			   m->tso_segsz);
	return decide(w, port, BANDWIDTH_INGRESS, &size);
}
