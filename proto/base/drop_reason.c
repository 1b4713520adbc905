// SPDX-License-Identifier: BSD-3-Clause

#include "proto/base/drop_reason.h"

#include <stddef.h>
#include <string.h>

const char *drop_reason_text(const char *reason)
{
	static const struct {
		const char *name, *text;
	} reasons[] = {
		{"truncated", "it is shorter than its headers say"},
		{"malformed", "a header contradicts itself, or its RFC"},
		{"bad-checksum", "the checksum of its header is wrong"},
		{"wrong-destination-mac", "the frame is for neither the router nor a group"},
		{"vlan-tagged", "its VLAN tag is not the one that is expected here"},
		{"unknown-ethertype", "it is neither ARP nor IP"},
		{"spoofed-source-mac", "the frame is not from the MAC address that may send here"},
		{"spoofed-source-address", "its source address may not send from this port"},
		{"martian-source", "nobody can have its source address"},
		{"martian-destination", "nobody can have its destination address"},
		{"link-local", "link-local addresses are not routed"},
		{"multicast", "nobody here listens to groups"},
		{"arp-ignored", "it is no question for the router"},
		{"nd-ignored", "it is no question for the router"},
		{"not-for-router", "it is for the router itself, which does not serve that"},
		{"ttl-expired", "its time to live is over"},
		{"no-route", "no route leads there"},
		{"no-such-pod", "the address is of the pod network, and no pod has it"},
		{"too-big", "it is larger than the next link takes, and must not be cut"},
		{"no-buffer", "the agent has no buffer left"},
		{"tx-queue-full", "the port does not take packets fast enough"},
		{"tx-unsupported", "the port cannot send it as it is"},
		{"bad-offload", "what it wants of the NIC does not fit its headers"},
		{"neighbour-queue-full", "too many packets wait for a MAC address"},
		{"neighbour-unreachable", "the next hop does not say its MAC address"},
		{"egress-bandwidth", "the pod sends faster than its limit"},
		{"ingress-bandwidth", "more comes for the pod than its limit lets pass"},
		{"port-gone", "the port it was to leave by was just removed"},
		{"uplink-no-route", "from the wire, and neither for a pod nor for the agent"},
		{"nat-unsupported", "it has neither ports nor an identifier to be masqueraded by"},
		{"nat-invalid", "it fits no connection's state, and cannot begin one"},
		{"nat-table-full", "there is no room for another connection of this pod"},
		{"nat-no-port", "no external port is left for this pod"},
		{"nat-fragment-lost", "its first fragment did not come"},
		{"dhcp-server", "a pod is no DHCP server"},
		{"slow-path-limit", "more packets of the pod than the agent handles for it"},
		{"neighbour-limit", "the pod has too many neighbours asked for at once"},
		{"nat-connection-limit", "the pod has as many connections as it may"},
		{"nat-direct", "from the wire to a pod that is masqueraded towards there"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (strcmp(reasons[i].name, reason) == 0)
			return reasons[i].text;
	}
	return "";
}
