// SPDX-License-Identifier: BSD-3-Clause
//
// STATUS (SPEC 1.1.0, section 2): can an ADD be served now?

#pragma once

#include "cni/cni_error.h"
#include "libpodport/podport.h"

// 0 if it can. Errors: CNI_LIMITED_CONNECTIVITY with the agent away, since it forwards the packets
// of the pods that are there; else CNI_NOT_AVAILABLE, with the numbers of what has run out.
int status_judge(const struct podport_status *status, struct cni_error *error);
