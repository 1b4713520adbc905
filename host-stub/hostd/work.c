// SPDX-License-Identifier: BSD-3-Clause
//
// The calls themselves: see work.h.
//
//   Attach   queued release of the key delivered, agent asked, sandbox dressed; undone in reverse
//   Detach   sandbox undressed, agent told, or the release queued
//   Check    agent's record against what the runtime believes and what the sandbox is
//   status   hostd's own, and the agent's if it is there
//   reconcile    hostd's share now, then the agent's
//   GC       the agent's list against what the runtime knows: gc.h
//   others   the agent's answer, passed on

#include "hostd/work.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hostd/clock.h"
#include "hostd/gc.h"
#include "hostd/release.h"
#include "hostd/upkeep.h"
#include "hostd/vhost_socket.h"
#include "proto/base/crash_point.h"
#include "proto/base/log.h"

// Status must answer also when the agent hangs, before the link has noticed it: a runtime waits for
// it with locks held (kubelet asks every 5 s).
enum { STATUS_TIMEOUT_MS = 500 };

// For telling a release after a failure, also when the deadline has passed; else it is queued.
enum { UNDO_TIMEOUT_MS = 1000 };

const struct attachment_key *work_key(const struct request *request)
{
	switch (request->call) {
	case CALL_ATTACH:
		return &request->body.attach.key;
	case CALL_DETACH:
		return &request->body.detach.key;
	case CALL_CHECK:
		return &request->body.check.key;
	default:
		return NULL;
	}
}

void work_fail(struct work *work, const struct error *err)
{
	const struct attachment_key *key = work_key(&work->request);

	reply_from_error(&work->reply, err);
	if (key != NULL)
		log_warning("call failed",
			    "call=%s network=%s container=%s ifname=%s code=%s error=\"%s\"",
			    call_name(work->request.call), key->network, key->container_id,
			    key->ifname, code_name(err->code), err->message);
}

// What the agent may take: not all that is left, so that its silence can still be dealt with (a
// release queued on disk) and reported before the caller gives up.
static uint32_t agent_left_ms(const struct work *work)
{
	uint32_t left_ms = clock_left_ms(work->deadline_ms);

	return left_ms - left_ms / 10;
}

// Ask the agent. A refusal of the agent's is an error too, with the agent's own code and words.
static int ask(struct hostd *hostd, struct work *work, struct request *request,
	       struct reply *ret_reply, struct error *err)
{
	int r = link_call(hostd->link, request, agent_left_ms(work), ret_reply, err);

	if (r < 0)
		return r;
	if (ret_reply->code == CODE_OK)
		return 0;
	r = reply_to_error(ret_reply, err);
	reply_clear(ret_reply);
	return r;
}

// ---- attach --------------------------------------------------------------------------------------

// An ADD that is repeated for a pod which is running fails as any other may, but what an earlier one
// has attached is not its to release. The agent says which it was (work->repeated), if it has answered; else
// it is seen by the interface in the sandbox. (What this call had put there is back with the host by now.)
// Where nobody can look, it is left to the runtime's DEL.
static bool is_an_earlier_adds(struct hostd *hostd, const struct work *work)
{
	const struct attachment_key *key = &work->request.body.attach.key;
	bool holds = true;
	struct error error;

	if (work->netns_fd < 0)
		return false;
	if (wiring_holds(&hostd->wiring, work->netns_fd, key, &holds, &error) < 0)
		log_warning("cannot see whether an ADD that failed was a repeated one",
			    "network=%s container=%s ifname=%s error=\"%s\"", key->network,
			    key->container_id, key->ifname, error.message);
	return holds;
}

static void release_failed(struct hostd *hostd, const struct work *work)
{
	const struct attach_request *attach = &work->request.body.attach;
	struct detach_request detach = {.key = attach->key, .sandbox = attach->sandbox};
	struct error error;
	int r;

	if (is_an_earlier_adds(hostd, work))
		return;
	if (work->silent) // it would only cost the caller its answer to ask again
		r = delete_queue_put(hostd->deletes, &detach, &error);
	else
		r = release_attachment(hostd, &detach, UNDO_TIMEOUT_MS, NULL, &error);
	if (r < 0)
		log_error("an attachment that failed could not be released",
			  "network=%s container=%s ifname=%s error=\"%s\"", detach.key.network,
			  detach.key.container_id, detach.key.ifname, error.message);
}

