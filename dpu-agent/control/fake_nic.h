// SPDX-License-Identifier: BSD-3-Clause
//
// For tests: port/port.h and datapath/datapath.h without a NIC. Ports remember how they were
// started, and refuse on request.

#pragma once

#include "datapath/datapath.h"
#include "datapath/masquerade.h"
#include "port/port.h"

enum {
	FAKE_FUNCTIONS_MAX = 1000,
	FAKE_VHOSTS_MAX = 16,
	FAKE_VIRTIOS_MAX = 4,
	FAKE_VHOST = FAKE_FUNCTIONS_MAX + 2,
	FAKE_VIRTIO = FAKE_VHOST + FAKE_VHOSTS_MAX,
};

struct fake_port {
	bool started;
	bool link_down;
	uint32_t queue_pairs;
	uint64_t tx_full;
	bool lost;                 // its device has ended, until it is started again
	struct port_config config; // of the last start
	unsigned int starts, stops, clears;
};

struct fake_nic {
	uint32_t functions;
	uint32_t vhosts, virtios;
	bool no_vhost_net; // no virtio-user port can be started
	bool host_port;
	// VFs, then host, then uplink, then vhost-user, then virtio-user
	struct fake_port ports[FAKE_VIRTIO + FAKE_VIRTIOS_MAX];
	unsigned int fail_start_in; // the Nth start from now fails; 0: none
	bool fail_all_starts;
	void (*on_change)(void); // called at each start and stop; may be NULL
	struct datapath_router router;
	bool has_uplink; // datapath_set_uplink
	struct uplink uplink;
	bool fail_uplink;
	unsigned int announcements; // but those of datapath_set_uplink
	uint32_t connections;       // that there are, numbered from 1 on
	bool connections_fail;
	uint32_t neighbours; // that there are: 192.0.2.1 and on
	struct masquerade_publication published[MASQUERADE_PUBLISHED_MAX]; // masquerade_publish
	size_t published_count;
	unsigned int publish_calls;
	bool fail_publish;
};

extern struct fake_nic fake_nic;

void fake_nic_reset(uint32_t functions); // all stopped, with a host port
struct nic *fake_nic_handle(void);
size_t fake_nic_started_functions(void);
