// SPDX-License-Identifier: BSD-3-Clause
//
// The names of functions, on the host and in sandboxes: the pattern, the ifalias, and finding a
// netdev by either. Worker threads.

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostd/clock.h"
#include "hostd/wiring_private.h"
#include "proto/base/log.h"

// Between two looks for a function that is not there yet. A netns takes tens of milliseconds to
// die, more on a busy machine; a look costs the kernel about 10 us.
enum { LOOK_MIN_MS = 2, LOOK_MAX_MS = 50 };

// A virtio-user port's netdev is there before the agent answers, except where it went with another sandbox that
// has just died: then the agent, which looks every two seconds, makes it anew.
enum { VIRTIO_WAIT_MS = 3000 };

// What is done in a turn takes 20 ms; ten times that on a machine that is busy. After that, somebody is stuck.
enum { TURN_MAX_MS = 200 };

int wiring_parse_pattern(const char *pattern, struct wiring *wiring, struct error *err)
{
	const char *number = strstr(pattern, "%u");
	size_t prefix, suffix;

	if (number == NULL || strchr(pattern, '%') != number || strchr(number + 1, '%') != NULL)
		return error_set(err, EINVAL, CODE_BAD_REQUEST,
				 "%s: must hold %%u once, for the VF's number, and no other %%",
				 pattern);
	prefix = (size_t)(number - pattern);
	suffix = strlen(number + 2);
	if (prefix + suffix == 0 || prefix + suffix + 3 > LIMIT_IFNAME ||
	    strpbrk(pattern, "/: \t\n") != NULL)
		return error_set(
			err, EINVAL, CODE_BAD_REQUEST,
			"%s: with a number of 3 digits, no name that an interface can have",
			pattern);
	memcpy(wiring->prefix, pattern, prefix);
	wiring->prefix[prefix] = '\0';
	memcpy(wiring->suffix, number + 2, suffix + 1);
	return 0;
}

int wiring_open(const char *function_netdev, struct wiring *ret_wiring, struct error *err)
{
	struct wiring wiring;
	int r = wiring_parse_pattern(function_netdev, &wiring, err);

	if (r < 0)
		return r;
	r = host_netns_open(&wiring.host, err);
	if (r < 0)
		return r;
	r = turn_open(TURN_MAX_MS, &wiring.turn, err);
	if (r < 0) {
		host_netns_close(&wiring.host);
		return r;
	}
	*ret_wiring = wiring;
	return 0;
}

void wiring_close(struct wiring *wiring)
{
	turn_close(wiring->turn);
	wiring->turn = NULL;
	host_netns_close(&wiring->host);
}

int wiring_function_name(const struct wiring *wiring, const struct function_id *function,
			 char ret_name[IFNAMSIZ], struct error *err)
{
	if (function->pf != 0)
		return error_set(err, ENODEV, CODE_NIC,
				 "function pf%uvf%u: function_netdev names functions of PF 0 only",
				 function->pf, function->vf);
	if (snprintf(ret_name, IFNAMSIZ, "%s%u%s", wiring->prefix, function->vf, wiring->suffix) >=
	    IFNAMSIZ)
		return error_set(err, ENODEV, CODE_NIC,
				 "function vf%u: its name would be longer than %d characters",
				 function->vf, LIMIT_IFNAME);
	return 0;
}

int wiring_netdev_name(const struct wiring *wiring, const struct attachment *attachment,
		       char ret_name[IFNAMSIZ], struct error *err)
{
	_Static_assert(IFNAMSIZ >= VIRTIO_NETDEV_SIZE, "a name that an interface can have");

	if (attachment->port == PORT_CHOICE_FUNCTION)
		return wiring_function_name(wiring, &attachment->function, ret_name, err);
	virtio_netdev_name(&attachment->mac, ret_name);
	return 0;
}

void wiring_format_alias(const char *function_name, const struct attachment_key *key,
			 char ret_alias[IFALIAS_SIZE])
{
	char whole[sizeof("podport:///") + IFNAMSIZ + sizeof(*key)];

	snprintf(whole, sizeof(whole), "podport:%s:%s/%s/%s", function_name, key->network,
		 key->container_id, key->ifname);
	whole[IFALIAS_SIZE - 1] = '\0';
	memcpy(ret_alias, whole, strlen(whole) + 1);
}

// By its form: which numbers there are is the agent's to know.
static bool looks_like_function(const struct wiring *wiring, const char *name)
{
	size_t prefix = strlen(wiring->prefix), suffix = strlen(wiring->suffix);
	size_t size = strlen(name);

	return size > prefix + suffix && memcmp(name, wiring->prefix, prefix) == 0 &&
	       strcmp(name + size - suffix, wiring->suffix) == 0 &&
	       strspn(name + prefix, "0123456789") >= size - prefix - suffix;
}

