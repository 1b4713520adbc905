// SPDX-License-Identifier: BSD-3-Clause
//
// Who the agent is on the wire: as configured, as long as that goes with the pod network.

#include <errno.h>

#include "control/control_private.h"
#include "datapath/uplink.h"
#include "proto/base/log.h"

static int apply(const struct control *control, const struct uplink *uplink, struct error *err)
{
	if (!uplink_is_configured(uplink))
		return datapath_set_uplink(NULL, err);
	int r = uplink_suits_network(uplink, &control->pods->network.common, err);
	return r < 0 ? r : datapath_set_uplink(uplink, err);
}

void wire_apply(struct control *control)
{
	struct error err = {0}, ignored;

	if (apply(control, &control->uplink, &err) < 0) {
		log_error("the wire is not served", "error=\"%s\"", err.message);
		datapath_set_uplink(NULL, &ignored);
	}
	control->wire_error = err;
}

int control_set_uplink(struct control *control, const struct uplink *uplink, struct error *err)
{
	uint32_t mtu_before = control->uplink.mtu;

	if (uplink_equal(uplink, &control->uplink) && control->wire_error.code == CODE_OK)
		return 0;
	if (control->pods->has_network) {
		int r = apply(control, uplink, err);

		if (r < 0)
			return r;
	}
	control->uplink = *uplink;
	control->wire_error = (struct error){0};
	if (control->pods->has_network && uplink->mtu != mtu_before)
		uplink_port_restart(control);
	log_info("uplink set", "ipv4=%s ipv6=%s vlan=%u routes=%u", uplink->has_ipv4 ? "yes" : "no",
		 uplink->has_ipv6 ? "yes" : "no", uplink->vlan, uplink->route_count);
	return 0;
}
