// SPDX-License-Identifier: BSD-3-Clause
//
// STATUS (SPEC 1.1.0, section 2): can an ADD be served now?

#pragma once

#include "cni/cni_error.h"
#include "libpodport/podport.h"
#include "proto/message.h"

// 0 if it can. port: what this network's pods get. Errors: CNI_NOT_AVAILABLE if nothing can be attached: the agent is away, knows no pod
// network, or has run out of functions or addresses; CNI_LIMITED_CONNECTIVITY if the pods that are
// there are cut off from the wire or from their host. With the numbers in the details.
int status_judge(const struct podport_status *status, enum port_choice port,
		 struct cni_error *error);