bool wiring_parse_alias(const struct wiring *wiring, const char *alias,
			char ret_function_name[IFNAMSIZ])
{
	static const char mark[] = "podport:";
	const char *begin = alias + strlen(mark), *end;
	char name[IFNAMSIZ];
	struct mac mac;

	if (strncmp(alias, mark, strlen(mark)) != 0)
		return false;
	end = strchr(begin, ':');
	if (end == NULL || end - begin >= IFNAMSIZ)
		return false;
	memcpy(name, begin, (size_t)(end - begin));
	name[end - begin] = '\0';
	// And one of ours: another hostd may share this host's netns.
	if (!looks_like_function(wiring, name) && !virtio_netdev_parse(name, &mac))
		return false;
	strcpy(ret_function_name, name);
	return true;
}

bool wiring_alias_is(const struct wiring *wiring, const char *alias,
		     const struct attachment_key *key, char ret_function_name[IFNAMSIZ])
{
	char expected[IFALIAS_SIZE], name[IFNAMSIZ];

	if (!wiring_parse_alias(wiring, alias, name))
		return false;
	wiring_format_alias(name, key, expected);
	if (strcmp(alias, expected) != 0)
		return false;
	strcpy(ret_function_name, name);
	return true;
}

// ---- finding -------------------------------------------------------------------------------------

struct search {
	const struct wiring *wiring;
	const struct attachment_key *key; // whose interface, or
	const char *function_name;        // which function
	bool found;
	struct netlink_link link;
	char found_name[IFNAMSIZ];
};

static bool match(const struct netlink_link *link, void *arg)
{
	struct search *search = arg;

	if (search->key != NULL)
		search->found = wiring_alias_is(search->wiring, link->ifalias, search->key,
						search->found_name);
	else
		search->found =
			wiring_parse_alias(search->wiring, link->ifalias, search->found_name) &&
			strcmp(search->found_name, search->function_name) == 0;
	if (search->found)
		search->link = *link;
	return !search->found;
}

int wiring_find_ours(const struct wiring *wiring, struct netlink *sandbox,
		     const struct attachment_key *key, struct netlink_link *ret_link,
		     char ret_function_name[IFNAMSIZ], struct error *err)
{
	struct search search = {.wiring = wiring, .key = key};
	struct netlink_link link;
	int r = netlink_get_link(sandbox, key->ifname, &link, err);

	if (r < 0 && r != -ENODEV)
		return r;
	if (r == 0 && wiring_alias_is(wiring, link.ifalias, key, ret_function_name)) {
		*ret_link = link;
		return 0;
	}
	r = netlink_each_link(sandbox, match, &search, err);
	if (r < 0)
		return r;
	if (!search.found)
		return -ENODEV;
	*ret_link = search.link;
	strcpy(ret_function_name, search.found_name);
	return 0;
}

static int look_for_function(const struct wiring *wiring, struct netlink *host,
			     const char *function_name, struct netlink_link *ret_link,
			     struct error *err)
{
	struct search search = {.wiring = wiring, .function_name = function_name};
	int r = netlink_get_link(host, function_name, ret_link, err);

	if (r != -ENODEV)
		return r;
	// A real VF comes back from a dead netns under the name it had there.
	r = netlink_each_link(host, match, &search, err);
	if (r < 0)
		return r;
	if (!search.found)
		return -ENODEV;
	*ret_link = search.link;
	return 0;
}

static int fail_not_there(const char *name, struct error *err)
{
	struct mac mac;

	if (virtio_netdev_parse(name, &mac))
		return error_set(
			err, ENODEV, CODE_NIC,
			"the netdev %s of a virtio-user port is not among this host's interfaces: "
			"the agent makes it on its own machine, which must be this host, and in "
			"the "
			"network namespace of podport-hostd",
			name);
	return error_set(err, ENODEV, CODE_NIC, "function %s is not among the host's interfaces",
			 name);
}

int wiring_find_function(const struct wiring *wiring, struct netlink *host,
			 const char *function_name, uint64_t deadline_ms,
			 struct netlink_link *ret_link, struct error *err)
{
	uint32_t wait_ms = LOOK_MIN_MS, left_ms;
	uint64_t virtio_ms = clock_ms() + VIRTIO_WAIT_MS;
	struct mac mac;

	if (virtio_netdev_parse(function_name, &mac) && virtio_ms < deadline_ms)
		deadline_ms = virtio_ms;

	for (;;) {
		int r = look_for_function(wiring, host, function_name, ret_link, err);

		if (r != -ENODEV)
			return r;
		left_ms = clock_left_ms(deadline_ms);
		if (left_ms == 0)
			return fail_not_there(function_name, err);
		poll(NULL, 0, (int)(wait_ms < left_ms ? wait_ms : left_ms));
		wait_ms = wait_ms * 2 > LOOK_MAX_MS ? LOOK_MAX_MS : wait_ms * 2;
	}
}

// ---- who is at home ------------------------------------------------------------------------------

struct home_search {
	const struct wiring *wiring;
	struct wiring_home *home;
};