static int attach_at_agent(struct hostd *hostd, struct work *work,
			   struct attachment *ret_attachment, struct error *err)
{
	struct request *request = &work->request;
	bool tried = work->maybe_attached; // then it may be this call that was there before
	struct reply reply;
	int r = release_deliver(hostd, &request->body.attach.key, agent_left_ms(work), err);

	work->repeated = false;
	if (r == 0) {
		r = link_call(hostd->link, request, agent_left_ms(work), &reply, err);
		if (r < 0 && r != -ENOTCONN)
			work->maybe_attached = true;
		work->silent = r == -ETIMEDOUT;
	}
	if (r < 0) {
		work->again = r == -ECONNRESET || r == -ENOTCONN;
		return r;
	}
	// Whatever it said, it is known now.
	work->maybe_attached = reply.code == CODE_OK;
	work->repeated = reply.code == CODE_OK && reply.repeated && !tried;
	if (reply.code != CODE_OK)
		r = reply_to_error(&reply, err);
	else
		*ret_attachment = reply.body.attach;
	reply_clear(&reply);
	return r;
}

// An older agent does not read what it does not know, and so attaches without it.
static int check_served(const struct attach_request *wanted, const struct attachment *attachment,
			struct error *err)
{
	if (attachment->port != wanted->port)
		return error_set(err, EOPNOTSUPP, CODE_UNSUPPORTED,
				 "port_kind: the agent is an older one and knows no %s ports",
				 port_choice_name(wanted->port));
	if (bandwidth_is_limited(&wanted->bandwidth) &&
	    !bandwidth_equal(&wanted->bandwidth, &attachment->bandwidth))
		return error_set(err, EOPNOTSUPP, CODE_UNSUPPORTED,
				 "bandwidth: the agent is an older one and limits none");
	if (wanted->port_mappings.count > 0 &&
	    !port_mappings_equal(&wanted->port_mappings, &attachment->port_mappings))
		return error_set(err, EOPNOTSUPP, CODE_UNSUPPORTED,
				 "port_mappings: the agent is an older one and maps no ports");
	return 0;
}

// What the pod gets of it. Of a vhost-user port nothing goes into the sandbox: its other end is opened by
// whoever has the path of the socket.
static int connect_pod(struct hostd *hostd, struct work *work, const struct attachment *attachment,
		       struct error *err)
{
	int r = check_served(&work->request.body.attach, attachment, err);

	if (r < 0)
		return r;
	// Nobody but the agent can say whether it is new, so it is never undone because its caller hung up: a
	// DEL ends it, or the end of its sandbox.
	if (attachment->port == PORT_CHOICE_VHOST_USER)
		return vhost_socket_check(attachment, CODE_WIRING, err);
	return wiring_dress(&hostd->wiring, work->netns_fd, attachment, work->deadline_ms,
			    &work->created, err);
}

static int attach(struct hostd *hostd, struct work *work, struct error *err)
{
	struct attach_request *request = &work->request.body.attach;
	struct attachment attachment;
	int r;

	if (work->netns_fd < 0)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "attach: the sandbox's file descriptor is missing");
	r = netns_verify(&hostd->wiring.host, work->netns_fd, &request->sandbox.inode, err);
	if (r < 0)
		return r;
	request->sandbox.cookie = netns_cookie(&hostd->wiring.host, work->netns_fd);
	r = attach_at_agent(hostd, work, &attachment, err);
	if (r < 0)
		return r;
	crash_point("hostd:add:asked");
	r = connect_pod(hostd, work, &attachment, err);
	if (r < 0)
		return r;
	crash_point("hostd:add:dressed");
	work->reply = (struct reply){.call = CALL_ATTACH, .body.attach = attachment};
	return 0;
}

