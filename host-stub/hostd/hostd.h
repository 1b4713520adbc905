// SPDX-License-Identifier: BSD-3-Clause
//
// What one hostd is made of, lent to whoever does a call's work. Everything here may be used from
// any thread. There is no list of attachments: what is attached the agent knows, what is wired the
// kernel knows (wiring.h), and what is still to be said is in the delete queue. So hostd can be
// killed at any instant:
//
//     killed ...                             and after that
//     before Attach was sent                 nothing has happened
//     after Attach, before the move          DEL, or the repeated ADD, finds the agent's record; were
//                                            the sandbox gone too, reconcile releases it
//     after the move                         the ifalias says whose it is: DEL finds it, a repeated
//                                            ADD completes it; a dying sandbox gives it back
//     after the reply                        the runtime has the result: nothing to do
//     in DEL, before or after the move back  the runtime repeats DEL; each step copes with being done
//     in DEL, after it was queued            the next hostd delivers it
//     in GC                                  as in DEL; the runtime repeats it

#pragma once

#include "hostd/config.h"
#include "hostd/delete_queue.h"
#include "hostd/host_port.h"
#include "hostd/keys.h"
#include "hostd/link.h"
#include "hostd/wiring.h"

struct upkeep;

struct hostd {
	struct hostd_config config;
	struct wiring wiring;
	struct delete_queue *deletes;
	struct keys *keys;
	struct host_port *host_port; // NULL: none configured
	struct agent_link *link;
	struct upkeep *upkeep;
	_Atomic unsigned int calls_in_flight;
};
