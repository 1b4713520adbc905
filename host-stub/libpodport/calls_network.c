// SPDX-License-Identifier: BSD-3-Clause
//
// The operator's calls that change something: the pod network, and a look at everything now.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libpodport/client_private.h"
#include "proto/codec.h"

static int take_network(const struct podport_set_network_request *from,
			struct set_pod_network_request *to, struct error *err)
{
	if (from->ipv4 == NULL && from->ipv6 == NULL)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "ipv4, ipv6: the pod network must have one of them");
	if (from->ipv4 != NULL) {
		to->has_ipv4 = true;
		to->ipv4 = *from->ipv4;
		to->ipv4_prefix_length = from->ipv4_prefix_length;
	}
	if (from->ipv6 != NULL) {
		to->has_ipv6 = true;
		to->ipv6 = *from->ipv6;
		to->ipv6_prefix_length = from->ipv6_prefix_length;
	}
	to->mtu = from->mtu;
	return to->mtu != 0 ? check_mtu("mtu", to->mtu, err) : 0;
}

int podport_set_network(struct podport_client *client,
			const struct podport_set_network_request *caller_request,
			struct podport_pod_network **ret_network, struct podport_error *error)
{
	struct request request = {.call = CALL_SET_POD_NETWORK};
	struct podport_set_network_request from;
	struct podport_pod_network *network;
	struct reply reply;
	struct error err;
	int r = take_request(&from, sizeof(from), caller_request, &err);

	if (r == 0)
		r = take_network(&from, &request.body.set_pod_network, &err);
	if (r == 0)
		r = client_call(client, &request, -1, &reply, &err);
	if (r < 0)
		return client_error(error, &err, r);
	network = calloc(1, sizeof(*network));
	if (network != NULL)
		object_fill_network(network, &reply.body.set_pod_network);
	reply_clear(&reply);
	if (network == NULL) {
		r = error_set(&err, ENOMEM, CODE_INTERNAL, "out of memory");
		return client_error(error, &err, r);
	}
	*ret_network = network;
	return 0;
}

void podport_pod_network_free(struct podport_pod_network *network)
{
	free(network);
}

int podport_reconcile(struct podport_client *client,
		      struct podport_reconciliation **ret_reconciliation,
		      struct podport_error *error)
{
	struct request request = {.call = CALL_RECONCILE};
	struct podport_reconciliation *to;
	const struct reconcile_reply *from;
	struct reply reply;
	struct error err;
	int r = client_call(client, &request, -1, &reply, &err);

	if (r < 0)
		return client_error(error, &err, r);
	from = &reply.body.reconcile;
	to = calloc(1, sizeof(*to));
	if (to != NULL)
		*to = (struct podport_reconciliation){
			.attachments = from->attachments,
			.without_port = from->without_port,
			.leaving = from->leaving,
			.rules_missing = from->rules_missing,
			.suspects = from->suspects,
			.reclaimed = from->reclaimed,
			.strays = from->strays,
			.queued_deletes = from->queued_deletes,
		};
	reply_clear(&reply);
	if (to == NULL) {
		r = error_set(&err, ENOMEM, CODE_INTERNAL, "out of memory");
		return client_error(error, &err, r);
	}
	*ret_reconciliation = to;
	return 0;
}

void podport_reconciliation_free(struct podport_reconciliation *reconciliation)
{
	free(reconciliation);
}