static void run_attach(struct hostd *hostd, struct work *work)
{
	const struct attachment_key *key = &work->request.body.attach.key;
	const struct attachment *attachment = &work->reply.body.attach;
	char ipv4[INET_ADDRSTRLEN] = "-", ipv6[INET6_ADDRSTRLEN] = "-";
	char netdev[IFNAMSIZ] = "-";
	struct error error;
	const char *slash;

	work->again = false;
	crash_point("hostd:add:begun");
	if (attach(hostd, work, &error) < 0) {
		// Not yet, if it will be tried again: the agent would do it twice for nothing.
		if (work->maybe_attached && !work->again) {
			if (!work->repeated)
				release_failed(hostd, work);
			work->maybe_attached = false;
		}
		if (work->again)
			reply_from_error(&work->reply, &error);
		else
			work_fail(work, &error);
		return;
	}
	if (attachment->has_ipv4)
		inet_ntop(AF_INET, &attachment->ipv4, ipv4, sizeof(ipv4));
	if (attachment->has_ipv6)
		inet_ntop(AF_INET6, &attachment->ipv6, ipv6, sizeof(ipv6));
	slash = attachment->pod.name[0] != '\0' ? "/" : "";
	if (!port_choice_has_netdev(attachment->port)) {
		log_info("attached",
			 "network=%s container=%s ifname=%s pod=%s%s%s socket=%s ipv4=%s ipv6=%s",
			 key->network, key->container_id, key->ifname, attachment->pod.namespace_,
			 slash, attachment->pod.name, attachment->socket_path, ipv4, ipv6);
		return;
	}
	wiring_netdev_name(&hostd->wiring, attachment, netdev, &error);
	log_info("attached",
		 "network=%s container=%s ifname=%s pod=%s%s%s netdev=%s ipv4=%s ipv6=%s%s",
		 key->network, key->container_id, key->ifname, attachment->pod.namespace_, slash,
		 attachment->pod.name, netdev, ipv4, ipv6, work->created ? "" : " repeated=yes");
}

void work_undo(struct hostd *hostd, struct work *work)
{
	const struct attachment_key *key = &work->request.body.attach.key;
	struct error error;

	crash_point("hostd:undo:begun");
	if (work->created && work->netns_fd >= 0 &&
	    wiring_undress(&hostd->wiring, work->netns_fd, key, &error) < 0) {
		// Its DEL, or the sandbox's end and reconciliation, will release it.
		log_error("an attachment nobody waits for stays in its sandbox",
			  "network=%s container=%s ifname=%s error=\"%s\"", key->network,
			  key->container_id, key->ifname, error.message);
		return;
	}
	crash_point("hostd:undo:undressed");
	release_failed(hostd, work);
	crash_point("hostd:undo:released");
}

// ---- detach, check -------------------------------------------------------------------------------

static int undress(struct hostd *hostd, struct work *work, struct error *err)
{
	struct detach_request *request = &work->request.body.detach;
	struct error error;
	uint64_t inode;

	if (work->netns_fd < 0)
		return 0;
	// A path that is a plain file by now (a netns that was unmounted leaves one) holds nothing.
	if (netns_verify(&hostd->wiring.host, work->netns_fd, &inode, &error) < 0) {
		log_debug("nothing to undress", "container=%s reason=\"%s\"",
			  request->key.container_id, error.message);
		return 0;
	}
	request->sandbox.inode = inode;
	return wiring_undress(&hostd->wiring, work->netns_fd, &request->key, err);
}

static void run_detach(struct hostd *hostd, struct work *work)
{
	const struct attachment_key *key = &work->request.body.detach.key;
	struct detach_reply detached;
	struct error error;
	int r;

	crash_point("hostd:del:begun");
	r = undress(hostd, work, &error);
	crash_point("hostd:del:undressed");
	if (r == 0)
		r = release_attachment(hostd, &work->request.body.detach, agent_left_ms(work),
				       &detached, &error);
	if (r < 0) {
		work_fail(work, &error);
		return;
	}
	work->reply = (struct reply){.call = CALL_DETACH, .body.detach = detached};
	log_info("detached", "network=%s container=%s ifname=%s existed=%s", key->network,
		 key->container_id, key->ifname, detached.existed ? "yes" : "no");
}

// What the runtime believes, as far as it told (the rest is zero), against what the agent recorded.
static int compare(const struct attachment *expected, const struct attachment *actual,
		   struct error *err)
{
	static const struct mac not_told;
	const char *what = NULL;

	if (memcmp(&expected->mac, &not_told, sizeof(not_told)) != 0 &&
	    memcmp(&expected->mac, &actual->mac, sizeof(actual->mac)) != 0)
		what = "MAC address";
	else if (expected->has_ipv4 &&
		 (!actual->has_ipv4 || expected->ipv4.s_addr != actual->ipv4.s_addr))
		what = "IPv4 address";
	else if (expected->has_ipv6 && (!actual->has_ipv6 || memcmp(&expected->ipv6, &actual->ipv6,
								    sizeof(actual->ipv6)) != 0))
		what = "IPv6 address";
	else if (expected->mtu > actual->mtu) // a later plugin may lower it
		what = "MTU";
	if (what == NULL)
		return 0;
	return error_set(err, ESTALE, CODE_MISMATCH,
			 "the previous result's %s is not what the agent recorded", what);
}

