// SPDX-License-Identifier: BSD-3-Clause
//
// The answers of offload/ as a table. Start-up thread; ends before anything else begins.

#include "main/preflight.h"

#include <errno.h>
#include <stdio.h>

#include "offload/offload.h"

static void print_table(const struct offload *offload)
{
	struct offload_summary summary;

	printf("%-42s %-7s %-7s %s\n", "THE NIC CAN", "ANSWER", "NEEDED", "REMARK");
	for (size_t i = 0; i < offload_capability_count(offload); i++) {
		const struct offload_capability *c = offload_capability(offload, i);

		printf("%-42s %-7s %-7s %s\n", c->name, c->supported ? "yes" : "no",
		       c->needed ? "yes" : "no", c->remark[0] != '\0' ? c->remark : "-");
	}
	offload_read_summary(offload, &summary);
	if (summary.usable)
		printf("\nPods are offloaded, by the %s API.\n", summary.api);
	else
		printf("\nPods are not offloaded: %s.\n", summary.why_not);
}

int preflight(struct nic *nic, uint32_t mtu, bool icmp6, struct error *err)
{
	const struct offload_config config = {.nic = nic, .enabled = true, .icmp6 = icmp6};
	const struct port_config port_config = {.mtu = mtu};
	// Some router: its rules are made and removed again.
	const struct offload_router router = {.mac = {{0x02, 0, 0, 0, 0, 1}}, .mtu = mtu};
	struct port *uplink = nic_port(nic, PORT_UPLINK, 0);
	struct offload_summary summary;
	struct offload *offload;
	int r = offload_new(&config, &offload, err);

	if (r < 0)
		return r;
	r = port_start(uplink, &port_config, err);
	if (r < 0)
		goto free;
	offload_begin(offload, &router);
	print_table(offload);
	offload_read_summary(offload, &summary);
	if (!summary.usable)
		r = error_set(err, ENOTSUP, CODE_NIC, "%s", summary.why_not);
free:
	offload_free(offload);
	port_stop(uplink);
	return r;
}
