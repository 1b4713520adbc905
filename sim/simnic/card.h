// SPDX-License-Identifier: BSD-3-Clause
//
// The card: what keeps power on the simulated NIC. It owns the TAPs behind all functions, hands
// their descriptors to one driver at a time and replaces a function whose netns died. It never
// reads or writes a frame, so functions outlive a killed driver and a driver never waits for the
// card. Runs as the process simnic-card, or as a thread of the driver's process (devargs vfs=N).
//
// One thread: the one in card_run(). card_stop() may be called from any thread and from a signal handler.

#pragma once

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

struct card_config {
	char name[IF_NAMESIZE]; // "simnic0": VFs become simnic0v0, simnic0v1, ...
	char pf[IF_NAMESIZE];   // the PF's netdev
	char wire[IF_NAMESIZE]; // the far end of the uplink
	uint8_t mac_base
		[6]; // PF; VF n is base + 1 + n, the wire base + 0xffff, counted in the last two bytes
	uint16_t vfs; // 0..CARD_VFS_MAX
	// level: LOG_ERR .. LOG_DEBUG of syslog.h; text: one line without its end.
	void (*log)(int level, const char *text);
};

struct card;

// Fill in what depends on `name` and was left empty: pf "podport0", wire "<name>w", a locally
// administered mac_base that is the same at every start.
void card_config_defaults(struct card_config *config);

// Make all TAPs in the calling thread's netns. Errors: -EEXIST a name is taken, -EMFILE, and those
// of tap_create(); then nothing is left, and ret_why says it for people.
int card_new(const struct card_config *config, struct card **ret_card, char *ret_why,
	     size_t why_size);

// Listen for drivers at this path; it appears only when all is ready. A socket nobody answers at is
// replaced. Errors: -EADDRINUSE another card answers there.
int card_listen(struct card *card, const char *path, char *ret_why, size_t why_size);

// Serve a driver at the other end of this socket; the card owns it from here on.
int card_adopt(struct card *card, int driver_fd);

// Serve until card_stop(). Blocked while nothing happens.
void card_run(struct card *card);
void card_stop(struct card *card);

// Removes all TAPs of the card, also those in pods. NULL is fine.
void card_free(struct card *card);