static int check(struct hostd *hostd, struct work *work, struct error *err)
{
	struct check_request *request = &work->request.body.check;
	struct attachment expected;
	struct reply reply;
	int r;

	if (work->netns_fd < 0)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "check: the sandbox's file descriptor is missing");
	r = netns_verify(&hostd->wiring.host, work->netns_fd, &request->sandbox.inode, err);
	if (r < 0)
		return r;
	r = ask(hostd, work, &work->request, &reply, err);
	if (r < 0)
		return r;
	if (request->has_expected)
		r = compare(&request->expected, &reply.body.check, err);
	if (r < 0)
		return r;
	expected = reply.body.check;
	if (request->has_expected && request->expected.mtu != 0)
		expected.mtu = request->expected.mtu;
	r = expected.port == PORT_CHOICE_VHOST_USER
		    ? vhost_socket_check(&expected, CODE_MISMATCH, err)
		    : wiring_check(&hostd->wiring, work->netns_fd, &expected, err);
	if (r == 0)
		work->reply = reply; // owns nothing
	return r;
}

// ---- the operator's ------------------------------------------------------------------------------

static void status(struct hostd *hostd, struct work *work)
{
	struct request request = {.call = CALL_GET_STATUS};
	struct status_reply *ret = &work->reply.body.status;
	uint32_t left_ms = clock_left_ms(work->deadline_ms);
	struct reply reply;
	struct error error;

	memset(&work->reply, 0, sizeof(work->reply));
	work->reply.call = CALL_GET_STATUS;
	if (link_call(hostd->link, &request,
		      left_ms < STATUS_TIMEOUT_MS ? left_ms : STATUS_TIMEOUT_MS, &reply,
		      &error) == 0) {
		if (reply.code == CODE_OK && reply.body.status.has_agent) {
			ret->has_agent = true;
			ret->agent = reply.body.status.agent;
		}
		reply_clear(&reply);
	}
	ret->has_host = true;
	snprintf(ret->host.software_version, sizeof(ret->host.software_version), "%s",
		 PODPORT_VERSION);
	link_status(hostd->link, &ret->host);
	ret->host.queued_deletes = (uint32_t)delete_queue_count(hostd->deletes);
	ret->host.calls_in_flight = hostd->calls_in_flight - 1; // but for this one
	if (hostd->host_port != NULL)
		host_port_status(hostd->host_port, &ret->host);
}

static int collect_garbage(struct hostd *hostd, struct work *work, struct error *err)
{
	struct gc_reply gc;
	int r = gc_run(hostd, &work->request.body.gc, work->deadline_ms, &gc, err);

	if (r == 0)
		work->reply = (struct reply){.call = CALL_GC, .body.gc = gc};
	return r;
}

static int reconcile(struct hostd *hostd, struct work *work, struct error *err)
{
	struct reconcile_reply *told = &work->reply.body.reconcile;
	struct reconcile_counts counts;
	int r = upkeep_reconcile(hostd->upkeep, &counts, err);

	if (r == 0)
		r = ask(hostd, work, &work->request, &work->reply, err);
	if (r < 0)
		return r;
	told->suspects = counts.suspects;
	told->reclaimed = counts.reclaimed;
	told->strays = counts.strays;
	told->queued_deletes = (uint32_t)delete_queue_count(hostd->deletes);
	return 0;
}

void work_run(struct hostd *hostd, struct work *work)
{
	struct error error;
	int r = 0;

	switch (work->request.call) {
	case CALL_ATTACH:
		run_attach(hostd, work);
		return;
	case CALL_DETACH:
		run_detach(hostd, work);
		return;
	case CALL_CHECK:
		r = check(hostd, work, &error);
		break;
	case CALL_GET_STATUS:
		status(hostd, work);
		break;
	case CALL_RECONCILE:
		r = reconcile(hostd, work, &error);
		break;
	case CALL_GC:
		r = collect_garbage(hostd, work, &error);
		break;
	case CALL_LIST:
	case CALL_SET_POD_NETWORK:
	case CALL_LIST_PORTS:
	case CALL_GET_IPAM:
	case CALL_LIST_FLOWS:
	case CALL_LIST_NEIGHBOURS:
	case CALL_LIST_CONNECTIONS:
	case CALL_WATCH:
	case CALL_READ_WATCH:
	case CALL_LIST_NAT:
	case CALL_GET_OFFLOAD:
		r = ask(hostd, work, &work->request, &work->reply, &error);
		break;
	default:
		r = error_set(&error, EOPNOTSUPP, CODE_UNSUPPORTED, "%s: not a call for hostd",
			      call_name(work->request.call));
		break;
	}
	if (r < 0)
		work_fail(work, &error);
}