// The VF's number in a function's name. false: no function's name.
static bool parse_function_name(const struct wiring *wiring, const char *name, uint16_t *ret_vf)
{
	size_t prefix = strlen(wiring->prefix);
	struct function_id function = {0};
	char again[IFNAMSIZ];
	unsigned long number;
	struct error error;

	if (strncmp(name, wiring->prefix, prefix) != 0)
		return false;
	number = strtoul(name + prefix, NULL, 10);
	function.vf = (uint16_t)number;
	if (number > UINT16_MAX || wiring_function_name(wiring, &function, again, &error) < 0 ||
	    strcmp(again, name) != 0)
		return false;
	*ret_vf = function.vf;
	return true;
}

bool wiring_is_ours_name(const struct wiring *wiring, const char *ifname)
{
	struct mac mac;
	uint16_t vf;

	return parse_function_name(wiring, ifname, &vf) || virtio_netdev_parse(ifname, &mac);
}

static bool note_name(const struct home_search *search, const char *name)
{
	struct wiring_home *home = search->home;
	struct mac mac;
	uint16_t vf;

	if (parse_function_name(search->wiring, name, &vf)) {
		home->vfs[vf / 8] |= (uint8_t)(1 << vf % 8);
		return true;
	}
	if (!virtio_netdev_parse(name, &mac))
		return false;
	if (home->virtio_count < WIRING_VIRTIO_MAX)
		home->virtios[home->virtio_count++] = mac;
	return true;
}

static bool note_home(const struct netlink_link *link, void *arg)
{
	struct home_search *search = arg;
	char name[IFNAMSIZ];

	// Under its own name, or the one it had in a sandbox that died.
	if (!note_name(search, link->ifname) &&
	    wiring_parse_alias(search->wiring, link->ifalias, name))
		note_name(search, name);
	return true;
}

int wiring_read_home(const struct wiring *wiring, struct wiring_home *ret_home, struct error *err)
{
	struct home_search search = {wiring, ret_home};
	struct netlink host;
	int r = netlink_open(&host, err);

	if (r < 0)
		return r;
	memset(ret_home, 0, sizeof(*ret_home));
	r = netlink_each_link(&host, note_home, &search, err);
	netlink_close(&host);
	return r;
}

bool wiring_is_home(const struct wiring_home *home, const struct attachment *attachment)
{
	const struct function_id *function = &attachment->function;

	if (attachment->port == PORT_CHOICE_FUNCTION)
		return function->pf == 0 &&
		       (home->vfs[function->vf / 8] & 1 << function->vf % 8) != 0;
	for (uint32_t i = 0; attachment->port == PORT_CHOICE_VIRTIO_USER && i < home->virtio_count;
	     i++)
		if (memcmp(&home->virtios[i], &attachment->mac, sizeof(attachment->mac)) == 0)
			return true;
	return false;
}

// ---- strays --------------------------------------------------------------------------------------

enum { STRAYS_MAX = 32 }; // in one go; the rest is found in the next

struct strays {
	const struct wiring *wiring;
	unsigned int count;
	struct netlink_link links[STRAYS_MAX];
	char names[STRAYS_MAX][IFNAMSIZ];
};

static bool note_stray(const struct netlink_link *link, void *arg)
{
	struct strays *strays = arg;
	char name[IFNAMSIZ];

	// One that has its own name may be on its way into a sandbox this moment.
	if (!wiring_parse_alias(strays->wiring, link->ifalias, name) ||
	    strcmp(name, link->ifname) == 0)
		return true;
	strays->links[strays->count] = *link;
	strcpy(strays->names[strays->count], name);
	return ++strays->count < STRAYS_MAX;
}

unsigned int wiring_adopt_strays(const struct wiring *wiring)
{
	struct netlink_batch batch = {0};
	struct netlink host;
	struct error error;
	unsigned int adopted = 0;
	struct strays *strays = calloc(1, sizeof(*strays));

	if (strays == NULL || netlink_open(&host, &error) < 0) {
		free(strays);
		return 0;
	}
	strays->wiring = wiring;
	if (netlink_each_link(&host, note_stray, strays, &error) < 0)
		strays->count = 0;
	for (unsigned int i = 0; i < strays->count; i++) {
		const struct netlink_link *link = &strays->links[i];
		struct netlink_link_change change = {.ifname = strays->names[i],
						     .ifalias = "",
						     .netns_fd = -1,
						     .set_group = true,
						     .down = true};

		// Down before the name: older kernels rename nothing that is up.
		netlink_add_link_change(&batch, link->ifindex,
					&(struct netlink_link_change){.netns_fd = -1, .down = true},
					"set %s down", link->ifname);
		netlink_add_link_change(&batch, link->ifindex, &change, "rename %s to %s",
					link->ifname, strays->names[i]);
		if (netlink_send(&host, &batch, &error) < 0) {
			log_warning("a function came back under a foreign name and keeps it",
				    "function=%s interface=%s error=\"%s\"", strays->names[i],
				    link->ifname, error.message);
			continue;
		}
		log_info("a function came back and has its name again", "function=%s interface=%s",
			 strays->names[i], link->ifname);
		adopted++;
	}
	netlink_close(&host);
	free(strays);
	return adopted;
}
